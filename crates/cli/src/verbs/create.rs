//! `create`: new objects, from documents or from flags.

mod imagestream;
mod rbac;
mod route;
pub(crate) mod secret;
mod workloads;

use bytes::Bytes;
use clap::{Args, Subcommand};
use http::Method;
use pierhead_client::{ApiRequest, Client, ClientError};
use serde_json::{Value, json};

use crate::{
    discovery::ApiKind,
    dry_run::{DryRun, DryRunArgs},
    environment::ExitStatus,
    manifest::{self, FileArgs},
    object,
    print::output::{OutputArgs, print_done},
    session::Session,
};

/// Create objects from documents (-f) or from flags
///
/// Examples:
///   create -f app.yaml
///   create -f - <<API … API
///   create serviceaccount pusher
///   create secret docker-registry pull --docker-server=… --docker-username=… --docker-password=…
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct CreateArgs {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    options: CreateOptions,
}

/// What every creation takes.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct CreateOptions {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    dry: DryRunArgs,
    /// strict, warn or ignore: what the server does about unknown fields
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "strict", value_name = "HOW")]
    validate: Option<String>,
    /// Name to record as the owner of the fields
    #[arg(long, default_value = "kubectl-create", value_name = "NAME", hide = true)]
    field_manager: String,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Create a service account
    #[command(visible_alias = "sa")]
    Serviceaccount(NamedArgs),
    /// Create a namespace
    #[command(visible_alias = "ns")]
    Namespace(NamedArgs),
    #[command(visible_alias = "is")]
    Imagestream(imagestream::ImageStreamArgs),
    #[command(subcommand)]
    Secret(secret::SecretKind),
    #[command(subcommand)]
    Route(route::RouteKind),
    Role(rbac::RoleArgs),
    Clusterrole(rbac::RoleArgs),
    Rolebinding(rbac::BindingArgs),
    Clusterrolebinding(rbac::BindingArgs),
    #[command(visible_alias = "cm")]
    Configmap(workloads::ConfigMapArgs),
    #[command(visible_alias = "dc")]
    Deploymentconfig(workloads::DeploymentConfigArgs),
    #[command(visible_alias = "istag")]
    Imagestreamtag(workloads::ImageStreamTagArgs),
    #[command(subcommand, visible_alias = "svc")]
    Service(workloads::ServiceKind),
}

/// A name and nothing else.
#[derive(Args, Debug)]
struct NamedArgs {
    /// Name of the object
    name: String,
    #[command(flatten)]
    options: CreateOptions,
}

pub(crate) async fn run(args: CreateArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let Some(what) = args.what else {
        for document in args.files.read(session)? {
            create_document(session, document, &args.options, "created").await?;
        }
        return Ok(ExitStatus::SUCCESS);
    };
    let named = |api_version: &str, kind: &str, name: &str| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    let (document, options) = match what {
        What::Serviceaccount(args) => (named("v1", "ServiceAccount", &args.name), args.options),
        What::Namespace(args) => (named("v1", "Namespace", &args.name), args.options),
        What::Imagestream(args) => imagestream::document(args),
        What::Secret(kind) => secret::document(kind, session)?,
        What::Route(kind) => route::document(kind, session).await?,
        What::Role(args) => rbac::role(args, false, session).await?,
        What::Clusterrole(args) => rbac::role(args, true, session).await?,
        What::Rolebinding(args) => rbac::binding(args, false, session)?,
        What::Clusterrolebinding(args) => rbac::binding(args, true, session)?,
        What::Configmap(args) => workloads::config_map(args, session)?,
        What::Deploymentconfig(args) => workloads::deployment_config(args),
        What::Imagestreamtag(args) => workloads::image_stream_tag(args)?,
        What::Service(kind) => workloads::service(kind)?,
    };
    create_document(session, document, &options, "created").await?;
    Ok(ExitStatus::SUCCESS)
}

impl CreateOptions {
    /// The query of the request.
    pub(crate) fn query(&self) -> String {
        let validation = match self.validate.as_deref() {
            None | Some("true" | "strict" | "Strict") => "Strict",
            Some("warn" | "Warn") => "Warn",
            Some(_) => "Ignore",
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("fieldManager", &self.field_manager).append_pair("fieldValidation", validation);
        if self.dry_run() == DryRun::Server {
            query.append_pair("dryRun", "All");
        }
        query.finish()
    }

    /// Whether it is only tried.
    pub(crate) const fn dry_run(&self) -> DryRun {
        self.dry.dry_run
    }

    /// The same options with another name for the owner of the fields.
    pub(crate) fn managed_by(mut self, manager: &str) -> Self {
        if self.field_manager == "kubectl-create" || self.field_manager.is_empty() {
            manager.clone_into(&mut self.field_manager);
        }
        self
    }
}

/// Creates one object and says so; gives it as the server stored it.
pub(crate) async fn create_document(
    session: &mut Session,
    mut document: Value,
    options: &CreateOptions,
    done: &str,
) -> anyhow::Result<Value> {
    let discovery = session.discovery().await?;
    let kind = discovery.of_document(&document)?.clone();
    let namespace = manifest::prepare(session, &kind, &mut document)?;
    let stored = if options.dry_run() == DryRun::Client {
        document
    } else {
        let client = session.client()?;
        post(&client, &kind, namespace.as_deref(), &document, &options.query()).await?
    };
    print_done(session, &options.output, &kind, &stored, &options.dry_run().done(done))?;
    Ok(stored)
}

/// Sends a new object.
pub(crate) async fn post(
    client: &Client,
    kind: &ApiKind,
    namespace: Option<&str>,
    document: &Value,
    query: &str,
) -> Result<Value, ClientError> {
    let mark = if query.is_empty() { "" } else { "?" };
    let path = format!("{}{mark}{query}", kind.resource().collection(namespace));
    let mut stored = client.request(Method::POST, &path, None, Some(document)).await?;
    name_kind(kind, &mut stored);
    Ok(stored)
}

/// Sends a changed object.
pub(crate) async fn put(
    client: &Client,
    kind: &ApiKind,
    namespace: Option<&str>,
    document: &Value,
    query: &str,
) -> Result<Value, ClientError> {
    let mark = if query.is_empty() { "" } else { "?" };
    let path = format!("{}{mark}{query}", kind.resource().item(namespace, object::name(document), None));
    let body = serde_json::to_vec(document).map_err(ClientError::Encode)?;
    let request = ApiRequest::new(Method::PUT, path.clone(), Bytes::from(body));
    let mut stored = client.send(request).await?.json(&path)?;
    name_kind(kind, &mut stored);
    Ok(stored)
}

fn name_kind(kind: &ApiKind, stored: &mut Value) {
    if object::text(stored, "kind").is_empty() {
        object::set_text(stored, "apiVersion", &kind.api_version());
        object::set_text(stored, "kind", &kind.kind);
    }
}
