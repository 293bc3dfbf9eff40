#!/usr/bin/env bash
#
# Tests the Helm chart: that it renders hack/manifests and hack/examples, that Helm's lint passes, that it
# refuses wrong values, that everything complies with the schemas of several Kubernetes versions and with Pod
# Security `restricted`, and that it works when Helm installs it in a separate kind cluster.
#
# If a tool is missing, it says which test is skipped. ELECTOR_TESTS_NEED_CHART=1 makes that a failure.
#
#   IMAGE            the image to install, which must exist (make image)
#   KIND_NODE_IMAGE  the image of the nodes [default: a local kindest/node]

set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1-} == --help || ${1-} == -h ]]; then
  sed -n '3,10s/^#\( \|$\)//p' "${BASH_SOURCE[0]}"
  exit 0
fi

# Kubernetes version to render for. Without it, a helm that Go built assumes an old one.
readonly KUBERNETES=1.34
readonly CLUSTER=chart-test
readonly GIST_SERVER=chart-test-gist-server

# From PyPI, with its schemas.
readonly VALIDATE=kubernetes-validate==1.37.0

work=$(mktemp -d)
made_cluster=''
step='the start'

finish() {
  local code=$?
  trap - EXIT INT TERM
  if ((code != 0)); then
    printf 'test-chart: FAILED at: %s\n' "$step" >&2
    [[ -z $made_cluster ]] || show_cluster >&2
  fi
  docker rm --force "$GIST_SERVER" >/dev/null 2>&1 || true
  [[ -z $made_cluster ]] || kind delete cluster --name "$CLUSTER" >/dev/null 2>&1 || true
  rm -rf "$work"
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

begin() {
  step=$*
  printf 'test-chart: %s\n' "$*"
}

fail() {
  printf 'test-chart: %s\n' "$*" >&2
  exit 1
}

# Reports a skipped test, or fails if none may be skipped.
skip() {
  [[ -z ${ELECTOR_TESTS_NEED_CHART:-} ]] || fail "$1, and ELECTOR_TESTS_NEED_CHART is set"
  printf '\n*** %s: %s ***\n\n' "$1" "$2"
}

quietly() {
  if ! "$@" >"$work/said" 2>&1; then
    cat "$work/said" >&2
    return 1
  fi
}

# refused TEXT COMMAND...: runs a command that must fail and print this text.
refused() {
  local expected=$1
  shift
  if "$@" >"$work/said" 2>&1; then
    fail "accepted: $*"
  fi
  grep -q -- "$expected" "$work/said" || {
    cat "$work/said" >&2
    fail "refused, but not for '$expected': $*"
  }
}

eventually() {
  local seconds=$1 end
  shift
  end=$((SECONDS + seconds))
  until "$@" 2>/dev/null; do
    ((SECONDS < end)) || fail "not within $seconds s: $*"
    sleep 0.5
  done
}

# --- Which values were tested ---

# note_values FILE OPTION...: adds those of the options that set values to FILE.
note_values() {
  local file=$1
  shift
  while (($# > 0)); do
    case $1 in
      --values | --set | --set-json) printf '%s\0' "$1" "$2" >>"$file" && shift ;;
    esac
    shift
  done
}

# every_value_in FILE [NAME...]: fails if a value of values.yaml is set by no option in FILE, except these.
every_value_in() {
  local file=$1 chart=$work/names name options missing=()
  shift
  # A chart that prints the names of its values reads the options as Helm does.
  mkdir -p "$chart/templates"
  printf 'apiVersion: v2\nname: names\nversion: 1.0.0\n' >"$chart/Chart.yaml"
  cat >"$chart/templates/names.yaml" <<'END'
{{- define "names" }}
{{- range $name, $value := .values }}
{{ $.group }}{{ $name }}: set
{{- if kindIs "map" $value }}{{ include "names" (dict "values" $value "group" (printf "%s%s." $.group $name)) }}{{ end }}
{{- end }}
{{- end }}
{{- include "names" (dict "values" (omit .Values "global") "group" "") }}
END
  mapfile -d '' options <"$file"
  command "$helm" template names "$chart" "${options[@]}" | sed -n 's/: set$//p' >"$work/names-set"
  # shellcheck disable=SC2016  # Markdown
  while read -r name; do
    grep -qxF -- "$name" "$work/names-set" || [[ " $* " == *" $name "* ]] || missing+=("$name")
  done < <(awk -f hack/chart-values.awk hack/chart/values.yaml | sed -n 's/^| `\([^`]*\)`.*/\1/p')
  ((${#missing[@]} == 0)) || fail "no test sets ${missing[*]}"
}

# shellcheck source=hack/chart-tests/rendering.sh
source hack/chart-tests/rendering.sh
# shellcheck source=hack/chart-tests/locks.sh
source hack/chart-tests/locks.sh
# shellcheck source=hack/chart-tests/cluster.sh
source hack/chart-tests/cluster.sh
# shellcheck source=hack/chart-tests/traffic.sh
source hack/chart-tests/traffic.sh

main() {
  local missing code=0
  mkdir -p target/tools
  helm=$(hack/helm.sh) || code=$?
  if ((code == 3)); then
    skip 'helm and Go are missing' 'the chart is NOT tested'
    return 0
  elif ((code != 0)); then
    fail 'cannot build helm, see above'
  fi
  image=${IMAGE:-$(bash -c 'source hack/lib.sh && default_image')}
  check_rendered
  check_lint
  check_package
  check_refusals
  check_times
  check_choices
  check_locks
  every_value_in "$work/rendered-values"
  check_manifests

  node_image=${KIND_NODE_IMAGE:-$(bash -c 'source hack/lib.sh && newest_node_image')}
  missing=$(missing_for_cluster)
  if [[ -n $missing ]]; then
    skip "$missing" 'the chart is NOT installed in a cluster'
    return 0
  fi
  make_cluster
  check_accepted
  check_alone
  check_wrap
  check_wrapped_service
  check_sidecar
  check_native_sidecar
  check_lease
  check_hub
  # A local image has no digest, a git server is missing, and the tests use namespaces that exist.
  every_value_in "$work/installed-values" image.digest lock.user namespace.create
  begin 'passed'
}

main "$@"
