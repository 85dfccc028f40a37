//! Do the rules somebody holds cover the rules somebody wants to grant? The law that stops escalation.
//!
//! A rule is taken apart into single rights, and each must be held. `covered` is sound against `rbac::allows`:
//! whatever a covered right allows, one of the held rules allows (a property test holds this).

use std::collections::{BTreeMap, HashSet};

use pierhead_api::rbac::PolicyRule;

use super::legacy;

/// Rights that rules may stand for together; those of further rules count as not held. A bound on work, far above any
/// honest role.
const MAX_RIGHTS: usize = 100_000;
/// How often a right is compared with a rule that is held: half a second.
const MAX_COMPARISONS: usize = 10_000_000;

/// One right: a verb on one resource of one group (or one path), for all names or one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    let mut missing = Merged::default();
    let held = Held::of(held);
    let mut budget = Budget::new(&held);
    for rule in wanted {
        let words = Words::of(rule);
        if !budget.allows(&words) {
            too_many.push(rule.clone());
            continue;
        }
        rights(&words).filter(|right| !held.covers(right)).for_each(|right| missing.add(right));
    }
    missing.into_rules().chain(too_many).collect()
}

/// What both sets of rules allow: the rights of either that the other covers, merged by resource.
pub(crate) fn intersection(one: &[PolicyRule], other: &[PolicyRule]) -> Vec<PolicyRule> {
    let mut both = Merged::default();
    for (held, rules) in [(one, other), (other, one)] {
        let held = Held::of(held);
        let mut budget = Budget::new(&held);
        for words in rules.iter().map(Words::of).filter(|words| budget.allows(words)) {
            rights(&words).filter(|right| held.covers(right)).for_each(|right| both.add(right));
        }
    }
    both.into_rules().collect()
}

/// Rights by what they are on, each with its verbs.
#[derive(Default)]
struct Merged<'a> {
    known: HashSet<Right<'a>>,
    verbs: BTreeMap<Right<'a>, Vec<&'a str>>,
}

impl<'a> Merged<'a> {
    fn add(&mut self, right: Right<'a>) {
        let right = Right { by_name: false, ..right };
        if self.known.insert(right) {
            self.verbs.entry(Right { verb: "", ..right }).or_default().push(right.verb);
        }
    }

    fn into_rules(self) -> impl Iterator<Item = PolicyRule> {
        self.verbs.into_iter().map(|(right, verbs)| to_rule(&right, &verbs))
    }
}

/// How much work is left for one question: users write both the rules that they hold and those that they want.
struct Budget {
    rights: usize,
}

impl Budget {
    fn new(held: &Held<'_>) -> Self {
        Self { rights: MAX_RIGHTS.min(MAX_COMPARISONS / held.comparisons.max(1)) }
    }

    /// Whether the rule may be taken apart, which is then done.
    fn allows(&mut self, words: &Words<'_>) -> bool {
        let left = self.rights.checked_sub(words.right_count());
        self.rights = left.unwrap_or(self.rights);
        left.is_some()
    }
}

/// The words of a rule, each once.
struct Words<'a> {
    verbs: Vec<&'a str>,
    groups: Vec<&'a str>,
    resources: Vec<&'a str>,
    names: Vec<&'a str>,
    urls: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn of(rule: &'a PolicyRule) -> Self {
        let distinct = |words: &'a [String]| {
            let mut known = HashSet::with_capacity(words.len());
            words.iter().map(String::as_str).filter(|word| known.insert(*word)).collect()
        };
        Self {
            verbs: distinct(&rule.verbs),
            groups: distinct(&rule.api_groups),
            resources: distinct(&rule.resources),
            names: distinct(&rule.resource_names),
            urls: distinct(&rule.non_resource_urls),
        }
    }

    fn right_count(&self) -> usize {
        let resources = self.groups.len().saturating_mul(self.resources.len());
        let named = resources.saturating_mul(self.names.len().max(1));
        named.saturating_add(self.urls.len()).saturating_mul(self.verbs.len())
    }
}

fn rights<'a>(words: &Words<'a>) -> impl Iterator<Item = Right<'a>> {
    let names: Vec<Option<&str>> =
        if words.names.is_empty() { vec![None] } else { words.names.iter().copied().map(Some).collect() };
    words.verbs.iter().flat_map(move |&verb| {
        let names = names.clone();
        let urls = words.urls.iter().map(move |&url| Right {
            verb,
            group: "",
            resource: "",
            name: None,
            url: Some(url),
            by_name: false,
        });
        let resources = words.resources.iter().flat_map(move |&resource| {
            let names = names.clone();
            let groups = words.groups.iter().flat_map(move |&group| meant_groups(verb, group, resource));
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

/// Rules that somebody holds.
struct Held<'a> {
    rules: Vec<HeldRule<'a>>,
    /// What comparing one right with all of them costs.
    comparisons: usize,
}

struct HeldRule<'a> {
    verbs: HashSet<&'a str>,
    groups: HashSet<&'a str>,
    resources: HashSet<&'a str>,
    /// `log` of `*/log`.
    subresources: HashSet<&'a str>,
    names: HashSet<&'a str>,
    urls: Vec<&'a str>,
}

impl<'a> Held<'a> {
    fn of(rules: &'a [PolicyRule]) -> Self {
        let rules: Vec<HeldRule<'_>> = rules.iter().map(HeldRule::of).collect();
        let comparisons = rules.iter().map(|rule| 1 + rule.urls.len()).sum();
        Self { rules, comparisons }
    }

    fn covers(&self, right: &Right<'_>) -> bool {
        self.rules.iter().any(|rule| rule.covers(right))
    }
}

impl<'a> HeldRule<'a> {
    fn of(rule: &'a PolicyRule) -> Self {
        let Words { verbs, groups, resources, names, urls } = Words::of(rule);
        let subresources = resources.iter().filter_map(|resource| resource.strip_prefix("*/")).collect();
        Self {
            verbs: verbs.into_iter().collect(),
            groups: groups.into_iter().collect(),
            resources: resources.into_iter().collect(),
            subresources,
            names: names.into_iter().collect(),
            urls,
        }
    }

    fn covers(&self, right: &Right<'_>) -> bool {
        if !has_or_star(&self.verbs, right.verb) {
            return false;
        }
        if let Some(url) = right.url {
            return self.urls.iter().any(|pattern| url_covers(pattern, url));
        }
        let names = self.names.is_empty() || right.name.is_some_and(|name| self.names.contains(name));
        names && self.covers_group(right) && self.covers_resource(right.resource)
    }

    fn covers_group(&self, right: &Right<'_>) -> bool {
        has_or_star(&self.groups, right.group)
            || ((right.by_name || !matches!(right.verb, "*" | "impersonate"))
                && legacy::group_of(base(right.resource)) == Some(right.group)
                && self.groups.contains("")
                && self.resources.contains(right.resource))
    }

    fn covers_resource(&self, resource: &str) -> bool {
        has_or_star(&self.resources, resource)
            || resource.split_once('/').is_some_and(|(_, of)| self.subresources.contains(of))
    }
}

fn has_or_star(words: &HashSet<&str>, word: &str) -> bool {
    words.contains(word) || words.contains("*")
}

fn url_covers(pattern: &str, url: &str) -> bool {
    pattern == url || pattern.strip_suffix('*').is_some_and(|prefix| url.starts_with(prefix))
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

    #[test]
    fn words_that_are_repeated_cost_nothing() {
        let repeated = format!("{0} | {1} | {0}", "get ".repeat(400), "- ".repeat(400));
        assert!(missing(&rule("get | - | get"), &rule(&repeated)).is_empty());
    }

    #[test]
    fn many_rules_cost_no_more_than_one() {
        let words = |prefix: &str, count: usize| {
            (0..count).map(|number| format!("{prefix}{number}")).collect::<Vec<_>>().join(" ")
        };
        let check = |held: usize, wanted: usize, names: usize, expected: bool| {
            let many = |count: usize, text: &str| (0..count).flat_map(|_| rule(text)).collect::<Vec<_>>();
            let unrelated = "get list | - | pods | x";
            let held = [rule("get | - | pods"), many(held, unrelated)].concat();
            let wanted = many(wanted, &format!("get | - | pods | {}", words("n", names)));
            let is_held = missing(&held, &wanted).is_empty();
            assert_eq!(is_held, expected, "{} held, {} wanted of {names}", held.len(), wanted.len());
        };
        check(10, 10, 9_000, true);
        check(10, 12, 9_000, false);
        check(1_000, 1, 9_000, true);
        check(10_000, 1, 9_000, false);
        check(10_000, 1, 900, true);
    }
}
