#!/usr/bin/env bash
## usage: hack/test-kind.sh [--lock gist|lease]
##
## Tests the demonstration on three real kind clusters, and with --lock lease a fourth one: hack/up.sh twice,
## hack/kill-leader.sh with each option, hack/status.sh, hack/down.sh. If kind, kubectl, Docker or a node image
## is missing, it says so and does nothing.
##
##   KIND_NODE_IMAGE             the image of the nodes [default: a local kindest/node]
##   IMAGE                       the elector's image [default: built by make image]
##   ELECTOR_TESTS_NEED_KIND=1   fail if something is missing
##
## It uses a separate kubectl configuration, and refuses to start if the clusters exist already.

set -o errexit -o nounset -o pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Half of the default times, which suffices on a machine that runs little else: this tests that everything
# works together, not the default times.
export LEASE_DURATION=${LEASE_DURATION:-15s} RENEW_DEADLINE=${RENEW_DEADLINE:-8s} RETRY_PERIOD=${RETRY_PERIOD:-4s} \
  POLL_PERIOD=${POLL_PERIOD:-1s} CONFIRM_DELAY=${CONFIRM_DELAY:-1s} TERMINATION_GRACE=${TERMINATION_GRACE:-2s}

# Options of hack/up.sh.
OPTIONS=()
FOLDER=''
STARTED=false

skip() {
  complain "three kind clusters are NOT tested: $*"
  [[ ${ELECTOR_TESTS_NEED_KIND:-} != 1 ]] || exit 1
  exit 0
}

# Removes everything, and shows the state before if the test failed.
finish() {
  local code=$? cluster
  trap - EXIT INT TERM
  if $STARTED; then
    if ((code != 0)); then
      complain "failed at: $STEP"
      find_clusters
      "$ROOT/hack/status.sh" || true
      for cluster in ${CLUSTERS[@]+"${CLUSTERS[@]}"}; do
        kube "$cluster" get pods,events --request-timeout=5s || true
        kube "$cluster" logs --selector "$SELECTOR" --tail=20 --request-timeout=5s || true
      done
    fi
    "$ROOT/hack/down.sh" || complain 'cannot remove the clusters; run hack/down.sh'
  fi
  rm -rf "$FOLDER"
  exit "$code"
}

# Runs a script: shows its output, and keeps it in FOLDER/said.
run() {
  local began=$SECONDS
  step "$*"
  "$ROOT/hack/$1" "${@:2}" 2>&1 | tee "$FOLDER/said"
  say "   ($((SECONDS - began)) s)"
}

says() { grep -Eq -- "$1" "$FOLDER/said" || die "missing in the output: $1"; }

pods() {
  local cluster
  for cluster in "${ALL_CLUSTERS[@]}"; do pods_of "$cluster"; done
}

# Sets CLUSTERS to those of the candidates and the hub.
find_all_clusters() {
  find_clusters
  if is_made "$HUB"; then CLUSTERS+=("$HUB"); fi
}

parse() {
  if [[ ${1:-} == --lock && ${2:-} =~ ^(gist|lease)$ ]]; then
    OPTIONS=("$1" "$2")
    shift 2
  fi
  no_arguments "$@"
}

find_node_image() {
  KIND_NODE_IMAGE=${KIND_NODE_IMAGE:-$(newest_node_image)}
  [[ -n $KIND_NODE_IMAGE ]] || skip 'there is no kindest/node image; pull one, or set KIND_NODE_IMAGE'
  docker image inspect "$KIND_NODE_IMAGE" >/dev/null 2>&1 || skip "there is no image $KIND_NODE_IMAGE"
  export KIND_NODE_IMAGE
}

prepare() {
  local tool
  for tool in docker kind kubectl; do
    command -v "$tool" >/dev/null || skip "$tool is missing"
  done
  docker info >/dev/null 2>&1 || skip 'the Docker daemon does not answer'
  find_node_image
  find_all_clusters
  ((${#CLUSTERS[@]} == 0)) || die "these clusters exist already: ${CLUSTERS[*]}; remove them with hack/down.sh"
  if [[ -z ${IMAGE:-} ]]; then
    step 'building the image'
    quietly make --no-print-directory -C "$ROOT" image
    IMAGE=$(default_image)
  fi
  export IMAGE
  FOLDER=$(mktemp -d)
  export KUBECONFIG=$FOLDER/kubeconfig
}

main() {
  local before how began=$SECONDS
  parse "$@"
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  prepare
  STARTED=true
  run up.sh ${OPTIONS[@]+"${OPTIONS[@]}"}
  says '^[a-z]+ leads \(fencing token [0-9]+\)$'
  before=$(pods)
  run up.sh ${OPTIONS[@]+"${OPTIONS[@]}"}
  [[ $(pods) == "$before" ]] || die "the second run changed the pods: $before became $(pods)"
  for how in --pod --graceful --cluster --partition; do
    run kill-leader.sh "$how"
    says '^[a-z]+( itself)? took over [0-9.]+s after '
    says '^No two terms overlapped\.$'
  done
  run status.sh
  says '^[a-z]+ \(fencing token [0-9]+\) leads\.$'
  # Its five terms had at least five fencing tokens.
  says '\(fencing token ([4-9]|[1-9][0-9]+)\)'
  run down.sh
  find_all_clusters
  ((${#CLUSTERS[@]} == 0)) || die "these clusters still exist: ${CLUSTERS[*]}"
  ! docker inspect "$GIST_SERVER" >/dev/null 2>&1 || die 'the gist service still exists'
  STARTED=false
  say "three kind clusters passed in $((SECONDS - began)) s"
}

main "$@"
