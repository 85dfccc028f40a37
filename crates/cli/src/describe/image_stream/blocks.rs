//! The blocks of today.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::{ago, failed_import, flag, history, id_of, source_name, spec_tag, tags as all_tags};
use crate::{describe::map_lines, object};

/// The lines before the tags.
pub(super) fn head(stream: &Value, now: Timestamp) -> String {
    let annotations = object::string_map(stream, "metadata.annotations");
    let description = annotations.iter().find(|(key, _)| *key == "description");
    let public = object::text(stream, "status.publicDockerImageRepository");
    let internal = object::text(stream, "status.dockerImageRepository");
    let mut text = format!(
        "Name:\t{}\nNamespace:\t{}\nCreated:\t{}\n{}",
        object::name(stream),
        object::namespace(stream).unwrap_or_default(),
        ago(object::text(stream, "metadata.creationTimestamp"), now),
        map_lines("Labels", stream, "metadata.labels", '='),
    );
    if let Some((_, description)) = description {
        text.push_str(&format!("Description:\t{description}\n"));
    }
    text.push_str(&map_lines("Annotations", stream, "metadata.annotations", '='));
    text.push_str(&format!("Image Repository:\t{}\n", if public.is_empty() { internal } else { public }));
    text.push_str(&format!("Image Lookup:\tlocal={}\n", flag(stream, "spec.lookupPolicy.local")));
    let tags = all_tags(stream);
    if tags.is_empty() {
        text.push_str("Tags:\t<none>\n");
        return text;
    }
    let images: BTreeSet<&str> = object::list(stream, "status.tags")
        .iter()
        .flat_map(|tag| object::list(tag, "items"))
        .map(|item| object::text(item, "image"))
        .collect();
    text.push_str(&format!("Unique Images:\t{}\nTags:\t{}\n\n", images.len(), tags.len()));
    text
}

/// A block per tag; tags that follow another tag of the stream stand in its heading.
pub(super) fn tags(stream: &Value, now: Timestamp) -> String {
    let name = object::name(stream);
    let all = all_tags(stream);
    let alias_of = |tag: &String| -> Option<String> {
        let from = object::at(spec_tag(stream, tag)?, "from")?;
        if object::text(from, "kind") != "ImageStreamTag" || !object::text(from, "namespace").is_empty() {
            return None;
        }
        let target = object::text(from, "name");
        let target = target.strip_prefix(name).and_then(|rest| rest.strip_prefix(':')).unwrap_or(target);
        (all.iter().any(|known| known == target) && target != tag).then(|| target.to_owned())
    };
    let mut blocks = Vec::new();
    for tag in &all {
        if alias_of(tag).is_some() {
            continue;
        }
        let aliases: Vec<&str> = all
            .iter()
            .filter(|other| alias_of(other).as_deref() == Some(tag.as_str()))
            .map(String::as_str)
            .collect();
        let heading =
            if aliases.is_empty() { tag.clone() } else { format!("{tag} ({})", aliases.join(", ")) };
        blocks.push(block(stream, tag, &heading, now));
    }
    blocks.join("\n")
}

fn block(stream: &Value, tag: &str, heading: &str, now: Timestamp) -> String {
    let namespace = object::namespace(stream).unwrap_or_default();
    let spec = spec_tag(stream, tag);
    let mut text = format!("{heading}\n");
    text.push_str(&format!("  {}\n", source_line(spec, namespace)));
    if let Some(spec) = spec {
        if flag(spec, "importPolicy.insecure") {
            text.push_str("    will use insecure HTTPS or HTTP connections\n");
        }
        if object::text(spec, "referencePolicy.type") == "Local" {
            text.push_str("    prefer registry pullthrough when referencing this tag\n");
        }
        let annotations = object::string_map(spec, "annotations");
        let mut notes = Vec::new();
        for (key, title) in [
            ("description", ""),
            ("tags", "Tags: "),
            ("supports", "Supports: "),
            ("sampleRepo", "Example Repo: "),
        ] {
            if let Some((_, value)) = annotations.iter().find(|(known, _)| *known == key) {
                notes.push(format!("  {title}{}\n", value.replace(',', ", ")));
            }
        }
        if !notes.is_empty() {
            text.push('\n');
            text.extend(notes);
        }
    }
    text.push('\n');
    let history = history(stream, tag);
    let generation = |entry: &Value, field: &str| entry.get(field).and_then(Value::as_i64).unwrap_or(0);
    let of_item = history.and_then(|history| object::list(history, "items").first());
    let of_condition = history.and_then(|history| object::list(history, "conditions").first());
    let observed = of_item
        .into_iter()
        .chain(of_condition)
        .map(|entry| generation(entry, "generation"))
        .max()
        .unwrap_or(0);
    let wanted =
        spec.filter(|spec| !flag(spec, "reference")).map_or(0, |spec| generation(spec, "generation"));
    if wanted > observed && spec.is_some_and(|spec| object::at(spec, "from").is_some()) {
        text.push_str("  ~ importing latest image ...\n");
    }
    if let Some((reason, message, since)) = history.and_then(failed_import) {
        let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
        text.push_str(&format!("  ! error: Import failed{reason}: {message}\n      {}\n", ago(since, now)));
    }
    for (position, item) in
        history.map_or(&[] as &[Value], |history| object::list(history, "items")).iter().enumerate()
    {
        let reference = object::text(item, "dockerImageReference");
        let image = object::text(item, "image");
        let mark = if position == 0 { '*' } else { ' ' };
        let id =
            if image.is_empty() || id_of(reference) == image { String::new() } else { format!("\t{image}") };
        text.push_str(&format!(
            "  {mark} {reference}\n      {}{id}\n",
            ago(object::text(item, "created"), now)
        ));
    }
    text
}

fn source_line(spec: Option<&Value>, namespace: &str) -> String {
    let Some(spec) = spec else { return "no spec tag".to_owned() };
    let Some(from) = object::at(spec, "from") else { return "tag without source image".to_owned() };
    let name = source_name(from, namespace);
    let kind = object::text(from, "kind");
    let scheduled = flag(spec, "importPolicy.scheduled");
    match (flag(spec, "reference"), kind) {
        (true, "DockerImage") => format!("reference to registry {name}"),
        (true, "ImageStreamImage") => format!("reference to image {name}"),
        (true, _) => format!("reference to {name}"),
        (false, "DockerImage") if scheduled => format!("updates automatically from registry {name}"),
        (false, "ImageStreamTag") if scheduled => format!("updates automatically from {name}"),
        (false, _) => format!("tagged from {name}"),
    }
}
