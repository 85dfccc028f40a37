//! `set resources`: what containers get and may use.

use anyhow::bail;
use clap::Args;
use serde_json::{Map, Value};

use super::{SetOptions, each_container};
use crate::{environment::ExitStatus, object, session::Session};

/// Change what containers get (requests) and may use (limits)
#[derive(Args, Debug)]
pub(super) struct ResourcesArgs {
    /// TYPE/NAME…
    #[arg(value_name = "NAME", required = true)]
    words: Vec<String>,
    /// Such as cpu=200m,memory=512Mi; 0 removes
    #[arg(long, value_delimiter = ',', value_name = "NAME=AMOUNT")]
    limits: Vec<String>,
    /// Such as cpu=100m,memory=256Mi; 0 removes
    #[arg(long, value_delimiter = ',', value_name = "NAME=AMOUNT")]
    requests: Vec<String>,
    /// Containers, by name or pattern
    #[arg(short = 'c', long, default_value = "*", value_name = "NAMES")]
    containers: String,
    #[command(flatten)]
    options: SetOptions,
}

pub(super) async fn run(args: ResourcesArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    if args.limits.is_empty() && args.requests.is_empty() {
        bail!("you must specify an update to requests or limits (in the form of --requests/--limits)");
    }
    let limits = parse(&args.limits)?;
    let requests = parse(&args.requests)?;
    let objects = args.options.objects(&args.words, session).await?;
    args.options
        .change(objects, "resource requirements updated", session, |object| {
            each_container(object, &args.containers, |container| {
                for (field, amounts) in [("limits", &limits), ("requests", &requests)] {
                    if amounts.is_empty() {
                        continue;
                    }
                    let known = object::object_mut(container, &format!("resources.{field}"));
                    for (name, amount) in amounts {
                        if amount == "0" {
                            known.remove(name);
                        } else {
                            known.insert(name.clone(), amount.clone());
                        }
                    }
                }
                Ok(())
            })
        })
        .await
}

fn parse(amounts: &[String]) -> anyhow::Result<Map<String, Value>> {
    let mut map = Map::new();
    for amount in amounts {
        match amount.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                map.insert(name.to_owned(), Value::from(value));
            }
            _ => bail!("invalid argument syntax {amount:?}, expected <resource>=<value>"),
        }
    }
    Ok(map)
}
