//! `cluster-info`: where the server is.

use clap::Args;

use crate::{environment::ExitStatus, session::Session};

/// Show where the server is, and whether it answers
///
/// Examples:
///   cluster-info
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ClusterInfoArgs {}

pub(crate) async fn run(_: ClusterInfoArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let (client, server) = (session.client()?, session.server()?);
    client.request(http::Method::GET, "/version", None, None).await?;
    session.say(&format!("Kubernetes control plane is running at {server}"))?;
    Ok(ExitStatus::SUCCESS)
}
