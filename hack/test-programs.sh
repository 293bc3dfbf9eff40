#!/usr/bin/env bash
#
# Runs the tests of the library and the programs, as `cargo test` does, but two files of tests at a
# time: most of them wait more than they compute. What each says is shown when it has ended, and all
# of them run whatever fails.
#
# usage: hack/test-programs.sh [JOBS]

set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
jobs=${1:-2}

export CARGO=${CARGO:-cargo}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$CARGO" test --locked --no-run 2>&1 | tee "$folder/built" >&2

# The lines are `Executable tests/cli.rs (target/debug/deps/cli-0123456789abcdef)`.
sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$folder/built" >"$folder/tests"
if ! [[ -s $folder/tests ]]; then
  echo 'test-programs: cargo names no tests: the search for them is broken' >&2
  exit 1
fi

# Called for each of them by xargs; what the shell has of `exit` and traps stays its own.
run() {
  local name=${1##*/} code=0
  "$1" >"$FOLDER/$name" 2>&1 || code=$?
  exec 9>"$FOLDER/lock"
  flock 9
  printf '\n     Ran %s\n' "$1"
  cat "$FOLDER/$name"
  ((code == 0)) || printf '%s\n' "$1" >>"$FOLDER/failed"
}
export -f run
export FOLDER=$folder

# The last names are those of the longest: they begin.
# shellcheck disable=SC2016
tac "$folder/tests" | xargs -P "$jobs" -I '{}' bash -c 'run "$1"' _ '{}'

"$CARGO" test --locked --doc || echo 'the examples in the documentation' >>"$folder/failed"

if [[ -s $folder/failed ]]; then
  echo >&2
  sed 's/^/test-programs: failed: /' "$folder/failed" >&2
  exit 1
fi
