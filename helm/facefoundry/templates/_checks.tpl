{{- /* Checks that the schema cannot express: values that contradict each other. */ -}}
{{- define "facefoundry.checks" -}}
{{- $values := .Values -}}
{{- if and $values.minio.enabled $values.store.existingSecret -}}
{{- fail "Both minio.enabled and store.existingSecret are set. Use either the development MinIO or a store of your own." -}}
{{- end -}}
{{- if not (or $values.minio.enabled $values.store.existingSecret) -}}
{{- fail "There is no object store. Set store.endpoint and store.existingSecret (a Secret with the keys access-key and secret-key), or set minio.enabled=true to try FaceFoundry out with the development MinIO." -}}
{{- end -}}
{{- if and $values.store.existingSecret (not $values.store.endpoint) -}}
{{- fail "store.existingSecret is set, but store.endpoint is empty. Set it to the S3 server's host and port, such as s3.example.org:443." -}}
{{- end -}}
{{- range list "extractor" "trainer" "converter" "worker" -}}
{{- if and (get (get $values .) "storeSecret") (not $values.dataset.storeSecret) (not $values.minio.enabled) -}}
{{- fail (printf "%s.storeSecret is set, but dataset.storeSecret is empty, so Jobs of datasets would have the account in store.existingSecret. Set dataset.storeSecret to the Secret of an account with the policy client.json." .) -}}
{{- end -}}
{{- end -}}
{{- range list "extractor" "trainer" "converter" "worker" "dataset" -}}
{{- if and $values.webPage.enabled (not $values.webPage.storeSecret) (get (get $values .) "storeSecret") (not $values.minio.enabled) -}}
{{- fail (printf "%s.storeSecret is set, but webPage.storeSecret is empty, so the web page would have the account in store.existingSecret. Set webPage.storeSecret to the Secret of an account with the policy web-page.json." .) -}}
{{- end -}}
{{- end -}}
{{- range list "extractor" "trainer" "converter" "worker" "dataset" -}}
{{- if and (($values.bucketExpire).enabled) (not $values.bucketExpire.storeSecret) (get (get $values .) "storeSecret") (not $values.minio.enabled) -}}
{{- fail (printf "%s.storeSecret is set, but bucketExpire.storeSecret is empty. Set it to the Secret of the account of the bucket's owner: no other may delete all old objects." .) -}}
{{- end -}}
{{- end -}}
{{- if and $values.jobs.createNamespace (eq (include "facefoundry.jobsNamespace" .) .Release.Namespace) -}}
{{- fail "jobs.namespace is the release's own namespace. Choose another namespace for the Jobs, so that the trainer's permissions do not reach the services, or set jobs.createNamespace=false." -}}
{{- end -}}
{{- if and $values.jobs.policy.enabled (gt (int $values.worker.gpu.count) (int $values.jobs.policy.maxGPUs)) -}}
{{- fail (printf "worker.gpu.count is %d, but jobs.policy.maxGPUs is %d. Raise the maximum or lower the count." (int $values.worker.gpu.count) (int $values.jobs.policy.maxGPUs)) -}}
{{- end -}}
{{- $claim := $values.worker.gpu.claim | default dict -}}
{{- if and $claim.deviceClass $claim.template -}}
{{- fail "Both worker.gpu.claim.deviceClass and worker.gpu.claim.template are set. Use one of them." -}}
{{- end -}}
{{- if and (or $claim.deviceClass $claim.template) (eq (int $values.worker.gpu.count) 0) -}}
{{- fail "worker.gpu.claim asks for a GPU, but worker.gpu.count is 0. Set the count to 1, or leave the claim out to train on the CPU." -}}
{{- end -}}
{{- if and (or $claim.deviceClass $claim.template) (semverCompare "<1.34-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "worker.gpu.claim needs Kubernetes 1.34 or later. This cluster has %s. Leave the claim out, and set worker.gpu.resource." .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- end -}}
