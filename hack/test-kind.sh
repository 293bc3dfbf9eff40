#!/usr/bin/env bash
## usage: hack/test-kind.sh
##
## Tests the demonstration on three real kind clusters: hack/up.sh twice, hack/kill-leader.sh in each of
## its ways, hack/status.sh, hack/down.sh. Where kind, kubectl, Docker or a node image is missing it says
## so and does nothing.
##
##   KIND_NODE_IMAGE             the image of the nodes [default: a local kindest/node]
##   IMAGE                       the elector's image [default: what make image makes now]
##   ELECTOR_TESTS_NEED_KIND=1   it is a failure if something is missing
##
## It uses a kubectl configuration of its own, and refuses to start where the clusters are there already.

set -o errexit -o nounset -o pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Half of the usual times, which suffices on a machine that runs little else: what is tested is that
# everything works together, not how long 30 s are.
export LEASE_DURATION=${LEASE_DURATION:-15s} RENEW_DEADLINE=${RENEW_DEADLINE:-8s} RETRY_PERIOD=${RETRY_PERIOD:-4s} \
  POLL_PERIOD=${POLL_PERIOD:-1s} CONFIRM_DELAY=${CONFIRM_DELAY:-1s} TERMINATION_GRACE=${TERMINATION_GRACE:-2s}

FOLDER=''
STARTED=false

skip() {
  complain "three kind clusters are NOT tested: $*"
  [[ ${ELECTOR_TESTS_NEED_KIND:-} != 1 ]] || exit 1
  exit 0
}

# However it ends nothing is left behind; what failed is shown before that is gone.
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
    "$ROOT/hack/down.sh" || complain 'the clusters cannot be removed: hack/down.sh'
  fi
  rm -rf "$FOLDER"
  exit "$code"
}

# Runs a script of ours: shows what it says, and keeps it in FOLDER/said.
run() {
  local began=$SECONDS
  step "$*"
  "$ROOT/hack/$1" "${@:2}" 2>&1 | tee "$FOLDER/said"
  say "   ($((SECONDS - began)) s)"
}

says() { grep -Eq -- "$1" "$FOLDER/said" || die "it does not say: $1"; }

pods() {
  local cluster
  for cluster in "${ALL_CLUSTERS[@]}"; do pods_of "$cluster"; done
}

find_node_image() {
  KIND_NODE_IMAGE=${KIND_NODE_IMAGE:-$(newest_node_image)}
  [[ -n $KIND_NODE_IMAGE ]] || skip 'no kindest/node image is here; docker pull one, or name another one in KIND_NODE_IMAGE'
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
  find_clusters
  ((${#CLUSTERS[@]} == 0)) || die "these clusters are there already, and are not touched: ${CLUSTERS[*]} (hack/down.sh removes them)"
  if [[ -z ${IMAGE:-} ]]; then
    step 'making the image'
    quietly make --no-print-directory -C "$ROOT" image
    IMAGE=$(default_image)
  fi
  export IMAGE
  FOLDER=$(mktemp -d)
  export KUBECONFIG=$FOLDER/kubeconfig
}

main() {
  local before how began=$SECONDS
  no_arguments "$@"
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  prepare
  STARTED=true
  run up.sh
  says '^[a-z]+ leads \(token [0-9]+\)$'
  before=$(pods)
  run up.sh
  [[ $(pods) == "$before" ]] || die "the second time changed something: $before became $(pods)"
  for how in --pod --polite --cluster --partition; do
    run kill-leader.sh "$how"
    says '^[a-z]+( itself)? took over [0-9.]+s after '
    says '^No two terms overlapped\.$'
  done
  run status.sh
  says '^[a-z]+ \(token [0-9]+\) leads\.$'
  # Its five terms had five tokens or more.
  says '\(token ([4-9]|[1-9][0-9]+)\)'
  run down.sh
  find_clusters
  ((${#CLUSTERS[@]} == 0)) || die "these clusters are still there: ${CLUSTERS[*]}"
  ! docker inspect "$GIST_SERVER" >/dev/null 2>&1 || die 'the gist service is still there'
  STARTED=false
  say "three kind clusters passed in $((SECONDS - began)) s"
}

main "$@"
