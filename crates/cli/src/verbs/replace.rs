//! `replace`: put documents in the place of objects.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use http::Method;
use pierhead_client::{Client, ClientError};
use serde_json::Value;

use super::{
    create::{CreateOptions, post, put},
    delete,
};
use crate::{
    discovery::ApiKind,
    dry_run::DryRun,
    environment::ExitStatus,
    manifest::{self, FileArgs},
    object,
    print::output::print_done,
    session::Session,
};

/// Replace objects by documents
#[derive(Args, Debug)]
pub(crate) struct ReplaceArgs {
    #[command(flatten)]
    files: FileArgs,
    /// Delete the object and create it anew
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    options: CreateOptions,
}

/// How long the old object may take to go before a new one is made (`--force`).
const GONE_WITHIN: Duration = Duration::from_secs(300);

pub(crate) async fn run(args: ReplaceArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let options = args.options.clone().managed_by("kubectl-replace");
    let dry_run = options.dry_run();
    if args.force && dry_run == DryRun::Server {
        bail!(
            "--dry-run=server doesn't work with --force: the new object cannot be tried while the old one is there"
        );
    }
    for mut document in args.files.read(session)? {
        let discovery = session.discovery().await?;
        let kind = discovery.of_document(&document)?.clone();
        manifest::name_of(&document)?;
        let namespace = manifest::prepare(session, &kind, &mut document)?;
        let (client, query) = (session.client()?, options.query());
        let stored = match (dry_run, args.force) {
            (DryRun::Client, _) => document,
            (_, true) => anew(&client, &kind, namespace.as_deref(), document, &query).await?,
            (_, false) => replace(&client, &kind, namespace.as_deref(), document, &query).await?,
        };
        print_done(session, &options.output, &kind, &stored, &dry_run.done("replaced"))?;
    }
    Ok(ExitStatus::SUCCESS)
}

/// Puts a document in the place of an object; of the state that there is, unless the document names one.
async fn replace(
    client: &Client,
    kind: &ApiKind,
    namespace: Option<&str>,
    mut document: Value,
    query: &str,
) -> Result<Value, ClientError> {
    let path = kind.resource().item(namespace, object::name(&document), None);
    let has_version = !object::text(&document, "metadata.resourceVersion").is_empty();
    let mut attempts = 0;
    loop {
        attempts += 1;
        if !has_version {
            let current = client.request(Method::GET, &path, None, None).await?;
            let version = object::text(&current, "metadata.resourceVersion").to_owned();
            object::set_text(&mut document, "metadata.resourceVersion", &version);
        }
        match put(client, kind, namespace, &document, query).await {
            Err(error) if error.code() == Some(409) && !has_version && attempts < 5 => {}
            answered => return answered,
        }
    }
}

/// Deletes the object, waits until it is gone and creates it as the document says.
async fn anew(
    client: &Client,
    kind: &ApiKind,
    namespace: Option<&str>,
    mut document: Value,
    query: &str,
) -> anyhow::Result<Value> {
    let path = kind.resource().item(namespace, object::name(&document), None);
    match delete::delete_now(client, &path).await {
        Ok(uid) => {
            let gone = delete::wait_until_gone(client, &path, &uid);
            match tokio::time::timeout(GONE_WITHIN, gone).await {
                Ok(gone) => gone?,
                Err(_elapsed) => bail!("timed out waiting for {:?} to be deleted", object::name(&document)),
            }
        }
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    let metadata = object::object_mut(&mut document, "metadata");
    metadata.remove("resourceVersion");
    metadata.remove("uid");
    Ok(post(client, kind, namespace, &document, query).await?)
}
