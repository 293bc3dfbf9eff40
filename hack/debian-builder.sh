#!/usr/bin/env bash
#
# Builds a builder image for Dockerfile, where no image registry can be reached. See --help.

set -o errexit -o nounset -o pipefail

readonly SUITE=bookworm
readonly DEFAULT_TAG=elector-builder:$SUITE

usage() {
  cat <<TEXT
Usage: hack/debian-builder.sh [TAG]

Builds a Docker image TAG [default: $DEFAULT_TAG] of Debian $SUITE with the tools that
hack/build-static.sh needs, from Debian's packages alone. Then run:

  docker build --build-arg BUILDER=$DEFAULT_TAG .

Needs root and debootstrap (apt-get install debootstrap). Does nothing if the image exists.

Environment:
  DEBIAN_MIRROR           [default: http://deb.debian.org/debian]
  DEBIAN_SECURITY_MIRROR  source of Debian's current Rust
                          [default: http://deb.debian.org/debian-security]
TEXT
}

say() { printf 'debian-builder: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

# Removes the half-built file system, however this ends.
clean_up() {
  [[ -z ${root:-} ]] || rm -rf --one-file-system "$root"
}

main() {
  case ${1:-} in
    --help | -h)
      usage
      exit
      ;;
    -*)
      say "unknown option \`$1\`"
      usage >&2
      exit 2
      ;;
  esac
  local tag=${1:-$DEFAULT_TAG}
  local mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
  local security=${DEBIAN_SECURITY_MIRROR:-http://deb.debian.org/debian-security}
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  docker info >/dev/null || die 'no Docker engine answers; start one'
  if docker image inspect "$tag" >/dev/null 2>&1; then
    say "$tag exists; to build it again, run docker rmi $tag first"
    return
  fi
  [[ $(id -u) == 0 ]] || die 'debootstrap needs root; run this as root'
  command -v debootstrap >/dev/null ||
    die 'debootstrap is missing; it creates the file system of the image; apt-get install debootstrap'

  root=$(mktemp -d)
  trap clean_up EXIT
  say "debootstrap of $SUITE"
  debootstrap --variant=minbase --include=ca-certificates "$SUITE" "$root" "$mirror" >&2
  echo "deb $security $SUITE-security main" >"$root/etc/apt/sources.list.d/security.list"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  say 'importing it'
  tar -C "$root" -c . |
    docker import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
      - "$tag-base" >/dev/null
  say 'installing the tools of the build'
  cp hack/build-static.sh "$root/"
  printf 'FROM %s-base\nCOPY build-static.sh /\nRUN /build-static.sh --prepare && rm -rf /var/lib/apt/lists/*\n' \
    "$tag" >"$root/Dockerfile"
  printf '*\n!build-static.sh\n' >"$root/.dockerignore"
  docker build --tag "$tag" "$root" >&2
  say "built $tag"
}

main "$@"
