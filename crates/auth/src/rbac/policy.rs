//! Roles and bindings in memory: which rules apply to whom, where, and by which binding.
//!
//! Owns resolution, aggregation of cluster roles included. Does not read the store; `index` feeds it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use pierhead_api::rbac::PolicyRule;

use crate::attributes::Asked;
use crate::rbac::allows;
use crate::{Decision, Subject};

/// Everything that roles and bindings say.
#[derive(Default)]
pub(crate) struct Policy {
    cluster_roles: HashMap<String, ClusterRole>,
    /// Rules of every cluster role, those it aggregates included.
    resolved: HashMap<String, Arc<[PolicyRule]>>,
    roles: HashMap<String, HashMap<String, Arc<[PolicyRule]>>>,
    cluster_bindings: BTreeMap<String, Binding>,
    bindings: HashMap<String, BTreeMap<String, Binding>>,
}

/// A cluster role as it was written.
pub(crate) struct ClusterRole {
    pub(crate) rules: Arc<[PolicyRule]>,
    pub(crate) labels: BTreeMap<String, String>,
    /// The role also has the rules of every cluster role that one of these selects.
    pub(crate) aggregates: Vec<LabelMatch>,
}

/// Labels a cluster role must have to be aggregated.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelMatch {
    pub(crate) equal: BTreeMap<String, String>,
    pub(crate) expressions: Vec<LabelExpression>,
}

/// One expression of a label selector.
#[derive(Clone, Debug)]
pub(crate) struct LabelExpression {
    pub(crate) key: String,
    pub(crate) operator: String,
    pub(crate) values: Vec<String>,
}

impl LabelMatch {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let nothing = self.equal.is_empty() && self.expressions.is_empty();
        !nothing
            && self.equal.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.expressions.iter().all(|expression| expression.matches(labels))
    }
}

impl LabelExpression {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}

/// Which role a binding grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleName {
    /// A ClusterRole.
    Cluster(String),
    /// A Role of the binding's own namespace.
    Namespaced(String),
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster(name) => write!(f, "ClusterRole {name:?}"),
            Self::Namespaced(name) => write!(f, "Role {name:?}"),
        }
    }
}

/// Whom a binding grants its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    User(String),
    Group(String),
    ServiceAccount { username: String, namespace: String, name: String },
}

impl Bound {
    fn is(&self, subject: &Subject) -> bool {
        match self {
            Self::User(name) => subject.username == *name,
            Self::Group(name) => subject.is_in(name),
            Self::ServiceAccount { username, .. } => subject.username == *username,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "User {name:?}"),
            Self::Group(name) => write!(f, "Group {name:?}"),
            Self::ServiceAccount { namespace, name, .. } => {
                write!(f, "ServiceAccount \"{name}/{namespace}\"")
            }
        }
    }
}

/// A role binding or cluster role binding.
pub(crate) struct Binding {
    pub(crate) role: RoleName,
    pub(crate) subjects: Vec<Bound>,
}

/// One rule that applies to a subject, and why.
struct Applied<'a> {
    binding_name: &'a str,
    /// Empty for a cluster role binding.
    binding_namespace: &'a str,
    role: &'a RoleName,
    bound: &'a Bound,
    rules: &'a [PolicyRule],
}

impl Policy {
    pub(crate) fn set_cluster_role(&mut self, name: String, role: Option<ClusterRole>) {
        match role {
            Some(role) => self.cluster_roles.insert(name, role),
            None => self.cluster_roles.remove(&name),
        };
        self.resolved.clear();
        for name in self.cluster_roles.keys() {
            self.resolved.insert(name.clone(), self.aggregate(name));
        }
    }

    /// The role's own rules; or, of one that is made of others, theirs, each role once.
    fn aggregate(&self, name: &str) -> Arc<[PolicyRule]> {
        let Some(role) = self.cluster_roles.get(name) else { return Arc::new([]) };
        if role.aggregates.is_empty() {
            return Arc::clone(&role.rules);
        }
        let mut rules = Vec::new();
        let mut seen = BTreeSet::from([name]);
        let mut open = vec![role];
        while let Some(role) = open.pop() {
            // What a role that is made of others says itself was computed of them some time ago.
            let own = if role.aggregates.is_empty() { &role.rules[..] } else { &[] };
            for rule in own {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
            let selected = |labels| role.aggregates.iter().any(|selector| selector.matches(labels));
            for (name, other) in self.cluster_roles.iter().filter(|(_, other)| selected(&other.labels)) {
                if seen.insert(name) {
                    open.push(other);
                }
            }
        }
        rules.into()
    }

    pub(crate) fn set_role(&mut self, namespace: &str, name: &str, rules: Option<Arc<[PolicyRule]>>) {
        set_in(&mut self.roles, namespace, |roles| match rules {
            Some(rules) => drop(roles.insert(name.to_owned(), rules)),
            None => drop(roles.remove(name)),
        });
    }

    pub(crate) fn set_cluster_binding(&mut self, name: &str, binding: Option<Binding>) {
        match binding {
            Some(binding) => self.cluster_bindings.insert(name.to_owned(), binding),
            None => self.cluster_bindings.remove(name),
        };
    }

    pub(crate) fn set_binding(&mut self, namespace: &str, name: &str, binding: Option<Binding>) {
        set_in(&mut self.bindings, namespace, |bindings| match binding {
            Some(binding) => drop(bindings.insert(name.to_owned(), binding)),
            None => drop(bindings.remove(name)),
        });
    }

    /// The rules of a cluster role; none if there is no such role.
    pub(crate) fn cluster_role_rules(&self, name: &str) -> Arc<[PolicyRule]> {
        self.resolved.get(name).cloned().unwrap_or_default()
    }

    /// The rules of the role a binding in `namespace` names; `None` if it does not exist.
    pub(crate) fn role_rules(&self, role: &RoleName, namespace: &str) -> Option<&[PolicyRule]> {
        match role {
            RoleName::Cluster(name) => self.resolved.get(name).map(AsRef::as_ref),
            RoleName::Namespaced(name) => self.roles.get(namespace)?.get(name).map(AsRef::as_ref),
        }
    }

    /// Whether some binding allows what is asked; the reason names the first that does.
    pub(crate) fn decide(&self, subject: &Subject, asked: &Asked<'_>) -> Decision {
        let found =
            self.applied(subject, asked.namespace).find(|of| of.rules.iter().any(|rule| allows(rule, asked)));
        match found {
            Some(applied) => Decision { allowed: true, reason: format!("RBAC: allowed by {applied}") },
            None => Decision { allowed: false, reason: String::new() },
        }
    }

    /// Every rule that applies to `subject` in `namespace` (empty: cluster-wide only), each once.
    pub(crate) fn rules_of(&self, subject: &Subject, namespace: &str) -> Vec<PolicyRule> {
        let mut rules: Vec<PolicyRule> = Vec::new();
        for rule in self.applied(subject, namespace).flat_map(|of| of.rules) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
        rules
    }

    fn applied<'a>(&'a self, subject: &'a Subject, namespace: &'a str) -> impl Iterator<Item = Applied<'a>> {
        self.in_force(namespace).filter_map(move |(binding_name, binding_namespace, binding)| {
            let bound = binding.subjects.iter().find(|bound| bound.is(subject))?;
            let rules = self.role_rules(&binding.role, binding_namespace)?;
            Some(Applied { binding_name, binding_namespace, role: &binding.role, bound, rules })
        })
    }

    /// Cluster bindings, then those of the namespace: name, namespace, binding.
    fn in_force<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = (&'a str, &'a str, &'a Binding)> {
        let everywhere = self.cluster_bindings.iter().map(|(name, binding)| (name.as_str(), "", binding));
        let here = self.bindings.get(namespace).into_iter().flatten();
        everywhere.chain(here.map(move |(name, binding)| (name.as_str(), namespace, binding)))
    }

    /// All users and groups that may do what is asked, sorted. Service accounts count as users.
    pub(crate) fn who_can(&self, asked: &Asked<'_>) -> (Vec<String>, Vec<String>) {
        let (mut users, mut groups) = (BTreeSet::new(), BTreeSet::new());
        for (_, namespace, binding) in self.in_force(asked.namespace) {
            let rules = self.role_rules(&binding.role, namespace).unwrap_or_default();
            if !rules.iter().any(|rule| allows(rule, asked)) {
                continue;
            }
            for bound in &binding.subjects {
                match bound {
                    Bound::User(name) | Bound::ServiceAccount { username: name, .. } => {
                        users.insert(name.clone())
                    }
                    Bound::Group(name) => groups.insert(name.clone()),
                };
            }
        }
        (users.into_iter().collect(), groups.into_iter().collect())
    }
}

/// Changes the map of one namespace and drops it when nothing is left in it.
fn set_in<V: Default + IsEmpty>(maps: &mut HashMap<String, V>, namespace: &str, change: impl FnOnce(&mut V)) {
    let map = maps.entry(namespace.to_owned()).or_default();
    change(map);
    if map.is_empty() {
        maps.remove(namespace);
    }
}

trait IsEmpty {
    fn is_empty(&self) -> bool;
}

impl<V> IsEmpty for HashMap<String, V> {
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<V> IsEmpty for BTreeMap<String, V> {
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for Applied<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { binding_name: name, binding_namespace: namespace, role, bound, .. } = self;
        if namespace.is_empty() {
            write!(f, "ClusterRoleBinding {name:?} of {role} to {bound}")
        } else {
            write!(f, "RoleBinding \"{name}/{namespace}\" of {role} to {bound}")
        }
    }
}
