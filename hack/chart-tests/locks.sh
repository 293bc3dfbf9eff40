# shellcheck shell=bash
#
# Tests that each kind of lock gets its credentials. hack/test-chart.sh sources it.

# lock_has PLACE TEXT OPTION...: as `has`, with this place of the record.
lock_has() {
  local place=$1
  shift
  has "$1" --set "cluster.gistId=,lock.place=$place" "${@:2}"
}

check_locks() {
  begin 'each kind of lock gets its credentials, and no other ones'
  local place text workload='workload.image=x,workload.command={/x},workload.port=80'
  for text in 'kind: Role' ELECTOR_LOCK elector-lock; do
    ! has "$text" || fail "a gist needs no $text"
  done
  for place in gist:abc gist+git:abc; do
    lock_has "$place" "value: \"$place\""
    lock_has "$place" 'secretName: elector-github'
  done
  for place in git+https://host/x#y lease://hub:6443/a/b lease:x; do
    for text in GIST_ID: GITHUB elector-github; do
      ! lock_has "$place" "$text" || fail "$place needs no $text"
    done
  done
  for place in git+https://host/x#y lease://hub:6443/a/b; do
    lock_has "$place" 'secretName: elector-lock'
    lock_has "$place" 'secretName: mine' --set lock.existingSecret=mine
    lock_has "$place" 'key: access, path: token' --set lock.tokenKey=access
    lock_has "$place" 'automountServiceAccountToken: false'
    ! lock_has "$place" 'kind: Role' || fail "$place needs no rights in this cluster"
    ! lock_has "$place" 'ca.crt' || fail "$place needs no certificate authority"
  done
  lock_has git+https://host/x#y 'name: ELECTOR_SSL_CERT_FILE' --set lock.caKey=ca
  lock_has git+https://host/x#y 'value: "me"' --set lock.user=me
  lock_has git+https://host:8443/x#y 'port: 8443}'
  ! lock_has git+https://host/x#a:8443/y 'port: 8443}' || fail 'a part of the branch is a port'
  lock_has lease://hub:6443/a/b 'name: ELECTOR_LOCK_CA_FILE' --set lock.caKey=ca
  lock_has lease://hub:6443/a/b 'port: 6443}'
  ! lock_has lease://hub/a/b 'port: 6443}' || fail 'another port is permitted'
  lock_has lease:x 'port: 6443}'
  lock_has lease:x 'resourceNames: \["x"\]'
  lock_has lease:jobs/x 'namespace: jobs$'
  lock_has lease:jobs/x 'resourceNames: \["x"\]'
  lock_has lease:x 'automountServiceAccountToken: true'
  lock_has lease:x '{kind: ServiceAccount, name: mine,' --set serviceAccount.create=false,serviceAccount.name=mine
  ! lock_has lease:x 'secretName' || fail 'a Lease of this cluster needs no Secret'
  ! lock_has lease:x 'configMapRef: {name: elector-cluster}' --set cluster.name= || fail 'one cluster needs a name'
  lock_has lease:x 'name: no-token' --set "mode=sidecar,$workload"
  ! lock_has lease:x 'name: no-token' --set "mode=sidecar,serviceAccount.automount=true,$workload" ||
    fail 'the program has no token'
  ! lock_has lease:x 'name: no-token' --set "mode=wrap,$workload" || fail 'the elector has no token'
  lock_has az://account/container/x 'secretName: elector-lock'
  # With a role, or with a Secret.
  for place in 's3://bucket/x?region=eu-central-1' gs://bucket/x; do
    for text in 'serviceAccountName: elector' 'automountServiceAccountToken: false' 'port: 988'; do
      lock_has "$place" "$text"
    done
    for text in 'kind: Role' secretName secretKeyRef GITHUB LOCK_TOKEN; do
      ! lock_has "$place" "$text" || fail "$place needs no $text"
    done
    lock_has "$place" 'example.com/role: x' --set 'serviceAccount.annotations.example\.com/role=x'
    ! lock_has "$place" 'port: 988' --set lock.existingSecret=keys || fail "$place with a Secret needs no metadata server"
  done
  for text in AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY 'AWS_SESSION_TOKEN, optional: true'; do
    lock_has s3://bucket/x "secretKeyRef: {name: keys, key: $text}" --set lock.existingSecret=keys
  done
  ! lock_has s3://bucket/x 'path: token\|LOCK_TOKEN' --set lock.existingSecret=keys || fail 's3 has no token'
  lock_has s3://bucket/x 'name: ELECTOR_SSL_CERT_FILE' --set lock.existingSecret=keys,lock.caKey=ca
  lock_has gs://bucket/x 'secretName: access' --set lock.existingSecret=access
  lock_has gs://bucket/x 'name: ELECTOR_LOCK_TOKEN_FILE' --set lock.existingSecret=access
  lock_has 's3://b/x?endpoint=https://s3.example:9000' 'port: 9000}'
}
