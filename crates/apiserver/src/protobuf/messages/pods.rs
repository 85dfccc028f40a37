//! Field numbers of pods and what holds them or runs them, from Kubernetes' published `generated.proto`.
//!
//! A table of independent items, as its parent.

use super::super::{Field, Message};
use super::{LABEL_SELECTOR, LOCAL_OBJECT_REFERENCE, OBJECT_META, OBJECT_REFERENCE};

static HOST_PATH_VOLUME_SOURCE: Message = &[(1, "path", Field::Text), (2, "type", Field::Text)];
static EMPTY_DIR_VOLUME_SOURCE: Message = &[(1, "medium", Field::Text), (2, "sizeLimit", Field::Quantity)];
static GCE_PERSISTENT_DISK_VOLUME_SOURCE: Message = &[
    (1, "pdName", Field::Text),
    (2, "fsType", Field::Text),
    (3, "partition", Field::Int),
    (4, "readOnly", Field::Bool),
];
static AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE: Message = &[
    (1, "volumeID", Field::Text),
    (2, "fsType", Field::Text),
    (3, "partition", Field::Int),
    (4, "readOnly", Field::Bool),
];
static GIT_REPO_VOLUME_SOURCE: Message =
    &[(1, "repository", Field::Text), (2, "revision", Field::Text), (3, "directory", Field::Text)];
static KEY_TO_PATH: Message = &[(1, "key", Field::Text), (2, "path", Field::Text), (3, "mode", Field::Int)];
static SECRET_VOLUME_SOURCE: Message = &[
    (1, "secretName", Field::Text),
    (2, "items", Field::Messages(&KEY_TO_PATH)),
    (3, "defaultMode", Field::Int),
    (4, "optional", Field::Bool),
];
static NFS_VOLUME_SOURCE: Message =
    &[(1, "server", Field::Text), (2, "path", Field::Text), (3, "readOnly", Field::Bool)];
static ISCSI_VOLUME_SOURCE: Message = &[
    (1, "targetPortal", Field::Text),
    (2, "iqn", Field::Text),
    (3, "lun", Field::Int),
    (4, "iscsiInterface", Field::Text),
    (5, "fsType", Field::Text),
    (6, "readOnly", Field::Bool),
    (7, "portals", Field::Texts),
    (8, "chapAuthDiscovery", Field::Bool),
    (11, "chapAuthSession", Field::Bool),
    (10, "secretRef", Field::Message(&LOCAL_OBJECT_REFERENCE)),
    (12, "initiatorName", Field::Text),
];
static GLUSTERFS_VOLUME_SOURCE: Message =
    &[(1, "endpoints", Field::Text), (2, "path", Field::Text), (3, "readOnly", Field::Bool)];
static PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE: Message =
    &[(1, "claimName", Field::Text), (2, "readOnly", Field::Bool)];
static RBD_VOLUME_SOURCE: Message = &[
    (1, "monitors", Field::Texts),
    (2, "image", Field::Text),
    (3, "fsType", Field::Text),
    (4, "pool", Field::Text),
    (5, "user", Field::Text),
    (6, "keyring", Field::Text),
    (7, "secretRef", Field::Message(&LOCAL_OBJECT_REFERENCE)),
    (8, "readOnly", Field::Bool),
];
static FLEX_VOLUME_SOURCE: Message = &[
    (1, "driver", Field::Text),
    (2, "fsType", Field::Text),
    (3, "secretRef", Field::Message(&LOCAL_OBJECT_REFERENCE)),
    (4, "readOnly", Field::Bool),
    (5, "options", Field::TextMap),
];
static CINDER_VOLUME_SOURCE: Message = &[
    (1, "volumeID", Field::Text),
    (2, "fsType", Field::Text),
    (3, "readOnly", Field::Bool),
    (4, "secretRef", Field::Message(&LOCAL_OBJECT_REFERENCE)),
];
static CEPH_FS_VOLUME_SOURCE: Message = &[
    (1, "monitors", Field::Texts),
    (2, "path", Field::Text),
    (3, "user", Field::Text),
    (4, "secretFile", Field::Text),
    (5, "secretRef", Field::Message(&LOCAL_OBJECT_REFERENCE)),
    (6, "readOnly", Field::Bool),
];
static FLOCKER_VOLUME_SOURCE: Message = &[(1, "datasetName", Field::Text), (2, "datasetUUID", Field::Text)];
static OBJECT_FIELD_SELECTOR: Message = &[(1, "apiVersion", Field::Text), (2, "fieldPath", Field::Text)];
static RESOURCE_FIELD_SELECTOR: Message =
    &[(1, "containerName", Field::Text), (2, "resource", Field::Text), (3, "divisor", Field::Quantity)];
static DOWNWARD_API_VOLUME_FILE: Message = &[
    (1, "path", Field::Text),
    (2, "fieldRef", Field::Message(&OBJECT_FIELD_SELECTOR)),
    (3, "resourceFieldRef", Field::Message(&RESOURCE_FIELD_SELECTOR)),
    (4, "mode", Field::Int),
];
static DOWNWARD_API_VOLUME_SOURCE: Message =
    &[(1, "items", Field::Messages(&DOWNWARD_API_VOLUME_FILE)), (2, "defaultMode", Field::Int)];
static FC_VOLUME_SOURCE: Message = &[
    (1, "targetWWNs", Field::Texts),
    (2, "lun", Field::Int),
    (3, "fsType", Field::Text),
    (4, "readOnly", Field::Bool),
    (5, "wwids", Field::Texts),
];
static AZURE_FILE_VOLUME_SOURCE: Message =
    &[(1, "secretName", Field::Text), (2, "shareName", Field::Text), (3, "readOnly", Field::Bool)];
static CONFIG_MAP_VOLUME_SOURCE: Message = &[
    (1, "localObjectReference", Field::Inline(&LOCAL_OBJECT_REFERENCE)),
    (2, "items", Field::Messages(&KEY_TO_PATH)),
    (3, "defaultMode", Field::Int),
    (4, "optional", Field::Bool),
];
static VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE: Message = &[
    (1, "volumePath", Field::Text),
    (2, "fsType", Field::Text),
    (3, "storagePolicyName", Field::Text),
    (4, "storagePolicyID", Field::Text),
];
static QUOBYTE_VOLUME_SOURCE: Message = &[
    (1, "registry", Field::Text),
    (2, "volume", Field::Text),
    (3, "readOnly", Field::Bool),
    (4, "user", Field::Text),
    (5, "group", Field::Text),
    (6, "tenant", Field::Text),
];
static AZURE_DISK_VOLUME_SOURCE: Message = &[
    (1, "diskName", Field::Text),
    (2, "diskURI", Field::Text),
    (3, "cachingMode", Field::Text),
    (4, "fsType", Field::Text),
    (5, "readOnly", Field::Bool),
    (6, "kind", Field::Text),
];
static PHOTON_PERSISTENT_DISK_VOLUME_SOURCE: Message =
    &[(1, "pdID", Field::Text), (2, "fsType", Field::Text)];
static SECRET_PROJECTION: Message = &[
    (1, "localObjectReference", Field::Inline(&LOCAL_OBJECT_REFERENCE)),
    (2, "items", Field::Messages(&KEY_TO_PATH)),
    (4, "optional", Field::Bool),
];
static DOWNWARD_API_PROJECTION: Message = &[(1, "items", Field::Messages(&DOWNWARD_API_VOLUME_FILE))];
static CONFIG_MAP_PROJECTION: Message = &[
    (1, "localObjectReference", Field::Inline(&LOCAL_OBJECT_REFERENCE)),
    (2, "items", Field::Messages(&KEY_TO_PATH)),
    (4, "optional", Field::Bool),
];
static SERVICE_ACCOUNT_TOKEN_PROJECTION: Message =
    &[(1, "audience", Field::Text), (2, "expirationSeconds", Field::Int), (3, "path", Field::Text)];
static CLUSTER_TRUST_BUNDLE_PROJECTION: Message = &[
    (1, "name", Field::Text),
    (2, "signerName", Field::Text),
    (3, "labelSelector", Field::Message(&LABEL_SELECTOR)),
    (5, "optional", Field::Bool),
    (4, "path", Field::Text),
];
static VOLUME_PROJECTION: Message = &[
    (1, "secret", Field::Message(&SECRET_PROJECTION)),
    (2, "downwardAPI", Field::Message(&DOWNWARD_API_PROJECTION)),
    (3, "configMap", Field::Message(&CONFIG_MAP_PROJECTION)),
    (4, "serviceAccountToken", Field::Message(&SERVICE_ACCOUNT_TOKEN_PROJECTION)),
    (5, "clusterTrustBundle", Field::Message(&CLUSTER_TRUST_BUNDLE_PROJECTION)),
];
static PROJECTED_VOLUME_SOURCE: Message =
    &[(1, "sources", Field::Messages(&VOLUME_PROJECTION)), (2, "defaultMode", Field::Int)];
static PORTWORX_VOLUME_SOURCE: Message =
    &[(1, "volumeID", Field::Text), (2, "fsType", Field::Text), (3, "readOnly", Field::Bool)];
static SCALE_IO_VOLUME_SOURCE: Message = &[
    (1, "gateway", Field::Text),
    (2, "system", Field::Text),
    (3, "secretRef", Field::Message(&LOCAL_OBJECT_REFERENCE)),
    (4, "sslEnabled", Field::Bool),
    (5, "protectionDomain", Field::Text),
    (6, "storagePool", Field::Text),
    (7, "storageMode", Field::Text),
    (8, "volumeName", Field::Text),
    (9, "fsType", Field::Text),
    (10, "readOnly", Field::Bool),
];
static STORAGE_OS_VOLUME_SOURCE: Message = &[
    (1, "volumeName", Field::Text),
    (2, "volumeNamespace", Field::Text),
    (3, "fsType", Field::Text),
    (4, "readOnly", Field::Bool),
    (5, "secretRef", Field::Message(&LOCAL_OBJECT_REFERENCE)),
];
static CSI_VOLUME_SOURCE: Message = &[
    (1, "driver", Field::Text),
    (2, "readOnly", Field::Bool),
    (3, "fsType", Field::Text),
    (4, "volumeAttributes", Field::TextMap),
    (5, "nodePublishSecretRef", Field::Message(&LOCAL_OBJECT_REFERENCE)),
];
static VOLUME_RESOURCE_REQUIREMENTS: Message =
    &[(1, "limits", Field::QuantityMap), (2, "requests", Field::QuantityMap)];
static TYPED_LOCAL_OBJECT_REFERENCE: Message =
    &[(1, "apiGroup", Field::Text), (2, "kind", Field::Text), (3, "name", Field::Text)];
static TYPED_OBJECT_REFERENCE: Message = &[
    (1, "apiGroup", Field::Text),
    (2, "kind", Field::Text),
    (3, "name", Field::Text),
    (4, "namespace", Field::Text),
];
static PERSISTENT_VOLUME_CLAIM_SPEC: Message = &[
    (1, "accessModes", Field::Texts),
    (4, "selector", Field::Message(&LABEL_SELECTOR)),
    (2, "resources", Field::Message(&VOLUME_RESOURCE_REQUIREMENTS)),
    (3, "volumeName", Field::Text),
    (5, "storageClassName", Field::Text),
    (6, "volumeMode", Field::Text),
    (7, "dataSource", Field::Message(&TYPED_LOCAL_OBJECT_REFERENCE)),
    (8, "dataSourceRef", Field::Message(&TYPED_OBJECT_REFERENCE)),
    (9, "volumeAttributesClassName", Field::Text),
];
static PERSISTENT_VOLUME_CLAIM_TEMPLATE: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "spec", Field::Message(&PERSISTENT_VOLUME_CLAIM_SPEC)),
];
static EPHEMERAL_VOLUME_SOURCE: Message =
    &[(1, "volumeClaimTemplate", Field::Message(&PERSISTENT_VOLUME_CLAIM_TEMPLATE))];
static IMAGE_VOLUME_SOURCE: Message = &[(1, "reference", Field::Text), (2, "pullPolicy", Field::Text)];
static VOLUME_SOURCE: Message = &[
    (1, "hostPath", Field::Message(&HOST_PATH_VOLUME_SOURCE)),
    (2, "emptyDir", Field::Message(&EMPTY_DIR_VOLUME_SOURCE)),
    (3, "gcePersistentDisk", Field::Message(&GCE_PERSISTENT_DISK_VOLUME_SOURCE)),
    (4, "awsElasticBlockStore", Field::Message(&AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE)),
    (5, "gitRepo", Field::Message(&GIT_REPO_VOLUME_SOURCE)),
    (6, "secret", Field::Message(&SECRET_VOLUME_SOURCE)),
    (7, "nfs", Field::Message(&NFS_VOLUME_SOURCE)),
    (8, "iscsi", Field::Message(&ISCSI_VOLUME_SOURCE)),
    (9, "glusterfs", Field::Message(&GLUSTERFS_VOLUME_SOURCE)),
    (10, "persistentVolumeClaim", Field::Message(&PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE)),
    (11, "rbd", Field::Message(&RBD_VOLUME_SOURCE)),
    (12, "flexVolume", Field::Message(&FLEX_VOLUME_SOURCE)),
    (13, "cinder", Field::Message(&CINDER_VOLUME_SOURCE)),
    (14, "cephfs", Field::Message(&CEPH_FS_VOLUME_SOURCE)),
    (15, "flocker", Field::Message(&FLOCKER_VOLUME_SOURCE)),
    (16, "downwardAPI", Field::Message(&DOWNWARD_API_VOLUME_SOURCE)),
    (17, "fc", Field::Message(&FC_VOLUME_SOURCE)),
    (18, "azureFile", Field::Message(&AZURE_FILE_VOLUME_SOURCE)),
    (19, "configMap", Field::Message(&CONFIG_MAP_VOLUME_SOURCE)),
    (20, "vsphereVolume", Field::Message(&VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE)),
    (21, "quobyte", Field::Message(&QUOBYTE_VOLUME_SOURCE)),
    (22, "azureDisk", Field::Message(&AZURE_DISK_VOLUME_SOURCE)),
    (23, "photonPersistentDisk", Field::Message(&PHOTON_PERSISTENT_DISK_VOLUME_SOURCE)),
    (26, "projected", Field::Message(&PROJECTED_VOLUME_SOURCE)),
    (24, "portworxVolume", Field::Message(&PORTWORX_VOLUME_SOURCE)),
    (25, "scaleIO", Field::Message(&SCALE_IO_VOLUME_SOURCE)),
    (27, "storageos", Field::Message(&STORAGE_OS_VOLUME_SOURCE)),
    (28, "csi", Field::Message(&CSI_VOLUME_SOURCE)),
    (29, "ephemeral", Field::Message(&EPHEMERAL_VOLUME_SOURCE)),
    (30, "image", Field::Message(&IMAGE_VOLUME_SOURCE)),
];
static VOLUME: Message = &[(1, "name", Field::Text), (2, "volumeSource", Field::Inline(&VOLUME_SOURCE))];
static CONTAINER_PORT: Message = &[
    (1, "name", Field::Text),
    (2, "hostPort", Field::Int),
    (3, "containerPort", Field::Int),
    (4, "protocol", Field::Text),
    (5, "hostIP", Field::Text),
];
static CONFIG_MAP_ENV_SOURCE: Message =
    &[(1, "localObjectReference", Field::Inline(&LOCAL_OBJECT_REFERENCE)), (2, "optional", Field::Bool)];
static SECRET_ENV_SOURCE: Message =
    &[(1, "localObjectReference", Field::Inline(&LOCAL_OBJECT_REFERENCE)), (2, "optional", Field::Bool)];
static ENV_FROM_SOURCE: Message = &[
    (1, "prefix", Field::Text),
    (2, "configMapRef", Field::Message(&CONFIG_MAP_ENV_SOURCE)),
    (3, "secretRef", Field::Message(&SECRET_ENV_SOURCE)),
];
static CONFIG_MAP_KEY_SELECTOR: Message = &[
    (1, "localObjectReference", Field::Inline(&LOCAL_OBJECT_REFERENCE)),
    (2, "key", Field::Text),
    (3, "optional", Field::Bool),
];
static SECRET_KEY_SELECTOR: Message = &[
    (1, "localObjectReference", Field::Inline(&LOCAL_OBJECT_REFERENCE)),
    (2, "key", Field::Text),
    (3, "optional", Field::Bool),
];
static ENV_VAR_SOURCE: Message = &[
    (1, "fieldRef", Field::Message(&OBJECT_FIELD_SELECTOR)),
    (2, "resourceFieldRef", Field::Message(&RESOURCE_FIELD_SELECTOR)),
    (3, "configMapKeyRef", Field::Message(&CONFIG_MAP_KEY_SELECTOR)),
    (4, "secretKeyRef", Field::Message(&SECRET_KEY_SELECTOR)),
];
static ENV_VAR: Message =
    &[(1, "name", Field::Text), (2, "value", Field::Text), (3, "valueFrom", Field::Message(&ENV_VAR_SOURCE))];
static RESOURCE_CLAIM: Message = &[(1, "name", Field::Text), (2, "request", Field::Text)];
static RESOURCE_REQUIREMENTS: Message = &[
    (1, "limits", Field::QuantityMap),
    (2, "requests", Field::QuantityMap),
    (3, "claims", Field::Messages(&RESOURCE_CLAIM)),
];
static CONTAINER_RESIZE_POLICY: Message =
    &[(1, "resourceName", Field::Text), (2, "restartPolicy", Field::Text)];
static VOLUME_MOUNT: Message = &[
    (1, "name", Field::Text),
    (2, "readOnly", Field::Bool),
    (7, "recursiveReadOnly", Field::Text),
    (3, "mountPath", Field::Text),
    (4, "subPath", Field::Text),
    (5, "mountPropagation", Field::Text),
    (6, "subPathExpr", Field::Text),
];
static VOLUME_DEVICE: Message = &[(1, "name", Field::Text), (2, "devicePath", Field::Text)];
static EXEC_ACTION: Message = &[(1, "command", Field::Texts)];
static HTTP_HEADER: Message = &[(1, "name", Field::Text), (2, "value", Field::Text)];
static HTTP_GET_ACTION: Message = &[
    (1, "path", Field::Text),
    (2, "port", Field::IntOrString),
    (3, "host", Field::Text),
    (4, "scheme", Field::Text),
    (5, "httpHeaders", Field::Messages(&HTTP_HEADER)),
];
static TCP_SOCKET_ACTION: Message = &[(1, "port", Field::IntOrString), (2, "host", Field::Text)];
static GRPC_ACTION: Message = &[(1, "port", Field::Int), (2, "service", Field::Text)];
static PROBE_HANDLER: Message = &[
    (1, "exec", Field::Message(&EXEC_ACTION)),
    (2, "httpGet", Field::Message(&HTTP_GET_ACTION)),
    (3, "tcpSocket", Field::Message(&TCP_SOCKET_ACTION)),
    (4, "grpc", Field::Message(&GRPC_ACTION)),
];
static PROBE: Message = &[
    (1, "handler", Field::Inline(&PROBE_HANDLER)),
    (2, "initialDelaySeconds", Field::Int),
    (3, "timeoutSeconds", Field::Int),
    (4, "periodSeconds", Field::Int),
    (5, "successThreshold", Field::Int),
    (6, "failureThreshold", Field::Int),
    (7, "terminationGracePeriodSeconds", Field::Int),
];
static SLEEP_ACTION: Message = &[(1, "seconds", Field::Int)];
static LIFECYCLE_HANDLER: Message = &[
    (1, "exec", Field::Message(&EXEC_ACTION)),
    (2, "httpGet", Field::Message(&HTTP_GET_ACTION)),
    (3, "tcpSocket", Field::Message(&TCP_SOCKET_ACTION)),
    (4, "sleep", Field::Message(&SLEEP_ACTION)),
];
static LIFECYCLE: Message = &[
    (1, "postStart", Field::Message(&LIFECYCLE_HANDLER)),
    (2, "preStop", Field::Message(&LIFECYCLE_HANDLER)),
];
static CAPABILITIES: Message = &[(1, "add", Field::Texts), (2, "drop", Field::Texts)];
static SE_LINUX_OPTIONS: Message = &[
    (1, "user", Field::Text),
    (2, "role", Field::Text),
    (3, "type", Field::Text),
    (4, "level", Field::Text),
];
static WINDOWS_SECURITY_CONTEXT_OPTIONS: Message = &[
    (1, "gmsaCredentialSpecName", Field::Text),
    (2, "gmsaCredentialSpec", Field::Text),
    (3, "runAsUserName", Field::Text),
    (4, "hostProcess", Field::Bool),
];
static SECCOMP_PROFILE: Message = &[(1, "type", Field::Text), (2, "localhostProfile", Field::Text)];
static APP_ARMOR_PROFILE: Message = &[(1, "type", Field::Text), (2, "localhostProfile", Field::Text)];
static SECURITY_CONTEXT: Message = &[
    (1, "capabilities", Field::Message(&CAPABILITIES)),
    (2, "privileged", Field::Bool),
    (3, "seLinuxOptions", Field::Message(&SE_LINUX_OPTIONS)),
    (10, "windowsOptions", Field::Message(&WINDOWS_SECURITY_CONTEXT_OPTIONS)),
    (4, "runAsUser", Field::Int),
    (8, "runAsGroup", Field::Int),
    (5, "runAsNonRoot", Field::Bool),
    (6, "readOnlyRootFilesystem", Field::Bool),
    (7, "allowPrivilegeEscalation", Field::Bool),
    (9, "procMount", Field::Text),
    (11, "seccompProfile", Field::Message(&SECCOMP_PROFILE)),
    (12, "appArmorProfile", Field::Message(&APP_ARMOR_PROFILE)),
];
static CONTAINER: Message = &[
    (1, "name", Field::Text),
    (2, "image", Field::Text),
    (3, "command", Field::Texts),
    (4, "args", Field::Texts),
    (5, "workingDir", Field::Text),
    (6, "ports", Field::Messages(&CONTAINER_PORT)),
    (19, "envFrom", Field::Messages(&ENV_FROM_SOURCE)),
    (7, "env", Field::Messages(&ENV_VAR)),
    (8, "resources", Field::Message(&RESOURCE_REQUIREMENTS)),
    (23, "resizePolicy", Field::Messages(&CONTAINER_RESIZE_POLICY)),
    (24, "restartPolicy", Field::Text),
    (9, "volumeMounts", Field::Messages(&VOLUME_MOUNT)),
    (21, "volumeDevices", Field::Messages(&VOLUME_DEVICE)),
    (10, "livenessProbe", Field::Message(&PROBE)),
    (11, "readinessProbe", Field::Message(&PROBE)),
    (22, "startupProbe", Field::Message(&PROBE)),
    (12, "lifecycle", Field::Message(&LIFECYCLE)),
    (13, "terminationMessagePath", Field::Text),
    (20, "terminationMessagePolicy", Field::Text),
    (14, "imagePullPolicy", Field::Text),
    (15, "securityContext", Field::Message(&SECURITY_CONTEXT)),
    (16, "stdin", Field::Bool),
    (17, "stdinOnce", Field::Bool),
    (18, "tty", Field::Bool),
];
static EPHEMERAL_CONTAINER_COMMON: Message = &[
    (1, "name", Field::Text),
    (2, "image", Field::Text),
    (3, "command", Field::Texts),
    (4, "args", Field::Texts),
    (5, "workingDir", Field::Text),
    (6, "ports", Field::Messages(&CONTAINER_PORT)),
    (19, "envFrom", Field::Messages(&ENV_FROM_SOURCE)),
    (7, "env", Field::Messages(&ENV_VAR)),
    (8, "resources", Field::Message(&RESOURCE_REQUIREMENTS)),
    (23, "resizePolicy", Field::Messages(&CONTAINER_RESIZE_POLICY)),
    (24, "restartPolicy", Field::Text),
    (9, "volumeMounts", Field::Messages(&VOLUME_MOUNT)),
    (21, "volumeDevices", Field::Messages(&VOLUME_DEVICE)),
    (10, "livenessProbe", Field::Message(&PROBE)),
    (11, "readinessProbe", Field::Message(&PROBE)),
    (22, "startupProbe", Field::Message(&PROBE)),
    (12, "lifecycle", Field::Message(&LIFECYCLE)),
    (13, "terminationMessagePath", Field::Text),
    (20, "terminationMessagePolicy", Field::Text),
    (14, "imagePullPolicy", Field::Text),
    (15, "securityContext", Field::Message(&SECURITY_CONTEXT)),
    (16, "stdin", Field::Bool),
    (17, "stdinOnce", Field::Bool),
    (18, "tty", Field::Bool),
];
static EPHEMERAL_CONTAINER: Message = &[
    (1, "ephemeralContainerCommon", Field::Inline(&EPHEMERAL_CONTAINER_COMMON)),
    (2, "targetContainerName", Field::Text),
];
static SYSCTL: Message = &[(1, "name", Field::Text), (2, "value", Field::Text)];
static POD_SECURITY_CONTEXT: Message = &[
    (1, "seLinuxOptions", Field::Message(&SE_LINUX_OPTIONS)),
    (8, "windowsOptions", Field::Message(&WINDOWS_SECURITY_CONTEXT_OPTIONS)),
    (2, "runAsUser", Field::Int),
    (6, "runAsGroup", Field::Int),
    (3, "runAsNonRoot", Field::Bool),
    (4, "supplementalGroups", Field::Ints),
    (12, "supplementalGroupsPolicy", Field::Text),
    (5, "fsGroup", Field::Int),
    (7, "sysctls", Field::Messages(&SYSCTL)),
    (9, "fsGroupChangePolicy", Field::Text),
    (10, "seccompProfile", Field::Message(&SECCOMP_PROFILE)),
    (11, "appArmorProfile", Field::Message(&APP_ARMOR_PROFILE)),
    (13, "seLinuxChangePolicy", Field::Text),
];
static NODE_SELECTOR_REQUIREMENT: Message =
    &[(1, "key", Field::Text), (2, "operator", Field::Text), (3, "values", Field::Texts)];
static NODE_SELECTOR_TERM: Message = &[
    (1, "matchExpressions", Field::Messages(&NODE_SELECTOR_REQUIREMENT)),
    (2, "matchFields", Field::Messages(&NODE_SELECTOR_REQUIREMENT)),
];
static NODE_SELECTOR: Message = &[(1, "nodeSelectorTerms", Field::Messages(&NODE_SELECTOR_TERM))];
static PREFERRED_SCHEDULING_TERM: Message =
    &[(1, "weight", Field::Int), (2, "preference", Field::Message(&NODE_SELECTOR_TERM))];
static NODE_AFFINITY: Message = &[
    (1, "requiredDuringSchedulingIgnoredDuringExecution", Field::Message(&NODE_SELECTOR)),
    (2, "preferredDuringSchedulingIgnoredDuringExecution", Field::Messages(&PREFERRED_SCHEDULING_TERM)),
];
static POD_AFFINITY_TERM: Message = &[
    (1, "labelSelector", Field::Message(&LABEL_SELECTOR)),
    (2, "namespaces", Field::Texts),
    (3, "topologyKey", Field::Text),
    (4, "namespaceSelector", Field::Message(&LABEL_SELECTOR)),
    (5, "matchLabelKeys", Field::Texts),
    (6, "mismatchLabelKeys", Field::Texts),
];
static WEIGHTED_POD_AFFINITY_TERM: Message =
    &[(1, "weight", Field::Int), (2, "podAffinityTerm", Field::Message(&POD_AFFINITY_TERM))];
static POD_AFFINITY: Message = &[
    (1, "requiredDuringSchedulingIgnoredDuringExecution", Field::Messages(&POD_AFFINITY_TERM)),
    (2, "preferredDuringSchedulingIgnoredDuringExecution", Field::Messages(&WEIGHTED_POD_AFFINITY_TERM)),
];
static POD_ANTI_AFFINITY: Message = &[
    (1, "requiredDuringSchedulingIgnoredDuringExecution", Field::Messages(&POD_AFFINITY_TERM)),
    (2, "preferredDuringSchedulingIgnoredDuringExecution", Field::Messages(&WEIGHTED_POD_AFFINITY_TERM)),
];
static AFFINITY: Message = &[
    (1, "nodeAffinity", Field::Message(&NODE_AFFINITY)),
    (2, "podAffinity", Field::Message(&POD_AFFINITY)),
    (3, "podAntiAffinity", Field::Message(&POD_ANTI_AFFINITY)),
];
static TOLERATION: Message = &[
    (1, "key", Field::Text),
    (2, "operator", Field::Text),
    (3, "value", Field::Text),
    (4, "effect", Field::Text),
    (5, "tolerationSeconds", Field::Int),
];
static HOST_ALIAS: Message = &[(1, "ip", Field::Text), (2, "hostnames", Field::Texts)];
static POD_DNS_CONFIG_OPTION: Message = &[(1, "name", Field::Text), (2, "value", Field::Text)];
static POD_DNS_CONFIG: Message = &[
    (1, "nameservers", Field::Texts),
    (2, "searches", Field::Texts),
    (3, "options", Field::Messages(&POD_DNS_CONFIG_OPTION)),
];
static POD_READINESS_GATE: Message = &[(1, "conditionType", Field::Text)];
static TOPOLOGY_SPREAD_CONSTRAINT: Message = &[
    (1, "maxSkew", Field::Int),
    (2, "topologyKey", Field::Text),
    (3, "whenUnsatisfiable", Field::Text),
    (4, "labelSelector", Field::Message(&LABEL_SELECTOR)),
    (5, "minDomains", Field::Int),
    (6, "nodeAffinityPolicy", Field::Text),
    (7, "nodeTaintsPolicy", Field::Text),
    (8, "matchLabelKeys", Field::Texts),
];
static POD_OS: Message = &[(1, "name", Field::Text)];
static POD_SCHEDULING_GATE: Message = &[(1, "name", Field::Text)];
static POD_RESOURCE_CLAIM: Message = &[
    (1, "name", Field::Text),
    (3, "resourceClaimName", Field::Text),
    (4, "resourceClaimTemplateName", Field::Text),
];
static POD_SPEC: Message = &[
    (1, "volumes", Field::Messages(&VOLUME)),
    (20, "initContainers", Field::Messages(&CONTAINER)),
    (2, "containers", Field::Messages(&CONTAINER)),
    (34, "ephemeralContainers", Field::Messages(&EPHEMERAL_CONTAINER)),
    (3, "restartPolicy", Field::Text),
    (4, "terminationGracePeriodSeconds", Field::Int),
    (5, "activeDeadlineSeconds", Field::Int),
    (6, "dnsPolicy", Field::Text),
    (7, "nodeSelector", Field::TextMap),
    (8, "serviceAccountName", Field::Text),
    (9, "serviceAccount", Field::Text),
    (21, "automountServiceAccountToken", Field::Bool),
    (10, "nodeName", Field::Text),
    (11, "hostNetwork", Field::Bool),
    (12, "hostPID", Field::Bool),
    (13, "hostIPC", Field::Bool),
    (27, "shareProcessNamespace", Field::Bool),
    (14, "securityContext", Field::Message(&POD_SECURITY_CONTEXT)),
    (15, "imagePullSecrets", Field::Messages(&LOCAL_OBJECT_REFERENCE)),
    (16, "hostname", Field::Text),
    (17, "subdomain", Field::Text),
    (18, "affinity", Field::Message(&AFFINITY)),
    (19, "schedulerName", Field::Text),
    (22, "tolerations", Field::Messages(&TOLERATION)),
    (23, "hostAliases", Field::Messages(&HOST_ALIAS)),
    (24, "priorityClassName", Field::Text),
    (25, "priority", Field::Int),
    (26, "dnsConfig", Field::Message(&POD_DNS_CONFIG)),
    (28, "readinessGates", Field::Messages(&POD_READINESS_GATE)),
    (29, "runtimeClassName", Field::Text),
    (30, "enableServiceLinks", Field::Bool),
    (31, "preemptionPolicy", Field::Text),
    (32, "overhead", Field::QuantityMap),
    (33, "topologySpreadConstraints", Field::Messages(&TOPOLOGY_SPREAD_CONSTRAINT)),
    (35, "setHostnameAsFQDN", Field::Bool),
    (36, "os", Field::Message(&POD_OS)),
    (37, "hostUsers", Field::Bool),
    (38, "schedulingGates", Field::Messages(&POD_SCHEDULING_GATE)),
    (39, "resourceClaims", Field::Messages(&POD_RESOURCE_CLAIM)),
    (40, "resources", Field::Message(&RESOURCE_REQUIREMENTS)),
];
static POD_CONDITION: Message = &[
    (1, "type", Field::Text),
    (2, "status", Field::Text),
    (3, "lastProbeTime", Field::Time),
    (4, "lastTransitionTime", Field::Time),
    (5, "reason", Field::Text),
    (6, "message", Field::Text),
];
static HOST_IP: Message = &[(1, "ip", Field::Text)];
static POD_IP: Message = &[(1, "ip", Field::Text)];
static CONTAINER_STATE_WAITING: Message = &[(1, "reason", Field::Text), (2, "message", Field::Text)];
static CONTAINER_STATE_RUNNING: Message = &[(1, "startedAt", Field::Time)];
static CONTAINER_STATE_TERMINATED: Message = &[
    (1, "exitCode", Field::Int),
    (2, "signal", Field::Int),
    (3, "reason", Field::Text),
    (4, "message", Field::Text),
    (5, "startedAt", Field::Time),
    (6, "finishedAt", Field::Time),
    (7, "containerID", Field::Text),
];
static CONTAINER_STATE: Message = &[
    (1, "waiting", Field::Message(&CONTAINER_STATE_WAITING)),
    (2, "running", Field::Message(&CONTAINER_STATE_RUNNING)),
    (3, "terminated", Field::Message(&CONTAINER_STATE_TERMINATED)),
];
static VOLUME_MOUNT_STATUS: Message = &[
    (1, "name", Field::Text),
    (2, "mountPath", Field::Text),
    (3, "readOnly", Field::Bool),
    (4, "recursiveReadOnly", Field::Text),
];
static LINUX_CONTAINER_USER: Message =
    &[(1, "uid", Field::Int), (2, "gid", Field::Int), (3, "supplementalGroups", Field::Ints)];
static CONTAINER_USER: Message = &[(1, "linux", Field::Message(&LINUX_CONTAINER_USER))];
static RESOURCE_HEALTH: Message = &[(1, "resourceID", Field::Text), (2, "health", Field::Text)];
static RESOURCE_STATUS: Message =
    &[(1, "name", Field::Text), (2, "resources", Field::Messages(&RESOURCE_HEALTH))];
static CONTAINER_STATUS: Message = &[
    (1, "name", Field::Text),
    (2, "state", Field::Message(&CONTAINER_STATE)),
    (3, "lastState", Field::Message(&CONTAINER_STATE)),
    (4, "ready", Field::Bool),
    (5, "restartCount", Field::Int),
    (6, "image", Field::Text),
    (7, "imageID", Field::Text),
    (8, "containerID", Field::Text),
    (9, "started", Field::Bool),
    (10, "allocatedResources", Field::QuantityMap),
    (11, "resources", Field::Message(&RESOURCE_REQUIREMENTS)),
    (12, "volumeMounts", Field::Messages(&VOLUME_MOUNT_STATUS)),
    (13, "user", Field::Message(&CONTAINER_USER)),
    (14, "allocatedResourcesStatus", Field::Messages(&RESOURCE_STATUS)),
];
static POD_RESOURCE_CLAIM_STATUS: Message =
    &[(1, "name", Field::Text), (2, "resourceClaimName", Field::Text)];
static POD_STATUS: Message = &[
    (1, "phase", Field::Text),
    (2, "conditions", Field::Messages(&POD_CONDITION)),
    (3, "message", Field::Text),
    (4, "reason", Field::Text),
    (11, "nominatedNodeName", Field::Text),
    (5, "hostIP", Field::Text),
    (16, "hostIPs", Field::Messages(&HOST_IP)),
    (6, "podIP", Field::Text),
    (12, "podIPs", Field::Messages(&POD_IP)),
    (7, "startTime", Field::Time),
    (10, "initContainerStatuses", Field::Messages(&CONTAINER_STATUS)),
    (8, "containerStatuses", Field::Messages(&CONTAINER_STATUS)),
    (9, "qosClass", Field::Text),
    (13, "ephemeralContainerStatuses", Field::Messages(&CONTAINER_STATUS)),
    (14, "resize", Field::Text),
    (15, "resourceClaimStatuses", Field::Messages(&POD_RESOURCE_CLAIM_STATUS)),
];
pub(super) static POD: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "spec", Field::Message(&POD_SPEC)),
    (3, "status", Field::Message(&POD_STATUS)),
];
static POD_TEMPLATE_SPEC: Message =
    &[(1, "metadata", Field::Message(&OBJECT_META)), (2, "spec", Field::Message(&POD_SPEC))];
static REPLICATION_CONTROLLER_SPEC: Message = &[
    (1, "replicas", Field::Int),
    (4, "minReadySeconds", Field::Int),
    (2, "selector", Field::TextMap),
    (3, "template", Field::Message(&POD_TEMPLATE_SPEC)),
];
static REPLICATION_CONTROLLER_CONDITION: Message = &[
    (1, "type", Field::Text),
    (2, "status", Field::Text),
    (3, "lastTransitionTime", Field::Time),
    (4, "reason", Field::Text),
    (5, "message", Field::Text),
];
static REPLICATION_CONTROLLER_STATUS: Message = &[
    (1, "replicas", Field::Int),
    (2, "fullyLabeledReplicas", Field::Int),
    (4, "readyReplicas", Field::Int),
    (5, "availableReplicas", Field::Int),
    (3, "observedGeneration", Field::Int),
    (6, "conditions", Field::Messages(&REPLICATION_CONTROLLER_CONDITION)),
];
pub(super) static REPLICATION_CONTROLLER: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "spec", Field::Message(&REPLICATION_CONTROLLER_SPEC)),
    (3, "status", Field::Message(&REPLICATION_CONTROLLER_STATUS)),
];
static TAINT: Message = &[
    (1, "key", Field::Text),
    (2, "value", Field::Text),
    (3, "effect", Field::Text),
    (4, "timeAdded", Field::Time),
];
static CONFIG_MAP_NODE_CONFIG_SOURCE: Message = &[
    (1, "namespace", Field::Text),
    (2, "name", Field::Text),
    (3, "uid", Field::Text),
    (4, "resourceVersion", Field::Text),
    (5, "kubeletConfigKey", Field::Text),
];
static NODE_CONFIG_SOURCE: Message = &[(2, "configMap", Field::Message(&CONFIG_MAP_NODE_CONFIG_SOURCE))];
static NODE_SPEC: Message = &[
    (1, "podCIDR", Field::Text),
    (7, "podCIDRs", Field::Texts),
    (3, "providerID", Field::Text),
    (4, "unschedulable", Field::Bool),
    (5, "taints", Field::Messages(&TAINT)),
    (6, "configSource", Field::Message(&NODE_CONFIG_SOURCE)),
    (2, "externalID", Field::Text),
];
static NODE_CONDITION: Message = &[
    (1, "type", Field::Text),
    (2, "status", Field::Text),
    (3, "lastHeartbeatTime", Field::Time),
    (4, "lastTransitionTime", Field::Time),
    (5, "reason", Field::Text),
    (6, "message", Field::Text),
];
static NODE_ADDRESS: Message = &[(1, "type", Field::Text), (2, "address", Field::Text)];
static DAEMON_ENDPOINT: Message = &[(1, "Port", Field::Int)];
static NODE_DAEMON_ENDPOINTS: Message = &[(1, "kubeletEndpoint", Field::Message(&DAEMON_ENDPOINT))];
static NODE_SYSTEM_INFO: Message = &[
    (1, "machineID", Field::Text),
    (2, "systemUUID", Field::Text),
    (3, "bootID", Field::Text),
    (4, "kernelVersion", Field::Text),
    (5, "osImage", Field::Text),
    (6, "containerRuntimeVersion", Field::Text),
    (7, "kubeletVersion", Field::Text),
    (8, "kubeProxyVersion", Field::Text),
    (9, "operatingSystem", Field::Text),
    (10, "architecture", Field::Text),
];
static CONTAINER_IMAGE: Message = &[(1, "names", Field::Texts), (2, "sizeBytes", Field::Int)];
static ATTACHED_VOLUME: Message = &[(1, "name", Field::Text), (2, "devicePath", Field::Text)];
static NODE_CONFIG_STATUS: Message = &[
    (1, "assigned", Field::Message(&NODE_CONFIG_SOURCE)),
    (2, "active", Field::Message(&NODE_CONFIG_SOURCE)),
    (3, "lastKnownGood", Field::Message(&NODE_CONFIG_SOURCE)),
    (4, "error", Field::Text),
];
static NODE_RUNTIME_HANDLER_FEATURES: Message =
    &[(1, "recursiveReadOnlyMounts", Field::Bool), (2, "userNamespaces", Field::Bool)];
static NODE_RUNTIME_HANDLER: Message =
    &[(1, "name", Field::Text), (2, "features", Field::Message(&NODE_RUNTIME_HANDLER_FEATURES))];
static NODE_FEATURES: Message = &[(1, "supplementalGroupsPolicy", Field::Bool)];
static NODE_STATUS: Message = &[
    (1, "capacity", Field::QuantityMap),
    (2, "allocatable", Field::QuantityMap),
    (3, "phase", Field::Text),
    (4, "conditions", Field::Messages(&NODE_CONDITION)),
    (5, "addresses", Field::Messages(&NODE_ADDRESS)),
    (6, "daemonEndpoints", Field::Message(&NODE_DAEMON_ENDPOINTS)),
    (7, "nodeInfo", Field::Message(&NODE_SYSTEM_INFO)),
    (8, "images", Field::Messages(&CONTAINER_IMAGE)),
    (9, "volumesInUse", Field::Texts),
    (10, "volumesAttached", Field::Messages(&ATTACHED_VOLUME)),
    (11, "config", Field::Message(&NODE_CONFIG_STATUS)),
    (12, "runtimeHandlers", Field::Messages(&NODE_RUNTIME_HANDLER)),
    (13, "features", Field::Message(&NODE_FEATURES)),
];
pub(super) static NODE: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "spec", Field::Message(&NODE_SPEC)),
    (3, "status", Field::Message(&NODE_STATUS)),
];
pub(super) static BINDING: Message =
    &[(1, "metadata", Field::Message(&OBJECT_META)), (2, "target", Field::Message(&OBJECT_REFERENCE))];
