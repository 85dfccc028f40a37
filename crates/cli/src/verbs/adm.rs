//! `adm`: verbs for administrators.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::{
    create::{CreateOptions, create_document, post},
    policy,
};
use crate::{
    dry_run::{DryRun, DryRunArgs},
    environment::ExitStatus,
    object,
    session::Session,
};

mod group_sync;
mod prune;
mod top;
mod usage;

/// Administer the cluster
#[derive(Args, Debug)]
pub(crate) struct AdmArgs {
    #[command(subcommand)]
    verb: AdmVerb,
}

#[derive(Subcommand, Debug)]
enum AdmVerb {
    /// Grant, withdraw and look up roles
    #[command(subcommand)]
    Policy(policy::AdmPolicyVerb),
    /// Make a project for somebody
    NewProject(NewProjectArgs),
    /// Make groups and change who is in them
    #[command(subcommand)]
    Groups(GroupsVerb),
    /// Remove what nobody needs
    #[command(subcommand)]
    Prune(prune::PruneVerb),
    /// Show what takes the most
    #[command(subcommand)]
    Top(top::TopVerb),
}

#[derive(Args, Debug)]
struct NewProjectArgs {
    /// Name of the project
    name: String,
    /// User who becomes its administrator
    #[arg(long, value_name = "USER")]
    admin: Option<String>,
    /// Role of that user
    #[arg(long, default_value = "admin", value_name = "ROLE")]
    admin_role: String,
    /// Name for people
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Labels of the nodes that its pods may run on
    #[arg(long, value_name = "SELECTOR")]
    node_selector: Option<String>,
}

#[derive(Subcommand, Debug)]
enum GroupsVerb {
    Sync(Box<group_sync::SyncArgs>),
    Prune(group_sync::PruneArgs),
    #[command(flatten)]
    Members(MembersVerb),
}

#[derive(Subcommand, Debug)]
enum MembersVerb {
    /// Make a group
    New {
        /// Name of the group
        name: String,
        /// Users in it
        users: Vec<String>,
        #[command(flatten)]
        options: Box<CreateOptions>,
    },
    /// Add users to a group
    AddUsers {
        /// Name of the group
        name: String,
        /// Users to add
        #[arg(required = true)]
        users: Vec<String>,
        #[command(flatten)]
        dry: DryRunArgs,
    },
    /// Remove users from a group
    RemoveUsers {
        /// Name of the group
        name: String,
        /// Users to remove
        #[arg(required = true)]
        users: Vec<String>,
        #[command(flatten)]
        dry: DryRunArgs,
    },
}

pub(crate) async fn run(args: AdmArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    match args.verb {
        AdmVerb::Policy(verb) => policy::run_adm(verb, session).await,
        AdmVerb::NewProject(args) => new_project(args, session).await,
        AdmVerb::Groups(verb) => groups(verb, session).await,
        AdmVerb::Prune(verb) => prune::run(verb, session).await,
        AdmVerb::Top(verb) => top::run(verb, session).await,
    }
}

async fn new_project(args: NewProjectArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let client = session.client()?;
    let mut annotations = serde_json::Map::new();
    for (key, value) in [
        ("openshift.io/display-name", &args.display_name),
        ("openshift.io/description", &args.description),
        ("openshift.io/requester", &args.admin),
        ("openshift.io/node-selector", &args.node_selector),
    ] {
        if let Some(value) = value {
            annotations.insert(key.to_owned(), Value::from(value.as_str()));
        }
    }
    let projects = match discovery.known("project.openshift.io", "projects") {
        Ok(projects) => projects,
        Err(_) => discovery.known("", "namespaces")?,
    };
    let project = json!({
        "apiVersion": projects.api_version(), "kind": projects.kind,
        "metadata": {"name": args.name, "annotations": annotations},
    });
    post(&client, projects, None, &project, "").await?;
    session.say(&format!("Created project {}", args.name))?;
    if let Some(admin) = &args.admin {
        let group = "rbac.authorization.k8s.io";
        let binding = json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": args.admin_role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": admin}],
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": args.admin_role},
        });
        let bindings = discovery.known(group, "rolebindings")?;
        post(&client, bindings, Some(&args.name), &binding, "")
            .await
            .with_context(|| format!("{} could not be added to the {} role", admin, args.admin_role))?;
    }
    Ok(ExitStatus::SUCCESS)
}

async fn groups(verb: GroupsVerb, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let verb = match verb {
        GroupsVerb::Sync(args) => return group_sync::sync(*args, session).await,
        GroupsVerb::Prune(args) => return group_sync::prune(args, session).await,
        GroupsVerb::Members(verb) => verb,
    };
    let discovery = session.discovery().await?;
    let client = session.client()?;
    let kind = discovery.known("user.openshift.io", "groups")?.clone();
    let (name, users, done, dry_run) = match verb {
        MembersVerb::New { name, users, options } => {
            let group = json!({
                "apiVersion": kind.api_version(), "kind": "Group", "metadata": {"name": name}, "users": users,
            });
            create_document(session, group, &options, "created").await?;
            return Ok(ExitStatus::SUCCESS);
        }
        MembersVerb::AddUsers { name, users, dry } => (name, users, "added", dry.dry_run),
        MembersVerb::RemoveUsers { name, users, dry } => (name, users, "removed", dry.dry_run),
    };
    let path = kind.resource().item(None, &name, None);
    let mut group = client.request(Method::GET, &path, None, None).await?;
    let mut members: Vec<Value> = object::list(&group, "users").to_vec();
    for user in &users {
        let known = members.iter().any(|member| member.as_str() == Some(user.as_str()));
        if done == "added" && !known {
            members.push(Value::from(user.as_str()));
        } else if done == "removed" {
            members.retain(|member| member.as_str() != Some(user.as_str()));
        }
    }
    group["users"] = Value::Array(members);
    if dry_run != DryRun::Client {
        let path = format!("{path}?{}", dry_run.query());
        client.request(Method::PUT, path.trim_end_matches('?'), None, Some(&group)).await?;
    }
    let done = dry_run.done(done);
    let names: Vec<String> = users.iter().map(|user| format!("{user:?}")).collect();
    session.say(&format!("{}/{name} {done}: {}", kind.display_name(), names.join(" ")))?;
    Ok(ExitStatus::SUCCESS)
}
