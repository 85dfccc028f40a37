//! `explain`: what the fields of a kind are, as the server describes them (platform 1.4). The layout is kubectl's.
//!
//! Owns the way to the description: the third version of OpenAPI, of whichever server. How it is written is below.

mod layout;

use anyhow::{Context as _, bail};
use clap::Args;
use http::Method;
use pierhead_client::Client;
use serde_json::Value;

use crate::{
    discovery::{ApiKind, Discovery},
    environment::ExitStatus,
    object,
    session::Session,
};

/// Show the fields of a kind
///
/// Examples:
///   explain dc
///   explain dc.spec.strategy
///   explain pods --recursive
///   explain events --api-version=events.k8s.io/v1
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ExplainArgs {
    /// TYPE[.FIELD…]
    #[arg(value_name = "TYPE")]
    subject: String,
    /// Show the fields of fields, too
    #[arg(long)]
    recursive: bool,
    /// Group and version of the kind, where several have one of this name
    #[arg(long, value_name = "GROUP/VERSION")]
    api_version: Option<String>,
    /// What the description is read from, which changes nothing of how it looks
    #[arg(long, value_parser = ["plaintext", "plaintext-openapiv2"], hide = true, value_name = "FORM")]
    output: Option<String>,
}

pub(crate) async fn run(args: ExplainArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let client = session.client()?;
    let (kind, path) = subject(&discovery, &args)?;
    let document = description(&client, kind).await?;
    let Some(root) = find_kind(&document, kind) else {
        bail!("couldn't find resource for {:?} in the server's description", kind.kind);
    };
    session.print(
        &layout::Explanation { document: &document, kind, recursive: args.recursive }.of(root, &path)?,
    )?;
    Ok(ExitStatus::SUCCESS)
}

/// The kind and the field that are meant: `deploymentconfigs.apps.openshift.io` is a kind, `dc.spec` a kind and a field.
fn subject<'d, 'a>(
    discovery: &'d Discovery,
    args: &'a ExplainArgs,
) -> anyhow::Result<(&'d ApiKind, Vec<&'a str>)> {
    if args.api_version.is_none()
        && let Some(kind) = discovery.find(&args.subject)
    {
        return Ok((kind, Vec::new()));
    }
    let mut words = args.subject.split('.');
    let word = words.next().unwrap_or_default();
    let kind = match &args.api_version {
        None => discovery.resolve(word)?,
        Some(version) => {
            let plural = &discovery.resolve(word)?.plural;
            let found =
                discovery.kinds.iter().find(|kind| kind.plural == *plural && kind.api_version() == *version);
            match found {
                Some(kind) => kind,
                None => bail!("the server doesn't have a resource type {word:?} in {version:?}"),
            }
        }
    };
    Ok((kind, words.filter(|word| !word.is_empty()).collect()))
}

/// The OpenAPI document of a kind's group and version.
async fn description(client: &Client, kind: &ApiKind) -> anyhow::Result<Value> {
    // Kubernetes sends this one as text.
    let index = match client.request(Method::GET, "/openapi/v3", None, None).await? {
        Value::String(text) => serde_json::from_str(&text).context("the index of descriptions")?,
        index => index,
    };
    let name = match kind.group.as_str() {
        "" => format!("api/{}", kind.version),
        group => format!("apis/{group}/{}", kind.version),
    };
    let entry = index.get("paths").and_then(|paths| paths.get(&name));
    let Some(url) = entry.and_then(|entry| entry.get("serverRelativeURL")).and_then(Value::as_str) else {
        bail!("the server does not describe {name}");
    };
    Ok(client.request(Method::GET, url, None, None).await?)
}

fn find_kind<'d>(document: &'d Value, kind: &ApiKind) -> Option<&'d Value> {
    let schemas = object::at(document, "components.schemas")?.as_object()?;
    schemas.values().find(|schema| {
        schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array).is_some_and(|kinds| {
            kinds.iter().any(|known| {
                object::text(known, "group") == kind.group
                    && object::text(known, "version") == kind.version
                    && object::text(known, "kind") == kind.kind
            })
        })
    })
}
