//! `project`, `projects`: which project to work in (platform 3.3).

use anyhow::bail;
use clap::Args;
use http::Method;
use pierhead_client::{
    Client, ClientError,
    kubeconfig::{Context, context_name, split_context_name},
};
use serde_json::Value;

use crate::{environment::ExitStatus, error::Silent, object, session::Session};

const PROJECTS: &str = "/apis/project.openshift.io/v1/projects";

/// Show the current project, or switch to another one
///
/// Examples:
///   project
///   project pushed
///   project pushed/api-example-com:8443/ed
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ProjectArgs {
    /// Project (or context) to switch to
    name: Option<String>,
    /// Print only the name
    #[arg(short = 'q', long)]
    short: bool,
}

/// List the projects you may see
///
/// Examples:
///   projects
///   projects -q
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ProjectsArgs {
    /// Print only the names
    #[arg(short = 'q', long)]
    short: bool,
}

/// The names of the projects that the user may see.
pub(crate) async fn names(client: &Client) -> Result<Vec<String>, ClientError> {
    let mut names: Vec<String> =
        list(client).await?.iter().map(|project| object::name(project).to_owned()).collect();
    names.sort();
    Ok(names)
}

async fn list(client: &Client) -> Result<Vec<Value>, ClientError> {
    let answer = match client.request(Method::GET, PROJECTS, None, None).await {
        // Kubernetes has namespaces only, which not everybody may list.
        Err(error) if error.is_not_found() => {
            client.request(Method::GET, "/api/v1/namespaces", None, None).await?
        }
        answered => answered?,
    };
    Ok(object::list(&answer, "items").to_vec())
}

/// The project, or the namespace on servers without projects.
async fn find(client: &Client, name: &str) -> Result<(), ClientError> {
    let name = pierhead_client::escape(name);
    match client.request(Method::GET, &format!("{PROJECTS}/{name}"), None, None).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() || error.is_forbidden() => {
            let path = format!("/api/v1/namespaces/{name}");
            client.request(Method::GET, &path, None, None).await.map(|_| ()).or(Err(error))
        }
        Err(error) => Err(error),
    }
}

pub(crate) async fn run(args: ProjectArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    match &args.name {
        Some(name) => switch(name, args.short, session).await,
        None => show(args.short, session).await,
    }
}

async fn show(short: bool, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let context = session.kubeconfig()?.config.current().cloned();
    let current = session.globals.namespace.clone().or(context.and_then(|context| context.namespace));
    let Some(current) = current else {
        bail!("No project has been set. Pass a project name to make that the default.");
    };
    if short {
        session.say(&current)?;
        return Ok(ExitStatus::SUCCESS);
    }
    let client = session.client()?;
    let server = session.server()?;
    match find(&client, &current).await {
        Ok(()) => {}
        Err(error) if error.is_not_found() || error.is_forbidden() => bail!(
            "you do not have rights to view project {current:?} specified in your config or the project doesn't exist"
        ),
        Err(error) => return Err(error.into()),
    }
    session.say(&format!("Using project {current:?} on server {server:?}."))?;
    Ok(ExitStatus::SUCCESS)
}

async fn switch(name: &str, short: bool, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let config = session.kubeconfig()?.config.clone();
    if let Some(context) = config.contexts.get(name).filter(|_| split_context_name(name).is_some()) {
        session.kubeconfig()?.config.current_context = name.to_owned();
        session.kubeconfig()?.save()?;
        let project = context.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let server =
            config.clusters.get(&context.cluster).map(|cluster| cluster.server.clone()).unwrap_or_default();
        let line = if short {
            project
        } else {
            format!("Now using project {project:?} from context named {name:?} on server {server:?}.")
        };
        session.say(&line)?;
        return Ok(ExitStatus::SUCCESS);
    }
    let client = session.client()?;
    let server = session.server()?;
    if let Err(error) = find(&client, name).await {
        return refuse(name, &server, error, &client, session).await;
    }
    let already = config.current().and_then(|context| context.namespace.as_deref()) == Some(name);
    if !already {
        set_current(session, name)?;
    }
    let line = match (short, already) {
        (true, _) => name.to_owned(),
        (false, true) => format!("Already on project {name:?} on server {server:?}."),
        (false, false) => format!("Now using project {name:?} on server {server:?}."),
    };
    session.say(&line)?;
    Ok(ExitStatus::SUCCESS)
}

async fn refuse(
    name: &str,
    server: &str,
    error: ClientError,
    client: &Client,
    session: &mut Session,
) -> anyhow::Result<ExitStatus> {
    let is_missing = error.is_not_found();
    let mut text = if error.is_forbidden() {
        format!("error: You are not a member of project {name:?}.\n")
    } else if is_missing {
        format!("error: A project named {name:?} does not exist on {server:?}.\n")
    } else {
        return Err(error.into());
    };
    let names = names(client).await.unwrap_or_default();
    match names.as_slice() {
        [] => {}
        [only] => text.push_str(&format!("You have one project on this server: {only}\n")),
        names => {
            text.push_str("Your projects are:\n");
            text.extend(names.iter().map(|name| format!("* {name}\n")));
        }
    }
    if is_missing {
        text.push_str("To see projects on another server, pass '--server=<server>'.\n");
    }
    session.remark(text.trim_end())?;
    Err(Silent(ExitStatus::FAILURE).into())
}

/// Makes a project the one that later commands work in.
pub(crate) fn set_current(session: &mut Session, project: &str) -> anyhow::Result<()> {
    let kubeconfig = session.kubeconfig()?;
    let Some(current) = kubeconfig.config.current().cloned() else {
        // Whoever says everything by flags has nothing to remember it in.
        return Ok(());
    };
    let user = current.user.strip_suffix(&format!("/{}", current.cluster)).unwrap_or(&current.user);
    let name = context_name(project, &current.cluster, user);
    let known = kubeconfig.config.contexts.get(&name).cloned().unwrap_or_default();
    let context = Context {
        cluster: current.cluster.clone(),
        user: current.user.clone(),
        namespace: Some(project.to_owned()),
        ..known
    };
    kubeconfig.config.contexts.insert(name.clone(), context);
    kubeconfig.config.current_context = name;
    kubeconfig.save()?;
    Ok(())
}

pub(crate) async fn run_list(args: ProjectsArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let client = session.client()?;
    let server = session.server()?;
    let mut projects = list(&client).await?;
    projects.sort_by(|a, b| object::name(a).cmp(object::name(b)));
    if args.short {
        for project in &projects {
            session.say(object::name(project))?;
        }
        return Ok(ExitStatus::SUCCESS);
    }
    let current = session.namespace()?;
    let shown = |project: &Value| {
        let annotations = object::string_map(project, "metadata.annotations");
        let display = annotations.iter().find(|(key, _)| *key == "openshift.io/display-name");
        match display.filter(|(_, name)| !name.is_empty()) {
            Some((_, display)) => format!("{} - {display}", object::name(project)),
            None => object::name(project).to_owned(),
        }
    };
    match projects.as_slice() {
        [] => session.say(
            "You are not a member of any projects. You can request a project to be created with the 'new-project' command.",
        )?,
        [only] => session.say(&format!("You have one project on this server: \"{}\".\n", shown(only)))?,
        projects => {
            session.say("You have access to the following projects and can switch between them with 'oc project <projectname>':\n")?;
            for project in projects {
                let mark = if object::name(project) == current { "*" } else { " " };
                session.say(&format!("  {mark} {}", shown(project)))?;
            }
            session.say("")?;
        }
    }
    if projects.iter().any(|project| object::name(project) == current) {
        session.say(&format!("Using project {current:?} on server {server:?}."))?;
    }
    Ok(ExitStatus::SUCCESS)
}
