# --- In a cluster ---

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
  for namespace in leader-election alone wrap-a wrap-b side-a side-b lease-side; do
    kube --namespace "$namespace" logs --selector app.kubernetes.io/name=elector --all-containers --prefix \
      --tail=20 2>/dev/null || true
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
    --gist "$BY_KUBECTL" --gist "$ALONE" --gist "$WRAP" --gist "$SIDECAR"
}

# Creates a namespace that enforces `restricted`, with the Secret.
make_namespace() {
  quietly kube create namespace "$1"
  quietly kube label namespace "$1" pod-security.kubernetes.io/enforce=restricted \
    pod-security.kubernetes.io/enforce-version=latest
  quietly kube --namespace "$1" create secret generic elector-github --from-literal=token=any
}

# make_settings NAMESPACE CONFIGMAP GIST: creates the ConfigMap as docs/kubernetes.md does.
make_settings() {
  quietly kube --namespace "$1" create configmap "$2" --from-literal=CLUSTER_NAME="$1" \
    --from-literal=GIST_ID="$3" --from-literal=GITHUB_API_URL="http://$GIST_SERVER:4041" \
    --from-literal=ALLOW_INSECURE_HTTP=true
}

# install NAMESPACE RELEASE OPTION...: each namespace stands for a cluster.
install() {
  local namespace=$1 release=$2
  shift 2
  make_namespace "$namespace"
  quietly helm install "$release" hack/chart --namespace "$namespace" --set networkPolicy.gistServerPort=4041 \
    --set "image.repository=${image%:*},image.tag=${image##*:}" "$@"
}

# Prints the pods of a namespace that are not being deleted.
pods() {
  kube --namespace "$1" get pods --selector app.kubernetes.io/name=elector \
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
  for file in hack/manifests/*.yaml hack/examples/*.yaml; do
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
  begin 'an elector alone: installed, upgraded, two replicas, removed'
  install alone elector --set "cluster.name=alone,cluster.gistId=$ALONE" \
    --set "cluster.githubApiUrl=http://$GIST_SERVER:4041,settings.ALLOW_INSECURE_HTTP=true"
  rolled_out alone elector
  eventually 60 leads alone
  local before after mounts
  before=$(pods alone)
  quietly helm upgrade elector hack/chart --namespace alone --reset-then-reuse-values --set settings.RUST_LOG=debug
  rolled_out alone elector
  after=$(pods alone)
  [[ $before != "$after" ]] || fail 'a new setting did not create a new pod'
  eventually 60 leads alone
  quietly helm upgrade elector hack/chart --namespace alone --reset-then-reuse-values --set replicas=2
  rolled_out alone elector
  eventually 60 may_be_disrupted
  # It has no credentials for this cluster's API.
  mounts=$(kube --namespace alone get pods --output jsonpath='{.items[*].spec.containers[*].volumeMounts[*].mountPath}')
  [[ -n $mounts && $mounts != *serviceaccount* ]] || fail "a service account token is mounted: $mounts"
  quietly helm uninstall elector --namespace alone --wait --timeout 120s
}

may_be_disrupted() {
  [[ $(kube --namespace alone get poddisruptionbudget elector --output jsonpath='{.status.disruptionsAllowed}') == 1 ]]
}

# The program is the image's own HTTP server, without knowledge of electors. Otherwise as in the examples.
program=(--set "workload.command={/elector,gist-server,--listen,:8080},workload.healthPath=/_faults")

# Returns whether the program of a namespace answers.
answers() { pod_answers "$1" 8080 _faults; }

only_leaders_answers() {
  local namespace
  one_leads wrap-a wrap-b || return 1
  for namespace in wrap-a wrap-b; do
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
  eventually 90 only_leaders_answers
  leader=$(leader_of wrap-a wrap-b)
  move_from "$leader"
  eventually 120 moved_from "$leader" only_leaders_answers
  # Any user can install and run it, such as those of OpenShift.
  user=1000650000
  quietly helm upgrade report hack/chart --namespace "$leader" --reset-then-reuse-values --set workload.runAsUser=null \
    --set "podSecurityContext.runAsUser=$user,podSecurityContext.runAsGroup=0,podSecurityContext.fsGroup=$user"
  rolled_out "$leader" report
  eventually 60 only_leaders_answers
}

# install_example NAMESPACE RELEASE GIST VALUES: installs the values of hack/examples, with another program.
install_example() {
  install "$1" "$2" --values "hack/chart/ci/$4" --set "workload.image=$image" "${program[@]}"
  make_settings "$1" "$2-cluster" "$3"
}

# moved_from NAMESPACE CHECK: returns whether the rollout is complete and the check succeeds.
moved_from() {
  rolled_out "$1" "$(kube --namespace "$1" get deployments --output jsonpath='{.items[0].metadata.name}')" 2>/dev/null &&
    "$2"
}

endpoints() {
  kube --namespace "$1" get endpointslices --selector kubernetes.io/service-name=web \
    --output jsonpath='{range .items[*].endpoints[?(@.conditions.ready==true)]}{.addresses[0]}{"\n"}{end}'
}

only_leader_has_endpoints() {
  local leader other
  one_leads side-a side-b || return 1
  leader=$(leader_of side-a side-b)
  other=side-a
  [[ $leader != side-a ]] || other=side-b
  [[ -n $(endpoints "$leader") && -z $(endpoints "$other") ]]
}

check_sidecar() {
  begin "beside an existing image: only the leader's pod is in the Service"
  local leader namespace
  for namespace in side-a side-b; do
    install_example "$namespace" web "$SIDECAR" sidecar-values.yaml
  done
  eventually 90 only_leader_has_endpoints
  leader=$(leader_of side-a side-b)
  # The leader's Deployment is scaled to zero, so the other candidate must take over.
  quietly kube --namespace "$leader" scale deployment web --replicas 0
  eventually 90 other_leads "$leader"
  # An upgrade succeeds although a standby is never ready.
  quietly kube --namespace "$leader" scale deployment web --replicas 1
  eventually 60 runs_in "$leader"
  quietly helm upgrade web hack/chart --namespace "$leader" --reset-then-reuse-values --set settings.RUST_LOG=debug
  eventually 60 is_upgraded "$leader"
  eventually 90 other_leads "$leader"
  # So does an upgrade of the leader.
  leader=$(leader_of side-a side-b)
  quietly helm upgrade web hack/chart --namespace "$leader" --reset-then-reuse-values --set settings.RUST_LOG=debug
  eventually 60 is_upgraded "$leader"
  eventually 90 only_leader_has_endpoints
}

# Returns whether the only pod of a namespace runs, ready or not.
runs_in() { [[ $(kube --namespace "$1" get pods --output jsonpath='{.items[*].status.phase}') == Running ]]; }

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
  leads "$other" && [[ -n $(endpoints "$other") && -z $(endpoints "$1") ]]
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

