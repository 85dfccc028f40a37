//! `set env`: variables of containers.

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use serde_json::{Value, json};

use super::{
    Objects, SetOptions, container_names, each_container, matches, named, pod_spec_path, split_words, subject,
};
use crate::{
    describe::pod_template::source_of, environment::ExitStatus, object, resource_args, session::Session,
    verbs::get,
};

/// Set variables (KEY=value), remove them (KEY-), or list them
#[derive(Args, Debug)]
pub(super) struct EnvArgs {
    /// TYPE/NAME… KEY=value… KEY-…
    #[arg(value_name = "WORD", required = true, allow_hyphen_values = false)]
    words: Vec<String>,
    /// KEY=value, for values that look like something else
    #[arg(short = 'e', long = "env", value_name = "KEY=VALUE")]
    variables: Vec<String>,
    /// Take the keys of this secret or config map as variables
    #[arg(long, value_name = "TYPE/NAME")]
    from: Option<String>,
    /// Put this before their names
    #[arg(long, default_value = "", value_name = "TEXT")]
    prefix: String,
    /// Only these of its keys
    #[arg(long, value_delimiter = ',', value_name = "KEY")]
    keys: Vec<String>,
    /// Containers, by name or pattern
    #[arg(short = 'c', long, default_value = "*", value_name = "NAMES")]
    containers: String,
    /// Replace values that are there
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    overwrite: bool,
    /// Show the variables
    #[arg(long)]
    list: bool,
    /// Show what secrets and config maps say, too
    #[arg(long)]
    resolve: bool,
    #[command(flatten)]
    options: SetOptions,
}

/// A change of one variable.
enum Change {
    Set(Value),
    Remove(String),
}

pub(super) async fn run(args: EnvArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let is_removal = |word: &str| word.ends_with('-') && !word.contains('/');
    let (words, typed) = split_words(&args.words, |word| word.contains('=') || is_removal(word));
    let mut changes = Vec::new();
    for change in typed.iter().chain(&args.variables) {
        changes.push(match change.split_once('=') {
            Some((name, value)) => {
                check_name(name)?;
                Change::Set(json!({"name": name, "value": value}))
            }
            None => Change::Remove(change.trim_end_matches('-').to_owned()),
        });
    }
    if let Some(source) = &args.from {
        changes.extend(from_source(&args, source, session).await?);
    }
    let objects = args.options.objects(&words, session).await?;
    if args.list || changes.is_empty() {
        if !args.list {
            bail!("at least one environment variable must be provided");
        }
        return list(&args, &objects, session).await;
    }
    args.options
        .change(objects, "updated", session, |object| {
            each_container(object, &args.containers, |container| {
                for change in &changes {
                    apply(container, change, args.overwrite)?;
                }
                Ok(())
            })
        })
        .await
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.');
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) || !name.chars().all(allowed)
    {
        bail!("{name:?} is not a valid name for an environment variable");
    }
    Ok(())
}

fn apply(container: &mut Value, change: &Change, overwrite: bool) -> anyhow::Result<()> {
    match change {
        Change::Remove(name) => {
            if let Some(list) = container.get_mut("env").and_then(Value::as_array_mut) {
                list.retain(|variable| object::text(variable, "name") != name);
            }
        }
        Change::Set(variable) => {
            let name = object::text(variable, "name").to_owned();
            let list = object::list_mut(container, "env");
            let known = list.iter().any(|known| object::text(known, "name") == name);
            if known && !overwrite {
                bail!("'{name}' already has a value, and --overwrite is false");
            }
            *named(list, &name) = variable.clone();
        }
    }
    Ok(())
}

/// A variable for each key of a secret or config map, which keeps the values.
async fn from_source(args: &EnvArgs, source: &str, session: &mut Session) -> anyhow::Result<Vec<Change>> {
    let discovery = session.discovery().await?;
    let (kind, name) = resource_args::parse_one(&discovery, &[source.to_owned()])?;
    let field = match kind.plural.as_str() {
        "secrets" => "secretKeyRef",
        "configmaps" => "configMapKeyRef",
        other => bail!("unsupported resource specified in --from: {other}"),
    };
    let found = get::read(&session.client()?, &kind, &session.namespace()?, &name).await?;
    let data = object::at(&found, "data").and_then(Value::as_object);
    let keys = data.into_iter().flatten().map(|(key, _)| key);
    Ok(keys
        .filter(|key| args.keys.is_empty() || args.keys.contains(key))
        .map(|key| {
            let variable: String = key
                .to_uppercase()
                .chars()
                .map(|character| if character.is_ascii_alphanumeric() { character } else { '_' })
                .collect();
            Change::Set(json!({
                "name": format!("{}{variable}", args.prefix),
                "valueFrom": {field: {"name": name, "key": key}},
            }))
        })
        .collect())
}

async fn list(args: &EnvArgs, objects: &Objects, session: &mut Session) -> anyhow::Result<ExitStatus> {
    for (kind, object) in objects {
        let path = format!("{}.containers", pod_spec_path(object));
        if container_names(object).is_empty() {
            bail!("{} has no containers", subject(kind, object));
        }
        for container in object::list(object, &path) {
            let name = object::text(container, "name");
            if !matches(&args.containers, name) {
                continue;
            }
            session.say(&format!("# {}, container {name}", subject(kind, object)))?;
            for variable in object::list(container, "env") {
                let name = object::text(variable, "name");
                let Some(from) = object::at(variable, "valueFrom") else {
                    session.say(&format!("{name}={}", object::text(variable, "value")))?;
                    continue;
                };
                match args.resolve {
                    true => {
                        let value = value_of(from, session).await?;
                        session.say(&format!("{name}={value}"))?;
                    }
                    false => session.say(&format!("# {name} from {}", told(from)))?,
                }
            }
        }
    }
    Ok(ExitStatus::SUCCESS)
}

/// `secret x, key y`.
fn told(from: &Value) -> String {
    for (field, title) in [("secretKeyRef", "secret"), ("configMapKeyRef", "configmap")] {
        if let Some(reference) = object::at(from, field) {
            return format!(
                "{title} {}, key {}",
                object::text(reference, "name"),
                object::text(reference, "key")
            );
        }
    }
    match object::at(from, "fieldRef") {
        Some(reference) => format!("field path {}", object::text(reference, "fieldPath")),
        None => source_of(from),
    }
}

/// What a secret or config map says.
async fn value_of(from: &Value, session: &mut Session) -> anyhow::Result<String> {
    let discovery = session.discovery().await?;
    for (field, plural) in [("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")] {
        let Some(reference) = object::at(from, field) else { continue };
        let (name, key) = (object::text(reference, "name"), object::text(reference, "key"));
        let kind = discovery.known("", plural)?;
        let found = get::read(&session.client()?, kind, &session.namespace()?, name).await?;
        let value = object::at(&found, "data").and_then(|data| data.get(key)).and_then(Value::as_str);
        let value = value.with_context(|| format!("{plural} {name} has no key {key}"))?;
        return match plural {
            "secrets" => Ok(String::from_utf8_lossy(&STANDARD.decode(value)?).into_owned()),
            _ => Ok(value.to_owned()),
        };
    }
    Ok(told(from))
}
