#!/usr/bin/env bash
#
# The only recipe for the static program in the image. See --help.
#
# Two kinds of toolchains can build it:
# - One with the sources of the standard library builds that too, for size: Debian's, or rustup's with the
#   component rust-src. Cargo calls that unstable and needs RUSTC_BOOTSTRAP for it.
# - One with a standard library for musl that was built for speed: rustup with that target, or the official
#   `rust:` images. The program is a fifth larger then.
# Both link with the C library musl. The program needs no loader and no shared library.

set -o errexit -o nounset -o pipefail

usage() {
  cat <<'TEXT'
Usage: hack/build-static.sh [--install | --prepare | --check]

Builds elector as a static program for this machine's architecture (x86_64 or aarch64), with musl, at
target/static/elector. The last line on standard output is its path.

It uses a toolchain with the sources of the standard library (rustup's component rust-src, or Debian's
packages rustc-web, cargo-web and rust-web-src), else one with the target ARCH-unknown-linux-musl (rustup's,
or the official `rust:` images for Alpine), which makes the program a fifth larger. It names missing tools,
and where to get them.

Options:
  --install  install missing tools first: with rustup, and as root with apt-get or apk
  --prepare  install missing tools, and build nothing
  --check    name missing tools, and build nothing
  --help     print this text

Environment: CARGO_BUILD_JOBS, CARGO_HOME and other variables of cargo.
TEXT
}

# Packages of Debian and Alpine that the build needs.
readonly DEBIAN_TOOLCHAIN=(rustc-web cargo-web rust-web-src)
readonly DEBIAN_MUSL=(musl-tools gcc libc6-dev)
readonly ALPINE_C=(gcc musl-dev)

say() { printf 'build-static: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# Prints a C compiler that builds for musl: TLS is partly written in C.
musl_cc() {
  local cc
  for cc in musl-gcc cc gcc; do
    has "$cc" || continue
    [[ $cc == musl-gcc || $("$cc" -dumpmachine) == *-musl* ]] || continue
    # Some systems package the headers separately.
    if "$cc" -fsyntax-only -include string.h -x c /dev/null 2>/dev/null; then
      echo "$cc"
      return
    fi
  done
  return 1
}

# Returns whether this rustc has the standard library for musl. Alpine's package names its target differently.
has_target() {
  local folder
  has "$1" || return 1
  folder=$("$1" --print target-libdir --target "$TARGET" 2>/dev/null) || return 1
  compgen -G "$folder/libstd-*.rlib" >/dev/null
}

# Returns whether this rustc has the sources of the standard library.
has_sources() {
  local sysroot
  has "$1" || return 1
  sysroot=$("$1" --print sysroot 2>/dev/null) || return 1
  [[ -f $sysroot/lib/rustlib/src/rust/library/std/Cargo.toml ]]
}

# Prints how to build, "sources" or "target", and the directory of the toolchain.
find_toolchain() {
  local way folder
  for way in sources target; do
    # Debian's usually comes after rustup's in PATH.
    for folder in "$(dirname "$(command -v rustc || echo /usr/bin/rustc)")" /usr/bin; do
      if [[ -x $folder/cargo ]] && "has_$way" "$folder/rustc"; then
        echo "$way $folder"
        return
      fi
    done
  done
  return 1
}

# Returns whether all tools exist.
is_ready() {
  musl_cc >/dev/null && find_toolchain >/dev/null
}

# Names missing tools, and where to get them.
explain() {
  find_toolchain >/dev/null || {
    say "a Rust toolchain for $TARGET is missing: it compiles the program."
    say "  with rustup:  rustup component add rust-src"
    say "  with Debian:  apt-get install ${DEBIAN_TOOLCHAIN[*]}"
  }
  musl_cc >/dev/null || {
    say 'a C compiler for musl is missing: the TLS library (ring) is partly written in C.'
    say "  with Debian:  apt-get install ${DEBIAN_MUSL[*]}"
    say "  with Alpine:  apk add ${ALPINE_C[*]}"
  }
  say 'to install everything: hack/build-static.sh --install'
}

as_root() {
  [[ $(id -u) == 0 ]] || die "cannot install $* without root; run this as root, or install them yourself"
}

install_packages() {
  as_root "$@"
  say "installing $*"
  if has apk; then
    apk add --no-cache "$@" >&2
  else
    apt-get update -qq >&2 </dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >&2 </dev/null
  fi
}

# Installs missing tools, with rustup if there is one, else from the system's packages.
install() {
  local way=none
  if ! musl_cc >/dev/null; then
    has apk || has apt-get || die 'there is neither apk nor apt-get; install the missing tools yourself (--help)'
    if has apk; then install_packages "${ALPINE_C[@]}"; else install_packages "${DEBIAN_MUSL[@]}"; fi
  fi
  read -r way _ < <(find_toolchain) || true
  [[ $way != sources ]] || return 0
  if has rustup; then
    say 'adding the sources of the standard library with rustup'
    rustup component add rust-src >&2 && return
    say 'rustup cannot add them'
    [[ $way != target ]] || return 0
    say "adding $TARGET with rustup"
    rustup target add "$TARGET" >&2 && return
    say 'rustup cannot add it'
  fi
  [[ $way != target ]] || return 0
  has apt-get || die "there is no toolchain for $TARGET: install rustup, https://rustup.rs"
  install_packages "${DEBIAN_TOOLCHAIN[@]}"
}

# Builds a stub of libunwind, which std links with and Debian does not have for musl. std uses it for
# backtraces of panics. The program has no tables for them (see build), so the stub finds no frame. A panic
# still prints its message and location, and ends the program.
make_unwinder() {
  local folder=$1 cc=$2
  cat >"$folder/unwind.c" <<'C'
int _Unwind_Backtrace(void *step, void *argument) { (void)step; (void)argument; return 5; /* the end */ }
unsigned long _Unwind_GetIP(void *frame) { (void)frame; return 0; }
unsigned long _Unwind_GetCFA(void *frame) { (void)frame; return 0; }
void *_Unwind_FindEnclosingFunction(void *address) { (void)address; return 0; }
C
  "$cc" -Os -c -o "$folder/unwind.o" "$folder/unwind.c"
  rm -f "$folder/libunwind.a"
  ar rcs "$folder/libunwind.a" "$folder/unwind.o"
}

build() {
  local way=$1 toolchain=$2 cc=$3
  local name=${TARGET//-/_} cargo_home=${CARGO_HOME:-$HOME/.cargo} folder
  local options=(--locked --release --target "$TARGET" --target-dir "$BUILD" --bin elector)
  # Static, and at a fixed address, because relocations would be a tenth of the program.
  local flags=(-C target-feature=+crt-static -C relocation-model=static)
  # Messages name source files. Short names without this machine's paths keep the program small and the
  # same on every machine. The sources are fetched first, so that their paths are known.
  "$toolchain/cargo" fetch --locked --target "$TARGET" >&2
  flags+=(--remap-path-prefix "$cargo_home=/cargo" --remap-path-prefix "$PWD=/src")
  for folder in "$cargo_home"/registry/src/*/ "$("$toolchain/rustc" --print sysroot)/lib/rustlib/src/rust/library/"; do
    flags+=(--remap-path-prefix "${folder%/}=")
  done
  # A panic ends the program immediately, so it needs no tables for unwinding. The C library, TLS and a
  # prebuilt standard library contain some, which the linker discards.
  mkdir -p "$BUILD/link"
  cat >"$BUILD/link/no_tables.ld" <<'LD'
SECTIONS { /DISCARD/ : { *(EXCLUDE_FILE(*crtbegin*.o *crtend*.o) .eh_frame) } } INSERT AFTER .text;
LD
  flags+=(-C force-unwind-tables=no -C "link-arg=-Wl,-T,$PWD/$BUILD/link/no_tables.ld")
  if [[ $way == sources ]]; then
    make_unwinder "$BUILD/link" "$cc"
    flags+=(-C link-self-contained=no -C "linker=$cc" -L "native=$PWD/$BUILD/link")
    # Without std's default features, which read debugging information: there is none.
    options+=(-Z 'build-std=std,panic_abort' -Z build-std-features=optimize_for_size)
    export RUSTC_BOOTSTRAP=1
  fi
  local separated
  separated=$(printf '%s\x1f' "${flags[@]}")
  # For the program only: build scripts use this machine's C library.
  export "CC_$name=$cc" RUSTC="$toolchain/rustc" CARGO_ENCODED_RUSTFLAGS="${separated%$'\x1f'}"
  say "building for $TARGET with $("$RUSTC" --version), the standard library from its $way, and $cc"
  "$toolchain/cargo" build "${options[@]}" >&2
  # Atomically, so that no reader finds half of it.
  cp "$BUILD/$TARGET/release/elector" "$OUT/.elector.new"
  chmod 755 "$OUT/.elector.new"
  mv "$OUT/.elector.new" "$OUT/elector"
}

# Checks that the program needs neither a loader nor a shared library, and that it runs.
verify() {
  local program=$1
  if LC_ALL=C readelf --program-headers "$program" | grep -q INTERP; then
    die "$program is not static: it needs a loader"
  fi
  if LC_ALL=C readelf --dynamic "$program" | grep NEEDED >&2; then
    die "$program is not static: it needs the libraries above"
  fi
  "$program" --version >&2 || die "$program does not run"
}

main() {
  local mode=${1:-} toolchain way cc
  case $#:$mode in
    0: | 1:--install | 1:--prepare | 1:--check) ;;
    1:--help | 1:-h)
      usage
      exit
      ;;
    *)
      say "unknown arguments: $*"
      usage >&2
      exit 2
      ;;
  esac
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  local machine
  machine=$(uname -sm)
  case $machine in
    'Linux x86_64' | 'Linux aarch64') ;;
    *) die "unsupported machine $machine; use Linux on x86_64 or aarch64" ;;
  esac
  readonly TARGET=${machine#Linux }-unknown-linux-musl
  readonly OUT=target/static BUILD=target/static-build

  case $mode in --install | --prepare) install ;; esac
  is_ready || {
    explain
    exit 1
  }
  case $mode in --prepare | --check) exit 0 ;; esac
  read -r way toolchain < <(find_toolchain)
  cc=$(musl_cc)
  mkdir -p "$OUT"
  build "$way" "$toolchain" "$cc"
  verify "$OUT/elector"
  say "$(wc -c <"$OUT/elector") bytes, static"
  echo "$PWD/$OUT/elector"
}

main "$@"
