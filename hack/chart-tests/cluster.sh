# shellcheck shell=bash
#
# Tests of the chart in a cluster: its creation, electors without a program, and Leases. hack/test-chart.sh sources it.

# shellcheck disable=SC2034,SC2154  # `image`, `work` and so on are variables of that script

# One gist per election.
readonly BY_KUBECTL=c4a27e5700000001 ALONE=c4a27e5700000002 WRAP=c4a27e5700000003 SIDECAR=c4a27e5700000004 \
  WRAPPED_SERVICE=c4a27e5700000005 NATIVE=c4a27e5700000006

# Prints the missing tool or image for a cluster, if any.
missing_for_cluster() {
  local tool
  for tool in docker kind kubectl; do
    command -v "$tool" >/dev/null || {
      printf '%s is missing' "$tool"
      return
    }
  done
  docker info >/dev/null 2>&1 || {
    printf 'the Docker daemon does not answer'
    return
  }
  docker image inspect "$image" >/dev/null 2>&1 || {
    printf 'there is no image %s; run make image' "$image"
    return
  }
  [[ -n $node_image ]] || printf 'there is no kindest/node image; pull one, or set KIND_NODE_IMAGE'
}

kube() { kubectl --kubeconfig "$work/kubeconfig" "$@"; }
helm() { command "$helm" --kubeconfig "$work/kubeconfig" "$@"; }

show_cluster() {
  kube get pods,deployments,events --all-namespaces --field-selector metadata.namespace!=kube-system 2>/dev/null || true
  local namespace
  for namespace in leader-election alone wrap-{a,b} shop-{a,b} side-{a,b} native-{a,b} lease-side hub; do
    kube --namespace "$namespace" logs --selector 'app.kubernetes.io/name in (elector, candidate, candidate-test)' \
      --all-containers --prefix --tail=20 2>/dev/null || true
  done
}

make_cluster() {
  begin "a kind cluster of $node_image"
  quietly kind delete cluster --name "$CLUSTER"
  made_cluster=yes
  quietly kind create cluster --name "$CLUSTER" --image "$node_image" --kubeconfig "$work/kubeconfig" --wait 180s
  quietly kind load docker-image "$image" --name "$CLUSTER"
  docker rm --force "$GIST_SERVER" >/dev/null 2>&1 || true
  quietly docker run --detach --name "$GIST_SERVER" --network kind "$image" gist-server --listen :4041 \
    --gist "$BY_KUBECTL" --gist "$ALONE" --gist "$WRAP" --gist "$SIDECAR" --gist "$WRAPPED_SERVICE" --gist "$NATIVE"
  quietly kube apply --filename hack/chart-tests/objects.yaml
  quietly kube wait --for condition=established --timeout 60s customresourcedefinition --all
}

# Creates a namespace that enforces `restricted`, with the Secret. It may exist.
make_namespace() {
  kube create namespace "$1" --dry-run=client --output yaml | quietly kube apply --filename -
  quietly kube label --overwrite namespace "$1" pod-security.kubernetes.io/enforce=restricted \
    pod-security.kubernetes.io/enforce-version=latest
  kube --namespace "$1" create secret generic elector-github --from-literal=token=any --dry-run=client --output yaml |
    quietly kube apply --filename -
}

# make_settings NAMESPACE CONFIGMAP GIST: creates the ConfigMap as docs/kubernetes.md does.
make_settings() {
  quietly kube --namespace "$1" create configmap "$2" --from-literal=CLUSTER_NAME="$1" \
    --from-literal=GIST_ID="$3" --from-literal=GITHUB_API_URL="http://$GIST_SERVER:4041" \
    --from-literal=ALLOW_INSECURE_HTTP=true
}

# install NAMESPACE RELEASE OPTION...: each namespace stands for a cluster.
install() {
  local namespace=$1 release=$2 options
  options=(--set "networkPolicy.gistServerPort=4041,image.repository=${image%:*},image.tag=${image##*:}" "${@:3}")
  make_namespace "$namespace"
  note_values "$work/installed-values" "${options[@]}"
  quietly helm install "$release" hack/chart --namespace "$namespace" "${options[@]}"
}

# upgrade NAMESPACE RELEASE OPTION...
upgrade() {
  local namespace=$1 release=$2
  shift 2
  note_values "$work/installed-values" "$@"
  quietly helm upgrade "$release" hack/chart --namespace "$namespace" --reset-then-reuse-values "$@"
}

# doctor_passes NAMESPACE RELEASE: runs `helm test`, and checks that `elector doctor` has read the store.
doctor_passes() {
  quietly helm test "$2" --namespace "$1" --logs --timeout 120s
  grep -q '^ok  *record ' "$work/said" || {
    cat "$work/said" >&2
    fail 'the test has not read the record'
  }
}

# Prints the pods of a namespace that are not being deleted.
pods() {
  kube --namespace "$1" get pods --selector 'app.kubernetes.io/name in (elector, candidate)' \
    --output go-template='{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}}{{"\n"}}{{end}}{{end}}'
}

# pod_answers NAMESPACE PORT PATH: returns whether a pod answers 200, through the API server.
pod_answers() {
  local pod
  for pod in $(pods "$1"); do
    kube get --raw "/api/v1/namespaces/$1/pods/$pod:$2/proxy/$3" >/dev/null 2>&1 && return 0
  done
  return 1
}

# Returns whether a pod of the namespace leads.
leads() { pod_answers "$1" 4040 leader; }

one_leads() {
  local count=0 namespace
  for namespace in "$1" "$2"; do
    if leads "$namespace"; then count=$((count + 1)); fi
  done
  ((count == 1))
}

rolled_out() { quietly kube --namespace "$1" rollout status "deployment/$2" --timeout 120s; }

check_accepted() {
  begin 'the committed manifests run where restricted is enforced'
  kube create namespace leader-election --dry-run=client --output yaml | quietly kube apply --filename -
  printf 'any' >"$work/token"
  quietly kube --namespace leader-election create secret generic elector-github --from-file=token="$work/token"
  make_settings leader-election elector-cluster "$BY_KUBECTL"
  quietly kube apply --filename hack/manifests/gist-server-egress.yaml
  sed "s|g1g1/multi-cluster-leader-election:.*|$image|" hack/manifests/elector.yaml | quietly kube apply --filename -
  local file
  kubernetes_files | while read -r file; do
    quietly kube apply --dry-run=server --validate=strict --warnings-as-errors --filename "$file"
  done
  # The level is enforced: other pods are refused. (Until the namespace has its service account, they are
  # refused for another reason.)
  eventually 60 quietly kube --namespace leader-election get serviceaccount default
  refused 'PodSecurity' kube --namespace leader-election run x --image "$image"
  rolled_out leader-election elector
  eventually 60 leads leader-election
}

check_alone() {
  begin 'an elector alone, with every value: installed, tested, scraped, upgraded, two replicas, removed'
  make_namespace alone
  quietly kube --namespace alone create secret generic gist-token --from-literal=access=any
  install alone elector --values hack/chart/ci/every-alone-values.yaml
  rolled_out alone election
  eventually 60 leads alone
  doctor_passes alone elector
  quietly helm get notes elector --namespace alone
  local command pod
  command=$(sed -n 's/^  kubectl \(.* exec .*\)/\1/p' "$work/said")
  # shellcheck disable=SC2086  # the words of a command
  quietly kube $command
  grep -q '^leader  *alone/' "$work/said" || fail "the command in the notes does not show the leader: $(<"$work/said")"
  pod=$(pods alone)
  node_has "$(kube --namespace alone get pod "$pod" --output jsonpath='{.metadata.uid}')" leader/leader.json ||
    fail 'the leader file is missing'
  kube get --raw /api/v1/namespaces/alone/services/election-metrics:http/proxy/metrics >"$work/said" ||
    fail 'the metrics Service does not answer'
  grep -q '^elector_' "$work/said" || fail 'the metrics Service gives no metrics'
  quietly kube --namespace alone get podmonitor,prometheusrule election
  [[ $(kube --namespace alone get prometheusrule election --output jsonpath='{.spec.groups[*].rules[*].expr}') ]] ||
    fail 'the PrometheusRule has no rules'
  check_pod_fields "$pod"

  local before=$pod after mounts
  upgrade alone elector --set settings.RUST_LOG=debug
  rolled_out alone election
  after=$(pods alone)
  [[ $before != "$after" ]] || fail 'a new setting did not create a new pod'
  eventually 60 leads alone
  upgrade alone elector --set replicas=2
  rolled_out alone election
  eventually 60 may_be_disrupted
  # It has no credentials for this cluster's API.
  mounts=$(kube --namespace alone get pods --selector app.kubernetes.io/name=candidate \
    --output jsonpath='{.items[*].spec.containers[*].volumeMounts[*].mountPath}')
  [[ -n $mounts && $mounts != *serviceaccount* ]] || fail "a service account token is mounted: $mounts"
  upgrade alone elector --set serviceAccount.automount=true,replicas=1
  rolled_out alone election
  mounts=$(kube --namespace alone get pods --selector app.kubernetes.io/name=candidate \
    --output jsonpath='{.items[*].spec.containers[*].volumeMounts[*].mountPath}')
  [[ $mounts == *serviceaccount* ]] || fail "no service account token is mounted: $mounts"
  quietly helm uninstall elector --namespace alone --wait --timeout 120s
}

# node_has UID FILE: returns whether a pod's emptyDir has this file.
node_has() {
  docker exec "$CLUSTER-control-plane" test -s "/var/lib/kubelet/pods/$1/volumes/kubernetes.io~empty-dir/$2"
}

# Checks that the values of a pod are those of every-alone-values.yaml, after the API server's own changes.
check_pod_fields() {
  local field expected
  while read -r field expected; do
    [[ $(kube --namespace alone get pod "$1" --output "jsonpath={$field}") == "$expected" ]] ||
      fail "the pod's $field is not $expected"
  done <<'END'
.spec.priorityClassName chart-test
.spec.serviceAccountName candidate
.spec.topologySpreadConstraints[0].labelSelector.matchLabels.app\.kubernetes\.io/name candidate
.metadata.labels.example\.com/team election
.metadata.annotations.example\.com/note a note
.spec.containers[0].lifecycle.preStop.httpGet.path /healthz
.spec.containers[0].livenessProbe.periodSeconds 5
.spec.containers[0].readinessProbe.periodSeconds 2
.spec.imagePullSecrets[0].name registry
.spec.securityContext.runAsUser 1000
END
}

may_be_disrupted() {
  [[ $(kube --namespace alone get poddisruptionbudget election --output jsonpath='{.status.disruptionsAllowed}') == 1 ]]
}

check_lease() {
  begin 'a Lease of this cluster: rights on nothing else'
  sed "s|g1g1/multi-cluster-leader-election:.*|$image|" hack/examples/lease.yaml | quietly kube apply --filename -
  rolled_out leader-election batch
  eventually 60 holder_leads
  local verb mounts
  for verb in get update; do
    may "$verb" batch || fail "it may not $verb its Lease"
    ! may "$verb" another || fail "it may $verb another Lease"
  done
  for verb in list watch patch delete; do
    ! may "$verb" batch || fail "it may $verb its Lease"
  done
  awk '/^kind: FlowSchema/ { found = 1; print before } { before = $0 } /^```/ { found = 0 } found' docs/stores.md |
    quietly kube apply --dry-run=server --validate=strict --warnings-as-errors --filename -
  # A program beside the elector does not get its token.
  install lease-side web --values hack/chart/ci/sidecar-values.yaml --set "workload.image=$image" "${program[@]}" \
    --set cluster.existingConfigMap=,lock.place=lease:web
  eventually 90 leads lease-side
  doctor_passes lease-side web
  mounts=$(kube --namespace lease-side get pods \
    --output jsonpath='{.items[*].spec.containers[?(@.name=="workload")].volumeMounts[*].name}')
  [[ $mounts == *no-token* && $mounts != *kube-api-access* ]] || fail "the program gets $mounts"
}

# may VERB LEASE: returns whether the service account of hack/examples/lease.yaml may do so.
may() {
  [[ $(kube --namespace leader-election auth can-i "$1" "leases.coordination.k8s.io/$2" \
    --as system:serviceaccount:leader-election:batch 2>/dev/null) == yes ]]
}

# Returns whether the pod that the Lease names leads.
holder_leads() {
  local holder
  holder=$(kube --namespace leader-election get lease batch --output jsonpath='{.spec.holderIdentity}')
  [[ $holder == leader-election/batch-* ]] &&
    kube get --raw "/api/v1/namespaces/leader-election/pods/${holder##*/}:4040/proxy/leader" >/dev/null
}

check_hub() {
  begin "a Lease of a hub cluster, by a Secret: this cluster's own API server"
  make_namespace hub
  quietly kube apply --filename hack/examples/hub.yaml
  kube config view --raw --minify --output jsonpath='{.clusters[0].cluster.certificate-authority-data}' |
    base64 -d >"$work/ca.crt"
  quietly kube --namespace hub create secret generic hub-token --from-file=ca.crt="$work/ca.crt" \
    --from-literal=access="$(kube --namespace leader-election create token elector)"
  install hub elector --set cluster.name=hub,lock.existingSecret=hub-token,lock.tokenKey=access,lock.caKey=ca.crt \
    --set "lock.place=lease://$CLUSTER-control-plane:6443/leader-election/elector"
  rolled_out hub elector
  eventually 60 leads hub
  doctor_passes hub elector
}
