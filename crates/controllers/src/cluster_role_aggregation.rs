//! Cluster roles that say which others they are made of hold those roles' rules (platform 5.2).
//!
//! Owns what clients read of such a role. What somebody may do is computed by `auth` from the parts themselves, so it
//! does not wait for this.

use std::sync::Arc;

use pierhead_api::rbac::{ClusterRole, PolicyRule};
use pierhead_api::selector::LabelSelector;
use pierhead_client::{Client, ClientError, Reflected};
use serde_json::Value;
use tokio::sync::watch;

use crate::runner::{Outcome, Reconciler};

pub(crate) struct ClusterRoleAggregation {
    pub(crate) client: Client,
    pub(crate) roles: Reflected<ClusterRole>,
}

impl Reconciler for ClusterRoleAggregation {
    type Key = String;
    type Error = ClientError;

    const NAME: &'static str = "cluster-role-aggregation";

    fn triggers(&self) -> Vec<watch::Receiver<u64>> {
        vec![self.roles.changed()]
    }

    async fn synced(&self) {
        self.roles.synced().await;
    }

    fn due(&self) -> Vec<String> {
        let roles = self.roles.list();
        let outdated =
            |role: &&Arc<ClusterRole>| aggregated(role, &roles).is_some_and(|rules| rules != role.rules);
        roles.iter().filter(outdated).map(|role| role.metadata.name.clone()).collect()
    }

    async fn reconcile(&self, name: &String) -> Result<Outcome, ClientError> {
        let roles: Vec<Arc<ClusterRole>> =
            self.client.list::<ClusterRole>(None).await?.into_iter().map(Arc::new).collect();
        let Some(role) = roles.iter().find(|role| role.metadata.name == *name) else {
            return Ok(Outcome::Nothing);
        };
        match aggregated(role, &roles) {
            Some(rules) if rules != role.rules && role.metadata.deletion_timestamp.is_none() => {
                let changed = ClusterRole { rules, ..ClusterRole::clone(role) };
                self.client.replace(None, &changed).await?;
                Ok(Outcome::Changed)
            }
            _ => Ok(Outcome::Nothing),
        }
    }
}

/// The rules of all roles that `role` is made of, in the order of their names, each once; nothing for a role that is
/// made of no others.
fn aggregated(role: &ClusterRole, all: &[Arc<ClusterRole>]) -> Option<Vec<PolicyRule>> {
    let selectors = role.aggregation_rule.as_ref()?.get("clusterRoleSelectors")?.as_array()?;
    // An empty selector would select everything; one that cannot be read selects nothing.
    let readable = |selector: &Value| LabelSelector::from_structured(selector).filter(|of| !of.is_empty());
    let selectors: Vec<LabelSelector> = selectors.iter().filter_map(readable).collect();
    let mut parts: Vec<&Arc<ClusterRole>> = all
        .iter()
        .filter(|part| part.metadata.name != role.metadata.name)
        .filter(|part| selectors.iter().any(|selector| selector.matches(&part.metadata.labels)))
        .collect();
    parts.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
    let mut rules: Vec<PolicyRule> = Vec::new();
    for rule in parts.iter().flat_map(|part| &part.rules) {
        if !rules.contains(rule) {
            rules.push(rule.clone());
        }
    }
    Some(rules)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pierhead_api::from_value;
    use pierhead_api::rbac::ClusterRole;
    use serde_json::{Value, json};

    use super::aggregated;

    #[test]
    fn a_role_is_the_sum_of_its_parts() {
        let role = |name: &str, labels: Value, verbs: &[&str], selectors: Value| -> Arc<ClusterRole> {
            let rules: Vec<Value> = verbs
                .iter()
                .map(|verb| json!({"verbs": [verb], "apiGroups": [""], "resources": ["pods"]}))
                .collect();
            let mut object = json!({"metadata": {"name": name, "labels": labels}, "rules": rules});
            if !selectors.is_null() {
                object["aggregationRule"] = json!({"clusterRoleSelectors": selectors});
            }
            Arc::new(from_value(&object).unwrap())
        };
        let sum = json!([{"matchLabels": {"part": "yes"}}, {"matchExpressions": [{"key": "also", "operator": "Exists"}]}]);
        let all = [
            role("sum", json!({"part": "yes"}), &["delete"], sum),
            role("b", json!({"part": "yes"}), &["list", "get"], Value::Null),
            role("a", json!({"also": ""}), &["get"], Value::Null),
            role("c", json!({"part": "no"}), &["patch"], Value::Null),
            role("empty", json!({}), &[], json!([{}])),
            role("wrong", json!({}), &[], json!([{"matchLabels": 5}])),
        ];
        let check = |name: &str, expected: Option<&[&str]>| {
            let role = all.iter().find(|role| role.metadata.name == name).unwrap();
            let verbs = aggregated(role, &all)
                .map(|rules| rules.into_iter().flat_map(|rule| rule.verbs).collect::<Vec<String>>());
            assert_eq!(
                verbs,
                expected.map(|verbs| verbs.iter().map(|verb| (*verb).to_owned()).collect()),
                "{name}"
            );
        };
        check("sum", Some(&["get", "list"]));
        check("a", None);
        check("empty", Some(&[]));
        check("wrong", Some(&[]));
    }
}
