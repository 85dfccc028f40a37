//! Role-based access control as pure functions: does a rule allow a question, do rules cover other rules.
//!
//! Owns matching. Which rules a subject has is `policy`'s business; what is stored is `index`'s.

use pierhead_api::rbac::PolicyRule;

use crate::attributes::Asked;

pub(crate) mod cover;
pub(crate) mod legacy;
pub(crate) mod policy;

/// The rule that allows everything.
pub fn everything() -> Vec<PolicyRule> {
    let any = || vec!["*".to_owned()];
    vec![
        PolicyRule { verbs: any(), api_groups: any(), resources: any(), ..PolicyRule::default() },
        PolicyRule { verbs: any(), non_resource_urls: any(), ..PolicyRule::default() },
    ]
}

/// Whether `rule` alone allows what is asked (platform 5.3).
pub(crate) fn allows(rule: &PolicyRule, asked: &Asked<'_>) -> bool {
    if !has_or_star(&rule.verbs, asked.verb) {
        return false;
    }
    match asked.path {
        Some(path) => rule.non_resource_urls.iter().any(|pattern| path_matches(pattern, path)),
        None => {
            group_matches(rule, asked)
                && rule.resources.iter().any(|resource| resource_matches(resource, asked))
                && name_matches(rule, asked.name)
        }
    }
}

/// A rule's group `""` also means the OpenShift group of an OpenShift resource the rule names: that is how roles
/// were written before groups existed. It does not widen `*`.
fn group_matches(rule: &PolicyRule, asked: &Asked<'_>) -> bool {
    has_or_star(&rule.api_groups, asked.group)
        || (asked.legacy
            && rule.api_groups.iter().any(String::is_empty)
            && rule.resources.iter().any(|resource| resource_is(resource, asked)))
}

fn resource_matches(pattern: &str, asked: &Asked<'_>) -> bool {
    pattern == "*"
        || resource_is(pattern, asked)
        || (!asked.subresource.is_empty()
            && pattern.strip_prefix("*/").is_some_and(|subresource| subresource == asked.subresource))
}

/// Whether `pattern` names exactly the resource, with its sub-resource where one is asked for.
fn resource_is(pattern: &str, asked: &Asked<'_>) -> bool {
    if asked.subresource.is_empty() {
        return pattern == asked.resource;
    }
    pattern
        .strip_prefix(asked.resource)
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|subresource| subresource == asked.subresource)
}

fn name_matches(rule: &PolicyRule, name: &str) -> bool {
    rule.resource_names.is_empty() || (!name.is_empty() && rule.resource_names.iter().any(|of| of == name))
}

/// `/healthz` is that path, `/healthz/*` everything that starts with `/healthz/`, `*` every path.
fn path_matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => pattern == path,
    }
}

fn has_or_star(values: &[String], value: &str) -> bool {
    values.iter().any(|of| of == "*" || of == value)
}

#[cfg(test)]
mod tests {
    use pierhead_api::rbac::PolicyRule;

    use super::allows;
    use crate::Attributes;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace()
            .map(|word| if word == "-" { String::new() } else { word.to_owned() })
            .collect()
    }

    /// `verbs | groups | resources | names`, with `-` for the empty group.
    fn rule(text: &str) -> PolicyRule {
        let parts: Vec<&str> = text.split('|').collect();
        PolicyRule {
            verbs: words(parts[0]),
            api_groups: words(parts[1]),
            resources: words(parts[2]),
            resource_names: words(parts.get(3).unwrap_or(&"")),
            non_resource_urls: Vec::new(),
        }
    }

    /// `verb group resource [name]`.
    fn ask(text: &str) -> Attributes {
        let parts = words(text);
        Attributes::new(&parts[0], &parts[1], &parts[2]).name(parts.get(3).map_or("", String::as_str))
    }

    #[test]
    fn rules_match_resources() {
        let check = |rule_text: &str, asked: &str, expected: bool| {
            assert_eq!(allows(&rule(rule_text), &ask(asked).asked()), expected, "{rule_text} ? {asked}");
        };
        check("get list | - | pods", "get - pods", true);
        check("get list | - | pods", "watch - pods", false);
        check("get | - | pods", "get apps pods", false);
        check("* | * | *", "delete apps deployments/scale x", true);
        check("get | - | pods", "get - pods/log", false);
        check("get | - | pods/log", "get - pods", false);
        check("get | - | */log", "get - pods/log", true);
        check("get | - | */log", "get - pods/status", false);
        check("get | - | */log", "get - log", false);
        check("get | - | pods/*", "get - pods/log", false);
        check("get | - | pods | a b", "get - pods b", true);
        check("get | - | pods | a b", "get - pods c", false);
        check("list | - | pods | a", "list - pods", false);
        check("GET | - | pods", "get - pods", false);
        check("get | - | pod", "get - pods", false);
    }

    #[test]
    fn the_empty_group_means_the_openshift_group_of_a_named_resource() {
        let check = |rule_text: &str, asked: &str, expected: bool| {
            assert_eq!(allows(&rule(rule_text), &ask(asked).asked()), expected, "{rule_text} ? {asked}");
        };
        check("get | - | imagestreams/layers", "get image.openshift.io imagestreams/layers web", true);
        check("get | - | imagestreams", "get image.openshift.io imagestreams/layers web", false);
        check("get | image.openshift.io | imagestreams/layers", "get - imagestreams/layers web", true);
        check("get | - | *", "get image.openshift.io imagestreams", false);
        check("get | - | pods *", "get image.openshift.io imagestreams", false);
        check("get | - | imagestreams", "get example.com imagestreams", false);
        check("get | - | routes */status", "get route.openshift.io routes/status", false);
        check("get | - | deployments", "get apps deployments", false);
    }

    #[test]
    fn rules_match_paths() {
        let check = |pattern: &str, path: &str, expected: bool| {
            let urls = vec![pattern.to_owned()];
            let rule = PolicyRule { verbs: words("get"), non_resource_urls: urls, ..PolicyRule::default() };
            assert_eq!(allows(&rule, &Attributes::path("get", path).asked()), expected, "{pattern} ? {path}");
        };
        check("/healthz", "/healthz", true);
        check("/healthz", "/healthz/", false);
        check("/healthz/*", "/healthz/ping", true);
        check("/healthz/*", "/healthz", false);
        check("/healthz*", "/healthzzz", true);
        check("*", "/anything/at/all", true);
        check("/api", "/apis", false);
        check("/a*b", "/axb", false);
        let resources = rule("* | * | *");
        assert!(
            !allows(&resources, &Attributes::path("get", "/healthz").asked()),
            "resource rules are not for paths"
        );
    }
}
