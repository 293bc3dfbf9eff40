#!/usr/bin/env bash
#
# Writes the software bill of materials of the program. See --help.

set -o errexit -o nounset -o pipefail

readonly VERSION=0.5.9

# Targets of the released programs.
readonly TARGETS=(x86_64-unknown-linux-musl aarch64-unknown-linux-musl)

usage() {
  cat <<'TEXT'
Usage: hack/sbom.sh

Writes target/dist/elector-VERSION.cdx.json: the crates of the program and of its derive macros, in the format
CycloneDX 1.5. They are the same for every released target; if not, it fails. The standard library and musl
are missing. Uses the installed cargo-cyclonedx, or lets cargo build the version named in this script.

Environment:
  SOURCE_DATE_EPOCH  time of the file, in seconds [default: the last commit's]
TEXT
}

# Lists the crates for a target in a file.
list() {
  local target=$1 file=$2 name=sbom-$$
  cargo cyclonedx --quiet --format json --spec-version 1.5 --no-build-deps --target "$target" \
    --override-filename "$name" >&2
  # Identifiers and properties name this folder and the target.
  sed "s|file://$PWD|file:///src|g; s|$target|linux-musl|g" "$name.json" >"$file"
  # It writes one for each member of the workspace.
  rm -f {.,bench,tests/model,tests/simulation}/"$name.json"
}

main() {
  case ${1:-} in
    '') ;;
    --help | -h)
      usage
      exit
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  local version target
  version=$(sed -n '/^version = /{s/^version = "\(.*\)"$/\1/p;q;}' Cargo.toml)
  SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
  export SOURCE_DATE_EPOCH
  if ! cargo cyclonedx --version >/dev/null 2>&1; then
    echo "cargo-cyclonedx is missing: building version $VERSION" >&2
    cargo install cargo-cyclonedx --version "$VERSION" --locked >&2
  fi
  local work result=target/dist/elector-$version.cdx.json
  work=$(mktemp -d)
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf '$work'" EXIT
  for target in "${TARGETS[@]}"; do list "$target" "$work/$target"; done
  cmp "$work/${TARGETS[0]}" "$work/${TARGETS[1]}" >&2 || {
    echo 'sbom: the targets have different crates; change this script to write one file for each' >&2
    exit 1
  }
  mkdir -p target/dist
  mv "$work/${TARGETS[0]}" "$result"
  echo "$result"
}

main "$@"
