//! Kinds of `quota.openshift.io`: quotas over several projects, and how each project sees them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::{ResourceQuotaSpec, ResourceQuotaStatus};
use crate::field::FieldErrors;
use crate::meta::ObjectMeta;
use crate::name;
use crate::selector::LabelSelector;

/// The most that all projects that it selects may use together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterResourceQuota {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What is allowed, and to whom.
    pub spec: ClusterResourceQuotaSpec,
    /// What is used, and by whom.
    pub status: ClusterResourceQuotaStatus,
}

object!(
    ClusterResourceQuota: "quota.openshift.io" "v1", "clusterresourcequotas" "clusterresourcequota", Cluster,
    short ["clusterquota"]
);

/// A quota over several projects, as one of them sees it. Read only; the name is that of the quota.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct AppliedClusterResourceQuota {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What is allowed, and to whom.
    pub spec: ClusterResourceQuotaSpec,
    /// What is used, and by whom.
    pub status: ClusterResourceQuotaStatus,
}

object!(
    AppliedClusterResourceQuota: "quota.openshift.io" "v1",
    "appliedclusterresourcequotas" "appliedclusterresourcequota", Namespaced
);

/// What is allowed, and to whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterResourceQuotaSpec {
    /// Which projects count together.
    pub selector: ClusterResourceQuotaSelector,
    /// The most they may use together.
    pub quota: ResourceQuotaSpec,
}

/// Projects with these labels and annotations. Both members are written, absent ones as null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterResourceQuotaSelector {
    /// A selector of labels: `matchLabels`, `matchExpressions`.
    pub labels: Option<Value>,
    /// Annotations that a project must have, with their values.
    pub annotations: Option<BTreeMap<String, String>>,
}

/// What is used, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterResourceQuotaStatus {
    /// Of all projects together.
    pub total: ResourceQuotaStatus,
    /// Of each project.
    pub namespaces: Vec<ResourceQuotaStatusByNamespace>,
}

/// What one project uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceQuotaStatusByNamespace {
    /// The project.
    pub namespace: String,
    /// What it uses.
    pub status: ResourceQuotaStatus,
}

impl ClusterResourceQuota {
    /// The selector must restrict something, and the quota be one.
    pub fn validate(&self) -> FieldErrors {
        let mut errors =
            name::validate_metadata(&self.metadata, name::Scope::Cluster, name::dns1123_subdomain);
        let restrict = "must restrict the selected projects";
        let ClusterResourceQuotaSelector { labels, annotations } = &self.spec.selector;
        match labels {
            None => {
                if annotations.as_ref().is_none_or(BTreeMap::is_empty) {
                    errors.required("spec.selector.labels", restrict);
                }
            }
            Some(document) => match LabelSelector::from_structured(document) {
                None => errors.invalid("spec.selector.labels", document.clone(), "is not a label selector"),
                Some(selector) if selector.is_empty() => {
                    errors.invalid("spec.selector.labels", document.clone(), restrict);
                }
                Some(_) => {}
            },
        }
        if let Some(annotations) = annotations {
            if annotations.is_empty() && labels.is_some() {
                let none = Value::Object(serde_json::Map::new());
                errors.invalid("spec.selector.annotations", none, restrict);
            }
            for key in annotations.keys() {
                for problem in name::qualified_name(&key.to_lowercase()) {
                    errors.invalid("spec.selector.annotations", key.as_str(), problem);
                }
            }
        }
        errors.append(self.spec.quota.validate("spec.quota"));
        errors
    }

    /// Scopes stay as they were.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        errors.append(self.spec.quota.validate_update(&old.spec.quota, "spec.quota"));
        errors
    }
}

impl ClusterResourceQuotaSelector {
    /// Whether a project counts. A selector that cannot be read selects nothing.
    pub fn selects(&self, project: &ObjectMeta) -> bool {
        let labelled = self.labels.as_ref().map(|labels| {
            LabelSelector::from_structured(labels).is_some_and(|selector| selector.matches(&project.labels))
        });
        let annotated = self
            .annotations
            .as_ref()
            .filter(|wanted| !wanted.is_empty())
            .map(|wanted| wanted.iter().all(|(key, value)| project.annotations.get(key) == Some(value)));
        let wanted = [labelled, annotated];
        wanted.iter().any(Option::is_some) && wanted.into_iter().all(|fits| fits != Some(false))
    }
}

impl From<ClusterResourceQuota> for AppliedClusterResourceQuota {
    fn from(ClusterResourceQuota { metadata, spec, status }: ClusterResourceQuota) -> Self {
        Self { metadata, spec, status }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::ClusterResourceQuota;
    use crate::meta::ObjectMeta;

    fn quota(selector: Value) -> ClusterResourceQuota {
        let spec = json!({"selector": selector, "quota": {"hard": {"pods": 1}}});
        serde_json::from_value(json!({"metadata": {"name": "q"}, "spec": spec})).unwrap()
    }

    #[track_caller]
    fn check(selector: Value, expected: &[&str]) {
        let texts: Vec<String> = quota(selector).validate().iter().map(ToString::to_string).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn selectors_must_restrict() {
        check(json!({"labels": {"matchLabels": {"team": "a"}}}), &[]);
        check(json!({"annotations": {"openshift.io/requester": "ann"}}), &[]);
        check(json!({}), &["spec.selector.labels: Required value: must restrict the selected projects"]);
        check(
            json!({"labels": {}}),
            &["spec.selector.labels: Invalid value: {}: must restrict the selected projects"],
        );
    }

    #[test]
    fn projects_need_all_that_is_asked() {
        let both =
            quota(json!({"labels": {"matchLabels": {"a": "1"}}, "annotations": {"b": "2"}})).spec.selector;
        let project = |label: &str, annotation: &str| ObjectMeta {
            labels: [("a".to_owned(), label.to_owned())].into(),
            annotations: [("b".to_owned(), annotation.to_owned())].into(),
            ..ObjectMeta::default()
        };
        assert!(both.selects(&project("1", "2")));
        assert!(!both.selects(&project("1", "3")));
        assert!(!both.selects(&project("2", "2")));
        assert!(!quota(json!({})).spec.selector.selects(&project("1", "2")));
    }
}
