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
# CLUSTER_NAME and GIST_ID.
- configMapRef: {name: {{ include "elector.clusterConfigMap" . }}}
  {{- with $prefix }}
  prefix: {{ . }}
  {{- end }}
env:
{{- range $name, $path := dict "POD_NAME" "metadata.name" "POD_NAMESPACE" "metadata.namespace" }}
- name: {{ $prefix }}{{ $name }}
  valueFrom: {fieldRef: {fieldPath: {{ $path }}}}
{{- end }}
# Not a setting: for use in a LEADER_NAME among the variables below it, as $(NODE_NAME).
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
# A file, not a variable: a new access token counts without a restart, and `kubectl describe` does not show it.
- name: {{ $prefix }}GITHUB_API_TOKEN_FILE
  value: /etc/elector/github/token
# With a wrapped program, only the name with ELECTOR_ counts.
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
# An unreachable GitHub is healthy, so an outage restarts no pod.
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
