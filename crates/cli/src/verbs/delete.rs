//! `delete`: remove objects and wait until they are gone.

use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use clap::Args;
use http::Method;
use pierhead_api::selector::LabelSelector;
use pierhead_client::{ApiRequest, Client, ClientError};
use serde_json::{Value, json};

use super::get;
use crate::{
    discovery::ApiKind,
    dry_run::{DryRun, DryRunArgs},
    environment::ExitStatus,
    error,
    globals::Era,
    manifest::{self, FileArgs},
    object, resource_args,
    session::Session,
    tally::Tally,
};

/// Delete objects by name, by label, or as named in documents
///
/// Examples:
///   delete is/myimage
///   delete secrets -l app=web
///   delete project pushed
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct DeleteArgs {
    /// TYPE NAME… | TYPE/NAME…
    #[arg(value_name = "TYPE")]
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    /// Delete all objects of the type
    #[arg(long)]
    all: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Only objects with these fields
    #[arg(long, value_name = "SELECTOR")]
    field_selector: Option<String>,
    /// Look into all projects
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Return only when the objects are gone
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    wait: bool,
    /// Same as --grace-period=0, and do not wait
    #[arg(long)]
    force: bool,
    /// Same as --grace-period=1
    #[arg(long, conflicts_with_all = ["force", "grace_period"])]
    now: bool,
    /// Seconds until the object must be gone
    #[arg(long, allow_hyphen_values = true, value_name = "SECONDS")]
    grace_period: Option<i64>,
    /// What happens to dependents: background, foreground or orphan
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "background", value_name = "HOW")]
    cascade: Option<String>,
    /// Longest wait, such as 30s; 0 waits for ever
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    /// Objects that do not exist are not an error
    #[arg(long)]
    ignore_not_found: bool,
    /// Show what would be deleted and ask first
    #[arg(short = 'i', long)]
    interactive: bool,
    /// DELETE this path of the server and print the answer
    #[arg(long, value_name = "PATH")]
    raw: Option<String>,
    #[command(flatten)]
    dry: DryRunArgs,
    /// name: print only names
    #[arg(short = 'o', long, value_name = "FORM")]
    output: Option<String>,
}

/// One object to delete.
struct Victim {
    kind: ApiKind,
    namespace: Option<String>,
    name: String,
}

pub(crate) async fn run(args: DeleteArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    if args.raw.is_some() && (args.interactive || args.dry.dry_run != DryRun::None) {
        bail!("--raw cannot be used with --interactive or --dry-run");
    }
    let client = session.client()?;
    if let Some(path) = &args.raw {
        let answer = client.send(ApiRequest::new(Method::DELETE, path.as_str(), Bytes::new())).await?;
        session.print_data(&String::from_utf8_lossy(&answer.body))?;
        return Ok(ExitStatus::SUCCESS);
    }
    let victims = find_victims(&args, &client, session).await?;
    if victims.is_empty() {
        session.remark("No resources found")?;
        return Ok(ExitStatus::SUCCESS);
    }
    let options = delete_options(&args)?;
    if args.interactive && !confirm(&victims, session)? {
        session.say("deletion is cancelled")?;
        return Ok(ExitStatus::SUCCESS);
    }
    let mut tally = Tally::default();
    let mut pending: Vec<(String, String)> = Vec::new();
    let dry_run = args.dry.dry_run;
    for victim in victims {
        let path = victim.kind.resource().item(victim.namespace.as_deref(), &victim.name, None);
        let deleted = match dry_run {
            DryRun::Client => Ok(String::new()),
            DryRun::None | DryRun::Server => delete(&client, &path, &options).await,
        };
        match deleted {
            Ok(uid) => {
                tally.note(anyhow::Ok(()));
                let what = victim.kind.display_name();
                if args.output.as_deref() == Some("name") {
                    session.say(&format!("{what}/{}", victim.name))?;
                } else {
                    let forced = if args.force { " force" } else { "" };
                    let what = match session.era() {
                        Era::V3_2 => victim.kind.kind.to_lowercase(),
                        Era::V4 => what,
                    };
                    let done = dry_run.done("deleted");
                    session.say(&format!("{what} {:?}{forced} {done}", victim.name))?;
                }
                if dry_run == DryRun::None {
                    pending.push((path, uid));
                }
            }
            Err(failure) if failure.is_not_found() && (args.ignore_not_found || args.all) => {}
            Err(failure) => {
                tally.note(Err::<(), _>(failure));
            }
        }
    }
    if args.wait && !args.force {
        let timeout = args.timeout.as_deref().map(crate::session::parse_timeout).transpose()?.flatten();
        let gone = async {
            for (path, uid) in &pending {
                wait_until_gone(&client, path, uid).await?;
            }
            Ok::<(), ClientError>(())
        };
        match timeout {
            Some(timeout) => match tokio::time::timeout(timeout, gone).await {
                Ok(gone) => gone?,
                Err(_elapsed) => {
                    return Err(error::TimedOut("timed out waiting for the condition".to_owned()).into());
                }
            },
            None => gone.await?,
        }
    }
    tally.finish(session)
}

fn confirm(victims: &[Victim], session: &mut Session) -> anyhow::Result<bool> {
    session.say("You are about to delete the following resources:")?;
    for victim in victims {
        session.say(&format!("  {}/{}", victim.kind.display_name(), victim.name))?;
    }
    let answer = session.ask("Do you want to continue? (y/N): ", false)?;
    Ok(answer.is_some_and(|answer| matches!(answer.trim(), "y" | "Y" | "yes")))
}

async fn find_victims(
    args: &DeleteArgs,
    client: &Client,
    session: &mut Session,
) -> anyhow::Result<Vec<Victim>> {
    let discovery = session.discovery().await?;
    let namespace = session.namespace()?;
    let mut victims = Vec::new();
    let selects = args.all || args.selector.is_some() || args.field_selector.is_some();
    if !args.files.is_empty() {
        if args.field_selector.is_some() {
            bail!("objects are either named by -f or selected: a field selector would be ignored");
        }
        // As kubectl does it: the labels in the documents count, not those that objects have by now.
        let selector: LabelSelector = args.selector.as_deref().unwrap_or_default().parse()?;
        let is_selected = |document: &Value| manifest::is_selected(&selector, document);
        for document in args.files.read(session).await?.into_iter().filter(is_selected) {
            let kind = discovery.of_document(&document)?.clone();
            let own = object::namespace(&document).unwrap_or(&namespace).to_owned();
            let name = manifest::name_of(&document)?.to_owned();
            victims.push(Victim { namespace: kind.namespaced.then_some(own), kind, name });
        }
        return Ok(victims);
    }
    let selection = resource_args::parse(&discovery, &args.words)?;
    for target in selection.targets {
        if let Some(name) = target.name {
            if selects {
                bail!(resource_args::NAME_AND_SELECTOR);
            }
            let namespace = target.kind.namespaced.then(|| namespace.clone());
            victims.push(Victim { kind: target.kind, namespace, name });
            continue;
        }
        if !selects {
            bail!("resource(s) were provided, but no name was specified");
        }
        let mut query = Vec::new();
        query.extend(args.selector.as_deref().map(|selector| ("labelSelector", selector)));
        query.extend(args.field_selector.as_deref().map(|selector| ("fieldSelector", selector)));
        let scope = (!args.all_namespaces).then_some(namespace.as_str());
        for found in get::read_all(client, &target.kind, scope, &query).await? {
            victims.push(Victim {
                kind: target.kind.clone(),
                namespace: object::namespace(&found).map(str::to_owned),
                name: object::name(&found).to_owned(),
            });
        }
    }
    Ok(victims)
}

fn delete_options(args: &DeleteArgs) -> anyhow::Result<Value> {
    let policy = match args.cascade.as_deref() {
        None | Some("background" | "true") => "Background",
        Some("foreground") => "Foreground",
        Some("orphan" | "false") => "Orphan",
        Some(other) => {
            bail!("invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\"")
        }
    };
    let mut options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy});
    let grace = args.grace_period.or(args.force.then_some(0)).or(args.now.then_some(1));
    if let Some(seconds) = grace.filter(|seconds| *seconds >= 0) {
        options["gracePeriodSeconds"] = json!(seconds);
    }
    if args.dry.dry_run == DryRun::Server {
        options["dryRun"] = json!(["All"]);
    }
    Ok(options)
}

/// Deletes an object, which has so many seconds to end; gives its uid.
pub(super) async fn delete_within(client: &Client, path: &str, grace: u64) -> Result<String, ClientError> {
    let options = json!({
        "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background", "gracePeriodSeconds": grace,
    });
    delete(client, path, &options).await
}

/// Deletes an object and leaves its dependents to the server.
pub(super) async fn delete_in_background(
    client: &Client,
    path: &str,
    dry_run: DryRun,
) -> Result<String, ClientError> {
    let mut options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
    if dry_run == DryRun::Server {
        options["dryRun"] = json!(["All"]);
    }
    delete(client, path, &options).await
}

/// Deletes an object; gives its uid, which is empty if the server does not say it.
async fn delete(client: &Client, path: &str, options: &Value) -> Result<String, ClientError> {
    let body = serde_json::to_vec(options).map_err(ClientError::Encode)?;
    let request = ApiRequest::new(Method::DELETE, path, Bytes::from(body));
    let answer: Value = client.send(request).await?.json(path)?;
    let uid = match object::text(&answer, "kind") {
        "Status" => object::text(&answer, "details.uid"),
        _ => object::text(&answer, "metadata.uid"),
    };
    Ok(uid.to_owned())
}

/// Waits until an object does not exist, or another one has taken its name.
pub(super) async fn wait_until_gone(client: &Client, path: &str, uid: &str) -> Result<(), ClientError> {
    let mut pause = Duration::from_millis(20);
    loop {
        match client.request(Method::GET, path, None, None).await {
            Ok(found) if !uid.is_empty() && object::text(&found, "metadata.uid") != uid => return Ok(()),
            Ok(_) => {}
            // Who deletes a project loses the right to look at it.
            Err(error) if matches!(error.code(), Some(403..=405)) => return Ok(()),
            Err(error) => return Err(error),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}
