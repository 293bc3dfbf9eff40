#!/usr/bin/env bash
#
# Holds the dependencies against deny.toml: known vulnerabilities, licences, where they come from. Takes the
# cargo-deny that is there, or has cargo build the one named below.

set -o errexit -o nounset -o pipefail

readonly VERSION=0.20.2

cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1-} == --help || ${1-} == -h ]]; then
  sed -n '3,4s/^# //p' "${BASH_SOURCE[0]}"
  echo
  echo "usage: hack/cargo-deny.sh [CHECK...]   advisories, bans, licenses, sources; all of them by default"
  exit 0
fi

if ! cargo deny --version >/dev/null 2>&1; then
  echo "cargo-deny is missing: building $VERSION of it" >&2
  cargo install cargo-deny --version "$VERSION" --locked
fi
cargo deny --locked --workspace check "$@"
