//! Do the rules somebody holds cover the rules somebody wants to grant? The law that stops escalation.
//!
//! A rule is taken apart into single rights, and each must be held. `covered` is sound against `rbac::allows`:
//! whatever a covered right allows, one of the held rules allows (a property test holds this).

use std::collections::BTreeMap;

use pierhead_api::rbac::PolicyRule;

use super::{has_or_star, legacy};

/// Rights one rule may stand for before it counts as not held: a bound on work, far above any honest role.
const MAX_RIGHTS: usize = 100_000;

/// One right: a verb on one resource of one group (or one path), for all names or one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right<'a> {
    verb: &'a str,
    group: &'a str,
    resource: &'a str,
    name: Option<&'a str>,
    url: Option<&'a str>,
    /// The group came from `""` and the resource's name, so that impersonation is not part of it.
    by_name: bool,
}

/// The rights of `wanted` that `held` does not cover, merged by resource; empty when all are held.
pub(crate) fn missing(held: &[PolicyRule], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
    let mut too_many = Vec::new();
    let mut missing: BTreeMap<Right<'_>, Vec<&str>> = BTreeMap::new();
    for rule in wanted {
        if right_count(rule) > MAX_RIGHTS {
            too_many.push(rule.clone());
            continue;
        }
        for right in rights(rule) {
            if !held.iter().any(|rule| covers(rule, &right)) {
                let verbs = missing.entry(Right { verb: "", by_name: false, ..right }).or_default();
                if !verbs.contains(&right.verb) {
                    verbs.push(right.verb);
                }
            }
        }
    }
    let merged = missing.into_iter().map(|(right, verbs)| to_rule(&right, &verbs));
    merged.chain(too_many).collect()
}

/// What both sets of rules allow: the rights of either that the other covers.
pub(crate) fn intersection(one: &[PolicyRule], other: &[PolicyRule]) -> Vec<PolicyRule> {
    let mut both = Vec::new();
    for (held, rules) in [(one, other), (other, one)] {
        for rule in rules.iter().filter(|rule| right_count(rule) <= MAX_RIGHTS) {
            for right in rights(rule).filter(|right| held.iter().any(|rule| covers(rule, right))) {
                let rule = to_rule(&right, &[right.verb]);
                if !both.contains(&rule) {
                    both.push(rule);
                }
            }
        }
    }
    both
}

fn right_count(rule: &PolicyRule) -> usize {
    let resources = rule.api_groups.len().saturating_mul(rule.resources.len());
    let named = resources.saturating_mul(rule.resource_names.len().max(1));
    named.saturating_add(rule.non_resource_urls.len()).saturating_mul(rule.verbs.len())
}

fn rights(rule: &PolicyRule) -> impl Iterator<Item = Right<'_>> {
    let names: Vec<Option<&str>> = if rule.resource_names.is_empty() {
        vec![None]
    } else {
        rule.resource_names.iter().map(|name| Some(name.as_str())).collect()
    };
    rule.verbs.iter().flat_map(move |verb| {
        let names = names.clone();
        let urls = rule.non_resource_urls.iter().map(move |url| Right {
            verb,
            group: "",
            resource: "",
            name: None,
            url: Some(url),
            by_name: false,
        });
        let resources = rule.resources.iter().flat_map(move |resource| {
            let names = names.clone();
            let groups = rule.api_groups.iter().flat_map(move |group| meant_groups(verb, group, resource));
            groups.flat_map(move |(group, by_name)| {
                let right = move |name| Right { verb, group, resource, name, url: None, by_name };
                names.clone().into_iter().map(right)
            })
        });
        urls.chain(resources)
    })
}

/// The groups a rule's group means with this verb and resource, and whether it does so by the resource's name.
///
/// `""` with the name of an OpenShift resource means that resource. Impersonation takes it literally, and so the
/// verb `*` means both.
fn meant_groups<'a>(
    verb: &str,
    group: &'a str,
    resource: &str,
) -> impl Iterator<Item = (&'a str, bool)> + use<'a> {
    let openshift =
        if group.is_empty() && verb != "impersonate" { legacy::group_of(base(resource)) } else { None };
    let literal = (openshift.is_none() || verb == "*").then_some((group, false));
    literal.into_iter().chain(openshift.map(|group| (group, true)))
}

fn base(resource: &str) -> &str {
    resource.split_once('/').map_or(resource, |(base, _)| base)
}

fn covers(rule: &PolicyRule, right: &Right<'_>) -> bool {
    if !has_or_star(&rule.verbs, right.verb) {
        return false;
    }
    if let Some(url) = right.url {
        return rule.non_resource_urls.iter().any(|pattern| url_covers(pattern, url));
    }
    let names = match right.name {
        _ if rule.resource_names.is_empty() => true,
        Some(name) => rule.resource_names.iter().any(|of| of == name),
        None => false,
    };
    names && group_covers(rule, right) && rule.resources.iter().any(|of| resource_covers(of, right.resource))
}

fn url_covers(pattern: &str, url: &str) -> bool {
    pattern == url || pattern.strip_suffix('*').is_some_and(|prefix| url.starts_with(prefix))
}

fn group_covers(rule: &PolicyRule, right: &Right<'_>) -> bool {
    has_or_star(&rule.api_groups, right.group)
        || ((right.by_name || !matches!(right.verb, "*" | "impersonate"))
            && legacy::group_of(base(right.resource)) == Some(right.group)
            && rule.api_groups.iter().any(String::is_empty)
            && rule.resources.iter().any(|resource| resource == right.resource))
}

fn resource_covers(pattern: &str, resource: &str) -> bool {
    pattern == "*"
        || pattern == resource
        || pattern
            .strip_prefix("*/")
            .is_some_and(|subresource| resource.split_once('/').is_some_and(|(_, of)| of == subresource))
}

fn to_rule(right: &Right<'_>, verbs: &[&str]) -> PolicyRule {
    let verbs = verbs.iter().map(|verb| (*verb).to_owned()).collect();
    match right.url {
        Some(url) => PolicyRule { verbs, non_resource_urls: vec![url.to_owned()], ..PolicyRule::default() },
        None => PolicyRule {
            verbs,
            api_groups: vec![right.group.to_owned()],
            resources: vec![right.resource.to_owned()],
            resource_names: right.name.map(str::to_owned).into_iter().collect(),
            non_resource_urls: Vec::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use pierhead_api::rbac::PolicyRule;

    use super::missing;

    /// `verbs | groups | resources | names`, with `-` for the empty group.
    fn rule(text: &str) -> Vec<PolicyRule> {
        let word = |word: &str| if word == "-" { String::new() } else { word.to_owned() };
        let mut parts = text.split('|').map(|part| part.split_whitespace().map(word).collect::<Vec<_>>());
        let mut next = || parts.next().unwrap_or_default();
        let (verbs, api_groups, resources, resource_names) = (next(), next(), next(), next());
        vec![PolicyRule { verbs, api_groups, resources, resource_names, non_resource_urls: Vec::new() }]
    }

    #[test]
    fn who_holds_one_rule_holds_the_other() {
        let check = |held: &str, wanted: &str, expected: bool| {
            let missing = missing(&rule(held), &rule(wanted));
            assert_eq!(missing.is_empty(), expected, "{held} covers {wanted}: {missing:?}");
        };
        check("get list | - | pods", "list | - | pods", true);
        check("get list | - | pods", "* | - | pods", false);
        check("get | - | pods", "get | - | pods | a", true);
        check("get | - | pods | a b", "get | - | pods | b", true);
        check("get | - | pods | a", "get | - | pods", false);
        check("get | - | */log", "get | - | pods/log", true);
        check("get | - | pods/log", "get | - | */log", false);
        check("get | image.openshift.io | imagestreams", "get | - | imagestreams", true);
        check("get | - | imagestreams", "get | image.openshift.io | imagestreams", true);
        check("* | - | imagestreams", "* | - | imagestreams", true);
        // The name of an OpenShift resource means more than `*` in the group "" does.
        check("* | - | *", "* | - | imagestreams", false);
        check("get | - | *", "get | - | imagestreams", false);
        // To impersonate users is not what one may do to User objects.
        check("* | user.openshift.io | users", "impersonate | - | users", false);
        check("* | user.openshift.io | users", "* | - | users", false);
        check("impersonate | user.openshift.io | users", "impersonate | - | users", false);
    }

    #[test]
    fn a_rule_of_too_many_rights_is_not_held() {
        let words = (0..400).map(|number| format!("w{number}")).collect::<Vec<_>>().join(" ");
        let huge = format!("{words} | {words} | {words}");
        let all = missing(&rule("* | * | *"), &rule(&huge));
        assert_eq!(all.len(), 1, "it is refused without being taken apart");
    }
}
