//! Descriptions of objects for people: what `describe` prints.
//!
//! A file per kind that has a form of its own; every other kind prints its fields. The kinds that
//! the guide of 2016 shows look as shown there unless another release was asked for.

mod config_map;
mod deployment_config;
pub(crate) mod event;
mod fields;
mod image;
mod image_stream;
mod node;
mod pod;
pub(crate) mod pod_template;
mod project;
mod quota;
mod rbac;
mod replication_controller;
mod rollouts;
mod route;
mod secret;
mod service;
mod service_account;
mod user;

use jiff::Timestamp;
use pierhead_client::{Client, ClientError};
use serde_json::Value;

use crate::{
    deployments,
    discovery::{ApiKind, Discovery},
    globals::Era,
    object,
    print::tabwriter,
    verbs::get,
};

pub(crate) use image::image;
pub(crate) use image_stream::image_stream;
pub(crate) use rollouts::{pod_count, rollout_lines};
pub(crate) use service::all_addresses as service_addresses;

/// What describers may ask for beyond the object.
pub(crate) struct Context<'c> {
    pub(crate) client: &'c Client,
    pub(crate) discovery: &'c Discovery,
    pub(crate) now: Timestamp,
    pub(crate) era: Era,
    /// Whether the events about an object are part of its description.
    pub(crate) show_events: bool,
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
        ("", "pods") => pod::describe(object, context.era),
        ("", "replicationcontrollers") => replication_controller::describe(context, object).await,
        ("apps.openshift.io", "deploymentconfigs") => deployment_config::describe(context, object).await,
        ("", "nodes") => node::describe(context, object).await,
        ("", "configmaps") => config_map::describe(object),
        ("", "endpoints") => service::describe_endpoints(object),
        ("" | "events.k8s.io", "events") => event::describe(object, context.now),
        ("user.openshift.io", "users") => user::user(object, context.now),
        ("user.openshift.io", "groups") => user::group(object, context.now),
        ("user.openshift.io", "identities") => user::identity(object, context.now),
        ("", "resourcequotas") => quota::resource_quota(object),
        ("", "limitranges") => quota::limit_range(object),
        ("quota.openshift.io", "clusterresourcequotas" | "appliedclusterresourcequotas") => {
            quota::cluster_quota(object)
        }
        ("", "namespaces") => project::namespace(context, object).await,
        ("project.openshift.io", "projects") => project::describe(context, object).await,
        ("route.openshift.io", "routes") => route::describe(context, object).await,
        ("image.openshift.io", "imagestreams") => {
            return Ok(image_stream(object, context.now, context.era));
        }
        ("image.openshift.io", "imagestreamtags" | "imagestreamimages") => {
            return Ok(image::of_stream(object, context.now, context.era));
        }
        ("image.openshift.io", "images") => return Ok(image(object, "", context.now, context.era)),
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
    let has_events = context.show_events
        && matches!(
            (kind.group.as_str(), kind.plural.as_str()),
            ("", "services" | "pods" | "replicationcontrollers" | "nodes" | "configmaps" | "endpoints")
                | (deployments::GROUP, "deploymentconfigs")
        );
    if has_events {
        if kind.group == deployments::GROUP {
            text.push('\n');
        }
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

/// Every line that is not empty, moved to the right.
fn indent(text: &str, columns: usize) -> String {
    let space = " ".repeat(columns);
    text.lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{space}{line}\n") })
        .collect()
}

/// `Wed, 30 Mar 2016 12:00:00 +0000`.
fn long_time(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
        Err(_) => time.to_owned(),
    }
}

/// The events about an object, in the order they happened.
async fn events(context: &Context<'_>, object: &Value) -> String {
    let selector = match object::text(object, "metadata.uid") {
        "" => format!("involvedObject.name={}", object::name(object)),
        uid => format!("involvedObject.uid={uid}"),
    };
    let namespace = object::namespace(object).unwrap_or("default");
    let mut events = context.related("events", namespace, &[("fieldSelector", &selector)]).await;
    if events.is_empty() {
        return match context.era {
            Era::V3_2 => "No events.\n".to_owned(),
            Era::V4 => "Events:  <none>\n".to_owned(),
        };
    }
    events.sort_by_key(|event| event::last_seen(event).to_owned());
    let lines: String = events.iter().map(|event| event::line(event, context.now, context.era)).collect();
    tabwriter::align(&format!("Events:\n{}{lines}", event::head(context.era)), tabwriter::DESCRIPTION)
}
