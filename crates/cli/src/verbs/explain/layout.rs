//! How a description is written: head, description, fields with their types, as kubectl does.

use anyhow::bail;
use serde_json::Value;

use crate::{discovery::ApiKind, object};

/// Longest line of the description at the top, without its indent.
const WIDTH: usize = 76;
/// Longest line of the descriptions of fields, with their indent.
const FIELD_WIDTH: usize = 80;
/// Values of an enumeration that a field among others shows.
const SHOWN_VALUES: usize = 4;

/// What is explained, and where its description is.
pub(super) struct Explanation<'d> {
    pub(super) document: &'d Value,
    pub(super) kind: &'d ApiKind,
    pub(super) recursive: bool,
}

impl<'d> Explanation<'d> {
    /// The text about the field at `path` of the kind described by `root`.
    pub(super) fn of(&self, root: &'d Value, path: &[&str]) -> anyhow::Result<String> {
        let mut schema = root;
        for field in path {
            let Some(next) = self.members(schema).and_then(|members| members.get(*field)) else {
                bail!("field {field:?} does not exist");
            };
            schema = next;
        }
        let mut text = String::new();
        if !self.kind.group.is_empty() {
            text.push_str(&format!("GROUP:      {}\n", self.kind.group));
        }
        text.push_str(&format!("KIND:       {}\nVERSION:    {}\n\n", self.kind.kind, self.kind.version));
        if let Some(field) = path.last() {
            text.push_str(&format!("FIELD: {field} <{}>\n", self.type_name(schema)));
            let values = object::list(schema, "enum");
            if !values.is_empty() {
                text.push_str("ENUM:\n");
                values.iter().for_each(|value| text.push_str(&format!("    {}\n", shown(value))));
            }
            text.push('\n');
        }
        let mut sentences = Vec::new();
        self.describe(schema, &mut sentences);
        text.push_str("DESCRIPTION:\n");
        if sentences.is_empty() {
            sentences.push("<empty>");
        }
        sentences.iter().for_each(|sentence| text.push_str(&wrapped(sentence, WIDTH, 4)));
        let mut fields = String::new();
        self.write_fields(&mut fields, schema, 1, &mut Vec::new());
        if !fields.is_empty() {
            text.push_str("\nFIELDS:\n");
            text.push_str(&fields);
        }
        Ok(text)
    }

    /// The schema that a `$ref` means.
    fn referred(&self, reference: &str) -> Option<&'d Value> {
        let name = reference.rsplit('/').next()?;
        object::at(self.document, "components.schemas")?.get(name)
    }

    /// A schema, or the one it stands for, with the name of that.
    fn resolved<'s>(&self, schema: &'s Value) -> (&'s Value, Option<&'s str>)
    where
        'd: 's,
    {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => (self.referred(reference).unwrap_or(schema), Some(reference)),
            None => (schema, None),
        }
    }

    /// What a schema consists of besides its own members: alternatives, the items of a list, the values of a map.
    fn inside(schema: &Value) -> impl Iterator<Item = &Value> {
        let values = schema.get("additionalProperties").filter(|values| values.is_object());
        object::list(schema, "allOf").iter().chain(schema.get("items")).chain(values)
    }

    /// The members of an object, of the items of a list, or of the values of a map.
    fn members(&self, schema: &'d Value) -> Option<&'d serde_json::Map<String, Value>> {
        let mut waiting = vec![schema];
        for _ in 0..16 {
            let (schema, _) = self.resolved(waiting.pop()?);
            if let Some(members) = schema.get("properties").and_then(Value::as_object) {
                return Some(members);
            }
            waiting.extend(Self::inside(schema));
        }
        None
    }

    /// The descriptions of a field and of its type.
    fn describe(&self, schema: &'d Value, sentences: &mut Vec<&'d str>) {
        let (schema, _) = self.resolved(schema);
        let own = object::text(schema, "description");
        if !own.is_empty() && !sentences.contains(&own) {
            sentences.push(own);
        }
        Self::inside(schema).for_each(|inner| self.describe(inner, sentences));
    }

    /// `string`, `[]Container`, `map[string]string`.
    fn type_name(&self, schema: &Value) -> String {
        if let Some(items) = schema.get("items") {
            return format!("[]{}", self.type_name(items));
        }
        if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
            return format!("map[string]{}", self.type_name(values));
        }
        if let ([only], None) = (object::list(schema, "allOf"), schema.get("properties")) {
            return self.type_name(only);
        }
        let (target, reference) = self.resolved(schema);
        match (object::text(target, "type"), reference) {
            ("" | "object", Some(reference)) => {
                reference.rsplit(['.', '/']).next().unwrap_or("Object").to_owned()
            }
            ("" | "object", None) => "Object".to_owned(),
            (plain, _) => plain.to_owned(),
        }
    }

    /// The members at `level`, and with `recursive` theirs. `above` are the types this is inside of.
    fn write_fields(&self, text: &mut String, schema: &'d Value, level: usize, above: &mut Vec<&'d str>) {
        let (schema, reference) = self.resolved(schema);
        if let Some(reference) = reference {
            // Some types hold themselves.
            if above.contains(&reference) {
                return;
            }
            above.push(reference);
        }
        let required = object::list(schema, "required");
        for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let indent = "  ".repeat(level);
            let mark = if required.iter().any(|known| known == name) { " -required-" } else { "" };
            text.push_str(&format!("{indent}{name}\t<{}>{mark}\n", self.type_name(field)));
            let values = object::list(field, "enum");
            if !values.is_empty() {
                let mut first: Vec<String> = values.iter().take(SHOWN_VALUES).map(shown).collect();
                if values.len() > SHOWN_VALUES {
                    first.push("....".to_owned());
                }
                text.push_str(&format!("{indent}enum: {}\n", first.join(", ")));
            }
            if self.recursive {
                self.write_fields(text, field, level + 1, above);
                continue;
            }
            let described = match object::text(field, "description") {
                "" => "<no description>",
                own => own,
            };
            text.push_str(&wrapped(described, FIELD_WIDTH - 2 * level - 2, 2 * level + 2));
            text.push('\n');
        }
        Self::inside(schema).for_each(|inner| self.write_fields(text, inner, level, above));
        if reference.is_some() {
            above.pop();
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        other => other.to_string(),
    }
}

/// Lines of at most `width` characters, moved to the right.
fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let space = " ".repeat(indent);
    let mut out = String::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                out.push_str(format!("{space}{line}").trim_end());
                out.push('\n');
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        out.push_str(format!("{space}{line}").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::{Value, json};

    use super::Explanation;
    use crate::discovery::ApiKind;

    fn document() -> Value {
        let reference = |name: &str| json!({"$ref": format!("#/components/schemas/com.example.v1.{name}")});
        json!({"components": {"schemas": {
            "com.example.v1.Widget": {
                "description": "A widget.", "type": "object", "required": ["spec"],
                "properties": {
                    "kind": {"type": "string", "description": "Kind of the document."},
                    "spec": {"description": "What is wanted.", "allOf": [reference("WidgetSpec")]},
                },
            },
            "com.example.v1.WidgetSpec": {
                "description": "What a widget wants.", "type": "object",
                "properties": {
                    "parts": {"description": "Widgets inside, each of which is a widget of its own with a spec, and so \
                        on until there are none.", "type": "array", "items": reference("WidgetSpec")},
                    "colour": {"type": "string", "enum": ["", "amber", "black", "cyan", "red"]},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "size": {"description": "How large.", "allOf": [reference("Amount")]},
                },
            },
            "com.example.v1.Amount": {"description": "An amount.", "oneOf": [{"type": "string"}, {"type": "number"}]},
        }}})
    }

    fn explained(path: &[&str], recursive: bool) -> String {
        let document = document();
        let kind = ApiKind {
            group: "example.com".into(),
            version: "v1".into(),
            kind: "Widget".into(),
            plural: "widgets".into(),
            singular: "widget".into(),
            namespaced: true,
            verbs: Vec::new(),
            short_names: Vec::new(),
            categories: Vec::new(),
        };
        let explanation = Explanation { document: &document, kind: &kind, recursive };
        let root = &document["components"]["schemas"]["com.example.v1.Widget"];
        match explanation.of(root, path) {
            Ok(text) => text.replace('\t', "→"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn kinds_and_fields_are_explained() {
        assert_snapshot!(explained(&[], false));
    }

    #[test]
    fn fields_of_lists_are_those_of_their_items() {
        assert_snapshot!(explained(&["spec", "parts", "parts"], false));
        assert_snapshot!(explained(&["spec", "colour"], false));
        assert_snapshot!(explained(&["spec", "shape"], false), @r#"error: field "shape" does not exist"#);
    }

    #[test]
    fn types_that_hold_themselves_end() {
        assert_snapshot!(explained(&[], true));
    }
}
