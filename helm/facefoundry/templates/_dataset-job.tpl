{{- /* The template of the Jobs that `facefoundry submit` makes. It adds name, arguments, and the volume with the dataset. */ -}}
{{- define "facefoundry.datasetJob" -}}
{{- $block := .Values.dataset -}}
apiVersion: batch/v1
kind: Job
metadata:
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "facefoundry.labels" (dict "root" . "name" "dataset") | nindent 4 }}
spec:
  completions: 1
  parallelism: 1
  # Counts pods that ended early. podFailurePolicy ignores disruptions by the cluster.
  backoffLimit: 20
  podReplacementPolicy: Failed
  # What the run made is in the bucket. A week leaves time to read the log.
  ttlSecondsAfterFinished: 604800
  podFailurePolicy:
    rules:
      # 2: the dataset is wrong. 3: some pairs failed, and all others are made. Another pod would end the same way.
      - action: FailJob
        onExitCodes: {containerName: dataset, operator: In, values: [2, 3]}
      # Drained, preempted or evicted: another pod goes on.
      - action: Ignore
        onPodConditions:
          - {type: DisruptionTarget, status: "True"}
  template:
    metadata:
      labels:
        {{- include "facefoundry.labels" (dict "root" . "name" "dataset") | nindent 8 }}
      {{- with $block.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      restartPolicy: Never
      serviceAccountName: {{ include "facefoundry.fullname" . }}-dataset
      automountServiceAccountToken: false
      enableServiceLinks: false
      # Process 1 of a PID namespace ignores SIGTERM until it installs a handler.
      shareProcessNamespace: true
      {{- with include "facefoundry.imageFields" . | trim }}{{ . | nindent 6 }}{{ end }}
      {{- with include "facefoundry.placement" $block | trim }}{{ . | nindent 6 }}{{ end }}
      securityContext:
        {{- include "facefoundry.podSecurity" . | nindent 8 }}
      containers:
        - name: dataset
          image: {{ include "facefoundry.image" (dict "root" . "name" "cli" "digest" $block.digest) }}
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          env:
            {{- include "facefoundry.clientEnv" . | trim | nindent 12 }}
            {{- include "facefoundry.storeEnv" (dict "root" . "secret" $block.storeSecret) | nindent 12 }}
          {{- with $block.resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          # The error of the command, or the end of its log.
          terminationMessagePolicy: FallbackToLogsOnError
          securityContext:
            {{- include "facefoundry.containerSecurity" . | nindent 12 }}
          volumeMounts:
            {{- include "facefoundry.mounts" . | nindent 12 }}
      volumes:
        {{- include "facefoundry.volumes" (dict "root" . "scratch" $block.scratch) | nindent 8 }}
{{- end -}}
