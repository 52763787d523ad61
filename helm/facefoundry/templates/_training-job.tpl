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
{{- end -}}
{{- if $worker.podAnnotations -}}
{{- $_ := set $pod.metadata "annotations" $worker.podAnnotations -}}
{{- end -}}
{{- $_ := set $pod.spec "serviceAccountName" (printf "%s-worker" (include "facefoundry.fullname" .)) -}}
{{- $_ := mergeOverwrite $pod.spec (include "facefoundry.placement" $worker | fromYaml) (include "facefoundry.pullSecrets" . | fromYaml) -}}
{{- with $worker.runtimeClassName -}}
{{- $_ := set $pod.spec "runtimeClassName" . -}}
{{- end -}}
{{- $container := first $pod.spec.containers -}}
{{- $_ := set $container "image" (include "facefoundry.image" (dict "root" . "name" "worker" "digest" $worker.digest)) -}}
{{- $_ := set $container "imagePullPolicy" .Values.image.pullPolicy -}}
{{- $_ := set $container "resources" $worker.resources -}}
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
{{- $env = concat $env (include "facefoundry.settings" (dict "prefix" "FACEFOUNDRY_WORKER_" "settings" $settings) | fromYamlArray) -}}
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
