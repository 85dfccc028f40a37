//! Kinds without a form of their own: every field, nested ones indented.

use serde_json::Value;

/// All fields of the object, metadata that people do not need left out.
pub(super) fn describe(object: &Value) -> String {
    let mut text = super::head(object);
    if let Value::Object(all) = object {
        for (key, value) in all {
            match (key.as_str(), value) {
                ("kind", Value::String(kind)) => text.push_str(&format!("Kind:\t{kind}\n")),
                ("apiVersion", Value::String(version)) => {
                    text.push_str(&format!("API Version:\t{version}\n"))
                }
                ("metadata", Value::Object(metadata)) => {
                    text.push_str("Metadata:\n");
                    for (key, value) in metadata {
                        let shown_above =
                            matches!(key.as_str(), "name" | "namespace" | "labels" | "annotations");
                        if !shown_above && !matches!(key.as_str(), "managedFields" | "selfLink") {
                            write_field(&mut text, key, value, 1);
                        }
                    }
                }
                (key, value) => write_field(&mut text, key, value, 0),
            }
        }
    }
    text
}

fn write_field(text: &mut String, key: &str, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    let title = title(key);
    match value {
        Value::Object(fields) if fields.is_empty() => text.push_str(&format!("{indent}{title}:\n")),
        Value::Object(fields) => {
            text.push_str(&format!("{indent}{title}:\n"));
            for (key, value) in fields {
                write_field(text, key, value, depth + 1);
            }
        }
        Value::Array(items) => {
            text.push_str(&format!("{indent}{title}:\n"));
            for item in items {
                match item {
                    Value::Object(fields) => {
                        for (key, value) in fields {
                            write_field(text, key, value, depth + 1);
                        }
                    }
                    other => text.push_str(&format!("{indent}  {}\n", plain(other))),
                }
            }
        }
        other => text.push_str(&format!("{indent}{title}:\t{}\n", plain(other))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace('\n', "\\n"),
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    }
}

/// `creationTimestamp` as `Creation Timestamp`.
fn title(key: &str) -> String {
    let mut out = String::new();
    let mut previous_is_upper = true;
    for (position, character) in key.chars().enumerate() {
        if position == 0 {
            out.extend(character.to_uppercase());
            continue;
        }
        if character.is_uppercase() && !previous_is_upper {
            out.push(' ');
        }
        previous_is_upper = character.is_uppercase();
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::describe;

    #[test]
    fn every_field_has_a_line() {
        let object = json!({
            "apiVersion": "x.io/v1", "kind": "Widget",
            "metadata": {"name": "w", "uid": "1", "managedFields": []},
            "spec": {"hostNames": ["a", "b"], "ports": [{"port": 1}]},
        });
        let expected = "Name:\tw\nLabels:\t<none>\nAnnotations:\t<none>\nAPI Version:\tx.io/v1\nKind:\tWidget\n\
                        Metadata:\n  Uid:\t1\nSpec:\n  Host Names:\n    a\n    b\n  Ports:\n    Port:\t1\n";
        assert_eq!(describe(&object), expected);
    }
}
