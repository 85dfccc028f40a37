//! Image streams: the table of 2016 (openshift-images 8.2) and the blocks of today (8.1).

mod blocks;
mod table;

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    globals::Era,
    object,
    print::{age, tabwriter},
};

/// The description of a stream. Unless release 4 was asked for it is the table that the guide of 2016 shows.
pub(crate) fn image_stream(stream: &Value, now: Timestamp, era: Era) -> String {
    if era == Era::V4 {
        return tabwriter::align(&blocks::head(stream, now), tabwriter::DESCRIPTION)
            + &blocks::tags(stream, now);
    }
    tabwriter::align(&table::describe(stream, now), tabwriter::DESCRIPTION)
}

/// `About an hour ago`.
fn ago(time: &str, now: Timestamp) -> String {
    format!("{} ago", age::words(Some(time), now))
}

/// The status history of a tag, newest first.
fn history<'s>(stream: &'s Value, tag: &str) -> Option<&'s Value> {
    object::list(stream, "status.tags").iter().find(|entry| object::text(entry, "tag") == tag)
}

fn spec_tag<'s>(stream: &'s Value, tag: &str) -> Option<&'s Value> {
    object::list(stream, "spec.tags").iter().find(|entry| object::text(entry, "name") == tag)
}

/// All tags, of spec and status: `latest` first, then by name with later versions before earlier ones.
fn tags(stream: &Value) -> Vec<String> {
    let mut tags: Vec<String> = object::list(stream, "spec.tags")
        .iter()
        .map(|entry| object::text(entry, "name"))
        .chain(object::list(stream, "status.tags").iter().map(|entry| object::text(entry, "tag")))
        .map(str::to_owned)
        .collect();
    tags.sort_by(|a, b| priority(a).cmp(&priority(b)).then_with(|| a.cmp(b)));
    tags.dedup();
    tags
}

/// Smaller comes first: `latest`, versions from high to low, everything else.
fn priority(tag: &str) -> (u8, std::cmp::Reverse<Vec<u64>>) {
    if tag == "latest" {
        return (0, std::cmp::Reverse(Vec::new()));
    }
    let digits = tag.strip_prefix('v').unwrap_or(tag);
    let numbers: Result<Vec<u64>, _> = digits.split('.').map(str::parse).collect();
    match numbers {
        Ok(numbers) => (1, std::cmp::Reverse(numbers)),
        Err(_) => (2, std::cmp::Reverse(Vec::new())),
    }
}

/// `ns/name` of a source in another project, else its name.
fn source_name(from: &Value, namespace: &str) -> String {
    match object::text(from, "namespace") {
        "" => object::text(from, "name").to_owned(),
        other if other == namespace => object::text(from, "name").to_owned(),
        other => format!("{other}/{}", object::text(from, "name")),
    }
}

/// The newest failed import of a tag: its reason, message and time.
fn failed_import(history: &Value) -> Option<(&str, &str, &str)> {
    let failed = object::list(history, "conditions").iter().find(|condition| {
        object::text(condition, "type") == "ImportSuccess" && object::text(condition, "status") == "False"
    })?;
    Some((
        object::text(failed, "reason"),
        object::text(failed, "message"),
        object::text(failed, "lastTransitionTime"),
    ))
}

/// The digest that a pull spec ends with.
fn id_of(reference: &str) -> &str {
    reference.rsplit_once('@').map_or("", |(_, id)| id)
}

fn flag(entry: &Value, path: &str) -> bool {
    object::at(entry, path).and_then(Value::as_bool).unwrap_or(false)
}
