//! `config set` and `config unset`: single values of the kubeconfig by their path.

use anyhow::{Context as _, bail};
use clap::Args;
use pierhead_client::kubeconfig::Config;
use serde_json::Value;

use crate::session::Session;

/// Set one value of the kubeconfig
///
/// The path is current-context, or contexts.NAME.FIELD, clusters.NAME.FIELD, users.NAME.FIELD; NAME may hold dots.
///
/// Examples:
///   config set contexts.shop.namespace production
///   config set clusters.prod.server https://api.example.com:8443
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct SetArgs {
    /// Path of the value
    path: String,
    /// The value; text or true or false
    #[arg(allow_hyphen_values = true)]
    value: String,
}

/// Take away one value of the kubeconfig, or a whole entry
///
/// Examples:
///   config unset current-context
///   config unset users.ed/api-example-com:8443
///   config unset contexts.shop.namespace
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct UnsetArgs {
    /// Path of the value
    path: String,
}

/// Which of the three lists.
const SECTIONS: [(&str, &str); 3] = [("contexts", "context"), ("clusters", "cluster"), ("users", "user")];

pub(super) fn set(args: &SetArgs, session: &mut Session) -> anyhow::Result<()> {
    let kubeconfig = session.kubeconfig()?;
    if args.path == "current-context" {
        kubeconfig.config.current_context.clone_from(&args.value);
    } else {
        let (section, rest) = split(&args.path)?;
        let known = names(&kubeconfig.config, section);
        let Some((name, field)) = take_apart(rest, &known) else {
            bail!("{:?} names no field: expected {section}.NAME.FIELD", args.path);
        };
        let value = match (field, args.value.as_str()) {
            ("insecure-skip-tls-verify", "true") => Value::from(true),
            ("insecure-skip-tls-verify", "false") => Value::from(false),
            ("insecure-skip-tls-verify", other) => bail!("{other:?} is neither true nor false"),
            (_, text) => Value::from(text),
        };
        change(&mut kubeconfig.config, section, name, |entry| {
            entry.insert(field.to_owned(), value);
        })?;
    }
    kubeconfig.save()?;
    session.say(&format!("Property {:?} set.", args.path))?;
    Ok(())
}

pub(super) fn unset(args: &UnsetArgs, session: &mut Session) -> anyhow::Result<()> {
    let kubeconfig = session.kubeconfig()?;
    let config = &mut kubeconfig.config;
    if args.path == "current-context" {
        config.current_context.clear();
    } else if SECTIONS.iter().any(|(section, _)| *section == args.path) {
        match args.path.as_str() {
            "contexts" => config.contexts.clear(),
            "clusters" => config.clusters.clear(),
            _ => config.users.clear(),
        }
    } else {
        let (section, rest) = split(&args.path)?;
        let known = names(config, section);
        if known.iter().any(|name| name == rest) {
            match section {
                "contexts" => drop(config.contexts.remove(rest)),
                "clusters" => drop(config.clusters.remove(rest)),
                _ => drop(config.users.remove(rest)),
            }
        } else {
            let found = take_apart(rest, &known).filter(|(name, _)| known.iter().any(|known| known == name));
            let Some((name, field)) = found else {
                bail!("{:?} does not exist in the kubeconfig", args.path)
            };
            change(config, section, name, |entry| {
                entry.remove(field);
            })?;
        }
    }
    kubeconfig.save()?;
    session.say(&format!("Property {:?} unset.", args.path))?;
    Ok(())
}

fn split(path: &str) -> anyhow::Result<(&'static str, &str)> {
    let parts = path.split_once('.').filter(|(_, rest)| !rest.is_empty());
    let found = parts.and_then(|(first, rest)| {
        let section = SECTIONS.iter().find(|(section, _)| *section == first)?;
        Some((section.0, rest))
    });
    found.with_context(|| {
        format!("{path:?} is no path: expected current-context, contexts.…, clusters.… or users.…")
    })
}

fn names(config: &Config, section: &str) -> Vec<String> {
    match section {
        "contexts" => config.contexts.keys().cloned().collect(),
        "clusters" => config.clusters.keys().cloned().collect(),
        _ => config.users.keys().cloned().collect(),
    }
}

/// Name and field. Names may hold dots, those of fields do not: what exists wins, else the last dot.
fn take_apart<'p>(rest: &'p str, known: &[String]) -> Option<(&'p str, &'p str)> {
    let with_name = |name: &String| {
        let field = rest.strip_prefix(name.as_str())?.strip_prefix('.')?;
        rest.strip_suffix(field)?.strip_suffix('.').map(|name| (name, field))
    };
    known
        .iter()
        .find_map(with_name)
        .or_else(|| rest.rsplit_once('.'))
        .filter(|(name, field)| !name.is_empty() && !field.is_empty())
}

/// Changes the fields of an entry as they are written, and reads them again: a value of the wrong form is refused.
fn change(
    config: &mut Config,
    section: &str,
    name: &str,
    change: impl FnOnce(&mut serde_json::Map<String, Value>),
) -> anyhow::Result<()> {
    fn changed<T: serde::Serialize + serde::de::DeserializeOwned + Default>(
        entry: Option<&T>,
        change: impl FnOnce(&mut serde_json::Map<String, Value>),
    ) -> anyhow::Result<T> {
        let mut fields = match entry {
            Some(entry) => serde_json::to_value(entry)?,
            None => Value::Object(serde_json::Map::new()),
        };
        if let Value::Object(fields) = &mut fields {
            change(fields);
        }
        Ok(serde_json::from_value(fields)?)
    }
    match section {
        "contexts" => {
            let entry = changed(config.contexts.get(name), change)?;
            config.contexts.insert(name.to_owned(), entry);
        }
        "clusters" => {
            let entry = changed(config.clusters.get(name), change)?;
            config.clusters.insert(name.to_owned(), entry);
        }
        _ => {
            let entry = changed(config.users.get(name), change)?;
            config.users.insert(name.to_owned(), entry);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::take_apart;

    #[test]
    fn names_may_hold_dots() {
        let known = ["a.b".to_owned(), "a".to_owned()];
        assert_eq!(take_apart("a.b.namespace", &known), Some(("a.b", "namespace")));
        assert_eq!(take_apart("a.namespace", &known), Some(("a", "namespace")));
        assert_eq!(take_apart("x.y.namespace", &known), Some(("x.y", "namespace")));
        assert_eq!(take_apart("x", &known), None);
    }
}
