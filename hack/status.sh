#!/usr/bin/env bash
## usage: hack/status.sh
##
## Shows each cluster's view of the election: its pods, their roles, the leader and fencing token that they
## observe, and the restarts of their containers.
##
## Exit codes: 0 shown, also if no candidate leads; 1 there is no cluster, or two electors report that they
## lead; 2 wrong usage.

set -o errexit -o nounset -o pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Electors that report that they lead.
LEADING=()

row() { printf '%-11s %-26s %-10s %-10s %10s %9s\n' "$@"; }

# Prints a line for each pod of a cluster.
show() {
  local cluster=$1 pods pod phase restarts since deleted status role leader token
  if ! node_runs "$cluster"; then
    row "$cluster" '(the cluster is stopped)' - - - -
    return
  fi
  if ! pods=$(pods_of "$cluster"); then
    row "$cluster" '(no answer)' - - - -
    return
  fi
  [[ -n $pods ]] || row "$cluster" '(no pod)' - - - -
  while IFS='|' read -r pod phase restarts since deleted; do
    [[ -n $pod ]] || continue
    role=$phase leader=- token=-
    if [[ -n $deleted ]]; then role=ending; fi
    if [[ -n $since ]] && status=$(status_of "$cluster" "$pod"); then
      role=$(field "$status" role)
      leader=$(cluster_of "$(field "$status" holder)")
      token=$(field "$status" lease.fencingToken)
      if [[ $role == leader ]]; then LEADING+=("$cluster (fencing token $(field "$status" term.fencingToken))"); fi
    fi
    row "$cluster" "$pod" "${role:--}" "${leader:--}" "${token:--}" "${restarts:--}"
  done <<<"$pods"
}

main() {
  local cluster
  no_arguments "$@"
  need_tools
  find_clusters
  ((${#CLUSTERS[@]} > 0)) || die 'there is no cluster; run hack/up.sh'
  row cluster pod role leader token restarts
  for cluster in "${CLUSTERS[@]}"; do show "$cluster"; done
  if is_made "$HUB" && ! node_runs "$HUB"; then show "$HUB"; fi
  case ${#LEADING[@]} in
    0) say 'No candidate leads.' ;;
    1) say "${LEADING[0]} leads." ;;
    *)
      printf '%s reports that it leads.\n' "${LEADING[@]}"
      die 'two electors report that they lead; they were asked one after the other, so run this again'
      ;;
  esac
}

main "$@"
