//! `replace`: put documents in the place of objects.

use bytes::Bytes;
use clap::Args;
use http::Method;
use pierhead_client::{ApiRequest, ClientError};

use super::create::{CreateOptions, post, put};
use crate::{
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

pub(crate) async fn run(args: ReplaceArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let options = args.options.clone().managed_by("kubectl-replace");
    for mut document in args.files.read(session)? {
        let discovery = session.discovery().await?;
        let kind = discovery.of_document(&document)?.clone();
        manifest::name_of(&document)?;
        let namespace = manifest::prepare(session, &kind, &mut document)?;
        let client = session.client()?;
        let path = kind.resource().item(namespace.as_deref(), object::name(&document), None);
        if args.force {
            match client.send(ApiRequest::new(Method::DELETE, path, Bytes::new())).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
            let metadata = object::object_mut(&mut document, "metadata");
            metadata.remove("resourceVersion");
            metadata.remove("uid");
            let stored = post(&client, &kind, namespace.as_deref(), &document, &options.query()).await?;
            print_done(session, &options.output, &kind, &stored, &options.done("replaced"))?;
            continue;
        }
        let has_version = !object::text(&document, "metadata.resourceVersion").is_empty();
        let mut attempts = 0;
        let stored = loop {
            attempts += 1;
            if !has_version {
                let current = client.request(Method::GET, &path, None, None).await?;
                let version = object::text(&current, "metadata.resourceVersion").to_owned();
                object::set_text(&mut document, "metadata.resourceVersion", &version);
            }
            match put(&client, &kind, namespace.as_deref(), &document, &options.query()).await {
                Err(ClientError::Api(status)) if status.code == 409 && !has_version && attempts < 5 => {}
                answered => break answered?,
            }
        };
        print_done(session, &options.output, &kind, &stored, &options.done("replaced"))?;
    }
    Ok(ExitStatus::SUCCESS)
}
