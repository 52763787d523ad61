{{- /* files/training-job.yaml with the installation's image, resources, scheduling, store and settings. */ -}}
{{- define "facefoundry.trainingJob" -}}
{{- $worker := .Values.worker -}}
{{- $labels := include "facefoundry.labels" (dict "root" . "name" "worker") | fromYaml -}}
{{- $job := .Files.Get "files/training-job.yaml" | fromYaml -}}
{{- $pod := $job.spec.template -}}
{{- $_ := set $job.metadata "labels" (mergeOverwrite (dict) $job.metadata.labels $labels) -}}
{{- $_ := set $pod.metadata "labels" (mergeOverwrite (dict) $pod.metadata.labels $labels) -}}
{{- if $worker.queueName -}}
{{- $_ := set $job.metadata.labels "kueue.x-k8s.io/queue-name" $worker.queueName -}}
{{- with $worker.queuePriorityClassName -}}
{{- $_ := set $job.metadata.labels "kueue.x-k8s.io/priority-class" . -}}
{{- end -}}
{{- end -}}
{{- if $worker.podAnnotations -}}
{{- $_ := set $pod.metadata "annotations" $worker.podAnnotations -}}
{{- end -}}
{{- $_ := set $pod.spec "serviceAccountName" (printf "%s-worker" (include "facefoundry.fullname" .)) -}}
{{- $_ := mergeOverwrite $pod.spec (include "facefoundry.placement" $worker | fromYaml) (include "facefoundry.imageFields" . | fromYaml) -}}
{{- with $worker.runtimeClassName -}}
{{- $_ := set $pod.spec "runtimeClassName" . -}}
{{- end -}}
{{- $container := first $pod.spec.containers -}}
{{- $_ := set $container "image" (include "facefoundry.image" (dict "root" . "name" "worker" "digest" $worker.digest)) -}}
{{- $_ := set $container "imagePullPolicy" .Values.image.pullPolicy -}}
{{- $resources := include "facefoundry.resources" $worker | fromYaml -}}
{{- $_ := set $container "resources" $resources -}}
{{- with include "facefoundry.claimTemplate" . -}}
{{- $_ := set $pod.spec "resourceClaims" (list (dict "name" "gpu" "resourceClaimTemplateName" .)) -}}
{{- $_ := set $container "resources" (merge (dict "claims" (list (dict "name" "gpu"))) $resources) -}}
{{- end -}}
{{- $env := list -}}
{{- range $container.env -}}
{{- if not (hasPrefix "FACEFOUNDRY_STORE_" .name) -}}
{{- $env = append $env . -}}
{{- end -}}
{{- end -}}
{{- $settings := $worker.settings -}}
{{- if not $settings.threads -}}
{{- $settings = merge (dict "threads" (include "facefoundry.cores" (($worker.resources).requests).cpu)) $settings -}}
{{- end -}}
{{- if and $worker.gpu.count (not (hasKey $settings "requireGpu")) -}}
{{- $settings = merge (dict "requireGpu" true) $settings -}}
{{- end -}}
{{- $env = concat $env (include "facefoundry.storeEnv" (dict "root" . "secret" $worker.storeSecret) | fromYamlArray) -}}
{{- /* A little less than the volume: the worker then says why it ends, before Kubernetes evicts its pod. */ -}}
{{- $scratch := div (mul (include "facefoundry.bytes" $worker.scratch | int64) 19) 20 -}}
{{- $env = append $env (dict "name" "FACEFOUNDRY_WORKER_SCRATCH_BYTES" "value" (toString $scratch)) -}}
{{- $env = concat $env (include "facefoundry.settings" (dict "prefix" "FACEFOUNDRY_WORKER_" "settings" $settings) | fromYamlArray) -}}
{{- with $worker.gpu.kernelCacheClaim -}}
{{- $env = append $env (dict "name" "CUDA_CACHE_PATH" "value" "/var/cache/cuda") -}}
{{- $env = append $env (dict "name" "CUDA_CACHE_MAXSIZE" "value" "4294967296") -}}
{{- $_ := set $pod.spec "volumes" (append $pod.spec.volumes (dict "name" "kernel-cache" "persistentVolumeClaim" (dict "claimName" .))) -}}
{{- $_ := set $container "volumeMounts" (append $container.volumeMounts (dict "name" "kernel-cache" "mountPath" "/var/cache/cuda")) -}}
{{- end -}}
{{- $_ := set $container "env" $env -}}
{{- range $pod.spec.volumes -}}
{{- if eq .name "scratch" -}}
{{- $_ := set . "emptyDir" (dict "sizeLimit" $worker.scratch) -}}
{{- end -}}
{{- end -}}
{{- with .Values.store.caConfigMap -}}
{{- $_ := set $pod.spec "volumes" (append $pod.spec.volumes (dict "name" "store-ca" "configMap" (dict "name" .))) -}}
{{- $_ := set $container "volumeMounts" (append $container.volumeMounts (dict "name" "store-ca" "mountPath" "/etc/facefoundry/store-ca" "readOnly" true)) -}}
{{- end -}}
{{- toYaml $job -}}
{{- end -}}

{{- /* The number of worker.gpu.resource that a worker requests: none where it claims its devices. */ -}}
{{- define "facefoundry.gpus" -}}
{{ include "facefoundry.claimTemplate" . | empty | ternary .Values.worker.gpu.count 0 }}
{{- end -}}

{{- /* Name of the ResourceClaimTemplate of workers; empty: none. The chart's own has a new name for each content, because
Kubernetes lets nobody change one, and running Jobs keep theirs. */ -}}
{{- define "facefoundry.claimTemplate" -}}
{{- $claim := .Values.worker.gpu.claim | default dict -}}
{{- if $claim.deviceClass -}}
{{ include "facefoundry.fullname" . }}-gpu-{{ include "facefoundry.claim" . | sha256sum | trunc 8 }}
{{- else -}}
{{ $claim.template }}
{{- end -}}
{{- end -}}

{{- /* The claim of a worker for devices of worker.gpu.claim.deviceClass. */ -}}
{{- define "facefoundry.claim" -}}
devices:
  requests:
    - name: gpu
      exactly: {deviceClassName: {{ .Values.worker.gpu.claim.deviceClass }}, count: {{ .Values.worker.gpu.count }}}
{{- end -}}
