#!/usr/bin/env bash
#
# Renders hack/manifests and hack/examples from hack/chart, with `helm template`, and writes the chart's generated
# files: its table of values, and its copy of the Prometheus rules.
#
# usage: hack/render-chart.sh [DIR]     into DIR instead of hack, for a comparison

set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1-} == --help || ${1-} == -h ]]; then
  sed -n '3,6s/^#\( \|$\)//p' "${BASH_SOURCE[0]}"
  exit 0
fi

helm=$(hack/helm.sh)
out=${1:-hack}
# Without it, a helm that Go built assumes an old Kubernetes.
kubernetes=1.34

# render FILE NAME VALUES [OPTION...]: NAME is the name of the release and of every object.
render() {
  local file=$1 name=$2 values=$3
  shift 3
  mkdir -p "$(dirname "$out/$file")"
  {
    echo "# Rendered from hack/chart with ci/$values by \`make manifests\`: edit it there."
    # Without what only Helm uses: the labels by which it would claim the objects, and `helm test`.
    "$helm" template "$name" hack/chart --namespace leader-election --kube-version "$kubernetes" --skip-tests \
      --values "hack/chart/ci/$values" "$@" | sed '/^ *app.kubernetes.io\/managed-by: /d; /^ *helm.sh\/chart: /d'
  } >"$out/$file.new"
  mv "$out/$file.new" "$out/$file"
}

render manifests/elector.yaml elector elector-values.yaml
render manifests/gist-server-egress.yaml elector gist-server-values.yaml \
  --show-only templates/networkpolicy-gist-server.yaml
render manifests/elector-hub.yaml elector hub-values.yaml
render examples/hub.yaml elector hub-cluster-values.yaml \
  --show-only templates/namespace.yaml --show-only templates/serviceaccount.yaml
render examples/lease.yaml batch lease-values.yaml
render examples/wrap.yaml report wrap-values.yaml
render examples/sidecar.yaml web sidecar-values.yaml

mkdir -p "$out/chart/files"
# A copy, because a chart can only read its own files, and Helm warns of links.
[[ $out/chart/files -ef hack/chart/files ]] || cp hack/chart/README.md "$out/chart"
cp hack/monitoring/rules.yaml "$out/chart/files/rules.yaml"
awk -f hack/chart-values.awk hack/chart/values.yaml >"$out/chart/values.new"
sed -i -e '/^<!-- values, /,/^<!-- end of values -->/{//!d}' -e "/^<!-- values, /r $out/chart/values.new" "$out/chart/README.md"
rm "$out/chart/values.new"
