#!/usr/bin/env bash
#
# What the image costs: size, time to start, memory. See --help.

set -o errexit -o nounset -o pipefail

usage() {
  cat <<'TEXT'
Usage: hack/image-report.sh

Prints what the image IMAGE costs: its size, how long an elector in it takes to start, and the memory that
the electors of an election hold, a leader, a candidate, and a leader with a program and its guard.

Needs a Docker engine on this machine. It removes what it made.

Environment:
  IMAGE  [default: g1g1/multi-cluster-leader-election:<version>]
TEXT
}

readonly RUN=elector-report-$$
readonly PATIENCE=60
readonly STARTS=10

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "image-report: $*"
  exit 1
}

clean_up() {
  local code=$?
  trap - EXIT
  docker ps --all --quiet --filter "label=$RUN" | xargs -r docker rm --force >/dev/null 2>&1 || true
  docker network rm "$RUN" >/dev/null 2>&1 || true
  [[ -z ${work:-} ]] || rm -rf "$work"
  exit "$code"
}

run() { docker run --label "$RUN" --detach --network "$RUN" --read-only --cap-drop ALL "$@" >/dev/null; }

# An elector, for the gist $2; what follows is its command.
start_elector() {
  local name=$1 gist=$2
  shift 2
  run --name "$RUN-$name" --env LEADER_NAME="$name" --env GIST_ID="$gist" --env GITHUB_API_TOKEN=none \
    --env LOG_FORMAT=json \
    --env "GITHUB_API_URL=http://$RUN-gist:4041" --env ALLOW_INSECURE_HTTP=true "$IMAGE" "$@"
}

await() {
  local name=$1 said=$2 end=$((SECONDS + PATIENCE))
  until docker logs "$RUN-$name" 2>&1 | grep -F -- "$said" >/dev/null; do
    ((SECONDS < end)) || fail "$name did not say within $PATIENCE s: $said"
    sleep 0.1
  done
}

# From the start of the program to its first line, in ms: the least of several, as what comes on top is other
# things that this machine does. Without a container: when the engine started that, it knows only roughly.
start_up_time() {
  local i from elector line
  docker create --label "$RUN" --name "$RUN-program" "$IMAGE" >/dev/null
  docker cp "$RUN-program:/elector" "$work/elector" >/dev/null
  for ((i = 0; i < STARTS; i++)); do
    from=${EPOCHREALTIME/[.,]/}
    exec {elector}< <(exec env -i LEADER_NAME=start GIST_ID=dd04 GITHUB_API_TOKEN=none ALLOW_INSECURE_HTTP=true \
      GITHUB_API_URL=http://127.0.0.1:9 HTTP_ADDR= LOG_FORMAT=json "$work/elector" run 2>&1)
    IFS= read -r line <&"$elector"
    echo $((${EPOCHREALTIME/[.,]/} - from))
    kill -KILL $!
    exec {elector}<&-
    [[ $line == *'"event":"running"'* ]] || fail "the program does not start: $line"
  done | sort -n | awk 'NR == 1 { printf "%.1f", $1 / 1000 }'
}

# memory CONTAINER WHAT...: what its processes hold, the oldest first: each with its resident memory, and what
# of that is its own, in kB.
memory() {
  local name=$1 pid
  shift
  for pid in $(docker top "$RUN-$name" -eo pid | tail -n +2 | sort -n); do
    [[ -r /proc/$pid/smaps_rollup ]] || fail "the memory of process $pid cannot be read: run this as root, beside the engine"
    awk -v what="$1" '/^Rss:/ { rss = $2 } /^Private_(Clean|Dirty):/ { own += $2 }
      END { printf "  %-28s %5d kB resident, %4d kB of them its own\n", what, rss, own }' "/proc/$pid/smaps_rollup"
    shift
  done
  (($# == 0)) || fail "$name has no such processes: $*"
}

main() {
  case ${1:-} in
    '') ;;
    --help | -h)
      usage
      exit
      ;;
    *)
      say "image-report: there is no option or argument \`$1\` here"
      usage >&2
      exit 2
      ;;
  esac
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  IMAGE=${IMAGE:-$(bash -c 'source hack/lib.sh && default_image')}
  docker info >/dev/null || fail 'no Docker engine answers'
  docker image inspect "$IMAGE" >/dev/null 2>&1 || fail "there is no image $IMAGE: make image"

  work=$(mktemp -d)
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  docker network create "$RUN" >/dev/null
  run --name "$RUN-gist" "$IMAGE" gist-server --listen :4041 --gist dd01 --gist dd02 --quiet
  await gist 'listening on'

  echo "$IMAGE"
  echo "  size      $(docker image inspect --format '{{.Size}}' "$IMAGE") bytes"
  echo "  start-up  $(start_up_time) ms from the start of the program to its first line, the least of $STARTS"
  start_elector leader dd01
  await leader 'I will lead'
  start_elector candidate dd01
  await candidate '"event":"new_leader"'
  start_elector wrapped dd02 run -- /elector gist-server --listen 127.0.0.1:0 --quiet
  await wrapped 'listening on'
  # After some renewals and looks.
  sleep 20
  memory leader 'a leader'
  memory candidate 'a candidate'
  # The program is only one that was at hand: it does not count.
  memory wrapped 'a leader with a program' 'its guard' '(the program)'
}

main "$@"
