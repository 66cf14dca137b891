{{- define "mfu.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Prefix of every object's name: at most 40 characters, so that the longest suffix still fits a label. */}}
{{- define "mfu.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "mfu.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "mfu.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mfu.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "mfu.labels" -}}
{{ include "mfu.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "mfu.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Name of a ServiceAccount: dict "root" $ "component" "controller". */}}
{{- define "mfu.serviceAccountName" -}}
{{- printf "%s-%s" (include "mfu.fullname" .root) .component -}}
{{- end -}}

{{- define "mfu.webhookSecret" -}}
{{- default (printf "%s-webhook-tls" (include "mfu.fullname" .)) .Values.webhook.certificate.existingSecret -}}
{{- end -}}

{{/* "true" where objects of the prometheus-operator are to be rendered: dict "root" $ "enabled" auto|true|false "kind" "ServiceMonitor". */}}
{{- define "mfu.monitoring" -}}
{{- if eq (toString .enabled) "auto" -}}
{{- if .root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind) -}}true{{- end -}}
{{- else if eq (toString .enabled) "true" -}}true{{- end -}}
{{- end -}}

{{/* "true" where the cluster can hold objects at creation without a webhook. */}}
{{- define "mfu.gating" -}}
{{- if and .Values.gating.enabled (or .Values.gating.force (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy")) -}}true{{- end -}}
{{- end -}}

{{- define "mfu.selfRestraint" -}}
{{- if and .Values.gating.enabled .Values.gating.selfRestraint (or .Values.gating.force (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy")) -}}true{{- end -}}
{{- end -}}

{{/* The base64 of webhook.caBundle, whether it was given as PEM text or as base64. */}}
{{- define "mfu.caBundle" -}}
{{- $given := trim .Values.webhook.caBundle -}}
{{- if hasPrefix "-----BEGIN" $given -}}
{{- b64enc (printf "%s\n" $given) -}}
{{- else -}}
{{- $given -}}
{{- end -}}
{{- end -}}

{{/* Scheduling and identity shared by the two Deployments: dict "root" $ "component" "controller" "values" .Values.controller. */}}
{{- define "mfu.podSpec" -}}
serviceAccountName: {{ include "mfu.serviceAccountName" (dict "root" .root "component" .component) }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
securityContext:
{{- toYaml .root.Values.podSecurityContext | nindent 2 }}
terminationGracePeriodSeconds: {{ .values.terminationGracePeriodSeconds }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
{{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
{{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
{{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: {{ .values.spreadWhenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "mfu.selectorLabels" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "mfu.containerBasics" -}}
image: {{ include "mfu.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
{{- toYaml .Values.securityContext | nindent 2 }}
{{- end -}}

{{- define "mfu.podEnvironment" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- end -}}
