//! `create user|identity|useridentitymapping|quota`.

use anyhow::bail;
use clap::Args;
use serde_json::{Map, Value, json};

use super::CreateOptions;

/// Create a user, for servers where logging in does not
///
/// Examples:
///   create user ed --full-name='Ed Example'
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct UserArgs {
    /// Name of the user
    name: String,
    /// Name for people
    #[arg(long, value_name = "TEXT")]
    full_name: Option<String>,
    #[command(flatten)]
    options: CreateOptions,
}

/// Create an identity: somebody as an identity provider knows them
///
/// Examples:
///   create identity htpasswd:ed
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct IdentityArgs {
    /// PROVIDER:NAME
    name: String,
    #[command(flatten)]
    options: CreateOptions,
}

/// Let an identity log in as a user
///
/// Examples:
///   create useridentitymapping htpasswd:ed ed
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct MappingArgs {
    /// PROVIDER:NAME of the identity
    identity: String,
    /// Name of the user
    #[arg(value_name = "USER")]
    mapped: String,
    #[command(flatten)]
    options: CreateOptions,
}

/// Create a limit on what a project may hold
///
/// Examples:
///   create quota images --hard=openshift.io/imagestreams=10,secrets=20
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct QuotaArgs {
    /// Name of the quota
    name: String,
    /// RESOURCE=AMOUNT,…
    #[arg(long, value_delimiter = ',', value_name = "RESOURCE=AMOUNT")]
    hard: Vec<String>,
    /// Scopes it is for
    #[arg(long, value_delimiter = ',', value_name = "SCOPE")]
    scopes: Vec<String>,
    #[command(flatten)]
    options: CreateOptions,
}

const USERS: &str = "user.openshift.io/v1";

pub(super) fn user(args: UserArgs) -> (Value, CreateOptions) {
    let mut user = json!({"apiVersion": USERS, "kind": "User", "metadata": {"name": args.name}});
    if let Some(name) = &args.full_name {
        user["fullName"] = json!(name);
    }
    (user, args.options)
}

pub(super) fn identity(args: IdentityArgs) -> anyhow::Result<(Value, CreateOptions)> {
    let Some((provider, name)) = args.name.split_once(':').filter(|(a, b)| !a.is_empty() && !b.is_empty())
    else {
        bail!("identity name in the format <PROVIDER_NAME>:<PROVIDER_USER_NAME> is required");
    };
    let identity = json!({
        "apiVersion": USERS, "kind": "Identity", "metadata": {"name": args.name},
        "providerName": provider, "providerUserName": name,
    });
    Ok((identity, args.options))
}

pub(super) fn mapping(args: MappingArgs) -> (Value, CreateOptions) {
    let mapping = json!({
        "apiVersion": USERS, "kind": "UserIdentityMapping", "metadata": {"name": args.identity},
        "identity": {"name": args.identity}, "user": {"name": args.mapped},
    });
    (mapping, args.options)
}

pub(super) fn quota(args: QuotaArgs) -> anyhow::Result<(Value, CreateOptions)> {
    let mut hard = Map::new();
    for amount in &args.hard {
        let Some((resource, amount)) = amount.split_once('=').filter(|(a, b)| !a.is_empty() && !b.is_empty())
        else {
            bail!("invalid argument syntax {amount:?}, expected <resource>=<value>");
        };
        hard.insert(resource.to_owned(), json!(amount));
    }
    let mut spec = json!({"hard": hard});
    if !args.scopes.is_empty() {
        spec["scopes"] = json!(args.scopes);
    }
    let quota =
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": args.name}, "spec": spec});
    Ok((quota, args.options))
}
