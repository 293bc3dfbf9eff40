#!/usr/bin/env bash
## usage: hack/down.sh
##
## Removes what hack/up.sh created: the clusters napoleon, cleopatra, hannibal and elector-hub, and the
## container with the gist service. It keeps images, and a gist at GitHub.

set -o errexit -o nounset -o pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

main() {
  local cluster left=()
  no_arguments "$@"
  need_tools
  find_clusters
  if is_made "$HUB"; then CLUSTERS+=("$HUB"); fi
  local server=false
  if docker inspect "$GIST_SERVER" >/dev/null 2>&1; then server=true; fi
  if ((${#CLUSTERS[@]} == 0)) && ! $server; then
    say 'there is nothing to remove'
    return
  fi
  # If one cannot be removed, the others are removed anyway.
  for cluster in ${CLUSTERS[@]+"${CLUSTERS[@]}"}; do
    step "removing the cluster $cluster"
    quietly kind delete cluster --name "$cluster" || left+=("the cluster $cluster")
  done
  if $server; then
    step 'removing the gist service'
    quietly docker rm --force "$GIST_SERVER" || left+=("the container $GIST_SERVER")
  fi
  ((${#left[@]} == 0)) || die "$(printf 'not removed: %s; ' "${left[@]}")see above"
  say 'everything is removed'
}

main "$@"
