{{/* The fields that the Deployment's pods and that of `helm test` share. */}}
{{- define "elector.podFields" -}}
serviceAccountName: {{ include "elector.serviceAccount" . }}
{{- if eq (include "elector.lockKind" .) "lease" }}
# May get, create and update the Lease.
automountServiceAccountToken: true
{{- else if .Values.serviceAccount.automount }}
automountServiceAccountToken: true
{{- else }}
# It does not use this cluster's API, and has no credentials for it.
automountServiceAccountToken: false
{{- end }}
# A Service named `elector` would give every pod variables that begin with ELECTOR_.
enableServiceLinks: false
securityContext: {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{/* The mounts of the container that runs the elector. In front of a program they are the program's too. */}}
{{- define "elector.mounts" -}}
- {name: state, mountPath: /run/elector}
{{- $kind := include "elector.lockKind" . }}
{{- if eq $kind "gist" }}
- {name: github, mountPath: /etc/elector/github, readOnly: true}
{{- else if or (eq $kind "token") (include "elector.lockCa" .) }}
- {name: lock, mountPath: /etc/elector/lock, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The volumes of those mounts. */}}
{{- define "elector.volumes" -}}
# A restarted container resumes by what it finds there, without waiting for its own lease.
- name: state
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
{{- $kind := include "elector.lockKind" . }}
{{- if eq $kind "gist" }}
- name: github
  secret:
    secretName: {{ .Values.github.existingSecret }}
    items: [{key: {{ .Values.github.tokenKey }}, path: token}]
    defaultMode: 0440
{{- else if or (eq $kind "token") (include "elector.lockCa" .) }}
- name: lock
  secret:
    secretName: {{ include "elector.lockSecret" . }}
    items:
    {{- if eq $kind "token" }}
    - {key: {{ .Values.lock.tokenKey }}, path: token}
    {{- end }}
    {{- with include "elector.lockCa" . }}
    - {key: {{ . }}, path: ca.crt}
    {{- end }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The key of the server's certificate authority, if the lock's Secret is used. */}}
{{- define "elector.lockCa" -}}
{{- if has (include "elector.lockKind" .) (list "token" "keys") -}}
{{ .Values.lock.caKey }}
{{- end }}
{{- end }}

{{/* The mounts of the program alone. */}}
{{- define "elector.workloadMounts" -}}
{{- if and (eq .Values.mode "sidecar") (eq (include "elector.lockKind" .) "lease") (not .Values.serviceAccount.automount) }}
# Hides the service account's token from the program.
- {name: no-token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end }}
{{- range $index, $path := .Values.workload.writable }}
- {name: writable-{{ $index }}, mountPath: {{ $path }}}
{{- end }}
{{- with .Values.workload.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The settings of the container that runs the elector. In front of a program they are all named ELECTOR_*:
     the program shares the environment, and gets none of these. */}}
{{- define "elector.env" -}}
{{- $prefix := eq .Values.mode "wrap" | ternary "ELECTOR_" "" -}}
{{- $kind := include "elector.lockKind" . -}}
envFrom:
- configMapRef: {name: {{ include "elector.fullname" . }}-settings}
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
{{- with .Values.extraEnvFrom }}
{{ toYaml . }}
{{- end }}
{{- if eq .Values.mode "wrap" }}
{{- with .Values.workload.envFrom }}
{{ toYaml . }}
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
{{- else if eq $kind "keys" }}
# With ELECTOR_, so that a wrapped program does not get them.
{{- range $key, $optional := dict "AWS_ACCESS_KEY_ID" false "AWS_SECRET_ACCESS_KEY" false "AWS_SESSION_TOKEN" true }}
- name: ELECTOR_{{ $key }}
  valueFrom: {secretKeyRef: {name: {{ include "elector.lockSecret" $ }}, key: {{ $key }}{{ if $optional }}, optional: true{{ end }}}}
{{- end }}
{{- end }}
{{- if include "elector.lockCa" . }}
- name: ELECTOR_{{ hasPrefix "lease:" .Values.lock.place | ternary "LOCK_CA_FILE" "SSL_CERT_FILE" }}
  value: /etc/elector/lock/ca.crt
{{- end }}
{{- if eq $kind "token" }}
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
{{- if include "elector.serves" . }}
- name: {{ $prefix }}READY_WHEN
  value: leader
{{- end }}
{{- if and (eq .Values.mode "wrap") .Values.workload.healthPath }}
# Checked while the program runs: if it fails three times in a row, the program is stopped and the lease released.
- name: ELECTOR_WORKLOAD_HEALTH_URL
  value: http://127.0.0.1:{{ .Values.workload.port }}{{ .Values.workload.healthPath }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "elector.probes" -}}
# An unreachable {{ eq (include "elector.lockKind" .) "gist" | ternary "GitHub" "store" }} is healthy, so an outage restarts no pod.
livenessProbe:
  httpGet: {path: /healthz, port: http}
  {{- toYaml .Values.livenessProbe | nindent 2 }}
{{- $readiness := dict "periodSeconds" 5 "timeoutSeconds" 2 }}
{{- if include "elector.serves" . }}
{{- $readiness = dict "periodSeconds" 1 "timeoutSeconds" 1 "failureThreshold" 1 }}
# Every second, and the first failure counts: until then the Service still sends traffic to the former leader.
{{- end }}
readinessProbe:
  httpGet: {path: /readyz, port: http}
  {{- toYaml (merge dict .Values.readinessProbe $readiness) | nindent 2 }}
{{- end }}

{{/* The container of an elector alone, or beside a program. */}}
{{- define "elector.container" -}}
- name: elector
  image: {{ include "elector.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  {{- if .Values.nativeSidecar }}
  # A sidecar: it starts before the program, and stops after it.
  restartPolicy: Always
  {{- end }}
  {{- include "elector.env" . | nindent 2 }}
  ports:
  - {name: http, containerPort: 4040}
  {{- include "elector.probes" . | nindent 2 }}
  {{- with .Values.lifecycle }}
  lifecycle: {{- toYaml . | nindent 4 }}
  {{- end }}
  # It needs about 2.5 MB. No CPU limit: throttling delays renewals and the stop at the deadline.
  resources: {{- toYaml .Values.resources | nindent 4 }}
  securityContext: {{- toYaml .Values.securityContext | nindent 4 }}
  volumeMounts:
  {{- include "elector.mounts" . | nindent 2 }}
{{- end }}

{{/* The container of a program, in front of which or beside which an elector runs. */}}
{{- define "elector.workload" -}}
{{- $workload := .Values.workload }}
{{- $wrap := eq .Values.mode "wrap" -}}
- name: workload
  image: {{ required "workload.image is required in this mode" $workload.image }}
  imagePullPolicy: {{ $workload.pullPolicy }}
  {{- if $wrap }}
  # `command` replaces the image's entrypoint, which is therefore repeated behind `--`.
  command:
  - /opt/elector/elector
  - run
  - --
  {{- range $workload.command }}
  - {{ . | quote }}
  {{- end }}
  {{- else if $workload.command }}
  command: {{- toYaml $workload.command | nindent 2 }}
  {{- end }}
  {{- with $workload.args }}
  args: {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- if $wrap }}
  {{- include "elector.env" . | nindent 2 }}
  {{- with $workload.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- else }}
  {{- with $workload.envFrom }}
  envFrom: {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with $workload.env }}
  env: {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- end }}
  {{- if or $wrap $workload.port }}
  ports:
  {{- if $wrap }}
  - {name: http, containerPort: 4040}
  {{- end }}
  {{- with $workload.port }}
  - {name: workload, containerPort: {{ . }}}
  {{- end }}
  {{- end }}
  {{- if $wrap }}
  # The probes ask the elector, because a standby has no program to probe.
  {{- include "elector.probes" . | nindent 2 }}
  {{- else }}
  {{- if and $workload.healthPath (not $workload.probes.livenessProbe) }}
  livenessProbe:
    httpGet: {path: {{ $workload.healthPath }}, port: workload}
  {{- end }}
  {{- with $workload.probes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- end }}
  {{- with merge dict $workload.lifecycle ($wrap | ternary .Values.lifecycle dict) }}
  lifecycle: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $wrap }}
  # For the program, and 5 MB for the elector and its guard. No CPU limit: throttling delays renewals
  # and the stop at the deadline.
  {{- end }}
  {{- with $workload.resources }}
  resources: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- $context := deepCopy .Values.securityContext }}
  {{- range $name, $value := $workload.securityContext }}
  {{- if not (kindIs "invalid" $value) }}
  {{- $_ := set $context $name $value }}
  {{- end }}
  {{- end }}
  securityContext: {{- toYaml $context | nindent 4 }}
  {{- $mounts := include "elector.workloadMounts" . | trim }}
  {{- if $wrap }}
  volumeMounts:
  - {name: elector, mountPath: /opt/elector, readOnly: true}
  {{- include "elector.mounts" . | nindent 2 }}
  {{- with $mounts }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- else if $mounts }}
  volumeMounts:
  {{- $mounts | nindent 2 }}
  {{- end }}
{{- end }}
