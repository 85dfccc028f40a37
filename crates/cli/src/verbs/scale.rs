//! `scale`: how many pods (platform 8.4).

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use http::Method;
use pierhead_client::{Client, ClientError};
use serde_json::{Value, json};

use super::get;
use crate::{
    deployments::number,
    discovery::ApiKind,
    environment::ExitStatus,
    error,
    manifest::{self, FileArgs},
    object,
    print::output::{OutputArgs, print_done},
    resource_args::{Named, SelectArgs},
    session::{Session, parse_timeout},
};

/// Set how many pods a deployment config or replication controller has
///
/// Examples:
///   scale dc/web --replicas=3
///   scale --current-replicas=2 --replicas=3 rc/web-1
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ScaleArgs {
    /// TYPE NAME… | TYPE/NAME…
    #[arg(value_name = "TYPE")]
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    /// How many
    #[arg(long, value_name = "N")]
    replicas: u64,
    /// Only if there are so many now
    #[arg(long, value_name = "N")]
    current_replicas: Option<u64>,
    /// Only if the object has this version
    #[arg(long, value_name = "VERSION")]
    resource_version: Option<String>,
    #[command(flatten)]
    select: SelectArgs,
    /// Wait so long until there are as many
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: ScaleArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let (client, namespace) = (session.client()?, session.namespace()?);
    let mut targets = Vec::new();
    for document in if args.files.is_empty() { Vec::new() } else { args.files.read(session).await? } {
        let kind = discovery.of_document(&document)?.clone();
        let own = object::namespace(&document).unwrap_or(&namespace).to_owned();
        targets.push(Named { kind, namespace: own, name: manifest::name_of(&document)?.to_owned() });
    }
    if !args.words.is_empty() {
        targets.extend(args.select.names(&args.words, session).await?);
    }
    if targets.is_empty() {
        bail!("no objects passed to scale");
    }
    for Named { kind, namespace, name } in &targets {
        let scaled = scale(&client, kind, namespace, name, &args).await?;
        let mut shown = scaled.clone();
        object::set_text(&mut shown, "metadata.name", name);
        print_done(session, &args.output, kind, &shown, "scaled")?;
    }
    if let Some(limit) = args.timeout.as_deref().map(parse_timeout).transpose()?.flatten() {
        let waiting = async {
            for Named { kind, namespace, name } in &targets {
                wait(&client, kind, namespace, name, args.replicas).await?;
            }
            Ok::<(), ClientError>(())
        };
        match tokio::time::timeout(limit, waiting).await {
            Ok(ended) => ended?,
            Err(_elapsed) => {
                return Err(error::TimedOut("timed out waiting for the condition".to_owned()).into());
            }
        }
    }
    Ok(ExitStatus::SUCCESS)
}

async fn scale(
    client: &Client,
    kind: &ApiKind,
    namespace: &str,
    name: &str,
    args: &ScaleArgs,
) -> anyhow::Result<Value> {
    let path = kind.resource().item(kind.scope(namespace), name, Some("scale"));
    let mut patch = json!({"spec": {"replicas": args.replicas}});
    if let Some(version) = &args.resource_version {
        object::set_text(&mut patch, "metadata.resourceVersion", version);
    }
    if let Some(expected) = args.current_replicas {
        let now = client.request(Method::GET, &path, None, None).await?;
        let found = number(&now, "spec.replicas");
        if found != expected {
            bail!("Expected replicas to be {expected}, was {found}");
        }
        // The answer's version keeps anybody else from scaling in between.
        object::set_text(
            &mut patch,
            "metadata.resourceVersion",
            object::text(&now, "metadata.resourceVersion"),
        );
    }
    let content_type = Some("application/merge-patch+json");
    match client.request(Method::PATCH, &path, content_type, Some(&patch)).await {
        Err(error) if matches!(error.code(), Some(405 | 415)) => {
            let path = kind.resource().item(kind.scope(namespace), name, None);
            Ok(client.request(Method::PATCH, &path, content_type, Some(&patch)).await?)
        }
        answered => Ok(answered?),
    }
}

async fn wait(
    client: &Client,
    kind: &ApiKind,
    namespace: &str,
    name: &str,
    replicas: u64,
) -> Result<(), ClientError> {
    loop {
        let now = get::read(client, kind, namespace, name).await?;
        if number(&now, "status.replicas") == replicas {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
