{{- define "terrace.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "terrace.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "terrace.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "terrace.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "terrace.selector" -}}
app.kubernetes.io/name: {{ include "terrace.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "terrace.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "terrace.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "terrace.serviceAccount" -}}
{{- default (ternary (include "terrace.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "terrace.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Names of Secrets; empty if there is none. */}}
{{- define "terrace.tlsSecret" -}}
{{- if .Values.tls.secret -}}
{{ .Values.tls.secret }}
{{- else if or .Values.tls.crt (index .Values "cert-manager").enabled -}}
{{ include "terrace.fullname" . }}-tls
{{- end -}}
{{- end -}}

{{- define "terrace.parentSecret" -}}
{{- if .Values.parent.secret -}}
{{ .Values.parent.secret }}
{{- else if or .Values.parent.password .Values.parent.ca -}}
{{ include "terrace.fullname" . }}-parent
{{- end -}}
{{- end -}}

{{- define "terrace.accountsSecret" -}}
{{- if .Values.accounts.secret -}}
{{ .Values.accounts.secret }}
{{- else if .Values.accounts.passwords -}}
{{ include "terrace.fullname" . }}-accounts
{{- end -}}
{{- end -}}

{{- define "terrace.connectionSecret" -}}
{{- if .Values.connectionStringSecret.name -}}
{{ .Values.connectionStringSecret.name }}
{{- else if .Values.connectionString -}}
{{ include "terrace.fullname" . }}-connection
{{- end -}}
{{- end -}}

{{- define "terrace.claim" -}}
{{- default (printf "%s-data" (include "terrace.fullname" .)) .Values.pvc.existingClaim -}}
{{- end -}}

{{- define "terrace.scheme" -}}
{{- ternary "https" "http" (ne (include "terrace.tlsSecret" .) "") -}}
{{- end -}}

{{- define "terrace.port" -}}
{{- default (ternary 443 80 (eq (include "terrace.scheme" .) "https")) .Values.service.port -}}
{{- end -}}
