#!/usr/bin/env bash
#
# Prints the path of helm 3. If it is not on PATH, Go builds it. Exits with 3 if there is neither.

set -o errexit -o nounset -o pipefail

# Built from its Go module, because Go's checksum database verifies that download.
readonly HELM=helm.sh/helm/v3/cmd/helm@v3.19.5

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/target/tools

if [[ ${1-} == --help || ${1-} == -h ]]; then
  sed -n '3s/^# //p' "${BASH_SOURCE[0]}"
elif [[ -x $tools/helm ]]; then
  echo "$tools/helm"
elif [[ $(helm version --template '{{.Version}}' 2>/dev/null) == v3.* ]]; then
  command -v helm
elif command -v go >/dev/null; then
  echo "helm is missing: building $HELM" >&2
  mkdir -p "$tools"
  GOFLAGS='' GOBIN=$tools go install "$HELM" >&2
  echo "$tools/helm"
else
  echo 'helm 3 is missing: it renders and checks the chart. To get it: https://helm.sh/docs/intro/install,' \
    'or install Go (https://go.dev/dl), and this script builds it' >&2
  exit 3
fi
