//! `registry info|login`: where the integrated registry is, and credentials for it (openshift-images 8.6).

mod auth_file;

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use clap::{Args, Subcommand};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pierhead_client::{Credentials, HttpClient, Trust};
use serde_json::Value;

use super::sa::find_token;
use crate::{
    environment::ExitStatus,
    registry_host::{self, Wanted},
    session::Session,
};

/// Find the integrated registry and log in to it
#[derive(Args, Debug)]
pub(crate) struct RegistryArgs {
    #[command(subcommand)]
    verb: RegistryVerb,
}

#[derive(Subcommand, Debug)]
enum RegistryVerb {
    /// Print the host of the registry
    Info(InfoArgs),
    /// Save credentials for the registry where docker, podman and skopeo find them
    Login(LoginArgs),
}

#[derive(Args, Debug)]
struct InfoArgs {
    /// The name within the cluster
    #[arg(long)]
    internal: bool,
    /// The public name
    #[arg(long)]
    public: bool,
    /// Ask the registry whether it answers
    #[arg(long)]
    check: bool,
}

#[derive(Args, Debug)]
struct LoginArgs {
    /// Host of the registry
    #[arg(long, value_name = "HOST")]
    registry: Option<String>,
    /// File to save the credentials in
    #[arg(short = 'a', long = "to", visible_alias = "registry-config", value_name = "FILE")]
    to: Option<std::path::PathBuf>,
    /// Service account to log in as
    #[arg(short = 'z', long = "service-account", value_name = "NAME")]
    service_account: Option<String>,
    /// user:password instead of the session's token
    #[arg(long, value_name = "USER:PASSWORD")]
    auth_basic: Option<String>,
    /// Allow plain HTTP and unverified certificates
    #[arg(long)]
    insecure: bool,
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
    if args.check {
        let trust = session.connect_options()?.trust;
        ping(&HttpClient::new(&Trust { insecure_skip_tls_verify: true, ..trust })?, &found.host, true, None)
            .await
            .with_context(|| format!("registry could not be contacted at {}", found.host))?;
    }
    session.say(&found.host)?;
    Ok(ExitStatus::SUCCESS)
}

async fn login(args: LoginArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let host = match &args.registry {
        Some(host) => host.clone(),
        None => {
            let found = registry_host::find(session, Wanted::Any).await?;
            let kind = if found.is_public { "registry public" } else { "internal registry" };
            session.remark(&format!("info: Using {kind} hostname {}", found.host))?;
            found.host
        }
    };
    let (user, password) = credentials(&args, session).await?;
    if !args.skip_check {
        let options = session.connect_options()?;
        let mut trust = options.trust;
        trust.identity = None;
        trust.insecure_skip_tls_verify |= args.insecure;
        let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let checked = ping(&HttpClient::new(&trust)?, &host, args.insecure, Some(&basic)).await;
        if let Err(error) = checked {
            let hint = if args.insecure {
                ""
            } else {
                "\nhint: pass --insecure for a registry behind plain HTTP, or --certificate-authority=FILE for one behind TLS"
            };
            bail!("unable to check your credentials - pass --skip-check to bypass this error: {error}{hint}");
        }
    }
    let path = match &args.to {
        Some(path) => session.path(path.clone()),
        None => auth_file::default_path(&session.environment)?,
    };
    auth_file::save(&path, &host, &user, &password)?;
    session.say(&format!("Saved credentials for {host} into {}", path.display()))?;
    Ok(ExitStatus::SUCCESS)
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
        let token = find_token(&client, &discovery, &namespace, account).await?;
        return Ok((format!("system-serviceaccount-{namespace}-{account}"), token));
    }
    let Credentials::Token(token) = session.connect_options()?.credentials else {
        bail!("no token is currently in use for this session");
    };
    Ok(("user".to_owned(), token.into_exposed()))
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
