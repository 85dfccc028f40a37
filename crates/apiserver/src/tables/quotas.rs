//! Columns of limits and quotas.

use pierhead_api::core::{ResourceQuota, ResourceQuotaStatus};
use pierhead_api::quota::ClusterResourceQuota;
use serde_json::Value;

use super::{Column, ColumnSet, Sets, age_of, name, or_none, typed};
use crate::metadata;

pub(super) const SETS: Sets = &[
    (
        "limitranges",
        ColumnSet {
            columns: &[Column::NAME, Column::date("Created At")],
            cells: |object, _| vec![name(object), metadata::text(object, "creationTimestamp").into()],
        },
    ),
    (
        "resourcequotas",
        ColumnSet {
            columns: &[Column::NAME, Column::AGE, Column::text("Request"), Column::text("Limit")],
            cells: |object, now| {
                let quota: ResourceQuota = typed(object);
                let (requests, limits) = used_of(&quota.status);
                vec![name(object), age_of(object, now), requests.into(), limits.into()]
            },
        },
    ),
    ("clusterresourcequotas.quota.openshift.io", SELECTORS),
    ("appliedclusterresourcequotas.quota.openshift.io", SELECTORS),
];

const SELECTORS: ColumnSet = ColumnSet {
    columns: &[Column::NAME, Column::text("Label Selector"), Column::text("Annotation Selector")],
    cells: |object, _| {
        let quota: ClusterResourceQuota = typed(object);
        let selector = quota.spec.selector;
        let labels = selector.labels.as_ref().map(selector_text).unwrap_or_default();
        let annotations = selector.annotations.unwrap_or_default();
        let pairs: Vec<String> = annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
        vec![name(object), or_none(labels), or_none(pairs.join(","))]
    },
};

/// What is used of what is allowed: everything but limits, and limits.
fn used_of(status: &ResourceQuotaStatus) -> (String, String) {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in &status.hard {
        let used = status.used.get(resource).copied().unwrap_or_default();
        let list = if resource.starts_with("limits") { &mut limits } else { &mut requests };
        list.push(format!("{resource}: {used}/{hard}"));
    }
    (requests.join(", "), limits.join(", "))
}

/// A structured selector on one line.
fn selector_text(selector: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut parts: Vec<String> = labels.map(|(key, value)| format!("{key}={}", text(value))).collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = text(&expression["key"]);
        let values: Vec<String> = expression["values"].as_array().into_iter().flatten().map(text).collect();
        parts.push(match expression["operator"].as_str() {
            Some("In") => format!("{key} in ({})", values.join(",")),
            Some("NotIn") => format!("{key} notin ({})", values.join(",")),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key,
        });
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tables::tests::check;

    #[test]
    fn rows_of_limits_and_quotas() {
        let metadata = json!({"name": "q", "creationTimestamp": "2016-05-01T11:00:00Z"});
        check(
            "limitranges",
            json!({"metadata": metadata}),
            &[("Name", "q"), ("Created At", "2016-05-01T11:00:00Z")],
        );
        let hard = json!({"limits.cpu": "2", "openshift.io/imagestreams": "10", "secrets": "4"});
        check(
            "resourcequotas",
            json!({"metadata": metadata, "status": {"hard": hard, "used": {"secrets": "3", "limits.cpu": "500m"}}}),
            &[
                ("Name", "q"),
                ("Age", "60m"),
                ("Request", "openshift.io/imagestreams: 0/10, secrets: 3/4"),
                ("Limit", "limits.cpu: 500m/2"),
            ],
        );
        let selector = json!({
            "labels": {"matchLabels": {"team": "a"}, "matchExpressions": [{"key": "b", "operator": "In", "values": ["c"]}]},
            "annotations": null,
        });
        check(
            "appliedclusterresourcequotas.quota.openshift.io",
            json!({"metadata": metadata, "spec": {"selector": selector}}),
            &[("Name", "q"), ("Label Selector", "team=a,b in (c)"), ("Annotation Selector", "<none>")],
        );
    }
}
