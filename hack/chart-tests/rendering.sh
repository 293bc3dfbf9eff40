# shellcheck shell=bash
#
# Tests of the chart without a cluster, except those of the locks. hack/test-chart.sh sources it.

# shellcheck disable=SC2154  # `helm` and `work` are variables of that script

check_rendered() {
  begin 'the chart renders hack/manifests, hack/examples and its own generated files'
  hack/render-chart.sh "$work/rendered"
  local file
  while read -r file; do
    diff --unified "hack/$file" "$work/rendered/$file" || fail "hack/$file differs; run make manifests"
  done < <(cd "$work/rendered" && find . -type f -printf '%P\n')
  for file in hack/manifests/*.yaml; do
    [[ -f $work/rendered/manifests/${file##*/} ]] || fail "$file is not rendered from the chart"
  done
}

check_lint() {
  local values
  for values in hack/chart/ci/*.yaml; do
    begin "helm lint with ${values##*/}"
    quietly "$helm" lint --strict --kube-version "$KUBERNETES" hack/chart --values "$values"
    note_values "$work/rendered-values" --values "$values"
  done
}

check_package() {
  begin 'the packaged chart is complete, and without the tests'
  quietly "$helm" package hack/chart --destination "$work"
  "$helm" template elector "$work"/multi-cluster-leader-election-*.tgz --kube-version "$KUBERNETES" \
    --values hack/chart/ci/every-alone-values.yaml >"$work/said"
  grep -q 'alert: ' "$work/said" || fail 'the package has no rules for Prometheus'
  tar --list --file "$work"/multi-cluster-leader-election-*.tgz >"$work/said"
  grep -q '/README.md$' "$work/said" || fail 'the package has no README.md'
  ! grep '/ci/' "$work/said" || fail 'the package has the values of the tests'
}

template() { "$helm" template elector hack/chart --kube-version "$KUBERNETES" "$@"; }

check_refusals() {
  begin 'wrong or missing values are refused'
  local cluster=(--set 'cluster.name=napoleon,cluster.gistId=abc')
  local wrap=("${cluster[@]}" --set 'mode=wrap,workload.image=x,workload.command={/x}')
  local sidecar=("${cluster[@]}" --set 'mode=sidecar,workload.image=x,workload.port=80')
  quietly template "${cluster[@]}"
  refused 'cluster.name is required' template --set cluster.gistId=abc
  refused 'cluster.gistId is required' template --set cluster.name=napoleon
  refused 'LEASE_LENGTH' template "${cluster[@]}" --set settings.LEASE_LENGTH=30s
  refused 'GITHUB_API_TOKEN' template "${cluster[@]}" --set settings.GITHUB_API_TOKEN=secret
  refused 'token' template "${cluster[@]}" --set github.token=secret
  refused 'LEASE_DURATION' template "${cluster[@]}" --set settings.LEASE_DURATION=true
  refused 'RETRY_PERIOD' template "${cluster[@]}" --set settings.RETRY_PERIOD=8
  refused 'RETRY_PERIOD' template "${cluster[@]}" --set-string settings.RETRY_PERIOD=8
  refused 'LOG_FORMAT' template "${cluster[@]}" --set settings.LOG_FORMAT=yaml
  refused 'mode' template "${cluster[@]}" --set mode=both
  refused 'workload.image is required' template "${cluster[@]}" --set mode=sidecar,workload.port=80
  refused 'workload.command is required' template "${cluster[@]}" --set mode=wrap,workload.image=x
  refused 'workload.healthPath needs workload.port' template "${wrap[@]}" --set workload.healthPath=/
  refused 'workload.port is required with a Service' template "${cluster[@]}" --set mode=sidecar,workload.image=x
  refused 'workload.port is required with a Service' template "${wrap[@]}" --set service.enabled=true
  refused 'no program to send traffic to' template "${cluster[@]}" --set service.enabled=true
  refused 'set workload.healthPath' template "${wrap[@]}" --set workload.probes.livenessProbe.periodSeconds=1
  refused 'nativeSidecar needs mode: sidecar' template "${wrap[@]}" --set nativeSidecar=true
  refused 'Kubernetes 1.29 or later, not v1.28' template "${sidecar[@]}" --set nativeSidecar=true --kube-version 1.28
  refused 'httpGet' template "${cluster[@]}" --set readinessProbe.httpGet.path=/
  refused 'invalid propertyName' template "${cluster[@]}" --set 'podLabels.app\.kubernetes\.io/name=x'
  refused 'fullnameOverride' template "${cluster[@]}" --set fullnameOverride=Elector
  refused 'cluster.gistId: set, and so is lock.place' template "${cluster[@]}" --set lock.place=lease:x
  refused 'cluster.name is required' template --set lock.place=lease://hub/a/b
  refused 'place' template --set cluster.name=napoleon,lock.place=etcd:x
  refused 'place' template --set cluster.name=napoleon,lock.place=git+https://me:secret@host/x
  refused 'token' template --set cluster.name=napoleon,lock.place=lease:x,lock.token=secret
  refused 'runAsUser' template "${wrap[@]}" --set workload.securityContext.runAsUser=0

  # A leader file needs a volume to which the elector writes and which the program sees.
  local file=(--set settings.LEADER_FILE=/run/leader/leader.json)
  local volume=(--set 'extraVolumes[0].name=leader,extraVolumes[0].emptyDir.sizeLimit=1Mi')
  local mount=(--set 'extraVolumeMounts[0].name=leader,extraVolumeMounts[0].mountPath=/run/leader')
  refused 'no writable volume is mounted at /run/leader' template "${cluster[@]}" "${file[@]}"
  refused 'no writable volume is mounted at /run/leader' template "${cluster[@]}" "${file[@]}" "${volume[@]}" \
    "${mount[@]}" --set 'extraVolumeMounts[0].readOnly=true'
  refused 'no writable volume is mounted at /run/leader' template "${cluster[@]}" "${file[@]}" "${volume[@]}" \
    --set 'extraVolumeMounts[0].name=leader,extraVolumeMounts[0].mountPath=/run/lead'
  refused 'the program does not mount the volume leader' template "${sidecar[@]}" "${file[@]}" "${volume[@]}" "${mount[@]}"
  quietly template "${cluster[@]}" "${file[@]}" "${volume[@]}" "${mount[@]}"
  quietly template "${wrap[@]}" "${file[@]}" --set 'workload.writable={/run/leader}'
}

# Prints an elector that was built, if any.
built_elector() {
  local program
  for program in target/static/elector target/release/elector target/debug/elector; do
    [[ ! -x $program ]] || printf '%s\n' "$program"
  done | head -n 1
}

# Places with one kind of default times each, and what a lease must last at the defaults, in milliseconds, according to
# docs/configuration.md: (RENEW_DEADLINE + RETRY_PERIOD + TERMINATION_GRACE) * 30 / 29, rounded up.
readonly -A SHORTEST_LEASE=([gist:abc]=30000 [gist+git:abc]=39311 [git+https://h/x]=39311
  [lease://h/a/b]=13449 [s3://bucket/x?region=eu-central-1]=18621 [az://account/container/x]=18621 [gs://bucket/x]=18621)

# shellcheck disable=SC2054  # one entry may have several settings
# Times that are compared with the elector's own judgement, with every kind of lock.
readonly TIMES=(
  LEASE_DURATION=30s LEASE_DURATION=29s LEASE_DURATION=39.4s LEASE_DURATION=13s LEASE_DURATION=1h LEASE_DURATION=1h1ms
  LEASE_DURATION=0s RENEW_DEADLINE=9.6s RENEW_DEADLINE=9601ms RENEW_DEADLINE=2401ms RENEW_DEADLINE=4800ms
  RETRY_PERIOD=4s RETRY_PERIOD=500ms RETRY_PERIOD=2m POLL_PERIOD=24h POLL_PERIOD=24h1s POLL_PERIOD=0
  CONFIRM_DELAY=4s CONFIRM_DELAY=4001ms CONFIRM_DELAY=.5s TAKEOVER_STAGGER=15s TAKEOVER_STAGGER=41s
  TERMINATION_GRACE=6.5s TERMINATION_GRACE=0s TERMINATION_GRACE=10s
  FAILBACK_AFTER=20s,PREFERRED=true FAILBACK_AFTER=1m,PREFERRED=true FAILBACK_AFTER=1s
  LEASE_DURATION=1m30s,RENEW_DEADLINE=1m,RETRY_PERIOD=20s LEASE_DURATION=1m30s,RENEW_DEADLINE=1m,RETRY_PERIOD=22s
)

# accepts_times PLACE SETTINGS: returns whether the chart accepts these settings, separated by commas.
accepts_times() {
  local settings
  settings=settings.${2//,/,settings.}
  if template --set "cluster.name=napoleon,lock.place=$1" --set-string "$settings" >"$work/said" 2>&1; then
    return 0
  fi
  grep -q '^settings\.[A-Z_]*: ' "$work/said" || fail "refused for another reason: $1 $2: $(<"$work/said")"
  return 1
}

# Prints variables with which the elector accepts a place.
credentials() {
  case $1 in
    gist*) echo GITHUB_API_TOKEN=x ;;
    s3:*) echo AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x ;;
    *) echo LOCK_TOKEN=x ;;
  esac
}

check_times() {
  begin 'times that contradict each other are refused, for each kind of lock'
  local place lease
  for place in "${!SHORTEST_LEASE[@]}"; do
    lease=${SHORTEST_LEASE[$place]}
    accepts_times "$place" "LEASE_DURATION=${lease}ms" || fail "$place: a lease of $lease ms is refused"
    ! accepts_times "$place" "LEASE_DURATION=$((lease - 1))ms" || fail "$place: a lease of $((lease - 1)) ms is accepted"
  done
  local program times answer said wrong
  program=$(built_elector)
  if [[ -z $program ]]; then
    skip 'no elector was built' 'the rules between the times are NOT compared with it'
    return 0
  fi
  for place in "${!SHORTEST_LEASE[@]}"; do
    # These are objects too, as in S3.
    [[ $place != az:* && $place != gs:* ]] || continue
    for times in "${TIMES[@]}"; do
      # With a wrong address it names every problem, and ends.
      # shellcheck disable=SC2046,SC2086  # one variable each
      said=$(env -i HTTP_ADDR=wrong LOCK="$place" $(credentials "$place") ${times//,/ } "$program" 2>&1) &&
        fail "$program has no problem with a wrong address"
      grep -q '^  HTTP_ADDR: ' <<<"$said" || fail "$program does not name the wrong address: $said"
      # No other problem may hide those of the times.
      wrong=$(grep '^  [A-Z_]*: ' <<<"$said" | grep -v '^  HTTP_ADDR: ' || true)
      answer=''
      accepts_times "$place" "$times" || answer=refused
      [[ ${answer:+x} == "${wrong:+x}" ]] ||
        fail "$place $times: the chart says '${answer:-accepted}', elector '${wrong:-accepted}'"
    done
  done
}

# has TEXT OPTION...: returns whether the chart renders this text with these values.
has() {
  local text=$1
  shift
  template --set cluster.name=napoleon,cluster.gistId=abc "$@" >"$work/said" || fail "refused: $*"
  note_values "$work/rendered-values" "$@"
  grep -q -- "$text" "$work/said"
}

check_choices() {
  begin 'values have their effect'
  local workload='workload.image=x,workload.command={/x},workload.port=80'
  ! has 'kind: PodDisruptionBudget' || fail 'one replica has a budget, which would block drains'
  has 'kind: PodDisruptionBudget' --set replicas=2
  has 'kind: PodDisruptionBudget' --set "replicas=2,mode=wrap,$workload"
  has 'kind: PodDisruptionBudget' --set "replicas=2,mode=sidecar,service.enabled=false,$workload"
  ! has 'kind: PodDisruptionBudget' --set "replicas=2,mode=sidecar,$workload" ||
    fail 'mode sidecar, where only one pod is ever ready, has a budget'
  ! has 'kind: PodDisruptionBudget' --set "replicas=2,mode=wrap,service.enabled=true,$workload" ||
    fail 'a program with a Service, where only one pod is ever ready, has a budget'
  has 'image: x/y@sha256:' --set "image.repository=x/y,image.digest=sha256:$(printf '%064d' 0)"
  has 'image: x/y:z' --set image.repository=x/y,image.tag=z
  has 'terminationGracePeriodSeconds: 70' --set stopTimeoutSeconds=60
  has 'STOP_TIMEOUT: "60s"' --set stopTimeoutSeconds=60
  has 'CLUSTER_NAME: "napoleon"'
  has 'RELEASE_ON_CANCEL: "false"' --set settings.RELEASE_ON_CANCEL=false
  ! has 'CLUSTER_NAME:' --set cluster.existingConfigMap=mine || fail 'two ConfigMaps name the cluster'
  local part
  for part in 'type: Recreate' 'name: READY_WHEN' 'kind: Service$' 'failureThreshold: 1$'; do
    has "$part" --set "mode=sidecar,$workload"
    ! has "$part" --set "mode=sidecar,service.enabled=false,$workload" || fail "without a Service there is $part"
    ! has "$part" --set "mode=wrap,$workload" || fail "in front of a program there is $part"
  done
  for part in 'type: Recreate' 'name: ELECTOR_READY_WHEN' 'kind: Service$' 'failureThreshold: 1$'; do
    has "$part" --set "mode=wrap,service.enabled=true,$workload"
  done
  ! has 'runAs\(User\|Group\)\|fsGroup' --set \
    podSecurityContext.runAsUser=null,podSecurityContext.runAsGroup=null,podSecurityContext.fsGroup=null ||
    fail 'OpenShift cannot choose the user'
  ! has 'kind: NetworkPolicy' --set networkPolicy.enabled=false || fail 'the policy cannot be disabled'
  has 'readOnlyRootFilesystem: false' --set "mode=wrap,$workload,workload.securityContext.readOnlyRootFilesystem=false"
  has 'failureThreshold: 7' --set livenessProbe.failureThreshold=7
  has 'failureThreshold: 8' --set readinessProbe.failureThreshold=8
  ! has 'kind: ServiceAccount' --set serviceAccount.create=false || fail 'the service account cannot be left out'
  has 'serviceAccountName: default' --set serviceAccount.create=false
  has 'serviceAccountName: mine' --set serviceAccount.create=false,serviceAccount.name=mine
  has 'automountServiceAccountToken: true' --set serviceAccount.automount=true
  has 'helm.sh/chart: multi-cluster-leader-election-'
  has 'app.kubernetes.io/managed-by: Helm'
  for part in 'kind: PodMonitor' 'kind: PrometheusRule' 'clusterIP: None'; do
    ! has "$part" || fail "$part is there by default"
  done
  # The name is in every object, and the label in every selector.
  has 'name: other-test$' --set fullnameOverride=other,nameOverride=thing
  ! grep -E '^  name: ' "$work/said" | grep -v '^  name: other\(-.*\)\?$' || fail 'an object has another name'
  ! grep -q 'app.kubernetes.io/name: elector' "$work/said" || fail 'an object has another label'
}

# Lists the committed files with Kubernetes' objects.
kubernetes_files() { grep --files-with-matches '^apiVersion:' hack/manifests/*.yaml hack/examples/*.yaml; }

check_manifests() {
  local venv=target/tools/${VALIDATE//==/-} python values files=()
  python=$venv/bin/python
  begin 'the schemas of several Kubernetes versions, and Pod Security'
  if [[ ! -x $python ]] || ! "$python" -c 'import kubernetes_validate' 2>/dev/null; then
    if ! command -v python3 >/dev/null; then
      skip 'python3 is missing' 'the manifests are NOT validated'
      return 0
    fi
    if ! { python3 -m venv "$venv" && "$python" -m pip install --quiet "$VALIDATE"; } >"$work/said" 2>&1; then
      tail -n 3 "$work/said"
      skip "$VALIDATE cannot be installed" 'the manifests are NOT validated'
      return 0
    fi
  fi
  for values in hack/chart/ci/every-*.yaml; do
    template --values "$values" >"$work/${values##*/}"
    files+=("$work/${values##*/}")
  done
  template --values hack/chart/ci/elector-values.yaml --set replicas=2 >"$work/two.yaml"
  template --set cluster.name=napoleon,cluster.gistId=abc >"$work/helm.yaml"
  template --values hack/chart/ci/sidecar-values.yaml --set lock.place=lease:jobs/web >"$work/lease-sidecar.yaml"
  template --values hack/chart/ci/every-sidecar-values.yaml --set lock.place=lease:jobs/web >"$work/lease-native.yaml"
  template --values hack/chart/ci/wrap-values.yaml --set lock.place=git+https://host/x,lock.caKey=ca >"$work/git-wrap.yaml"
  template --set cluster.name=napoleon,lock.place=s3://bucket/x >"$work/s3.yaml"
  template --set cluster.name=napoleon,lock.place=s3://bucket/x,lock.existingSecret=keys,lock.caKey=ca >"$work/s3-keys.yaml"
  mapfile -t -O "${#files[@]}" files < <(kubernetes_files)
  "$python" hack/check-manifests.py "${files[@]}" \
    "$work"/{two,helm,lease-sidecar,lease-native,git-wrap,s3,s3-keys}.yaml
}
