//! Go templates, as far as `-o go-template` is used: fields, variables, pipelines, if, range, with, functions.
//!
//! `parse` makes the tree, `functions` are the words of pipelines; this file walks the tree. `define`, `template`
//! and `block` are refused with a message.

mod functions;
mod parse;

use std::fmt::Write as _;

use serde_json::Value;

use parse::{Expression, Node, Pipeline};

pub(crate) use parse::TemplateError;

/// A parsed template.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    nodes: Vec<Node>,
}

impl Template {
    /// Parses a template such as `{{range .items}}{{.metadata.name}}{{"\n"}}{{end}}`.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Self { nodes: parse::parse(text)? })
    }

    /// Renders the template for one document.
    pub(crate) fn render(&self, document: &Value) -> Result<String, TemplateError> {
        let mut scope =
            Scope { variables: vec![("$".to_owned(), Some(document.clone()))], out: String::new() };
        scope.render(&self.nodes, Some(document))?;
        Ok(scope.out)
    }
}

/// Variables in sight (inner ones last) and what is written so far.
struct Scope {
    variables: Vec<(String, Option<Value>)>,
    out: String,
}

/// A value, or none where the document has no such field.
type Found = Option<Value>;

impl Scope {
    fn render(&mut self, nodes: &[Node], dot: Option<&Value>) -> Result<(), TemplateError> {
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Output(pipeline) => {
                    let value = self.evaluate(pipeline, dot)?;
                    if pipeline.variables.is_empty() {
                        let text = functions::display(value.as_ref());
                        self.out.push_str(&text);
                    }
                }
                Node::If { condition, then, otherwise } => {
                    let depth = self.variables.len();
                    let value = self.evaluate(condition, dot)?;
                    let branch = if functions::is_true(value.as_ref()) { then } else { otherwise };
                    self.render(branch, dot)?;
                    self.variables.truncate(depth);
                }
                Node::With { value, body, otherwise } => {
                    let depth = self.variables.len();
                    let value = self.evaluate(value, dot)?;
                    if functions::is_true(value.as_ref()) {
                        self.render(body, value.as_ref())?;
                    } else {
                        self.render(otherwise, dot)?;
                    }
                    self.variables.truncate(depth);
                }
                Node::Range { over, body, otherwise } => self.range(over, body, otherwise, dot)?,
            }
        }
        Ok(())
    }

    fn range(
        &mut self,
        over: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: Option<&Value>,
    ) -> Result<(), TemplateError> {
        let depth = self.variables.len();
        let plain = Pipeline { variables: Vec::new(), ..over.clone() };
        let entries: Vec<(Value, Value)> = match self.evaluate(&plain, dot)? {
            Some(Value::Array(items)) => {
                items.into_iter().enumerate().map(|(position, item)| (Value::from(position), item)).collect()
            }
            Some(Value::Object(fields)) => {
                let mut entries: Vec<_> =
                    fields.into_iter().map(|(key, value)| (Value::String(key), value)).collect();
                entries.sort_by(|(a, _), (b, _)| a.as_str().cmp(&b.as_str()));
                entries
            }
            None | Some(Value::Null) => Vec::new(),
            Some(other) => return Err(TemplateError::NotIterable { value: other.to_string() }),
        };
        if entries.is_empty() {
            self.render(otherwise, dot)?;
        }
        for (key, item) in entries {
            match over.variables.as_slice() {
                [] => {}
                [value] => self.variables.push((value.clone(), Some(item.clone()))),
                [index, value, ..] => {
                    self.variables.push((index.clone(), Some(key)));
                    self.variables.push((value.clone(), Some(item.clone())));
                }
            }
            self.render(body, Some(&item))?;
            self.variables.truncate(depth);
        }
        Ok(())
    }

    fn evaluate(&mut self, pipeline: &Pipeline, dot: Option<&Value>) -> Result<Found, TemplateError> {
        let mut value: Option<Found> = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, value, dot)?);
        }
        let value = value.flatten();
        for name in &pipeline.variables {
            if pipeline.declares {
                self.variables.push((name.clone(), value.clone()));
            } else {
                let variable = self.variables.iter_mut().rev().find(|(known, _)| known == name);
                variable.ok_or_else(|| TemplateError::UndefinedVariable { name: name.clone() })?.1 =
                    value.clone();
            }
        }
        Ok(value)
    }

    /// One command of a pipeline; the result of the one before is its last argument.
    fn command(
        &mut self,
        words: &[Expression],
        piped: Option<Found>,
        dot: Option<&Value>,
    ) -> Result<Found, TemplateError> {
        let Some((first, rest)) = words.split_first() else { return Ok(piped.flatten()) };
        if let Expression::Function(name) = first {
            if matches!(name.as_str(), "and" | "or") {
                return self.short_circuit(name, rest, piped, dot);
            }
            let mut arguments = Vec::with_capacity(rest.len() + 1);
            for word in rest {
                arguments.push(self.expression(word, dot)?);
            }
            arguments.extend(piped);
            return functions::call(name, &arguments);
        }
        if !rest.is_empty() || piped.is_some() {
            return Err(TemplateError::NotAFunction { text: format!("{first:?}") });
        }
        self.expression(first, dot)
    }

    fn short_circuit(
        &mut self,
        name: &str,
        words: &[Expression],
        piped: Option<Found>,
        dot: Option<&Value>,
    ) -> Result<Found, TemplateError> {
        let mut last = None;
        for word in words {
            last = self.expression(word, dot)?;
            if functions::is_true(last.as_ref()) == (name == "or") {
                return Ok(last);
            }
        }
        Ok(piped.unwrap_or(last))
    }

    fn expression(&mut self, expression: &Expression, dot: Option<&Value>) -> Result<Found, TemplateError> {
        match expression {
            Expression::Dot => Ok(dot.cloned()),
            Expression::Literal(value) => Ok(Some(value.clone())),
            Expression::Nil => Ok(None),
            Expression::Variable(name) => {
                let variable = self.variables.iter().rev().find(|(known, _)| known == name);
                let (_, value) =
                    variable.ok_or_else(|| TemplateError::UndefinedVariable { name: name.clone() })?;
                Ok(value.clone())
            }
            Expression::Fields(base, fields) => {
                let mut value = self.expression(base, dot)?;
                for field in fields {
                    value = match value {
                        Some(Value::Object(mut known)) => known.remove(field),
                        None | Some(Value::Null) => None,
                        Some(other) => {
                            return Err(TemplateError::NoFields {
                                field: field.clone(),
                                value: functions::type_name(&other).to_owned(),
                            });
                        }
                    };
                }
                Ok(value)
            }
            Expression::Group(pipeline) => self.evaluate(pipeline, dot),
            Expression::Function(name) => functions::call(name, &[]),
        }
    }
}

/// Appends a value as Go prints it with `%v`.
fn write_go(out: &mut String, value: &Value) {
    let written = match value {
        Value::Null => write!(out, "<nil>"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Number(number) => write!(out, "{number}"),
        Value::String(text) => write!(out, "{text}"),
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(' ');
                }
                write_go(out, item);
            }
            out.push(']');
            Ok(())
        }
        Value::Object(fields) => {
            out.push_str("map[");
            let mut keys: Vec<_> = fields.iter().collect();
            keys.sort_by_key(|(key, _)| *key);
            for (position, (key, field)) in keys.into_iter().enumerate() {
                if position > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                write_go(out, field);
            }
            out.push(']');
            Ok(())
        }
    };
    if written.is_err() {
        tracing::trace!("writing to a string does not fail");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Template;

    #[track_caller]
    fn check(template: &str, expected: &str) {
        let document = json!({
            "kind": "Secret",
            "metadata": {"name": "s", "annotations": {"a.io/x": "1"}},
            "data": {"b": "Yg==", "a": "YQ=="},
            "items": [{"name": "one", "n": 1}, {"name": "two", "n": 2}],
            "empty": [], "flag": true,
        });
        let rendered = Template::parse(template).and_then(|template| template.render(&document));
        let rendered = rendered.unwrap_or_else(|error| format!("error: {error}"));
        assert_eq!(rendered, expected, "{template}");
    }

    #[test]
    fn fields_and_text() {
        check("{{.kind}}", "Secret");
        check("name: {{ .metadata.name }}\n", "name: s\n");
        check("{{.missing}}", "<no value>");
        check("{{.missing.deeper}}", "<no value>");
        check("{{.metadata}}", "map[annotations:map[a.io/x:1] name:s]");
        check("a {{- .kind -}} b", "aSecretb");
        check("{{/* nothing */}}x", "x");
        check("{{`raw` }}{{\"q\\n\"}}", "rawq\n");
    }

    #[test]
    fn control() {
        check("{{range .items}}{{.name}} {{end}}", "one two ");
        check("{{range $i, $e := .items}}{{$i}}={{$e.name}};{{end}}", "0=one;1=two;");
        check("{{range $k, $v := .data}}{{$k}}={{$v | base64decode}} {{end}}", "a=a b=b ");
        check("{{range .empty}}x{{else}}none{{end}}", "none");
        check("{{if .flag}}yes{{else}}no{{end}}", "yes");
        check("{{if not .flag}}a{{else if eq .kind \"Secret\"}}b{{else}}c{{end}}", "b");
        check("{{with .metadata}}{{.name}}{{$.kind}}{{end}}", "sSecret");
        check("{{$x := .kind}}{{$x}}{{$x = \"z\"}}{{$x}}", "Secretz");
    }

    #[test]
    fn functions() {
        check("{{index .data \"a\" | base64decode}}", "a");
        check("{{(index .items 1).name}}", "two");
        check("{{index .metadata.annotations \"a.io/x\"}}", "1");
        check("{{len .items}} {{len .kind}}", "2 6");
        check(
            "{{printf \"%s-%d|%5s|%-4s|%q|%v\" .kind 7 \"ab\" \"cd\" \"e\" .flag}}",
            "Secret-7|   ab|cd  |\"e\"|true",
        );
        check("{{print 1 2}} {{print \"a\" \"b\" 3}}", "1 2 ab3");
        check("{{println \"x\" 1}}", "x 1\n");
        check("{{and .flag .kind}}{{or .missing \"d\"}}", "Secretd");
        check("{{lt 1 2}}{{ge 2 3}}{{ne .kind \"a\"}}{{eq .kind \"a\" \"Secret\"}}", "truefalsetruetrue");
    }

    #[test]
    fn mistakes() {
        check("{{.kind", "error: unclosed action");
        check("{{if .kind}}x", "error: unexpected end: {{if}} is not closed by {{end}}");
        check("{{end}}", "error: unexpected {{end}}");
        check("{{frob .kind}}", "error: function \"frob\" not defined");
        check("{{$y}}", "error: undefined variable \"$y\"");
        check("{{.kind.deeper}}", "error: can't evaluate field deeper in type string");
        check("{{index .items 9}}", "error: index out of range: 9");
        check("{{template \"x\"}}", "error: {{template}} is not supported here");
    }
}
