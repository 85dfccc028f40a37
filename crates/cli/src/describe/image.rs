//! Images, alone and as tags or digests of a stream (openshift-images 8.3).

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{map_line, map_lines};
use crate::{
    globals::Era,
    object,
    print::{age, tabwriter},
};

/// The description of an image, headed by the name under which it was found (`stream:tag`; empty for the image
/// itself).
pub(crate) fn image(image: &Value, name: &str, now: Timestamp, era: Era) -> String {
    let head = match era {
        Era::V4 => {
            let mut text = String::new();
            if !name.is_empty() {
                text.push_str(&format!("Image Name:\t{name}\n"));
            }
            text.push_str(&format!(
                "Docker Image:\t{}\nName:\t{}\nCreated:\t{}\n{}{}",
                object::text(image, "dockerImageReference"),
                object::name(image),
                ago(object::text(image, "metadata.creationTimestamp"), now),
                map_lines("Labels", image, "metadata.labels", '='),
                map_lines("Annotations", image, "metadata.annotations", '='),
            ));
            text
        }
        Era::V3_2 => {
            let mut text = format!(
                "Name:\t{}\nCreated:\t{}\nLabels:\t{}\nAnnotations:\t{}\nDocker Image:\t{}\n",
                object::name(image),
                ago(object::text(image, "metadata.creationTimestamp"), now),
                map_line(image, "metadata.labels"),
                map_line(image, "metadata.annotations"),
                object::text(image, "dockerImageReference"),
            );
            if !name.is_empty() {
                text.push_str(&format!("Image Name:\t{name}\n"));
            }
            text
        }
    };
    tabwriter::align(&(head + &contents(image, now, era)), tabwriter::DESCRIPTION)
}

/// What an `imagestreamtag` or `imagestreamimage` shows of its image.
pub(super) fn of_stream(view: &Value, now: Timestamp, era: Era) -> String {
    let nothing = Value::Null;
    let found = view.get("image").unwrap_or(&nothing);
    image(found, object::name(view), now, era)
}

fn contents(image: &Value, now: Timestamp, era: Era) -> String {
    let nothing = Value::Object(Map::new());
    let metadata = image.get("dockerImageMetadata").unwrap_or(&nothing);
    let mut text = size(image, metadata, era);
    for signature in object::list(image, "signatures") {
        text.push_str(&format!(
            "Image Signatures:\n  Name:\t{}\n  Type:\t{}\n  Status:\tUnverified\n",
            object::name(signature),
            object::text(signature, "type"),
        ));
    }
    let created = object::text(metadata, "Created");
    if !created.is_empty() {
        text.push_str(&format!("Image Created:\t{}\n", ago(created, now)));
    }
    for (title, field) in [("Author", "Author"), ("Arch", "Architecture")] {
        let value = object::text(metadata, field);
        if !value.is_empty() {
            text.push_str(&format!("{title}:\t{value}\n"));
        }
    }
    for (position, child) in object::list(image, "dockerImageManifests").iter().enumerate() {
        let title = if position == 0 { "Manifests:" } else { "" };
        text.push_str(&format!(
            "{title}\t{}/{}\t{}\n",
            object::text(child, "os"),
            object::text(child, "architecture"),
            object::text(child, "digest"),
        ));
    }
    text.push_str(&config(metadata));
    text
}

fn size(image: &Value, metadata: &Value, era: Era) -> String {
    let bytes = metadata.get("Size").and_then(Value::as_u64).unwrap_or(0);
    let layers = object::list(image, "dockerImageLayers");
    let layer_size = |layer: &Value| layer.get("size").and_then(Value::as_u64).unwrap_or(0);
    if layers.is_empty() {
        return if bytes == 0 { String::new() } else { format!("Layer Size:\t{}\n", human_size(bytes, era)) };
    }
    let total = human_size(bytes, era);
    if era == Era::V3_2 {
        let ends = match (layers.first(), layers.last()) {
            (Some(first), Some(last)) if layers.len() > 1 => format!(
                " (first layer {}, last binary layer {})",
                human_size(layer_size(first), era),
                human_size(layer_size(last), era)
            ),
            _ => String::new(),
        };
        return format!("Image Size:\t{total}{ends}\n");
    }
    let mut text = format!("Image Size:\t{total} in {} layers\n", layers.len());
    for (position, layer) in layers.iter().enumerate() {
        let title = if position == 0 { "Layers:" } else { "" };
        let size = human_size(layer_size(layer), era);
        text.push_str(&format!("{title}\t{size}\t{}\n", object::text(layer, "name")));
    }
    text
}

fn config(metadata: &Value) -> String {
    let words = |field: &str| -> Vec<&str> {
        object::list(metadata, field).iter().filter_map(Value::as_str).collect()
    };
    let mut text = String::new();
    for (title, field) in [("Entrypoint", "Config.Entrypoint"), ("Command", "Config.Cmd")] {
        let words = words(field);
        if !words.is_empty() {
            text.push_str(&format!("{title}:\t{}\n", words.join(" ")));
        }
    }
    for (title, field) in [("Working Dir", "Config.WorkingDir"), ("User", "Config.User")] {
        let value = object::text(metadata, field);
        if !value.is_empty() {
            text.push_str(&format!("{title}:\t{value}\n"));
        }
    }
    let keys = |field: &str| -> Vec<String> {
        let fields = object::at(metadata, field).and_then(Value::as_object);
        fields.into_iter().flatten().map(|(key, _)| key.clone()).collect()
    };
    let ports = keys("Config.ExposedPorts");
    if !ports.is_empty() {
        text.push_str(&format!("Exposes Ports:\t{}\n", ports.join(", ")));
    }
    let labels: Vec<String> = object::string_map(metadata, "Config.Labels")
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let environment: Vec<String> = words("Config.Env").into_iter().map(str::to_owned).collect();
    for (title, lines) in
        [("Docker Labels", labels), ("Environment", environment), ("Volumes", keys("Config.Volumes"))]
    {
        if !lines.is_empty() {
            text.push_str(&format!("{title}:\t{}\n", lines.join("\n\t")));
        }
    }
    text
}

fn ago(time: &str, now: Timestamp) -> String {
    match time {
        "" => "<unknown>".to_owned(),
        time => format!("{} ago", age::words(Some(time), now)),
    }
}

/// Decimal units and four significant digits, as docker writes sizes; in 2016 with a space before the unit.
fn human_size(bytes: u64, era: Era) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = match value {
        value if unit == 0 || value >= 1000.0 => 0,
        value if value >= 100.0 => 1,
        value if value >= 10.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text };
    let space = if era == Era::V3_2 { " " } else { "" };
    format!("{text}{space}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::human_size;
    use crate::globals::Era;

    #[test]
    fn sizes_have_four_digits() {
        let rows = [(0, "0B"), (999, "999B"), (1000, "1kB"), (1234, "1.234kB"), (123_412_345, "123.4MB")];
        for (bytes, expected) in rows {
            assert_eq!(human_size(bytes, Era::V4), expected);
        }
        assert_eq!(human_size(44_000_000, Era::V3_2), "44 MB");
    }
}
