#!/usr/bin/env bash
## usage: hack/kill-leader.sh [--pod|--polite|--cluster|--partition]
##
## Takes the leader away, shows how another one takes over, says how long that took and whether two terms
## overlapped, and puts things back.
##
##   --pod         kills the leader's process on its node with SIGKILL: it cannot give its lease back
##                 (this is what happens without an option)
##   --polite      deletes the leader's pod: it gives its lease back
##   --cluster     kills the node of the leader's cluster, and starts it again afterwards
##   --partition   cuts the leader's pods off from the gist: it has to stop by itself, in time
##   --help        this text
##
##   TAKEOVER_TIMEOUT   for how many seconds to wait for another leader [default: three leases and 30 s]
##
## All times are by one clock, that of the nodes, which are containers of one kernel: those that the
## electors write into their own lines, and for those that were killed the time at which they were gone.
##
## Exit codes: 0 another one took over, and no two terms overlapped; 1 not so, or it could not be tried;
## 2 wrong usage.

set -o errexit -o nounset -o pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

HOW=pod

# The terms that were seen; the same index for the same term. In milliseconds of the nodes' clock; a term
# without an end goes on.
LEADERS=() TOKENS=() BEGINS=() ENDS=() ENDINGS=()

# What was done, and when: all is counted from there.
DEED='the kill'
KILLED_AT=''

# Those that follow the logs, and where they write.
FOLLOWERS=()
FOLDER=''

# What has to be put back, however this ends.
STOPPED=''
CUT_OFF=''

finish() {
  local code=$? follower
  trap - EXIT INT TERM
  for follower in ${FOLLOWERS[@]+"${FOLLOWERS[@]}"}; do kill -- "-$follower" 2>/dev/null || true; done
  if [[ -n $CUT_OFF ]]; then
    mend "$CUT_OFF" || complain "$CUT_OFF is still cut off from the gist: hack/up.sh mends that"
  fi
  if [[ -n $STOPPED ]]; then
    say "starting the cluster $STOPPED again"
    quietly docker start "$(node_of "$STOPPED")" || complain "$STOPPED is still stopped: hack/up.sh starts it"
  fi
  if [[ -n $FOLDER ]]; then rm -rf "$FOLDER"; fi
  exit "$code"
}

# --- Time ---

# The nodes' clock in milliseconds. Asked at a node that lives.
now_at() { docker exec "$(node_of "$1")" date +%s%3N; }

# 2026-11-23T10:00:00.123Z in milliseconds since 1970.
millis() {
  local year=$((10#${1:0:4})) month=$((10#${1:5:2})) day=$((10#${1:8:2})) days
  local second=$((10#${1:11:2} * 3600 + 10#${1:14:2} * 60 + 10#${1:17:2}))
  # Years that begin in March: the leap day is their last one.
  if ((month <= 2)); then ((year -= 1, month += 12)); fi
  days=$((year * 365 + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day - 719469))
  printf '%d' $(((days * 86400 + second) * 1000 + 10#${1:20:3}))
}

# Milliseconds as seconds: 31.4s.
seconds() {
  local sign='' time=$1
  if ((time < 0)); then sign=- time=$((-time)); fi
  time=$(((time + 50) / 100))
  printf '%s%d.%ds' "$sign" $((time / 10)) $((time % 10))
}

# --- The electors' logs ---

# Follows what the electors of a cluster say, through the ends and the beginnings of containers, and writes
# each line once, after the cluster's name. Two pods may be followed at once.
follow() {
  local cluster=$1 own=$FOLDER/$1 line
  : >"$own"
  while true; do
    # A container's last lines may come only now, after its end.
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

# Follows all of them; each in a process group of its own, to be ended with all that it runs.
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
      ((SECONDS < end)) || die "the electors of $cluster say nothing: $(cat "$FOLDER/$cluster.errors" 2>/dev/null)"
      sleep 0.1
    done
  done
}

# Reads the lines that have come since the last time, and shows those since the kill.
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
      stopped_leading) term_reason "$(log_field "$line" fencing_token)" "$(log_field "$line" reason)" ;;
      workload_stopped) term_ends "$(log_field "$line" fencing_token)" "$at" '' ;;
    esac
  done
}

# --- The terms ---

# term_begins CLUSTER TOKEN MILLIS
term_begins() {
  LEADERS+=("$1") TOKENS+=("$2") BEGINS+=("$3") ENDS+=('') ENDINGS+=('still leads')
}

# term_reason TOKEN REASON: how a term will end.
term_reason() {
  local index
  for index in "${!TOKENS[@]}"; do
    if [[ ${TOKENS[index]} == "$1" && -z ${ENDS[index]} ]]; then ENDINGS[index]=$2; fi
  done
}

# term_ends TOKEN MILLIS HOW: the first end that is reported counts. Without HOW the reason is known.
term_ends() {
  local index
  for index in "${!TOKENS[@]}"; do
    if [[ ${TOKENS[index]} == "$1" && -z ${ENDS[index]} ]]; then
      ENDS[index]=$2
      ENDINGS[index]=${3:-${ENDINGS[index]}}
    fi
  done
}

# Whether there is a term after the first one, and the first one is over.
is_taken_over() { ((${#TOKENS[@]} > 1)) && [[ -n ${ENDS[0]} ]]; }

# What is wrong with the terms, a line each. Two of them may not share an instant, and of two of them the
# later one has the higher token.
flaws() {
  local one other
  for one in "${!TOKENS[@]}"; do
    for other in "${!TOKENS[@]}"; do
      ((one != other && (BEGINS[one] < BEGINS[other] || (BEGINS[one] == BEGINS[other] && one < other)))) || continue
      if [[ -z ${ENDS[one]} ]]; then
        say "${LEADERS[other]} (token ${TOKENS[other]}) leads, and the end of the term of ${LEADERS[one]} (token ${TOKENS[one]}) was not seen"
      elif ((ENDS[one] > BEGINS[other])); then
        say "${LEADERS[other]} (token ${TOKENS[other]}) led $(seconds $((ENDS[one] - BEGINS[other]))) before the term of ${LEADERS[one]} (token ${TOKENS[one]}) was over"
      fi
      if ((TOKENS[other] <= TOKENS[one])); then
        say "the token did not rise: ${LEADERS[one]} had ${TOKENS[one]}, and ${LEADERS[other]} after it ${TOKENS[other]}"
      fi
    done
  done
}

# A time since the kill; `-` where there is none.
since_kill() { if [[ -n $1 ]]; then seconds $(($1 - KILLED_AT)); else printf -- '-'; fi; }

table() {
  local index from
  printf '\n%7s  %-10s %9s %9s  %s\n' token leader from to 'how it ended'
  for index in "${!TOKENS[@]}"; do
    from=$(since_kill "${BEGINS[index]}")
    if ((index == 0)); then from=before; fi
    printf '%7s  %-10s %9s %9s  %s\n' "${TOKENS[index]}" "${LEADERS[index]}" "$from" \
      "$(since_kill "${ENDS[index]}")" "${ENDINGS[index]}"
  done
  printf '\n'
}

# --- The kills ---

# The clock is asked before and after: what is counted from is before, and a term ends after.
kill_pod() {
  local node id
  node=$(node_of "$LEADER")
  id=$(kube "$LEADER" get pod "$LEADER_POD" --request-timeout=5s \
    --output 'jsonpath={.status.containerStatuses[?(@.name=="elector")].containerID}')
  [[ $id == containerd://* ]] || die "the container of $LEADER_POD cannot be found: ${id:-nothing}"
  id=${id#containerd://}
  KILLED_AT=$(now_at "$LEADER")
  quietly docker exec "$node" ctr --namespace k8s.io tasks kill --signal SIGKILL "$id"
  until_gone "$node" "$id"
  term_ends "$TOKEN" "$(now_at "$LEADER")" 'killed'
  say "its process was killed (SIGKILL): its lease has to run out"
}

# Waits until a task is not running any more.
until_gone() {
  local end=$((SECONDS + 10)) tasks
  while true; do
    tasks=$(docker exec "$1" ctr --namespace k8s.io tasks list)
    grep -Eq "^$2 .*RUNNING" <<<"$tasks" || return 0
    ((SECONDS < end)) || die 'the process cannot be killed'
    sleep 0.1
  done
}

delete_pod() {
  DEED='it was asked to leave'
  KILLED_AT=$(now_at "$LEADER")
  quietly kube "$LEADER" delete pod "$LEADER_POD" --wait=false
  say "its pod was deleted: it gives its lease back"
}

kill_cluster() {
  local node other end=$((SECONDS + 20)) gone
  node=$(node_of "$LEADER")
  KILLED_AT=$(now_at "$LEADER")
  STOPPED=$LEADER
  quietly docker kill "$node"
  while runs "$node"; do
    ((SECONDS < end)) || die "$node cannot be killed"
    sleep 0.1
  done
  # Docker's clock is the nodes'. To the millisecond, rounded up.
  gone=$(docker inspect --format '{{.State.FinishedAt}}' "$node")
  gone=${gone%Z}
  [[ $gone == *.* ]] || gone+=.
  gone+=000
  term_ends "$TOKEN" "$(($(millis "${gone:0:23}Z") + 1))" 'killed with its cluster'
  say "the node of its cluster was killed: its lease has to run out"
}

partition() {
  DEED='the cut'
  KILLED_AT=$(now_at "$LEADER")
  CUT_OFF=$LEADER
  cut_off "$LEADER" "$1"
  say "its pods were cut off from the gist: it has to stop before anybody else may lead"
}

# The port of the gist's service, as the cluster's electors are told.
gist_port() {
  local url rest
  url=$(kube "$LEADER" get configmap elector-cluster --request-timeout=5s --output 'jsonpath={.data.GITHUB_API_URL}')
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

# Whether the electors of every cluster see the same leader, one that leads.
agree() {
  local cluster pod status
  find_leader || return 1
  for cluster in "${CLUSTERS[@]}"; do
    pod=$(pod_of "$cluster") || return 1
    status=$(status_of "$cluster" "$pod") || return 1
    [[ $(cluster_of "$(field "$status" leader)") == "$LEADER" ]] || return 1
  done
}

put_back() {
  local node end=$((SECONDS + 240))
  if [[ -n $CUT_OFF ]]; then
    step "connecting $CUT_OFF again"
    mend "$CUT_OFF"
    CUT_OFF=''
  fi
  if [[ -n $STOPPED ]]; then
    step "starting the cluster $STOPPED again"
    quietly docker start "$(node_of "$STOPPED")"
    await_api "$STOPPED" || die "the API server of $STOPPED does not get ready"
    STOPPED=''
  fi
  step 'waiting until all agree again'
  until agree; do
    ((SECONDS < end)) || die 'they do not agree who leads: hack/status.sh shows what they see'
    sleep 1
  done
}

# How long it took, by the terms: the first line of the verdict.
takeover() {
  local last=$((${#TOKENS[@]} - 1)) who=${LEADERS[1]}
  if [[ $who == "${LEADERS[0]}" ]]; then who+=' itself'; fi
  printf '%s took over %s after %s, %s after the end of the term before.' "$who" \
    "$(since_kill "${BEGINS[1]}")" "$DEED" "$(seconds $((BEGINS[1] - ENDS[0])))"
  ((last == 1)) || printf ' There were %d terms in all.' $((last + 1))
  printf '\n'
}

parse() {
  (($# <= 1)) || misused "one option at the most, not: $*"
  case ${1:-} in
    -h | --help) usage && exit 0 ;;
    '') ;;
    --pod | --polite | --cluster | --partition) HOW=${1#--} ;;
    *) misused "there is no option $1" ;;
  esac
  [[ ${TAKEOVER_TIMEOUT:-0} =~ ^[0-9]{1,5}$ ]] || misused "TAKEOVER_TIMEOUT is a number of seconds, not: $TAKEOVER_TIMEOUT"
}

prepare() {
  local cluster
  find_clusters
  ((${#CLUSTERS[@]} > 0)) || die 'there is no cluster: hack/up.sh makes them'
  ((${#CLUSTERS[@]} > 1)) || die "there is only ${CLUSTERS[0]}, and nobody to take over: hack/up.sh makes the others"
  for cluster in "${CLUSTERS[@]}"; do
    node_runs "$cluster" || die "the cluster $cluster is stopped: hack/up.sh starts it"
    mend "$cluster" || die "$cluster is cut off from the gist, and that cannot be undone"
  done
  step 'looking for the leader'
  await_leader 60 || die 'nobody leads: hack/status.sh shows what the electors see'
  say "$LEADER leads (token $TOKEN)"
  FOLDER=$(mktemp -d)
  follow_all
  # It may have changed meanwhile.
  await_leader 60 || die 'nobody leads any more: hack/status.sh shows what the electors see'
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
  port=$(gist_port)

  # Its term began before; when exactly does not matter.
  term_begins "$LEADER" "$TOKEN" 0
  step "taking $LEADER away (--$HOW)"
  case $HOW in
    pod) kill_pod ;;
    polite) delete_pod ;;
    cluster) kill_cluster ;;
    partition) partition "$port" ;;
  esac
  end=$((SECONDS + wait))
  read_lines
  until is_taken_over; do
    if ((SECONDS >= end)); then
      if ((${#TOKENS[@]} > 1)); then break; fi
      table
      die "nobody took over within $wait s: hack/status.sh shows what the electors see"
    fi
    sleep 0.1
    read_lines
  done
  put_back
  # What is on its way.
  sleep 1
  read_lines
  table
  flaws=$(flaws)
  "$ROOT/hack/status.sh"
  if [[ -n $flaws ]]; then
    while IFS= read -r flaw; do complain "$flaw"; done <<<"$flaws"
    die 'NOT as promised, see above'
  fi
  takeover
  say 'No two terms overlapped.'
}

main "$@"
