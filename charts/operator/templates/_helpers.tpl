{{- define "operator.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else }}{{ $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}{{ .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" }}{{ end }}
{{- end }}
{{- end }}

{{/* What never changes about a component: selectors are made of it. Called with (list . "component"). */}}
{{- define "operator.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: {{ default $.Chart.Name $.Values.nameOverride }}
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "operator.labels" -}}
{{- $ := index . 0 -}}
{{ include "operator.selector" . }}
app.kubernetes.io/part-of: operator
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" }}
operator.dev/installation: {{ $.Release.Name }}
{{- end }}

{{- define "operator.image" -}}{{ .repository }}:{{ .tag }}{{- end }}

{{- define "operator.databaseSecret" -}}
{{- default (printf "%s-database" (include "operator.fullname" .)) .Values.database.existingSecret }}
{{- end }}

{{/* Made by the migrate Job, never rendered: no upgrade changes it. */}}
{{- define "operator.signingSecret" -}}
{{- default (printf "%s-signing-key" (include "operator.fullname" .)) .Values.signingKey.secret }}
{{- end }}

{{- define "operator.modelSecret" -}}
{{- default (printf "%s-model" (include "operator.fullname" .)) .Values.model.existingSecret.name }}
{{- end }}

{{- define "operator.webhookSecret" -}}
{{- default (printf "%s-webhooks" (include "operator.fullname" .)) .Values.webhooks.tokenSecret.name }}
{{- end }}

{{/* The key: given, or the word that the offline model is happy with. Empty: no Secret is made. */}}
{{- define "operator.apiKey" -}}
{{- if .Values.model.apiKey }}{{ .Values.model.apiKey }}{{ else if .Values.offlineModel.enabled }}no-key-is-needed{{ end }}
{{- end }}

{{- define "operator.modelName" -}}
{{- if .Values.model.name }}{{ .Values.model.name }}
{{- else if and .Values.offlineModel.enabled .Values.offlineModel.scripts }}offline-auto
{{- end }}
{{- end }}

{{- define "operator.summaryName" -}}
{{- if .Values.model.summaryName }}{{ .Values.model.summaryName }}{{ else if .Values.offlineModel.enabled }}offline-summary{{ end }}
{{- end }}

{{- define "operator.baseUrl" -}}
{{- if .Values.model.baseUrl }}{{ .Values.model.baseUrl }}
{{- else if .Values.offlineModel.enabled }}http://{{ include "operator.fullname" . }}-offline-model:8090
{{- end }}
{{- end }}

{{/* No way up: what every container here has. */}}
{{- define "operator.locked" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}
