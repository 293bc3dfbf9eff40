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

Writes target/dist/elector-VERSION-TARGET.cdx.json for each released target: the crates that are linked into
the program, in the format CycloneDX 1.5. The standard library and musl are missing. Uses jq, and the installed
cargo-cyclonedx, or lets cargo build the version named in this script.

Environment:
  SOURCE_DATE_EPOCH  time of the files, in seconds [default: the last commit's]
TEXT
}

# Copies the package into a folder, without the workspace: cargo-cyclonedx writes beside every Cargo.toml.
copy_package() {
  mkdir "$1/src"
  cp Cargo.lock "$1/"
  touch "$1/src/lib.rs" "$1/src/main.rs"
  awk '/^\[/ { kept = !/^\[(dev-dependencies|\[test|workspace|lints)/ } kept' Cargo.toml >"$1/Cargo.toml"
}

# Prints the crates that are linked into the program for a target, as lines NAME@VERSION.
linked() {
  cargo tree --locked --edges normal,no-proc-macro --no-dedupe --prefix none --format '{p}' --target "$1" |
    tail -n +2 | sort -u | sed 's/ v/@/'
}

# Removes all crates but these from a list. cargo-cyclonedx lists all that Cargo.lock names for a target, also
# those behind features that are off.
# shellcheck disable=SC2016 # jq's variables
readonly ONLY_LINKED='($linked | split("\n")) as $linked
  | .components |= map(select("\(.name)@\(.version)" as $crate | $linked | index($crate)))
  | [.metadata.component["bom-ref"], .components[]["bom-ref"]] as $refs
  | .dependencies |= map(select(.ref as $ref | $refs | index($ref))
    | if .dependsOn then .dependsOn -= (.dependsOn - $refs) else . end)
  | if (.components | length) == ($linked | length) then . else error("crates are missing") end'

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
  local version target work
  version=$(sed -n '/^version = /{s/^version = "\(.*\)"$/\1/p;q;}' Cargo.toml)
  SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
  export SOURCE_DATE_EPOCH
  command -v jq >/dev/null || {
    echo 'sbom: jq is missing: it filters the list; apt-get install jq' >&2
    exit 1
  }
  if ! cargo cyclonedx --version >/dev/null 2>&1; then
    echo "cargo-cyclonedx is missing: building version $VERSION" >&2
    cargo install cargo-cyclonedx --version "$VERSION" --locked >&2
  fi
  work=$(mktemp -d)
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf '$work'" EXIT
  copy_package "$work"
  mkdir -p target/dist
  for target in "${TARGETS[@]}"; do
    cargo cyclonedx --quiet --manifest-path "$work/Cargo.toml" --format json --spec-version 1.5 --no-build-deps \
      --target "$target" --override-filename sbom >&2
    jq --arg linked "$(linked "$target")" "$ONLY_LINKED" "$work/sbom.json" >"$work/linked.json"
    # Identifiers name the folder.
    sed "s|file://$work|file:///src|g" "$work/linked.json" >"target/dist/elector-$version-$target.cdx.json"
    echo "target/dist/elector-$version-$target.cdx.json"
  done
}

main "$@"
