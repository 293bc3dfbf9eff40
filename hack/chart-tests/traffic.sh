# shellcheck shell=bash
#
# Tests of the chart in a cluster with a program, each in two namespaces that stand for clusters. hack/test-chart.sh
# sources it.

# shellcheck disable=SC2154  # `image` and so on are variables of that script

# The program is the image's own HTTP server, without knowledge of electors. Otherwise as in the examples.
program=(--set "workload.command={/elector,gist-server,--listen,:8080},workload.healthPath=/_faults")

# Returns whether the program of a namespace answers.
answers() { pod_answers "$1" 8080 _faults; }

# Returns whether one of both namespaces leads, and only its program answers.
only_leaders_answers() {
  local namespace
  one_leads "$1" "$2" || return 1
  for namespace in "$1" "$2"; do
    if leads "$namespace"; then
      answers "$namespace" || return 1
    elif answers "$namespace"; then
      return 1
    fi
  done
}

# move_from NAMESPACE: moves leadership by a graceful shutdown of the leader's pod.
move_from() { quietly kube --namespace "$1" delete pod --selector app.kubernetes.io/name=elector --wait=false; }

leader_of() { if leads "$1"; then echo "$1"; else echo "$2"; fi; }

check_wrap() {
  begin 'in front of an existing image: its program runs in one of two namespaces'
  local leader namespace user
  for namespace in wrap-a wrap-b; do
    install_example "$namespace" report "$WRAP" wrap-values.yaml
  done
  for namespace in wrap-a wrap-b; do rolled_out "$namespace" report; done
  eventually 90 only_leaders_answers wrap-a wrap-b
  leader=$(leader_of wrap-a wrap-b)
  doctor_passes "$leader" report
  move_from "$leader"
  eventually 120 moved_from "$leader" only_leaders_answers wrap-a wrap-b
  # Any user can install and run it, such as those of OpenShift.
  user=1000650000
  upgrade "$leader" report --set workload.securityContext.runAsUser=null \
    --set "podSecurityContext.runAsUser=$user,podSecurityContext.runAsGroup=0,podSecurityContext.fsGroup=$user"
  rolled_out "$leader" report
  eventually 60 only_leaders_answers wrap-a wrap-b
}

# install_example NAMESPACE RELEASE GIST VALUES: installs the values of hack/examples, with another program.
install_example() {
  install "$1" "$2" --values "hack/chart/ci/$4" --set "workload.image=$image" "${program[@]}"
  make_settings "$1" "$2-cluster" "$3"
}

# moved_from NAMESPACE CHECK...: returns whether the rollout is complete and the check succeeds.
moved_from() {
  rolled_out "$1" "$(kube --namespace "$1" get deployments --output jsonpath='{.items[0].metadata.name}')" 2>/dev/null &&
    "${@:2}"
}

# endpoints NAMESPACE SERVICE
endpoints() {
  kube --namespace "$1" get endpointslices --selector "kubernetes.io/service-name=$2" \
    --output jsonpath='{range .items[*].endpoints[?(@.conditions.ready==true)]}{.addresses[0]}{"\n"}{end}'
}

# only_leader_has_endpoints A B SERVICE: returns whether one of both namespaces leads, and only its Service has endpoints.
only_leader_has_endpoints() {
  local leader other=$1
  one_leads "$1" "$2" || return 1
  leader=$(leader_of "$1" "$2")
  [[ $leader != "$1" ]] || other=$2
  [[ -n $(endpoints "$leader" "$3") && -z $(endpoints "$other" "$3") ]]
}

# only_leader_is_served A B SERVICE: the same, and a request to the Service is answered only there.
only_leader_is_served() {
  local leader other=$1
  only_leader_has_endpoints "$@" || return 1
  leader=$(leader_of "$1" "$2")
  [[ $leader != "$1" ]] || other=$2
  service_answers "$leader" "$3" && ! service_answers "$other" "$3"
}

service_answers() { kube get --raw "/api/v1/namespaces/$1/services/$2:workload/proxy/_faults" >/dev/null 2>&1; }

check_wrapped_service() {
  begin "in front of a program that gets traffic: only the leader's pod is in the Service"
  local leader namespace
  for namespace in shop-a shop-b; do
    install "$namespace" shop --values hack/chart/ci/every-wrap-values.yaml --set "workload.image=$image"
    make_settings "$namespace" shop-cluster "$WRAPPED_SERVICE"
  done
  eventually 90 only_leader_is_served shop-a shop-b shop
  leader=$(leader_of shop-a shop-b)
  [[ $(kube --namespace "$leader" get service shop --output jsonpath='{.spec.ports[0].port}') == 8000 ]] ||
    fail 'the Service has another port'
  doctor_passes "$leader" shop
  # An upgrade of the leader ends although its new pod is not ready, and traffic follows the leader.
  upgrade "$leader" shop --set settings.RUST_LOG=debug
  eventually 60 is_upgraded "$leader"
  eventually 90 only_leader_is_served shop-a shop-b shop
  [[ $(leader_of shop-a shop-b) != "$leader" ]] || fail 'the upgraded leader still leads'
}

check_native_sidecar() {
  begin 'a native sidecar holds the lease until the program has stopped'
  local leader other=native-a namespace pod uid since
  for namespace in native-a native-b; do
    install "$namespace" web --values hack/chart/ci/every-sidecar-values.yaml --set "workload.image=$image"
    make_settings "$namespace" shop-cluster "$NATIVE"
  done
  eventually 90 only_leader_is_served native-a native-b web
  leader=$(leader_of native-a native-b)
  [[ $leader != native-a ]] || other=native-b
  doctor_passes "$leader" web
  pod=$(pods "$leader")
  uid=$(kube --namespace "$leader" get pod "$pod" --output jsonpath='{.metadata.uid}')
  node_has "$uid" leader/leader.json || fail 'the leader file is missing'
  # The program takes ten seconds to stop. The other candidate needs about five after a release.
  since=$SECONDS
  quietly kube --namespace "$leader" scale deployment web --replicas 0
  until leads "$other"; do
    ((SECONDS - since < 60)) || fail 'nobody took over'
    sleep 0.2
  done
  ((SECONDS - since >= 10)) || fail "the lease was released after $((SECONDS - since)) s, while the program was running"
  # An ordinary sidecar stops first, which shows that the measure can fail.
  upgrade "$other" web --set nativeSidecar=false
  eventually 60 runs_in "$other"
  eventually 90 leads "$other"
  pod=$(pods "$other")
  quietly kube --namespace "$other" scale deployment web --replicas 0
  eventually 10 elector_stopped_first "$other" "$pod"
}

# elector_stopped_first NAMESPACE POD: returns whether the program answers, and the elector beside it no longer does.
elector_stopped_first() {
  local proxy=/api/v1/namespaces/$1/pods/$2
  ! kube get --raw "$proxy:4040/proxy/healthz" >/dev/null 2>&1 &&
    kube get --raw "$proxy:8080/proxy/_faults" >/dev/null 2>&1
}

check_sidecar() {
  begin "beside an existing image: only the leader's pod is in the Service"
  local leader namespace
  for namespace in side-a side-b; do
    install_example "$namespace" web "$SIDECAR" sidecar-values.yaml
  done
  eventually 90 only_leader_has_endpoints side-a side-b web
  leader=$(leader_of side-a side-b)
  doctor_passes "$leader" web
  # The leader's Deployment is scaled to zero, so the other candidate must take over.
  quietly kube --namespace "$leader" scale deployment web --replicas 0
  eventually 90 other_leads "$leader"
  # An upgrade succeeds although a standby is never ready.
  quietly kube --namespace "$leader" scale deployment web --replicas 1
  eventually 60 runs_in "$leader"
  upgrade "$leader" web --set settings.RUST_LOG=debug
  eventually 60 is_upgraded "$leader"
  eventually 90 other_leads "$leader"
  # So does an upgrade of the leader.
  leader=$(leader_of side-a side-b)
  upgrade "$leader" web --set settings.RUST_LOG=debug
  eventually 60 is_upgraded "$leader"
  eventually 90 only_leader_has_endpoints side-a side-b web
}

# Returns whether the only pod of a namespace runs, ready or not.
runs_in() { [[ $(kube --namespace "$1" get pods --selector app.kubernetes.io/name=elector --output jsonpath='{.items[*].status.phase}') == Running ]]; }

# Returns whether the only pod has the second of the Deployment's two templates.
is_upgraded() {
  local replicas
  replicas=$(kube --namespace "$1" get replicasets \
    --output jsonpath='{range .items[*]}{.metadata.annotations.deployment\.kubernetes\.io/revision}={.status.replicas} {end}')
  [[ " $replicas" == *' 2=1 '* && " $replicas" == *' 1=0 '* ]] && runs_in "$1"
}

other_leads() {
  local other=side-a
  [[ $1 != side-a ]] || other=side-b
  leads "$other" && [[ -n $(endpoints "$other" web) && -z $(endpoints "$1" web) ]]
}

