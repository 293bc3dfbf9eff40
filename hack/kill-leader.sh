#!/usr/bin/env bash
## usage: hack/kill-leader.sh [--pod|--graceful|--cluster|--partition]
##
## Ends the leader, shows the takeover by another candidate, prints how long it took and whether two terms
## overlapped, and restores what it changed.
##
##   --pod         kill the leader's process on its node with SIGKILL: it cannot release its lease [default]
##   --graceful    delete the leader's pod: it releases its lease
##   --cluster     kill the node of the leader's cluster, and start it again afterwards
##   --partition   cut the leader's pods off from the record's store: it must stop by itself, in time
##   --help        print this text
##
##   TAKEOVER_TIMEOUT   seconds to wait for another leader [default: three leases and 30 s]
##
## All times are by one clock, that of the nodes, which are containers of one kernel: the times in the
## electors' log, and for a killed elector the time of its end.
##
## Exit codes: 0 another candidate took over, and no two terms overlapped; 1 otherwise, or it could not be
## tried; 2 wrong usage.

set -o errexit -o nounset -o pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

HOW=pod

# The observed terms; the same index for the same term. In milliseconds of the nodes' clock; a term without
# an end continues.
LEADERS=() TOKENS=() BEGINS=() ENDS=() ENDINGS=()

# The action and its time. All shown times count from it.
ACTION='the kill'
KILLED_AT=''

# Processes that follow the logs, and the folder that they write to.
FOLLOWERS=()
FOLDER=''

# What the exit trap must restore.
STOPPED=''
CUT_OFF=''

finish() {
  local code=$? follower
  trap - EXIT INT TERM
  for follower in ${FOLLOWERS[@]+"${FOLLOWERS[@]}"}; do kill -- "-$follower" 2>/dev/null || true; done
  if [[ -n $CUT_OFF ]]; then
    connect_again "$CUT_OFF" || complain "$CUT_OFF is still cut off from the store; run hack/up.sh"
  fi
  if [[ -n $STOPPED ]]; then
    say "starting the cluster $STOPPED again"
    quietly docker start "$(node_of "$STOPPED")" || complain "$STOPPED is still stopped; run hack/up.sh"
  fi
  if [[ -n $FOLDER ]]; then rm -rf "$FOLDER"; fi
  exit "$code"
}

# --- Time ---

# Prints the nodes' clock in milliseconds, read at a running node.
now_at() { docker exec "$(node_of "$1")" date +%s%3N; }

# Converts 2026-11-23T10:00:00.123Z to milliseconds since 1970.
millis() {
  local year=$((10#${1:0:4})) month=$((10#${1:5:2})) day=$((10#${1:8:2})) days
  local second=$((10#${1:11:2} * 3600 + 10#${1:14:2} * 60 + 10#${1:17:2}))
  # Years that begin in March: the leap day is their last one.
  if ((month <= 2)); then ((year -= 1, month += 12)); fi
  days=$((year * 365 + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day - 719469))
  printf '%d' $(((days * 86400 + second) * 1000 + 10#${1:20:3}))
}

# Formats milliseconds as seconds: 31.4s.
seconds() {
  local sign='' time=$1
  if ((time < 0)); then sign=- time=$((-time)); fi
  time=$(((time + 50) / 100))
  printf '%s%d.%ds' "$sign" $((time / 10)) $((time % 10))
}

# --- The electors' logs ---

# Follows the logs of a cluster's electors across restarts of containers, and writes each line once, after
# the cluster's name. It may follow two pods simultaneously.
follow() {
  local cluster=$1 own=$FOLDER/$1 line
  : >"$own"
  while true; do
    # A container's last lines may only be available after its end.
    { kube "$cluster" logs --selector "$SELECTOR" --container elector --previous --tail=100 2>/dev/null || true
      kube "$cluster" logs --selector "$SELECTOR" --container elector --follow --tail=100 2>"$own.errors" || true; } |
      while IFS= read -r line; do
        if grep -Fxq -- "$line" "$own"; then continue; fi
        printf '%s\n' "$line" >>"$own"
        printf '%s %s\n' "$cluster" "$line" >>"$FOLDER/lines"
      done
    sleep 0.3
  done
}

# Follows all clusters, each in a separate process group, which is killed as a whole.
follow_all() {
  local cluster end=$((SECONDS + 15))
  : >"$FOLDER/lines"
  exec 3<"$FOLDER/lines"
  for cluster in "${CLUSTERS[@]}"; do
    set -o monitor
    follow "$cluster" </dev/null &
    set +o monitor
    FOLLOWERS+=($!)
    disown
  done
  for cluster in "${CLUSTERS[@]}"; do
    until [[ -s $FOLDER/$cluster ]]; do
      ((SECONDS < end)) || die "the electors of $cluster log nothing: $(cat "$FOLDER/$cluster.errors" 2>/dev/null)"
      sleep 0.1
    done
  done
}

# Reads the new lines, and prints those since the kill.
read_lines() {
  local cluster line at time
  while IFS=' ' read -r cluster line <&3; do
    time=$(log_field "$line" time)
    [[ $time =~ ^[0-9T:.-]{23}Z$ ]] || continue
    at=$(millis "$time")
    if ((at < KILLED_AT)); then continue; fi
    printf '%8s  %-10s %s\n' "+$(seconds $((at - KILLED_AT)))" "$cluster" "$(log_text "$line")"
    case $(log_field "$line" event) in
      started_leading) term_begins "$cluster" "$(log_field "$line" fencing_token)" "$at" ;;
      stopped_leading) term_reason "$(log_field "$line" fencing_token)" "$(log_field "$line" detail)" ;;
      workload_stopped) term_ends "$(log_field "$line" fencing_token)" "$at" '' ;;
    esac
  done
}

# --- The terms ---

# term_begins CLUSTER TOKEN MILLIS
term_begins() {
  LEADERS+=("$1") TOKENS+=("$2") BEGINS+=("$3") ENDS+=('') ENDINGS+=('still leads')
}

# term_reason TOKEN REASON: notes why a term ends.
term_reason() {
  local index
  for index in "${!TOKENS[@]}"; do
    if [[ ${TOKENS[index]} == "$1" && -z ${ENDS[index]} ]]; then ENDINGS[index]=$2; fi
  done
}

# term_ends TOKEN MILLIS HOW: the first reported end counts. Without HOW the reason is known already.
term_ends() {
  local index
  for index in "${!TOKENS[@]}"; do
    if [[ ${TOKENS[index]} == "$1" && -z ${ENDS[index]} ]]; then
      ENDS[index]=$2
      ENDINGS[index]=${3:-${ENDINGS[index]}}
    fi
  done
}

# Returns whether the first term is over and another one began.
is_taken_over() { ((${#TOKENS[@]} > 1)) && [[ -n ${ENDS[0]} ]]; }

# Prints each violation on a line: two terms must not overlap, and a later term must have a higher fencing
# token.
flaws() {
  local one other
  for one in "${!TOKENS[@]}"; do
    for other in "${!TOKENS[@]}"; do
      ((one != other && (BEGINS[one] < BEGINS[other] || (BEGINS[one] == BEGINS[other] && one < other)))) || continue
      if [[ -z ${ENDS[one]} ]]; then
        say "${LEADERS[other]} (fencing token ${TOKENS[other]}) leads, but the end of the term of ${LEADERS[one]} (fencing token ${TOKENS[one]}) was not observed"
      elif ((ENDS[one] > BEGINS[other])); then
        say "${LEADERS[other]} (fencing token ${TOKENS[other]}) led $(seconds $((ENDS[one] - BEGINS[other]))) before the term of ${LEADERS[one]} (fencing token ${TOKENS[one]}) was over"
      fi
      if ((TOKENS[other] <= TOKENS[one])); then
        say "the fencing token did not rise: ${LEADERS[one]} had ${TOKENS[one]}, and ${LEADERS[other]} after it ${TOKENS[other]}"
      fi
    done
  done
}

# Formats a time since the kill; `-` if there is none.
since_kill() { if [[ -n $1 ]]; then seconds $(($1 - KILLED_AT)); else printf -- '-'; fi; }

table() {
  local index from
  printf '\n%10s  %-10s %9s %9s  %s\n' token leader from to end
  for index in "${!TOKENS[@]}"; do
    from=$(since_kill "${BEGINS[index]}")
    if ((index == 0)); then from=before; fi
    printf '%10s  %-10s %9s %9s  %s\n' "${TOKENS[index]}" "${LEADERS[index]}" "$from" \
      "$(since_kill "${ENDS[index]}")" "${ENDINGS[index]}"
  done
  printf '\n'
}

# --- The kills ---

# The clock is read before and after: times count from before, and a term ends after.
kill_pod() {
  local node id
  node=$(node_of "$LEADER")
  id=$(kube "$LEADER" get pod "$LEADER_POD" --request-timeout=5s \
    --output 'jsonpath={.status.containerStatuses[?(@.name=="elector")].containerID}')
  [[ $id == containerd://* ]] || die "the container of $LEADER_POD was not found: ${id:-nothing}"
  id=${id#containerd://}
  KILLED_AT=$(now_at "$LEADER")
  quietly docker exec "$node" ctr --namespace k8s.io tasks kill --signal SIGKILL "$id"
  until_gone "$node" "$id"
  term_ends "$TOKEN" "$(now_at "$LEADER")" 'killed'
  say "its process was killed (SIGKILL): it resumes, or its lease must expire first"
}

# Waits until a task has ended.
until_gone() {
  local end=$((SECONDS + 10)) tasks
  while true; do
    tasks=$(docker exec "$1" ctr --namespace k8s.io tasks list)
    grep -Eq "^$2 .*RUNNING" <<<"$tasks" || return 0
    ((SECONDS < end)) || die 'cannot kill the process'
    sleep 0.1
  done
}

delete_pod() {
  ACTION='it was stopped'
  KILLED_AT=$(now_at "$LEADER")
  quietly kube "$LEADER" delete pod "$LEADER_POD" --wait=false
  say "its pod was deleted: it releases its lease"
}

kill_cluster() {
  local node other end=$((SECONDS + 20)) gone
  node=$(node_of "$LEADER")
  KILLED_AT=$(now_at "$LEADER")
  STOPPED=$LEADER
  quietly docker kill "$node"
  while runs "$node"; do
    ((SECONDS < end)) || die "cannot kill $node"
    sleep 0.1
  done
  # Docker's clock is the nodes'. To the millisecond, rounded up.
  gone=$(docker inspect --format '{{.State.FinishedAt}}' "$node")
  gone=${gone%Z}
  [[ $gone == *.* ]] || gone+=.
  gone+=000
  term_ends "$TOKEN" "$(($(millis "${gone:0:23}Z") + 1))" 'killed with its cluster'
  say "the node of its cluster was killed: its lease must expire first"
}

partition() {
  ACTION='the cut'
  KILLED_AT=$(now_at "$LEADER")
  CUT_OFF=$LEADER
  cut_off "$LEADER" "$1"
  say "its pods were cut off from the store: it must stop before another candidate may lead"
}

# Prints the port of the store that the cluster's electors use: an API server, or a gist service.
store_port() {
  local url rest
  url=$(kube "$LEADER" get deployment elector --request-timeout=5s \
    --output 'jsonpath={.spec.template.spec.containers[0].env[?(@.name=="ELECTOR_LOCK")].value}')
  if [[ -z $url ]]; then
    url=$(kube "$LEADER" get configmap elector-cluster --request-timeout=5s --output 'jsonpath={.data.GITHUB_API_URL}')
  fi
  rest=${url#*://}
  rest=${rest%%/*}
  if [[ $rest =~ :([0-9]+)$ ]]; then
    printf '%s' "${BASH_REMATCH[1]}"
  elif [[ $url == http://* ]]; then
    printf 80
  else
    printf 443
  fi
}

# --- Afterwards ---

# Returns whether the electors of every cluster observe the same leader, and it leads.
agree() {
  local cluster pod status
  find_leader || return 1
  for cluster in "${CLUSTERS[@]}"; do
    pod=$(pod_of "$cluster") || return 1
    status=$(status_of "$cluster" "$pod") || return 1
    [[ $(cluster_of "$(field "$status" holder)") == "$LEADER" ]] || return 1
  done
}

put_back() {
  local node end=$((SECONDS + 240))
  if [[ -n $CUT_OFF ]]; then
    step "connecting $CUT_OFF again"
    connect_again "$CUT_OFF"
    CUT_OFF=''
  fi
  if [[ -n $STOPPED ]]; then
    step "starting the cluster $STOPPED again"
    quietly docker start "$(node_of "$STOPPED")"
    await_api "$STOPPED" || die "the API server of $STOPPED is not ready"
    STOPPED=''
  fi
  step 'waiting until all candidates agree again'
  until agree; do
    ((SECONDS < end)) || die 'the candidates do not agree on the leader; run hack/status.sh'
    sleep 1
  done
}

# Prints how long the takeover took: the first line of the verdict.
takeover() {
  local last=$((${#TOKENS[@]} - 1)) who=${LEADERS[1]}
  if [[ $who == "${LEADERS[0]}" ]]; then who+=' itself'; fi
  printf '%s took over %s after %s, %s after the end of the term before.' "$who" \
    "$(since_kill "${BEGINS[1]}")" "$ACTION" "$(seconds $((BEGINS[1] - ENDS[0])))"
  ((last == 1)) || printf ' There were %d terms.' $((last + 1))
  printf '\n'
}

parse() {
  (($# <= 1)) || misused "at most one option, not: $*"
  case ${1:-} in
    -h | --help) usage && exit 0 ;;
    '') ;;
    --pod | --graceful | --cluster | --partition) HOW=${1#--} ;;
    *) misused "there is no option $1" ;;
  esac
  [[ ${TAKEOVER_TIMEOUT:-0} =~ ^[0-9]{1,5}$ ]] || misused "TAKEOVER_TIMEOUT: must be a number of seconds, not $TAKEOVER_TIMEOUT"
}

prepare() {
  local cluster
  find_clusters
  ((${#CLUSTERS[@]} > 0)) || die 'there is no cluster; run hack/up.sh'
  ((${#CLUSTERS[@]} > 1)) || die "there is only ${CLUSTERS[0]}, and no standby to take over; run hack/up.sh"
  for cluster in "${CLUSTERS[@]}"; do
    node_runs "$cluster" || die "the cluster $cluster is stopped; run hack/up.sh"
    connect_again "$cluster" || die "cannot connect $cluster to the store again"
  done
  step 'looking for the leader'
  await_leader 60 || die 'no candidate leads; run hack/status.sh'
  say "$LEADER leads (fencing token $TOKEN)"
  FOLDER=$(mktemp -d)
  follow_all
  # The leader may have changed since.
  await_leader 60 || die 'no candidate leads any more; run hack/status.sh'
}

main() {
  local wait end port flaws flaw
  parse "$@"
  need_tools
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  prepare
  wait=${TAKEOVER_TIMEOUT:-$((3 * LEASE + 30))}
  port=$(store_port)

  # Its term began before the kill; the exact time does not matter.
  term_begins "$LEADER" "$TOKEN" 0
  step "ending the leader $LEADER (--$HOW)"
  case $HOW in
    pod) kill_pod ;;
    graceful) delete_pod ;;
    cluster) kill_cluster ;;
    partition) partition "$port" ;;
  esac
  end=$((SECONDS + wait))
  read_lines
  until is_taken_over; do
    if ((SECONDS >= end)); then
      if ((${#TOKENS[@]} > 1)); then break; fi
      table
      die "no candidate took over within $wait s; run hack/status.sh"
    fi
    sleep 0.1
    read_lines
  done
  put_back
  # The last lines may still be on their way.
  sleep 1
  read_lines
  table
  flaws=$(flaws)
  "$ROOT/hack/status.sh"
  if [[ -n $flaws ]]; then
    while IFS= read -r flaw; do complain "$flaw"; done <<<"$flaws"
    die 'a promise was broken, see above'
  fi
  takeover
  say 'No two terms overlapped.'
}

main "$@"
