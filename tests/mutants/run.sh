#!/usr/bin/env bash
## usage: tests/mutants/run.sh [NAME...]
##
## Applies each mutant, tests/mutants/NAME.patch, to a copy of the tracked files. The mutated code must
## build, and the patch's command must fail on it. The same command must succeed on the unchanged code.

set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
WORK=$PWD/target/mutants
TREE=$WORK/tree
# Time for one command without its build, in seconds.
LIMIT=300

export CARGO_TARGET_DIR=$WORK/target CARGO_INCREMENTAL=1
# `git apply` must not take the copy for a part of this repository.
export GIT_CEILING_DIRECTORIES=$WORK

# command_of PATCH: prints the command that must fail.
command_of() { sed -n 's/^Command: //p' "$1"; }

# The code of each mutant is not optimized, because it is built far longer than it runs.
# cargo_for COMMAND: sets CARGO to the arguments that run it, and BUILD to those that only build it.
cargo_for() {
  local words
  read -ra words <<<"$1"
  case ${words[0]-} in
    soak)
      local simulation=(--locked --quiet --package simulation --profile simulation --bin soak)
      simulation+=(--config profile.simulation.package.elector.opt-level=0)
      BUILD=(build "${simulation[@]}")
      CARGO=(run "${simulation[@]}" -- "${words[@]:1}")
      ;;
    test)
      local test=(test --locked --quiet --config profile.dev.package.elector.opt-level=0)
      BUILD=("${test[@]}" --no-run "${words[@]:1}")
      CARGO=("${test[@]}" "${words[@]:1}")
      ;;
    *) return 1 ;;
  esac
}

# result COMMAND LOG: builds and runs a command in the copy. Prints its result.
result() {
  local code=0
  cargo_for "$1" || { echo 'no command'; return; }
  (cd "$TREE" && cargo "${BUILD[@]}") >"$2" 2>&1 || { echo 'does not build'; return; }
  (cd "$TREE" && timeout "$LIMIT" cargo "${CARGO[@]}") >>"$2" 2>&1 </dev/null || code=$?
  case $code in
    0) echo succeeds ;;
    124) echo 'timed out' ;;
    *) echo fails ;;
  esac
}

patches=()
for name in "$@"; do patches+=("tests/mutants/$name.patch"); done
(($#)) || patches=(tests/mutants/*.patch)

rm -rf "$TREE"
mkdir -p "$TREE"
# With new modification times, because a build of a mutant may be newer than the original file.
git ls-files -z | tar --create --null --files-from=- | tar --extract --touch --directory="$TREE"

commands=$(for patch in "${patches[@]}"; do command_of "$patch"; done | sort -u)
while IFS= read -r command; do
  result=$(result "$command" "$WORK/unchanged.log")
  if [[ $result != succeeds ]]; then
    echo "mutants: without a mutant, \`$command\` $result: see $WORK/unchanged.log" >&2
    exit 1
  fi
done <<<"$commands"

missed=0
for patch in "${patches[@]}"; do
  name=$(basename "$patch" .patch)
  command=$(command_of "$patch")
  log=$WORK/$name.log
  if git -C "$TREE" apply "$PWD/$patch" 2>"$log"; then
    result=$(result "$command" "$log")
    git -C "$TREE" apply --reverse "$PWD/$patch"
  else
    result='does not apply'
  fi
  case $result in
    fails) verdict=found ;;
    succeeds) verdict=SURVIVES ;;
    *) verdict="NOT TESTED, $result" ;;
  esac
  [[ $verdict == found ]] || missed=$((missed + 1))
  printf '%-40s %s: %s\n' "$name" "$verdict" "$command"
done
echo "${#patches[@]} mutants, $missed not found"
((missed == 0))
