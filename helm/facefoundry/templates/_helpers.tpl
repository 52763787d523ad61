{{- /* Names, labels, images, quantities and environment variables. Templates that use .root take a dict with the root context. */ -}}

{{- define "facefoundry.fullname" -}}
{{- .Values.fullnameOverride | default (contains "facefoundry" .Release.Name | ternary .Release.Name (printf "%s-facefoundry" .Release.Name)) | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "facefoundry.jobsNamespace" -}}
{{- .Values.jobs.namespace | default (printf "%s-jobs" (include "facefoundry.fullname" .)) -}}
{{- end -}}

{{- define "facefoundry.selector" -}}
app.kubernetes.io/name: facefoundry
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{- define "facefoundry.labels" -}}
{{ include "facefoundry.selector" . }}
app.kubernetes.io/part-of: facefoundry
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | quote }}
{{- end -}}

{{- define "facefoundry.metadata" -}}
name: {{ include "facefoundry.fullname" .root }}-{{ .name }}
namespace: {{ .namespace | default .root.Release.Namespace }}
labels:
  {{- include "facefoundry.labels" . | nindent 2 }}
{{- end -}}

{{- define "facefoundry.image" -}}
{{- $image := .root.Values.image -}}
{{- if .digest -}}
{{ $image.repository }}/{{ .name }}@{{ .digest }}
{{- else -}}
{{ $image.repository }}/{{ .name }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* Fields of a pod that follow from the images: pull secrets, and nodes of an architecture they were built for. */ -}}
{{- define "facefoundry.imageFields" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.image.architectures }}
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
        - matchExpressions:
            - {key: kubernetes.io/arch, operator: In, values: {{ toJson . }}}
{{- end }}
{{- end -}}

{{- /* Number of whole cores in a CPU quantity, at least 1. */ -}}
{{- define "facefoundry.cores" -}}
{{- $text := toString (. | default 1) -}}
{{- $cores := hasSuffix "m" $text | ternary (div (trimSuffix "m" $text | int64) 1000) (floor (float64 $text) | int64) -}}
{{- max 1 $cores -}}
{{- end -}}

{{- /* Number of bytes in a memory quantity. */ -}}
{{- define "facefoundry.bytes" -}}
{{- $text := toString . -}}
{{- $factors := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- mulf (float64 (trimSuffix $unit $text)) (get $factors $unit | default 1) | floor | int64 -}}
{{- end -}}

{{- define "facefoundry.storeSecret" -}}
{{- if .root.Values.minio.enabled -}}
{{ include "facefoundry.fullname" .root }}-minio
{{- else -}}
{{ .secret | default .root.Values.store.existingSecret }}
{{- end -}}
{{- end -}}

{{- define "facefoundry.storeEndpoint" -}}
{{- if .Values.minio.enabled -}}
{{ include "facefoundry.fullname" . }}-minio.{{ .Release.Namespace }}.svc:9000
{{- else -}}
{{ .Values.store.endpoint }}
{{- end -}}
{{- end -}}

{{- /* A scalar as text that the settings classes can parse. JSON keeps large numbers free of exponents. */ -}}
{{- define "facefoundry.text" -}}
{{- kindIs "string" . | ternary . (toJson .) -}}
{{- end -}}

{{- /* Environment variables of settings with camelCase names. Takes `prefix` and `settings`. */ -}}
{{- define "facefoundry.settings" -}}
{{- $prefix := .prefix -}}
{{- range $name, $value := .settings }}
- {name: {{ $prefix }}{{ snakecase $name | upper }}, value: {{ include "facefoundry.text" $value | quote }}}
{{- end }}
{{- end -}}

{{- /* Environment variables for access to the store. Takes `root` and `secret`. */ -}}
{{- define "facefoundry.storeEnv" -}}
{{- $store := .root.Values.store -}}
{{- $secret := include "facefoundry.storeSecret" . -}}
- name: FACEFOUNDRY_STORE_ENDPOINT
  value: {{ include "facefoundry.storeEndpoint" .root | quote }}
- name: FACEFOUNDRY_STORE_SECURE
  value: {{ and $store.secure (not .root.Values.minio.enabled) | quote }}
- name: FACEFOUNDRY_STORE_REGION
  value: {{ $store.region | quote }}
- name: FACEFOUNDRY_STORE_BUCKET
  value: {{ $store.bucket | quote }}
{{- if $store.caConfigMap }}
- name: FACEFOUNDRY_STORE_CA_FILE
  value: /etc/facefoundry/store-ca/ca.crt
{{- end }}
- name: FACEFOUNDRY_STORE_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: access-key}}
- name: FACEFOUNDRY_STORE_SECRET_KEY
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: secret-key}}
{{- include "facefoundry.settings" (dict "prefix" "FACEFOUNDRY_STORE_" "settings" $store.settings) }}
{{- end -}}

{{- /* Environment variables with which services sign URLs for clients. */ -}}
{{- define "facefoundry.signerEnv" -}}
{{- with .Values.store.publicEndpoint }}
- {name: FACEFOUNDRY_STORE_PUBLIC_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- with ternary "" .Values.store.signerSecret .Values.minio.enabled }}
- name: FACEFOUNDRY_STORE_SIGNER_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ . }}, key: access-key}}
- name: FACEFOUNDRY_STORE_SIGNER_SECRET_KEY
  valueFrom: {secretKeyRef: {name: {{ . }}, key: secret-key}}
{{- end }}
{{- end -}}

{{- /* Environment variables with the addresses of the services, for pods that call them. */ -}}
{{- define "facefoundry.clientEnv" -}}
{{- range $name := list "extractor" "trainer" "converter" }}
- name: FACEFOUNDRY_{{ upper $name }}_ADDRESS
  value: {{ include "facefoundry.fullname" $ }}-{{ $name }}.{{ $.Release.Namespace }}.svc:50051
{{- end }}
{{- if .Values.tls.existingSecret }}
- name: FACEFOUNDRY_CA_FILE
  value: /etc/facefoundry/tls/ca.crt
{{- if .Values.tls.mutual }}
- name: FACEFOUNDRY_CLIENT_CERT_FILE
  value: /etc/facefoundry/tls/tls.crt
- name: FACEFOUNDRY_CLIENT_KEY_FILE
  value: /etc/facefoundry/tls/tls.key
{{- end }}
{{- end }}
{{- end -}}
