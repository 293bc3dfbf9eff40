#!/usr/bin/env bash
## usage: hack/status.sh
##
## Shows each cluster's view of the election: its pods, what they are, whom they see lead with which
## fencing token, and how often their containers were started again.
##
## Exit codes: 0 shown, whoever leads; 1 there is no cluster, or two electors say that they lead;
## 2 wrong usage.

set -o errexit -o nounset -o pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Those who say that they lead.
LEADING=()

row() { printf '%-10s %-26s %-10s %-10s %6s %9s\n' "$@"; }

# A line for each pod of a cluster.
show() {
  local cluster=$1 pods pod phase restarts since deleted status role sees token
  if ! node_runs "$cluster"; then
    row "$cluster" '(the cluster is stopped)' - - - -
    return
  fi
  if ! pods=$(pods_of "$cluster"); then
    row "$cluster" '(it does not answer)' - - - -
    return
  fi
  [[ -n $pods ]] || row "$cluster" '(no pod)' - - - -
  while IFS='|' read -r pod phase restarts since deleted; do
    [[ -n $pod ]] || continue
    role=$phase sees=- token=-
    if [[ -n $deleted ]]; then role=ending; fi
    if [[ -n $since ]] && status=$(status_of "$cluster" "$pod"); then
      role=$(field "$status" role)
      sees=$(cluster_of "$(field "$status" leader)")
      token=$(field "$status" lease.fencingToken)
      if [[ $role == leader ]]; then LEADING+=("$cluster (token $(field "$status" term.fencingToken))"); fi
    fi
    row "$cluster" "$pod" "${role:--}" "${sees:--}" "${token:--}" "${restarts:--}"
  done <<<"$pods"
}

main() {
  local cluster
  no_arguments "$@"
  need_tools
  find_clusters
  ((${#CLUSTERS[@]} > 0)) || die 'there is no cluster: hack/up.sh makes them'
  row cluster pod role 'it sees' token restarts
  for cluster in "${CLUSTERS[@]}"; do show "$cluster"; done
  case ${#LEADING[@]} in
    0) say 'Nobody leads.' ;;
    1) say "${LEADING[0]} leads." ;;
    *)
      printf '%s says that it leads.\n' "${LEADING[@]}"
      die 'more than one says so: they were asked one after the other, so ask again before you worry'
      ;;
  esac
}

main "$@"
