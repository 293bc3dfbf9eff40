#!/usr/bin/env bash
#
# Answers what the release workflow asks: versions, tags and notes. See --help.

set -o errexit -o nounset -o pipefail

usage() {
  cat <<'TEXT'
Usage: hack/release.sh check TAG
       git tag --list 'v*' | hack/release.sh tags VERSION
       hack/release.sh notes VERSION
       hack/release.sh push-chart FILE oci://REGISTRY/FOLDER

check  Prints the version of the git tag TAG. Fails if Cargo.toml has another version, or if CHANGELOG.md
       has no section of it.
tags   Prints the tags of the image for VERSION, one per line. Standard input holds the git tags of all
       releases. The tags X.Y, X (from 1 on) and latest move only forward, and never to a pre-release.
notes  Prints the section of CHANGELOG.md.
push-chart
       Pushes a packed chart with helm, and prints its digest.
TEXT
}

die() {
  printf 'release: %s\n' "$*" >&2
  exit 1
}

# Prints the section of a version in the change log, without its heading.
notes() {
  awk -v heading="## $1" '/^## / { inside = $0 == heading; next } inside' CHANGELOG.md
}

check() {
  local tag=$1 version
  version=$(sed -n '/^version = /{s/^version = "\(.*\)"$/\1/p;q;}' Cargo.toml)
  [[ $tag == "v$version" ]] || die "the tag is $tag, but Cargo.toml says $version; change one of them"
  grep -qxF "## $version" CHANGELOG.md ||
    die "CHANGELOG.md has no heading \`## $version\`; write one, without \"not released yet\""
  [[ -n $(notes "$version" | tr -d '[:space:]') ]] || die "CHANGELOG.md says nothing on $version"
  printf '%s\n' "$version"
}

# newest LINE: succeeds if no release of this line of versions, such as `1.2.`, is newer than this one.
newest() {
  [[ $({
    grep -E "^v${1//./[.]}[0-9.]+\$" <<<"$released" || true
    printf 'v%s\n' "$version"
  } | sort --version-sort | tail -n 1) == "v$version" ]]
}

tags() {
  local version=$1 released major minor
  released=$(cat)
  [[ $version =~ ^([0-9]+)\.([0-9]+)\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || die "$version is not a version such as 1.2.3"
  major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]}
  printf '%s\n' "$version"
  [[ $version != *-* ]] || return 0
  if newest "$major.$minor."; then printf '%s\n' "$major.$minor"; fi
  # Until 1.0 a minor version may require changes.
  if ((major > 0)) && newest "$major."; then printf '%s\n' "$major"; fi
  if newest ''; then echo latest; fi
}

push-chart() {
  local said
  said=$("$(hack/helm.sh)" push "$1" "$2" 2>&1) || die "helm push: $said"
  printf '%s\n' "$said" >&2
  sed -n 's/^Digest: \(sha256:[0-9a-f]*\)$/\1/p' <<<"$said" | grep .
}

main() {
  case $#:${1:-} in
    1:--help | 1:-h)
      usage
      exit
      ;;
    2:check | 2:tags | 2:notes | 3:push-chart) ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  "$@"
}

main "$@"
