//! Field numbers of the messages clients send as protobuf, from Kubernetes' published `generated.proto` files.
//!
//! A table of independent items: number, JSON name, type. Only what is reachable from the kinds in [`message_of`].

use super::{Field, Message};

mod pods;

/// The message of a kind, where we read it.
pub(super) fn message_of(api_version: &str, kind: &str) -> Option<Message> {
    Some(match (api_version, kind) {
        ("v1", "Secret") => SECRET,
        ("v1", "ServiceAccount") => SERVICE_ACCOUNT,
        ("v1", "ConfigMap") => CONFIG_MAP,
        ("v1", "LimitRange") => LIMIT_RANGE,
        ("v1", "ResourceQuota") => RESOURCE_QUOTA,
        ("v1", "Namespace") => NAMESPACE,
        ("v1", "Service") => SERVICE,
        ("v1", "Endpoints") => ENDPOINTS,
        ("v1", "Event") => EVENT,
        ("v1", "Pod") => pods::POD,
        ("v1", "ReplicationController") => pods::REPLICATION_CONTROLLER,
        ("v1", "Node") => pods::NODE,
        ("v1", "Binding") => pods::BINDING,
        ("autoscaling/v1", "Scale") => SCALE,
        ("policy/v1", "Eviction") => EVICTION,
        ("rbac.authorization.k8s.io/v1", "Role") => ROLE,
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => CLUSTER_ROLE,
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => ROLE_BINDING,
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => CLUSTER_ROLE_BINDING,
        ("authentication.k8s.io/v1", "TokenRequest") => TOKEN_REQUEST,
        ("authentication.k8s.io/v1", "TokenReview") => TOKEN_REVIEW,
        ("authentication.k8s.io/v1", "SelfSubjectReview") => SELF_SUBJECT_REVIEW,
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview") => SELF_SUBJECT_ACCESS_REVIEW,
        ("authorization.k8s.io/v1", "SubjectAccessReview") => SUBJECT_ACCESS_REVIEW,
        ("authorization.k8s.io/v1", "LocalSubjectAccessReview") => LOCAL_SUBJECT_ACCESS_REVIEW,
        ("authorization.k8s.io/v1", "SelfSubjectRulesReview") => SELF_SUBJECT_RULES_REVIEW,
        // Sent with the version of the group it deletes from.
        (_, "DeleteOptions") => DELETE_OPTIONS,
        _ => return None,
    })
}

static OWNER_REFERENCE: Message = &[
    (5, "apiVersion", Field::Text),
    (1, "kind", Field::Text),
    (3, "name", Field::Text),
    (4, "uid", Field::Text),
    (6, "controller", Field::Bool),
    (7, "blockOwnerDeletion", Field::Bool),
];
static MANAGED_FIELDS_ENTRY: Message = &[
    (1, "manager", Field::Text),
    (2, "operation", Field::Text),
    (3, "apiVersion", Field::Text),
    (4, "time", Field::Time),
    (6, "fieldsType", Field::Text),
    (8, "subresource", Field::Text),
];
static OBJECT_META: Message = &[
    (1, "name", Field::Text),
    (2, "generateName", Field::Text),
    (3, "namespace", Field::Text),
    (4, "selfLink", Field::Text),
    (5, "uid", Field::Text),
    (6, "resourceVersion", Field::Text),
    (7, "generation", Field::Int),
    (8, "creationTimestamp", Field::Time),
    (9, "deletionTimestamp", Field::Time),
    (10, "deletionGracePeriodSeconds", Field::Int),
    (11, "labels", Field::TextMap),
    (12, "annotations", Field::TextMap),
    (13, "ownerReferences", Field::Messages(&OWNER_REFERENCE)),
    (14, "finalizers", Field::Texts),
    (17, "managedFields", Field::Messages(&MANAGED_FIELDS_ENTRY)),
];
static LIMIT_RANGE_ITEM: Message = &[
    (1, "type", Field::Text),
    (2, "max", Field::QuantityMap),
    (3, "min", Field::QuantityMap),
    (4, "default", Field::QuantityMap),
    (5, "defaultRequest", Field::QuantityMap),
    (6, "maxLimitRequestRatio", Field::QuantityMap),
];
static LIMIT_RANGE_SPEC: Message = &[(1, "limits", Field::Messages(&LIMIT_RANGE_ITEM))];
static LIMIT_RANGE: Message =
    &[(1, "metadata", Field::Message(&OBJECT_META)), (2, "spec", Field::Message(&LIMIT_RANGE_SPEC))];
static SCOPE_EXPRESSION: Message =
    &[(1, "scopeName", Field::Text), (2, "operator", Field::Text), (3, "values", Field::Texts)];
static SCOPE_SELECTOR: Message = &[(1, "matchExpressions", Field::Messages(&SCOPE_EXPRESSION))];
static RESOURCE_QUOTA_SPEC: Message = &[
    (1, "hard", Field::QuantityMap),
    (2, "scopes", Field::Texts),
    (3, "scopeSelector", Field::Message(&SCOPE_SELECTOR)),
];
static RESOURCE_QUOTA_STATUS: Message = &[(1, "hard", Field::QuantityMap), (2, "used", Field::QuantityMap)];
static RESOURCE_QUOTA: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "spec", Field::Message(&RESOURCE_QUOTA_SPEC)),
    (3, "status", Field::Message(&RESOURCE_QUOTA_STATUS)),
];
static SECRET: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (5, "immutable", Field::Bool),
    (2, "data", Field::BytesMap),
    (4, "stringData", Field::TextMap),
    (3, "type", Field::Text),
];
static OBJECT_REFERENCE: Message = &[
    (1, "kind", Field::Text),
    (2, "namespace", Field::Text),
    (3, "name", Field::Text),
    (4, "uid", Field::Text),
    (5, "apiVersion", Field::Text),
    (6, "resourceVersion", Field::Text),
    (7, "fieldPath", Field::Text),
];
static LOCAL_OBJECT_REFERENCE: Message = &[(1, "name", Field::Text)];
static SERVICE_ACCOUNT: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "secrets", Field::Messages(&OBJECT_REFERENCE)),
    (3, "imagePullSecrets", Field::Messages(&LOCAL_OBJECT_REFERENCE)),
    (4, "automountServiceAccountToken", Field::Bool),
];
static CONFIG_MAP: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (4, "immutable", Field::Bool),
    (2, "data", Field::TextMap),
    (3, "binaryData", Field::BytesMap),
];
static NAMESPACE_SPEC: Message = &[(1, "finalizers", Field::Texts)];
static NAMESPACE_CONDITION: Message = &[
    (1, "type", Field::Text),
    (2, "status", Field::Text),
    (4, "lastTransitionTime", Field::Time),
    (5, "reason", Field::Text),
    (6, "message", Field::Text),
];
static NAMESPACE_STATUS: Message =
    &[(1, "phase", Field::Text), (2, "conditions", Field::Messages(&NAMESPACE_CONDITION))];
static NAMESPACE: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "spec", Field::Message(&NAMESPACE_SPEC)),
    (3, "status", Field::Message(&NAMESPACE_STATUS)),
];
static SERVICE_PORT: Message = &[
    (1, "name", Field::Text),
    (2, "protocol", Field::Text),
    (6, "appProtocol", Field::Text),
    (3, "port", Field::Int),
    (4, "targetPort", Field::IntOrString),
    (5, "nodePort", Field::Int),
];
static CLIENT_IPCONFIG: Message = &[(1, "timeoutSeconds", Field::Int)];
static SESSION_AFFINITY_CONFIG: Message = &[(1, "clientIP", Field::Message(&CLIENT_IPCONFIG))];
static SERVICE_SPEC: Message = &[
    (1, "ports", Field::Messages(&SERVICE_PORT)),
    (2, "selector", Field::TextMap),
    (3, "clusterIP", Field::Text),
    (18, "clusterIPs", Field::Texts),
    (4, "type", Field::Text),
    (5, "externalIPs", Field::Texts),
    (7, "sessionAffinity", Field::Text),
    (8, "loadBalancerIP", Field::Text),
    (9, "loadBalancerSourceRanges", Field::Texts),
    (10, "externalName", Field::Text),
    (11, "externalTrafficPolicy", Field::Text),
    (12, "healthCheckNodePort", Field::Int),
    (13, "publishNotReadyAddresses", Field::Bool),
    (14, "sessionAffinityConfig", Field::Message(&SESSION_AFFINITY_CONFIG)),
    (19, "ipFamilies", Field::Texts),
    (17, "ipFamilyPolicy", Field::Text),
    (20, "allocateLoadBalancerNodePorts", Field::Bool),
    (21, "loadBalancerClass", Field::Text),
    (22, "internalTrafficPolicy", Field::Text),
    (23, "trafficDistribution", Field::Text),
];
static PORT_STATUS: Message =
    &[(1, "port", Field::Int), (2, "protocol", Field::Text), (3, "error", Field::Text)];
static LOAD_BALANCER_INGRESS: Message = &[
    (1, "ip", Field::Text),
    (2, "hostname", Field::Text),
    (3, "ipMode", Field::Text),
    (4, "ports", Field::Messages(&PORT_STATUS)),
];
static LOAD_BALANCER_STATUS: Message = &[(1, "ingress", Field::Messages(&LOAD_BALANCER_INGRESS))];
static CONDITION: Message = &[
    (1, "type", Field::Text),
    (2, "status", Field::Text),
    (3, "observedGeneration", Field::Int),
    (4, "lastTransitionTime", Field::Time),
    (5, "reason", Field::Text),
    (6, "message", Field::Text),
];
static SERVICE_STATUS: Message = &[
    (1, "loadBalancer", Field::Message(&LOAD_BALANCER_STATUS)),
    (2, "conditions", Field::Messages(&CONDITION)),
];
static SERVICE: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "spec", Field::Message(&SERVICE_SPEC)),
    (3, "status", Field::Message(&SERVICE_STATUS)),
];
static EVENT_SOURCE: Message = &[(1, "component", Field::Text), (2, "host", Field::Text)];
static EVENT_SERIES: Message = &[(1, "count", Field::Int), (2, "lastObservedTime", Field::MicroTime)];
static EVENT: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "involvedObject", Field::Message(&OBJECT_REFERENCE)),
    (3, "reason", Field::Text),
    (4, "message", Field::Text),
    (5, "source", Field::Message(&EVENT_SOURCE)),
    (6, "firstTimestamp", Field::Time),
    (7, "lastTimestamp", Field::Time),
    (8, "count", Field::Int),
    (9, "type", Field::Text),
    (10, "eventTime", Field::MicroTime),
    (11, "series", Field::Message(&EVENT_SERIES)),
    (12, "action", Field::Text),
    (13, "related", Field::Message(&OBJECT_REFERENCE)),
    (14, "reportingComponent", Field::Text),
    (15, "reportingInstance", Field::Text),
];
static ENDPOINT_ADDRESS: Message = &[
    (1, "ip", Field::Text),
    (3, "hostname", Field::Text),
    (4, "nodeName", Field::Text),
    (2, "targetRef", Field::Message(&OBJECT_REFERENCE)),
];
static ENDPOINT_PORT: Message = &[
    (1, "name", Field::Text),
    (2, "port", Field::Int),
    (3, "protocol", Field::Text),
    (4, "appProtocol", Field::Text),
];
static ENDPOINT_SUBSET: Message = &[
    (1, "addresses", Field::Messages(&ENDPOINT_ADDRESS)),
    (2, "notReadyAddresses", Field::Messages(&ENDPOINT_ADDRESS)),
    (3, "ports", Field::Messages(&ENDPOINT_PORT)),
];
static ENDPOINTS: Message =
    &[(1, "metadata", Field::Message(&OBJECT_META)), (2, "subsets", Field::Messages(&ENDPOINT_SUBSET))];
static POLICY_RULE: Message = &[
    (1, "verbs", Field::Texts),
    (2, "apiGroups", Field::Texts),
    (3, "resources", Field::Texts),
    (4, "resourceNames", Field::Texts),
    (5, "nonResourceURLs", Field::Texts),
];
static ROLE: Message =
    &[(1, "metadata", Field::Message(&OBJECT_META)), (2, "rules", Field::Messages(&POLICY_RULE))];
static LABEL_SELECTOR_REQUIREMENT: Message =
    &[(1, "key", Field::Text), (2, "operator", Field::Text), (3, "values", Field::Texts)];
static LABEL_SELECTOR: Message = &[
    (1, "matchLabels", Field::TextMap),
    (2, "matchExpressions", Field::Messages(&LABEL_SELECTOR_REQUIREMENT)),
];
static AGGREGATION_RULE: Message = &[(1, "clusterRoleSelectors", Field::Messages(&LABEL_SELECTOR))];
static CLUSTER_ROLE: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "rules", Field::Messages(&POLICY_RULE)),
    (3, "aggregationRule", Field::Message(&AGGREGATION_RULE)),
];
static SUBJECT: Message = &[
    (1, "kind", Field::Text),
    (2, "apiGroup", Field::Text),
    (3, "name", Field::Text),
    (4, "namespace", Field::Text),
];
static ROLE_REF: Message =
    &[(1, "apiGroup", Field::Text), (2, "kind", Field::Text), (3, "name", Field::Text)];
static ROLE_BINDING: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "subjects", Field::Messages(&SUBJECT)),
    (3, "roleRef", Field::Message(&ROLE_REF)),
];
static CLUSTER_ROLE_BINDING: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "subjects", Field::Messages(&SUBJECT)),
    (3, "roleRef", Field::Message(&ROLE_REF)),
];
static BOUND_OBJECT_REFERENCE: Message = &[
    (1, "kind", Field::Text),
    (2, "apiVersion", Field::Text),
    (3, "name", Field::Text),
    (4, "uID", Field::Text),
];
static TOKEN_REQUEST_SPEC: Message = &[
    (1, "audiences", Field::Texts),
    (4, "expirationSeconds", Field::Int),
    (3, "boundObjectRef", Field::Message(&BOUND_OBJECT_REFERENCE)),
];
static TOKEN_REQUEST_STATUS: Message = &[(1, "token", Field::Text), (2, "expirationTimestamp", Field::Time)];
static TOKEN_REQUEST: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "spec", Field::Message(&TOKEN_REQUEST_SPEC)),
    (3, "status", Field::Message(&TOKEN_REQUEST_STATUS)),
];
static TOKEN_REVIEW_SPEC: Message = &[(1, "token", Field::Text), (2, "audiences", Field::Texts)];
static USER_INFO: Message = &[
    (1, "username", Field::Text),
    (2, "uid", Field::Text),
    (3, "groups", Field::Texts),
    (4, "extra", Field::ListMap),
];
static TOKEN_REVIEW_STATUS: Message = &[
    (1, "authenticated", Field::Bool),
    (2, "user", Field::Message(&USER_INFO)),
    (4, "audiences", Field::Texts),
    (3, "error", Field::Text),
];
static TOKEN_REVIEW: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "spec", Field::Message(&TOKEN_REVIEW_SPEC)),
    (3, "status", Field::Message(&TOKEN_REVIEW_STATUS)),
];
static SELF_SUBJECT_REVIEW_STATUS: Message = &[(1, "userInfo", Field::Message(&USER_INFO))];
static SELF_SUBJECT_REVIEW: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "status", Field::Message(&SELF_SUBJECT_REVIEW_STATUS)),
];
static FIELD_SELECTOR_REQUIREMENT: Message =
    &[(1, "key", Field::Text), (2, "operator", Field::Text), (3, "values", Field::Texts)];
static FIELD_SELECTOR_ATTRIBUTES: Message =
    &[(1, "rawSelector", Field::Text), (2, "requirements", Field::Messages(&FIELD_SELECTOR_REQUIREMENT))];
static LABEL_SELECTOR_ATTRIBUTES: Message =
    &[(1, "rawSelector", Field::Text), (2, "requirements", Field::Messages(&LABEL_SELECTOR_REQUIREMENT))];
static RESOURCE_ATTRIBUTES: Message = &[
    (1, "namespace", Field::Text),
    (2, "verb", Field::Text),
    (3, "group", Field::Text),
    (4, "version", Field::Text),
    (5, "resource", Field::Text),
    (6, "subresource", Field::Text),
    (7, "name", Field::Text),
    (8, "fieldSelector", Field::Message(&FIELD_SELECTOR_ATTRIBUTES)),
    (9, "labelSelector", Field::Message(&LABEL_SELECTOR_ATTRIBUTES)),
];
static NON_RESOURCE_ATTRIBUTES: Message = &[(1, "path", Field::Text), (2, "verb", Field::Text)];
static SELF_SUBJECT_ACCESS_REVIEW_SPEC: Message = &[
    (1, "resourceAttributes", Field::Message(&RESOURCE_ATTRIBUTES)),
    (2, "nonResourceAttributes", Field::Message(&NON_RESOURCE_ATTRIBUTES)),
];
static SUBJECT_ACCESS_REVIEW_STATUS: Message = &[
    (1, "allowed", Field::Bool),
    (4, "denied", Field::Bool),
    (2, "reason", Field::Text),
    (3, "evaluationError", Field::Text),
];
static SELF_SUBJECT_ACCESS_REVIEW: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "spec", Field::Message(&SELF_SUBJECT_ACCESS_REVIEW_SPEC)),
    (3, "status", Field::Message(&SUBJECT_ACCESS_REVIEW_STATUS)),
];
static SUBJECT_ACCESS_REVIEW_SPEC: Message = &[
    (1, "resourceAttributes", Field::Message(&RESOURCE_ATTRIBUTES)),
    (2, "nonResourceAttributes", Field::Message(&NON_RESOURCE_ATTRIBUTES)),
    (3, "user", Field::Text),
    (4, "groups", Field::Texts),
    (5, "extra", Field::ListMap),
    (6, "uid", Field::Text),
];
static SUBJECT_ACCESS_REVIEW: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "spec", Field::Message(&SUBJECT_ACCESS_REVIEW_SPEC)),
    (3, "status", Field::Message(&SUBJECT_ACCESS_REVIEW_STATUS)),
];
static LOCAL_SUBJECT_ACCESS_REVIEW: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "spec", Field::Message(&SUBJECT_ACCESS_REVIEW_SPEC)),
    (3, "status", Field::Message(&SUBJECT_ACCESS_REVIEW_STATUS)),
];
static SELF_SUBJECT_RULES_REVIEW_SPEC: Message = &[(1, "namespace", Field::Text)];
static RESOURCE_RULE: Message = &[
    (1, "verbs", Field::Texts),
    (2, "apiGroups", Field::Texts),
    (3, "resources", Field::Texts),
    (4, "resourceNames", Field::Texts),
];
static NON_RESOURCE_RULE: Message = &[(1, "verbs", Field::Texts), (2, "nonResourceURLs", Field::Texts)];
static SUBJECT_RULES_REVIEW_STATUS: Message = &[
    (1, "resourceRules", Field::Messages(&RESOURCE_RULE)),
    (2, "nonResourceRules", Field::Messages(&NON_RESOURCE_RULE)),
    (3, "incomplete", Field::Bool),
    (4, "evaluationError", Field::Text),
];
static SELF_SUBJECT_RULES_REVIEW: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "spec", Field::Message(&SELF_SUBJECT_RULES_REVIEW_SPEC)),
    (3, "status", Field::Message(&SUBJECT_RULES_REVIEW_STATUS)),
];
static PRECONDITIONS: Message = &[(1, "uid", Field::Text), (2, "resourceVersion", Field::Text)];
static DELETE_OPTIONS: Message = &[
    (1, "gracePeriodSeconds", Field::Int),
    (2, "preconditions", Field::Message(&PRECONDITIONS)),
    (3, "orphanDependents", Field::Bool),
    (4, "propagationPolicy", Field::Text),
    (5, "dryRun", Field::Texts),
    (6, "ignoreStoreReadErrorWithClusterBreakingPotential", Field::Bool),
];
static SCALE_SPEC: Message = &[(1, "replicas", Field::Int)];
static SCALE_STATUS: Message = &[(1, "replicas", Field::Int), (2, "selector", Field::Text)];
static SCALE: Message = &[
    (1, "metadata", Field::Message(&OBJECT_META)),
    (2, "spec", Field::Message(&SCALE_SPEC)),
    (3, "status", Field::Message(&SCALE_STATUS)),
];
static EVICTION: Message =
    &[(1, "metadata", Field::Message(&OBJECT_META)), (2, "deleteOptions", Field::Message(&DELETE_OPTIONS))];
