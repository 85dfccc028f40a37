//! `create role|clusterrole|rolebinding|clusterrolebinding`.

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::CreateOptions;
use crate::session::Session;

const API_VERSION: &str = "rbac.authorization.k8s.io/v1";
const GROUP: &str = "rbac.authorization.k8s.io";

/// Create a role with one rule per group of resources
#[derive(Args, Debug)]
pub(crate) struct RoleArgs {
    /// Name of the role
    name: String,
    /// Verbs the role allows
    #[arg(long, value_delimiter = ',', required = true, value_name = "VERB")]
    verb: Vec<String>,
    /// Resources, as plural[.group][/subresource]
    #[arg(long, value_delimiter = ',', value_name = "RESOURCE")]
    resource: Vec<String>,
    /// Only objects with these names
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    resource_name: Vec<String>,
    /// Paths that are not resources
    #[arg(long, value_delimiter = ',', value_name = "PATH")]
    non_resource_url: Vec<String>,
    #[command(flatten)]
    options: CreateOptions,
}

/// Bind a role to users, groups and service accounts
#[derive(Args, Debug)]
pub(crate) struct BindingArgs {
    /// Name of the binding
    name: String,
    /// Cluster role to bind
    #[arg(long, value_name = "ROLE")]
    clusterrole: Option<String>,
    /// Role of the project to bind
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Users to bind it to
    #[arg(long = "user-name", visible_alias = "binding-user", value_name = "USER")]
    users: Vec<String>,
    /// Groups to bind it to
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Service accounts to bind it to, as project:name
    #[arg(long = "serviceaccount", value_name = "PROJECT:NAME")]
    service_accounts: Vec<String>,
    #[command(flatten)]
    options: CreateOptions,
}

pub(super) async fn role(
    args: RoleArgs,
    cluster: bool,
    session: &mut Session,
) -> anyhow::Result<(Value, CreateOptions)> {
    let mut rules: Vec<Value> = Vec::new();
    if args.resource.is_empty() && args.non_resource_url.is_empty() {
        bail!("at least one resource must be specified");
    }
    let discovery = session.discovery().await?;
    let mut by_group: Vec<(String, Vec<String>)> = Vec::new();
    for resource in &args.resource {
        let (name, subresource) = resource
            .split_once('/')
            .map_or((resource.as_str(), String::new()), |(name, sub)| (name, format!("/{sub}")));
        let (group, plural) = match discovery.find(name) {
            _ if name == "*" => ("*".to_owned(), "*".to_owned()),
            Some(kind) => (kind.group.clone(), kind.plural.clone()),
            None => match name.split_once('.') {
                Some((plural, group)) => (group.to_owned(), plural.to_owned()),
                None => bail!("the server doesn't have a resource type {name:?}"),
            },
        };
        let entry = format!("{plural}{subresource}");
        match by_group.iter_mut().find(|(known, _)| *known == group) {
            Some((_, resources)) => resources.push(entry),
            None => by_group.push((group, vec![entry])),
        }
    }
    for (group, resources) in by_group {
        let mut rule = json!({"verbs": args.verb, "apiGroups": [group], "resources": resources});
        if !args.resource_name.is_empty() {
            rule["resourceNames"] = json!(args.resource_name);
        }
        rules.push(rule);
    }
    if !args.non_resource_url.is_empty() {
        rules.push(json!({"verbs": args.verb, "nonResourceURLs": args.non_resource_url}));
    }
    let kind = if cluster { "ClusterRole" } else { "Role" };
    let document =
        json!({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": args.name}, "rules": rules});
    Ok((document, args.options))
}

pub(super) fn binding(
    args: BindingArgs,
    cluster: bool,
    session: &mut Session,
) -> anyhow::Result<(Value, CreateOptions)> {
    let role = match (&args.clusterrole, &args.role, cluster) {
        (Some(name), None, _) => json!({"apiGroup": GROUP, "kind": "ClusterRole", "name": name}),
        (None, Some(name), false) => json!({"apiGroup": GROUP, "kind": "Role", "name": name}),
        (_, _, true) => bail!("exactly one --clusterrole must be specified"),
        (_, _, false) => bail!("exactly one of --clusterrole or --role must be specified"),
    };
    let mut subjects = Vec::new();
    // With this verb `--user` names a subject, not an entry of the kubeconfig.
    let users = std::mem::take(&mut session.globals.user);
    for user in args.users.iter().chain(&users) {
        subjects.push(json!({"apiGroup": GROUP, "kind": "User", "name": user}));
    }
    for group in &args.groups {
        subjects.push(json!({"apiGroup": GROUP, "kind": "Group", "name": group}));
    }
    for account in &args.service_accounts {
        let Some((namespace, name)) = account.split_once(':').filter(|(namespace, _)| !namespace.is_empty())
        else {
            bail!("serviceaccount must be <namespace>:<name>");
        };
        subjects.push(json!({"kind": "ServiceAccount", "namespace": namespace, "name": name}));
    }
    let kind = if cluster { "ClusterRoleBinding" } else { "RoleBinding" };
    let document = json!({
        "apiVersion": API_VERSION, "kind": kind, "metadata": {"name": args.name}, "subjects": subjects, "roleRef": role,
    });
    Ok((document, args.options))
}
