{{/* The configuration document: that of the values, and what follows from the other values. */}}
{{- define "terrace.document" -}}
{{- $document := deepCopy .Values.config -}}
{{- $_ := set $document "listen" "0.0.0.0:5000" -}}
{{- if and (not $document.name) (not (include "terrace.connectionSecret" .)) -}}
{{- $_ := set $document "name" (include "terrace.fullname" .) -}}
{{- end -}}
{{- if include "terrace.tlsSecret" . -}}
{{- $_ := set $document "tls" (dict "certificateFile" "/secrets/tls/tls.crt" "keyFile" "/secrets/tls/tls.key") -}}
{{- end -}}
{{- if .Values.operate.enabled -}}
{{- $_ := set $document "operate" (dict "listen" (printf "0.0.0.0:%d" (int .Values.operate.port))) -}}
{{- end -}}
{{- if include "terrace.parentSecret" . -}}
{{- $parent := $document.parent -}}
{{- if or .Values.parent.password (and .Values.parent.secret $parent.username (not $parent.azure)) -}}
{{- $parent = merge $parent (dict "passwordFile" "/secrets/parent/password") -}}
{{- end -}}
{{- if .Values.parent.ca -}}
{{- $parent = merge $parent (dict "caFile" "/secrets/parent/ca.crt") -}}
{{- end -}}
{{- $_ := set $document "parent" $parent -}}
{{- end -}}
{{- toYaml $document -}}
{{- end -}}
