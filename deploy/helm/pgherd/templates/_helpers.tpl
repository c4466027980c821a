{{- define "pgherd.labels" -}}
app.kubernetes.io/name: pgherd
app.kubernetes.io/component: operator
{{- end }}
{{- define "pgherd.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}
