//! The candidates for the last of some words.
//!
//! Reads the grammar, and for names of objects asks the server, as whoever types, for a short time: a server that is
//! slow or says no leaves only what the grammar knows.

use std::time::Duration;

use clap::{ArgAction, Args as _, Command, FromArgMatches as _};
use pierhead_client::ApiRequest;
use serde_json::Value;

use super::positions::{self, Source};
use crate::{discovery::ApiKind, globals::Globals, object, session::Session};

/// How long somebody who types may have to wait.
const PATIENCE: Duration = Duration::from_secs(2);

/// So many names are enough to choose from.
const MOST: usize = 500;

const LEAN: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

const FORMS: [&str; 10] = [
    "json",
    "yaml",
    "name",
    "wide",
    "jsonpath=",
    "jsonpath-as-json=",
    "jsonpath-file=",
    "go-template=",
    "go-template-file=",
    "custom-columns=",
];

const VERBS: [&str; 9] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch", "*"];

/// What was typed so far, in terms of the grammar.
struct Place<'c> {
    command: &'c Command,
    /// Names of the verbs, such as `policy add-role-to-user`.
    path: Vec<String>,
    /// Words that are neither verbs nor flags.
    words: Vec<String>,
    /// The flag whose value is next.
    pending: Option<&'c clap::Arg>,
    /// Flags that every verb takes.
    globals: Vec<String>,
}

/// A line for each candidate.
pub(super) async fn of(words: &[String], session: &mut Session) -> Vec<String> {
    let Some((current, before)) = words.split_last() else { return Vec::new() };
    session.hurried = true;
    let mut command = crate::command(session.name);
    command.build();
    let place = walk(&command, before);
    adopt(&place.globals, session);
    if let Some(flag) = place.pending {
        return values(flag, "", current, session).await;
    }
    if let Some((name, value)) = current.strip_prefix("--").and_then(|rest| rest.split_once('=')) {
        let Some(flag) = find_long(place.command, name) else { return Vec::new() };
        return values(flag, &format!("--{name}="), value, session).await;
    }
    if current.starts_with('-') {
        return flags(place.command, current);
    }
    let verbs: Vec<String> = place
        .command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set() && verb.get_name().starts_with(current.as_str()))
        .map(|verb| line(verb.get_name(), verb.get_about().map(ToString::to_string)))
        .collect();
    if place.words.is_empty() && !verbs.is_empty() {
        return verbs;
    }
    let mut found = possible_values(place.command, place.words.len(), current);
    if found.is_empty() {
        let source = positions::of_word(&place.path.join(" "), place.words.len());
        found = live(source, &place.words, current, session).await;
    }
    found
}

/// Follows the words through the grammar.
fn walk<'c>(command: &'c Command, words: &[String]) -> Place<'c> {
    let mut place =
        Place { command, path: Vec::new(), words: Vec::new(), pending: None, globals: Vec::new() };
    for word in words {
        if let Some(flag) = place.pending.take() {
            if flag.is_global_set() {
                place.globals.push(word.clone());
            }
        } else if word.starts_with('-') && word.len() > 1 {
            let flag = match word.strip_prefix("--") {
                Some(long) => find_long(place.command, long.split('=').next().unwrap_or(long)),
                None => word.chars().nth(1).and_then(|short| find_short(place.command, short)),
            };
            let Some(flag) = flag else { continue };
            if flag.is_global_set() {
                place.globals.push(word.clone());
            }
            let has_value = word.contains('=') || (!word.starts_with("--") && word.chars().count() > 2);
            let needs_value = flag.get_action().takes_values() && !flag.is_require_equals_set();
            place.pending = Some(flag).filter(|_| needs_value && !has_value);
        } else {
            match place.command.find_subcommand(word) {
                Some(verb) if place.words.is_empty() => {
                    place.command = verb;
                    place.path.push(verb.get_name().to_owned());
                }
                _ => place.words.push(word.clone()),
            }
        }
    }
    place
}

fn find_long<'c>(command: &'c Command, name: &str) -> Option<&'c clap::Arg> {
    command.get_arguments().find(|flag| {
        flag.get_long() == Some(name) || flag.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
    })
}

fn find_short(command: &Command, name: char) -> Option<&clap::Arg> {
    command.get_arguments().find(|flag| flag.get_short() == Some(name))
}

/// Lets the session be where the flags say.
fn adopt(flags: &[String], session: &mut Session) {
    let parser = Globals::augment_args(Command::new("globals").no_binary_name(true));
    let parsed = parser.try_get_matches_from(flags).and_then(|matches| Globals::from_arg_matches(&matches));
    if let Ok(globals) = parsed {
        session.globals = globals;
    }
}

fn line(name: &str, help: Option<String>) -> String {
    let first = help.as_deref().and_then(|help| help.lines().next()).unwrap_or_default().to_owned();
    if first.is_empty() { name.to_owned() } else { format!("{name}\t{first}") }
}

fn flags(command: &Command, current: &str) -> Vec<String> {
    let mut found: Vec<String> = command
        .get_arguments()
        .filter(|flag| !flag.is_hide_set())
        .filter_map(|flag| {
            let takes = matches!(flag.get_action(), ArgAction::Set | ArgAction::Append);
            let sign = if takes && !flag.is_require_equals_set() { "=" } else { "" };
            let name = format!("--{}{sign}", flag.get_long()?);
            name.starts_with(current).then(|| line(&name, flag.get_help().map(ToString::to_string)))
        })
        .collect();
    found.sort();
    found
}

fn possible_values(command: &Command, place: usize, current: &str) -> Vec<String> {
    let Some(argument) = command.get_positionals().nth(place) else { return Vec::new() };
    let values = argument.get_possible_values();
    let shown = values.iter().filter(|value| !value.is_hide_set());
    shown.map(|value| value.get_name().to_owned()).filter(|name| name.starts_with(current)).collect()
}

async fn values(flag: &clap::Arg, before: &str, current: &str, session: &mut Session) -> Vec<String> {
    let name = flag.get_long().unwrap_or_default();
    let mut found: Vec<String> =
        flag.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if found.is_empty() && name == "output" {
        found.extend(FORMS.map(str::to_owned));
    }
    if found.is_empty() {
        found = live(positions::of_flag(name), &[], current, session).await;
    }
    let is_files = found.iter().any(|line| line == ":files");
    if is_files {
        return found;
    }
    found
        .into_iter()
        .filter(|value| value.starts_with(current))
        .map(|value| format!("{before}{value}"))
        .collect()
}

async fn live(source: Source, words: &[String], current: &str, session: &mut Session) -> Vec<String> {
    match tokio::time::timeout(PATIENCE, ask(source, words, current, session)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::debug!(%error, "Completing without names");
            Vec::new()
        }
        Err(_elapsed) => Vec::new(),
    }
}

async fn ask(
    source: Source,
    words: &[String],
    current: &str,
    session: &mut Session,
) -> anyhow::Result<Vec<String>> {
    let starting = |names: Vec<String>| -> Vec<String> {
        names.into_iter().filter(|name| name.starts_with(current)).collect()
    };
    match source {
        Source::Nothing => Ok(Vec::new()),
        Source::Files => Ok(vec![":files".to_owned()]),
        Source::Verbs => Ok(starting(VERBS.map(str::to_owned).to_vec())),
        Source::Contexts => Ok(starting(session.kubeconfig()?.config.contexts.keys().cloned().collect())),
        Source::Clusters => Ok(starting(session.kubeconfig()?.config.clusters.keys().cloned().collect())),
        Source::Users => Ok(starting(session.kubeconfig()?.config.users.keys().cloned().collect())),
        Source::Projects => {
            let discovery = session.discovery().await?;
            let projects = discovery.known("project.openshift.io", "projects");
            let kind = projects.or_else(|_| discovery.known("", "namespaces"))?.clone();
            Ok(starting(names(&kind, session).await?))
        }
        Source::Of(group, plural) => {
            let discovery = session.discovery().await?;
            // TYPE/NAME works as well where a name does.
            if current.contains('/') {
                return objects(current, session).await;
            }
            let kind = discovery.known(group, plural)?.clone();
            Ok(starting(names(&kind, session).await?))
        }
        Source::Kinds => Ok(starting(kinds(session).await?)),
        Source::Objects => match words.first() {
            Some(first) if !first.contains('/') => {
                let kind = session.discovery().await?.resolve(first)?.clone();
                let known = names(&kind, session).await?;
                Ok(starting(known.into_iter().filter(|name| !words.contains(name)).collect()))
            }
            None if !current.contains('/') => Ok(starting(kinds(session).await?)),
            _ => objects(current, session).await,
        },
    }
}

/// `TYPE/NAME` for a part of it.
async fn objects(current: &str, session: &mut Session) -> anyhow::Result<Vec<String>> {
    let Some((typed, part)) = current.split_once('/') else { return Ok(Vec::new()) };
    let kind = session.discovery().await?.resolve(typed)?.clone();
    let known = names(&kind, session).await?;
    let starting = known.into_iter().filter(|name| name.starts_with(part));
    Ok(starting.map(|name| format!("{typed}/{name}")).collect())
}

/// The words for all kinds: plurals, with the group where another kind has the bare name.
async fn kinds(session: &mut Session) -> anyhow::Result<Vec<String>> {
    let discovery = session.discovery().await?;
    let listable = discovery.kinds.iter().filter(|kind| kind.can("list") || kind.can("get"));
    let mut names: Vec<String> = listable
        .map(|kind| {
            let is_meant = discovery.find(&kind.plural).is_some_and(|found| found.group == kind.group);
            if is_meant { kind.plural.clone() } else { kind.qualified_plural() }
        })
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

async fn names(kind: &ApiKind, session: &mut Session) -> anyhow::Result<Vec<String>> {
    let namespace = session.namespace()?;
    let path = format!("{}?limit={MOST}", kind.resource().collection(kind.scope(&namespace)));
    let client = session.client()?;
    let answer: Value = client.send(ApiRequest::get(path.as_str()).accept(LEAN)).await?.json(&path)?;
    let mut names: Vec<String> =
        object::list(&answer, "items").iter().map(|found| object::name(found).to_owned()).collect();
    names.sort();
    Ok(names)
}
