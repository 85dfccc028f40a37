//! `Project` and `ProjectRequest`: namespaces as users see them (platform 3.1, 3.2).

use serde::{Deserialize, Serialize};

use crate::core::{Namespace, NamespaceCondition};
use crate::field::FieldErrors;
use crate::meta::ObjectMeta;
use crate::name;

/// Annotation with the name people read.
pub const DISPLAY_NAME: &str = "openshift.io/display-name";
/// Annotation with a description.
pub const DESCRIPTION: &str = "openshift.io/description";
/// Annotation with the user who asked for the project.
pub const REQUESTER: &str = "openshift.io/requester";
/// Annotation with the node selector of the project's pods.
pub const NODE_SELECTOR: &str = "openshift.io/node-selector";

/// A project: another view of the namespace of the same name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Project {
    /// Metadata, that of the namespace.
    pub metadata: ObjectMeta,
    /// Who must clean up before it goes.
    pub spec: ProjectSpec,
    /// Whether it is alive.
    pub status: ProjectStatus,
}

object!(Project: "project.openshift.io" "v1", "projects" "project", Cluster);

/// What a project wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ProjectSpec {
    /// Finalizers of the namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
}

/// State of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ProjectStatus {
    /// `Active` or `Terminating`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// Details of a termination.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<NamespaceCondition>,
}

/// A wish for a project; what a user without rights on namespaces creates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ProjectRequest {
    /// Metadata; only the name counts.
    pub metadata: ObjectMeta,
    /// Name people read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// Description.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

object!(ProjectRequest: "project.openshift.io" "v1", "projectrequests" "projectrequest", Cluster);

impl From<&Namespace> for Project {
    fn from(namespace: &Namespace) -> Self {
        Self {
            metadata: namespace.metadata.clone(),
            spec: ProjectSpec { finalizers: namespace.spec.finalizers.clone() },
            status: ProjectStatus {
                phase: namespace.status.phase.clone(),
                conditions: namespace.status.conditions.clone(),
            },
        }
    }
}

impl From<&Project> for Namespace {
    fn from(project: &Project) -> Self {
        let mut namespace = Self { metadata: project.metadata.clone(), ..Self::default() };
        namespace.spec.finalizers.clone_from(&project.spec.finalizers);
        namespace.status.phase.clone_from(&project.status.phase);
        namespace.status.conditions.clone_from(&project.status.conditions);
        namespace
    }
}

const NO_LINE_BREAKS: &str = "may not contain a new line or tab";

fn project_name(text: &str) -> Vec<String> {
    if text.len() < 2 { vec!["must be at least 2 characters long".into()] } else { name::dns1123_label(text) }
}

fn has_line_breaks(text: &str) -> bool {
    text.contains(['\n', '\t'])
}

/// What is wrong with a node selector, which is a list of `key=value`.
fn is_node_selector(text: &str) -> bool {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).all(|part| {
        part.split_once('=').is_some_and(|(key, value)| {
            name::qualified_name(key.trim()).is_empty() && name::label_value(value.trim()).is_empty()
        })
    })
}

impl Project {
    /// The name people read, or the real one.
    pub fn display_name(&self) -> &str {
        self.metadata.annotation(DISPLAY_NAME).unwrap_or_default()
    }

    /// Name, display name, node selector.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, name::Scope::Cluster, project_name);
        if has_line_breaks(self.display_name()) {
            let field = format!("metadata.annotations[{DISPLAY_NAME}]");
            errors.invalid(field, self.display_name(), NO_LINE_BREAKS);
        }
        if let Some(selector) = self.metadata.annotation(NODE_SELECTOR)
            && !is_node_selector(selector)
        {
            errors.invalid("nodeSelector", selector, "must be a valid label selector");
        }
        errors
    }

    /// Only display name and description change here; the rest is the namespace's.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        const ELSEWHERE: &str = "field is immutable, try updating the namespace";
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        for (key, value) in &self.metadata.annotations {
            let own = key == DISPLAY_NAME || key == DESCRIPTION;
            if !own && old.metadata.annotations.get(key) != Some(value) {
                errors.invalid(format!("metadata.annotations[{key}]"), value.as_str(), ELSEWHERE);
            }
        }
        for (key, value) in &old.metadata.annotations {
            let own = key == DISPLAY_NAME || key == DESCRIPTION;
            if !own && !self.metadata.annotations.contains_key(key) {
                errors.invalid(format!("metadata.annotations[{key}]"), value.as_str(), ELSEWHERE);
            }
        }
        for (key, value) in &self.metadata.labels {
            if old.metadata.labels.get(key) != Some(value) {
                errors.invalid(format!("metadata.labels[{key}]"), value.as_str(), ELSEWHERE);
            }
        }
        for (key, value) in &old.metadata.labels {
            if !self.metadata.labels.contains_key(key) {
                errors.invalid(format!("metadata.labels[{key}]"), value.as_str(), ELSEWHERE);
            }
        }
        errors
    }
}

impl ProjectRequest {
    /// The rules of the project it asks for.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, name::Scope::Cluster, project_name);
        if has_line_breaks(&self.display_name) {
            errors.invalid("displayName", self.display_name.as_str(), NO_LINE_BREAKS);
        }
        errors
    }

    /// The reserved name or prefix this request would take, which 4.x refuses (platform 3.1).
    pub fn reserved(&self) -> Option<String> {
        const RESERVED: [&str; 3] = ["openshift", "kubernetes", "kube"];
        let name = self.metadata.name.as_str();
        RESERVED.into_iter().find_map(|word| {
            if name == word {
                Some(format!("cannot request a project with the name \"{word}\""))
            } else if name.strip_prefix(word).is_some_and(|rest| rest.starts_with('-')) {
                Some(format!("cannot request a project starting with \"{word}-\""))
            } else {
                None
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Project, ProjectRequest};
    use crate::from_value;

    #[track_caller]
    fn check(name: &str, display_name: &str, expected: &str) {
        let document = json!({"metadata": {"name": name}, "displayName": display_name});
        let request: ProjectRequest = from_value(&document).unwrap();
        let errors = request.validate();
        assert_eq!(if errors.is_empty() { String::new() } else { errors.to_string() }, expected);
    }

    #[test]
    fn checks_requests() {
        check("shop", "The shop", "");
        check("s", "", "metadata.name: Invalid value: \"s\": must be at least 2 characters long");
        check("shop", "a\nb", "displayName: Invalid value: \"a\\nb\": may not contain a new line or tab");
    }

    #[test]
    fn knows_reserved_names() {
        let reserved = |name: &str| {
            from_value::<ProjectRequest>(&json!({"metadata": {"name": name}})).unwrap().reserved()
        };
        assert_eq!(reserved("kube").as_deref(), Some("cannot request a project with the name \"kube\""));
        assert_eq!(reserved("kube-x").as_deref(), Some("cannot request a project starting with \"kube-\""));
        assert_eq!(reserved("kubelet"), None);
    }

    #[test]
    fn only_descriptions_change() {
        let project = |annotations| -> Project {
            from_value(&json!({"metadata": {"name": "shop", "annotations": annotations}})).unwrap()
        };
        let old = project(json!({"openshift.io/display-name": "a", "x": "1"}));
        assert!(
            project(json!({"openshift.io/display-name": "b", "x": "1"})).validate_update(&old).is_empty()
        );
        assert_eq!(
            project(json!({"x": "2"})).validate_update(&old).to_string(),
            "metadata.annotations[x]: Invalid value: \"2\": field is immutable, try updating the namespace"
        );
        assert!(!project(json!({})).validate_update(&old).is_empty());
    }
}
