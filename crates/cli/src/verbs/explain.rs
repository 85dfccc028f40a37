//! `explain`: what the fields of a kind are, as the server describes them (platform 1.4).

use anyhow::bail;
use clap::Args;
use http::Method;
use pierhead_client::Client;
use serde_json::Value;

use crate::{discovery::ApiKind, environment::ExitStatus, object, session::Session};

/// Longest line of descriptions.
const WIDTH: usize = 80;

/// Show the fields of a kind
///
/// Examples:
///   explain dc
///   explain dc.spec.strategy
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ExplainArgs {
    /// TYPE[.FIELD…]
    #[arg(value_name = "TYPE")]
    subject: String,
    /// Show the fields of fields, too
    #[arg(long)]
    recursive: bool,
}

pub(crate) async fn run(args: ExplainArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let client = session.client()?;
    // `deploymentconfigs.apps.openshift.io` is a kind, `dc.spec` a kind and a field.
    let (kind, path) = match discovery.find(&args.subject) {
        Some(kind) => (kind, Vec::new()),
        None => {
            let mut words = args.subject.split('.');
            let kind = discovery.resolve(words.next().unwrap_or_default())?;
            (kind, words.collect::<Vec<_>>())
        }
    };
    let document = schema_document(&client, kind).await?;
    let Some(root) = find_kind(&document, kind) else {
        bail!("couldn't find resource for {:?} in the server's description", kind.kind);
    };
    let mut schema = root;
    for (position, field) in path.iter().enumerate() {
        let inner = inner(&document, schema);
        let Some(next) = object::at(inner, "properties").and_then(|properties| properties.get(*field)) else {
            bail!("field {:?} does not exist", path[..=position].join("."));
        };
        schema = next;
    }
    session.print(&render(&document, kind, &path, schema, args.recursive))?;
    Ok(ExitStatus::SUCCESS)
}

/// The OpenAPI document of a kind's group and version.
async fn schema_document(client: &Client, kind: &ApiKind) -> anyhow::Result<Value> {
    let index = client.request(Method::GET, "/openapi/v3", None, None).await?;
    let name = match kind.group.as_str() {
        "" => format!("api/{}", kind.version),
        group => format!("apis/{group}/{}", kind.version),
    };
    let entry = index.get("paths").and_then(|paths| paths.get(&name));
    let Some(url) = entry.and_then(|entry| entry.get("serverRelativeURL")).and_then(Value::as_str) else {
        bail!("the server does not describe {name}");
    };
    Ok(client.request(Method::GET, url, None, None).await?)
}

fn find_kind<'d>(document: &'d Value, kind: &ApiKind) -> Option<&'d Value> {
    let schemas = object::at(document, "components.schemas")?.as_object()?;
    schemas.values().find(|schema| {
        schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array).is_some_and(|kinds| {
            kinds.iter().any(|known| {
                object::text(known, "group") == kind.group
                    && object::text(known, "version") == kind.version
                    && object::text(known, "kind") == kind.kind
            })
        })
    })
}

/// The schema that a schema refers to, by name or because it is the only member of `allOf`.
fn referred<'d>(document: &'d Value, mut schema: &'d Value) -> &'d Value {
    for _ in 0..8 {
        let reference = match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => Some(reference),
            None => object::list(schema, "allOf")
                .first()
                .and_then(|only| only.get("$ref"))
                .and_then(Value::as_str),
        };
        let Some(name) = reference.and_then(|reference| reference.rsplit('/').next()) else { break };
        match object::at(document, "components.schemas").and_then(|schemas| schemas.get(name)) {
            Some(found) => schema = found,
            None => break,
        }
    }
    schema
}

/// The schema whose properties are meant: of the items of a list, of the values of a map.
fn inner<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    let schema = referred(document, schema);
    match object::at(schema, "items")
        .or(object::at(schema, "additionalProperties").filter(|it| it.is_object()))
    {
        Some(items) => inner(document, items),
        None => schema,
    }
}

/// `<string>`, `<[]Container>`, `<map[string]string>`.
fn type_name(document: &Value, schema: &Value) -> String {
    let target = referred(document, schema);
    match object::text(target, "type") {
        "array" => format!("[]{}", type_name(document, target.get("items").unwrap_or(&Value::Null))),
        "object" | "" => {
            if let Some(values) = object::at(target, "additionalProperties").filter(|it| it.is_object()) {
                return format!("map[string]{}", type_name(document, values));
            }
            let reference = schema.get("$ref").or_else(|| object::list(schema, "allOf").first()?.get("$ref"));
            let name = reference.and_then(Value::as_str).and_then(|name| name.rsplit(['.', '/']).next());
            name.unwrap_or("Object").to_owned()
        }
        plain => plain.to_owned(),
    }
}

fn render(document: &Value, kind: &ApiKind, path: &[&str], schema: &Value, recursive: bool) -> String {
    let mut text = String::new();
    if !kind.group.is_empty() {
        text.push_str(&format!("GROUP:      {}\n", kind.group));
    }
    text.push_str(&format!("KIND:       {}\nVERSION:    {}\n\n", kind.kind, kind.version));
    if let Some(field) = path.last() {
        text.push_str(&format!("FIELD: {field} <{}>\n\n", type_name(document, schema)));
    }
    let description = match object::text(schema, "description") {
        "" => object::text(referred(document, schema), "description"),
        own => own,
    };
    let description = if description.is_empty() { "<empty>" } else { description };
    text.push_str(&format!("DESCRIPTION:\n{}", wrapped(description, 4)));
    let fields = inner(document, schema);
    if object::at(fields, "properties").is_some() {
        text.push_str("\nFIELDS:\n");
        write_fields(&mut text, document, fields, recursive, 1);
    }
    text
}

fn write_fields(text: &mut String, document: &Value, schema: &Value, recursive: bool, depth: usize) {
    let required: Vec<&str> = object::list(schema, "required").iter().filter_map(Value::as_str).collect();
    let properties = object::at(schema, "properties").and_then(Value::as_object);
    for (name, field) in properties.into_iter().flatten() {
        let mark = if required.contains(&name.as_str()) { " -required-" } else { "" };
        let indent = "  ".repeat(depth);
        text.push_str(&format!("{indent}{name}\t<{}>{mark}\n", type_name(document, field)));
        if recursive {
            // Some kinds hold themselves.
            if depth < 8 {
                write_fields(text, document, inner(document, field), recursive, depth + 1);
            }
            continue;
        }
        let description = match object::text(field, "description") {
            "" => object::text(referred(document, field), "description"),
            own => own,
        };
        if !description.is_empty() {
            text.push_str(&wrapped(description, 2 * depth + 2));
        }
        text.push('\n');
    }
}

/// Lines that are not too long, moved to the right.
fn wrapped(text: &str, indent: usize) -> String {
    let space = " ".repeat(indent);
    let mut out = String::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > WIDTH {
                out.push_str(&format!("{space}{line}\n"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        out.push_str(&format!("{space}{line}\n"));
    }
    out
}
