//! The answers of authorization, and their texts in both eras (platform 1.9, 5.5).
//!
//! Owns the sentences. Does not know of status codes: protocol crates turn these into answers.

use std::fmt;

use pierhead_api::rbac::PolicyRule;

use crate::attributes::Asked;
use crate::{Attributes, Era};

/// Whether something is allowed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is.
    pub allowed: bool,
    /// `RBAC: allowed by RoleBinding "edit/shop" of …`; for a denial often empty.
    pub reason: String,
}

/// Something is not allowed. Displays as the whole sentence for the `message` of a Forbidden status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Who asked.
    pub username: String,
    /// What was asked, in normal form.
    pub attributes: Box<Attributes>,
    /// What is known about the cause, e.g. `scopes [user:info] prevent this action`; mostly empty.
    pub reason: String,
    /// Whose sentences to use.
    pub era: Era,
}

impl std::error::Error for Denied {}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Attributes { group, resource, name, path, .. } = &*self.attributes;
        match (self.era, path) {
            (Era::V3_2, _) => {}
            (Era::V4, Some(_)) => write!(f, "forbidden: ")?,
            (Era::V4, None) => {
                write!(f, "{resource}")?;
                if !group.is_empty() {
                    write!(f, ".{group}")?;
                }
                if !name.is_empty() {
                    write!(f, " {name:?}")?;
                }
                write!(f, " is forbidden: ")?;
            }
        }
        write!(f, "{}", self.why())
    }
}

impl Denied {
    pub(crate) fn new(username: &str, asked: Asked<'_>, reason: &str, era: Era) -> Self {
        Self {
            username: username.to_owned(),
            attributes: Box::new(asked.to_owned()),
            reason: reason.to_owned(),
            era,
        }
    }

    /// The sentence without the object it is about: `User "bob" cannot list resource "pods" in API group "" …`.
    pub fn why(&self) -> String {
        let sentence = match self.era {
            Era::V4 => self.sentence_4(),
            Era::V3_2 => self.sentence_3(),
        };
        if self.reason.is_empty() { sentence } else { format!("{sentence}: {}", self.reason) }
    }

    fn sentence_4(&self) -> String {
        let Attributes { verb, group, namespace, path, .. } = &*self.attributes;
        let user = &self.username;
        if let Some(path) = path {
            return format!("User {user:?} cannot {verb} path {path:?}");
        }
        let resource = self.attributes.qualified_resource();
        let place = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {namespace:?}")
        };
        format!("User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {place}")
    }

    fn sentence_3(&self) -> String {
        let Attributes { verb, namespace, name, path, resource, .. } = &*self.attributes;
        let user = &self.username;
        if let Some(path) = path {
            return format!("User {user:?} cannot {verb:?} on {path:?}");
        }
        if resource == "projectrequests" && verb == "create" {
            return "You may not request a new project via this API.".to_owned();
        }
        let qualified = self.attributes.qualified_resource();
        if matches!(resource.as_str(), "projects" | "namespaces") && !name.is_empty() {
            return format!("User {user:?} cannot {verb} project {name:?}");
        }
        match (namespace.as_str(), verb.as_str()) {
            ("", "list") => format!("User {user:?} cannot list all {qualified} in the cluster"),
            ("", "watch") => format!("User {user:?} cannot watch all {qualified} in the cluster"),
            ("", _) => format!("User {user:?} cannot {verb} {qualified} at the cluster scope"),
            _ => format!("User {user:?} cannot {verb} {qualified} in project {namespace:?}"),
        }
    }
}

/// A role or binding would give rights that its author does not hold (platform 5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EscalationDenied {
    /// The author.
    pub username: String,
    /// The author's groups.
    pub groups: Vec<String>,
    /// What the author does not hold, one right per rule.
    pub missing: Vec<PolicyRule>,
    /// What the author holds; shown by era 3.2 only.
    pub held: Vec<PolicyRule>,
    /// Whose sentences to use.
    pub era: Era,
}

impl std::error::Error for EscalationDenied {}

impl fmt::Display for EscalationDenied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = &self.username;
        match self.era {
            Era::V3_2 => {
                write!(f, "attempt to grant extra privileges: [")?;
                write_rules_3(f, &self.missing)?;
                write!(f, "] user={user} ownerrules=[")?;
                write_rules_3(f, &self.held)?;
                write!(f, "] ruleResolutionErrors=[]")
            }
            Era::V4 => {
                let groups = &self.groups;
                write!(
                    f,
                    "user {user:?} (groups={}) is attempting to grant RBAC permissions ",
                    list(groups)
                )?;
                write!(f, "not currently held:")?;
                self.missing.iter().try_for_each(|rule| write_rule_4(f, rule))
            }
        }
    }
}

/// A list of strings as Go prints it with `%#v` of a compact form: `["a" "b"]`.
fn list(values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

fn list_3(values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("[{}]", quoted.join(", "))
}

fn write_rules_3(f: &mut fmt::Formatter<'_>, rules: &[PolicyRule]) -> fmt::Result {
    for (at, rule) in rules.iter().enumerate() {
        if at > 0 {
            write!(f, " ")?;
        }
        write!(f, "PolicyRule{{Verbs:{}, APIGroups:{}", list_3(&rule.verbs), list_3(&rule.api_groups))?;
        write!(f, ", Resources:{}", list_3(&rule.resources))?;
        write!(f, ", ResourceNames:{}", list_3(&rule.resource_names))?;
        write!(f, ", Restrictions:<nil>}}")?;
    }
    Ok(())
}

fn write_rule_4(f: &mut fmt::Formatter<'_>, rule: &PolicyRule) -> fmt::Result {
    let fields = [
        ("APIGroups", &rule.api_groups),
        ("Resources", &rule.resources),
        ("ResourceNames", &rule.resource_names),
        ("NonResourceURLs", &rule.non_resource_urls),
        ("Verbs", &rule.verbs),
    ];
    write!(f, "\n{{")?;
    let mut separator = "";
    for (name, values) in fields {
        if !values.is_empty() {
            let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
            write!(f, "{separator}{name}:[{}]", quoted.join(", "))?;
            separator = ", ";
        }
    }
    write!(f, "}}")
}

/// A binding cannot be written by this caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantDenied {
    /// It names a role that does not exist, so what it would grant is unknown.
    #[error("{resource}.rbac.authorization.k8s.io {name:?} not found")]
    RoleNotFound {
        /// `roles` or `clusterroles`.
        resource: &'static str,
        /// The name that is not there.
        name: String,
    },
    /// The role holds rights the caller lacks.
    #[error(transparent)]
    Escalation(#[from] EscalationDenied),
}

#[cfg(test)]
mod tests {
    use super::Denied;
    use crate::{Attributes, Era};

    #[test]
    fn sentences_of_both_eras() {
        let check = |attributes: Attributes, reason: &str, v4: &str, v3: &str| {
            let text = |era| Denied::new("bob", attributes.asked(), reason, era).to_string();
            assert_eq!(text(Era::V4), v4);
            assert_eq!(text(Era::V3_2), v3);
        };
        check(
            Attributes::new("list", "", "pods").namespace("shop"),
            "",
            r#"pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "shop""#,
            r#"User "bob" cannot list pods in project "shop""#,
        );
        check(
            Attributes::new("get", "route.openshift.io", "routes")
                .subresource("status")
                .namespace("a")
                .name("web"),
            "scopes [user:info] prevent this action",
            r#"routes.route.openshift.io "web" is forbidden: User "bob" cannot get resource "routes/status" in API group "route.openshift.io" in the namespace "a": scopes [user:info] prevent this action"#,
            r#"User "bob" cannot get routes/status in project "a": scopes [user:info] prevent this action"#,
        );
        check(
            Attributes::new("list", "image.openshift.io", "images"),
            "",
            r#"images.image.openshift.io is forbidden: User "bob" cannot list resource "images" in API group "image.openshift.io" at the cluster scope"#,
            r#"User "bob" cannot list all images in the cluster"#,
        );
        check(
            Attributes::new("get", "project.openshift.io", "projects").name("shop"),
            "",
            r#"projects.project.openshift.io "shop" is forbidden: User "bob" cannot get resource "projects" in API group "project.openshift.io" in the namespace "shop""#,
            r#"User "bob" cannot get project "shop""#,
        );
        check(
            Attributes::path("get", "/metrics"),
            "",
            r#"forbidden: User "bob" cannot get path "/metrics""#,
            r#"User "bob" cannot "get" on "/metrics""#,
        );
    }
}
