//! `version`: of the client and of the server.

use clap::Args;
use http::Method;
use serde_json::json;

use crate::{
    environment::ExitStatus,
    object,
    print::output::{Form, OutputArgs, print_objects},
    session::Session,
};

/// Show the versions of client and server
///
/// Examples:
///   version
///   version --client -o json
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct VersionArgs {
    /// Only the client's
    #[arg(long)]
    client: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: VersionArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let own = env!("CARGO_PKG_VERSION");
    let form = args.output.form(session)?;
    let server = if args.client {
        None
    } else {
        Some(session.client()?.request(Method::GET, "/version", None, None).await?)
    };
    if !matches!(form, Form::Table { .. }) {
        let mut document = json!({"clientVersion": {"gitVersion": format!("v{own}")}});
        if let Some(server) = server {
            document["serverVersion"] = server;
        }
        print_objects(session, &form, vec![document], false, true)?;
        return Ok(ExitStatus::SUCCESS);
    }
    session.say(&format!("Client Version: {own}"))?;
    if server.is_some()
        && let Ok(openshift) = session.client()?.request(Method::GET, "/version/openshift", None, None).await
    {
        session.say(&format!(
            "Server Version: {}",
            object::text(&openshift, "gitVersion").trim_start_matches('v')
        ))?;
    }
    if let Some(server) = server {
        session.say(&format!("Kubernetes Version: {}", object::text(&server, "gitVersion")))?;
    }
    Ok(ExitStatus::SUCCESS)
}
