//! Entries of the kubeconfig by flags: contexts, clusters, users.

use std::path::Path;

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use pierhead_client::{Proxy, kubeconfig::Config};
use serde_json::{Value, json};

use crate::session::Session;

/// Make a context, or change one
///
/// Examples:
///   config set-context --current --namespace=shop
///   config set-context shop --cluster=api-example-com:8443 --user=ed/api-example-com:8443 -n shop
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct SetContextArgs {
    /// Name of the context
    name: Option<String>,
    /// The current context
    #[arg(long, conflicts_with = "name")]
    current: bool,
}

pub(super) fn set_context(args: SetContextArgs, session: &mut Session) -> anyhow::Result<()> {
    let (cluster, user) = (session.globals.cluster.clone(), session.globals.user.last().cloned());
    let namespace = session.globals.namespace.clone();
    let kubeconfig = session.kubeconfig()?;
    let name = match args.name {
        Some(name) => name,
        None if !args.current => bail!("either --current or a context name is required"),
        None => {
            let name = kubeconfig.config.current_context.clone();
            if name.is_empty() {
                bail!("no current context is set");
            }
            name
        }
    };
    let is_new = !kubeconfig.config.contexts.contains_key(&name);
    let context = kubeconfig.config.contexts.entry(name.clone()).or_default();
    for (field, value) in [(&mut context.cluster, cluster), (&mut context.user, user)] {
        if let Some(value) = value {
            *field = value;
        }
    }
    if let Some(namespace) = namespace {
        context.namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
    }
    kubeconfig.save()?;
    session.say(&format!("Context {name:?} {}.", if is_new { "created" } else { "modified" }))?;
    Ok(())
}

/// Make a cluster, or change one
///
/// The address is --server, the authorities --certificate-authority.
///
/// Examples:
///   config set-cluster prod --server=https://api.example.com:8443 --certificate-authority=ca.crt --embed-certs
///   config set-cluster prod --insecure-skip-tls-verify
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct SetClusterArgs {
    /// Name of the cluster
    name: String,
    /// Put the authorities into the kubeconfig rather than their file's name
    #[arg(long)]
    embed_certs: bool,
    /// Name to expect in the server's certificate
    #[arg(long, value_name = "NAME")]
    tls_server_name: Option<String>,
    /// Proxy on the way to the server
    #[arg(long, value_name = "URL")]
    proxy_url: Option<String>,
}

pub(super) fn set_cluster(args: SetClusterArgs, session: &mut Session) -> anyhow::Result<()> {
    let globals = session.globals.clone();
    let authority = globals.certificate_authority.as_ref().map(|path| session.path(path));
    let kubeconfig = session.kubeconfig()?;
    let cluster = kubeconfig.config.clusters.entry(args.name.clone()).or_default();
    if let Some(server) = globals.server {
        cluster.server = server;
    }
    if let Some(insecure) = globals.insecure_skip_tls_verify {
        cluster.insecure_skip_tls_verify = insecure;
        if insecure {
            cluster.certificate_authority = None;
            cluster.certificate_authority_data = None;
        }
    }
    if let Some(name) = args.tls_server_name {
        cluster.tls_server_name = Some(name).filter(|name| !name.is_empty());
    }
    if let Some(url) = args.proxy_url {
        if !url.is_empty() {
            url.parse::<Proxy>()?;
        }
        cluster.proxy_url = Some(url).filter(|url| !url.is_empty());
    }
    if let Some(path) = authority {
        if globals.insecure_skip_tls_verify == Some(true) {
            bail!("you cannot specify a certificate authority and insecure mode at the same time");
        }
        cluster.insecure_skip_tls_verify = false;
        let content = read(&path)?;
        if args.embed_certs {
            cluster.certificate_authority_data = Some(STANDARD.encode(content));
            cluster.certificate_authority = None;
        } else {
            cluster.certificate_authority = Some(path.display().to_string());
            cluster.certificate_authority_data = None;
        }
    } else if args.embed_certs {
        bail!("you must specify a --certificate-authority to embed");
    }
    kubeconfig.save()?;
    session.say(&format!("Cluster {:?} set.", args.name))?;
    Ok(())
}

/// Make a user, or change one
///
/// The credentials are --token, --client-certificate and --client-key, --username and --password, or those that a program
/// gives (--exec-command).
///
/// Examples:
///   config set-credentials ed --token=sha256~…
///   config set-credentials ed --client-certificate=ed.crt --client-key=ed.key --embed-certs
///   config set-credentials ed --exec-command=get-token --exec-api-version=client.authentication.k8s.io/v1
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct SetCredentialsArgs {
    /// Name of the user
    name: String,
    /// Put certificate and key into the kubeconfig rather than their files' names
    #[arg(long)]
    embed_certs: bool,
    /// User name
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Password
    #[arg(long, value_name = "PASSWORD", allow_hyphen_values = true)]
    password: Option<String>,
    /// File with a token, read anew each time
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
    /// Program that gives credentials
    #[arg(long, value_name = "COMMAND")]
    exec_command: Option<String>,
    /// Argument of the program; may be repeated
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    exec_arg: Vec<String>,
    /// NAME=VALUE for the program, NAME- to take it away; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    exec_env: Vec<String>,
    /// Version of the API that the program speaks
    #[arg(long, value_name = "VERSION")]
    exec_api_version: Option<String>,
    /// Never, IfAvailable or Always: whether the program may ask the person
    #[arg(long, value_name = "MODE", value_parser = ["Never", "IfAvailable", "Always"])]
    exec_interactive_mode: Option<String>,
    /// Tell the program which cluster it is for
    #[arg(long)]
    exec_provide_cluster_info: bool,
}

pub(super) fn set_credentials(args: SetCredentialsArgs, session: &mut Session) -> anyhow::Result<()> {
    let globals = session.globals.clone();
    if globals.token.is_some() && (args.username.is_some() || args.password.is_some()) {
        bail!(
            "you cannot specify more than one authentication method at the same time: --token, --username/--password"
        );
    }
    let certificate = globals.client_certificate.as_ref().map(|path| session.path(path));
    let key = globals.client_key.as_ref().map(|path| session.path(path));
    if args.embed_certs && certificate.is_none() && key.is_none() {
        bail!("you must specify a --client-certificate or --client-key to embed");
    }
    let token_file = args.token_file.as_ref().map(|path| session.path(path).display().to_string());
    let kubeconfig = session.kubeconfig()?;
    let user = kubeconfig.config.users.entry(args.name.clone()).or_default();
    for (path, file, data) in [
        (certificate, &mut user.client_certificate, &mut user.client_certificate_data),
        (key, &mut user.client_key, &mut user.client_key_data),
    ] {
        let Some(path) = path else { continue };
        let content = read(&path)?;
        (*file, *data) = if args.embed_certs {
            (None, Some(STANDARD.encode(content)))
        } else {
            (Some(path.display().to_string()), None)
        };
    }
    let is_token = globals.token.is_some();
    let is_password = args.username.is_some() || args.password.is_some();
    if is_token {
        user.token = globals.token;
        user.token_file = None;
    }
    if token_file.is_some() {
        user.token_file = token_file;
        user.token = None;
    }
    if is_token {
        (user.username, user.password) = (None, None);
    } else if is_password {
        (user.token, user.token_file) = (None, None);
    }
    for (field, value) in
        [(&mut user.username, args.username.clone()), (&mut user.password, args.password.clone())]
    {
        if value.is_some() {
            *field = value;
        }
    }
    set_exec(&args, &mut user.extra)?;
    kubeconfig.save()?;
    session.say(&format!("User {:?} set.", args.name))?;
    Ok(())
}

/// Changes the program of a user.
fn set_exec(args: &SetCredentialsArgs, extra: &mut serde_json::Map<String, Value>) -> anyhow::Result<()> {
    let said = args.exec_command.is_some()
        || !args.exec_arg.is_empty()
        || !args.exec_env.is_empty()
        || args.exec_api_version.is_some();
    if !said {
        return Ok(());
    }
    let exec = extra.entry("exec").or_insert_with(|| json!({}));
    if let Some(command) = &args.exec_command {
        exec["command"] = Value::from(command.as_str());
    }
    if let Some(version) = &args.exec_api_version {
        exec["apiVersion"] = Value::from(version.as_str());
    } else if exec.get("apiVersion").is_none() {
        exec["apiVersion"] = Value::from("client.authentication.k8s.io/v1");
    }
    if let Some(mode) = &args.exec_interactive_mode {
        exec["interactiveMode"] = Value::from(mode.as_str());
    } else if exec.get("interactiveMode").is_none() {
        exec["interactiveMode"] = Value::from("IfAvailable");
    }
    if args.exec_provide_cluster_info {
        exec["provideClusterInfo"] = Value::from(true);
    }
    if !args.exec_arg.is_empty() {
        exec["args"] = json!(args.exec_arg);
    }
    if exec.get("command").is_none() {
        bail!("--exec-command is required to set other exec flags");
    }
    let mut variables: Vec<Value> = exec.get("env").and_then(Value::as_array).cloned().unwrap_or_default();
    for change in &args.exec_env {
        let (name, value) = match (change.split_once('='), change.strip_suffix('-')) {
            (Some((name, value)), _) => (name, Some(value)),
            (None, Some(name)) => (name, None),
            (None, None) => bail!("--exec-env must be NAME=VALUE or NAME-, not {change:?}"),
        };
        variables.retain(|known| known.get("name").and_then(Value::as_str) != Some(name));
        variables.extend(value.map(|value| json!({"name": name, "value": value})));
    }
    if !args.exec_env.is_empty() {
        exec["env"] = Value::Array(variables);
    }
    Ok(())
}

/// Give a context another name
///
/// Examples:
///   config rename-context pushed/api-example-com:8443/ed pushed
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct RenameContextArgs {
    /// Its name
    from: String,
    /// Its new name
    to: String,
}

pub(super) fn rename_context(args: &RenameContextArgs, session: &mut Session) -> anyhow::Result<()> {
    let kubeconfig = session.kubeconfig()?;
    let file = super::place(kubeconfig);
    let RenameContextArgs { from, to } = args;
    if kubeconfig.config.contexts.contains_key(to) {
        bail!("cannot rename the context {from:?}, the context {to:?} already exists in {file}");
    }
    let Some(context) = kubeconfig.config.contexts.remove(from) else {
        bail!("cannot rename the context {from:?}, it's not in {file}");
    };
    kubeconfig.config.contexts.insert(to.clone(), context);
    if kubeconfig.config.current_context == *from {
        kubeconfig.config.current_context.clone_from(to);
    }
    kubeconfig.save()?;
    session.say(&format!("Context {from:?} renamed to {to:?}."))?;
    Ok(())
}

/// Puts the contents of files where their names are.
pub(super) fn flatten(config: &mut Config) -> anyhow::Result<()> {
    for cluster in config.clusters.values_mut() {
        embed(&mut cluster.certificate_authority, &mut cluster.certificate_authority_data)?;
    }
    for user in config.users.values_mut() {
        embed(&mut user.client_certificate, &mut user.client_certificate_data)?;
        embed(&mut user.client_key, &mut user.client_key_data)?;
    }
    Ok(())
}

fn embed(file: &mut Option<String>, data: &mut Option<String>) -> anyhow::Result<()> {
    let Some(path) = file.take().filter(|path| !path.is_empty()) else { return Ok(()) };
    if data.as_ref().is_none_or(String::is_empty) {
        *data = Some(STANDARD.encode(read(Path::new(&path))?));
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("could not read {}", path.display()))
}
