//! The table of 2016.

use jiff::Timestamp;
use serde_json::Value;

use super::{ago, failed_import, flag, history, id_of, source_name, spec_tag, tags};
use crate::{describe::map_line, object, print::age};

/// Head and table, cells ended by tabs.
pub(super) fn describe(stream: &Value, now: Timestamp) -> String {
    let annotations = object::string_map(stream, "metadata.annotations");
    let description = annotations.iter().find(|(key, _)| *key == "description").map(|(_, value)| *value);
    let mut text = format!(
        "Name:\t{}\nCreated:\t{}\nLabels:\t{}\n",
        object::name(stream),
        ago(object::text(stream, "metadata.creationTimestamp"), now),
        map_line(stream, "metadata.labels"),
    );
    if let Some(description) = description {
        text.push_str(&format!("Description:\t{description}\n"));
    }
    let others: Vec<String> = annotations
        .iter()
        .filter(|(key, _)| *key != "description")
        .map(|(key, value)| format!("{key}={}", value.replace('\n', "\\n")))
        .collect();
    let others = if others.is_empty() { "<none>".to_owned() } else { others.join(",") };
    text.push_str(&format!("Annotations:\t{others}\n"));
    text.push_str(&format!("Docker Pull Spec:\t{}\n", object::text(stream, "status.dockerImageRepository")));
    let tags = tags(stream);
    if tags.is_empty() {
        text.push_str("Tags:\t<none>\n");
        return text;
    }
    text.push_str("\nTag\tSpec\tCreated\tPullSpec\tImage\n");
    let (mut any_scheduled, mut any_insecure) = (false, false);
    for tag in &tags {
        let spec = spec_tag(stream, tag);
        let scheduled = spec.is_some_and(|spec| flag(spec, "importPolicy.scheduled"));
        let insecure = spec.is_some_and(|spec| flag(spec, "importPolicy.insecure"));
        any_scheduled |= scheduled;
        any_insecure |= insecure;
        rows(&mut text, stream, tag, scheduled, insecure, now);
    }
    if any_scheduled || any_insecure {
        text.push('\n');
    }
    if any_scheduled {
        text.push_str("  * tag is scheduled for periodic import\n");
    }
    if any_insecure {
        text.push_str("  ! tag is insecure and can be imported over HTTP or self-signed HTTPS\n");
    }
    text
}

fn rows(text: &mut String, stream: &Value, tag: &str, scheduled: bool, insecure: bool, now: Timestamp) {
    let namespace = object::namespace(stream).unwrap_or_default();
    let spec = match spec_tag(stream, tag).and_then(|spec| object::at(spec, "from")) {
        None => "<pushed>".to_owned(),
        Some(from) => match object::text(from, "kind") {
            "ImageStreamTag" | "ImageStreamImage" | "DockerImage" => source_name(from, namespace),
            other => format!("<unknown {other}> {}", object::text(from, "name")),
        },
    };
    let marks = match (scheduled, insecure) {
        (true, true) => " *!",
        (true, false) => " *",
        (false, true) => " !",
        (false, false) => "",
    };
    let history = history(stream, tag);
    let items = history.map_or(&[] as &[Value], |history| object::list(history, "items"));
    let mut first = (tag.to_owned(), format!("{spec}{marks}"));
    if let Some((_, message, since)) = history.and_then(failed_import) {
        let message = cut(message, 70);
        text.push_str(&format!(
            "{}\t{}\t{}\t\timport failed: {message}\n",
            first.0,
            first.1,
            ago(since, now)
        ));
        first = (String::new(), String::new());
    }
    if items.is_empty() && !first.0.is_empty() {
        text.push_str(&format!("{}\t{}\t\t<not available>\t<not available>\n", first.0, first.1));
    }
    for item in items {
        let reference = object::text(item, "dockerImageReference");
        let image = object::text(item, "image");
        let shown_reference = if reference == spec { "<same>".to_owned() } else { shorten(reference) };
        let shown_image = if id_of(reference) == image { "<same>" } else { image };
        let created = age::words(Some(object::text(item, "created")), now);
        // A pushed image has a pull spec of its own; the guide shows it in full.
        let (reference_cell, image_cell) = if spec == "<pushed>" && shown_image == "<same>" {
            (reference.to_owned(), "<same>")
        } else {
            (shown_reference, shown_image)
        };
        text.push_str(&format!("{}\t{}\t{created} ago\t{reference_cell}\t{image_cell}\n", first.0, first.1));
        first = (String::new(), String::new());
    }
}

/// A reference that ends in a digest, its last 50 digits left out.
fn shorten(reference: &str) -> String {
    let digits = reference.chars().rev().take_while(char::is_ascii_hexdigit).count();
    if digits < 60 {
        return reference.to_owned();
    }
    let keep = reference.chars().count() - 50;
    reference.chars().take(keep).chain("...".chars()).collect()
}

fn cut(message: &str, limit: usize) -> String {
    if message.chars().count() <= limit {
        return message.to_owned();
    }
    message.chars().take(limit - 3).chain("...".chars()).collect()
}
