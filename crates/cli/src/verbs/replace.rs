//! `replace`: put documents in the place of objects.

use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use clap::Args;
use http::Method;
use pierhead_client::{ApiRequest, Client, ClientError};
use serde_json::Value;

use super::{
    apply,
    create::{CreateOptions, post, put_part},
    delete,
};
use crate::{
    discovery::ApiKind,
    dry_run::DryRun,
    environment::ExitStatus,
    error,
    manifest::{self, FileArgs},
    object,
    print::output::print_done,
    session::{Session, parse_timeout},
    tally::Tally,
};

/// Replace objects by documents
///
/// Examples:
///   replace -f app.yaml
///   get is/myimage -o yaml | sed 's/local: false/local: true/' | replace -f -
///   replace --force -f app.yaml
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ReplaceArgs {
    #[command(flatten)]
    files: FileArgs,
    /// Delete the object and create it anew
    #[arg(long)]
    force: bool,
    /// Seconds until the old object must be gone (with --force)
    #[arg(long, value_name = "SECONDS")]
    grace_period: Option<u64>,
    /// Longest wait for the old object to go (with --force), such as 30s
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    /// Replace this subresource
    #[arg(long, conflicts_with = "force", value_name = "NAME")]
    subresource: Option<String>,
    /// PUT the file to this path of the server and print the answer
    #[arg(long, conflicts_with = "force", value_name = "PATH")]
    raw: Option<String>,
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
    if args.raw.is_some() && dry_run != DryRun::None {
        bail!("--raw cannot be used with --dry-run");
    }
    if let Some(path) = &args.raw {
        let [file] = args.files.filenames.as_slice() else {
            bail!("--raw can only use a single local file or stdin")
        };
        let body = session.read_file(file)?;
        let answer = session.client()?.send(ApiRequest::new(Method::PUT, path, Bytes::from(body))).await?;
        session.print_data(&String::from_utf8_lossy(&answer.body))?;
        return Ok(ExitStatus::SUCCESS);
    }
    let limit = args.timeout.as_deref().map(parse_timeout).transpose()?.flatten().unwrap_or(GONE_WITHIN);
    let patience = Patience { grace: args.grace_period.unwrap_or(0), limit };
    let mut tally = Tally::default();
    for document in args.files.read(session).await? {
        tally.note(replace_one(document, &args, &options, patience, session).await);
    }
    tally.finish(session)
}

/// How a deletion is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Seconds until the object must be gone.
    grace: u64,
    /// Longest wait.
    limit: Duration,
}

impl Patience {
    /// At once.
    pub(super) const NONE: Self = Self { grace: 0, limit: GONE_WITHIN };
}

async fn replace_one(
    mut document: Value,
    args: &ReplaceArgs,
    options: &CreateOptions,
    patience: Patience,
    session: &mut Session,
) -> anyhow::Result<()> {
    let discovery = session.discovery().await?;
    let kind = discovery.of_document(&document)?.clone();
    manifest::name_of(&document)?;
    let namespace = manifest::prepare(session, &kind, &mut document)?;
    if options.saves_config() {
        apply::remember(&mut document);
    }
    let dry_run = options.dry_run();
    let (client, query, scope) = (session.client()?, options.query(), namespace.as_deref());
    let stored = match (dry_run, args.force) {
        (DryRun::Client, _) => document,
        (_, true) => anew(&client, &kind, scope, document, (&query, patience)).await?,
        (_, false) => {
            let subresource = args.subresource.as_deref();
            replace(&client, &kind, scope, document, (&query, subresource)).await?
        }
    };
    print_done(session, &options.output, &kind, &stored, &dry_run.done("replaced"))
}

/// Puts a document in the place of an object; of the state that there is, unless the document names one.
async fn replace(
    client: &Client,
    kind: &ApiKind,
    namespace: Option<&str>,
    mut document: Value,
    (query, subresource): (&str, Option<&str>),
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
        match put_part(client, kind, namespace, &document, (query, subresource)).await {
            Err(error) if error.code() == Some(409) && !has_version && attempts < 5 => {}
            answered => return answered,
        }
    }
}

/// Deletes the object, waits until it is gone and creates it as the document says.
pub(super) async fn anew(
    client: &Client,
    kind: &ApiKind,
    namespace: Option<&str>,
    mut document: Value,
    (query, patience): (&str, Patience),
) -> anyhow::Result<Value> {
    let path = kind.resource().item(namespace, object::name(&document), None);
    match delete::delete_within(client, &path, patience.grace).await {
        Ok(uid) => {
            let gone = delete::wait_until_gone(client, &path, &uid);
            match tokio::time::timeout(patience.limit, gone).await {
                Ok(gone) => gone?,
                Err(_elapsed) => {
                    let text = format!("timed out waiting for {:?} to be deleted", object::name(&document));
                    return Err(error::TimedOut(text).into());
                }
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
