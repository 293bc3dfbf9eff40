#!/usr/bin/env bash
#
# Prints the image's size, start-up time and memory. See --help.

set -o errexit -o nounset -o pipefail

usage() {
  cat <<'TEXT'
Usage: hack/image-report.sh

Prints the size of the image IMAGE, the start-up time of its elector, and the resident memory of the electors
of an election: a leader, a candidate, and a leader with a program and its guard.

Needs a Docker engine on this machine. Removes what it created.

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

# Starts elector $1 on the gist $2; the other arguments are its command.
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
    ((SECONDS < end)) || fail "$name did not print within $PATIENCE s: $said"
    sleep 0.1
  done
}

# Prints the time from the start of the program to its first line, in ms: the minimum of several, because
# everything above it is other work of this machine. Without a container, because the engine knows the start
# of one only roughly.
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

# memory CONTAINER NAME...: prints the resident and the private memory of its processes, oldest first, in kB.
memory() {
  local name=$1 pid
  shift
  for pid in $(docker top "$RUN-$name" -eo pid | tail -n +2 | sort -n); do
    [[ -r /proc/$pid/smaps_rollup ]] || fail "cannot read the memory of process $pid; run this as root, beside the engine"
    awk -v what="$1" '/^Rss:/ { rss = $2 } /^Private_(Clean|Dirty):/ { own += $2 }
      END { printf "  %-28s %5d kB resident, %4d kB of them private\n", what, rss, own }' "/proc/$pid/smaps_rollup"
    shift
  done
  (($# == 0)) || fail "$name has no such process: $*"
}

main() {
  case ${1:-} in
    '') ;;
    --help | -h)
      usage
      exit
      ;;
    *)
      say "image-report: unknown argument \`$1\`"
      usage >&2
      exit 2
      ;;
  esac
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  IMAGE=${IMAGE:-$(bash -c 'source hack/lib.sh && default_image')}
  docker info >/dev/null || fail 'no Docker engine answers'
  docker image inspect "$IMAGE" >/dev/null 2>&1 || fail "there is no image $IMAGE; run make image"

  work=$(mktemp -d)
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  docker network create "$RUN" >/dev/null
  run --name "$RUN-gist" "$IMAGE" gist-server --listen :4041 --gist dd01 --gist dd02 --quiet
  await gist 'listening on'

  echo "$IMAGE"
  echo "  size      $(docker image inspect --format '{{.Size}}' "$IMAGE") bytes"
  echo "  start-up  $(start_up_time) ms from the start of the program to its first line, the minimum of $STARTS"
  start_elector leader dd01
  await leader '"event":"started_leading"'
  start_elector candidate dd01
  await candidate '"event":"new_leader"'
  start_elector wrapped dd02 run -- /elector gist-server --listen 127.0.0.1:0 --quiet
  await wrapped 'listening on'
  # After some renewals and reads.
  sleep 20
  memory leader 'a leader'
  memory candidate 'a candidate'
  # The program is an arbitrary one and does not count.
  memory wrapped 'a leader with a program' 'its guard' '(the program)'
}

main "$@"
