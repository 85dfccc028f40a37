//! `sa`: tokens of service accounts (platform 4.5).

use std::time::Duration;

use anyhow::bail;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use pierhead_client::{
    Client,
    kubeconfig::{Cluster, Config, Context, User, cluster_name},
    yaml,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{create::post, get};
use crate::{discovery::Discovery, environment::ExitStatus, follow::Followed, object, session::Session};

const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";
const NAME_ANNOTATION: &str = "kubernetes.io/service-account.name";
const UID_ANNOTATION: &str = "kubernetes.io/service-account.uid";

/// How long the controller may take to put the token into a new secret.
const FILLED_WITHIN: Duration = Duration::from_secs(30);
/// How long the controller may take to make the first token of an account, as long as that is new.
const FIRST_WITHIN: Duration = Duration::from_secs(10);
const NEW_FOR: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Tokens of service accounts
#[derive(Args, Debug)]
#[command(visible_alias = "serviceaccounts")]
pub(crate) struct SaArgs {
    #[command(subcommand)]
    verb: SaVerb,
}

#[derive(Subcommand, Debug)]
enum SaVerb {
    /// Print a token of the service account
    GetToken {
        /// Service account
        account: String,
    },
    /// Make a new token for the service account and print it
    NewToken {
        /// Service account
        account: String,
        /// Labels of the token's secret, as key=value,…
        #[arg(long, value_delimiter = ',', value_name = "LABELS")]
        labels: Vec<String>,
    },
    /// Print a kubeconfig with a token of the service account
    CreateKubeconfig {
        /// Service account
        account: String,
    },
}

pub(crate) async fn run(args: SaArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let client = session.client()?;
    let discovery = session.discovery().await?;
    let namespace = session.namespace()?;
    let token = match args.verb {
        SaVerb::GetToken { account } => {
            find_token(&client, &discovery, &namespace, &account, session.environment.now).await?
        }
        SaVerb::NewToken { account, labels } => {
            let accounts = discovery.known("", "serviceaccounts")?;
            get::read(&client, accounts, &namespace, &account).await?;
            new_token(&client, &discovery, &namespace, &account, &labels).await?
        }
        SaVerb::CreateKubeconfig { account } => {
            let token =
                find_token(&client, &discovery, &namespace, &account, session.environment.now).await?;
            let config = kubeconfig(session, &namespace, &account, token)?;
            session.print_data(&config)?;
            return Ok(ExitStatus::SUCCESS);
        }
    };
    session.environment.stdout.write_all(token.as_bytes())?;
    if session.environment.stdout_is_terminal {
        session.say("")?;
    }
    Ok(ExitStatus::SUCCESS)
}

/// A kubeconfig for the account at this session's server.
fn kubeconfig(
    session: &mut Session,
    namespace: &str,
    account: &str,
    token: String,
) -> anyhow::Result<String> {
    let options = session.connect_options()?;
    let cluster = cluster_name(&options.server);
    let overrides = session.overrides();
    // How to get to the server (proxy, the name in its certificate) is said for that server only.
    let chosen = match session.kubeconfig()?.config.chosen_cluster(&overrides) {
        Ok(Some((_, chosen))) if chosen.server == options.server => chosen.clone(),
        _ => Cluster::default(),
    };
    let mut config = Config::default();
    let authority = options.trust.certificate_authority.filter(|_| !options.trust.insecure_skip_tls_verify);
    let entry = Cluster {
        server: options.server,
        insecure_skip_tls_verify: options.trust.insecure_skip_tls_verify,
        // The file that it may stand in is on this machine only.
        certificate_authority: None,
        certificate_authority_data: authority.map(|pem| STANDARD.encode(pem)),
        tls_server_name: options.trust.tls_server_name,
        ..chosen
    };
    config.clusters.insert(cluster.clone(), entry);
    config.users.insert(account.to_owned(), User { token: Some(token), ..User::default() });
    let context = Context {
        cluster,
        user: account.to_owned(),
        namespace: Some(namespace.to_owned()),
        ..Context::default()
    };
    config.contexts.insert(account.to_owned(), context);
    account.clone_into(&mut config.current_context);
    Ok(yaml::to_string(&config.to_value()))
}

/// A token of the account, if it has one by now.
pub(crate) async fn token_now(
    client: &Client,
    discovery: &Discovery,
    namespace: &str,
    account: &str,
) -> anyhow::Result<Option<String>> {
    let found = get::read(client, discovery.known("", "serviceaccounts")?, namespace, account).await?;
    token_at(client, discovery, namespace, &found).await
}

/// A token of the account; one that was just made may have to wait for its first.
pub(crate) async fn find_token(
    client: &Client,
    discovery: &Discovery,
    namespace: &str,
    account: &str,
    now: fn() -> Timestamp,
) -> anyhow::Result<String> {
    let begun = Instant::now();
    loop {
        let found = get::read(client, discovery.known("", "serviceaccounts")?, namespace, account).await?;
        if let Some(token) = token_at(client, discovery, namespace, &found).await? {
            return Ok(token);
        }
        let made: Option<Timestamp> = object::text(&found, "metadata.creationTimestamp").parse().ok();
        let is_new = made.is_some_and(|made| made.duration_until(now()).unsigned_abs() < NEW_FOR);
        if !is_new || begun.elapsed() > FIRST_WITHIN {
            bail!("could not find a service account token for service account {account:?}");
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// A token of an account: of the secrets it refers to, or of any other that is its.
async fn token_at(
    client: &Client,
    discovery: &Discovery,
    namespace: &str,
    account: &Value,
) -> anyhow::Result<Option<String>> {
    let (name, uid) = (object::text(account, "metadata.name"), object::text(account, "metadata.uid"));
    let secrets = discovery.known("", "secrets")?;
    for reference in object::list(account, "secrets") {
        match get::read(client, secrets, namespace, object::text(reference, "name")).await {
            Ok(secret) if belongs_to(&secret, name, uid) => {
                if let Some(token) = token_of(&secret) {
                    return Ok(Some(token));
                }
            }
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Tokens that were asked for (`new-token`) are not listed there.
    let others = match get::read_all(client, secrets, Some(namespace), &[]).await {
        Err(error) if error.is_forbidden() => Vec::new(),
        answered => answered?,
    };
    Ok(others.iter().filter(|secret| belongs_to(secret, name, uid)).find_map(token_of))
}

/// Whether a secret holds a token of this very service account.
pub(crate) fn belongs_to(secret: &Value, account: &str, uid: &str) -> bool {
    let annotations = object::string_map(secret, "metadata.annotations");
    let has = |key: &str, value: &str| annotations.contains(&(key, value));
    object::text(secret, "type") == TOKEN_TYPE && has(NAME_ANNOTATION, account) && has(UID_ANNOTATION, uid)
}

fn token_of(secret: &Value) -> Option<String> {
    let token = object::at(secret, "data")?.get("token")?.as_str()?;
    let token = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    (!token.is_empty()).then_some(token)
}

async fn new_token(
    client: &Client,
    discovery: &Discovery,
    namespace: &str,
    account: &str,
    labels: &[String],
) -> anyhow::Result<String> {
    let mut label_map = serde_json::Map::new();
    for label in labels {
        let Some((key, value)) = label.split_once('=') else { bail!("unexpected label spec: {label}") };
        label_map.insert(key.to_owned(), Value::from(value));
    }
    let secrets = discovery.known("", "secrets")?;
    let document = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "generateName": format!("{account}-token-"),
            "namespace": namespace,
            "annotations": {NAME_ANNOTATION: account},
            "labels": label_map,
        },
        "type": TOKEN_TYPE,
    });
    let created = post(client, secrets, Some(namespace), &document, "").await?;
    if let Some(token) = token_of(&created) {
        return Ok(token);
    }
    let name = object::name(&created);
    let mut followed = Followed::new(client, &secrets.resource(), Some(namespace), name);
    let filled = async {
        loop {
            match followed.next().await? {
                Some(secret) => {
                    if let Some(token) = token_of(&secret) {
                        return Ok(token);
                    }
                }
                None => bail!("the token's secret {name:?} was deleted"),
            }
        }
    };
    match tokio::time::timeout(FILLED_WITHIN, filled).await {
        Ok(ended) => ended,
        Err(_elapsed) => {
            bail!("could not get a token for service account {account:?}: nobody filled secret {name:?}")
        }
    }
}
