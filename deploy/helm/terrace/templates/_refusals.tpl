{{/* What is not possible: a list of all causes with their remedies, so that one round shows all of them. */}}
{{- define "terrace.refusals" -}}
{{- $manager := index .Values "cert-manager" -}}
{{- $complaints := list -}}
{{- range $field := list "listen" "tls" "operate" -}}
{{- if hasKey $.Values.config $field -}}
{{- $complaints = append $complaints (printf "config.%s: the chart sets it; use the values service, tls and operate" $field) -}}
{{- end -}}
{{- end -}}
{{- if and (include "terrace.connectionSecret" .) .Values.config.parent -}}
{{- $complaints = append $complaints "connectionString, config.parent: both name a parent; use one of them" -}}
{{- end -}}
{{- if and .Values.connectionString .Values.connectionStringSecret.name -}}
{{- $complaints = append $complaints "connectionString, connectionStringSecret: use one of them" -}}
{{- end -}}
{{- if and (include "terrace.parentSecret" .) (not .Values.config.parent) -}}
{{- $complaints = append $complaints "parent: it is the login at config.parent, which is missing; a connectionString has its own login" -}}
{{- end -}}
{{- if not (or .Values.config.tokens .Values.config.children (include "terrace.connectionSecret" .) .Values.accounts.existing) -}}
{{- $complaints = append $complaints "config.tokens: nobody could log in; declare an account with its password in accounts, or set accounts.existing: true for a volume that has accounts" -}}
{{- end -}}
{{- if and .Values.accounts.secret .Values.accounts.passwords -}}
{{- $complaints = append $complaints "accounts.secret, accounts.passwords: use one of them" -}}
{{- end -}}
{{- $sources := list -}}
{{- if .Values.tls.secret -}}{{- $sources = append $sources "tls.secret" -}}{{- end -}}
{{- if or .Values.tls.crt .Values.tls.key -}}{{- $sources = append $sources "tls.crt" -}}{{- end -}}
{{- if $manager.enabled -}}{{- $sources = append $sources "cert-manager.enabled" -}}{{- end -}}
{{- if .Values.httpEnabled -}}{{- $sources = append $sources "httpEnabled" -}}{{- end -}}
{{- if ne (len $sources) 1 -}}
{{- $complaints = append $complaints (printf "%s: set exactly one of tls.secret, tls.crt with tls.key, cert-manager.enabled and httpEnabled" (default "tls" (join ", " $sources))) -}}
{{- end -}}
{{- if ne (empty .Values.tls.crt) (empty .Values.tls.key) -}}
{{- $complaints = append $complaints "tls.crt, tls.key: a certificate needs its key; set both" -}}
{{- end -}}
{{- if $manager.install -}}
{{- $complaints = append $complaints "cert-manager.install: this chart does not install cert-manager; install it first, and set cert-manager.install: false" -}}
{{- end -}}
{{- if .Values.trustDistribution.enabled -}}
{{- $complaints = append $complaints "trustDistribution.enabled: this chart changes no files of nodes; set it to false, and give nodes the CA as docs/guides/kubernetes.md says" -}}
{{- end -}}
{{- with .Values.registry -}}
{{- if gt (int (default 1 .replicas)) 1 -}}
{{- $complaints = append $complaints "registry.replicas: a layer has one pod; for more work at a time, set config.syncers and config.gateways" -}}
{{- end -}}
{{- if .uploadSecret -}}
{{- $complaints = append $complaints "registry.uploadSecret: uploads of a layer need none; remove it" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.compact (or (gt (int .Values.config.syncers) 1) (gt (int .Values.config.gateways) 1)) -}}
{{- $complaints = append $complaints "compact: config.syncers and config.gateways are 1 then; remove them or compact" -}}
{{- end -}}
{{- if and .Values.operate.enabled (eq (int .Values.operate.port) 5000) -}}
{{- $complaints = append $complaints "operate.port: 5000 is the port of clients in the pod; choose another" -}}
{{- end -}}
{{- if and .Values.monitoring.serviceMonitor.enabled (not .Values.operate.enabled) -}}
{{- $complaints = append $complaints "monitoring.serviceMonitor.enabled: Prometheus reads the metrics at the listener of operators; set operate.enabled: true" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- $complaints = append $complaints "ingress.host: clients of containers know no paths; name a host" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- $complaints = append $complaints "httpRoute.parentRefs: name the Gateway" -}}
{{- end -}}
{{- if $complaints -}}
{{- fail (printf "\n  %s" (join "\n  " $complaints)) -}}
{{- end -}}
{{- end -}}
