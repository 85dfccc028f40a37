//! Descriptions of objects for people: what `describe` prints.
//!
//! A file per kind that has a form of its own; every other kind prints its fields. The kinds that
//! the guide of 2016 shows look as shown there unless another release was asked for.

mod fields;
mod image_stream;
mod project;
mod rbac;
mod route;
mod secret;
mod service;
mod service_account;

use jiff::Timestamp;
use pierhead_client::{Client, ClientError};
use serde_json::Value;

use crate::{
    discovery::{ApiKind, Discovery},
    globals::Era,
    object,
    print::{age, tabwriter},
    verbs::get,
};

pub(crate) use image_stream::image_stream;

/// What describers may ask for beyond the object.
pub(crate) struct Context<'c> {
    pub(crate) client: &'c Client,
    pub(crate) discovery: &'c Discovery,
    pub(crate) now: Timestamp,
    pub(crate) era: Era,
}

impl Context<'_> {
    /// Other objects that a description shows; none where the user may not see them.
    async fn related(&self, plural: &str, namespace: &str, query: &[(&str, &str)]) -> Vec<Value> {
        let Ok(kind) = self.discovery.known("", plural) else { return Vec::new() };
        match get::read_all(self.client, kind, Some(namespace), query).await {
            Ok(objects) => objects,
            Err(error) => {
                tracing::debug!(%error, plural, "Describing without related objects");
                Vec::new()
            }
        }
    }
}

/// The description of one object.
pub(crate) async fn describe(
    context: &Context<'_>,
    kind: &ApiKind,
    object: &Value,
) -> Result<String, ClientError> {
    let text = match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "serviceaccounts") => service_account::describe(context, object).await,
        ("", "secrets") => secret::describe(object, context.era),
        ("", "services") => service::describe(context, object).await,
        ("", "namespaces") => project::namespace(object),
        ("project.openshift.io", "projects") => project::describe(object, context.now),
        ("route.openshift.io", "routes") => route::describe(context, object).await,
        ("image.openshift.io", "imagestreams") => {
            return Ok(image_stream(object, context.now, context.era));
        }
        (
            "rbac.authorization.k8s.io" | "authorization.openshift.io",
            "rolebindings" | "clusterrolebindings",
        ) => rbac::binding(object),
        ("rbac.authorization.k8s.io" | "authorization.openshift.io", "roles" | "clusterroles") => {
            rbac::role(object)
        }
        _ => fields::describe(object),
    };
    let mut text = tabwriter::align(&text, tabwriter::DESCRIPTION);
    if kind.group.is_empty() && kind.plural == "services" {
        text.push_str(&events(context, object).await);
    }
    Ok(text)
}

/// `Name`, `Namespace`, `Labels`, `Annotations`: a line each, or several for many entries.
fn head(object: &Value) -> String {
    let mut text = format!("Name:\t{}\n", object::name(object));
    if let Some(namespace) = object::namespace(object) {
        text.push_str(&format!("Namespace:\t{namespace}\n"));
    }
    text.push_str(&map_lines("Labels", object, "metadata.labels", '='));
    text.push_str(&map_lines("Annotations", object, "metadata.annotations", ':'));
    text
}

/// A map, one entry per line, `<none>` for an empty one.
fn map_lines(title: &str, object: &Value, path: &str, sign: char) -> String {
    let entries = object::string_map(object, path);
    let shown = entries.iter().filter(|(key, _)| !key.contains("last-applied-configuration"));
    let space = if sign == ':' { " " } else { "" };
    let lines: Vec<String> =
        shown.map(|(key, value)| format!("{key}{sign}{space}{}", value.replace('\n', "\\n"))).collect();
    if lines.is_empty() {
        format!("{title}:\t<none>\n")
    } else {
        format!("{title}:\t{}\n", lines.join("\n\t"))
    }
}

/// A map on one line, as in 2016.
fn map_line(object: &Value, path: &str) -> String {
    let entries = object::string_map(object, path);
    let pairs: Vec<String> = entries.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

/// The events about an object.
async fn events(context: &Context<'_>, object: &Value) -> String {
    let selector = format!("involvedObject.uid={}", object::text(object, "metadata.uid"));
    let namespace = object::namespace(object).unwrap_or("default");
    let events = context.related("events", namespace, &[("fieldSelector", &selector)]).await;
    if events.is_empty() {
        return "Events:  <none>\n".to_owned();
    }
    let mut text =
        "Events:\n  Type\tReason\tAge\tFrom\tMessage\n  ----\t------\t----\t----\t-------\n".to_owned();
    for event in &events {
        let last = object::text(event, "lastTimestamp");
        text.push_str(&format!(
            "  {}\t{}\t{}\t{}\t{}\n",
            object::text(event, "type"),
            object::text(event, "reason"),
            age::short(Some(last).filter(|last| !last.is_empty()), context.now),
            object::text(event, "source.component"),
            object::text(event, "message").trim(),
        ));
    }
    tabwriter::align(&text, tabwriter::DESCRIPTION)
}
