//! `registry info|login`: where the integrated registry is, and credentials for it (openshift-images 8.6).

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use clap::{Args, Subcommand};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pierhead_client::{Credentials, HttpClient, Trust};
use serde_json::Value;

use super::{
    get,
    sa::{find_token, token_now},
};
use crate::{
    environment::ExitStatus,
    object,
    registries::auth_files::{self, NewCredentials},
    registry_host::{self, Wanted},
    session::Session,
};

/// Find the integrated registry and log in to it
///
/// Examples:
///   registry info
///   registry login
///   registry login -z builder -n shop
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct RegistryArgs {
    #[command(subcommand)]
    verb: RegistryVerb,
}

#[derive(Subcommand, Debug)]
enum RegistryVerb {
    Info(InfoArgs),
    Login(LoginArgs),
}

/// Print the host of the registry
///
/// It is read from an image stream of the project, or of the project openshift. The public name is printed if there is
/// one, else the name within the cluster.
///
/// Examples:
///   registry info
///   registry info --public --check
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
struct InfoArgs {
    /// The name within the cluster
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_default_value = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    internal: bool,
    /// The public name
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_default_value = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    public: bool,
    /// Print the host and no remarks
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Ask the registry whether it answers
    #[arg(long)]
    check: bool,
}

/// Save credentials for the registry where docker, podman and skopeo find them
///
/// The password is the token of the session, or of the service account that -z names. It is tried before it is saved.
/// The file is $REGISTRY_AUTH_FILE, or docker's; what else is in it stays.
///
/// Examples:
///   registry login
///   registry login -z builder -n shop --to=config.json
///   registry login --registry=registry.example.com --auth-basic=user:password
///   registry login --to=-
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
struct LoginArgs {
    /// Host of the registry
    #[arg(long, value_name = "HOST")]
    registry: Option<String>,
    /// File to save the credentials in; - prints them
    #[arg(short = 'a', long = "to", visible_alias = "registry-config", value_name = "FILE")]
    to: Option<PathBuf>,
    /// Service account to log in as
    #[arg(short = 'z', long = "service-account", value_name = "NAME", conflicts_with = "auth_basic")]
    service_account: Option<String>,
    /// user:password instead of the session's token
    #[arg(long, value_name = "USER:PASSWORD", allow_hyphen_values = true)]
    auth_basic: Option<String>,
    /// Allow plain HTTP and unverified certificates
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_default_value = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    insecure: bool,
    /// Save the credentials for the registry's other name as well
    #[arg(long)]
    aliases: bool,
    /// Do not try the credentials
    #[arg(long)]
    skip_check: bool,
}

pub(crate) async fn run(args: RegistryArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    match args.verb {
        RegistryVerb::Info(args) => info(args, session).await,
        RegistryVerb::Login(args) => login(args, session).await,
    }
}

async fn info(args: InfoArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let wanted = match (args.internal, args.public) {
        (true, true) => bail!("only one of --internal or --public may be specified"),
        (true, false) => Wanted::Internal,
        (false, true) => Wanted::Public,
        (false, false) => Wanted::Any,
    };
    let found = registry_host::find(session, wanted).await?;
    if wanted == Wanted::Any && !found.is_public && !args.quiet {
        session.remark("info: The registry has no public name; this is its name within the cluster")?;
    }
    if args.check {
        let trust = session.connect_options()?.trust;
        let trust = Trust { insecure_skip_tls_verify: true, tls_server_name: None, ..trust };
        let http = HttpClient::through(&trust, &session.environment.proxies())?;
        ping(&http, &found.host, true, None)
            .await
            .with_context(|| format!("registry could not be contacted at {}", found.host))?;
    }
    session.say(&found.host)?;
    Ok(ExitStatus::SUCCESS)
}

async fn login(args: LoginArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let mut aliases = Vec::new();
    let host = match &args.registry {
        Some(host) => bare_host(host)?,
        None => {
            let found = registry_host::find(session, Wanted::Any).await?;
            let kind = if found.is_public { "registry public" } else { "internal registry" };
            session.remark(&format!("info: Using {kind} hostname {}", found.host))?;
            aliases.extend(found.other);
            found.host
        }
    };
    let (user, password) = credentials(&args, session).await?;
    if !args.skip_check {
        let mut trust = match session.connect_options() {
            Ok(options) => options.trust,
            // Whoever says where and as whom needs no session.
            Err(_) if args.registry.is_some() && args.auth_basic.is_some() => own_trust(session)?,
            Err(error) => return Err(error),
        };
        trust.identity = None;
        // That is the API server's.
        trust.tls_server_name = None;
        trust.insecure_skip_tls_verify |= args.insecure;
        let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let http = HttpClient::through(&trust, &session.environment.proxies())?;
        let checked = ping(&http, &host, args.insecure, Some(&basic)).await;
        if let Err(error) = checked {
            let hint = if args.insecure {
                ""
            } else {
                "\nhint: pass --insecure for a registry behind plain HTTP, or --certificate-authority=FILE for one behind TLS"
            };
            bail!("unable to check your credentials - pass --skip-check to bypass this error: {error}{hint}");
        }
    }
    let mut saved = NewCredentials::new();
    for name in std::iter::once(&host).chain(aliases.iter().filter(|_| args.aliases)) {
        saved.insert(name.clone(), (user.clone(), password.clone()));
    }
    let path = match &args.to {
        Some(path) if path.as_os_str() == "-" => {
            session.print_data(&format!("{:#}\n", auth_files::document(&saved)))?;
            return Ok(ExitStatus::SUCCESS);
        }
        Some(path) => session.path(path.clone()),
        None => auth_files::default_path(&session.environment)?,
    };
    auth_files::save(&path, &saved, &session.environment).await?;
    for name in saved.keys() {
        session.say(&format!("Saved credentials for {name} into {}", path.display()))?;
    }
    Ok(ExitStatus::SUCCESS)
}

/// The authorities that the command line names, where there is no kubeconfig.
fn own_trust(session: &Session) -> anyhow::Result<Trust> {
    let mut trust = Trust::default();
    if let Some(path) = &session.globals.certificate_authority {
        let path = session.path(path);
        let pem = std::fs::read(&path).with_context(|| format!("unable to read {}", path.display()))?;
        trust.certificate_authority = Some(pem);
    }
    Ok(trust)
}

/// The host in what was typed, which may be a URL or a whole pull spec.
fn bare_host(typed: &str) -> anyhow::Result<String> {
    let bare = typed.strip_prefix("https://").or_else(|| typed.strip_prefix("http://")).unwrap_or(typed);
    let host = bare.split('/').next().unwrap_or_default();
    if host.is_empty() || host.contains(['@', ' ', '?', '#']) {
        bail!("--registry: {typed:?} is not the host of a registry");
    }
    Ok(host.to_owned())
}

async fn credentials(args: &LoginArgs, session: &mut Session) -> anyhow::Result<(String, String)> {
    if let Some(basic) = &args.auth_basic {
        let Some((user, password)) = basic.split_once(':') else {
            bail!("--auth-basic must be in the form user:password");
        };
        return Ok((user.to_owned(), password.to_owned()));
    }
    if let Some(account) = &args.service_account {
        let client = session.client()?;
        let discovery = session.discovery().await?;
        let namespace = session.namespace()?;
        let user = format!("system-serviceaccount-{namespace}-{account}");
        let mut token = token_now(&client, &discovery, &namespace, account).await?;
        if token.is_none() {
            // Newer clusters make no token secrets, but still those for the registry.
            token = dockercfg_password(session, account).await?;
        }
        let token = match token {
            Some(token) => token,
            None => find_token(&client, &discovery, &namespace, account, session.environment.now).await?,
        };
        return Ok((user, token));
    }
    let Credentials::Token(token) = session.connect_options()?.credentials else {
        bail!("no token is currently in use for this session");
    };
    Ok(("user".to_owned(), token.into_exposed()))
}

/// The password that an account's own pull secret holds, which is the same for every name of the registry.
async fn dockercfg_password(session: &mut Session, account: &str) -> anyhow::Result<Option<String>> {
    let (client, discovery, namespace) =
        (session.client()?, session.discovery().await?, session.namespace()?);
    let found = get::read(&client, discovery.known("", "serviceaccounts")?, &namespace, account).await?;
    let prefix = format!("{account}-dockercfg-");
    for reference in object::list(&found, "imagePullSecrets") {
        let name = object::text(reference, "name");
        if !name.starts_with(&prefix) {
            continue;
        }
        let secret = match get::read(&client, discovery.known("", "secrets")?, &namespace, name).await {
            Err(error) if error.is_not_found() => continue,
            answered => answered?,
        };
        // By hand: the key has a dot in it.
        let encoded = secret.pointer("/data/.dockercfg").and_then(Value::as_str).unwrap_or_default();
        let Ok(decoded) = STANDARD.decode(encoded) else { continue };
        let Ok(Value::Object(entries)) = serde_json::from_slice(&decoded) else { continue };
        let password = |entry: &Value| Some(entry.get("password")?.as_str()?.to_owned());
        if let Some(password) = entries.values().find_map(password) {
            return Ok(Some(password));
        }
    }
    Ok(None)
}

/// Asks `/v2/`, over HTTPS or, where allowed, HTTP. With credentials it must let us in.
async fn ping(http: &HttpClient, host: &str, insecure: bool, basic: Option<&str>) -> anyhow::Result<()> {
    let https = try_scheme(http, "https", host, basic).await;
    if https.is_err() && insecure {
        return try_scheme(http, "http", host, basic).await;
    }
    https
}

async fn try_scheme(http: &HttpClient, scheme: &str, host: &str, basic: Option<&str>) -> anyhow::Result<()> {
    let url = format!("{scheme}://{host}/v2/");
    let fetch = |url: String, authorization: Option<String>| async move {
        let mut headers = HeaderMap::new();
        if let Some(authorization) = authorization {
            headers.insert(header::AUTHORIZATION, HeaderValue::try_from(authorization)?);
        }
        anyhow::Ok(http.fetch(Method::GET, &url, headers, Bytes::new()).await?)
    };
    let first = fetch(url.clone(), None).await?;
    let Some(basic) = basic else {
        if first.status.is_server_error() {
            bail!("{url} answered {}", first.status);
        }
        return Ok(());
    };
    if first.status == StatusCode::OK {
        return Ok(());
    }
    let challenge =
        first.headers.get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let authorization = match bearer_realm(challenge, scheme, host) {
        Some(realm) => {
            let answer = fetch(realm.clone(), Some(basic.to_owned())).await?;
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
            let token = ["token", "access_token"].iter().find_map(|key| body.get(*key)?.as_str());
            let Some(token) = token else { bail!("{realm} answered {}", answer.status) };
            format!("Bearer {token}")
        }
        None => basic.to_owned(),
    };
    let second = fetch(url.clone(), Some(authorization)).await?;
    if second.status != StatusCode::OK {
        bail!("{url} answered {}", second.status);
    }
    Ok(())
}

/// The token endpoint that a bearer challenge names, if it is on the registry's own host: the credentials are
/// not for anybody else.
fn bearer_realm(challenge: &str, scheme: &str, host: &str) -> Option<String> {
    let parameters = challenge.strip_prefix("Bearer ").or_else(|| challenge.strip_prefix("bearer "))?;
    let value = |name: &str| {
        parameters.split(',').find_map(|parameter| {
            let (key, value) = parameter.trim().split_once('=')?;
            (key == name).then(|| value.trim_matches('"').to_owned())
        })
    };
    let realm = value("realm")?;
    let (_, rest) = realm.split_once("://")?;
    if rest.split('/').next() != Some(host) || !realm.starts_with(scheme) {
        return None;
    }
    match value("service").filter(|service| !service.is_empty()) {
        Some(service) => {
            let query =
                form_urlencoded::Serializer::new(String::new()).append_pair("service", &service).finish();
            Some(format!("{realm}?{query}"))
        }
        None => Some(realm),
    }
}
