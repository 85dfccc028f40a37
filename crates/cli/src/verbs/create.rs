//! `create`: new objects, from documents or from flags.

mod accounts;
mod imagestream;
mod rbac;
mod route;
pub(crate) mod secret;
mod token;
mod workloads;

use anyhow::bail;
use bytes::Bytes;
use clap::{Args, Subcommand};
use http::Method;
use pierhead_api::selector::LabelSelector;
use pierhead_client::{ApiRequest, Client, ClientError};
use serde_json::{Value, json};

use super::{apply, edit};
use crate::{
    discovery::ApiKind,
    dry_run::{DryRun, DryRunArgs},
    environment::ExitStatus,
    manifest::{self, FileArgs},
    object,
    print::output::{OutputArgs, print_done},
    session::Session,
    tally::Tally,
};

/// Create objects from documents (-f) or from flags
///
/// Examples:
///   create -f app.yaml
///   create -f - <<API … API
///   create -f https://example.com/app.yaml --dry-run=server
///   create serviceaccount pusher
///   create token pusher --duration=1h
///   create secret docker-registry pull --docker-server=… --docker-username=… --docker-password=…
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct CreateArgs {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    files: FileArgs,
    /// Only documents with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Change the documents in an editor first
    #[arg(long)]
    edit: bool,
    /// POST the file to this path of the server and print the answer
    #[arg(long, value_name = "PATH")]
    raw: Option<String>,
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
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "strict", ignore_case = true,
          value_parser = ["strict", "warn", "ignore", "true", "false"], value_name = "HOW")]
    validate: Option<String>,
    /// Name to record as the owner of the fields
    #[arg(long, value_name = "NAME")]
    field_manager: Option<String>,
    /// Keep the document in an annotation, for a later apply
    #[arg(long)]
    save_config: bool,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Create a service account
    #[command(visible_alias = "sa")]
    Serviceaccount(NamedArgs),
    /// Create a namespace
    #[command(visible_alias = "ns")]
    Namespace(NamedArgs),
    Token(token::TokenArgs),
    User(accounts::UserArgs),
    Identity(accounts::IdentityArgs),
    Useridentitymapping(accounts::MappingArgs),
    #[command(visible_alias = "quota")]
    Resourcequota(accounts::QuotaArgs),
    #[command(visible_alias = "deploy")]
    Deployment(workloads::DeploymentArgs),
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
    let Some(what) = args.what else { return create_documents(&args, session).await };
    let named = |api_version: &str, kind: &str, name: &str| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    let (document, options) = match what {
        What::Serviceaccount(args) => (named("v1", "ServiceAccount", &args.name), args.options),
        What::Namespace(args) => (named("v1", "Namespace", &args.name), args.options),
        What::Token(args) => return token::run(args, session).await,
        What::User(args) => accounts::user(args),
        What::Identity(args) => accounts::identity(args)?,
        What::Useridentitymapping(args) => accounts::mapping(args),
        What::Resourcequota(args) => accounts::quota(args)?,
        What::Deployment(args) => workloads::deployment(args),
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

/// `create -f`: each document by itself; one that fails stops no other.
async fn create_documents(args: &CreateArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    if args.raw.is_some() && args.options.dry_run() != DryRun::None {
        bail!("--raw cannot be used with --dry-run");
    }
    if let Some(path) = &args.raw {
        return post_raw(&args.files, path, session).await;
    }
    if args.files.is_empty() {
        bail!("must specify -f, or what to create");
    }
    let selector: LabelSelector = args.selector.as_deref().unwrap_or_default().parse()?;
    let mut documents = args.files.read(session).await?;
    documents.retain(|document| manifest::is_selected(&selector, document));
    if args.edit {
        documents = edit::documents(documents, session)?;
    }
    let mut tally = Tally::default();
    for document in documents {
        tally.note(create_document(session, document, &args.options, "created").await);
    }
    tally.finish(session)
}

/// Sends a file as it is.
async fn post_raw(files: &FileArgs, path: &str, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let [file] = files.filenames.as_slice() else { bail!("--raw can only use a single local file or stdin") };
    let body = session.read_file(file)?;
    let answer = session.client()?.send(ApiRequest::new(Method::POST, path, Bytes::from(body))).await?;
    session.print_data(&String::from_utf8_lossy(&answer.body))?;
    Ok(ExitStatus::SUCCESS)
}

impl CreateOptions {
    /// The query of the request.
    pub(crate) fn query(&self) -> String {
        let validation = match self.validate.as_deref().map(str::to_lowercase).as_deref() {
            None | Some("true" | "strict") => "Strict",
            Some("warn") => "Warn",
            Some(_) => "Ignore",
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        let manager = self.field_manager.as_deref().unwrap_or("kubectl-create");
        query.append_pair("fieldManager", manager).append_pair("fieldValidation", validation);
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
        self.field_manager.get_or_insert_with(|| manager.to_owned());
        self
    }

    /// Whether the document is to be kept for a later `apply`.
    pub(crate) const fn saves_config(&self) -> bool {
        self.save_config
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
    if options.save_config {
        apply::remember(&mut document);
    }
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
    put_part(client, kind, namespace, document, (query, None)).await
}

/// Sends a changed object, or a subresource of it.
pub(crate) async fn put_part(
    client: &Client,
    kind: &ApiKind,
    namespace: Option<&str>,
    document: &Value,
    (query, subresource): (&str, Option<&str>),
) -> Result<Value, ClientError> {
    let mark = if query.is_empty() { "" } else { "?" };
    let item = kind.resource().item(namespace, object::name(document), subresource);
    let path = format!("{item}{mark}{query}");
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
