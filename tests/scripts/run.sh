#!/usr/bin/env bash
## usage: tests/scripts/run.sh [TEST...]
##
## Tests the scripts in hack/ against stand-ins for docker, kind and kubectl, which write down how they
## are called: no cluster is made. Each function test_NAME here is a test, and all run unless some are
## named.

set -o errexit -o nounset -o pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
STUBS=$ROOT/tests/scripts/stubs

# --- What a test says and asks ---

fail() {
  printf 'FAILED: %s\n' "$*"
  if [[ -f $FAKE/said ]]; then sed 's/^/  said: /' "$FAKE/said"; fi
  if [[ -f $FAKE/calls ]]; then sed 's/^/  called: /' "$FAKE/calls"; fi
  exit 1
}

# run CODE SCRIPT [ARGUMENT...]: runs a script, and checks its exit code.
run() {
  local code=0
  PATH=${BIN:-$STUBS:$PATH} "$BASH" "$ROOT/hack/$2" "${@:3}" >"$FAKE/said" 2>&1 </dev/null || code=$?
  ((code == $1)) || fail "$2 ${*:3} exits with $code rather than $1"
  [[ ! -f $FAKE/unknown ]] || fail "unexpected calls: $(cat "$FAKE/unknown")"
}

says() { grep -Fq -- "$1" "$FAKE/said" || fail "it does not say: $1"; }
says_not() { if grep -Fq -- "$1" "$FAKE/said"; then fail "it says: $1"; fi; }

# called TIMES PATTERN: so many calls match a regular expression.
called() {
  local times
  times=$(grep -Ec -- "$2" "$FAKE/calls") || true
  ((times == $1)) || fail "$times calls rather than $1 match: $2"
}

# in_order PATTERN...: the first calls that match them came in this order.
in_order() {
  local pattern line last=0
  for pattern in "$@"; do
    line=$(grep -En -m 1 -- "$pattern" "$FAKE/calls") || fail "no call matches: $pattern"
    line=${line%%:*}
    ((line > last)) || fail "called too early: $pattern"
    last=$line
  done
}

# Each test has an image, no clusters, and a leader as soon as something is deployed.
set_up() {
  FAKE=$(mktemp -d)
  export FAKE BUILD_STATIC=$STUBS/build-static
  mkdir "$FAKE/clusters" "$FAKE/deployed" "$FAKE/applied" "$FAKE/cut"
  echo 1234 >"$FAKE/image"
  echo napoleon >"$FAKE/leader"
  echo cleopatra >"$FAKE/next"
  unset GITHUB_API_TOKEN GIST_ID GITHUB_API_URL GIST_FILE IMAGE KIND_NODE_IMAGE TAKEOVER_TIMEOUT BIN \
    LEASE_DURATION RENEW_DEADLINE RETRY_PERIOD POLL_PERIOD CONFIRM_DELAY TERMINATION_GRACE STOP_TIMEOUT RUST_LOG
}

# Clusters with electors in them.
have() {
  local cluster
  for cluster in "$@"; do
    echo true >"$FAKE/clusters/$cluster"
    echo unchanged >"$FAKE/deployed/$cluster"
  done
}

# --- up.sh ---

test_up_creates_three_clusters() {
  run 0 up.sh
  called 3 '^kind create cluster '
  called 3 '^kind load docker-image g1g1/multi-cluster-leader-election:[0-9.]+ --name '
  called 1 '^docker run .*--network kind .* gist-server --listen :4041 --gist '
  called 3 '^kubectl --context kind-.* rollout status deployment/elector '
  called 0 ' rollout restart '
  called 0 ' delete cluster '
  in_order 'create cluster --name napoleon' 'load docker-image' 'docker run' 'kubectl .*apply' 'rollout status'
  grep -q 'pod-security.kubernetes.io/enforce: restricted' "$FAKE/applied/0-napoleon" || fail 'the namespace is not restricted'
  grep -q "CLUSTER_NAME: 'hannibal'" "$FAKE"/applied/*-hannibal || fail 'hannibal does not know its name'
  says 'napoleon leads (fencing token 6)'
}

test_up_again_changes_nothing() {
  run 0 up.sh
  rm "$FAKE/calls"
  run 0 up.sh
  called 0 '^kind (create|delete) '
  called 0 '^docker (run|start|rm) '
  called 0 ' rollout restart '
  says 'the cluster cleopatra exists'
  says 'napoleon leads'
}

test_up_creates_requested_number() {
  run 0 up.sh 2
  called 2 '^kind create cluster '
  called 0 hannibal
}

test_up_keeps_existing_cluster() {
  have cleopatra
  run 0 up.sh
  called 2 '^kind create cluster '
  called 0 '^kind create cluster --name cleopatra'
  called 3 '^kind load '
}

test_up_starts_stopped_cluster() {
  have napoleon cleopatra hannibal
  echo false >"$FAKE/clusters/hannibal"
  run 0 up.sh
  called 1 '^docker start hannibal-control-plane$'
  called 0 '^kind create '
  in_order 'docker start' 'kind-hannibal .*readyz' 'kind load .* hannibal' 'kind-hannibal .*apply'
}

test_up_restarts_changed_electors() {
  run 0 up.sh
  LEASE_DURATION=12s run 0 up.sh
  called 3 ' rollout restart '
  grep -q "LEASE_DURATION: '12s'" "$FAKE"/applied/*-napoleon || fail 'the setting does not arrive'
  echo 5678 >"$FAKE/image"
  LEASE_DURATION=12s run 0 up.sh
  called 6 ' rollout restart '
  called 1 '^docker rm --force elector-gist-server'
  called 2 '^docker run '
}

test_up_removes_leftover_partition() {
  have napoleon cleopatra hannibal
  echo '-A FORWARD -p tcp -m tcp --dport 443 -m comment --comment kill-leader -j DROP' >"$FAKE/cut/hannibal"
  run 0 up.sh
  [[ ! -f $FAKE/cut/hannibal ]] || fail 'it is still cut off'
}

test_up_keeps_access_token_secret() {
  GITHUB_API_TOKEN=ghp_secret GIST_ID=0123abcd run 0 up.sh
  called 0 '^docker run '
  called 0 'ghp_secret'
  called 0 "$(printf ghp_secret | base64)"
  called 3 ' delete --ignore-not-found --filename .*gist-server-egress.yaml'
  grep -q "GIST_ID: '0123abcd'" "$FAKE"/applied/*-napoleon || fail 'the gist does not arrive'
  grep -q "token: $(printf ghp_secret | base64)\$" "$FAKE"/applied/*-napoleon || fail 'the token does not arrive'
  if grep -q ALLOW_INSECURE_HTTP "$FAKE"/applied/*; then fail 'the real gist is asked without TLS'; fi
  says_not ghp_secret
}

test_up_needs_access_token_and_gist() {
  GIST_ID=0123abcd run 1 up.sh
  says 'GITHUB_API_TOKEN: not set'
  GITHUB_API_TOKEN=ghp_secret run 1 up.sh
  says 'GIST_ID: not set'
  says_not ghp_secret
  called 0 '^kind create '
}

test_up_uses_chosen_images() {
  KIND_NODE_IMAGE=mine/node:1 IMAGE=mine/elector:2 run 0 up.sh
  called 3 '^kind create cluster .*--image mine/node:1'
  called 3 '^kind load docker-image mine/elector:2 '
  grep -q 'image: mine/elector:2$' "$FAKE"/applied/*-napoleon || fail 'the manifest names another image'
}

test_up_builds_missing_image() {
  rm "$FAKE/image"
  run 0 up.sh
  in_order '^build-static --check' '^make --directory .* image IMAGE=g1g1/multi-cluster-leader-election:' '^kind create '
  called 0 '^build-static --prepare'
}

test_up_offers_to_install_build_tools() {
  rm "$FAKE/image"
  echo 'build-static --check' >"$FAKE/fails"
  run 1 up.sh
  says 'run hack/build-static.sh --install'
  called 0 '^(make|kind create|build-static --prepare) '
}

test_up_fails_without_chosen_image() {
  rm "$FAKE/image"
  IMAGE=mine/elector:2 run 1 up.sh
  says 'IMAGE: mine/elector:2 does not exist'
  called 0 '^make '
}

test_up_removes_incomplete_cluster() {
  echo cleopatra >"$FAKE/half-made"
  run 1 up.sh
  says 'the stub stops half way'
  says 'failed at: creating the cluster cleopatra'
  says 'were created and are kept: napoleon'
  called 1 '^kind delete cluster --name cleopatra$'
  called 1 '^kind delete '
  [[ ! -f $FAKE/clusters/cleopatra && -f $FAKE/clusters/napoleon ]] || fail 'the wrong things stay'
  called 0 '^kind create cluster --name hannibal'
}

test_up_names_failed_step() {
  local pattern step
  while IFS='|' read -r pattern step; do
    rm -rf "$FAKE"
    set_up
    printf '%s\n' "$pattern" >"$FAKE/fails"
    run 1 up.sh
    says "failed at: $step"
    says_not 'leads (fencing token'
    called 0 '^kind delete '
  done <<'STEPS'
kind load docker-image * --name hannibal|loading the image into hannibal
docker run *|starting the gist service
kubectl --context kind-cleopatra * apply *|deploying to cleopatra
kubectl --context kind-napoleon * annotate *|deploying to napoleon
kubectl --context kind-hannibal * rollout status *|waiting for the elector of hannibal
STEPS
  says 'the last words of an elector'
}

test_up_keeps_kubectl_context() {
  echo production >"$FAKE/context"
  run 0 up.sh
  called 1 '^kubectl config use-context production$'
}

# With a Lease on a hub cluster.

test_up_lease_creates_hub_first() {
  run 0 up.sh --lock lease
  called 4 '^kind create cluster '
  called 3 '^kind load docker-image '
  called 0 '^docker run '
  in_order 'create cluster --name elector-hub' 'create cluster --name napoleon' \
    'kind-elector-hub .* apply --filename .*/hack/examples/hub.yaml' 'kind-elector-hub .* create token'
  in_order 'kind-elector-hub .* apply' 'kind-napoleon .* apply --server-side'
  called 0 'kind-elector-hub .* rollout '
  says 'napoleon leads (fencing token 6)'
}

test_up_lease_gives_hub_credentials() {
  run 0 up.sh --lock lease
  called 0 'token-of-elector-hub'
  called 0 "$(printf token-of-elector-hub | base64)"
  says_not token-of
  local cluster
  for cluster in napoleon cleopatra hannibal; do
    grep -q "token: $(printf token-of-elector-hub | base64)\$" "$FAKE"/applied/*-$cluster || fail "$cluster gets no token"
    grep -q 'ca.crt: aHVi$' "$FAKE"/applied/*-$cluster || fail "$cluster gets no certificate authority"
    grep -q 'value: "lease://elector-hub-control-plane:6443/' "$FAKE"/applied/*-$cluster || fail "$cluster gets no place"
    if grep -Eq 'GIST_ID: |GITHUB|elector-github' "$FAKE"/applied/*-$cluster; then fail "$cluster gets a gist"; fi
  done
}

test_up_lease_again_restarts_nothing() {
  run 0 up.sh --lock lease
  rm "$FAKE/calls"
  run 0 up.sh --lock lease
  called 0 '^kind (create|delete) '
  called 0 ' rollout restart '
  printf bmV3 >"$FAKE/authority"
  run 0 up.sh --lock lease
  called 3 ' rollout restart '
}

test_up_lease_starts_stopped_hub() {
  have napoleon cleopatra hannibal
  echo false >"$FAKE/clusters/elector-hub"
  run 0 status.sh
  grep -Eq '^elector-hub +\(the cluster is stopped\)' "$FAKE/said" || fail 'no word of the hub'
  run 0 up.sh --lock lease
  in_order '^docker start elector-hub-control-plane$' 'kind-elector-hub .*readyz' 'kind-elector-hub .*apply'
}

test_up_lease_stops_without_token() {
  echo 'kubectl --context kind-elector-hub * create token *' >"$FAKE/fails"
  run 1 up.sh --lock lease
  says 'failed at: deploying to napoleon'
  called 0 'rollout status'
}

# --- Tools and options ---

# A PATH with everything but one tool.
without() {
  local tool
  BIN=$FAKE/bin
  mkdir "$BIN"
  for tool in awk base64 bash cat cksum date dirname find grep ls mktemp mv rm sed sleep sort tail touch tr wc; do
    ln -s "$(command -v "$tool")" "$BIN/$tool"
  done
  for tool in docker kind kubectl; do
    if [[ $tool != "$1" ]]; then ln -s "$STUBS/$tool" "$BIN/$tool"; fi
  done
  ln -s "$STUBS/common.sh" "$BIN/common.sh"
}

test_missing_tool_names_purpose_and_source() {
  local tool script
  for tool in docker kind kubectl; do
    rm -rf "$FAKE"
    set_up
    without "$tool"
    for script in up.sh kill-leader.sh status.sh down.sh; do
      run 1 "$script"
      says "$tool is missing: "
      says 'To get it: https://'
      [[ ! -f $FAKE/calls ]] || called 0 '^kind (create|delete) '
    done
  done
}

test_missing_tools_are_named_together() {
  without kind
  rm "$BIN/kubectl"
  run 1 up.sh
  says 'kind is missing: '
  says 'kubectl is missing: '
}

test_unreachable_docker_daemon_is_reported() {
  echo 'docker info' >"$FAKE/fails"
  run 1 up.sh
  says 'the Docker daemon does not answer'
}

test_help_and_wrong_usage() {
  local script
  for script in up.sh kill-leader.sh status.sh down.sh; do
    run 0 "$script" --help
    says "usage: hack/$script"
    run 2 "$script" --nonsense
    says nonsense
    says 'Try '
    run 2 "$script" --help --help
  done
  run 2 up.sh 4
  run 2 up.sh 0
  run 2 up.sh 1 2
  run 2 up.sh --lock
  run 2 up.sh --lock s3
  says 'gist or lease, not: s3'
  TAKEOVER_TIMEOUT=soon run 2 kill-leader.sh
  says TAKEOVER_TIMEOUT
  [[ ! -f $FAKE/calls ]] || fail 'something was called'
}

# --- kill-leader.sh ---

# event LEVEL EVENT FIELDS MESSAGE: the end of a line of an elector's log, after its time.
event() { printf '"level":"%s","event":"%s",%s"message":"%s"}' "$1" "$2" "$3" "$4"; }

starts() { event info started_leading "\"fencing_token\":$1," 'started leading'; }

# The two events of a term of napoleon's that ends after so many milliseconds.
napoleon_ends() {
  printf 'napoleon %s %s\n' "$1" "$(event "$2" stopped_leading "\"fencing_token\":6,\"detail\":\"$3\"," 'stopped leading')" \
    "$1" "$(event info workload_stopped '"fencing_token":6,' 'workload stopped')"
}

# good_takeover [LINE...]: sets the log of a regular takeover, after the given lines.
good_takeover() {
  {
    if (($# > 0)); then printf '%s\n' "$@"; fi
    printf '%s\n' "hannibal 900 $(event info claimed '"fencing_token":8,' 'claimed lease')" \
      "cleopatra 1000 $(event info claimed '"fencing_token":7,' 'claimed lease')" \
      "cleopatra 1400 $(starts 7)" \
      "hannibal 1500 $(event info new_leader '"leader":"cleopatra/leader-election/elector-cleopatra","fencing_token":7,' 'observed new leader')"
  } >"$FAKE/lines"
}

test_pod_kill_is_reported() {
  have napoleon cleopatra hannibal
  good_takeover
  run 0 kill-leader.sh
  called 1 '^docker exec napoleon-control-plane ctr --namespace k8s.io tasks kill --signal SIGKILL id-napoleon$'
  says 'napoleon leads (fencing token 6)'
  says 'cleopatra  started leading fencing_token=7'
  grep -Eq '^cleopatra took over [0-9]+\.[0-9]s after the kill, ' "$FAKE/said" || fail 'no word of the takeover'
  [[ $(tail -n 1 "$FAKE/said") == 'No two terms overlapped.' ]] || fail 'the verdict is not the last line'
}

test_graceful_stop_is_reported() {
  have napoleon cleopatra
  good_takeover "$(napoleon_ends 300 info 'asked to stop')"
  run 0 kill-leader.sh --graceful
  called 1 ' delete pod elector-napoleon --wait=false$'
  says 'asked to stop'
  says 's after it was stopped, 1.1s after the end of the term before.'
  says 'No two terms overlapped.'
}

test_killed_cluster_is_restarted() {
  have napoleon cleopatra hannibal
  good_takeover
  run 0 kill-leader.sh --cluster
  in_order '^docker kill napoleon-control-plane$' '^docker start napoleon-control-plane$'
  [[ $(cat "$FAKE/clusters/napoleon") == true ]] || fail 'the cluster is still stopped'
  says 'No two terms overlapped.'
}

test_partitioned_leader_is_reconnected() {
  have napoleon cleopatra hannibal
  good_takeover "$(napoleon_ends 800 warn 'the lease could not be renewed in time')"
  run 0 kill-leader.sh --partition
  called 1 '^docker exec napoleon-control-plane iptables .*--insert FORWARD --protocol tcp --dport 4041 .*DROP$'
  [[ ! -f $FAKE/cut/napoleon ]] || fail 'it is still cut off'
  says 's  the lease could not be renewed in time'
  says 's after the cut, 0.6s after the end of the term before.'
  says 'No two terms overlapped.'
}

test_partition_cuts_hub_port() {
  have napoleon cleopatra hannibal elector-hub
  good_takeover "$(napoleon_ends 800 warn 'the lease could not be renewed in time')"
  run 0 kill-leader.sh --partition
  called 1 '^docker exec napoleon-control-plane iptables .*--insert FORWARD --protocol tcp --dport 6443 .*DROP$'
  [[ ! -f $FAKE/cut/napoleon ]] || fail 'it is still cut off'
}

test_overlapping_terms_are_reported() {
  have napoleon cleopatra hannibal
  good_takeover "$(napoleon_ends 1401 warn 'the lease could not be renewed in time')"
  run 1 kill-leader.sh --partition
  says 'cleopatra (fencing token 7) led 0.0s before the term of napoleon (fencing token 6) was over'
  says 'a promise was broken'
  says_not 'No two terms overlapped'
  [[ ! -f $FAKE/cut/napoleon ]] || fail 'it is still cut off'
}

test_falling_fencing_token_is_reported() {
  have napoleon cleopatra hannibal
  good_takeover "cleopatra 1300 $(starts 8)"
  run 1 kill-leader.sh
  says 'but the end of the term of cleopatra (fencing token 8) was not observed'
  says 'the fencing token did not rise: cleopatra had 8, and cleopatra after it 7'
}

test_leader_without_stop_is_reported() {
  have napoleon cleopatra
  good_takeover
  TAKEOVER_TIMEOUT=2 run 1 kill-leader.sh --partition
  says 'the end of the term of napoleon (fencing token 6) was not observed'
  [[ ! -f $FAKE/cut/napoleon ]] || fail 'it is still cut off'
}

test_missing_takeover_is_reported() {
  have napoleon cleopatra
  echo "cleopatra 100 $(event info new_leader '"leader":"",' 'observed no leader')" >"$FAKE/lines"
  TAKEOVER_TIMEOUT=1 run 1 kill-leader.sh --cluster
  says 'no candidate took over within 1 s'
  says_not 'No two terms'
  [[ $(cat "$FAKE/clusters/napoleon") == true ]] || fail 'the cluster is still stopped'
}

test_interrupted_kill_restores_network() {
  have napoleon cleopatra
  : >"$FAKE/lines"
  local killer end=$((SECONDS + 20)) code=0
  PATH=$STUBS:$PATH "$BASH" "$ROOT/hack/kill-leader.sh" --partition >"$FAKE/said" 2>&1 </dev/null &
  killer=$!
  until [[ -f $FAKE/cut/napoleon ]]; do
    ((SECONDS < end)) || fail 'it never cuts'
    sleep 0.05
  done
  kill "$killer"
  wait "$killer" || code=$?
  ((code == 143)) || fail "it exits with $code"
  [[ ! -f $FAKE/cut/napoleon ]] || fail 'it is still cut off'
}

test_kill_needs_a_standby() {
  run 1 kill-leader.sh
  says 'run hack/up.sh'
  have napoleon
  run 1 kill-leader.sh
  says 'no standby to take over'
  have hannibal
  echo false >"$FAKE/clusters/hannibal"
  run 1 kill-leader.sh
  says 'the cluster hannibal is stopped'
  called 0 'SIGKILL'
}

# --- status.sh and down.sh ---

test_status_shows_every_cluster() {
  have napoleon cleopatra hannibal
  echo false >"$FAKE/clusters/hannibal"
  run 0 status.sh
  grep -Eq '^napoleon +elector-napoleon +leader +napoleon +6 +0$' "$FAKE/said" || fail 'no line for napoleon'
  grep -Eq '^cleopatra +elector-cleopatra +candidate +napoleon +6 +0$' "$FAKE/said" || fail 'no line for cleopatra'
  says '(the cluster is stopped)'
  says 'napoleon (fencing token 6) leads.'
  called 0 '^docker (start|kill|run|rm|exec) '
  called 0 '^kubectl .* (apply|delete|annotate|rollout) '
}

test_status_without_cluster_fails() {
  run 1 status.sh
  says 'there is no cluster'
}

test_down_removes_only_own_clusters() {
  run 0 up.sh
  echo true >"$FAKE/clusters/somebody-elses"
  run 0 down.sh
  [[ $(ls "$FAKE/clusters") == somebody-elses ]] || fail "there is: $(ls "$FAKE/clusters")"
  [[ ! -f $FAKE/gist-server ]] || fail 'the gist service is still there'
  run 0 down.sh
  says 'nothing to remove'
}

test_down_removes_hub() {
  run 0 up.sh --lock lease
  run 0 down.sh
  called 4 '^kind delete cluster '
  called 1 '^kind delete cluster --name elector-hub$'
  [[ -z $(ls "$FAKE/clusters") ]] || fail "there is: $(ls "$FAKE/clusters")"
}

test_down_names_what_remains() {
  have napoleon cleopatra hannibal
  echo 'kind delete cluster --name cleopatra' >"$FAKE/fails"
  run 1 down.sh
  says 'not removed: the cluster cleopatra'
  [[ $(ls "$FAKE/clusters") == cleopatra ]] || fail "there is: $(ls "$FAKE/clusters")"
}

# --- release.sh and package.sh ---

# Copies the script into a project that has this version, with this change log.
have_version() {
  mkdir -p "$FAKE/project/hack"
  cp "$ROOT/hack/release.sh" "$FAKE/project/hack/"
  printf '[package]\nname = "elector"\nversion = "%s"\n' "$1" >"$FAKE/project/Cargo.toml"
  printf '%s\n' "${@:2}" >"$FAKE/project/CHANGELOG.md"
}

# release CODE COMMAND ARGUMENT [LINE...]: runs the copy, with lines on standard input.
release() {
  local code=0
  printf '%s\n' "${@:4}" | "$BASH" "$FAKE/project/hack/release.sh" "$2" "$3" >"$FAKE/said" 2>&1 || code=$?
  ((code == $1)) || fail "release.sh ${*:2} exits with $code rather than $1"
}

# has_tags TAGS VERSION [RELEASE...]: a version gets these tags, beside these releases.
has_tags() {
  release 0 tags "$2" "${@:3}"
  [[ $(xargs <"$FAKE/said") == "$1" ]] || fail "$2 does not get these tags: $1"
}

test_image_tags_move_only_forward() {
  have_version 1.2.3
  has_tags '0.1.0 0.1 latest' 0.1.0
  has_tags '1.0.0 1.0 1 latest' 1.0.0 v0.9.0
  has_tags '1.10.1 1.10 1 latest' 1.10.1 v1.10.0 v1.9.7
  has_tags '1.10.1 1.10 1 latest' 1.10.1 v1.10.1
  has_tags '1.2.4 1.2' 1.2.4 v1.2.3 v1.10.0
  has_tags '1.11.0 1.11 1' 1.11.0 v1.10.0 v2.0.0
  has_tags '1.2.3' 1.2.3 v1.2.4
}

test_pre_release_moves_no_tag() {
  have_version 1.2.3
  has_tags '2.0.0-rc.1' 2.0.0-rc.1 v1.0.0
  has_tags '2.0.0 2.0 2 latest' 2.0.0 v2.0.0-rc.1 v2.1.0-rc.1
  release 1 tags 2.0.0+build
  says 'not a version'
}

test_release_needs_equal_version() {
  have_version 1.2.3 '# Changelog' '' '## 1.2.3' '' '- A change.' '' '## 1.2.2' '' '- An old one.'
  release 0 check v1.2.3
  [[ $(cat "$FAKE/said") == 1.2.3 ]] || fail 'it prints another version'
  release 1 check v1.2.2
  says 'Cargo.toml says 1.2.3'
  release 0 notes 1.2.3
  [[ $(xargs <"$FAKE/said") == '- A change.' ]] || fail 'the notes are others'
}

test_release_needs_change_log() {
  have_version 1.2.3 '## 1.2.3 (not released yet)' '' '- A change.'
  release 1 check v1.2.3
  says 'CHANGELOG.md has no heading'
  have_version 1.2.3 '## 1.2.3' '' '## 1.2.2' '' '- An old one.'
  release 1 check v1.2.3
  says 'says nothing on 1.2.3'
}

# The program is this shell: any program will do.
test_archive_is_complete_and_reproducible() {
  command -v readelf >/dev/null || fail 'readelf is missing: apt-get install binutils'
  local target version name first
  target=$(uname -m)-unknown-linux-gnu
  version=$(sed -n '/^version = /{s/^version = "\(.*\)"$/\1/p;q;}' "$ROOT/Cargo.toml")
  name=elector-$version-$target
  export BUILD=$FAKE/build SOURCE_DATE_EPOCH=1700000000
  mkdir -p "$BUILD/man" "$BUILD/completions"
  run 1 package.sh "$BASH"
  says 'run make man'
  echo manual >"$BUILD/man/elector.1"
  echo completion >"$BUILD/completions/elector.bash"
  run 0 package.sh "$BASH"
  says "$BUILD/dist/$name.tar.gz"
  first=$(sha256sum <"$BUILD/dist/$name.tar.gz")
  touch "$BUILD/man/elector.1"
  chmod 600 "$BUILD/completions/elector.bash"
  (umask 077 && run 0 package.sh "$BASH")
  [[ $(sha256sum <"$BUILD/dist/$name.tar.gz") == "$first" ]] || fail 'the second archive differs'

  tar -xzf "$BUILD/dist/$name.tar.gz" -C "$FAKE"
  [[ $(cd "$FAKE/$name" && find . -type f | LC_ALL=C sort | xargs) == \
    './LICENSE ./README.md ./THIRD-PARTY-NOTICES ./completions/elector.bash ./elector ./man/elector.1' ]] ||
    fail 'the archive holds other files'
  [[ $("$FAKE/$name/elector" -c 'echo runs') == runs ]] || fail 'the program does not run'
  check_binstall "$name" "$version" "$target"
}

# Resolves the templates for cargo binstall, and compares them with the archive's name and content.
check_binstall() {
  local name=$1 version=$2 target=$3 key value
  for key in pkg-url bin-dir; do
    value=$(sed -n "s/^$key = \"\(.*\)\"\$/\1/p" "$ROOT/Cargo.toml")
    value=${value//'{ name }'/elector} value=${value//'{ bin }'/elector}
    value=${value//'{ version }'/$version} value=${value//'{ target }'/$target}
    case $key in
      pkg-url) [[ $value == "{ repo }/releases/download/v$version/$name.tar.gz" ]] ;;
      bin-dir) [[ -x $FAKE/$value ]] ;;
    esac || fail "Cargo.toml: $key leads to $value"
  done
}

test_archive_names_program_target() {
  export BUILD=$FAKE/build
  run 1 package.sh "$ROOT/README.md"
  says 'README.md is not a program'
  run 1 package.sh "$FAKE/missing"
  says 'does not exist; run make static'
}

# --- The runner ---

# Most of a test's time is spent waiting.
AT_A_TIME=6

# Runs a test, and leaves what it said and how it ended.
run_one() (
  code=0
  (
    set_up
    trap 'rm -rf "$FAKE"' EXIT
    set -o errexit
    "$1"
  ) >"$RESULTS/$1" 2>&1 </dev/null || code=$?
  echo "$code" >"$RESULTS/$1.code"
)

main() {
  local tests=("$@") test failed=() running=0
  if ((${#tests[@]} == 0)); then
    mapfile -t tests < <(compgen -A function test_)
  fi
  RESULTS=$(mktemp -d)
  trap 'rm -rf "$RESULTS"' EXIT
  for test in "${tests[@]}"; do
    if ((running == AT_A_TIME)); then
      wait -n
      ((running -= 1))
    fi
    run_one "$test" &
    ((running += 1))
  done
  wait
  for test in "${tests[@]}"; do
    if [[ $(cat "$RESULTS/$test.code" 2>/dev/null) == 0 ]]; then
      printf 'ok      %s\n' "$test"
    else
      printf 'FAILED  %s\n' "$test"
      cat "$RESULTS/$test"
      failed+=("$test")
    fi
  done
  if ((${#failed[@]} > 0)); then
    printf '%d of %d tests of the scripts failed: %s\n' "${#failed[@]}" "${#tests[@]}" "${failed[*]}"
    exit 1
  fi
  printf '%d tests of the scripts passed\n' "${#tests[@]}"
}

main "$@"
