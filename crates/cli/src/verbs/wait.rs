//! `wait`: until objects are as one wants them (platform 9).

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;

use crate::{
    environment::ExitStatus,
    follow::Followed,
    manifest::{self, FileArgs},
    object,
    print::{
        jsonpath::{JsonPath, write_value},
        output::say_done,
    },
    resource_args::{Named, SelectArgs},
    session::{Session, parse_timeout},
};

/// Wait until objects are deleted, or have a condition or a value
///
/// Examples:
///   wait --for=condition=Ready pod/web-1-x7k2p
///   wait --for=delete pod/web-1-x7k2p --timeout=60s
///   wait --for=jsonpath='{.status.phase}'=Running pod -l app=web
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct WaitArgs {
    /// TYPE/NAME… | TYPE -l SELECTOR
    #[arg(value_name = "TYPE")]
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    /// delete, create, condition=TYPE[=STATUS] or jsonpath='{PATH}'[=VALUE]
    #[arg(long = "for", value_name = "WHAT")]
    what: String,
    /// Longest wait for each object; 0 only looks, and less than 0 waits for a week
    #[arg(long, default_value = "30s", allow_hyphen_values = true, value_name = "DURATION")]
    timeout: String,
    #[command(flatten)]
    select: SelectArgs,
}

/// What is waited for.
enum Goal {
    Deleted,
    Created,
    Condition { name: String, status: String },
    Value { path: JsonPath, value: Option<String> },
}

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

pub(crate) async fn run(args: WaitArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let goal = parse(&args.what)?;
    let timeout = match args.timeout.as_str() {
        text if text.starts_with('-') => WEEK,
        text => parse_timeout(text)?.unwrap_or(Duration::ZERO),
    };
    let targets = targets(&args, session).await?;
    if targets.is_empty() {
        bail!("no matching resources found");
    }
    let client = session.client()?;
    let mut late = false;
    for Named { kind, namespace, name } in targets {
        let mut followed = Followed::new(&client, &kind.resource(), kind.scope(&namespace), &name);
        let waiting = async {
            let mut first = true;
            loop {
                let object = followed.next().await?;
                if object.is_none() && first && !matches!(goal, Goal::Deleted | Goal::Created) {
                    bail!("{} {name:?} not found", kind.qualified_plural());
                }
                if is_reached(&goal, object.as_ref())? {
                    return Ok(());
                }
                if object.is_none() && !first && !matches!(goal, Goal::Created) {
                    bail!("{} {name:?} was deleted", kind.qualified_plural());
                }
                first = false;
            }
        };
        let limit = if timeout.is_zero() { Duration::from_millis(500) } else { timeout };
        match tokio::time::timeout(limit, waiting).await {
            Ok(ended) => ended?,
            Err(_elapsed) => {
                late = true;
                session.remark(&format!(
                    "error: timed out waiting for the condition on {}/{name}",
                    kind.plural
                ))?;
                continue;
            }
        }
        say_done(
            session,
            &kind,
            &name,
            match goal {
                Goal::Deleted => "deleted",
                Goal::Created => "created",
                _ => "condition met",
            },
        )?;
    }
    Ok(if late { ExitStatus::TIMED_OUT } else { ExitStatus::SUCCESS })
}

async fn targets(args: &WaitArgs, session: &mut Session) -> anyhow::Result<Vec<Named>> {
    let discovery = session.discovery().await?;
    let namespace = session.namespace()?;
    if !args.files.is_empty() {
        let mut found = Vec::new();
        for document in args.files.read(session).await? {
            let kind = discovery.of_document(&document)?.clone();
            let own = object::namespace(&document).unwrap_or(&namespace).to_owned();
            let name = manifest::name_of(&document)?.to_owned();
            found.push(Named { kind, namespace: own, name });
        }
        return Ok(found);
    }
    args.select.names(&args.words, session).await
}

fn parse(what: &str) -> anyhow::Result<Goal> {
    match what.split_once('=') {
        None if what.eq_ignore_ascii_case("delete") => Ok(Goal::Deleted),
        None if what.eq_ignore_ascii_case("create") => Ok(Goal::Created),
        Some(("condition", condition)) => {
            let (name, status) = condition.split_once('=').unwrap_or((condition, "True"));
            Ok(Goal::Condition { name: name.to_owned(), status: status.to_owned() })
        }
        Some(("jsonpath", rest)) => {
            let (path, value) = match rest.rsplit_once("}=") {
                Some((path, value)) => (format!("{path}}}"), Some(value)),
                None if rest.starts_with('{') => (rest.to_owned(), None),
                None => match rest.split_once('=') {
                    Some((path, value)) => (path.to_owned(), Some(value)),
                    None => (rest.to_owned(), None),
                },
            };
            if path.is_empty() || value == Some("") {
                bail!(
                    "jsonpath wait format must be --for=jsonpath='{{.status.readyReplicas}}'=3 or \
                     --for=jsonpath='{{.status.readyReplicas}}'"
                );
            }
            let value = value.map(|value| value.trim_matches(['"', '\'']).to_owned());
            let path = JsonPath::parse_relaxed(&path).with_context(|| format!("jsonpath {path}"))?;
            Ok(Goal::Value { path, value })
        }
        _ => bail!("unrecognized condition: {what:?}"),
    }
}

fn is_reached(goal: &Goal, object: Option<&Value>) -> anyhow::Result<bool> {
    let Some(object) = object else { return Ok(matches!(goal, Goal::Deleted)) };
    match goal {
        Goal::Deleted => Ok(false),
        Goal::Created => Ok(true),
        Goal::Condition { name, status } => {
            let observed = object::at(object, "status.observedGeneration").and_then(Value::as_i64);
            let generation = object::at(object, "metadata.generation").and_then(Value::as_i64);
            if let (Some(observed), Some(generation)) = (observed, generation)
                && observed < generation
            {
                return Ok(false);
            }
            Ok(object::list(object, "status.conditions").iter().any(|condition| {
                object::text(condition, "type").eq_ignore_ascii_case(name)
                    && object::text(condition, "status").eq_ignore_ascii_case(status)
            }))
        }
        Goal::Value { path, value } => {
            let Ok(found) = path.find(object) else { return Ok(false) };
            let Some(wanted) = value else { return Ok(!found.is_empty()) };
            Ok(found.iter().any(|found| {
                let mut text = String::new();
                write_value(&mut text, found);
                text == *wanted
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{is_reached, parse};

    #[track_caller]
    fn check(what: &str, object: Option<Value>, expected: bool) {
        assert_eq!(is_reached(&parse(what).unwrap(), object.as_ref()).unwrap(), expected, "{what}");
    }

    #[test]
    fn goals() {
        let pod = json!({
            "metadata": {"generation": 2},
            "status": {"observedGeneration": 2, "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        });
        check("delete", None, true);
        check("delete", Some(pod.clone()), false);
        check("condition=ready", Some(pod.clone()), true);
        check("condition=Ready=false", Some(pod.clone()), false);
        check("jsonpath={.status.phase}=Running", Some(pod.clone()), true);
        check("jsonpath={.status.phase}", Some(pod.clone()), true);
        check("jsonpath={.status.phase}=Failed", Some(pod.clone()), false);
        check("jsonpath=.status.phase='Running'", Some(pod.clone()), true);
        let mut stale = pod;
        stale["metadata"]["generation"] = json!(3);
        check("condition=Ready", Some(stale), false);
        for wrong in ["soon", "jsonpath=", "jsonpath={.status.phase}="] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
