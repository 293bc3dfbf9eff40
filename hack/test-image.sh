#!/usr/bin/env bash
#
# Tests the image with a Docker engine. See --help.
#
#   network napoleon     network cleopatra     network hannibal     one for each cluster
#     elector napoleon     elector cleopatra     elector hannibal
#            └────────────────────┼──────────────────────┘
#                     gist.elector.test, in all three networks
#                       :4041  elector gist-server
#                       :4443  stunnel in front of it, with a certificate from this test's own CA
#
# The terms come from the electors' log. All of its times are by this machine's clock.

set -o errexit -o nounset -o pipefail

usage() {
  cat <<'TEXT'
Usage: hack/test-image.sh

Tests the image IMAGE: its content; that it needs no rights, no writable directory and no particular user;
and that three containers of it on three networks elect one leader, over TLS with a private CA and over plain
HTTP, while leaders are killed, paused, cut off and stopped.

Without a Docker engine it says so, and exits 0; with ELECTOR_TESTS_NEED_DOCKER=1 that is a failure.
Needs openssl and stunnel. Removes what it created.

Environment:
  IMAGE                      [default: g1g1/multi-cluster-leader-election:<version>]
  ELECTOR_TESTS_NEED_DOCKER  1: fail if no Docker engine answers
TEXT
}

readonly CLUSTERS=(napoleon cleopatra hannibal)
readonly RUN=elector-test-$$
readonly HOST=gist.elector.test
declare -rA GISTS=([tls]=aa01 [http]=aa02)
readonly TOKEN=ghp_TheTokenOfTheTestOfTheImage
# Largest size of the image, in bytes.
readonly MOST_BYTES=2650000
# Longest wait for any condition, in seconds. It allows for a busy machine.
readonly PATIENCE=90
# Short, but the lease tolerates a machine that stops for a second.
readonly TIMES=(LEASE_DURATION=8s RENEW_DEADLINE=4s RETRY_PERIOD=1s POLL_PERIOD=250ms CONFIRM_DELAY=200ms
  TERMINATION_GRACE=500ms STOP_TIMEOUT=5s)
# Any user, no rights, no writable directory, and little memory.
readonly CONFINED=(--read-only --cap-drop ALL --security-opt no-new-privileges --user 54321:54321
  --memory 16m --pids-limit 64)

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "test-image: FAILED: $*"
  exit 1
}

need() {
  command -v "$1" >/dev/null || fail "$1 is missing: $2; to get it: apt-get install $3"
}

# --- set-up and clean-up ---

clean_up() {
  local code=$?
  trap - EXIT
  if ((code != 0)); then
    local name
    for name in $(docker ps --all --filter "label=$RUN" --format '{{.Names}}'); do
      say "--- the last lines of $name"
      docker logs --tail 15 "$name" >&2 2>&1 || true
    done
  fi
  docker ps --all --quiet --filter "label=$RUN" | xargs -r docker rm --force --volumes >/dev/null 2>&1 || true
  docker network ls --quiet --filter "label=$RUN" | xargs -r docker network rm >/dev/null 2>&1 || true
  docker volume ls --quiet --filter "label=$RUN" | xargs -r docker volume rm >/dev/null 2>&1 || true
  docker rmi "$RUN-stunnel" >/dev/null 2>&1 || true
  [[ -z ${work:-} ]] || rm -rf "$work" "$state"
  exit "$code"
}

run() { docker run --label "$RUN" "$@"; }

# Runs a container of the image that is removed when it ends. The arguments end with its command.
once() { run --rm "${CONFINED[@]}" "$@"; }

make_networks() {
  local cluster random
  has_ipv6=true
  for cluster in "${CLUSTERS[@]}"; do
    random=$(printf '%04x' $((RANDOM * 2 + RANDOM % 2)))
    docker network create --label "$RUN" --ipv6 --subnet "fd00:e1ec:$random::/64" "$RUN-$cluster" \
      >/dev/null 2>&1 && continue
    has_ipv6=false
    docker network create --label "$RUN" "$RUN-$cluster" >/dev/null
  done
}

make_certificates() {
  local tls=$work/tls
  mkdir "$tls"
  cat >"$work/ca.cnf" <<'TEXT'
[req]
distinguished_name = name
x509_extensions = ca
prompt = no
[name]
CN = CA of a test
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[server]
basicConstraints = CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = DNS:gist.elector.test
TEXT
  {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
      -config "$work/ca.cnf" -keyout "$work/ca.key" -out "$tls/ca.pem"
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=gist \
      -keyout "$tls/server.key" -out "$work/server.csr"
    openssl x509 -req -in "$work/server.csr" -days 2 -CA "$tls/ca.pem" -CAkey "$work/ca.key" \
      -CAcreateserial -extfile "$work/ca.cnf" -extensions server -out "$tls/server.pem"
  } 2>"$work/openssl.log" || fail "cannot create certificates: $(cat "$work/openssl.log")"
  printf '%s' "$TOKEN" >"$tls/token"
  chmod -R a+rX "$work"
}

# Packs this machine's stunnel, its libraries, and the one that glibc loads for threads.
make_stunnel_image() {
  local program root=$work/stunnel file
  program=$(readlink -f "$(command -v stunnel4 || command -v stunnel)")
  {
    echo "$program"
    ldd "$program" | grep -o '/[^ ]*'
    find /lib /usr/lib /lib64 -name libgcc_s.so.1 2>/dev/null | head -1
  } | while read -r file; do
    mkdir -p "$root$(dirname "$file")"
    cp -L "$file" "$root$file"
  done
  tar -C "$root" -c . | docker import - "$RUN-stunnel" >/dev/null
  cat >"$work/tls/stunnel.conf" <<TEXT
foreground = yes
pid =
syslog = no
debug = notice
[gist]
accept = $([[ $has_ipv6 == true ]] && echo ::: || echo 0.0.0.0:)4443
connect = 127.0.0.1:4041
cert = /tls/server.pem
key = /tls/server.key
TEXT
  stunnel=$program
}

start_gist_service() {
  local cluster
  run --detach --name "$RUN-gist" --network "$RUN-napoleon" --network-alias "$HOST" "${CONFINED[@]}" \
    "$IMAGE" gist-server --listen :4041 --gist "${GISTS[tls]}" --gist "${GISTS[http]}" --gist aa03 --gist aa04 --token "$TOKEN" --quiet >/dev/null
  for cluster in cleopatra hannibal; do
    docker network connect --alias "$HOST" "$RUN-$cluster" "$RUN-gist"
  done
  run --detach --name "$RUN-tls" --network "container:$RUN-gist" --volume "$work/tls:/tls:ro" \
    --entrypoint "$stunnel" "$RUN-stunnel" /tls/stunnel.conf >/dev/null
  eventually 'stunnel is ready' says tls 'Configuration successful'
  eventually 'the gist service listens' says gist 'listening on'
}

# Prints the options of an elector's container, over TLS or plain HTTP, on this gist.
environment() {
  local scheme=$1 gist=$2 setting
  for setting in "${TIMES[@]}" "GIST_ID=$gist" GITHUB_API_TOKEN_FILE=/tls/token LOG_FORMAT=json; do
    printf -- '--env=%s\n' "$setting"
  done
  printf -- '--volume=%s\n' "$work/tls:/tls:ro"
  if [[ $scheme == tls ]]; then
    printf -- '--env=%s\n' "GITHUB_API_URL=https://$HOST:4443" SSL_CERT_FILE=/tls/ca.pem
  else
    printf -- '--env=%s\n' "GITHUB_API_URL=http://$HOST:4041" ALLOW_INSECURE_HTTP=true
  fi
}

# --- waiting ---

# eventually WHAT COMMAND...: waits until the command succeeds.
eventually() {
  local what=$1 end=$((SECONDS + PATIENCE))
  shift
  until "$@"; do
    ((SECONDS < end)) || fail "not within $PATIENCE s: $what"
    sleep 0.2
  done
}

# Prints the lines of a container.
lines() { docker logs "$RUN-$1" 2>&1; }

# Returns whether a container has printed this. (grep reads to the end, or docker would complain.)
says() { lines "$1" | grep -F -- "$2" >/dev/null; }

# Returns whether it has printed it this many times.
says_times() { (($(lines "$1" | grep -cF -- "$2" || true) >= $3)); }

# Prints the current time in the format of the electors' log.
now() { date --utc +%Y-%m-%dT%H:%M:%S.%3NZ; }

# --- terms, from the electors' log ---

# Prints when an elector started leading and stopped: lines of time, name, "start" or "stop", fencing token.
terms() {
  local name=$1 time='^[{]"time":"([0-9T:.-]+Z)",.*' token='.*"fencing_token":([0-9]+)[,}].*'
  lines "$name" | sed -nE \
    -e "s/$time\"event\":\"started_leading\"$token/\\1 $name start \\2/p" \
    -e "s/$time\"event\":\"workload_stopped\"$token/\\1 $name stop \\2/p"
}

# logged NAME EVENT [FIELDS]: whether an elector has logged this event, with these fields right before its message.
logged() { lines "$1" | grep -E -- "\"event\":\"$2\".*${3-}" >/dev/null; }

# Prints all starts and stops: those in the log of this round, and the times at which an elector was killed or
# frozen.
all_terms() {
  local cluster
  for cluster in "${CLUSTERS[@]}"; do terms "$scheme-$cluster"; done
  printf '%s' "$gone"
}

# Reads such lines, and prints violations: overlapping terms, or a fencing token that does not rise. A killed
# or frozen elector does not lead, even if it logs later.
flaws() {
  LC_ALL=C sort -k1,1 -k3,3r | awk '
    $3 == "start" {
      if (leader != "") print $2 " leads from " $1 " on, beside " leader
      if (seen && $4 + 0 <= token) print $2 " leads with fencing token " $4 ", after " token
      leader = $2; token = $4 + 0; seen = 1
    }
    $3 == "stop" && leader == $2 { leader = "" }'
}

# Tests that `flaws` finds violations.
check_the_check() {
  local fine=$'1 a start 0\n2 a stop 0\n2 b start 1\n4 a stop 0\n5 b stop 1\n6 c start 3'
  [[ -z $(flaws <<<"$fine") ]] || fail "flaws reports a violation where there is none"
  [[ $(flaws <<<$'1 a start 0\n2 b start 1\n3 a stop 0') == 'b leads from 2 on, beside a' ]] ||
    fail 'flaws does not find two leaders'
  [[ $(flaws <<<$'1 a start 1\n2 a stop 1\n3 b start 1') == 'b leads with fencing token 1, after 1' ]] ||
    fail 'flaws does not find a fencing token that does not rise'
}

# Prints the leader with the highest fencing token: token, cluster and start.
leader() { all_terms | awk '$3 == "start" { print $4, $2, $1 }' | sort -n | tail -1; }

# Returns whether there is a leader with a higher fencing token than this.
has_leader_above() {
  local token
  read -r token _ < <(leader) || return 1
  ((token > $1))
}

# Waits for the next leader, and prints its name and the time without a leader.
await_takeover() {
  local what=$1 since=$2 from old_token=$token
  eventually "another candidate leads after $what" has_leader_above "$old_token"
  read -r token leader from < <(leader)
  leader=${leader#"$scheme-"}
  say "  $what: $leader leads (fencing token $token) $(seconds_between "$since" "$from") s later"
}

seconds_between() {
  awk -v from="$(date --date "$1" +%s.%N)" -v to="$(date --date "$2" +%s.%N)" \
    'BEGIN { printf "%.1f", to - from }'
}

# --- the tests ---

test_what_it_is() {
  local bytes files
  say 'content of the image'
  bytes=$(docker image inspect --format '{{.Size}}' "$IMAGE")
  ((bytes <= MOST_BYTES)) || fail "the image has $bytes bytes, of at most $MOST_BYTES"
  [[ $(docker image inspect --format '{{.Config.User}} {{json .Config.Entrypoint}}' "$IMAGE") == \
    '65532:65532 ["/elector"]' ]] || fail 'the image has another user or entrypoint'
  [[ $(docker image inspect --format '{{json .Config.Env}}{{json .Config.ExposedPorts}}' "$IMAGE") == \
    *ELECTOR_HTTP_ADDR=:4040*4040/tcp* ]] || fail 'the image does not expose port 4040'
  test_labels
  # Other files in a container are the engine's: /dev, /etc/hosts and so on.
  mkdir "$work/saved"
  docker image save "$IMAGE" | tar -x -C "$work/saved"
  # The path of the layers differs between engines; this file has it.
  files=$(grep -o '"Layers":\[[^]]*\]' "$work/saved/manifest.json" | grep -oE '"[^"]*/[^"]*"' | tr -d '"' |
    while read -r layer; do tar -tf "$work/saved/$layer"; done | grep -v '/$' | sort | xargs)
  [[ $files == 'elector licenses/LICENSE licenses/THIRD-PARTY-NOTICES' ]] ||
    fail "the image holds other files than the program and its licences: $files"
  say "  $bytes bytes: the program, its licences and nothing else"
}

# The standard labels, the version of the program, and the licences as they are here.
test_labels() {
  local name value container label=org.opencontainers.image
  for name in title description authors vendor licenses url source documentation version revision created; do
    value=$(docker image inspect --format "{{index .Config.Labels \"$label.$name\"}}" "$IMAGE")
    [[ -n $value && $value != unknown ]] || fail "the image has no label $name"
    case $name in
      licenses) [[ $value == MIT ]] ;;
      url | source | documentation) [[ $value == https://github.com/*/multi-cluster-leader-election* ]] ;;
      version) [[ $(once "$IMAGE" --version) == "elector $value" ]] ;;
      created) [[ $value =~ ^20[0-9-]+T[0-9:]+Z$ ]] ;;
    esac || fail "the image has the label $name: $value"
  done
  container=$(docker create --label "$RUN" "$IMAGE")
  docker cp "$container:/licenses" "$work/licenses" >/dev/null
  docker rm "$container" >/dev/null
  for name in LICENSE THIRD-PARTY-NOTICES; do
    cmp -s "$name" "$work/licenses/$name" || fail "the image has another $name than this folder"
  done
}

test_install() {
  say 'the program installs itself'
  local volume=$RUN-shared said
  said=$(once --tmpfs /shared:mode=1777 "$IMAGE" install /shared) || fail 'a user cannot install it'
  [[ $said == 'installed elector '*' as /shared/elector' ]] || fail "install says: $said"
  said=$(once --tmpfs /shared:mode=755 "$IMAGE" install /shared 2>&1) && fail 'it installs without the right to'
  [[ $said == *'cannot be written by user 54321'* ]] || fail "install says: $said"
  said=$(once "$IMAGE" install /etc 2>&1) && fail 'it installs on a read-only root'
  [[ $said == *'ead-only file system'* ]] || fail "install says: $said"
  docker volume create --label "$RUN" "$volume" >/dev/null
  once --user 0 --volume "$volume:/shared" "$IMAGE" install /shared >/dev/null || fail 'root cannot install it'
  said=$(once --user 0 --volume "$volume:/shared" "$IMAGE" install /shared)
  [[ $said == 'installed elector '*' as /shared/elector' ]] || fail "install says: $said"
  said=$(once --volume "$volume:/shared" --entrypoint /shared/elector "$RUN-stunnel" --version) ||
    fail 'it does not run in another image'
  say "  and runs in another image: $said"
}

# TLS by name, with the image's built-in roots and with a private CA.
test_tls() {
  say 'names and certificates'
  local settings said
  mapfile -t settings < <(environment tls aa03)
  said=$(once --network "$RUN-hannibal" "${settings[@]}" --env SSL_CERT_FILE= "$IMAGE" doctor 2>&1) &&
    fail 'it trusts an unknown CA'
  [[ $said == *[Cc]ertificate* ]] || fail "doctor with an unknown CA: $said"
  said=$(once --network "$RUN-hannibal" "${settings[@]}" "$IMAGE" doctor 2>&1) ||
    fail "doctor with a known CA: $said"
  said=$(once --network "$RUN-hannibal" "${settings[@]}" --env "GITHUB_API_URL=https://$RUN-gist:4443" "$IMAGE" \
    doctor 2>&1) && fail 'it accepts a certificate for another name'
  [[ $said == *[Cc]ertificate* ]] || fail "doctor with a certificate for another name: $said"
  say '  the private CA counts if SSL_CERT_FILE names it, and only for its name'
}

# One address family: the engine's networks have both, so one is removed.
test_address_families() {
  say 'one address family'
  local settings scheme
  for scheme in tls http; do
    mapfile -t settings < <(environment "$scheme" aa03)
    once --network "$RUN-hannibal" --sysctl net.ipv6.conf.all.disable_ipv6=1 "${settings[@]}" --env LEADER_NAME=four \
      "$IMAGE" run --try 30s -- /elector --version >"$work/four" 2>&1 ||
      fail "with IPv4 alone, over $scheme: $(cat "$work/four")"
  done
  say '  IPv4 alone: it leads, and runs its program'
  if [[ $has_ipv6 != true || $(id -u) != 0 ]] || ! command -v nsenter >/dev/null || ! command -v ip >/dev/null; then
    [[ ${ELECTOR_TESTS_NEED_DOCKER:-} != 1 ]] || fail 'cannot test IPv6 alone; that needs root, nsenter, ip and IPv6'
    say '  IPv6 alone: NOT tested (that needs root, nsenter, ip, and an engine with IPv6)'
    return
  fi
  # The network belongs to a container that waits, and loses its IPv4 address there.
  run --detach --name "$RUN-six" --network "$RUN-hannibal" "${CONFINED[@]}" "$IMAGE" gist-server --quiet >/dev/null
  nsenter --net="/proc/$(docker inspect --format '{{.State.Pid}}' "$RUN-six")/ns/net" ip -4 address flush dev eth0
  for scheme in tls http; do
    mapfile -t settings < <(environment "$scheme" aa03)
    once --network "container:$RUN-six" "${settings[@]}" --env LEADER_NAME=six \
      "$IMAGE" run --try 30s -- /elector --version >"$work/six" 2>&1 ||
      fail "with IPv6 alone, over $scheme: $(cat "$work/six")"
  done
  say '  IPv6 alone: the same'
}

start_elector() {
  local cluster=$1 settings
  mapfile -t settings < <(environment "$scheme" "$gist")
  run --detach --name "$RUN-$scheme-$cluster" --network "$RUN-$cluster" "${CONFINED[@]}" "${settings[@]}" \
    --env LEADER_NAME="$cluster" "$IMAGE" >/dev/null
}

# is_gone CLUSTER TIME: notes that its elector cannot lead any more from then on.
is_gone() { gone+="$2 $scheme-$1 stop gone"$'\n'; }

kill_leader() {
  local old=$leader at
  docker kill "$RUN-$scheme-$old" >/dev/null
  at=$(docker inspect --format '{{.State.FinishedAt}}' "$RUN-$scheme-$old")
  at=$(date --utc --date "$at" +%Y-%m-%dT%H:%M:%S.%3NZ)
  is_gone "$old" "$at"
  await_takeover "$old is killed" "$at"
  docker start "$RUN-$scheme-$old" >/dev/null
  eventually "$old is back" says_times "$scheme-$old" '"event":"running"' 2
}

pause_leader() {
  local old=$leader old_token=$token at
  docker pause "$RUN-$scheme-$old" >/dev/null
  at=$(now)
  is_gone "$old" "$at"
  await_takeover "$old is paused" "$at"
  docker unpause "$RUN-$scheme-$old" >/dev/null
  eventually "$old, thawed, ends its term" \
    logged "$scheme-$old" workload_stopped "\"fencing_token\":$old_token,"
  eventually "$old, thawed, follows $leader" logged "$scheme-$old" new_leader "\"leader\":\"$leader\",\"fencing_token\":$token,"
}

disconnect_leader() {
  local old=$leader old_token=$token at
  at=$(now)
  docker network disconnect "$RUN-$old" "$RUN-$scheme-$old"
  await_takeover "$old is cut off" "$at"
  # It has stopped long before; `flaws` compares the times.
  logged "$scheme-$old" workload_stopped "\"fencing_token\":$old_token," || fail "$old, cut off, did not stop"
  docker network connect "$RUN-$old" "$RUN-$scheme-$old"
  eventually "$old, back on the network, follows $leader" logged "$scheme-$old" new_leader "\"leader\":\"$leader\",\"fencing_token\":$token,"
}

stop_leader() {
  local old=$leader at
  at=$(now)
  docker stop --time 30 "$RUN-$scheme-$old" >/dev/null
  [[ $(docker inspect --format '{{.State.ExitCode}}' "$RUN-$scheme-$old") == 0 ]] || fail "$old, stopped, did not exit 0"
  logged "$scheme-$old" released || fail "$old, stopped, did not release the lease"
  await_takeover "$old is stopped" "$at"
}

# Runs three electors, and kills, pauses, cuts off and stops their leaders.
test_election() {
  local scheme=$1 gist=$2 cluster leader='' token=-1 gone='' from found count
  say "three electors on three networks, over $scheme"
  for cluster in "${CLUSTERS[@]}"; do start_elector "$cluster"; done
  eventually 'a candidate leads' has_leader_above -1
  read -r token leader from < <(leader)
  leader=${leader#"$scheme-"}
  say "  $leader leads (fencing token $token)"
  found=$(docker exec "$RUN-$scheme-$leader" elector status) || fail "status fails in the image: $found"
  [[ $found == *"$leader"* ]] || fail "status in the image says: $found"

  kill_leader
  pause_leader
  disconnect_leader
  stop_leader

  found=$(all_terms | flaws)
  [[ -z $found ]] || fail "$found"
  count=$(all_terms | grep -c ' start ')
  ((count >= 5)) || fail "only $count terms"
  for cluster in "${CLUSTERS[@]}"; do
    ! lines "$scheme-$cluster" | grep -E "panicked|$TOKEN" >&2 || fail "$cluster panicked or printed its access token"
  done
  say "  $count terms, without overlap, and every fencing token rose"
  for cluster in "${CLUSTERS[@]}"; do docker rm --force "$RUN-$scheme-$cluster" >/dev/null; done
}

# Kills the leader's container at the default times, and starts it again: it leads again soon, although its
# lease lasts.
test_restart() {
  local scheme=http name=$RUN-http-restart settings killed from took
  say 'a container that is killed and started again'
  mkdir --mode 1777 "$state"
  mapfile -t settings < <(environment http aa04 | grep -vE '=(LEASE|RENEW|RETRY|POLL|CONFIRM|TERMINATION|STOP)')
  run --detach --name "$name" --network "$RUN-napoleon" "${CONFINED[@]}" "${settings[@]}" \
    --volume "$state:/state" --env STATE_DIR=/state --env LEADER_NAME=restart "$IMAGE" >/dev/null
  eventually 'it leads' says_times http-restart '"event":"started_leading"' 1
  docker kill "$name" >/dev/null
  killed=$(docker inspect --format '{{.State.FinishedAt}}' "$name")
  docker start "$name" >/dev/null
  eventually 'it leads again' says_times http-restart '"event":"started_leading"' 2
  logged http-restart resuming || fail 'it did not resume'
  from=$(terms http-restart | awk '$3 == "start" { print $1 }' | tail -1)
  took=$(seconds_between "$killed" "$from")
  say "  it leads again $took s after the kill"
  awk -v took="$took" 'BEGIN { exit !(took < 4) }' || fail "it led again only after $took s"
  docker rm --force "$name" >/dev/null
}

# In parallel, each on a separate gist, because they wait most of the time.
test_elections() {
  local scheme pids=() failed=false
  for scheme in tls http; do
    test_election "$scheme" "${GISTS[$scheme]}" >"$work/$scheme.said" 2>&1 &
    pids+=($!)
  done
  for scheme in tls http; do
    wait "${pids[0]}" || failed=true
    pids=("${pids[@]:1}")
    cat "$work/$scheme.said" >&2
  done
  ! $failed || fail 'an election broke a promise, see above'
}

main() {
  case ${1:-} in
    '') ;;
    --help | -h)
      usage
      exit
      ;;
    *)
      say "test-image: unknown argument \`$1\`"
      usage >&2
      exit 2
      ;;
  esac
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  check_the_check
  if ! docker info >/dev/null 2>&1; then
    [[ ${ELECTOR_TESTS_NEED_DOCKER:-} != 1 ]] || fail 'no Docker engine answers'
    say 'test-image: SKIPPED: no Docker engine answers, so the image is NOT tested'
    exit 0
  fi
  need openssl 'it makes the certificates' openssl
  command -v stunnel4 >/dev/null || need stunnel 'it serves TLS in front of the gist service' stunnel4
  IMAGE=${IMAGE:-$(bash -c 'source hack/lib.sh && default_image')}
  docker image inspect "$IMAGE" >/dev/null 2>&1 || fail "there is no image $IMAGE; run make image"

  work=$(mktemp -d)
  # On tmpfs, as an emptyDir of medium Memory.
  state=/dev/shm/$RUN
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  test_what_it_is
  make_networks
  make_certificates
  make_stunnel_image
  test_install
  start_gist_service
  test_tls
  test_address_families
  test_restart
  test_elections
  say 'test-image: all passed'
}

main "$@"
