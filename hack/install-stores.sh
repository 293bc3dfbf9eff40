#!/usr/bin/env bash
## usage: hack/install-stores.sh [SERVER...]
##
## Installs the servers that `make test-stores` needs. Without arguments it installs all of them:
##
##   etcd kube-apiserver          Lease          Go modules, ten minutes on two cores, 4 GB for Go's caches
##   versitygw fake-gcs-server    s3://, gs://   Go modules, two minutes
##   moto                         s3://          a virtual environment of Python
##   azurite                      az://          an npm package
##
## Servers that exist already are not installed again. A server whose tool is missing is named and skipped;
## the exit code is then 1, after the other servers.
##
##   ELECTOR_STORES   folder of the programs [default: ~/.cache/elector-stores/bin]

set -o errexit -o nounset -o pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly KUBERNETES=1.34.4 ETCD=3.6.5
readonly VERSITYGW=1.8.0 FAKE_GCS=1.56.1
# Newer versions of Azurite need Node.js 22.
readonly MOTO=5.2.5 AZURITE=3.35.0
readonly ALL=(versitygw fake-gcs-server moto azurite etcd kube-apiserver)
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
  WORK=$(mktemp -d)
  {
    printf 'module build\ngo 1.24.0\nrequire %s v%s\n' "$module" "$version"
    for replaced in "$@"; do
      printf 'replace %s => %s v0.%s\n' "$replaced" "$replaced" "${version#1.}"
    done
  } >"$WORK/go.mod"
  printf '//go:build tools\n\npackage build\n\nimport _ "%s"\n' "$package" >"$WORK/tools.go"
  # `set -o errexit` does not count here, because `main` handles failures.
  (
    cd "$WORK" && quietly go mod tidy &&
      CGO_ENABLED=0 go build -trimpath -o "$FOLDER/$program" \
        -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$version" "$package"
  )
}

build_kube_apiserver() {
  local staging
  staging=$(staging_modules) || return 1
  # shellcheck disable=SC2086  # the names are words
  build kube-apiserver k8s.io/kubernetes "$KUBERNETES" k8s.io/kubernetes/cmd/kube-apiserver $staging
}

# Installs moto in a virtual environment beside the folder.
install_moto() {
  local beside=${FOLDER%/*}/moto
  quietly python3 -m venv "$beside" &&
    quietly "$beside/bin/pip" install --disable-pip-version-check "moto[server]==$MOTO" &&
    ln -sf "$beside/bin/moto_server" "$FOLDER/moto_server"
}

# Installs Azurite in a folder beside the folder. Its packages' scripts are not needed.
install_azurite() {
  local beside=${FOLDER%/*}/azurite
  mkdir -p "$beside" &&
    quietly npm install --prefix "$beside" --no-audit --no-fund --ignore-scripts "azurite@$AZURITE" &&
    ln -sf "$beside/node_modules/.bin/azurite-blob" "$FOLDER/azurite-blob"
}

# Names a server's program, tool, where to get the tool, and the command that installs the server. Sets
# PROGRAM, TOOL, SOURCE and INSTALL.
describe() {
  PROGRAM=$1 TOOL=go SOURCE='https://go.dev/dl'
  case $1 in
    etcd) INSTALL=(build etcd go.etcd.io/etcd/server/v3 "$ETCD" go.etcd.io/etcd/server/v3) ;;
    kube-apiserver) INSTALL=(build_kube_apiserver) ;;
    versitygw)
      INSTALL=(build versitygw github.com/versity/versitygw "$VERSITYGW"
        github.com/versity/versitygw/cmd/versitygw)
      ;;
    fake-gcs-server)
      INSTALL=(build fake-gcs-server github.com/fsouza/fake-gcs-server "$FAKE_GCS"
        github.com/fsouza/fake-gcs-server)
      ;;
    moto) PROGRAM=moto_server TOOL=python3 SOURCE='https://www.python.org' INSTALL=(install_moto) ;;
    azurite) PROGRAM=azurite-blob TOOL=npm SOURCE='https://nodejs.org' INSTALL=(install_azurite) ;;
    *) misused "unknown server: $1; known are: ${ALL[*]}" ;;
  esac
}

main() {
  local server failed=0 missing
  if [[ ${1:-} == -h || ${1:-} == --help ]]; then usage && exit 0; fi
  (($# > 0)) || set -- "${ALL[@]}"
  for server in "$@"; do describe "$server"; done
  [[ $FOLDER == /* ]] || die "ELECTOR_STORES: $FOLDER is a relative path; use an absolute one"
  trap 'rm -rf "$WORK"' EXIT
  mkdir -p "$FOLDER"
  for server in "$@"; do
    describe "$server"
    if is_installed "$PROGRAM"; then continue; fi
    MISSING=()
    need "$TOOL" "it installs $server, which is skipped" "$SOURCE"
    for missing in "${MISSING[@]}"; do
      complain "$missing"
      failed=1
    done
    ((${#MISSING[@]} == 0)) || continue
    step "installing $server"
    if ! "${INSTALL[@]}"; then
      complain "$server: not installed, see above"
      failed=1
    fi
    rm -rf "$WORK"
  done
  if ((failed)); then exit 1; fi
  say "the servers are in $FOLDER"
}

main "$@"
