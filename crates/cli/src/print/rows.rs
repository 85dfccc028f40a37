//! Tables of kinds that people read most, for servers that do not render them (platform 1.6).
//!
//! A column that only `-o wide` shows begins with `+`.

mod images;
mod workloads;

use jiff::Timestamp;
use pierhead_api::meta::{Table, TableColumnDefinition, TableRow};
use serde_json::Value;

use super::age;
use crate::object;

/// Columns and the cells of an object.
pub(super) struct Rows {
    columns: &'static [&'static str],
    cells: fn(&Value, Timestamp) -> Vec<String>,
}

/// Objects of one kind as a table; names and ages where the kind is not known here.
pub(super) fn table(objects: &[Value], kind: &str, now: Timestamp) -> Table {
    let rows = match kind {
        "Pod" => &workloads::PODS,
        "ReplicationController" => &workloads::REPLICATION_CONTROLLERS,
        "DeploymentConfig" => &workloads::DEPLOYMENT_CONFIGS,
        "Deployment" => &workloads::DEPLOYMENTS,
        "Node" => &workloads::NODES,
        "Service" => &workloads::SERVICES,
        "Endpoints" => &workloads::ENDPOINTS,
        "ConfigMap" => &workloads::CONFIG_MAPS,
        "Secret" => &workloads::SECRETS,
        "ServiceAccount" => &workloads::SERVICE_ACCOUNTS,
        "Namespace" | "Project" => &workloads::NAMESPACES,
        "Event" => &workloads::EVENTS,
        "Route" => &workloads::ROUTES,
        "ImageStream" => &images::STREAMS,
        "ImageStreamTag" => &images::STREAM_TAGS,
        "ImageStreamImage" => &images::STREAM_IMAGES,
        "Image" => &images::IMAGES,
        _ => &PLAIN,
    };
    let column = |name: &&str| TableColumnDefinition {
        name: name.trim_start_matches('+').to_owned(),
        priority: i32::from(name.starts_with('+')),
        ..TableColumnDefinition::default()
    };
    Table {
        column_definitions: rows.columns.iter().map(column).collect(),
        rows: objects
            .iter()
            .map(|object| TableRow {
                cells: (rows.cells)(object, now).into_iter().map(Value::from).collect(),
                object: Some(object.clone()),
                ..TableRow::default()
            })
            .collect(),
        ..Table::default()
    }
}

const PLAIN: Rows = Rows {
    columns: &["Name", "Age"],
    cells: |object, now| vec![object::name(object).to_owned(), age_of(object, now)],
};

fn age_of(object: &Value, now: Timestamp) -> String {
    age::short(Some(object::text(object, "metadata.creationTimestamp")), now)
}

fn or_none(text: String) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text }
}

/// A string map as `a=b,c=d`.
fn pairs(object: &Value, path: &str) -> String {
    let pairs = object::string_map(object, path);
    or_none(pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","))
}
