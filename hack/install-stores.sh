#!/usr/bin/env bash
## usage: hack/install-stores.sh
##
## Builds the servers that `make test-stores` needs from Go modules: etcd and kube-apiserver. That takes
## about ten minutes on two cores, and 4 GB for Go's caches. Servers that exist already are not built again.
##
##   ELECTOR_STORES   folder of the programs [default: ~/.cache/elector-stores/bin]

set -o errexit -o nounset -o pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly KUBERNETES=1.34.4 ETCD=3.6.5
readonly FOLDER=${ELECTOR_STORES:-$HOME/.cache/elector-stores/bin}

WORK=''

# Prints Kubernetes' own modules, whose versions in its go.mod are those of a folder beside it.
staging_modules() {
  local module
  module=$(go list -m -f '{{.GoMod}}' "k8s.io/kubernetes@v$KUBERNETES")
  sed -nE 's|^[[:space:]]*(k8s.io/[a-z-]+) => ./staging/.*|\1|p' "$module"
}

# Returns whether the tests find a program.
is_installed() {
  command -v "$1" >/dev/null || [[ -x $FOLDER/$1 || -x $HOME/.cache/kind-node/bin/$1 ]]
}

# Builds a package of a module as PROGRAM.
# build PROGRAM MODULE VERSION PACKAGE [REPLACED...]
build() {
  local program=$1 module=$2 version=$3 package=$4 replaced
  shift 4
  if is_installed "$program"; then return; fi
  step "building $program $version"
  WORK=$(mktemp -d)
  (
    cd "$WORK"
    {
      printf 'module build\ngo 1.24.0\nrequire %s v%s\n' "$module" "$version"
      for replaced in "$@"; do
        printf 'replace %s => %s v0.%s\n' "$replaced" "$replaced" "${version#1.}"
      done
    } >go.mod
    printf '//go:build tools\n\npackage build\n\nimport _ "%s"\n' "$package" >tools.go
    quietly go mod tidy
    CGO_ENABLED=0 go build -trimpath -o "$FOLDER/$program" \
      -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$version" "$package"
  )
  rm -rf "$WORK"
}

main() {
  local staging
  no_arguments "$@"
  if is_installed etcd && is_installed kube-apiserver; then return; fi
  trap 'rm -rf "$WORK"' EXIT
  need go 'it builds the servers' 'https://go.dev/dl'
  ((${#MISSING[@]} == 0)) || die "${MISSING[0]}"
  mkdir -p "$FOLDER"
  build etcd go.etcd.io/etcd/server/v3 "$ETCD" go.etcd.io/etcd/server/v3
  staging=$(staging_modules)
  # shellcheck disable=SC2086  # the names are words
  build kube-apiserver k8s.io/kubernetes "$KUBERNETES" k8s.io/kubernetes/cmd/kube-apiserver $staging
  say "the servers are in $FOLDER"
}

main "$@"
