//! YAML as Kubernetes tools read and write it: a way to spell JSON.
//!
//! Reading takes several documents and the YAML 1.1 habits of manifests. Writing gives what Go's YAML library
//! gives for JSON: keys sorted, lists not indented under their key, strings quoted only where they must be.

mod scalar;

use serde_json::{Map, Value};

/// Text that is not YAML, or YAML that is not JSON.
#[derive(Debug, thiserror::Error)]
#[error("error parsing YAML: {source}")]
pub struct YamlError {
    /// What the parser found, and where.
    source: Box<serde_saphyr::Error>,
}

/// Reads all documents of a text; empty documents are left out. JSON is YAML.
pub fn parse_documents(text: &str) -> Result<Vec<Value>, YamlError> {
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        strict_booleans: false,
        with_snippet: false,
    };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|source| YamlError { source: Box::new(source) })?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// Writes one document, with a final newline.
#[must_use]
pub fn to_string(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => write_map(&mut out, fields, 0, false),
        Value::Array(items) if !items.is_empty() => write_list(&mut out, items, 0, false),
        value => write_scalar(&mut out, value, 0),
    }
    out
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

/// `continued`: the cursor already stands behind `- `, so that the first key needs no indentation.
fn write_map(out: &mut String, fields: &Map<String, Value>, depth: usize, continued: bool) {
    let mut keys: Vec<&String> = fields.keys().collect();
    keys.sort_by(|a, b| natural_order(a, b));
    for (position, key) in keys.into_iter().enumerate() {
        if position > 0 || !continued {
            indent(out, depth);
        }
        out.push_str(&scalar::key(key));
        out.push(':');
        match &fields[key] {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                write_map(out, inner, depth + 1, false);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                write_list(out, items, depth, false);
            }
            value => {
                out.push(' ');
                write_scalar(out, value, depth + 1);
            }
        }
    }
}

fn write_list(out: &mut String, items: &[Value], depth: usize, continued: bool) {
    for (position, item) in items.iter().enumerate() {
        if position > 0 || !continued {
            indent(out, depth);
        }
        out.push_str("- ");
        match item {
            Value::Object(inner) if !inner.is_empty() => write_map(out, inner, depth + 1, true),
            Value::Array(inner) if !inner.is_empty() => write_list(out, inner, depth + 1, true),
            value => write_scalar(out, value, depth + 1),
        }
    }
}

/// Writes the rest of the line (and, for texts of several lines, the lines after it at `depth`).
fn write_scalar(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => {
            if let Some(block) = scalar::block(text, depth) {
                out.push_str(&block);
                return;
            }
            out.push_str(&scalar::inline(text));
        }
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
    out.push('\n');
}

/// The order of keys in Go's YAML: numbers within names by their value.
fn natural_order(a: &str, b: &str) -> std::cmp::Ordering {
    let (mut left, mut right) = (a.chars().peekable(), b.chars().peekable());
    loop {
        match (left.peek().copied(), right.peek().copied()) {
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (x, y) = (take_number(&mut left), take_number(&mut right));
                if x != y {
                    return x.cmp(&y);
                }
            }
            (Some(x), Some(y)) if x == y => {
                left.next();
                right.next();
            }
            (Some(x), Some(y)) => {
                return x.is_alphabetic().cmp(&y.is_alphabetic()).then(x.cmp(&y));
            }
            _ => return a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
        }
    }
}

fn take_number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> u128 {
    let mut number: u128 = 0;
    while let Some(digit) = chars.peek().and_then(|digit| digit.to_digit(10)) {
        number = number.saturating_mul(10).saturating_add(u128::from(digit));
        chars.next();
    }
    number
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{parse_documents, to_string};

    #[track_caller]
    fn check(value: &Value, expected: &str) {
        let text = to_string(value);
        assert_eq!(text, expected);
        assert_eq!(parse_documents(&text).unwrap(), std::slice::from_ref(value));
    }

    #[test]
    fn objects_look_as_kubectl_shows_them() {
        check(
            &json!({
                "metadata": {"name": "a", "annotations": {"a.io/created": "2016-03-30T10:28:30Z"}},
                "kind": "Secret", "apiVersion": "v1",
                "secrets": [{"name": "x", "empty": {}}, {"list": [1, [true, null]]}],
                "none": [],
            }),
            concat!(
                "apiVersion: v1\nkind: Secret\n",
                "metadata:\n  annotations:\n    a.io/created: \"2016-03-30T10:28:30Z\"\n  name: a\n",
                "none: []\n",
                "secrets:\n- empty: {}\n  name: x\n- list:\n  - 1\n  - - true\n    - null\n",
            ),
        );
    }

    #[test]
    fn strings_are_quoted_where_they_would_mean_something_else() {
        let rows = [
            ("plain", "plain"),
            ("", "\"\""),
            ("true", "\"true\""),
            ("yes", "\"yes\""),
            ("5000", "\"5000\""),
            ("1.5e3", "\"1.5e3\""),
            ("0x1F", "\"0x1F\""),
            ("172.30.55.172:5000/p/i", "172.30.55.172:5000/p/i"),
            ("12:30:45", "\"12:30:45\""),
            ("null", "\"null\""),
            ("~", "\"~\""),
            ("*all", "'*all'"),
            ("- x", "'- x'"),
            ("-x", "-x"),
            ("a: b", "'a: b'"),
            ("a #b", "'a #b'"),
            ("it's: x", "'it''s: x'"),
            ("tab\there", "\"tab\\there\""),
            ("@{x}", "'@{x}'"),
            (" lead", "' lead'"),
            ("{\"a\":1}", "'{\"a\":1}'"),
        ];
        for (text, expected) in rows {
            check(&json!({"k": text}), &format!("k: {expected}\n"));
        }
    }

    #[test]
    fn texts_of_several_lines_are_blocks() {
        check(&json!({"k": "a\nb\n"}), "k: |\n  a\n  b\n");
        check(&json!({"k": "a\n\nb"}), "k: |-\n  a\n\n  b\n");
        check(&json!([{"k": "a\nb\n\n"}]), "- k: |+\n    a\n    b\n\n");
        check(&json!({"k": "trailing \nspace\n"}), "k: \"trailing \\nspace\\n\"\n");
    }

    #[test]
    fn manifests_of_several_documents() {
        let text = "apiVersion: v1\nkind: A\n---\n# nothing\n---\n{\"kind\": \"B\", \"mode\": 0644}\n";
        let documents = parse_documents(text).unwrap();
        assert_eq!(documents, [json!({"apiVersion": "v1", "kind": "A"}), json!({"kind": "B", "mode": 420})]);
    }

    #[test]
    fn errors_say_where() {
        let error = parse_documents("a: b\n c: d\n").unwrap_err().to_string();
        assert!(error.starts_with("error parsing YAML: "), "{error}");
        assert!(error.contains("line"), "{error}");
    }
}
