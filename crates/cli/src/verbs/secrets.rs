//! `secrets`: the verbs of 3.x for secrets and service accounts (platform 6).

use anyhow::bail;
use clap::{Args, Subcommand};
use pierhead_client::Client;
use serde_json::{Map, Value, json};

use super::{
    create::{
        CreateOptions, create_document, post, put,
        secret::{insert, read_files, registry_entry, secret},
    },
    get,
};
use crate::{
    discovery::{ApiKind, Discovery},
    dry_run::{DryRun, DryRunArgs},
    environment::ExitStatus,
    globals::Era,
    manifest, object,
    session::Session,
};

/// Make secrets and give them to service accounts
///
/// Examples:
///   secrets new-dockercfg pull --docker-server=… --docker-username=… --docker-password=… --docker-email=…
///   secrets link default pull --for=pull
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, alias = "secret")]
pub(crate) struct SecretsArgs {
    #[command(subcommand)]
    verb: SecretsVerb,
}

#[derive(Subcommand, Debug)]
enum SecretsVerb {
    /// Create a secret with the credentials of a registry
    NewDockercfg(NewDockercfgArgs),
    /// Create a secret from files
    New(NewArgs),
    /// Create a secret with a user name and a password or token
    NewBasicauth(NewBasicAuthArgs),
    /// Create a secret with a private key
    NewSshauth(NewSshAuthArgs),
    /// Let a service account use secrets
    #[command(visible_alias = "add")]
    Link(LinkArgs),
    /// Take secrets away from a service account
    Unlink(UnlinkArgs),
}

#[derive(Args, Debug)]
struct NewDockercfgArgs {
    /// Name of the secret
    name: String,
    /// Registry the credentials are for
    #[arg(long, default_value = "https://index.docker.io/v1/", value_name = "HOST")]
    docker_server: String,
    /// User name at the registry
    #[arg(long, value_name = "NAME")]
    docker_username: Option<String>,
    /// Password at the registry, or the token of a service account
    #[arg(long, value_name = "PASSWORD", allow_hyphen_values = true)]
    docker_password: Option<String>,
    /// Mail address at the registry
    #[arg(long, value_name = "MAIL")]
    docker_email: Option<String>,
    #[command(flatten)]
    options: CreateOptions,
}

#[derive(Args, Debug)]
struct NewArgs {
    /// Name of the secret
    name: String,
    /// [KEY=]FILE…
    #[arg(required = true, value_name = "[KEY=]FILE")]
    files: Vec<String>,
    /// Type of the secret; guessed from its keys unless given
    #[arg(long = "type", value_name = "TYPE")]
    secret_type: Option<String>,
    /// Take a type that is not known
    #[arg(long)]
    confirm: bool,
    /// Say nothing of types that look wrong
    #[arg(short = 'q', long, hide = true)]
    quiet: bool,
    #[command(flatten)]
    options: CreateOptions,
}

#[derive(Args, Debug)]
struct NewBasicAuthArgs {
    /// Name of the secret
    name: String,
    /// User name
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Password or token
    #[arg(long, value_name = "PASSWORD", allow_hyphen_values = true, conflicts_with = "prompt")]
    password: Option<String>,
    /// Ask for the password
    #[arg(long)]
    prompt: bool,
    /// File with the authorities that sign the server's certificate
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<String>,
    /// File with git's configuration
    #[arg(long, value_name = "FILE")]
    gitconfig: Option<String>,
    #[command(flatten)]
    options: CreateOptions,
}

#[derive(Args, Debug)]
struct NewSshAuthArgs {
    /// Name of the secret
    name: String,
    /// File with the private key
    #[arg(long, value_name = "FILE")]
    ssh_privatekey: Option<String>,
    /// File with the authorities that sign the server's certificate
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<String>,
    /// File with git's configuration
    #[arg(long, value_name = "FILE")]
    gitconfig: Option<String>,
    #[command(flatten)]
    options: CreateOptions,
}

#[derive(Args, Debug)]
struct LinkArgs {
    /// Service account, as NAME or serviceaccount/NAME
    account: String,
    /// Secrets, as NAME or secrets/NAME
    #[arg(required = true)]
    secrets: Vec<String>,
    /// pull, mount or both
    #[arg(long = "for", value_delimiter = ',', default_value = "mount", value_name = "USE")]
    uses: Vec<String>,
    #[command(flatten)]
    dry: DryRunArgs,
}

#[derive(Args, Debug)]
struct UnlinkArgs {
    /// Service account, as NAME or serviceaccount/NAME
    account: String,
    /// Secrets, as NAME or secrets/NAME
    #[arg(required = true)]
    secrets: Vec<String>,
    #[command(flatten)]
    dry: DryRunArgs,
}

pub(crate) async fn run(args: SecretsArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    match args.verb {
        SecretsVerb::NewDockercfg(args) => new_dockercfg(args, session).await?,
        SecretsVerb::New(args) => new(args, session).await?,
        SecretsVerb::NewBasicauth(args) => new_basic_auth(args, session).await?,
        SecretsVerb::NewSshauth(args) => new_ssh_auth(args, session).await?,
        SecretsVerb::Link(args) => link(args, session).await?,
        SecretsVerb::Unlink(args) => unlink(args, session).await?,
    }
    Ok(ExitStatus::SUCCESS)
}

/// The types that somebody looks at.
const KNOWN_TYPES: [&str; 8] = [
    "Opaque",
    "kubernetes.io/dockercfg",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/service-account-token",
    "kubernetes.io/basic-auth",
    "kubernetes.io/ssh-auth",
    "kubernetes.io/tls",
    "bootstrap.kubernetes.io/token",
];

async fn new_dockercfg(args: NewDockercfgArgs, session: &mut Session) -> anyhow::Result<()> {
    let (Some(username), Some(password), Some(email)) =
        (&args.docker_username, &args.docker_password, &args.docker_email)
    else {
        bail!("docker-username, docker-password, and docker-email are all required");
    };
    let entry = registry_entry(username, password, email);
    let servers = json!({args.docker_server.as_str(): entry});
    let mut data = Map::new();
    let is_modern = session.era() == Era::V4;
    let secret_type = if is_modern {
        insert(&mut data, ".dockerconfigjson", json!({"auths": servers}).to_string().as_bytes())?;
        "kubernetes.io/dockerconfigjson"
    } else {
        insert(&mut data, ".dockercfg", servers.to_string().as_bytes())?;
        "kubernetes.io/dockercfg"
    };
    store(session, secret(&args.name, secret_type, data), is_modern, args.options).await
}

async fn new(args: NewArgs, session: &mut Session) -> anyhow::Result<()> {
    let data = read_files(&args.files, session)?;
    let guessed = if data.contains_key(".dockercfg") {
        "kubernetes.io/dockercfg"
    } else if data.contains_key(".dockerconfigjson") {
        "kubernetes.io/dockerconfigjson"
    } else {
        "Opaque"
    };
    let secret_type = args.secret_type.as_deref().unwrap_or(guessed);
    if !args.confirm && !KNOWN_TYPES.contains(&secret_type) {
        bail!("unknown secret type {secret_type:?}: pass --confirm to create it all the same");
    }
    let is_modern = session.era() == Era::V4;
    store(session, secret(&args.name, secret_type, data), is_modern, args.options).await
}

async fn new_basic_auth(args: NewBasicAuthArgs, session: &mut Session) -> anyhow::Result<()> {
    let password = if args.prompt { session.ask("Password: ", true)? } else { args.password.clone() };
    if args.username.is_none() && password.is_none() {
        bail!("must provide basic authentication credentials");
    }
    let mut data = Map::new();
    for (key, value) in [("username", &args.username), ("password", &password)] {
        if let Some(value) = value {
            insert(&mut data, key, value.as_bytes())?;
        }
    }
    let files = [("ca.crt", args.ca_cert.as_deref()), (".gitconfig", args.gitconfig.as_deref())];
    add_files(&mut data, &files, session)?;
    let is_modern = session.era() == Era::V4;
    let secret_type = if is_modern { "kubernetes.io/basic-auth" } else { "Opaque" };
    store(session, secret(&args.name, secret_type, data), is_modern, args.options).await
}

async fn new_ssh_auth(args: NewSshAuthArgs, session: &mut Session) -> anyhow::Result<()> {
    if args.ssh_privatekey.is_none() {
        bail!("must provide SSH authentication credentials");
    }
    let mut data = Map::new();
    let files = [
        ("ssh-privatekey", args.ssh_privatekey.as_deref()),
        ("ca.crt", args.ca_cert.as_deref()),
        (".gitconfig", args.gitconfig.as_deref()),
    ];
    add_files(&mut data, &files, session)?;
    let is_modern = session.era() == Era::V4;
    let secret_type = if is_modern { "kubernetes.io/ssh-auth" } else { "Opaque" };
    store(session, secret(&args.name, secret_type, data), is_modern, args.options).await
}

fn add_files(
    data: &mut Map<String, Value>,
    files: &[(&str, Option<&str>)],
    session: &mut Session,
) -> anyhow::Result<()> {
    for (key, file) in files {
        if let Some(file) = file {
            insert(data, key, &session.read_file(file)?)?;
        }
    }
    Ok(())
}

/// Creates the secret. In 2016 only its name was printed, so that it could be passed on.
async fn store(
    session: &mut Session,
    mut document: Value,
    is_modern: bool,
    options: CreateOptions,
) -> anyhow::Result<()> {
    let options = options.managed_by("oc");
    if is_modern || options.dry_run() != DryRun::None || options.output.output.is_some() {
        create_document(session, document, &options, "created").await?;
        return Ok(());
    }
    let discovery = session.discovery().await?;
    let kind = discovery.of_document(&document)?.clone();
    let namespace = manifest::prepare(session, &kind, &mut document)?;
    let client = session.client()?;
    post(&client, &kind, namespace.as_deref(), &document, &options.query()).await?;
    session.say(&format!("secret/{}", object::name(&document)))?;
    Ok(())
}

/// The name in `secrets/NAME`, `secret/NAME` or `NAME`; other types are refused.
fn name_of<'w>(discovery: &Discovery, word: &'w str, plural: &str) -> anyhow::Result<&'w str> {
    match word.split_once('/') {
        None => Ok(word),
        Some((kind, name)) => {
            let kind = discovery.resolve(kind)?;
            if kind.plural != plural {
                bail!("expected a {}, got {word:?}", plural.trim_end_matches('s'));
            }
            Ok(name)
        }
    }
}

/// Where a service account is.
struct Place<'p> {
    client: &'p Client,
    accounts: &'p ApiKind,
    namespace: &'p str,
    name: &'p str,
}

impl Place<'_> {
    /// Stores the account as `change` leaves it, unless it says that nothing changed. The token controller writes the
    /// same object: a lost race is tried again on the new one.
    async fn change(
        &self,
        dry_run: DryRun,
        change: impl Fn(&mut Value) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        for attempt in 1.. {
            let mut account = get::read(self.client, self.accounts, self.namespace, self.name).await?;
            if !change(&mut account)? || dry_run == DryRun::Client {
                break;
            }
            match put(self.client, self.accounts, Some(self.namespace), &account, dry_run.query()).await {
                Err(error) if error.is_conflict() && attempt < 5 => {}
                answered => {
                    answered?;
                    break;
                }
            }
        }
        Ok(())
    }
}

async fn link(args: LinkArgs, session: &mut Session) -> anyhow::Result<()> {
    let mut lists = Vec::new();
    for usage in &args.uses {
        lists.push(match usage.as_str() {
            "pull" => "imagePullSecrets",
            "mount" => "secrets",
            other => bail!("unknown for: {other}"),
        });
    }
    let discovery = session.discovery().await?;
    let client = session.client()?;
    let namespace = session.namespace()?;
    let accounts = discovery.known("", "serviceaccounts")?;
    let secrets = discovery.known("", "secrets")?;
    let account_name = name_of(&discovery, &args.account, "serviceaccounts")?;
    let mut names = Vec::new();
    let mut missing = false;
    for word in &args.secrets {
        let name = name_of(&discovery, word, "secrets")?;
        match get::read(&client, secrets, &namespace, name).await {
            Ok(_) => names.push(name),
            Err(error) if error.is_not_found() => {
                missing = true;
                session.remark(&error.to_string())?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if names.is_empty() {
        bail!("No valid secrets found");
    }
    let place = Place { client: &client, accounts, namespace: &namespace, name: account_name };
    place
        .change(args.dry.dry_run, |account| {
            let before = account.clone();
            for list in &lists {
                add_references(account, list, &names);
            }
            Ok(*account != before)
        })
        .await?;
    say_tried(args.dry.dry_run, &format!("{account_name} linked"), session)?;
    if missing {
        bail!("Some secrets could not be linked");
    }
    Ok(())
}

fn add_references(account: &mut Value, list: &str, names: &[&str]) {
    let Value::Object(fields) = account else { return };
    let entry = fields.entry(list.to_owned()).or_insert_with(|| json!([]));
    if !entry.is_array() {
        *entry = json!([]);
    }
    if let Value::Array(references) = entry {
        for name in names {
            if !references.iter().any(|reference| object::text(reference, "name") == *name) {
                references.push(json!({"name": name}));
            }
        }
    }
}

async fn unlink(args: UnlinkArgs, session: &mut Session) -> anyhow::Result<()> {
    let discovery = session.discovery().await?;
    let client = session.client()?;
    let namespace = session.namespace()?;
    let accounts = discovery.known("", "serviceaccounts")?;
    let secrets = discovery.known("", "secrets")?;
    let account_name = name_of(&discovery, &args.account, "serviceaccounts")?;
    let mut names = Vec::new();
    let mut deleted = false;
    for word in &args.secrets {
        let name = name_of(&discovery, word, "secrets")?;
        names.push(name);
        match get::read(&client, secrets, &namespace, name).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() => deleted = true,
            Err(error) => return Err(error.into()),
        }
    }
    let place = Place { client: &client, accounts, namespace: &namespace, name: account_name };
    place
        .change(args.dry.dry_run, |account| {
            if !remove_references(account, &names) {
                bail!("No valid secrets found or secrets not linked to service account");
            }
            Ok(true)
        })
        .await?;
    say_tried(args.dry.dry_run, &format!("{account_name} unlinked"), session)?;
    if deleted {
        bail!("Unlinked deleted secrets from {namespace}/{account_name} service account");
    }
    Ok(())
}

/// Takes references away; whether there was one.
fn remove_references(account: &mut Value, names: &[&str]) -> bool {
    let mut found = false;
    for list in ["secrets", "imagePullSecrets"] {
        if let Some(Value::Array(references)) = account.get_mut(list) {
            let before = references.len();
            references.retain(|reference| !names.contains(&object::text(reference, "name")));
            found |= references.len() < before;
        }
    }
    found
}

/// Says what was only tried; what was done is done without a word, as ever.
fn say_tried(dry_run: DryRun, done: &str, session: &mut Session) -> anyhow::Result<()> {
    if dry_run != DryRun::None {
        session.say(&dry_run.done(&format!("serviceaccount/{done}")))?;
    }
    Ok(())
}
