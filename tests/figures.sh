#!/usr/bin/env bash
## usage: tests/figures.sh [SEEDS [small|all]]
##
## Runs SEEDS drawn simulations (default 20,000) and a quarter as many racing ones, explores the small or
## all models, and counts mutants, fuzz inputs and tests. Writes what was printed to tests/figures.txt, and
## the table into docs/testing.md. Fails without changing either if a run fails.

set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1-} == --help || ${1-} == -h ]]; then
  sed -n 's/^## \{0,1\}//p' "${BASH_SOURCE[0]}"
  exit 0
fi

SEEDS=${1:-20000}
MODELS=${2:-all}
PAGE=docs/testing.md
RESULTS=tests/figures.txt
WORK=target/figures
mkdir -p "$WORK"

# run PACKAGE BINARY [ARGUMENT...]
run() {
  cargo run --locked --quiet --package "$1" --profile simulation --bin "$2" -- "${@:3}"
}

# number TEXT: with thousands separators.
number() { sed -E ':a; s/^([0-9]+)([0-9]{3})/\1,\2/; ta' <<<"$1"; }

# value KIND LABEL: the number in front of a label in a soak's summary.
value() {
  local value
  value=$(sed -n "s/^ *\([0-9.]*\)s\{0,1\}  $2.*/\1/p" "$WORK/$1" | head -1)
  [[ -n $value ]] || { echo "figures: $WORK/$1 has no line with $2" >&2; return 1; }
  echo "$value"
}

# soak_row KIND SEEDS
soak_row() {
  local label cell cells=''
  for label in candidate-hours 'terms of leadership' 'takeovers of an expired lease' 'writes lost' \
    'edits by operators'; do
    cell=$(value "$1" "$label")
    cells+=" | $(number "$cell")"
  done
  cell=$(value "$1" 'from the end of the faults')
  echo "| $1 | $(number "$2")$cells | $cell s | 0 |"
}

# tests: test functions of the whole workspace.
tests() { git grep -hE '^ *#\[test\]' -- '*.rs' | wc -l; }

table() {
  local scenarios states mutants inputs
  scenarios=$(grep -c ' states, ' "$WORK/models")
  states=$(($(sed -n 's/.*: \([0-9]*\) states, .*/\1/p' "$WORK/models" | paste -sd+)))
  mutants=$(git ls-files 'tests/mutants/*.patch' | wc -l)
  inputs=$(git ls-files 'fuzz/corpus/*' | wc -l)
  echo
  echo "| simulation | runs | candidate-hours | terms | takeovers | lost writes | operator edits | longest recovery | violations |"
  echo '|---|---:|---:|---:|---:|---:|---:|---:|---:|'
  soak_row drawn "$SEEDS"
  soak_row racing $((SEEDS / 4))
  echo
  echo '| models | states | mutants | fuzz corpus | test functions |'
  echo '|---:|---:|---:|---:|---:|'
  echo "| $scenarios | $(number "$states") | $mutants | $inputs inputs | $(number "$(tests)") |"
  echo
  echo "Measured at $REVISION on $DATE."
  echo
}

REVISION=$(git describe --always --dirty --exclude='*')
DATE=$(date --utc +%F)

run simulation soak 0 "$SEEDS" drawn >"$WORK/drawn"
run simulation soak 0 $((SEEDS / 4)) racing >"$WORK/racing"
run model explore "$MODELS" >"$WORK/models"
table >"$WORK/table"

{
  echo "Printed by tests/figures.sh $SEEDS $MODELS at $REVISION on $DATE."
  for part in drawn racing models; do
    printf '\n== %s\n\n' "$part"
    cat "$WORK/$part"
  done
} >"$WORK/results"

sed -e "/<!-- figures:begin -->/r $WORK/table" \
  -e '/<!-- figures:begin -->/,/<!-- figures:end -->/{/<!-- figures:/!d}' "$PAGE" >"$WORK/page"
mv "$WORK/page" "$PAGE"
mv "$WORK/results" "$RESULTS"
cat "$WORK/table"
