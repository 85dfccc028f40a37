//! `new-project`: request a project and work in it (platform 3.1).

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::project;
use crate::{environment::ExitStatus, session::Session};

/// Request a new project and switch to it
///
/// Examples:
///   new-project pushed
///   new-project shop --display-name='The shop' --description='What customers see'
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct NewProjectArgs {
    /// Name of the project
    name: String,
    /// Name for people
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Do not switch to it
    #[arg(long)]
    skip_config_write: bool,
}

pub(crate) async fn run(args: NewProjectArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let client = session.client()?;
    let server = session.server()?;
    let path = "/apis/project.openshift.io/v1/projectrequests";
    // Only the refusal matters: it says whom to ask.
    match client.request(Method::GET, path, None, None).await {
        Ok(_) => {}
        Err(error) if error.is_not_found() => {
            let namespace = namespace(&args);
            client.request(Method::POST, "/api/v1/namespaces", None, Some(&namespace)).await?;
            return finish(&args, &server, session);
        }
        Err(error) => return Err(error.into()),
    }
    let request = json!({
        "apiVersion": "project.openshift.io/v1",
        "kind": "ProjectRequest",
        "metadata": {"name": args.name},
        "displayName": args.display_name.as_deref().unwrap_or_default(),
        "description": args.description.as_deref().unwrap_or_default(),
    });
    client.request(Method::POST, path, None, Some(&request)).await?;
    finish(&args, &server, session)
}

/// What Kubernetes has in the place of a project: whoever may make one owns it.
fn namespace(args: &NewProjectArgs) -> Value {
    let mut namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": args.name}});
    for (key, value) in
        [("openshift.io/display-name", &args.display_name), ("openshift.io/description", &args.description)]
    {
        if let Some(value) = value {
            namespace["metadata"]["annotations"][key] = json!(value);
        }
    }
    namespace
}

fn finish(args: &NewProjectArgs, server: &str, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let name = &args.name;
    if args.skip_config_write {
        session.say(&format!(
            "Project {name:?} created on server {server:?}.\n\nTo switch to this project and start adding applications, use:\n\n    oc project {name}"
        ))?;
        return Ok(ExitStatus::SUCCESS);
    }
    project::set_current(session, name)?;
    session.say(&format!("Now using project {name:?} on server {server:?}."))?;
    Ok(ExitStatus::SUCCESS)
}
