{{- /* What all pods of the chart have in common. */ -}}

{{- define "facefoundry.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "facefoundry.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* Scheduling fields of a pod. Takes a block of values. */ -}}
{{- define "facefoundry.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- /* Mounts of a pod that uses the store and no service. */ -}}
{{- define "facefoundry.storeMounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .Values.store.caConfigMap }}
- {name: store-ca, mountPath: /etc/facefoundry/store-ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "facefoundry.mounts" -}}
{{ include "facefoundry.storeMounts" . }}
{{- if .Values.tls.existingSecret }}
- {name: tls, mountPath: /etc/facefoundry/tls, readOnly: true}
{{- end }}
{{- end -}}

{{- /* Resources of a container, from a block with `resources` and `scratch`. What its pod may write on the disk of the
node, the scratch volume and 1Gi of logs, is requested as a whole: when the disk gets full, Kubernetes evicts pods first
that use more than they requested. */ -}}
{{- define "facefoundry.resources" -}}
{{- $storage := dict "ephemeral-storage" (add (include "facefoundry.bytes" .scratch | int64) 1073741824 | toString) -}}
{{- $given := .resources | default dict -}}
{{- toYaml (merge (deepCopy $given) (dict "requests" (deepCopy $storage) "limits" $storage)) -}}
{{- end -}}

{{- /* Volumes of a pod that uses the store and no service. Takes `root` and `scratch`. */ -}}
{{- define "facefoundry.storeVolumes" -}}
- name: tmp
  emptyDir: {sizeLimit: {{ .scratch }}}
{{- with .root.Values.store.caConfigMap }}
- name: store-ca
  configMap: {name: {{ . }}}
{{- end }}
{{- end -}}

{{- /* Volumes of a pod. Takes `root` and `scratch`. */ -}}
{{- define "facefoundry.volumes" -}}
{{ include "facefoundry.storeVolumes" . }}
{{- with .root.Values.tls.existingSecret }}
- name: tls
  secret: {secretName: {{ . }}, defaultMode: 288}
{{- end }}
{{- end -}}

{{- /* Number of a service's pods; empty: Kubernetes starts with 1. Takes `root` and `name`.
Where an autoscaler or a person owns the number, it is the one found in the cluster: helm then agrees with its owner. If
it were left out, helm would take back the number that an earlier upgrade set, and 1 pod would remain. */ -}}
{{- define "facefoundry.replicas" -}}
{{- $block := get .root.Values .name -}}
{{- $autoscaled := ($block.autoscaling | default dict).enabled -}}
{{- $found := lookup "apps/v1" "Deployment" .root.Release.Namespace (printf "%s-%s" (include "facefoundry.fullname" .root) .name) -}}
{{- if not (or $autoscaled (kindIs "invalid" $block.replicas)) -}}
{{ $block.replicas }}
{{- else if $found -}}
{{ $found.spec.replicas }}
{{- else if eq .name "trainer" -}}
2
{{- end -}}
{{- end -}}

{{- /* The pod of a service. Takes `root` and `name`. */ -}}
{{- define "facefoundry.servicePod" -}}
{{- $root := .root -}}
{{- $block := get $root.Values .name -}}
{{- $settings := $block.settings -}}
{{- $isTrainer := eq .name "trainer" -}}
{{- $cores := include "facefoundry.cores" (($block.resources).requests).cpu | int64 -}}
{{- $slots := $settings.slots | default $cores | int64 -}}
{{- $drain := $settings.drainSeconds | default 25 -}}
metadata:
  labels:
    {{- include "facefoundry.selector" . | nindent 4 }}
  annotations:
    kubectl.kubernetes.io/default-container: {{ .name }}
    {{- if $isTrainer }}
    checksum/training-job: {{ include "facefoundry.trainingJob" $root | sha256sum }}
    {{- end }}
    {{- with $block.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "facefoundry.fullname" $root }}-{{ .name }}
  automountServiceAccountToken: {{ $isTrainer }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add (ceil $drain) 10 }}
  {{- with include "facefoundry.imageFields" $root | trim }}{{ . | nindent 2 }}{{ end }}
  {{- with include "facefoundry.placement" $block | trim }}{{ . | nindent 2 }}{{ end }}
  {{- with $block.topologyKeys }}
  topologySpreadConstraints:
    {{- range . }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "facefoundry.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  securityContext:
    {{- include "facefoundry.podSecurity" . | nindent 4 }}
  containers:
    - name: {{ .name }}
      image: {{ include "facefoundry.image" (dict "root" $root "name" .name "digest" $block.digest) }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      ports:
        - {name: grpc, containerPort: 50051}
        - {name: health, containerPort: 8081}
        - {name: metrics, containerPort: 9090}
      env:
        - {name: FACEFOUNDRY_LISTEN, value: "0.0.0.0:50051"}
        - {name: FACEFOUNDRY_HEALTH_LISTEN, value: "0.0.0.0:8081"}
        - {name: FACEFOUNDRY_METRICS_LISTEN, value: "0.0.0.0:9090"}
        - {name: FACEFOUNDRY_SCRATCH_DIR, value: /tmp}
        {{- if $root.Values.tls.existingSecret }}
        - {name: FACEFOUNDRY_TLS_CERT_FILE, value: /etc/facefoundry/tls/tls.crt}
        - {name: FACEFOUNDRY_TLS_KEY_FILE, value: /etc/facefoundry/tls/tls.key}
        {{- if $root.Values.tls.mutual }}
        - {name: FACEFOUNDRY_TLS_CLIENT_CA_FILE, value: /etc/facefoundry/tls/ca.crt}
        {{- end }}
        {{- end }}
        {{- if $isTrainer }}
        - {name: FACEFOUNDRY_BACKEND, value: kubernetes}
        - {name: FACEFOUNDRY_JOB_TEMPLATE, value: /etc/facefoundry/job/training-job.yaml}
        - {name: FACEFOUNDRY_JOBS_NAMESPACE, value: {{ include "facefoundry.jobsNamespace" $root | quote }}}
        - {name: FACEFOUNDRY_GPU_RESOURCE, value: {{ $root.Values.worker.gpu.resource | quote }}}
        - {name: FACEFOUNDRY_GPUS, value: {{ include "facefoundry.gpus" $root | quote }}}
        {{- end }}
        {{- if not $settings.slots }}
        - {name: FACEFOUNDRY_SLOTS, value: {{ $slots | quote }}}
        {{- end }}
        {{- if not $settings.sandboxThreads }}
        - {name: FACEFOUNDRY_SANDBOX_THREADS, value: {{ max 1 (div $cores $slots) | quote }}}
        {{- end }}
        {{- if not $settings.sandboxDiskBytes }}
        - {name: FACEFOUNDRY_SANDBOX_DISK_BYTES, value: {{ div (mul (include "facefoundry.bytes" $block.scratch | int64) 9) (mul 10 $slots) | quote }}}
        {{- end }}
        {{- with (($block.resources).limits).memory }}
        {{- if not $settings.sandboxMemoryBytes }}
        - {name: FACEFOUNDRY_SANDBOX_MEMORY_BYTES, value: {{ include "facefoundry.sandboxBytes" (dict "name" $.name "memory" . "slots" $slots) | quote }}}
        {{- end }}
        {{- end }}
        {{- with $block.importBuckets }}
        - {name: FACEFOUNDRY_IMPORT_BUCKETS, value: {{ join "," . | quote }}}
        {{- end }}
        {{- include "facefoundry.storeEnv" (dict "root" $root "secret" $block.storeSecret) | nindent 8 }}
        {{- with include "facefoundry.signerEnv" $root | trim }}{{ . | nindent 8 }}{{ end }}
        {{- with include "facefoundry.settings" (dict "prefix" "FACEFOUNDRY_" "settings" $settings) | trim }}{{ . | nindent 8 }}{{ end }}
      startupProbe:
        grpc: {port: 8081}
        periodSeconds: 2
        failureThreshold: 90
      readinessProbe:
        # By this name it asks for a free thread too; without a name only whether the process answers. A store that
        # does not answer makes no pod unready: it would be all of them.
        grpc: {port: 8081, service: {{ printf "facefoundry.v1.%sService" (title .name) }}}
        periodSeconds: 5
        timeoutSeconds: 5
      livenessProbe:
        grpc: {port: 8081}
        periodSeconds: 20
        timeoutSeconds: 10
        failureThreshold: 6
      resources:
        {{- include "facefoundry.resources" $block | nindent 8 }}
      securityContext:
        {{- include "facefoundry.containerSecurity" . | nindent 8 }}
      volumeMounts:
        {{- include "facefoundry.mounts" $root | nindent 8 }}
        {{- if $isTrainer }}
        - {name: job, mountPath: /etc/facefoundry/job, readOnly: true}
        {{- end }}
  volumes:
    {{- include "facefoundry.volumes" (dict "root" $root "scratch" $block.scratch) | nindent 4 }}
    {{- if $isTrainer }}
    - name: job
      configMap: {name: {{ include "facefoundry.fullname" $root }}-training-job}
    {{- end }}
{{- end -}}

{{- /* Memory limit of a sandbox: its share of the pod's memory, so that a hostile file kills its sandbox and not the pod. */ -}}
{{- define "facefoundry.sandboxBytes" -}}
{{- $share := div (sub (include "facefoundry.bytes" .memory | int64) 536870912) .slots -}}
{{- if lt $share 67108864 -}}
{{- fail (printf "%s.resources.limits.memory is %v. The server needs 512Mi of it, and less than 64Mi is left for each of the %d slots. Raise it, or lower %s.settings.slots or %s.resources.requests.cpu." .name .memory .slots .name .name) -}}
{{- end -}}
{{- $share -}}
{{- end -}}
