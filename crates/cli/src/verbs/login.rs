//! `login`: get a token and remember it (platform 2.4, 2.5).

mod oauth;
mod web;

use anyhow::{Context as _, bail};
use clap::Args;
use http::Method;
use pierhead_client::{
    Client, ClientError, ConnectOptions, Credentials, HttpAnswer, HttpClient, Proxies, Secret, Trust,
    kubeconfig::{Cluster, Config, Context, User, cluster_name, context_name, user_name},
};
use serde_json::Value;

use super::{project, whoami};
use crate::{
    environment::ExitStatus,
    error::Silent,
    globals::Era,
    session::{Session, normalize_server},
};

const DEFAULT_SERVER: &str = "https://localhost:8443";

/// Log in to a server and save the session
///
/// Examples:
///   login https://master.example.com:8443 -u ed -p secret
///   login https://master.example.com:8443 --web
///   login --token=sha256~… --server=https://master.example.com:8443
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct LoginArgs {
    /// Address of the server
    url: Option<String>,
    /// User name; asked for if need be
    #[arg(short = 'u', long, value_name = "NAME")]
    username: Option<String>,
    /// Password; asked for if need be
    #[arg(short = 'p', long, value_name = "PASSWORD", allow_hyphen_values = true)]
    password: Option<String>,
    /// Log in with a browser, which is opened ($BROWSER, or what the system opens addresses with)
    #[arg(short = 'w', long, conflicts_with_all = ["username", "password"])]
    web: bool,
    /// Port of this machine that the browser comes back to [default: any that is free]
    #[arg(long, value_name = "PORT", requires = "web", default_value_t = 0, hide_default_value = true)]
    callback_port: u16,
}

/// What a login has found out.
struct Login {
    options: ConnectOptions,
    token: Option<String>,
    user: String,
    how: String,
}

pub(crate) async fn run(args: LoginArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    if args.url.is_some() && session.globals.server.is_some() {
        bail!("--server and passing the server URL as an argument are mutually exclusive");
    }
    if session.globals.token.is_some() && (args.username.is_some() || args.password.is_some()) {
        bail!("--token and --username/--password are mutually exclusive");
    }
    let server = choose_server(&args, session)?;
    let options = establish_trust(server, session).await?;
    let login = match session.globals.token.clone() {
        Some(token) => {
            let user = name_of_token(&options, &token).await?;
            let server = &options.server;
            let how = format!("Logged into {server:?} as {user:?} using the token provided.");
            Login { options, token: Some(token), user, how }
        }
        None if args.web => with_browser(&args, options, session).await?,
        None => match existing_session(&args, &options, session).await? {
            Some(login) => login,
            None => with_password(&args, options, session).await?,
        },
    };
    session.say(&login.how)?;
    session.say("")?;
    finish(login, session).await?;
    Ok(ExitStatus::SUCCESS)
}

fn choose_server(args: &LoginArgs, session: &mut Session) -> anyhow::Result<String> {
    if let Some(server) = args.url.clone().or_else(|| session.globals.server.clone()) {
        return Ok(normalize_server(&server));
    }
    let config = &session.kubeconfig()?.config;
    let current = config.current().and_then(|context| config.clusters.get(&context.cluster));
    if let Some(cluster) = current {
        return Ok(cluster.server.trim_end_matches('/').to_owned());
    }
    if session.environment.stdin_is_terminal {
        let typed = session.ask(&format!("Server [{DEFAULT_SERVER}]: "), false)?.unwrap_or_default();
        return Ok(normalize_server(if typed.trim().is_empty() { DEFAULT_SERVER } else { typed.trim() }));
    }
    Ok(DEFAULT_SERVER.to_owned())
}

/// How the server can be reached, asking if its certificate is unknown.
async fn establish_trust(server: String, session: &mut Session) -> anyhow::Result<ConnectOptions> {
    let mut options = ConnectOptions { server, ..ConnectOptions::default() };
    let trust = &mut options.trust;
    // What was accepted for this server before still is.
    let config = &session.kubeconfig()?.config;
    let known = trusting_entry(config, &options.server);
    let known = known.map(|(name, cluster)| (name.to_owned(), cluster.clone()));
    let tls_name = said_of_server(config, &options.server, |cluster| cluster.tls_server_name.as_ref());
    options.proxies = match proxy_of_server(config, &options.server) {
        Some(url) => Proxies::always(&url),
        None => session.environment.proxies(),
    };
    if let Some(path) = session.globals.certificate_authority.clone() {
        let path = session.path(path);
        let pem = std::fs::read(&path).with_context(|| format!("unable to read {}", path.display()))?;
        trust.certificate_authority = Some(pem);
    }
    match session.globals.insecure_skip_tls_verify {
        Some(insecure) => trust.insecure_skip_tls_verify = insecure,
        None if trust.certificate_authority.is_none() => {
            if let Some((name, cluster)) = &known {
                *trust = cluster.trust(name)?;
            }
        }
        None => {}
    }
    // Whoever is to vouch for it, its certificate has the same name.
    trust.tls_server_name = tls_name;
    if session.environment.client.is_some() {
        return Ok(options);
    }
    match probe(&options).await {
        Ok(answer) => {
            let content_type = answer.headers.get("content-type").and_then(|value| value.to_str().ok());
            if content_type.is_some_and(|value| value.contains("text/html")) {
                bail!(
                    "The server URL you specified points to HTML content and may not point to an API server, but \
                     to a web console, instead."
                );
            }
            Ok(options)
        }
        Err(error) if error.is_unknown_authority() && !options.trust.insecure_skip_tls_verify => {
            if !session.environment.stdin_is_terminal {
                bail!(
                    "The server uses a certificate signed by an unknown authority. {error}\n\
                     hint: pass --certificate-authority=FILE with the server's CA, or --insecure-skip-tls-verify"
                );
            }
            session.say(
                "The server uses a certificate signed by an unknown authority.\n\
                 You can bypass the certificate check, but any data you send to the server could be intercepted by others.",
            )?;
            let answer = session.ask("Use insecure connections? (y/n): ", false)?.unwrap_or_default();
            if !matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
                bail!(
                    "The server uses a certificate signed by unknown authority. You may need to use the --certificate-authority flag to provide the path to a certificate file for the certificate authority, or --insecure-skip-tls-verify to bypass the certificate check and use insecure connections."
                );
            }
            session.say("")?;
            options.trust.insecure_skip_tls_verify = true;
            Ok(options)
        }
        Err(error) => Err(error.into()),
    }
}

/// The entries of a server, that of the current context first.
fn entries_of<'c>(config: &'c Config, server: &str) -> impl Iterator<Item = (&'c str, &'c Cluster)> {
    let current = config.current().and_then(|context| config.clusters.get_key_value(&context.cluster));
    let all = current.into_iter().chain(&config.clusters);
    all.filter(move |(_, cluster)| cluster.server.trim_end_matches('/') == server)
        .map(|(name, cluster)| (name.as_str(), cluster))
}

/// The entry that says whom to trust at a server, or another one of it if none does.
fn trusting_entry<'c>(config: &'c Config, server: &str) -> Option<(&'c str, &'c Cluster)> {
    let says = |cluster: &Cluster| {
        cluster.insecure_skip_tls_verify
            || cluster.certificate_authority.is_some()
            || cluster.certificate_authority_data.is_some()
    };
    let trusting = entries_of(config, server).find(|(_, cluster)| says(cluster));
    trusting.or_else(|| entries_of(config, server).next())
}

/// The proxy that a server is known to be behind.
fn proxy_of_server(config: &Config, server: &str) -> Option<String> {
    said_of_server(config, server, |cluster| cluster.proxy_url.as_ref())
}

/// What is said of a server, whichever of its entries says so.
fn said_of_server(
    config: &Config,
    server: &str,
    field: impl Fn(&Cluster) -> Option<&String>,
) -> Option<String> {
    entries_of(config, server)
        .find_map(|(_, cluster)| field(cluster).filter(|said| !said.is_empty()).cloned())
}

/// Asks whether anybody is there.
async fn probe(options: &ConnectOptions) -> Result<HttpAnswer, ClientError> {
    let url = format!("{}/", options.server);
    http_client(options)?.fetch(Method::HEAD, &url, http::HeaderMap::new(), bytes::Bytes::new()).await
}

fn http_client(options: &ConnectOptions) -> Result<HttpClient, ClientError> {
    HttpClient::through(&options.trust, &options.proxies)
}

fn client_with_token(options: &ConnectOptions, token: &str) -> Result<Client, ClientError> {
    let credentials = Credentials::Token(Secret::new(token.to_owned()));
    Client::connect(&ConnectOptions { credentials, ..options.clone() })
}

async fn name_of_token(options: &ConnectOptions, token: &str) -> anyhow::Result<String> {
    match whoami::user_name(&client_with_token(options, token)?).await {
        Ok(name) => Ok(name),
        Err(error) if error.is_unauthorized() => bail!("The token provided is invalid or expired."),
        Err(error) if error.is_not_found() || error.is_forbidden() => Ok(nameless(token)),
        Err(error) => Err(error.into()),
    }
}

/// How to call somebody whose name the server does not tell: the same token has the same name, another has another.
fn nameless(token: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let hash: String =
        Sha256::digest(token.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("token-{hash}")
}

/// A saved session of that user at that server that still works.
async fn existing_session(
    args: &LoginArgs,
    options: &ConnectOptions,
    session: &mut Session,
) -> anyhow::Result<Option<Login>> {
    let server = &options.server;
    if args.password.is_some() {
        return Ok(None);
    }
    let cluster = cluster_name(server);
    let config = session.kubeconfig()?.config.clone();
    let wanted = match &args.username {
        Some(username) => user_name(username, &cluster),
        None => match config.current().filter(|context| context.cluster == cluster) {
            Some(context) => context.user.clone(),
            None => return Ok(None),
        },
    };
    let Some(token) = config.users.get(&wanted).and_then(|user| user.token.clone()) else { return Ok(None) };
    match whoami::user_name(&client_with_token(options, &token)?).await {
        Ok(user) => {
            let how = format!("Logged into {server:?} as {user:?} using existing credentials.");
            Ok(Some(Login { options: options.clone(), token: Some(token), user, how }))
        }
        Err(ClientError::Api(_) | ClientError::NoSuchResource { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn with_browser(
    args: &LoginArgs,
    options: ConnectOptions,
    session: &mut Session,
) -> anyhow::Result<Login> {
    let http = http_client(&options)?;
    let token = web::request_token(&http, &options.server, args.callback_port, session).await?;
    let user = name_of_token(&options, &token).await?;
    Ok(Login { options, token: Some(token), user, how: "Login successful.".to_owned() })
}

async fn with_password(
    args: &LoginArgs,
    options: ConnectOptions,
    session: &mut Session,
) -> anyhow::Result<Login> {
    let server = &options.server;
    let mut asked = false;
    if session.environment.stdin_is_terminal && (args.username.is_none() || args.password.is_none()) {
        session.say(&format!("Authentication required for {server} (openshift)"))?;
        asked = true;
    }
    let username = match &args.username {
        Some(username) => {
            if asked {
                session.say(&format!("Username: {username}"))?;
            }
            username.clone()
        }
        None => session.ask("Username: ", false)?.unwrap_or_default(),
    };
    if username.contains(':') {
        // Basic credentials end the name at its first colon: somebody else would be logged in.
        bail!(
            "username {username} is invalid for basic auth\n\
             hint: system:admin comes with the server's admin.kubeconfig; service accounts log in with --token"
        );
    }
    let password = match &args.password {
        Some(password) => password.clone(),
        None => session.ask("Password: ", true)?.unwrap_or_default(),
    };
    let http = http_client(&options)?;
    let token = match oauth::request_token(&http, server, username.trim(), &password).await {
        Ok(token) => token,
        Err(error) if matches!(error.downcast_ref(), Some(oauth::OAuthError::Unauthorized)) => {
            session.say("Login failed (401 Unauthorized)")?;
            session.say("Verify you have provided the correct credentials.")?;
            return Err(Silent(ExitStatus::FAILURE).into());
        }
        Err(error) => {
            if let Some(oauth::OAuthError::TooMany { retry_after }) = error.downcast_ref() {
                session.say("Login failed (429 Too Many Requests)")?;
                let when = retry_after.as_ref().map_or("later".to_owned(), |time| format!("in {time} s"));
                session.say(&format!("Too many passwords were wrong; try again {when}."))?;
                return Err(Silent(ExitStatus::FAILURE).into());
            }
            return Err(error);
        }
    };
    let user = name_of_token(&options, &token).await?;
    Ok(Login { options, token: Some(token), user, how: "Login successful.".to_owned() })
}

/// Chooses a project, writes the kubeconfig, says both.
async fn finish(login: Login, session: &mut Session) -> anyhow::Result<()> {
    let client = client_with_token(&login.options, login.token.as_deref().unwrap_or_default())?;
    let cluster = cluster_name(&login.options.server);
    let user = user_name(&login.user, &cluster);
    let before = session.kubeconfig()?.config.clone();
    let is_new = session.kubeconfig()?.is_new();
    let remembered = before
        .current()
        .filter(|context| context.cluster == cluster && context.user == user)
        .and_then(|context| context.namespace.clone());
    let wanted = session.globals.namespace.clone().or(remembered);
    let project = announce_projects(&client, wanted, session).await?;

    let mut entry = before.clusters.get(&cluster).cloned().unwrap_or_default();
    entry.server.clone_from(&login.options.server);
    entry.proxy_url = proxy_of_server(&before, &login.options.server);
    apply_trust(&mut entry, &login.options.trust);
    let user_entry = User { token: login.token, ..before.users.get(&user).cloned().unwrap_or_default() };
    let name = context_name(&project, &cluster, &login.user);
    let context = Context {
        cluster: cluster.clone(),
        user: user.clone(),
        namespace: Some(project),
        ..before.contexts.get(&name).cloned().unwrap_or_default()
    };
    let kubeconfig = session.kubeconfig()?;
    kubeconfig.config.clusters.insert(cluster, entry);
    kubeconfig.config.users.insert(user, user_entry);
    kubeconfig.config.contexts.insert(name.clone(), context);
    kubeconfig.config.current_context = name;
    kubeconfig.save()?;
    // Whoever may not read it has not missed anything.
    let motd = "/api/v1/namespaces/openshift/configmaps/motd";
    if let Ok(found) = client.request(Method::GET, motd, None, None).await {
        let message = crate::object::text(&found, "data.message");
        if !message.is_empty() {
            session.say(message.trim_end())?;
        }
    }
    if is_new {
        session.say("Welcome! See 'oc help' to get started.")?;
    }
    Ok(())
}

fn apply_trust(cluster: &mut Cluster, trust: &Trust) {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    cluster.insecure_skip_tls_verify = trust.insecure_skip_tls_verify;
    if let Some(pem) = &trust.certificate_authority {
        cluster.certificate_authority = None;
        cluster.certificate_authority_data = Some(STANDARD.encode(pem));
    }
    if trust.insecure_skip_tls_verify {
        cluster.certificate_authority = None;
        cluster.certificate_authority_data = None;
    }
    cluster.tls_server_name.clone_from(&trust.tls_server_name);
}

/// Tells which projects there are and gives the one to work in.
async fn announce_projects(
    client: &Client,
    wanted: Option<String>,
    session: &mut Session,
) -> anyhow::Result<String> {
    let names = match project::names(client).await {
        Ok(names) => names,
        Err(error) if error.is_not_found() || error.is_forbidden() => {
            let namespace = wanted.unwrap_or_else(|| "default".to_owned());
            session.say(&format!("Using {namespace:?} namespace"))?;
            return Ok(namespace);
        }
        Err(error) => return Err(error.into()),
    };
    let chosen = wanted.filter(|wanted| names.contains(wanted)).or_else(|| {
        let default = names.iter().find(|name| *name == "default");
        default.or(names.first()).cloned()
    });
    let Some(chosen) = chosen else {
        if may_request_project(client).await {
            session.say(
                "You don't have any projects. You can try to create a new project, by running\n\n    oc new-project <projectname>\n",
            )?;
        } else {
            session.say(
                "You don't have any projects. Contact your system administrator to request a project.",
            )?;
        }
        return Ok("default".to_owned());
    };
    if let [only] = names.as_slice() {
        if session.era() == Era::V3_2 {
            session.say(&format!("Using project {chosen:?}."))?;
            return Ok(chosen);
        }
        session.say(&format!("You have one project on this server: {only:?}"))?;
    } else if names.len() > 50 {
        session.say(&format!(
            "You have access to {} projects, the list has been suppressed. You can list all projects with 'oc projects'",
            names.len()
        ))?;
    } else {
        session.say(
            "You have access to the following projects and can switch between them with 'oc project <projectname>':\n",
        )?;
        for name in &names {
            let line = match (session.era(), *name == chosen) {
                (Era::V3_2, true) => format!("  * {name} (current)"),
                (Era::V3_2, false) | (Era::V4, true) => format!("  * {name}"),
                (Era::V4, false) => format!("    {name}"),
            };
            session.say(&line)?;
        }
    }
    session.say("")?;
    session.say(&format!("Using project {chosen:?}."))?;
    Ok(chosen)
}

async fn may_request_project(client: &Client) -> bool {
    let path = "/apis/project.openshift.io/v1/projectrequests";
    let answer: Result<Value, _> = client.request(Method::GET, path, None, None).await;
    answer.is_ok()
}
