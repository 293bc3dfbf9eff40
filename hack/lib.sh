# shellcheck shell=bash
#
# What the scripts of the demonstration share: the names of things, how they speak, and how they ask
# clusters and electors. To be sourced; it does nothing by itself.
#
# Whatever is measured is measured by one clock: that of the nodes, which are containers of one kernel,
# and so the one that the electors write into their lines. The clock of this shell is not asked: where
# Docker runs in a virtual machine it is another one.

# shellcheck disable=SC2034  # used by those who source this
{
  ALL_CLUSTERS=(napoleon cleopatra stalin)
  NAMESPACE=leader-election
  SELECTOR=app.kubernetes.io/name=elector
  GIST_SERVER=elector-gist-server
  GIST_SERVER_PORT=4041
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The image that is deployed: IMAGE, or the one that `make image` builds.
default_image() {
  local version
  version=$(sed -n '/^version = /{s/^version = "\(.*\)"$/\1/p;q;}' "$ROOT/Cargo.toml")
  printf 'g1g1/multi-cluster-leader-election:%s' "$version"
}

# The newest image for nodes that is here; nothing if there is none.
newest_node_image() {
  docker image ls --format '{{.Repository}}:{{.Tag}}' kindest/node 2>/dev/null | grep -v ':<none>$' |
    sort --version-sort | tail -n 1 || true
}

# --- What is said ---

say() { printf '%s\n' "$*"; }

# What is being done, for those who watch, and for the message if it fails.
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

# A script's help: its lines that begin with `##`.
usage() { sed -n 's/^## \{0,1\}//p' "$0"; }

# Wrong usage: says what, and where to read on.
misused() {
  complain "$1"
  printf 'Try %s --help.\n' "$0" >&2
  exit 2
}

# For a script that takes none but --help.
no_arguments() {
  (($# <= 1)) || misused "it takes no arguments, not: $*"
  case ${1:-} in
    -h | --help) usage && exit 0 ;;
    '') ;;
    *) misused "it takes no arguments, not: $*" ;;
  esac
}

# Runs a command; what it says is shown only if it fails.
quietly() {
  local said
  if ! said=$("$@" 2>&1); then
    printf '%s\n' "$said" >&2
    return 1
  fi
}

# --- Tools ---

MISSING=()

need() {
  command -v "$1" >/dev/null 2>&1 || MISSING+=("$1 is missing: $2. To get it: $3")
}

# All that is missing is named at once.
need_tools() {
  need docker 'the nodes of the clusters are its containers' 'https://docs.docker.com/engine/install'
  need kind 'it makes Kubernetes clusters of containers' 'https://kind.sigs.k8s.io/#installation-and-usage'
  need kubectl 'it talks to the clusters' 'https://kubernetes.io/docs/tasks/tools'
  if ((${#MISSING[@]} > 0)); then
    local missing
    for missing in "${MISSING[@]}"; do complain "$missing"; done
    exit 1
  fi
  quietly docker info ||
    die 'the Docker daemon does not answer, see above: is it started, and may you use it?'
}

# --- Clusters ---

node_of() { printf '%s-control-plane' "$1"; }

# kubectl for a cluster; nothing here may hang on one that does not answer.
kube() {
  local cluster=$1
  shift
  kubectl --context "kind-$cluster" --namespace "$NAMESPACE" "$@"
}

# What kind says there is; filled by `find_clusters`.
MADE=''

# Fills MADE, and CLUSTERS with those of ours that exist.
find_clusters() {
  CLUSTERS=()
  MADE=$(kind get clusters 2>/dev/null) || die 'kind cannot say which clusters there are: kind get clusters'
  local cluster
  for cluster in "${ALL_CLUSTERS[@]}"; do
    if is_made "$cluster"; then CLUSTERS+=("$cluster"); fi
  done
}

is_made() { grep -Fxq -- "$1" <<<"$MADE"; }

# Whether a container runs.
runs() { [[ $(docker inspect --format '{{.State.Running}}' "$1" 2>/dev/null) == true ]]; }

node_runs() { runs "$(node_of "$1")"; }

# Waits until a cluster's API server is ready, for two minutes at the most.
await_api() {
  local end=$((SECONDS + 120))
  until kube "$1" get --raw /readyz --request-timeout=5s >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    sleep 1
  done
}

# --- What is cut off from the gist ---

# Drops what the pods of a cluster forward to the gist's port, also on connections that are there already.
# What goes to the pods, and to the cluster's own API server, passes: kubectl still shows them.
# cut_off CLUSTER PORT
cut_off() {
  quietly docker exec "$(node_of "$1")" iptables --wait --insert FORWARD --protocol tcp --dport "$2" \
    --match comment --comment kill-leader --jump DROP
}

# Undoes every cut of a cluster: also those that a script which was killed left behind.
mend() {
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

# A field of an elector's /status document: `role`, or `lease.fencingToken`. Empty for null, and if it is not there.
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

# A field of a line of an elector's log in JSON (LOG_FORMAT=json): a string without its quotes, escapes as
# they are written. Empty if the line has no such field.
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

# A line of an elector's log in JSON, for people: its level unless it is info, its message, and its fields.
log_text() {
  local text key value
  text=$(log_field "$1" message)
  value=$(log_field "$1" level)
  if [[ $value != info ]]; then text="${value^^}  $text"; fi
  for key in fencing_token leader holder reason error wait age expires_in retry_in; do
    value=$(log_field "$1" "$key")
    if [[ -n $value ]]; then text+=" $key=$value"; fi
  done
  printf '%s' "$text"
}

# The pods of a cluster, a line each: name|phase|restarts|since when its elector runs|since when it is being
# deleted.
pods_of() {
  local go='{range .items[*]}{.metadata.name}|{.status.phase}|'
  go+='{.status.containerStatuses[?(@.name=="elector")].restartCount}|'
  go+='{.status.containerStatuses[?(@.name=="elector")].state.running.startedAt}|'
  go+='{.metadata.deletionTimestamp}{"\n"}{end}'
  kube "$1" get pods --selector "$SELECTOR" --request-timeout=5s --output "jsonpath=$go" 2>/dev/null
}

# A pod of a cluster that runs and is to stay.
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

# The /status document of a pod's elector, by way of the cluster's API server.
status_of() {
  kube "$1" get --raw "/api/v1/namespaces/$NAMESPACE/pods/$2:4040/proxy/status" --request-timeout=5s 2>/dev/null
}

# napoleon/leader-election/elector-5d4f is napoleon's.
cluster_of() { printf '%s' "${1%%/*}"; }

# Looks for an elector that leads in one of the CLUSTERS; sets LEADER (the cluster), LEADER_POD, TOKEN,
# and LEASE (how long it lasts, in whole seconds).
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

# Waits for a leader, for so many seconds.
await_leader() {
  local end=$((SECONDS + $1))
  until find_leader; do
    ((SECONDS < end)) || return 1
    sleep 1
  done
}
