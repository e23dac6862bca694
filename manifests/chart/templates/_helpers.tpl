{{- define "pintle.labels" -}}
app.kubernetes.io/name: pintle
app.kubernetes.io/component: control-plane-vip
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "pintle.selector" -}}
app.kubernetes.io/name: pintle
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The Lease, which the role names and the pods use. */}}
{{- define "pintle.leaseNamespace" -}}
{{- dig "election" "namespace" "kube-system" .Values.config -}}
{{- end }}
{{- define "pintle.leaseName" -}}
{{- dig "election" "lease" "pintle" .Values.config -}}
{{- end }}

{{/* HOST and PORT of telemetry.address: where the kubelet asks. */}}
{{- define "pintle.telemetryAddress" -}}
{{- dig "telemetry" "address" "127.0.0.1:9810" .Values.config -}}
{{- end }}
{{- define "pintle.telemetryPort" -}}
{{- include "pintle.telemetryAddress" . | splitList ":" | last -}}
{{- end }}
{{- define "pintle.telemetryHost" -}}
{{- $address := include "pintle.telemetryAddress" . -}}
{{- $host := trimSuffix (printf ":%s" (include "pintle.telemetryPort" .)) $address | trimPrefix "[" | trimSuffix "]" -}}
{{- if eq $host "0.0.0.0" }}127.0.0.1{{ else if eq $host "::" }}::1{{ else }}{{ $host }}{{ end -}}
{{- end }}

{{/* The configuration file. What `config` says wins over what the chart makes of the other values. */}}
{{- define "pintle.config" -}}
{{- $own := dict "apiVersion" "pintle.dev/v1alpha1" "kind" "Config" "vips" .Values.vips "apiserver" (dict "kubeconfigs" list) -}}
{{- with .Values.interface }}{{- $_ := set $own "interface" . }}{{- end -}}
{{- if .Values.podMonitor.enabled }}{{- $_ := set $own "telemetry" (dict "metricsAddress" (printf "[::]:%v" .Values.podMonitor.port)) }}{{- end -}}
{{- toYaml (mergeOverwrite $own (deepCopy .Values.config)) -}}
{{- end }}
