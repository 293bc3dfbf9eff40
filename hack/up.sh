#!/usr/bin/env bash
## usage: hack/up.sh [--lock gist|lease] [N]
##
## Creates N kind clusters (1 to 3: napoleon, cleopatra, hannibal; default 3), deploys the elector to
## each, and prints the leader. A second run keeps existing clusters, updates what has changed, and starts
## stopped clusters.
##
##   --lock gist    share a gist [default]: that of GITHUB_API_TOKEN and GIST_ID, or without them a gist of a
##                  gist server in a container, which needs no account
##   --lock lease   share a Lease of another kind cluster, elector-hub
##
## To change the lock, run hack/down.sh first: two locks are two elections.
##
##   IMAGE              the elector's image [default: the one of this version, built if it is missing]
##   KIND_NODE_IMAGE    the image of the nodes [default: the one of your kind]
##   GITHUB_API_URL, GIST_FILE, LEASE_DURATION, RENEW_DEADLINE, RETRY_PERIOD, POLL_PERIOD, CONFIRM_DELAY,
##   TAKEOVER_STAGGER, TERMINATION_GRACE, STOP_TIMEOUT, RUST_LOG
##                      settings of the electors, as `elector help settings` lists them
##
## hack/status.sh shows the status, hack/kill-leader.sh kills the leader, hack/down.sh removes everything.

set -o errexit -o nounset -o pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

IMAGE=${IMAGE:-$(default_image)}
MANIFESTS=$ROOT/hack/manifests

# Settings that are passed on to the electors.
SETTINGS=(GIST_FILE LEASE_DURATION RENEW_DEADLINE RETRY_PERIOD POLL_PERIOD CONFIRM_DELAY TAKEOVER_STAGGER
  TERMINATION_GRACE STOP_TIMEOUT RUST_LOG)

# The gist of the demonstration without an account. Its server accepts every access token.
DEMO_GIST=e1ec70de1ec70de1ec70de1ec70de1ec
DEMO_TOKEN=any-will-do

# Annotation of the Deployment: image and settings that its pods were started with. Pods do not notice a
# new image or ConfigMap by themselves.
STARTED_WITH=multi-cluster-leader-election/started-with

# What the clusters share: gist or lease.
LOCK_KIND=gist

# Number of clusters with candidates.
NUMBER=${#ALL_CLUSTERS[@]}

# Validity of the hub's tokens. Each run creates new ones.
TOKEN_DURATION=8760h

# The cluster that is being created. It is removed after a failure.
HALF_MADE=''
# Clusters that this run has created.
NEW=()

# Removes a half-created cluster, restores the user's kubectl context, and names the step that failed.
CONTEXT=''
finish() {
  local code=$?
  trap - EXIT INT TERM
  if [[ -n $HALF_MADE ]]; then
    complain "removing the half-created cluster $HALF_MADE"
    quietly kind delete cluster --name "$HALF_MADE" || complain "remove it by hand: kind delete cluster --name $HALF_MADE"
  fi
  if [[ -n $CONTEXT ]]; then kubectl config use-context "$CONTEXT" >/dev/null 2>&1 || true; fi
  if ((code != 0)); then
    complain "failed at: ${STEP:-the start}"
    if ((${#NEW[@]} > 0)); then complain "these clusters were created and are kept: ${NEW[*]}"; fi
    printf 'Run %s again to continue, or hack/down.sh to remove everything.\n' "$0" >&2
  fi
  exit "$code"
}

# The default image is built from this tree if it is missing. Any other image must exist.
ensure_image() {
  if docker image inspect "$IMAGE" >/dev/null 2>&1; then return; fi
  [[ $IMAGE == "$(default_image)" ]] || die "IMAGE: $IMAGE does not exist; build or pull it, or unset IMAGE"
  step "building the image $IMAGE"
  ensure_build_tools
  quietly make --directory "$ROOT" image IMAGE="$IMAGE" || die "cannot build $IMAGE, see above"
}

# Without a terminal to ask on, nothing is installed.
ensure_build_tools() {
  local build_static=${BUILD_STATIC:-$ROOT/hack/build-static.sh} answer=''
  if "$build_static" --check; then return; fi
  if [[ -t 0 ]]; then read -r -p 'Install the missing tools now? [y/N] ' answer || true; fi
  [[ $answer == [yY]* ]] || die 'tools to build the image are missing; run hack/build-static.sh --install'
  "$build_static" --prepare || die 'cannot install the missing tools, see above'
}

# A real gist needs both; one alone is a mistake.
choose_gist() {
  if [[ $LOCK_KIND != gist ]]; then
    DEMO=false
    return
  fi
  if [[ -n ${GITHUB_API_TOKEN:-} && -n ${GIST_ID:-} ]]; then
    DEMO=false
    return
  fi
  [[ -z ${GITHUB_API_TOKEN:-} ]] || die 'GIST_ID: not set, but GITHUB_API_TOKEN is; set both, or neither for the demonstration'
  [[ -z ${GIST_ID:-} ]] || die 'GITHUB_API_TOKEN: not set, but GIST_ID is; set both, or neither for the demonstration'
  DEMO=true
}

# ensure_cluster NAME: creates or starts it if necessary.
ensure_cluster() {
  local cluster=$1 options=()
  if ! is_made "$cluster"; then
    step "creating the cluster $cluster"
    if [[ -n ${KIND_NODE_IMAGE:-} ]]; then options+=(--image "$KIND_NODE_IMAGE"); fi
    HALF_MADE=$cluster
    quietly kind create cluster --name "$cluster" --wait 180s ${options[@]+"${options[@]}"}
    HALF_MADE=''
    NEW+=("$cluster")
    return
  fi
  if node_runs "$cluster"; then
    say "the cluster $cluster exists"
    connect_again "$cluster"
    return
  fi
  step "starting the cluster $cluster"
  quietly docker start "$(node_of "$cluster")"
  await_api "$cluster" || die "the API server of $cluster is not ready"
  connect_again "$cluster"
}

load_image() {
  step "loading the image into $1"
  quietly kind load docker-image "$IMAGE" --name "$1"
}

# A gist server that runs this image is kept, because the record is in its memory.
ensure_gist_server() {
  local want has
  want=$(docker image inspect --format '{{.Id}}' "$IMAGE")
  has=$(docker inspect --format '{{.Image}}' "$GIST_SERVER" 2>/dev/null) || has=''
  if [[ $has == "$want" ]] && runs "$GIST_SERVER"; then
    say "the gist service runs"
    return
  fi
  step "starting the gist service"
  if [[ -n $has ]]; then quietly docker rm --force "$GIST_SERVER"; fi
  quietly docker run --detach --name "$GIST_SERVER" --network kind --read-only --cap-drop ALL \
    "$IMAGE" gist-server --listen ":$GIST_SERVER_PORT" --gist "$DEMO_GIST"
  local end=$((SECONDS + 20))
  until [[ $(docker logs "$GIST_SERVER" 2>/dev/null) == *'listening on'* ]]; do
    if ((SECONDS >= end)) || ! runs "$GIST_SERVER"; then
      docker logs "$GIST_SERVER" >&2 || true
      die 'the gist service does not listen'
    fi
    sleep 0.2
  done
}

# Creates the hub's namespace and service account.
ensure_hub() {
  step "preparing the Lease in $HUB"
  quietly kube "$HUB" apply --filename "$ROOT/hack/examples/hub.yaml"
}

# Prints the hub's certificate authority, in base64.
hub_authority() {
  kube "$HUB" config view --raw --minify --output 'jsonpath={.clusters[0].cluster.certificate-authority-data}'
}

# An entry of a ConfigMap.
entry() {
  local quote="'"
  printf "  %s: '%s'\n" "$1" "${2//$quote/$quote$quote}"
}

# The entries of a cluster's ConfigMap.
cluster_settings() {
  local name
  entry CLUSTER_NAME "$1"
  if [[ $LOCK_KIND == lease ]]; then
    : # The manifest names the place.
  elif $DEMO; then
    entry GIST_ID "$DEMO_GIST"
    entry GITHUB_API_URL "http://$GIST_SERVER:$GIST_SERVER_PORT"
    entry ALLOW_INSECURE_HTTP true
  else
    entry GIST_ID "$GIST_ID"
    if [[ -n ${GITHUB_API_URL:-} ]]; then entry GITHUB_API_URL "$GITHUB_API_URL"; fi
  fi
  for name in "${SETTINGS[@]}"; do
    if [[ -n ${!name:-} ]]; then entry "$name" "${!name}"; fi
  done
}

namespace() {
  cat <<YAML
apiVersion: v1
kind: Namespace
metadata:
  name: $NAMESPACE
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/enforce-version: latest
YAML
}

config_map() {
  printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: elector-cluster, namespace: %s}\ndata:\n' "$NAMESPACE"
  cluster_settings "$1"
}

# secret NAME TOKEN [AUTHORITY]: the shell writes the token itself, so that no command line and no file contains
# it. The certificate authority is in base64.
secret() {
  printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s}\ndata:\n' "$1" "$NAMESPACE"
  printf '  token: %s\n' "$(printf '%s' "$2" | base64 | tr -d '\n')"
  if [[ -n ${3:-} ]]; then printf '  ca.crt: %s\n' "$3"; fi
}

# The Secret with the credentials of the lock.
lock_secret() {
  local token authority
  if [[ $LOCK_KIND == lease ]]; then
    token=$(kube "$HUB" create token elector --duration "$TOKEN_DURATION") || return 1
    authority=$(hub_authority) || return 1
    secret elector-lock "$token" "$authority"
  elif $DEMO; then
    secret elector-github "$DEMO_TOKEN"
  else
    secret elector-github "$GITHUB_API_TOKEN"
  fi
}

# The manifest with the wanted image.
manifest() {
  local file=elector.yaml
  if [[ $LOCK_KIND == lease ]]; then file=elector-hub.yaml; fi
  sed "s|^\( *image: \)g1g1/multi-cluster-leader-election:.*|\1$IMAGE|" "$MANIFESTS/$file"
}

# deploy CLUSTER
deploy() {
  local cluster=$1 name before now
  step "deploying to $cluster"
  before=$(kube "$cluster" get deployment elector --ignore-not-found \
    --output "jsonpath={.metadata.name} {.metadata.annotations.$STARTED_WITH}")
  read -r name before <<<"$before"
  now=$({
    docker image inspect --format '{{.Id}}' "$IMAGE"
    cluster_settings "$cluster"
    # Electors read it at start. A new hub has a new one.
    if [[ $LOCK_KIND == lease ]]; then hub_authority; fi
  } | cksum | tr ' ' -)
  namespace | quietly kube "$cluster" apply --filename -
  config_map "$cluster" | quietly kube "$cluster" apply --filename -
  # A plain apply would keep a copy of the token in an annotation.
  lock_secret | quietly kube "$cluster" apply --server-side --force-conflicts --filename -
  if $DEMO; then
    quietly kube "$cluster" apply --filename "$MANIFESTS/gist-server-egress.yaml"
  else
    quietly kube "$cluster" delete --ignore-not-found --filename "$MANIFESTS/gist-server-egress.yaml"
  fi
  manifest | quietly kube "$cluster" apply --filename -
  if [[ -n $name && $before != "$now" ]]; then
    say "   its image or its settings have changed: restarting the elector of $cluster"
    quietly kube "$cluster" rollout restart deployment/elector
  fi
  quietly kube "$cluster" annotate --overwrite deployment/elector "$STARTED_WITH=$now"
}

await_rollout() {
  step "waiting for the elector of $1"
  quietly kube "$1" rollout status deployment/elector --timeout=120s && return
  complain "the elector of $1 is not ready; its pods, events and last lines:"
  kube "$1" get pods --selector "$SELECTOR" >&2 || true
  kube "$1" get events --field-selector type=Warning 2>/dev/null | tail -n 5 >&2 || true
  kube "$1" logs --selector "$SELECTOR" --tail=5 >&2 || true
  return 1
}

parse() {
  if [[ ${1:-} == --lock ]]; then
    case ${2:-} in
      gist | lease) LOCK_KIND=$2 ;;
      *) misused "--lock: gist or lease, not: ${2:-nothing}" ;;
    esac
    shift 2
  fi
  (($# <= 1)) || misused "at most one number, not: $*"
  case ${1:-} in
    -h | --help) usage && exit 0 ;;
    '') ;;
    [1-3]) NUMBER=$1 ;;
    -*) misused "there is no option $1" ;;
    *) misused "1 to 3 clusters, not: $1" ;;
  esac
}

main() {
  local cluster wanted
  parse "$@"
  need_tools
  choose_gist

  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  CONTEXT=$(kubectl config current-context 2>/dev/null) || CONTEXT=''
  ensure_image
  wanted=("${ALL_CLUSTERS[@]:0:NUMBER}")
  step 'looking for clusters'
  find_clusters
  if [[ $LOCK_KIND == lease ]]; then ensure_cluster "$HUB"; fi
  for cluster in "${wanted[@]}"; do ensure_cluster "$cluster"; done
  for cluster in "${wanted[@]}"; do load_image "$cluster"; done
  # After the clusters, because kind creates its network with the first one.
  if $DEMO; then ensure_gist_server; fi
  if [[ $LOCK_KIND == lease ]]; then ensure_hub; fi
  for cluster in "${wanted[@]}"; do deploy "$cluster"; done
  for cluster in "${wanted[@]}"; do await_rollout "$cluster"; done

  step 'waiting for a leader'
  find_clusters
  await_leader 120 || die 'no elector leads; run hack/status.sh'
  say "$LEADER leads (fencing token $TOKEN)"
}

main "$@"
