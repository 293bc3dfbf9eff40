#!/usr/bin/env bash
#
# Checks the dependencies by deny.toml: known vulnerabilities, licences, sources. Uses the installed
# cargo-deny, or lets cargo build the version named below.

set -o errexit -o nounset -o pipefail

readonly VERSION=0.20.2

cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1-} == --help || ${1-} == -h ]]; then
  sed -n '3,4s/^# //p' "${BASH_SOURCE[0]}"
  echo
  echo "usage: hack/cargo-deny.sh [CHECK...]   advisories, bans, licenses, sources; by default all"
  exit 0
fi

if ! cargo deny --version >/dev/null 2>&1; then
  echo "cargo-deny is missing: building version $VERSION" >&2
  cargo install cargo-deny --version "$VERSION" --locked
fi
cargo deny --locked --workspace check "$@"
