{{/* The chart's name, as a label. */}}
{{- define "election-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of objects. A release's name may hold dots, a Service's may not. */}}
{{- define "election-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- default $full .Values.fullnameOverride | replace "." "-" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of the Service in front of /metrics. */}}
{{- define "election-operator.metricsService" -}}
{{- include "election-operator.fullname" . | trunc 55 | trimSuffix "-" }}-metrics
{{- end }}

{{/* The name of an object that is not in the release's namespace: two releases of one name must not share it. */}}
{{- define "election-operator.foreignName" -}}
{{- printf "%s-%s" .Release.Namespace (include "election-operator.fullname" .) }}
{{- end }}

{{- define "election-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "election-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The pod of `helm test`: not one that the operator's Service selects. */}}
{{- define "election-operator.testLabels" -}}
app.kubernetes.io/name: {{ printf "%s-test" (include "election-operator.name" . | trunc 58 | trimSuffix "-") }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "election-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "election-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The annotations of an object: those of all, and its own, which count more. Called with a list: the root, the object's. */}}
{{- define "election-operator.annotations" -}}
{{- $all := mergeOverwrite (dict) (index . 0).Values.commonAnnotations (default (dict) (index . 1)) }}
{{- with $all }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The operator as the API server knows it. */}}
{{- define "election-operator.username" -}}
{{- printf "system:serviceaccount:%s:%s" .Release.Namespace (include "election-operator.serviceAccountName" .) }}
{{- end }}

{{- define "election-operator.serviceAccountName" -}}
{{- $default := .Values.serviceAccount.create | ternary (include "election-operator.fullname" .) "default" }}
{{- default $default .Values.serviceAccount.name }}
{{- end }}

{{- define "election-operator.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* What the schema cannot say readably. */}}
{{- define "election-operator.validate" -}}
{{- range $kind := list "serviceMonitor" "prometheusRule" }}
{{- if and (index $.Values.metrics $kind).create (not $.Values.metrics.service.create) }}
{{- fail (printf "metrics.%s.create needs metrics.service.create: it finds the operator through that Service" $kind) }}
{{- end }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if eq .name "RUST_LOG" }}
{{- fail "extraEnv: RUST_LOG is set by logLevel" }}
{{- end }}
{{- end }}
{{- end }}
