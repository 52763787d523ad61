{{- /* What the schema cannot say: values that contradict each other. */ -}}
{{- define "facefoundry.checks" -}}
{{- $values := .Values -}}
{{- if and $values.minio.enabled $values.store.existingSecret -}}
{{- fail "Both minio.enabled and store.existingSecret are set: choose the bundled development MinIO or a store of your own." -}}
{{- end -}}
{{- if not (or $values.minio.enabled $values.store.existingSecret) -}}
{{- fail "No object store. Set store.endpoint and store.existingSecret (a Secret with the keys access-key and secret-key) for any S3 server, or, to try things out, minio.enabled=true for the bundled development MinIO." -}}
{{- end -}}
{{- if and $values.store.existingSecret (not $values.store.endpoint) -}}
{{- fail "store.existingSecret is set, but store.endpoint is not: give the S3 server's host and port, such as s3.example.org:443." -}}
{{- end -}}
{{- if and $values.jobs.createNamespace (eq (include "facefoundry.jobsNamespace" .) .Release.Namespace) -}}
{{- fail "jobs.namespace is the release's own namespace: set jobs.createNamespace=false, or choose another namespace for the Jobs, which keeps the trainer's rights away from the services." -}}
{{- end -}}
{{- if and $values.jobs.policy.enabled (gt (int $values.worker.gpu.count) (int $values.jobs.policy.maxGPUs)) -}}
{{- fail (printf "worker.gpu.count is %d, but jobs.policy.maxGPUs allows %d." (int $values.worker.gpu.count) (int $values.jobs.policy.maxGPUs)) -}}
{{- end -}}
{{- end -}}
