//! The `-o` flag and what it makes of objects.

use anyhow::{Context as _, bail};
use clap::Args;
use pierhead_client::yaml;
use serde_json::{Value, json};

use super::{columns::Columns, jsonpath::JsonPath, template::Template};
use crate::{discovery::ApiKind, globals::Era, object, session::Session};

/// How to print.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct OutputArgs {
    /// json, yaml, name, wide, jsonpath=…, jsonpath-file=…, go-template=…, go-template-file=…, custom-columns=…
    #[arg(short = 'o', long, value_name = "FORM")]
    pub(crate) output: Option<String>,
    /// Template for -o go-template and -o jsonpath
    #[arg(long, value_name = "TEMPLATE", allow_hyphen_values = true)]
    pub(crate) template: Option<String>,
    /// Keep managedFields in json and yaml
    #[arg(long)]
    pub(crate) show_managed_fields: bool,
}

/// A form of output.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    Table { wide: bool },
    Json,
    Yaml,
    Name,
    JsonPath(JsonPath),
    JsonPathAsJson(JsonPath),
    Template(Template),
    Columns(Columns),
}

impl OutputArgs {
    /// Reads the flag.
    pub(crate) fn form(&self, session: &mut Session) -> anyhow::Result<Form> {
        let Some(output) = self.output.as_deref().filter(|output| !output.is_empty()) else {
            return Ok(match &self.template {
                Some(template) => Form::Template(parse_template(template)?),
                None => Form::Table { wide: false },
            });
        };
        let (name, argument) =
            output.split_once('=').map_or((output, None), |(name, text)| (name, Some(text)));
        let text = |session: &mut Session| -> anyhow::Result<String> {
            let Some(text) = argument.or(self.template.as_deref()) else {
                bail!("template format specified but no template given");
            };
            if name.ends_with("-file") || name == "templatefile" {
                let content = session.read_file(text)?;
                return String::from_utf8(content).with_context(|| format!("{text} is not text"));
            }
            Ok(text.to_owned())
        };
        Ok(match name {
            "wide" => Form::Table { wide: true },
            "json" => Form::Json,
            "yaml" => Form::Yaml,
            "name" => Form::Name,
            "jsonpath" | "jsonpath-file" | "jsonpath-as-json" => {
                let text = text(session)?;
                let path =
                    JsonPath::parse(&text).with_context(|| format!("error parsing jsonpath {text}"))?;
                if name == "jsonpath-as-json" { Form::JsonPathAsJson(path) } else { Form::JsonPath(path) }
            }
            "go-template" | "go-template-file" | "template" | "templatefile" => {
                Form::Template(parse_template(&text(session)?)?)
            }
            "custom-columns" | "custom-columns-file" => Form::Columns(Columns::parse(&text(session)?)?),
            _ => bail!(
                "unable to match a printer suitable for the output format {name:?}, allowed formats are: \
                 custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-file,name,\
                 template,templatefile,wide,yaml"
            ),
        })
    }
}

fn parse_template(text: &str) -> anyhow::Result<Template> {
    Template::parse(text).with_context(|| format!("error parsing template {text}"))
}

/// Prints objects in a form that is not a table. One object stands alone, several become a `List`.
pub(crate) fn print_objects(
    session: &mut Session,
    form: &Form,
    mut objects: Vec<Value>,
    as_list: bool,
    keep_managed_fields: bool,
) -> anyhow::Result<()> {
    if !keep_managed_fields {
        objects.iter_mut().for_each(object::strip_managed_fields);
    }
    if matches!(form, Form::Name) {
        for object in &objects {
            session.say(&name_of(object))?;
        }
        return Ok(());
    }
    if let Form::Columns(columns) = form {
        let text = columns.render(&objects)?;
        return Ok(session.print(&text)?);
    }
    let document = match objects.len() {
        1 if !as_list => objects.remove(0),
        _ => {
            json!({"apiVersion": "v1", "items": objects, "kind": "List", "metadata": {"resourceVersion": ""}})
        }
    };
    match form {
        Form::Json => session.print_data(&json_text(&document)?)?,
        Form::JsonPathAsJson(path) => {
            let found = path.find_all(&document).context("error executing jsonpath")?;
            for values in found {
                session.print_data(&json_text(&values.into_iter().cloned().collect())?)?;
            }
        }
        Form::Yaml => session.print_data(&yaml::to_string(&document))?,
        Form::JsonPath(path) => {
            let text = path.render(&document).context("error executing jsonpath")?;
            session.print_data(&text)?;
        }
        Form::Template(template) => {
            let text = template.render(&document).context("error executing template")?;
            session.print_data(&text)?;
        }
        Form::Table { .. } | Form::Name | Form::Columns(_) => {}
    }
    Ok(())
}

/// A document as kubectl prints it.
fn json_text(document: &Value) -> anyhow::Result<String> {
    let text = serde_json::to_string_pretty(&sorted(document)).context("JSON is always text")?;
    Ok(widen(&text) + "\n")
}

/// Keys in the order of kubectl's JSON, which goes through sorted maps.
fn sorted(document: &Value) -> Value {
    match document {
        Value::Object(fields) => {
            let mut entries: Vec<_> = fields.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            Value::Object(entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// kubectl indents JSON by four.
fn widen(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for (position, line) in text.lines().enumerate() {
        if position > 0 {
            out.push('\n');
        }
        let content = line.trim_start_matches(' ');
        out.extend(std::iter::repeat_n(' ', (line.len() - content.len()) * 2));
        out.push_str(content);
    }
    out
}

/// `imagestream.image.openshift.io/app`, from the document itself.
pub(crate) fn name_of(object: &Value) -> String {
    let kind = object::text(object, "kind").to_lowercase();
    let group = object::text(object, "apiVersion").split_once('/').map_or("", |(group, _)| group);
    let dot = if group.is_empty() { "" } else { "." };
    format!("{kind}{dot}{group}/{}", object::name(object))
}

/// Prints what was done to an object, or the object itself if `-o` asks for that.
pub(crate) fn print_done(
    session: &mut Session,
    output: &OutputArgs,
    kind: &ApiKind,
    object: &Value,
    done: &str,
) -> anyhow::Result<()> {
    match output.form(session)? {
        Form::Table { .. } => say_done(session, kind, object::name(object), done),
        form => print_objects(session, &form, vec![object.clone()], false, output.show_managed_fields),
    }
}

/// `serviceaccount/pusher created`; in the texts of 2016 `serviceaccount "pusher" created`.
pub(crate) fn say_done(session: &mut Session, kind: &ApiKind, name: &str, done: &str) -> anyhow::Result<()> {
    let line = match session.era() {
        Era::V3_2 => format!("{} {name:?} {done}", kind.kind.to_lowercase()),
        Era::V4 => format!("{}/{name} {done}", kind.display_name()),
    };
    Ok(session.say(&line)?)
}
