{{/* Every object is named after the release: `helm install elector ...` creates a Deployment `elector`. */}}
{{- define "elector.fullname" -}}
{{ .Values.fullnameOverride | default .Release.Name }}
{{- end }}

{{- define "elector.name" -}}
{{ .Values.nameOverride | default "elector" }}
{{- end }}

{{- define "elector.selectorLabels" -}}
app.kubernetes.io/name: {{ include "elector.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Without the chart's version, which would create new pods for a change of the chart alone. */}}
{{- define "elector.podLabels" -}}
{{ include "elector.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "elector.labels" -}}
{{ include "elector.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The pods of a policy: those of the Deployment, and that of `helm test`. */}}
{{- define "elector.policySelector" -}}
matchLabels:
  app.kubernetes.io/instance: {{ .Release.Name }}
matchExpressions:
- {key: app.kubernetes.io/name, operator: In, values: [{{ include "elector.name" . }}, {{ include "elector.name" . }}-test]}
{{- end }}

{{- define "elector.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "elector.serviceAccount" -}}
{{- with .Values.serviceAccount -}}
{{ .name | default (.create | ternary (include "elector.fullname" $) "default") }}
{{- end }}
{{- end }}

{{- define "elector.clusterConfigMap" -}}
{{ .Values.cluster.existingConfigMap | default (printf "%s-cluster" (include "elector.fullname" .)) }}
{{- end }}

{{/* Whether a Service sends traffic to the leader's pod only. Then no other pod is ready. */}}
{{- define "elector.serves" -}}
{{- $enabled := .Values.service.enabled -}}
{{- if kindIs "invalid" $enabled -}}
{{- $enabled = eq .Values.mode "sidecar" -}}
{{- end -}}
{{- if and $enabled (ne .Values.mode "alone") -}}
true
{{- end }}
{{- end }}

{{/* What lock.place names: a `gist`, a `lease` of this cluster, an object of a `cloud` that gives the pod its
     credentials, one with access `keys`, or a store with a `token`. */}}
{{- define "elector.lockKind" -}}
{{- $place := .Values.lock.place -}}
{{- if or (not $place) (hasPrefix "gist:" $place) (hasPrefix "gist+git:" $place) -}}
gist
{{- else if and (hasPrefix "lease:" $place) (not (hasPrefix "lease://" $place)) -}}
lease
{{- else if and (or (hasPrefix "s3:" $place) (hasPrefix "gs:" $place)) (not .Values.lock.existingSecret) -}}
cloud
{{- else if hasPrefix "s3:" $place -}}
keys
{{- else -}}
token
{{- end }}
{{- end }}

{{- define "elector.lockSecret" -}}
{{ .Values.lock.existingSecret | default "elector-lock" }}
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

{{/* The entries of the settings' ConfigMap. */}}
{{- define "elector.settings" -}}
{{- range $name, $value := .Values.settings }}
{{- if ne (toString $value) "" -}}
{{ $name }}: {{ $value | quote }}
{{ end }}
{{- end -}}
STOP_TIMEOUT: {{ printf "%ds" (int .Values.stopTimeoutSeconds) | quote }}
{{- end }}
