{{/* Every object is named after the release: `helm install elector ...` creates a Deployment `elector`. */}}

{{- define "elector.selectorLabels" -}}
app.kubernetes.io/name: elector
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "elector.labels" -}}
{{ include "elector.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "elector.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "elector.clusterConfigMap" -}}
{{ .Values.cluster.existingConfigMap | default (printf "%s-cluster" .Release.Name) }}
{{- end }}

{{/* What lock.place names: a `gist`, a `lease` of this cluster, an object of a `cloud` that gives the pod its
     credentials, or a store with a `token`. */}}
{{- define "elector.lockKind" -}}
{{- $place := .Values.lock.place -}}
{{- if or (not $place) (hasPrefix "gist:" $place) (hasPrefix "gist+git:" $place) -}}
gist
{{- else if and (hasPrefix "lease:" $place) (not (hasPrefix "lease://" $place)) -}}
lease
{{- else if or (hasPrefix "s3:" $place) (hasPrefix "gs:" $place) -}}
cloud
{{- else -}}
token
{{- end }}
{{- end }}

{{/* The namespace and the name of a Lease of this cluster. */}}
{{- define "elector.leaseNamespace" -}}
{{- $parts := .Values.lock.place | trimPrefix "lease:" | splitList "/" -}}
{{ len $parts | eq 1 | ternary .Release.Namespace (first $parts) }}
{{- end }}
{{- define "elector.leaseName" -}}
{{ .Values.lock.place | trimPrefix "lease:" | splitList "/" | last }}
{{- end }}

{{/* The port of the lock's server, if it is not 443. */}}
{{- define "elector.lockPort" -}}
{{- $place := .Values.lock.place -}}
{{- $server := regexFind "endpoint=[^&]*" $place | trimPrefix "endpoint=" | default $place -}}
{{- $port := regexFind "^[a-z+]+://[^/#]*:[0-9]+([/#]|$)" $server | regexFind "[0-9]+[/#]?$" | trimAll "/#" -}}
{{- if eq (include "elector.lockKind" .) "lease" -}}
6443
{{- else if ne $port "443" -}}
{{ $port }}
{{- end }}
{{- end }}

{{/* Whether there are settings of the cluster. In one cluster, candidates need no cluster's name. */}}
{{- define "elector.hasCluster" -}}
{{- with .Values.cluster -}}
{{- if or .existingConfigMap .name (ne (include "elector.lockKind" $) "lease") -}}
true
{{- end }}
{{- end }}
{{- end }}

{{/* The credentials of the lock: a volume, and where it is mounted. */}}
{{- define "elector.lockMount" -}}
{{- $kind := include "elector.lockKind" . -}}
{{- if eq $kind "gist" -}}
- {name: github, mountPath: /etc/elector/github, readOnly: true}
{{- else if eq $kind "token" -}}
- {name: lock, mountPath: /etc/elector/lock, readOnly: true}
{{- end }}
{{- end }}
{{- define "elector.lockVolume" -}}
{{- $kind := include "elector.lockKind" . -}}
{{- if eq $kind "gist" -}}
- name: github
  secret:
    secretName: {{ .Values.github.existingSecret }}
    items: [{key: {{ .Values.github.tokenKey }}, path: token}]
    defaultMode: 0440
{{- else if eq $kind "token" -}}
- name: lock
  secret:
    secretName: {{ .Values.lock.existingSecret }}
    items:
    - {key: {{ .Values.lock.tokenKey }}, path: token}
    {{- with .Values.lock.caKey }}
    - {key: {{ . }}, path: ca.crt}
    {{- end }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{/* The requirements of the level `restricted`, and a read-only root file system. */}}
{{- define "elector.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* The settings of the container that runs the elector. In front of a program they are all named ELECTOR_*:
     the program shares the environment, and gets none of these. */}}
{{- define "elector.env" -}}
{{- $prefix := eq .Values.mode "wrap" | ternary "ELECTOR_" "" -}}
envFrom:
- configMapRef: {name: {{ .Release.Name }}-settings}
  {{- with $prefix }}
  prefix: {{ . }}
  {{- end }}
{{- if include "elector.hasCluster" . }}
# CLUSTER_NAME{{ if not .Values.lock.place }} and GIST_ID{{ end }}.
- configMapRef: {name: {{ include "elector.clusterConfigMap" . }}}
  {{- with $prefix }}
  prefix: {{ . }}
  {{- end }}
{{- end }}
env:
{{- range $name, $path := dict "POD_NAME" "metadata.name" "POD_NAMESPACE" "metadata.namespace" }}
- name: {{ $prefix }}{{ $name }}
  valueFrom: {fieldRef: {fieldPath: {{ $path }}}}
{{- end }}
# Not a setting: for use in a LEADER_NAME among the variables below it, as $(NODE_NAME).
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
{{- $kind := include "elector.lockKind" . }}
{{- with .Values.lock.place }}
- name: ELECTOR_LOCK
  value: {{ . | quote }}
{{- end }}
{{- if eq $kind "gist" }}
# A file, not a variable: a new access token counts without a restart, and `kubectl describe` does not show it.
- name: {{ $prefix }}GITHUB_API_TOKEN_FILE
  value: /etc/elector/github/token
{{- else if eq $kind "token" }}
# A file, not a variable: a new token counts without a restart, and `kubectl describe` does not show it.
- name: ELECTOR_LOCK_TOKEN_FILE
  value: /etc/elector/lock/token
{{- if .Values.lock.caKey }}
- name: ELECTOR_{{ hasPrefix "lease:" .Values.lock.place | ternary "LOCK_CA_FILE" "SSL_CERT_FILE" }}
  value: /etc/elector/lock/ca.crt
{{- end }}
{{- with .Values.lock.user }}
- name: ELECTOR_LOCK_USER
  value: {{ . | quote }}
{{- end }}
{{- end }}
# With a wrapped program, only the names with ELECTOR_ count.
- name: ELECTOR_STATE_DIR
  value: /run/elector
- name: ELECTOR_HTTP_ADDR
  value: ":4040"
{{- if eq .Values.mode "sidecar" }}
- name: READY_WHEN
  value: leader
{{- end }}
{{- if and (eq .Values.mode "wrap") .Values.workload.healthPath }}
# Checked while the program runs: if it fails three times in a row, the program is stopped and the lease released.
- name: ELECTOR_WORKLOAD_HEALTH_URL
  value: http://127.0.0.1:{{ required "workload.healthPath needs workload.port" .Values.workload.port }}{{ .Values.workload.healthPath }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "elector.probes" -}}
# An unreachable {{ eq (include "elector.lockKind" .) "gist" | ternary "GitHub" "store" }} is healthy, so an outage restarts no pod.
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- if eq .Values.mode "sidecar" }}
# Every second, and the first failure counts: until then the Service still sends traffic to the former leader.
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 1
  timeoutSeconds: 1
  failureThreshold: 1
{{- else }}
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 2
{{- end }}
{{- end }}

{{/* The container of the program in front of which, or beside which, the elector stands. */}}
{{- define "elector.workloadMounts" -}}
{{- range $index, $path := .Values.workload.writable }}
- {name: writable-{{ $index }}, mountPath: {{ $path }}}
{{- end }}
{{- with .Values.workload.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}
