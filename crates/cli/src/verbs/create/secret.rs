//! `create secret generic|docker-registry|tls`.

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::CreateOptions;
use crate::session::Session;

/// Create a secret
#[derive(Subcommand, Debug)]
pub(crate) enum SecretKind {
    /// Create a secret from files and literals
    Generic(GenericArgs),
    /// Create a secret with the credentials of a registry
    DockerRegistry(DockerRegistryArgs),
    /// Create a secret with a certificate and its key
    Tls(TlsArgs),
}

#[derive(Args, Debug)]
pub(crate) struct GenericArgs {
    /// Name of the secret
    name: String,
    /// key=FILE, FILE or directory
    #[arg(long, value_name = "[KEY=]FILE")]
    from_file: Vec<String>,
    /// key=value
    #[arg(long, value_name = "KEY=VALUE")]
    from_literal: Vec<String>,
    /// File of lines key=value
    #[arg(long, value_name = "FILE")]
    from_env_file: Vec<String>,
    /// Type of the secret
    #[arg(long = "type", value_name = "TYPE")]
    secret_type: Option<String>,
    #[command(flatten)]
    options: CreateOptions,
}

#[derive(Args, Debug)]
pub(crate) struct DockerRegistryArgs {
    /// Name of the secret
    name: String,
    /// Registry the credentials are for
    #[arg(long, default_value = "https://index.docker.io/v1/", value_name = "HOST")]
    docker_server: String,
    /// User name at the registry
    #[arg(long, value_name = "NAME")]
    docker_username: Option<String>,
    /// Password at the registry
    #[arg(long, value_name = "PASSWORD", allow_hyphen_values = true)]
    docker_password: Option<String>,
    /// Mail address at the registry
    #[arg(long, value_name = "MAIL")]
    docker_email: Option<String>,
    /// Take a whole docker configuration from this file
    #[arg(long, value_name = "[.dockerconfigjson=]FILE")]
    from_file: Vec<String>,
    #[command(flatten)]
    options: CreateOptions,
}

#[derive(Args, Debug)]
pub(crate) struct TlsArgs {
    /// Name of the secret
    name: String,
    /// File with the certificate
    #[arg(long, value_name = "FILE")]
    cert: String,
    /// File with the key
    #[arg(long, value_name = "FILE")]
    key: String,
    #[command(flatten)]
    options: CreateOptions,
}

pub(super) fn document(kind: SecretKind, session: &mut Session) -> anyhow::Result<(Value, CreateOptions)> {
    match kind {
        SecretKind::Generic(args) => {
            let contents =
                read_plain_files(&args.from_file, &args.from_literal, &args.from_env_file, session)?;
            let mut data = Map::new();
            for (key, content) in contents {
                insert(&mut data, &key, &content)?;
            }
            let secret_type = args.secret_type.as_deref().unwrap_or("Opaque");
            Ok((secret(&args.name, secret_type, data), args.options))
        }
        SecretKind::DockerRegistry(args) => docker_registry(args, session),
        SecretKind::Tls(args) => {
            let mut data = Map::new();
            let (certificate, key) = (session.read_file(&args.cert)?, session.read_file(&args.key)?);
            check_pem(&certificate, "CERTIFICATE", &args.cert)?;
            check_pem(&key, "PRIVATE KEY", &args.key)?;
            insert(&mut data, "tls.crt", &certificate)?;
            insert(&mut data, "tls.key", &key)?;
            Ok((secret(&args.name, "kubernetes.io/tls", data), args.options))
        }
    }
}

/// Takes the two files of a certificate for no other than they are: mixed up, they would only fail where they are used.
fn check_pem(content: &[u8], label: &str, name: &str) -> anyhow::Result<()> {
    let text = String::from_utf8_lossy(content);
    let is_such =
        |line: &str| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&format!("{label}-----"));
    if !text.lines().any(is_such) {
        bail!("failed to load key pair: {name} has no PEM block of a {}", label.to_lowercase());
    }
    Ok(())
}

fn docker_registry(
    args: DockerRegistryArgs,
    session: &mut Session,
) -> anyhow::Result<(Value, CreateOptions)> {
    const KEY: &str = ".dockerconfigjson";
    let mut data = Map::new();
    if let Some(source) = args.from_file.first() {
        let file = source.split_once('=').map_or(source.as_str(), |(_, file)| file);
        insert(&mut data, KEY, &session.read_file(file)?)?;
    } else {
        let (Some(username), Some(password)) = (&args.docker_username, &args.docker_password) else {
            bail!(
                "either --from-file or the combination of --docker-username, --docker-password and --docker-server is required"
            );
        };
        let email = args.docker_email.as_deref().unwrap_or_default();
        let entry = registry_entry(username, password, email);
        let config = json!({"auths": {args.docker_server.as_str(): entry}});
        insert(&mut data, KEY, config.to_string().as_bytes())?;
    }
    Ok((secret(&args.name, "kubernetes.io/dockerconfigjson", data), args.options))
}

/// The credentials of one registry in docker's form.
pub(crate) fn registry_entry(username: &str, password: &str, email: &str) -> Value {
    let mut entry = Map::new();
    entry.insert("username".to_owned(), Value::from(username));
    entry.insert("password".to_owned(), Value::from(password));
    if !email.is_empty() {
        entry.insert("email".to_owned(), Value::from(email));
    }
    entry.insert("auth".to_owned(), Value::from(STANDARD.encode(format!("{username}:{password}"))));
    Value::Object(entry)
}

/// A secret from base64 data.
pub(crate) fn secret(name: &str, secret_type: &str, data: Map<String, Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": secret_type, "data": data})
}

/// Adds one key; a key may come once only.
pub(crate) fn insert(data: &mut Map<String, Value>, key: &str, content: &[u8]) -> anyhow::Result<()> {
    check_key(key)?;
    if data.insert(key.to_owned(), Value::from(STANDARD.encode(content))).is_some() {
        bail!("cannot add key {key}, another key by that name already exists");
    }
    Ok(())
}

fn check_key(key: &str) -> anyhow::Result<()> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    if key.is_empty() || !key.chars().all(allowed) {
        bail!(
            "{key:?} is not a valid key name: a valid key consists of alphanumeric characters, '-', '_' or '.'"
        );
    }
    Ok(())
}

/// Reads `key=FILE`, `FILE` and directories, for a secret.
pub(crate) fn read_files(sources: &[String], session: &mut Session) -> anyhow::Result<Map<String, Value>> {
    let mut data = Map::new();
    for (key, content) in read_plain_files(sources, &[], &[], session)? {
        insert(&mut data, &key, &content)?;
    }
    Ok(data)
}

/// Keys and contents from files, `key=value` literals and files of such lines; a key may come once only.
pub(crate) fn read_plain_files(
    sources: &[String],
    literals: &[String],
    env_files: &[String],
    session: &mut Session,
) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut data: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |key: &str, content: Vec<u8>| {
        check_key(key)?;
        if data.iter().any(|(known, _)| known == key) {
            bail!("cannot add key {key}, another key by that name already exists");
        }
        data.push((key.to_owned(), content));
        Ok(())
    };
    for source in sources {
        if let Some((key, file)) = source.split_once('=') {
            add(key, session.read_file(file)?)?;
            continue;
        }
        let path = session.path(source.as_str());
        if path.is_dir() {
            let mut files: Vec<_> = std::fs::read_dir(&path)
                .with_context(|| format!("unable to read {source:?}"))?
                .collect::<Result<_, _>>()?;
            files.sort_by_key(std::fs::DirEntry::file_name);
            for file in files.into_iter().filter(|file| file.path().is_file()) {
                add(&file.file_name().to_string_lossy(), std::fs::read(file.path())?)?;
            }
            continue;
        }
        let name = path.file_name().with_context(|| format!("{source:?} has no file name"))?;
        add(&name.to_string_lossy(), session.read_file(source)?)?;
    }
    for literal in literals {
        let Some((key, value)) = literal.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            bail!("invalid literal source {literal}, expected key=value");
        };
        add(key, value.as_bytes().to_vec())?;
    }
    for file in env_files {
        let content = session.read_file(file)?;
        let text = String::from_utf8(content).with_context(|| format!("{file} is not text"))?;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            add(key.trim(), value.as_bytes().to_vec())?;
        }
    }
    Ok(data)
}
