#!/usr/bin/env bash
#
# The one recipe for the static program that the image holds. See --help.
#
# Two toolchains can make it:
# - one that has the standard library for musl: rustup with that target, or the official `rust:` images;
# - one that has the sources of the standard library, and builds it along: Debian's. Cargo calls that
#   unstable, and so does it only with RUSTC_BOOTSTRAP.
# Both link with the C library musl, and no program that they make asks for a loader or a shared library.

set -o errexit -o nounset -o pipefail

usage() {
  cat <<'TEXT'
Usage: hack/build-static.sh [--install | --prepare]

Builds elector as a static program for this machine's architecture (x86_64 or aarch64), with musl,
and puts it at target/static/elector. Its path is the last line on standard output.

It takes rustup's target ARCH-unknown-linux-musl if that is there (in the official `rust:` images for
Alpine it is, in those for Debian rustup adds it), else a toolchain that comes with the sources of the
standard library (Debian's packages rustc-web, cargo-web and rust-web-src). What is missing is named
with where to get it.

Options:
  --install  get what is missing first: with rustup, and as root with apt-get or apk
  --prepare  get what is missing, and build nothing
  --help     this text

Environment: CARGO_BUILD_JOBS, CARGO_HOME and the like as cargo takes them.
TEXT
}

# Debian's packages for the second way, and what the first way needs beside rustup.
readonly DEBIAN_TOOLCHAIN=(rustc-web cargo-web rust-web-src)
readonly DEBIAN_MUSL=(musl-tools gcc libc6-dev)
readonly ALPINE_C=(gcc musl-dev)

say() { printf 'build-static: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# A C compiler that builds for musl: TLS is partly written in C.
musl_cc() {
  local cc
  for cc in musl-gcc cc gcc; do
    has "$cc" || continue
    [[ $cc == musl-gcc || $("$cc" -dumpmachine) == *-musl* ]] || continue
    # Some systems package the headers apart.
    if "$cc" -fsyntax-only -include string.h -x c /dev/null 2>/dev/null; then
      echo "$cc"
      return
    fi
  done
  return 1
}

# Whether this rustc has the standard library for musl. Alpine's own package calls its target otherwise.
has_target() {
  local folder
  has "$1" || return 1
  folder=$("$1" --print target-libdir --target "$TARGET" 2>/dev/null) || return 1
  compgen -G "$folder/libstd-*.rlib" >/dev/null
}

# Whether this rustc comes with the sources of the standard library.
has_sources() {
  local sysroot
  has "$1" || return 1
  sysroot=$("$1" --print sysroot 2>/dev/null) || return 1
  [[ -f $sysroot/lib/rustlib/src/rust/library/std/Cargo.toml ]]
}

# The directory of the toolchain to use, and how: "target" or "sources".
find_toolchain() {
  local way folder
  for way in target sources; do
    # Debian's stands behind rustup's in most people's PATH.
    for folder in "$(dirname "$(command -v rustc || echo /usr/bin/rustc)")" /usr/bin; do
      if [[ -x $folder/cargo ]] && "has_$way" "$folder/rustc"; then
        echo "$way $folder"
        return
      fi
    done
  done
  return 1
}

# Whether all is there. Says nothing.
is_ready() {
  musl_cc >/dev/null && find_toolchain >/dev/null
}

# Names what is missing, with where to get it.
explain() {
  find_toolchain >/dev/null || {
    say "a Rust toolchain for $TARGET is missing: it compiles the program."
    say "  with rustup:  rustup target add $TARGET"
    say "  with Debian:  apt-get install ${DEBIAN_TOOLCHAIN[*]}"
  }
  musl_cc >/dev/null || {
    say 'a C compiler for musl is missing: the TLS library (ring) is partly written in C.'
    say "  with Debian:  apt-get install ${DEBIAN_MUSL[*]}"
    say "  with Alpine:  apk add ${ALPINE_C[*]}"
  }
  say 'or have it all installed by: hack/build-static.sh --install'
}

as_root() {
  [[ $(id -u) == 0 ]] || die "to install $* one has to be root: run this as root, or install them yourself"
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

# What is missing, from rustup where there is one, and else from the system's packages.
install() {
  has apk || has apt-get || die 'neither apk nor apt-get is here: install what is missing yourself (--help)'
  if ! musl_cc >/dev/null; then
    if has apk; then install_packages "${ALPINE_C[@]}"; else install_packages "${DEBIAN_MUSL[@]}"; fi
  fi
  find_toolchain >/dev/null && return
  if has rustup; then
    say "adding $TARGET with rustup"
    rustup target add "$TARGET" >&2 && return
    say 'rustup cannot add it'
  fi
  has apt-get || die "there is no toolchain for $TARGET: install rustup, https://rustup.rs"
  install_packages "${DEBIAN_TOOLCHAIN[@]}"
}

# What std asks for as libunwind, of which Debian has none for musl: gcc's unwinder. That asks glibc for
# _dl_find_object, where glibc is what it was built with; -1 says that nothing was found. A panic then
# tells where it happened but not by whom it was called, and ends the program as ever.
make_unwinder() {
  local folder=$1 cc=$2
  mkdir -p "$folder"
  printf 'int _dl_find_object(void *address, void *found);\n%s\n' \
    'int _dl_find_object(void *address, void *found) { (void)address; (void)found; return -1; }' \
    >"$folder/find_object.c"
  "$cc" -Os -c -o "$folder/find_object.o" "$folder/find_object.c"
  rm -f "$folder/libelector_find_object.a"
  ar rcs "$folder/libelector_find_object.a" "$folder/find_object.o"
  # To the linker, text is a script.
  echo 'INPUT(-lgcc_eh -lelector_find_object)' >"$folder/libunwind.a"
}

build() {
  local way=$1 toolchain=$2 cc=$3
  local name=${TARGET//-/_}
  local options=(--locked --release --target "$TARGET" --target-dir "$BUILD" --bin elector)
  # Static in every part, and at a fixed address: relocations would be a tenth of the program.
  local flags=(-C target-feature=+crt-static -C relocation-model=static)
  # Messages name source files; where those lay on this machine is nobody's business, and the same
  # sources make the same program anywhere.
  flags+=(--remap-path-prefix "${CARGO_HOME:-$HOME/.cargo}=/cargo" --remap-path-prefix "$PWD=/src")
  if [[ $way == sources ]]; then
    make_unwinder "$BUILD/link" "$cc"
    flags+=(-C link-self-contained=no -C "linker=$cc" -L "native=$PWD/$BUILD/link")
    options+=(-Z 'build-std=std,panic_abort')
    export RUSTC_BOOTSTRAP=1
  fi
  local separated
  separated=$(printf '%s\x1f' "${flags[@]}")
  # For the program alone: what runs during the build is built for this machine's own C library.
  export "CC_$name=$cc" RUSTC="$toolchain/rustc" CARGO_ENCODED_RUSTFLAGS="${separated%$'\x1f'}"
  say "building for $TARGET with $("$RUSTC" --version), the standard library from its $way, and $cc"
  "$toolchain/cargo" build "${options[@]}" >&2
  # In one step, so that nobody finds half of it.
  cp "$BUILD/$TARGET/release/elector" "$OUT/.elector.new"
  chmod 755 "$OUT/.elector.new"
  mv "$OUT/.elector.new" "$OUT/elector"
}

# Neither a loader nor a shared library is asked for, and it runs.
verify() {
  local program=$1
  if LC_ALL=C readelf --program-headers "$program" | grep -q INTERP; then
    die "$program is not static: it asks for a loader"
  fi
  if LC_ALL=C readelf --dynamic "$program" | grep NEEDED >&2; then
    die "$program is not static: it asks for the libraries above"
  fi
  "$program" --version >&2 || die "$program does not run here"
}

main() {
  local mode=${1:-} toolchain way cc
  case $#:$mode in
    0: | 1:--install | 1:--prepare) ;;
    1:--help | 1:-h)
      usage
      exit
      ;;
    *)
      say "this cannot be understood: $*"
      usage >&2
      exit 2
      ;;
  esac
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  local machine
  machine=$(uname -sm)
  case $machine in
    'Linux x86_64' | 'Linux aarch64') ;;
    *) die "this is for Linux on x86_64 or aarch64, and here is $machine" ;;
  esac
  readonly TARGET=${machine#Linux }-unknown-linux-musl
  readonly OUT=target/static BUILD=target/static-build

  if ! is_ready && [[ -n $mode ]]; then
    install
  fi
  is_ready || {
    explain
    exit 1
  }
  [[ $mode != --prepare ]] || exit 0
  read -r way toolchain < <(find_toolchain)
  cc=$(musl_cc)
  mkdir -p "$OUT"
  build "$way" "$toolchain" "$cc"
  verify "$OUT/elector"
  say "$(wc -c <"$OUT/elector") bytes, static"
  echo "$PWD/$OUT/elector"
}

main "$@"
