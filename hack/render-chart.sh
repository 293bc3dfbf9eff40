#!/usr/bin/env bash
#
# Writes hack/manifests and hack/examples anew: what `helm template` makes of hack/chart.
#
# usage: hack/render-chart.sh [DIR]     DIR instead of hack, for a comparison

set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1-} == --help || ${1-} == -h ]]; then
  sed -n '3,5s/^#\( \|$\)//p' "${BASH_SOURCE[0]}"
  exit 0
fi

helm=$(hack/helm.sh)
out=${1:-hack}
# A helm that Go built thinks of an old Kubernetes otherwise.
kubernetes=1.34

# render FILE NAME VALUES [OPTION...]: NAME is the release's, and so that of every object.
render() {
  local file=$1 name=$2 values=$3
  shift 3
  mkdir -p "$(dirname "$out/$file")"
  {
    echo "# Made of hack/chart with ci/$values by \`make manifests\`: change it there."
    "$helm" template "$name" hack/chart --namespace leader-election --kube-version "$kubernetes" \
      --values "hack/chart/ci/$values" "$@"
  } >"$out/$file.new"
  mv "$out/$file.new" "$out/$file"
}

render manifests/elector.yaml elector elector-values.yaml
render manifests/gist-server-egress.yaml elector gist-server-values.yaml \
  --show-only templates/networkpolicy-gist-server.yaml
render examples/wrap.yaml report wrap-values.yaml
render examples/sidecar.yaml web sidecar-values.yaml
