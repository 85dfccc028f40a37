//! What no type says: which fields must be given, which values there are, how lists are merged. All of it is what
//! Kubernetes and OpenShift publish of the same types.
//!
//! Types are named by the ends of their definitions' names. A row about a type or a field that does not exist fails
//! the test that writes the definitions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Fields that must be given.
const REQUIRED: &[(&str, &[&str])] = &[
    ("authentication.v1.TokenRequest", &["spec"]),
    ("authentication.v1.TokenRequestSpec", &["audiences"]),
    ("authentication.v1.TokenRequestStatus", &["expirationTimestamp", "token"]),
    ("authentication.v1.TokenReview", &["spec"]),
    ("authorization.v1.LocalSubjectAccessReview", &["spec"]),
    ("authorization.v1.NonResourceRule", &["verbs"]),
    ("authorization.v1.ResourceRule", &["verbs"]),
    ("authorization.v1.SelfSubjectAccessReview", &["spec"]),
    ("authorization.v1.SelfSubjectRulesReview", &["spec"]),
    ("authorization.v1.SubjectAccessReview", &["spec"]),
    ("authorization.v1.SubjectAccessReviewStatus", &["allowed"]),
    ("authorization.v1.SubjectRulesReviewStatus", &["incomplete", "nonResourceRules", "resourceRules"]),
    ("autoscaling.v1.ScaleStatus", &["replicas"]),
    ("core.v1.AWSElasticBlockStoreVolumeSource", &["volumeID"]),
    ("core.v1.AppArmorProfile", &["type"]),
    ("core.v1.AttachedVolume", &["devicePath", "name"]),
    ("core.v1.AzureDiskVolumeSource", &["diskName", "diskURI"]),
    ("core.v1.AzureFileVolumeSource", &["secretName", "shareName"]),
    ("core.v1.Binding", &["target"]),
    ("core.v1.CSIVolumeSource", &["driver"]),
    ("core.v1.CephFSVolumeSource", &["monitors"]),
    ("core.v1.CinderVolumeSource", &["volumeID"]),
    ("core.v1.ClusterTrustBundleProjection", &["path"]),
    ("core.v1.ConfigMapNodeConfigSource", &["kubeletConfigKey", "name", "namespace"]),
    ("core.v1.Container", &["name"]),
    ("core.v1.ContainerPort", &["containerPort"]),
    ("core.v1.ContainerResizePolicy", &["resourceName", "restartPolicy"]),
    ("core.v1.ContainerStateTerminated", &["exitCode"]),
    ("core.v1.ContainerStatus", &["image", "imageID", "name", "ready", "restartCount"]),
    ("core.v1.DaemonEndpoint", &["Port"]),
    ("core.v1.DownwardAPIVolumeFile", &["path"]),
    ("core.v1.EndpointAddress", &["ip"]),
    ("core.v1.EndpointPort", &["port"]),
    ("core.v1.EnvVar", &["name"]),
    ("core.v1.EphemeralContainer", &["name"]),
    ("core.v1.Event", &["involvedObject", "metadata"]),
    ("core.v1.FlexVolumeSource", &["driver"]),
    ("core.v1.GCEPersistentDiskVolumeSource", &["pdName"]),
    ("core.v1.GRPCAction", &["port"]),
    ("core.v1.GitRepoVolumeSource", &["repository"]),
    ("core.v1.GlusterfsVolumeSource", &["endpoints", "path"]),
    ("core.v1.HTTPGetAction", &["port"]),
    ("core.v1.HTTPHeader", &["name", "value"]),
    ("core.v1.HostAlias", &["ip"]),
    ("core.v1.HostIP", &["ip"]),
    ("core.v1.HostPathVolumeSource", &["path"]),
    ("core.v1.ISCSIVolumeSource", &["iqn", "lun", "targetPortal"]),
    ("core.v1.KeyToPath", &["key", "path"]),
    ("core.v1.LimitRangeItem", &["type"]),
    ("core.v1.LimitRangeSpec", &["limits"]),
    ("core.v1.LinuxContainerUser", &["gid", "uid"]),
    ("core.v1.NFSVolumeSource", &["path", "server"]),
    ("core.v1.NamespaceCondition", &["status", "type"]),
    ("core.v1.NodeAddress", &["address", "type"]),
    ("core.v1.NodeCondition", &["status", "type"]),
    ("core.v1.NodeSelector", &["nodeSelectorTerms"]),
    ("core.v1.NodeSelectorRequirement", &["key", "operator"]),
    (
        "core.v1.NodeSystemInfo",
        &[
            "architecture",
            "bootID",
            "containerRuntimeVersion",
            "kernelVersion",
            "kubeProxyVersion",
            "kubeletVersion",
            "machineID",
            "operatingSystem",
            "osImage",
            "systemUUID",
        ],
    ),
    ("core.v1.ObjectFieldSelector", &["fieldPath"]),
    ("core.v1.PersistentVolumeClaimTemplate", &["spec"]),
    ("core.v1.PersistentVolumeClaimVolumeSource", &["claimName"]),
    ("core.v1.PhotonPersistentDiskVolumeSource", &["pdID"]),
    ("core.v1.PodAffinityTerm", &["topologyKey"]),
    ("core.v1.PodCondition", &["status", "type"]),
    ("core.v1.PodIP", &["ip"]),
    ("core.v1.PodOS", &["name"]),
    ("core.v1.PodReadinessGate", &["conditionType"]),
    ("core.v1.PodResourceClaim", &["name"]),
    ("core.v1.PodResourceClaimStatus", &["name"]),
    ("core.v1.PodSchedulingGate", &["name"]),
    ("core.v1.PodSpec", &["containers"]),
    ("core.v1.PortworxVolumeSource", &["volumeID"]),
    ("core.v1.PreferredSchedulingTerm", &["preference", "weight"]),
    ("core.v1.QuobyteVolumeSource", &["registry", "volume"]),
    ("core.v1.RBDVolumeSource", &["image", "monitors"]),
    ("core.v1.ReplicationControllerCondition", &["status", "type"]),
    ("core.v1.ReplicationControllerStatus", &["replicas"]),
    ("core.v1.ResourceClaim", &["name"]),
    ("core.v1.ResourceFieldSelector", &["resource"]),
    ("core.v1.ResourceHealth", &["resourceID"]),
    ("core.v1.ResourceStatus", &["name"]),
    ("core.v1.ScaleIOVolumeSource", &["gateway", "secretRef", "system"]),
    ("core.v1.ScopedResourceSelectorRequirement", &["operator", "scopeName"]),
    ("core.v1.SeccompProfile", &["type"]),
    ("core.v1.ServiceAccountTokenProjection", &["path"]),
    ("core.v1.ServicePort", &["port"]),
    ("core.v1.SleepAction", &["seconds"]),
    ("core.v1.Sysctl", &["name", "value"]),
    ("core.v1.TCPSocketAction", &["port"]),
    ("core.v1.Taint", &["effect", "key"]),
    ("core.v1.TopologySpreadConstraint", &["maxSkew", "topologyKey", "whenUnsatisfiable"]),
    ("core.v1.TypedLocalObjectReference", &["kind", "name"]),
    ("core.v1.TypedObjectReference", &["kind", "name"]),
    ("core.v1.Volume", &["name"]),
    ("core.v1.VolumeDevice", &["devicePath", "name"]),
    ("core.v1.VolumeMount", &["mountPath", "name"]),
    ("core.v1.VolumeMountStatus", &["mountPath", "name"]),
    ("core.v1.VsphereVirtualDiskVolumeSource", &["volumePath"]),
    ("core.v1.WeightedPodAffinityTerm", &["podAffinityTerm", "weight"]),
    ("events.v1.Event", &["eventTime"]),
    ("meta.v1.APIGroup", &["name", "versions"]),
    ("meta.v1.APIGroupList", &["groups"]),
    ("meta.v1.APIResource", &["kind", "name", "namespaced", "singularName", "verbs"]),
    ("meta.v1.APIResourceList", &["groupVersion", "resources"]),
    ("meta.v1.APIVersions", &["serverAddressByClientCIDRs", "versions"]),
    ("meta.v1.GroupVersionForDiscovery", &["groupVersion", "version"]),
    ("meta.v1.LabelSelectorRequirement", &["key", "operator"]),
    ("meta.v1.OwnerReference", &["apiVersion", "kind", "name", "uid"]),
    ("meta.v1.ServerAddressByClientCIDR", &["clientCIDR", "serverAddress"]),
    ("openshift.apps.v1.DeploymentCause", &["type"]),
    ("openshift.apps.v1.DeploymentCauseImageTrigger", &["from"]),
    ("openshift.apps.v1.DeploymentCondition", &["status", "type"]),
    ("openshift.apps.v1.DeploymentConfig", &["spec"]),
    ("openshift.apps.v1.DeploymentConfigRollback", &["name", "spec"]),
    ("openshift.apps.v1.DeploymentConfigRollbackSpec", &["from"]),
    (
        "openshift.apps.v1.DeploymentConfigStatus",
        &[
            "availableReplicas",
            "latestVersion",
            "observedGeneration",
            "replicas",
            "unavailableReplicas",
            "updatedReplicas",
        ],
    ),
    ("openshift.apps.v1.DeploymentDetails", &["causes"]),
    ("openshift.apps.v1.DeploymentRequest", &["name"]),
    ("openshift.apps.v1.DeploymentTriggerImageChangeParams", &["from"]),
    ("openshift.apps.v1.ExecNewPodHook", &["command", "containerName"]),
    ("openshift.apps.v1.LifecycleHook", &["failurePolicy"]),
    ("openshift.apps.v1.TagImageHook", &["containerName", "to"]),
    ("openshift.authorization.v1.ClusterRole", &["rules"]),
    ("openshift.authorization.v1.ClusterRoleBinding", &["roleRef"]),
    ("openshift.authorization.v1.LocalResourceAccessReview", &["resource", "verb"]),
    ("openshift.authorization.v1.LocalSubjectAccessReview", &["resource", "verb"]),
    ("openshift.authorization.v1.PolicyRule", &["resources", "verbs"]),
    ("openshift.authorization.v1.ResourceAccessReview", &["resource", "verb"]),
    ("openshift.authorization.v1.Role", &["rules"]),
    ("openshift.authorization.v1.RoleBinding", &["roleRef"]),
    ("openshift.authorization.v1.RoleBindingRestriction", &["spec"]),
    ("openshift.authorization.v1.SelfSubjectRulesReview", &["spec"]),
    ("openshift.authorization.v1.ServiceAccountReference", &["name"]),
    ("openshift.authorization.v1.SubjectAccessReview", &["resource", "verb"]),
    ("openshift.authorization.v1.SubjectAccessReviewResponse", &["allowed"]),
    ("openshift.authorization.v1.SubjectRulesReview", &["spec"]),
    ("openshift.authorization.v1.SubjectRulesReviewStatus", &["rules"]),
    ("openshift.image.v1.ImageImportSpec", &["from"]),
    ("openshift.image.v1.ImageImportStatus", &["status"]),
    ("openshift.image.v1.ImageLayer", &["mediaType", "name", "size"]),
    ("openshift.image.v1.ImageSignature", &["content", "type"]),
    ("openshift.image.v1.ImageStreamImport", &["spec"]),
    ("openshift.image.v1.ImageStreamImportSpec", &["import"]),
    ("openshift.image.v1.ImageStreamLayers", &["blobs", "images"]),
    ("openshift.image.v1.ImageStreamMapping", &["image", "tag"]),
    ("openshift.image.v1.ImageStreamStatus", &["dockerImageRepository"]),
    ("openshift.image.v1.NamedTagEventList", &["items", "tag"]),
    ("openshift.image.v1.RepositoryImportSpec", &["from"]),
    ("openshift.image.v1.SignatureCondition", &["status", "type"]),
    ("openshift.image.v1.TagEvent", &["created", "dockerImageReference", "generation", "image"]),
    ("openshift.image.v1.TagEventCondition", &["generation", "status", "type"]),
    ("openshift.image.v1.TagReference", &["name"]),
    ("openshift.oauth.v1.ClusterRoleScopeRestriction", &["allowEscalation", "namespaces", "roleNames"]),
    ("openshift.quota.v1.AppliedClusterResourceQuota", &["spec"]),
    ("openshift.quota.v1.ClusterResourceQuota", &["spec"]),
    ("openshift.quota.v1.ClusterResourceQuotaSpec", &["quota", "selector"]),
    ("openshift.quota.v1.ResourceQuotaStatusByNamespace", &["namespace", "status"]),
    ("openshift.route.v1.Route", &["spec"]),
    ("openshift.route.v1.RouteIngressCondition", &["status", "type"]),
    ("openshift.route.v1.RoutePort", &["targetPort"]),
    ("openshift.route.v1.RouteSpec", &["to"]),
    ("openshift.route.v1.RouteTargetReference", &["kind", "name"]),
    ("openshift.route.v1.TLSConfig", &["termination"]),
    ("openshift.user.v1.Group", &["users"]),
    ("openshift.user.v1.Identity", &["providerName", "providerUserName", "user"]),
    ("rbac.v1.ClusterRoleBinding", &["roleRef"]),
    ("rbac.v1.PolicyRule", &["verbs"]),
    ("rbac.v1.RoleBinding", &["roleRef"]),
    ("rbac.v1.RoleRef", &["apiGroup", "kind", "name"]),
    ("rbac.v1.Subject", &["kind", "name"]),
];

/// The only values of fields.
const ENUMS: &[(&str, &str, &[&str])] = &[
    ("core.v1.AppArmorProfile", "type", &["Localhost", "RuntimeDefault", "Unconfined"]),
    ("core.v1.Container", "imagePullPolicy", &["Always", "IfNotPresent", "Never"]),
    ("core.v1.Container", "terminationMessagePolicy", &["FallbackToLogsOnError", "File"]),
    ("core.v1.ContainerPort", "protocol", &["SCTP", "TCP", "UDP"]),
    ("core.v1.EndpointPort", "protocol", &["SCTP", "TCP", "UDP"]),
    ("core.v1.HTTPGetAction", "scheme", &["HTTP", "HTTPS"]),
    ("core.v1.NodeSelectorRequirement", "operator", &["DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn"]),
    ("core.v1.PodSpec", "dnsPolicy", &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
    ("core.v1.PodSpec", "preemptionPolicy", &["Never", "PreemptLowerPriority"]),
    ("core.v1.PodSpec", "restartPolicy", &["Always", "Never", "OnFailure"]),
    ("core.v1.SeccompProfile", "type", &["Localhost", "RuntimeDefault", "Unconfined"]),
    ("core.v1.ServicePort", "protocol", &["SCTP", "TCP", "UDP"]),
    ("core.v1.ServiceSpec", "externalTrafficPolicy", &["Cluster", "Local"]),
    ("core.v1.ServiceSpec", "internalTrafficPolicy", &["Cluster", "Local"]),
    ("core.v1.ServiceSpec", "ipFamilyPolicy", &["PreferDualStack", "RequireDualStack", "SingleStack"]),
    ("core.v1.ServiceSpec", "sessionAffinity", &["ClientIP", "None"]),
    ("core.v1.ServiceSpec", "type", &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]),
    ("core.v1.Taint", "effect", &["NoExecute", "NoSchedule", "PreferNoSchedule"]),
    ("core.v1.Toleration", "effect", &["NoExecute", "NoSchedule", "PreferNoSchedule"]),
    ("core.v1.Toleration", "operator", &["Equal", "Exists"]),
    ("core.v1.TopologySpreadConstraint", "nodeAffinityPolicy", &["Honor", "Ignore"]),
    ("core.v1.TopologySpreadConstraint", "nodeTaintsPolicy", &["Honor", "Ignore"]),
    ("core.v1.TopologySpreadConstraint", "whenUnsatisfiable", &["DoNotSchedule", "ScheduleAnyway"]),
    ("openshift.apps.v1.DeploymentStrategy", "type", &["Custom", "Recreate", "Rolling"]),
    ("openshift.apps.v1.DeploymentTriggerPolicy", "type", &["ConfigChange", "ImageChange"]),
    ("openshift.apps.v1.LifecycleHook", "failurePolicy", &["Abort", "Ignore", "Retry"]),
    ("openshift.image.v1.TagReferencePolicy", "type", &["Local", "Source"]),
    ("openshift.oauth.v1.OAuthClient", "grantMethod", &["auto", "deny", "prompt"]),
    ("openshift.route.v1.RouteSpec", "wildcardPolicy", &["None", "Subdomain"]),
    ("openshift.route.v1.RouteTargetReference", "kind", &["Service"]),
    ("openshift.route.v1.TLSConfig", "insecureEdgeTerminationPolicy", &["Allow", "None", "Redirect"]),
    ("openshift.route.v1.TLSConfig", "termination", &["edge", "passthrough", "reencrypt"]),
];

/// What fields are when they are not given, where merging by these fields must know it.
const DEFAULTS: &[(&str, &str, &str)] =
    &[("core.v1.ContainerPort", "protocol", "TCP"), ("core.v1.ServicePort", "protocol", "TCP")];

/// Lists that patches merge: strategy, and the member that tells items apart (none for lists of plain values).
const MERGED: &[(&str, &str, &str, &str)] = &[
    ("core.v1.Container", "env", "merge", "name"),
    ("core.v1.Container", "ports", "merge", "containerPort"),
    ("core.v1.Container", "volumeDevices", "merge", "devicePath"),
    ("core.v1.Container", "volumeMounts", "merge", "mountPath"),
    ("core.v1.ContainerStatus", "allocatedResourcesStatus", "merge", "name"),
    ("core.v1.ContainerStatus", "volumeMounts", "merge", "mountPath"),
    ("core.v1.EphemeralContainer", "env", "merge", "name"),
    ("core.v1.EphemeralContainer", "ports", "merge", "containerPort"),
    ("core.v1.EphemeralContainer", "volumeDevices", "merge", "devicePath"),
    ("core.v1.EphemeralContainer", "volumeMounts", "merge", "mountPath"),
    ("core.v1.NamespaceStatus", "conditions", "merge", "type"),
    ("core.v1.NodeSpec", "podCIDRs", "merge", ""),
    ("core.v1.NodeStatus", "addresses", "merge", "type"),
    ("core.v1.NodeStatus", "conditions", "merge", "type"),
    ("core.v1.PodSpec", "containers", "merge", "name"),
    ("core.v1.PodSpec", "ephemeralContainers", "merge", "name"),
    ("core.v1.PodSpec", "hostAliases", "merge", "ip"),
    ("core.v1.PodSpec", "imagePullSecrets", "merge", "name"),
    ("core.v1.PodSpec", "initContainers", "merge", "name"),
    ("core.v1.PodSpec", "resourceClaims", "merge,retainKeys", "name"),
    ("core.v1.PodSpec", "schedulingGates", "merge", "name"),
    ("core.v1.PodSpec", "topologySpreadConstraints", "merge", "topologyKey"),
    ("core.v1.PodSpec", "volumes", "merge,retainKeys", "name"),
    ("core.v1.PodStatus", "conditions", "merge", "type"),
    ("core.v1.PodStatus", "hostIPs", "merge", "ip"),
    ("core.v1.PodStatus", "podIPs", "merge", "ip"),
    ("core.v1.PodStatus", "resourceClaimStatuses", "merge,retainKeys", "name"),
    ("core.v1.ReplicationControllerStatus", "conditions", "merge", "type"),
    ("core.v1.ServiceAccount", "secrets", "merge", "name"),
    ("core.v1.ServiceSpec", "ports", "merge", "port"),
    ("meta.v1.ObjectMeta", "finalizers", "merge", ""),
    ("meta.v1.ObjectMeta", "ownerReferences", "merge", "uid"),
    ("openshift.apps.v1.DeploymentConfigStatus", "conditions", "merge", "type"),
    ("openshift.image.v1.Image", "signatures", "merge", "name"),
    ("openshift.image.v1.ImageSignature", "conditions", "merge", "type"),
    ("openshift.image.v1.ImageStreamSpec", "tags", "merge", "name"),
    ("openshift.image.v1.ImageStreamStatus", "tags", "merge", "tag"),
    ("openshift.oauth.v1.OAuthClient", "redirectURIs", "merge", ""),
    ("openshift.project.v1.ProjectStatus", "conditions", "merge", "type"),
];

/// Lists in which an apply tells items apart by these members.
const KEYED: &[(&str, &str, &[&str])] = &[
    ("core.v1.Container", "env", &["name"]),
    ("core.v1.Container", "ports", &["containerPort", "protocol"]),
    ("core.v1.Container", "volumeDevices", &["devicePath"]),
    ("core.v1.Container", "volumeMounts", &["mountPath"]),
    ("core.v1.ContainerStatus", "allocatedResourcesStatus", &["name"]),
    ("core.v1.ContainerStatus", "volumeMounts", &["mountPath"]),
    ("core.v1.EphemeralContainer", "env", &["name"]),
    ("core.v1.EphemeralContainer", "ports", &["containerPort", "protocol"]),
    ("core.v1.EphemeralContainer", "volumeDevices", &["devicePath"]),
    ("core.v1.EphemeralContainer", "volumeMounts", &["mountPath"]),
    ("core.v1.NamespaceStatus", "conditions", &["type"]),
    ("core.v1.NodeStatus", "addresses", &["type"]),
    ("core.v1.NodeStatus", "conditions", &["type"]),
    ("core.v1.PodSpec", "containers", &["name"]),
    ("core.v1.PodSpec", "ephemeralContainers", &["name"]),
    ("core.v1.PodSpec", "hostAliases", &["ip"]),
    ("core.v1.PodSpec", "imagePullSecrets", &["name"]),
    ("core.v1.PodSpec", "initContainers", &["name"]),
    ("core.v1.PodSpec", "resourceClaims", &["name"]),
    ("core.v1.PodSpec", "schedulingGates", &["name"]),
    ("core.v1.PodSpec", "topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("core.v1.PodSpec", "volumes", &["name"]),
    ("core.v1.PodStatus", "conditions", &["type"]),
    ("core.v1.PodStatus", "podIPs", &["ip"]),
    ("core.v1.PodStatus", "resourceClaimStatuses", &["name"]),
    ("core.v1.ReplicationControllerStatus", "conditions", &["type"]),
    ("core.v1.ResourceRequirements", "claims", &["name"]),
    ("core.v1.ResourceStatus", "resources", &["resourceID"]),
    ("core.v1.ServiceAccount", "secrets", &["name"]),
    ("core.v1.ServiceSpec", "ports", &["port", "protocol"]),
    ("meta.v1.ObjectMeta", "ownerReferences", &["uid"]),
];

/// Lists that are sets to an apply.
const SETS: &[(&str, &str)] = &[("core.v1.NodeSpec", "podCIDRs"), ("meta.v1.ObjectMeta", "finalizers")];

/// Lists that an apply takes for one value.
const ATOMIC: &[(&str, &[&str])] = &[
    ("authentication.v1.TokenRequestSpec", &["audiences"]),
    ("authentication.v1.TokenReviewSpec", &["audiences"]),
    ("authentication.v1.TokenReviewStatus", &["audiences"]),
    ("authentication.v1.UserInfo", &["groups"]),
    ("authorization.v1.NonResourceRule", &["nonResourceURLs", "verbs"]),
    ("authorization.v1.ResourceRule", &["apiGroups", "resourceNames", "resources", "verbs"]),
    ("authorization.v1.SubjectAccessReviewSpec", &["groups"]),
    ("authorization.v1.SubjectRulesReviewStatus", &["nonResourceRules", "resourceRules"]),
    ("core.v1.Capabilities", &["add", "drop"]),
    ("core.v1.CephFSVolumeSource", &["monitors"]),
    ("core.v1.ConfigMapVolumeSource", &["items"]),
    ("core.v1.Container", &["args", "command", "envFrom", "resizePolicy"]),
    ("core.v1.ContainerImage", &["names"]),
    ("core.v1.DownwardAPIProjection", &["items"]),
    ("core.v1.DownwardAPIVolumeSource", &["items"]),
    ("core.v1.EndpointSubset", &["addresses", "notReadyAddresses", "ports"]),
    ("core.v1.Endpoints", &["subsets"]),
    ("core.v1.ExecAction", &["command"]),
    ("core.v1.FCVolumeSource", &["targetWWNs", "wwids"]),
    ("core.v1.HTTPGetAction", &["httpHeaders"]),
    ("core.v1.HostAlias", &["hostnames"]),
    ("core.v1.ISCSIVolumeSource", &["portals"]),
    ("core.v1.LimitRangeSpec", &["limits"]),
    ("core.v1.LinuxContainerUser", &["supplementalGroups"]),
    ("core.v1.LoadBalancerStatus", &["ingress"]),
    ("core.v1.NamespaceSpec", &["finalizers"]),
    ("core.v1.NodeAffinity", &["preferredDuringSchedulingIgnoredDuringExecution"]),
    ("core.v1.NodeSelector", &["nodeSelectorTerms"]),
    ("core.v1.NodeSelectorRequirement", &["values"]),
    ("core.v1.NodeSelectorTerm", &["matchExpressions", "matchFields"]),
    ("core.v1.NodeSpec", &["taints"]),
    ("core.v1.NodeStatus", &["images", "runtimeHandlers", "volumesAttached", "volumesInUse"]),
    ("core.v1.PersistentVolumeClaimSpec", &["accessModes"]),
    (
        "core.v1.PodAffinity",
        &[
            "preferredDuringSchedulingIgnoredDuringExecution",
            "requiredDuringSchedulingIgnoredDuringExecution",
        ],
    ),
    ("core.v1.PodAffinityTerm", &["matchLabelKeys", "mismatchLabelKeys", "namespaces"]),
    (
        "core.v1.PodAntiAffinity",
        &[
            "preferredDuringSchedulingIgnoredDuringExecution",
            "requiredDuringSchedulingIgnoredDuringExecution",
        ],
    ),
    ("core.v1.PodDNSConfig", &["nameservers", "options", "searches"]),
    ("core.v1.PodSecurityContext", &["supplementalGroups", "sysctls"]),
    ("core.v1.PodSpec", &["readinessGates", "tolerations"]),
    (
        "core.v1.PodStatus",
        &["containerStatuses", "ephemeralContainerStatuses", "hostIPs", "initContainerStatuses"],
    ),
    ("core.v1.ProjectedVolumeSource", &["sources"]),
    ("core.v1.RBDVolumeSource", &["monitors"]),
    ("core.v1.ResourceQuotaSpec", &["scopes"]),
    ("core.v1.ScopeSelector", &["matchExpressions"]),
    ("core.v1.ScopedResourceSelectorRequirement", &["values"]),
    ("core.v1.SecretVolumeSource", &["items"]),
    ("core.v1.ServiceAccount", &["imagePullSecrets"]),
    ("core.v1.ServiceSpec", &["clusterIPs", "externalIPs", "ipFamilies", "loadBalancerSourceRanges"]),
    ("core.v1.TopologySpreadConstraint", &["matchLabelKeys"]),
    ("meta.v1.APIGroup", &["versions"]),
    ("meta.v1.APIGroupList", &["groups"]),
    ("meta.v1.APIResource", &["categories", "shortNames"]),
    ("meta.v1.APIResourceList", &["resources"]),
    ("meta.v1.APIVersions", &["serverAddressByClientCIDRs", "versions"]),
    ("meta.v1.DeleteOptions", &["dryRun"]),
    ("meta.v1.LabelSelector", &["matchExpressions"]),
    ("meta.v1.LabelSelectorRequirement", &["values"]),
    ("meta.v1.ObjectMeta", &["managedFields"]),
    ("meta.v1.Status", &["details"]),
    ("meta.v1.StatusDetails", &["causes"]),
    ("rbac.v1.AggregationRule", &["clusterRoleSelectors"]),
    ("rbac.v1.ClusterRole", &["rules"]),
    ("rbac.v1.ClusterRoleBinding", &["subjects"]),
    ("rbac.v1.PolicyRule", &["apiGroups", "nonResourceURLs", "resourceNames", "resources", "verbs"]),
    ("rbac.v1.Role", &["rules"]),
    ("rbac.v1.RoleBinding", &["subjects"]),
];

/// Maps that an apply takes for one value.
const ATOMIC_MAPS: &[(&str, &str)] = &[
    ("core.v1.PodSpec", "nodeSelector"),
    ("core.v1.ReplicationControllerSpec", "selector"),
    ("core.v1.ServiceSpec", "selector"),
];

/// Objects that an apply takes for one value.
const ATOMIC_TYPES: &[&str] = &[
    "core.v1.LocalObjectReference",
    "core.v1.NodeSelector",
    "core.v1.NodeSelectorTerm",
    "core.v1.ObjectFieldSelector",
    "core.v1.ObjectReference",
    "core.v1.ResourceFieldSelector",
    "core.v1.TypedLocalObjectReference",
    "meta.v1.LabelSelector",
    "rbac.v1.RoleRef",
    "rbac.v1.Subject",
];

/// Adds all notes.
pub(super) fn apply(definitions: &mut BTreeMap<String, Value>) {
    let mut types = Types::of(definitions);
    for (of, fields) in REQUIRED {
        for field in *fields {
            types.field(of, field);
        }
        types.of_type(of)["required"] = json!(fields);
    }
    for (of, field, values) in ENUMS {
        types.field(of, field)["enum"] = json!(values);
    }
    for (of, field, value) in DEFAULTS {
        types.field(of, field)["default"] = json!(value);
    }
    for (of, field, strategy, key) in MERGED {
        let field = types.field(of, field);
        field["x-kubernetes-patch-strategy"] = json!(strategy);
        if !key.is_empty() {
            field["x-kubernetes-patch-merge-key"] = json!(key);
        }
    }
    for (of, field, keys) in KEYED {
        let field = types.field(of, field);
        field["x-kubernetes-list-type"] = json!("map");
        field["x-kubernetes-list-map-keys"] = json!(keys);
    }
    for (of, field) in SETS {
        types.field(of, field)["x-kubernetes-list-type"] = json!("set");
    }
    for (of, field) in ATOMIC.iter().flat_map(|(of, fields)| fields.iter().map(move |field| (of, field))) {
        types.field(of, field)["x-kubernetes-list-type"] = json!("atomic");
    }
    for (of, field) in ATOMIC_MAPS {
        types.field(of, field)["x-kubernetes-map-type"] = json!("atomic");
    }
    for of in ATOMIC_TYPES {
        types.of_type(of)["x-kubernetes-map-type"] = json!("atomic");
    }
}

/// Definitions by the ends of their names.
struct Types<'d>(BTreeMap<String, &'d mut Value>);

impl<'d> Types<'d> {
    fn of(definitions: &'d mut BTreeMap<String, Value>) -> Self {
        let short = |full: &str| {
            let name = full
                .strip_prefix("io.k8s.api.")
                .or_else(|| full.strip_prefix("io.k8s.apimachinery.pkg.apis."));
            match (name, full.strip_prefix("com.github.openshift.api.")) {
                (Some(name), _) => name.to_owned(),
                (None, Some(name)) => format!("openshift.{name}"),
                (None, None) => full.to_owned(),
            }
        };
        Self(definitions.iter_mut().map(|(full, schema)| (short(full), schema)).collect())
    }

    fn of_type(&mut self, name: &str) -> &mut Value {
        self.0.get_mut(name).unwrap_or_else(|| panic!("a note is about {name}, which is not described"))
    }

    fn field(&mut self, of: &str, field: &str) -> &mut Value {
        let found = self.of_type(of)["properties"].get_mut(field);
        found.unwrap_or_else(|| panic!("a note is about {field} of {of}, which has no such field"))
    }
}
