#!/usr/bin/env bash
#
# Packs a built program as a release archive. See --help.

set -o errexit -o nounset -o pipefail

usage() {
  cat <<'TEXT'
Usage: hack/package.sh [PROGRAM]

Packs PROGRAM [default: target/static/elector] as target/dist/elector-VERSION-TARGET.tar.gz, with its licence,
the notices of the crates in it, README.md, manual pages and completions (make man). The last line on standard
output is the path. TARGET is the program's own, which need not be this machine's.

Equal input makes equal archives: names are sorted, and every file has the same owner and time.

Environment:
  BUILD              folder with man, completions and dist [default: target]
  SOURCE_DATE_EPOCH  time of the files, in seconds [default: the last commit's]
TEXT
}

die() {
  printf 'package: %s\n' "$*" >&2
  exit 1
}

# Prints the target that a program was built for.
target_of() {
  local header machine=unknown
  header=$(LC_ALL=C readelf --file-header --program-headers "$1" 2>/dev/null) || die "$1 is not a program"
  case $header in
    *Machine:*X86-64*) machine=x86_64 ;;
    *Machine:*AArch64*) machine=aarch64 ;;
    *) die "$1 is for another machine than x86_64 and aarch64" ;;
  esac
  if [[ $header == *INTERP* ]]; then echo "$machine-unknown-linux-gnu"; else echo "$machine-unknown-linux-musl"; fi
}

main() {
  local program=${1:-target/static/elector} build=${BUILD:-target}
  case $#:$program in
    1:--help | 1:-h)
      usage
      exit
      ;;
    [01]:[!-]*) ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  local version target name time work
  version=$(sed -n '/^version = /{s/^version = "\(.*\)"$/\1/p;q;}' Cargo.toml)
  [[ -f $program ]] || die "$program does not exist; run make static"
  target=$(target_of "$program")
  name=elector-$version-$target
  time=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
  compgen -G "$build/man/*.1" >/dev/null || die "$build/man has no manual pages; run make man"
  [[ -d $build/completions ]] || die "$build/completions does not exist; run make man"

  work=$(mktemp -d)
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf '$work'" EXIT
  mkdir -p "$work/$name" "$build/dist"
  cp "$program" "$work/$name/elector"
  cp LICENSE THIRD-PARTY-NOTICES README.md "$work/$name/"
  cp -R "$build/man" "$build/completions" "$work/$name/"
  chmod -R u=rwX,go=rX "$work/$name"
  find "$work/$name" -type f ! -path "$work/$name/elector" -exec chmod a-x {} +
  chmod 755 "$work/$name/elector"
  tar --create --directory "$work" --format=ustar --sort=name --owner=0 --group=0 --numeric-owner \
    --mtime="@$time" "$name" | gzip --no-name -9 >"$work/archive"
  # Atomically, so that no reader finds half of it.
  mv "$work/archive" "$build/dist/$name.tar.gz"
  echo "$build/dist/$name.tar.gz"
}

main "$@"
