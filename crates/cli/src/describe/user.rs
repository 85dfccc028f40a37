//! Users, groups and identities (platform 2.9).

use jiff::Timestamp;
use serde_json::Value;

use super::map_lines;
use crate::{object, print::age};

pub(super) fn user(user: &Value, now: Timestamp) -> String {
    let mut text = head(user, now);
    text.push_str(&format!("Full Name:\t{}\n", or_none(object::text(user, "fullName"))));
    text.push_str(&lines("Identities", user, "identities"));
    text.push_str(&lines("Groups", user, "groups"));
    text
}

pub(super) fn group(group: &Value, now: Timestamp) -> String {
    let mut text = head(group, now);
    text.push_str(&lines("Users", group, "users"));
    text
}

pub(super) fn identity(identity: &Value, now: Timestamp) -> String {
    let mut text = head(identity, now);
    for (title, path) in [
        ("User Name", "user.name"),
        ("User UID", "user.uid"),
        ("Provider Name", "providerName"),
        ("Provider User Name", "providerUserName"),
    ] {
        text.push_str(&format!("{title}:\t{}\n", or_none(object::text(identity, path))));
    }
    for (key, value) in object::string_map(identity, "extra") {
        text.push_str(&format!("Extra {key}:\t{value}\n"));
    }
    text
}

fn head(object: &Value, now: Timestamp) -> String {
    let created = age::words(Some(object::text(object, "metadata.creationTimestamp")), now);
    format!(
        "Name:\t{}\nCreated:\t{created} ago\n{}{}",
        object::name(object),
        map_lines("Labels", object, "metadata.labels", '='),
        map_lines("Annotations", object, "metadata.annotations", '='),
    )
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "<none>" } else { text }
}

/// A list, one item per line.
fn lines(title: &str, object: &Value, path: &str) -> String {
    let items: Vec<&str> = object::list(object, path).iter().filter_map(Value::as_str).collect();
    format!("{title}:\t{}\n", or_none(&items.join("\n\t")))
}
