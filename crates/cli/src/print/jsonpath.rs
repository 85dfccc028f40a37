//! JSONPath templates in kubectl's dialect: text with `{expressions}`.
//!
//! Evaluation only; `parse` makes the template. Missing fields give nothing, as `kubectl get` does it.

mod parse;

use std::fmt::Write as _;

use serde_json::Value;

pub(crate) use parse::JsonPathError;
use parse::{Node, Operand, Operator, Step, parse};

/// A parsed template.
#[derive(Clone, Debug)]
pub(crate) struct JsonPath {
    nodes: Vec<Node>,
}

impl JsonPath {
    /// Parses a template such as `{.metadata.name}{"\n"}`.
    pub(crate) fn parse(template: &str) -> Result<Self, JsonPathError> {
        Ok(Self { nodes: parse(template)? })
    }

    /// Parses one path as `--sort-by` and `custom-columns` take it: braces and the leading dot may be missing.
    pub(crate) fn parse_relaxed(path: &str) -> Result<Self, JsonPathError> {
        let inner = path.strip_prefix('{').and_then(|path| path.strip_suffix('}')).unwrap_or(path);
        let dot = if inner.starts_with(['.', '[', '$']) { "" } else { "." };
        Self::parse(&format!("{{{dot}{inner}}}"))
    }

    /// Renders the template for one document.
    pub(crate) fn render(&self, root: &Value) -> Result<String, JsonPathError> {
        let mut out = String::new();
        render(&self.nodes, root, root, &mut out)?;
        Ok(out)
    }

    /// The values that each path of the template finds, a list for a path; texts are left out.
    pub(crate) fn find_all<'v>(&self, root: &'v Value) -> Result<Vec<Vec<&'v Value>>, JsonPathError> {
        let mut found = Vec::new();
        find_all(&self.nodes, root, root, &mut found)?;
        Ok(found)
    }

    /// The values that the (first) path of the template finds.
    pub(crate) fn find<'v>(&self, root: &'v Value) -> Result<Vec<&'v Value>, JsonPathError> {
        match self.nodes.first() {
            Some(Node::Path(steps)) => walk(steps, root, root),
            _ => Ok(Vec::new()),
        }
    }
}

fn render(nodes: &[Node], root: &Value, current: &Value, out: &mut String) -> Result<(), JsonPathError> {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Path(steps) => {
                for (position, value) in walk(steps, root, current)?.into_iter().enumerate() {
                    if position > 0 {
                        out.push(' ');
                    }
                    write_value(out, value);
                }
            }
            Node::Range { over, body } => {
                for value in walk(over, root, current)? {
                    render(body, root, value, out)?;
                }
            }
        }
    }
    Ok(())
}

fn find_all<'v>(
    nodes: &[Node],
    root: &'v Value,
    current: &'v Value,
    found: &mut Vec<Vec<&'v Value>>,
) -> Result<(), JsonPathError> {
    for node in nodes {
        match node {
            Node::Text(_) => {}
            Node::Path(steps) => found.push(walk(steps, root, current)?),
            Node::Range { over, body } => {
                for value in walk(over, root, current)? {
                    find_all(body, root, value, found)?;
                }
            }
        }
    }
    Ok(())
}

/// A value as Go's JSONPath prints it: texts bare, everything nested as JSON.
pub(crate) fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => out.push_str(text),
        Value::Null => out.push_str("<nil>"),
        other => {
            if write!(out, "{other}").is_err() {
                tracing::trace!("writing to a string does not fail");
            }
        }
    }
}

fn walk<'v>(steps: &[Step], root: &'v Value, current: &'v Value) -> Result<Vec<&'v Value>, JsonPathError> {
    let mut found = vec![current];
    for step in steps {
        let mut next = Vec::new();
        for value in found {
            apply(step, root, value, &mut next)?;
        }
        found = next;
    }
    Ok(found)
}

fn apply<'v>(
    step: &Step,
    root: &'v Value,
    value: &'v Value,
    out: &mut Vec<&'v Value>,
) -> Result<(), JsonPathError> {
    match step {
        Step::Root => out.push(root),
        Step::Field(name) => out.extend(value.get(name.as_str())),
        Step::Wildcard => match value {
            Value::Array(items) => out.extend(items),
            Value::Object(fields) => out.extend(fields.values()),
            _ => {}
        },
        Step::Index(index) => {
            let Value::Array(items) = value else { return Ok(()) };
            let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let position = if *index < 0 { index + length } else { *index };
            match usize::try_from(position).ok().and_then(|position| items.get(position)) {
                Some(item) => out.push(item),
                None => return Err(JsonPathError::OutOfBounds { index: *index, length: items.len() }),
            }
        }
        Step::Slice { from, to, step } => {
            let Value::Array(items) = value else { return Ok(()) };
            let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let place = |index: i64| if index < 0 { index + length } else { index }.clamp(0, length);
            let (from, to) = (place(from.unwrap_or(0)), place(to.unwrap_or(length)));
            let range = usize::try_from(from).unwrap_or(0)..usize::try_from(to.max(from)).unwrap_or(0);
            out.extend(items.get(range).unwrap_or_default().iter().step_by(*step));
        }
        Step::Filter { left, operator, right } => {
            let candidates: Vec<&Value> = match value {
                Value::Array(items) => items.iter().collect(),
                Value::Object(fields) => fields.values().collect(),
                _ => Vec::new(),
            };
            for candidate in candidates {
                if matches(left, *operator, right, root, candidate)? {
                    out.push(candidate);
                }
            }
        }
        Step::Recursive(name) => recurse(name.as_deref(), value, out),
        Step::Union(branches) => {
            for branch in branches {
                apply(branch, root, value, out)?;
            }
        }
    }
    Ok(())
}

fn recurse<'v>(name: Option<&str>, value: &'v Value, out: &mut Vec<&'v Value>) {
    match name {
        None => out.push(value),
        Some(name) => out.extend(value.get(name)),
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| recurse(name, item, out)),
        Value::Object(fields) => fields.values().for_each(|field| recurse(name, field, out)),
        _ => {}
    }
}

fn matches(
    left: &Operand,
    operator: Operator,
    right: &Operand,
    root: &Value,
    candidate: &Value,
) -> Result<bool, JsonPathError> {
    let resolve = |operand: &Operand| -> Result<Option<Value>, JsonPathError> {
        match operand {
            Operand::Literal(value) => Ok(Some(value.clone())),
            Operand::Path(steps) => Ok(walk(steps, root, candidate)?.first().map(|value| (*value).clone())),
        }
    };
    let left = resolve(left)?;
    if operator == Operator::Exists {
        return Ok(left.is_some());
    }
    let (Some(left), Some(right)) = (left, resolve(right)?) else { return Ok(false) };
    let ordering = match (&left, &right) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::String(a), Value::String(b)) => a.partial_cmp(b),
        (a, b) if a == b => Some(std::cmp::Ordering::Equal),
        _ => None,
    };
    Ok(match operator {
        Operator::Equal => ordering == Some(std::cmp::Ordering::Equal),
        Operator::NotEqual => ordering != Some(std::cmp::Ordering::Equal),
        Operator::Less => ordering.is_some_and(std::cmp::Ordering::is_lt),
        Operator::LessOrEqual => ordering.is_some_and(std::cmp::Ordering::is_le),
        Operator::Greater => ordering.is_some_and(std::cmp::Ordering::is_gt),
        Operator::GreaterOrEqual => ordering.is_some_and(std::cmp::Ordering::is_ge),
        Operator::Exists => true,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::JsonPath;

    fn document() -> Value {
        json!({
            "kind": "List",
            "items": [
                {"metadata": {"name": "a", "labels": {"x.io/role": "web"}}, "size": 3, "ready": true},
                {"metadata": {"name": "b"}, "size": 12},
                {"metadata": {"name": "c"}, "size": 7, "empty": {}},
            ],
        })
    }

    #[track_caller]
    fn check(template: &str, expected: &str) {
        assert_eq!(JsonPath::parse(template).unwrap().render(&document()).unwrap(), expected, "{template}");
    }

    #[test]
    fn templates() {
        check("{.kind}", "List");
        check("kind is {.kind}\n", "kind is List\n");
        check("{.items[*].metadata.name}", "a b c");
        check("{.items[0].metadata.name} {.items[-1].metadata.name}", "a c");
        check("{.items[1:].metadata.name}", "b c");
        check("{.items[0:3:2].metadata.name}", "a c");
        check("{.items[:-1].metadata.name}", "a b");
        check(r#"{range .items[*]}{.metadata.name}{"\t"}{.size}{"\n"}{end}"#, "a\t3\nb\t12\nc\t7\n");
        check(r#"{.items[?(@.metadata.name=="b")].size}"#, "12");
        check("{.items[?(@.size>5)].metadata.name}", "b c");
        check("{.items[?(@.ready)].metadata.name}", "a");
        check("{.items[?(@.ready==true)].metadata.name}", "a");
        check("{.items[?(@.metadata.name!='a')].metadata.name}", "b c");
        check("{..name}", "a b c");
        check("{.items[0]['metadata','size']}", r#"{"name":"a","labels":{"x.io/role":"web"}} 3"#);
        check("{.items[0].metadata.labels['x.io/role']}", "web");
        check(r"{.items[0].metadata.labels.x\.io/role}", "web");
        check("{.items[2].empty}", "{}");
        check("{$.kind}", "List");
        check("{.missing.field}", "");
        check("{.items[*]['metadata'].name}", "a b c");
        check("{range .items[*]}[{.metadata.name}, {.size}] {end}", "[a, 3] [b, 12] [c, 7] ");
    }

    #[track_caller]
    fn check_error(template: &str, expected: &str) {
        let error = match JsonPath::parse(template) {
            Ok(path) => path.render(&document()).unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn errors_name_the_mistake() {
        check_error("{.items[9].name}", "array index out of bounds: index 9, length 3");
        check_error("{.items", "unclosed action");
        check_error("{range .items[*]}{.name}", "unexpected end: {range} is not closed by {end}");
        check_error("{end}", "not in range, nothing to end");
        check_error("{.items[}", "invalid array index");
    }

    #[test]
    fn relaxed_paths() {
        for path in [".kind", "kind", "{.kind}", "{kind}"] {
            let found = JsonPath::parse_relaxed(path).unwrap();
            assert_eq!(found.find(&document()).unwrap(), [&json!("List")], "{path}");
        }
    }
}
