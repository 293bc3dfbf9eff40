{{/* Default times of each kind of lock. A test compares them with the program's. */}}
{{- define "elector.times" -}}
gist: {LEASE_DURATION: 30s, RENEW_DEADLINE: 16s, RETRY_PERIOD: 8s, POLL_PERIOD: 2s, CONFIRM_DELAY: 2s}
gist+git: {LEASE_DURATION: 40s, RENEW_DEADLINE: 21s, RETRY_PERIOD: 12s, POLL_PERIOD: 3s, CONFIRM_DELAY: 1s}
git: {LEASE_DURATION: 40s, RENEW_DEADLINE: 21s, RETRY_PERIOD: 12s, POLL_PERIOD: 3s}
lease: {LEASE_DURATION: 15s, RENEW_DEADLINE: 6s, RETRY_PERIOD: 2s, POLL_PERIOD: 1s}
object: {LEASE_DURATION: 20s, RENEW_DEADLINE: 9s, RETRY_PERIOD: 4s, POLL_PERIOD: 2s}
{{- end }}

{{/* The seconds of a duration such as 1m30s. */}}
{{- define "elector.seconds" -}}
{{- $units := dict "ns" 1e-9 "us" 1e-6 "µs" 1e-6 "ms" 1e-3 "s" 1.0 "m" 60.0 "h" 3600.0 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9.]+[a-zµ]+" . -1 -}}
{{- $unit := regexFind "[a-zµ]+$" . -}}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (get $units $unit)) -}}
{{- end -}}
{{ $sum }}
{{- end }}

{{/* Fails for values that cannot work, and names every problem. */}}
{{- define "elector.check" -}}
{{- $problems := concat (include "elector.timeProblems" . | fromYamlArray) (include "elector.modeProblems" . | fromYamlArray) -}}
{{- if $problems -}}
{{- fail (join "\n" (prepend $problems "these values cannot work:")) -}}
{{- end -}}
{{- end }}

{{/* The rules between the times, as in docs/configuration.md. A difference below a microsecond is rounding. */}}
{{- define "elector.timeProblems" -}}
{{- $place := .Values.lock.place | default "gist:" -}}
{{- $kind := regexFind "^[a-z0-9+]+" $place -}}
{{- $kind = get (dict "git+https" "git" "git+http" "git" "s3" "object" "az" "object" "gs" "object") $kind | default $kind -}}
{{- $times := include "elector.times" . | fromYaml -}}
{{- $times = get $times $kind -}}
{{- $set := dict "TERMINATION_GRACE" 5.0 -}}
{{- range $name, $value := merge dict .Values.settings $times -}}
{{- if regexMatch "_(DURATION|DEADLINE|PERIOD|DELAY|STAGGER|GRACE|AFTER)$" $name -}}
{{- with $value | default (get $times $name) -}}
{{- $_ := set $set $name (include "elector.seconds" . | float64) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $lease := $set.LEASE_DURATION -}}
{{- $needed := addf $set.RENEW_DEADLINE $set.RETRY_PERIOD $set.TERMINATION_GRACE (divf $lease 30) -}}
{{- $problems := list -}}
{{- range $name := list "LEASE_DURATION" "RENEW_DEADLINE" "RETRY_PERIOD" "POLL_PERIOD" -}}
{{- if lt (get $set $name) 0.001 -}}
{{- $problems = append $problems (printf "settings.%s: too short; give at least 1ms" $name) -}}
{{- end -}}
{{- end -}}
{{- if gt $lease 3600.0 -}}
{{- $problems = append $problems "settings.LEASE_DURATION: too long; give at most 1h" -}}
{{- end -}}
{{- if gt $set.POLL_PERIOD 86400.0 -}}
{{- $problems = append $problems "settings.POLL_PERIOD: too long; give at most 24h" -}}
{{- end -}}
{{- if gt $needed (addf $lease 0.000001) -}}
{{- $problems = append $problems (printf "settings.LEASE_DURATION: %vs is too short, because RENEW_DEADLINE + RETRY_PERIOD + TERMINATION_GRACE + a thirtieth of the lease are %vs; lengthen the lease or shorten the others" $lease (round $needed 3)) -}}
{{- end -}}
{{- if le $set.RENEW_DEADLINE (mulf $set.RETRY_PERIOD 1.2) -}}
{{- $problems = append $problems (printf "settings.RENEW_DEADLINE: %vs is too short; give more than 1.2 times RETRY_PERIOD (%vs)" $set.RENEW_DEADLINE $set.RETRY_PERIOD) -}}
{{- end -}}
{{- if and (hasKey $times "CONFIRM_DELAY") (gt $set.CONFIRM_DELAY (divf $set.RETRY_PERIOD 2)) -}}
{{- $problems = append $problems (printf "settings.CONFIRM_DELAY: %vs is too long; give at most half of RETRY_PERIOD (%vs)" $set.CONFIRM_DELAY $set.RETRY_PERIOD) -}}
{{- end -}}
{{- if gt ($set.TAKEOVER_STAGGER | default 0.0) $lease -}}
{{- $problems = append $problems "settings.TAKEOVER_STAGGER: too long; give at most LEASE_DURATION" -}}
{{- end -}}
{{- if and (eq (toString .Values.settings.PREFERRED) "true") (hasKey $set "FAILBACK_AFTER") (lt ($set.FAILBACK_AFTER | default 0.0) $lease) -}}
{{- $problems = append $problems (printf "settings.FAILBACK_AFTER: too short; give at least LEASE_DURATION (%vs)" $lease) -}}
{{- end -}}
{{ toYaml $problems }}
{{- end }}

{{/* Values that contradict each other. */}}
{{- define "elector.modeProblems" -}}
{{- $mode := .Values.mode -}}
{{- $workload := .Values.workload -}}
{{- $problems := list -}}
{{- if and (eq $mode "wrap") (not $workload.command) -}}
{{- $problems = append $problems "workload.command is required with mode: wrap (the whole entrypoint of its image)" -}}
{{- end -}}
{{- if and .Values.service.enabled (eq $mode "alone") -}}
{{- $problems = append $problems "service.enabled: there is no program to send traffic to; set mode to wrap or sidecar" -}}
{{- end -}}
{{- if and (include "elector.serves" .) (not $workload.port) -}}
{{- $problems = append $problems "workload.port is required with a Service (or set service.enabled to false)" -}}
{{- end -}}
{{- if and $workload.healthPath (not $workload.port) -}}
{{- $problems = append $problems "workload.healthPath needs workload.port" -}}
{{- end -}}
{{- if and (eq $mode "wrap") $workload.probes -}}
{{- $problems = append $problems "workload.probes: a standby has no program to probe; set workload.healthPath, which the elector checks" -}}
{{- end -}}
{{- if .Values.nativeSidecar -}}
{{- if ne $mode "sidecar" -}}
{{- $problems = append $problems "nativeSidecar needs mode: sidecar" -}}
{{- end -}}
{{- if semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version -}}
{{- $problems = append $problems (printf "nativeSidecar needs Kubernetes 1.29 or later, not %s" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- end -}}
{{- with .Values.settings.LEADER_FILE -}}
{{- $file := . -}}
{{- $volume := "" -}}
{{- $mounts := include "elector.mounts" $ | fromYamlArray -}}
{{- if eq $mode "wrap" -}}
{{- $mounts = concat $mounts (include "elector.workloadMounts" $ | fromYamlArray) -}}
{{- end -}}
{{- range $mounts -}}
{{- if and (not .readOnly) (hasPrefix (printf "%s/" (trimSuffix "/" .mountPath)) $file) -}}
{{- $volume = .name -}}
{{- end -}}
{{- end -}}
{{- if not $volume -}}
{{- $problems = append $problems (printf "settings.LEADER_FILE: no writable volume is mounted at %s; add one to extraVolumes and extraVolumeMounts" (dir $file)) -}}
{{- else if eq $mode "sidecar" -}}
{{- $shared := false -}}
{{- range $workload.volumeMounts -}}
{{- $shared = or $shared (eq .name $volume) -}}
{{- end -}}
{{- if not $shared -}}
{{- $problems = append $problems (printf "settings.LEADER_FILE: the program does not mount the volume %s; add it to workload.volumeMounts" $volume) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ toYaml $problems }}
{{- end }}
