//! `api-versions`: the groups of the server with their versions.

use clap::Args;

use crate::{environment::ExitStatus, session::Session};

/// List the groups and versions that the server has
///
/// Examples:
///   api-versions
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ApiVersionsArgs {}

pub(crate) async fn run(_: ApiVersionsArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let mut versions: Vec<String> = discovery.kinds.iter().map(|kind| kind.api_version()).collect();
    versions.sort();
    versions.dedup();
    for version in versions {
        session.say(&version)?;
    }
    Ok(ExitStatus::SUCCESS)
}
