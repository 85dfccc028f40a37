//! Quotas and limit ranges: what is used of what is allowed.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::object;

/// What a scope of a quota means.
const SCOPES: [(&str, &str); 4] = [
    (
        "Terminating",
        "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being \
         actively terminated by the system.",
    ),
    (
        "NotTerminating",
        "Matches all pods that do not have an active deadline. These pods usually include long running pods whose \
         container command is not expected to terminate.",
    ),
    (
        "BestEffort",
        "Matches all pods that do not have resource requirements set. These pods have a best effort quality of service.",
    ),
    (
        "NotBestEffort",
        "Matches all pods that have at least one resource requirement set. These pods have a burstable or guaranteed \
         quality of service.",
    ),
];

pub(super) fn resource_quota(quota: &Value) -> String {
    let namespace = object::namespace(quota).unwrap_or_default();
    let mut text = format!("Name:\t{}\nNamespace:\t{namespace}\n", object::name(quota));
    text.push_str(&scopes(object::list(quota, "spec.scopes")));
    text.push_str(&usage(quota, "status"));
    text
}

pub(super) fn cluster_quota(quota: &Value) -> String {
    let mut text = super::head(quota);
    let selector = "spec.selector.labels.matchLabels";
    text.push_str(&format!("Label Selector:\t{}\n", super::map_line(quota, selector)));
    text.push_str(&format!("AnnotationSelector:\t{}\n", super::map_line(quota, "spec.selector.annotations")));
    let names: Vec<&str> =
        object::list(quota, "status.namespaces").iter().map(|row| object::text(row, "namespace")).collect();
    let names = if names.is_empty() { "<none>".to_owned() } else { names.join(", ") };
    text.push_str(&format!("Namespaces:\t{names}\n"));
    text.push_str(&scopes(object::list(quota, "spec.quota.scopes")));
    text.push_str(&usage(quota, "status.total"));
    text
}

fn scopes(scopes: &[Value]) -> String {
    if scopes.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = scopes.iter().filter_map(Value::as_str).collect();
    let mut text = format!("Scopes:\t{}\n", names.join(", "));
    for name in names {
        let known = SCOPES.iter().find(|(scope, _)| *scope == name);
        text.push_str(&known.map(|(_, meaning)| format!(" * {meaning}\n")).unwrap_or_default());
    }
    text
}

/// The table of what is counted, from a status at `path`.
pub(super) fn usage(quota: &Value, path: &str) -> String {
    let mut text = "Resource\tUsed\tHard\n--------\t----\t----\n".to_owned();
    let used = object::at(quota, &format!("{path}.used"));
    for (resource, hard) in amounts(object::at(quota, &format!("{path}.hard"))) {
        let used = used.and_then(|used| used.get(&resource)).map_or_else(|| "0".to_owned(), object::plain);
        text.push_str(&format!("{resource}\t{used}\t{hard}\n"));
    }
    text
}

pub(super) fn limit_range(range: &Value) -> String {
    let namespace = object::namespace(range).unwrap_or_default();
    format!("Name:\t{}\nNamespace:\t{namespace}\n{}", object::name(range), limits(range))
}

/// The table of limits.
pub(super) fn limits(range: &Value) -> String {
    let mut text = "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio\n\
                    ----\t--------\t---\t---\t---------------\t-------------\t-----------------------\n"
        .to_owned();
    let maps = ["min", "max", "defaultRequest", "default", "maxLimitRequestRatio"];
    for item in object::list(range, "spec.limits") {
        let of = |map: &str| amounts(item.get(map));
        let resources: BTreeSet<String> = maps.iter().flat_map(|map| of(map)).map(|(name, _)| name).collect();
        for resource in resources {
            let cells: Vec<String> = maps
                .iter()
                .map(|map| {
                    let found = of(map).into_iter().find(|(name, _)| *name == resource);
                    found.map_or_else(|| "-".to_owned(), |(_, amount)| amount)
                })
                .collect();
            text.push_str(&format!("{}\t{resource}\t{}\n", object::text(item, "type"), cells.join("\t")));
        }
    }
    text
}

fn amounts(map: Option<&Value>) -> Vec<(String, String)> {
    let fields = map.and_then(Value::as_object).into_iter().flatten();
    let mut amounts: Vec<(String, String)> =
        fields.map(|(name, amount)| (name.clone(), object::plain(amount))).collect();
    amounts.sort();
    amounts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{limit_range, resource_quota};
    use crate::print::tabwriter;

    #[test]
    fn tables_say_what_is_used_and_allowed() {
        let metadata = json!({"name": "q", "namespace": "shop"});
        let status = json!({"hard": {"pods": "4", "openshift.io/imagestreams": "10"}, "used": {"pods": "1"}});
        let quota = json!({"metadata": metadata, "spec": {"scopes": ["BestEffort"]}, "status": status});
        assert_eq!(
            tabwriter::align(&resource_quota(&quota), tabwriter::DESCRIPTION),
            "Name:       q\n\
             Namespace:  shop\n\
             Scopes:     BestEffort\n \
             * Matches all pods that do not have resource requirements set. These pods have a best effort quality of service.\n\
             Resource                   Used  Hard\n\
             --------                   ----  ----\n\
             openshift.io/imagestreams  0     10\n\
             pods                       1     4\n"
        );
        let limits = json!([{"type": "openshift.io/Image", "max": {"storage": "1Gi"}}]);
        let range = json!({"metadata": metadata, "spec": {"limits": limits}});
        assert_eq!(
            limit_range(&range),
            "Name:\tq\nNamespace:\tshop\n\
             Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio\n\
             ----\t--------\t---\t---\t---------------\t-------------\t-----------------------\n\
             openshift.io/Image\tstorage\t-\t1Gi\t-\t-\t-\n"
        );
    }
}
