//! Scopes of OAuth tokens: what part of a user's rights a token carries (platform 2.7).
//!
//! Owns parsing and the rules of each scope. A scope never adds a right: authorization asks both sets of rules.

use pierhead_api::rbac::PolicyRule;

use crate::rbac;
use crate::rbac::policy::Policy;

/// One scope of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `user:full`: everything the user may do.
    Full,
    /// `user:info`: who the user is.
    Info,
    /// `user:check-access`: what the user may do.
    CheckAccess,
    /// `user:list-projects`: the user's projects.
    ListProjects,
    /// `user:list-scoped-projects`: the projects the token's other scopes reach.
    ListScopedProjects,
    /// `role:<role>:<namespace>[:!]`: the rules of a cluster role in one namespace, or in all with `*`.
    Role {
        /// Name of the cluster role.
        role: String,
        /// The namespace, or `*`.
        namespace: String,
        /// Whether rights that could be used to get more rights stay in (`:!`).
        escalating: bool,
    },
}

/// A scope that is none of the known ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a known scope")]
pub struct UnknownScope(pub String);

impl std::str::FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let unknown = || UnknownScope(text.to_owned());
        match text {
            "user:full" => return Ok(Self::Full),
            "user:info" => return Ok(Self::Info),
            "user:check-access" => return Ok(Self::CheckAccess),
            "user:list-projects" => return Ok(Self::ListProjects),
            "user:list-scoped-projects" => return Ok(Self::ListScopedProjects),
            _ => {}
        }
        let rest = text.strip_prefix("role:").ok_or_else(unknown)?;
        let (rest, escalating) = rest.strip_suffix(":!").map_or((rest, false), |rest| (rest, true));
        // Names of roles hold colons (`system:image-puller`), namespaces do not.
        let (role, namespace) = rest.rsplit_once(':').ok_or_else(unknown)?;
        if role.is_empty() || namespace.is_empty() {
            return Err(unknown());
        }
        Ok(Self::Role { role: role.to_owned(), namespace: namespace.to_owned(), escalating })
    }
}

/// Resources whose reading or writing gives more rights; a role scope without `:!` leaves them out.
const ESCALATING: [(&str, &str); 12] = [
    ("", "secrets"),
    ("", "serviceaccounts/token"),
    ("image.openshift.io", "imagestreams/secrets"),
    ("oauth.openshift.io", "oauthaccesstokens"),
    ("oauth.openshift.io", "oauthauthorizetokens"),
    ("authorization.openshift.io", "roles"),
    ("authorization.openshift.io", "rolebindings"),
    ("authorization.openshift.io", "clusterroles"),
    ("authorization.openshift.io", "clusterrolebindings"),
    ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("rbac.authorization.k8s.io", "clusterroles"),
];

/// What a token with `scopes` may at most do in `namespace` (empty for the cluster). A scope that is not known
/// allows nothing.
pub(crate) fn rules(scopes: &[String], namespace: &str, policy: &Policy) -> Vec<PolicyRule> {
    let mut rules = vec![discovery()];
    for scope in scopes.iter().filter_map(|scope| scope.parse::<Scope>().ok()) {
        match scope {
            Scope::Full => return rbac::everything(),
            Scope::Info => {
                rules.push(named(&["get"], "user.openshift.io", &["users"], "~"));
                rules.push(rule(&["create"], "authentication.k8s.io", &["selfsubjectreviews"]));
            }
            Scope::CheckAccess => {
                let reviews = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"];
                rules.push(rule(&["create"], "authorization.k8s.io", &reviews));
                rules.push(rule(&["create"], "authorization.openshift.io", &["selfsubjectrulesreviews"]));
            }
            Scope::ListProjects => {
                rules.push(rule(&["get", "list", "watch"], "project.openshift.io", &["projects"]));
                rules.push(rule(&["get"], "", &["namespaces"]));
            }
            Scope::ListScopedProjects => {
                rules.push(rule(&["list", "watch"], "project.openshift.io", &["projects"]));
            }
            Scope::Role { role, namespace: of, escalating } => {
                if of == "*" || (of == namespace && !namespace.is_empty()) {
                    let of_role = policy.cluster_role_rules(&role);
                    rules.extend(of_role.iter().filter_map(|rule| limited(rule, escalating)));
                }
            }
        }
    }
    rules
}

/// A rule of a role scope: as it is, or without what escalates. A rule with `*` loses the wildcard's meaning, so
/// it is left out as a whole: which resources it would still mean cannot be written down.
fn limited(rule: &PolicyRule, escalating: bool) -> Option<PolicyRule> {
    if escalating {
        return Some(rule.clone());
    }
    if rule.resources.iter().any(|resource| resource == "*" || resource.starts_with("*/")) {
        return None;
    }
    let mut rule = rule.clone();
    rule.resources.retain(|resource| !ESCALATING.iter().any(|(_, escalating)| escalating == resource));
    (!rule.resources.is_empty() || !rule.non_resource_urls.is_empty()).then_some(rule)
}

fn discovery() -> PolicyRule {
    let urls = [
        "/",
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/oapi",
        "/oapi/*",
        "/osapi",
        "/osapi/",
        "/openapi",
        "/openapi/*",
        "/swagger.json",
        "/swaggerapi",
        "/swaggerapi/*",
        "/version",
        "/version/*",
        "/healthz",
        "/livez",
        "/readyz",
        "/.well-known",
        "/.well-known/*",
    ];
    PolicyRule { verbs: owned(&["get"]), non_resource_urls: owned(&urls), ..PolicyRule::default() }
}

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> PolicyRule {
    PolicyRule {
        verbs: owned(verbs),
        api_groups: owned(&[group]),
        resources: owned(resources),
        ..PolicyRule::default()
    }
}

fn named(verbs: &[&str], group: &str, resources: &[&str], name: &str) -> PolicyRule {
    PolicyRule { resource_names: owned(&[name]), ..rule(verbs, group, resources) }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::Scope;

    #[test]
    fn scopes_parse() {
        let role = |role: &str, namespace: &str, escalating| {
            Some(Scope::Role { role: role.into(), namespace: namespace.into(), escalating })
        };
        let check = |text: &str, expected: Option<Scope>| assert_eq!(text.parse().ok(), expected, "{text}");
        check("user:full", Some(Scope::Full));
        check("user:list-projects", Some(Scope::ListProjects));
        check("role:edit:shop", role("edit", "shop", false));
        check("role:system:image-puller:shop:!", role("system:image-puller", "shop", true));
        check("role:view:*", role("view", "*", false));
        check("role:view", None);
        check("role::shop", None);
        check("role:view:", None);
        check("user:FULL", None);
        check("", None);
    }
}
