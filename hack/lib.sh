# shellcheck shell=bash
#
# Shared parts of the demonstration's scripts: names, output, and requests to clusters and electors. Scripts
# source it; it does nothing by itself.
#
# All times are by one clock, that of the nodes, which are containers of one kernel. It is the clock of the
# electors' log. This shell's clock may differ, if Docker runs in a virtual machine.

# shellcheck disable=SC2034  # used by the scripts that source this
{
  ALL_CLUSTERS=(napoleon cleopatra hannibal)
  NAMESPACE=leader-election
  SELECTOR=app.kubernetes.io/name=elector
  GIST_SERVER=elector-gist-server
  GIST_SERVER_PORT=4041
  # Cluster with the Lease, if the others share one.
  HUB=elector-hub
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Prints the name of the image that `make image` builds.
default_image() {
  local version
  version=$(sed -n '/^version = /{s/^version = "\(.*\)"$/\1/p;q;}' "$ROOT/Cargo.toml")
  printf 'g1g1/multi-cluster-leader-election:%s' "$version"
}

# Prints the newest local image for nodes; nothing if there is none.
newest_node_image() {
  docker image ls --format '{{.Repository}}:{{.Tag}}' kindest/node 2>/dev/null | grep -v ':<none>$' |
    sort --version-sort | tail -n 1 || true
}

# --- Output ---

say() { printf '%s\n' "$*"; }

# Current step, for the output and for the message after a failure.
STEP=''
step() {
  STEP=$*
  printf -- '-- %s\n' "$*"
}

complain() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
  complain "$@"
  exit 1
}

# Prints a script's help: its lines that begin with `##`.
usage() { sed -n 's/^## \{0,1\}//p' "$0"; }

# Reports wrong usage, and exits.
misused() {
  complain "$1"
  printf 'Try %s --help.\n' "$0" >&2
  exit 2
}

# Checks the arguments of a script that accepts only --help.
no_arguments() {
  (($# <= 1)) || misused "it takes no arguments, not: $*"
  case ${1:-} in
    -h | --help) usage && exit 0 ;;
    '') ;;
    *) misused "it takes no arguments, not: $*" ;;
  esac
}

# Runs a command, and prints its output only if it fails.
quietly() {
  local output
  if ! output=$("$@" 2>&1); then
    printf '%s\n' "$output" >&2
    return 1
  fi
}

# --- Tools ---

MISSING=()

need() {
  command -v "$1" >/dev/null 2>&1 || MISSING+=("$1 is missing: $2. To get it: $3")
}

# Names every missing tool.
need_tools() {
  need docker 'the nodes of the clusters are its containers' 'https://docs.docker.com/engine/install'
  need kind 'it creates Kubernetes clusters of containers' 'https://kind.sigs.k8s.io/#installation-and-usage'
  need kubectl 'it talks to the clusters' 'https://kubernetes.io/docs/tasks/tools'
  if ((${#MISSING[@]} > 0)); then
    local missing
    for missing in "${MISSING[@]}"; do complain "$missing"; done
    exit 1
  fi
  quietly docker info ||
    die 'the Docker daemon does not answer, see above; start it, or get the right to use it'
}

# --- Clusters ---

node_of() { printf '%s-control-plane' "$1"; }

# Runs kubectl for a cluster. Callers set a timeout where the cluster may not answer.
kube() {
  local cluster=$1
  shift
  kubectl --context "kind-$cluster" --namespace "$NAMESPACE" "$@"
}

# Clusters that kind lists; set by `find_clusters`.
MADE=''

# Sets MADE, and CLUSTERS to those of this demonstration that exist.
find_clusters() {
  CLUSTERS=()
  MADE=$(kind get clusters 2>/dev/null) || die 'kind get clusters: failed'
  local cluster
  for cluster in "${ALL_CLUSTERS[@]}"; do
    if is_made "$cluster"; then CLUSTERS+=("$cluster"); fi
  done
}

is_made() { grep -Fxq -- "$1" <<<"$MADE"; }

# Returns whether a container runs.
runs() { [[ $(docker inspect --format '{{.State.Running}}' "$1" 2>/dev/null) == true ]]; }

node_runs() { runs "$(node_of "$1")"; }

# Waits until a cluster's API server is ready, for at most two minutes.
await_api() {
  local end=$((SECONDS + 120))
  until kube "$1" get --raw /readyz --request-timeout=5s >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    sleep 1
  done
}

# --- Partitions ---

# Drops traffic of a cluster's pods to the store's port, also on open connections. Traffic to the pods and to
# the cluster's own API server passes, so kubectl still works.
# cut_off CLUSTER PORT
cut_off() {
  quietly docker exec "$(node_of "$1")" iptables --wait --insert FORWARD --protocol tcp --dport "$2" \
    --match comment --comment kill-leader --jump DROP
}

# Undoes every cut of a cluster, also one that a killed script left behind.
connect_again() {
  local node rules rule words
  node=$(node_of "$1")
  rules=$(docker exec "$node" iptables --wait --list-rules FORWARD 2>/dev/null) || return 0
  while IFS= read -r rule; do
    [[ $rule == *'--comment kill-leader '* || $rule == *'--comment "kill-leader" '* ]] || continue
    read -r -a words <<<"${rule//\"/}"
    quietly docker exec "$node" iptables --wait --delete "${words[@]:1}" || return 1
  done <<<"$rules"
}

# --- Electors ---

# Prints a field of an elector's /status document: `role`, or `lease.fencingToken`. Empty if it is null or
# missing.
field() {
  awk -v want="$2" '
    /^  "[A-Za-z]+": [{]$/ { split($0, part, "\""); object = part[2] "."; next }
    /^  [^ ]/ { object = "" }
    /^  "[A-Za-z]+": / || (object != "" && /^    "[A-Za-z]+": /) {
      split($0, part, "\"")
      if (object part[2] != want) next
      sub(/^ *"[A-Za-z]+": "?/, ""); sub(/"?,?$/, "")
      if ($0 != "null") print
    }' <<<"$1"
}

# Prints a field of a line of an elector's log in JSON (LOG_FORMAT=json): a string without its quotes, with
# its escapes. Empty if the line has no such field.
# log_field LINE KEY
log_field() {
  local pattern='[{,]"'$2'":("(([^"\\]|\\.)*)"|[^,}]*)'
  [[ $1 =~ $pattern ]] || return 0
  if [[ ${BASH_REMATCH[1]} == \"* ]]; then
    printf '%s' "${BASH_REMATCH[2]}"
  else
    printf '%s' "${BASH_REMATCH[1]}"
  fi
}

# Formats a line of an elector's log in JSON for display: its level unless it is info, its message, and its
# fields.
log_text() {
  local text key value
  text=$(log_field "$1" message)
  value=$(log_field "$1" level)
  if [[ $value != info ]]; then text="${value^^}  $text"; fi
  for key in fencing_token leader holder reason detail error wait age expires_in retry_in; do
    value=$(log_field "$1" "$key")
    if [[ -n $value ]]; then text+=" $key=$value"; fi
  done
  printf '%s' "$text"
}

# Prints the pods of a cluster, a line each: name|phase|restarts|start of the elector|start of the
# deletion.
pods_of() {
  local go='{range .items[*]}{.metadata.name}|{.status.phase}|'
  go+='{.status.containerStatuses[?(@.name=="elector")].restartCount}|'
  go+='{.status.containerStatuses[?(@.name=="elector")].state.running.startedAt}|'
  go+='{.metadata.deletionTimestamp}{"\n"}{end}'
  kube "$1" get pods --selector "$SELECTOR" --request-timeout=5s --output "jsonpath=$go" 2>/dev/null
}

# Prints a pod of a cluster that runs and is not being deleted.
pod_of() {
  local pod phase restarts since deleted
  while IFS='|' read -r pod phase restarts since deleted; do
    if [[ $phase == Running && -n $since && -z $deleted ]]; then
      printf '%s' "$pod"
      return 0
    fi
  done < <(pods_of "$1")
  return 1
}

# Prints the /status document of a pod's elector, through the cluster's API server.
status_of() {
  kube "$1" get --raw "/api/v1/namespaces/$NAMESPACE/pods/$2:4040/proxy/status" --request-timeout=5s 2>/dev/null
}

# Prints the cluster of an identity: napoleon of napoleon/leader-election/elector-5d4f.
cluster_of() { printf '%s' "${1%%/*}"; }

# Finds an elector that leads in one of the CLUSTERS. Sets LEADER (the cluster), LEADER_POD, TOKEN (the
# fencing token) and LEASE (its duration in whole seconds).
find_leader() {
  local cluster pod rest status
  for cluster in "${CLUSTERS[@]}"; do
    while IFS='|' read -r pod rest; do
      [[ -n $pod ]] || continue
      status=$(status_of "$cluster" "$pod") || continue
      [[ $(field "$status" role) == leader ]] || continue
      LEADER=$cluster
      LEADER_POD=$pod
      TOKEN=$(field "$status" term.fencingToken)
      LEASE=$(field "$status" settings.leaseDurationSeconds)
      LEASE=${LEASE%%.*}
      [[ -n $TOKEN && -n $LEASE ]] && return 0
    done < <(pods_of "$cluster")
  done
  return 1
}

# Waits for a leader, for at most this many seconds.
await_leader() {
  local end=$((SECONDS + $1))
  until find_leader; do
    ((SECONDS < end)) || return 1
    sleep 1
  done
}
