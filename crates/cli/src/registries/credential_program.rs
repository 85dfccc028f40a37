//! Credential helpers: programs named `docker-credential-NAME` that keep passwords for docker and podman.
//!
//! Owns their protocol: a word, something on standard input, JSON on standard output. What they print is shown to
//! nobody, since it may be a password.

use std::{ffi::OsStr, process::Stdio, time::Duration};

use anyhow::{Context as _, bail};
use pierhead_client::{
    Secret,
    keyring::{Keyring, RegistryCredential},
};
use serde::Deserialize;
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::environment::find_program;

/// How long a helper may take: some ask a person.
const LIMIT: Duration = Duration::from_secs(60);
/// What helpers say when they have nothing for a host.
const NOTHING: [&str; 2] = ["credentials not found in native keychain", "no credentials server URL"];

/// What a helper has for a host.
pub(super) enum HelperAnswer {
    Credential { username: String, password: String },
    None,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Kept {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks a helper for the credentials of a host.
pub(super) async fn get(name: &str, host: &str, search: Option<&OsStr>) -> anyhow::Result<HelperAnswer> {
    let (succeeded, output) = run(name, "get", host.as_bytes(), search).await?;
    if !succeeded {
        let said = String::from_utf8_lossy(&output);
        if NOTHING.iter().any(|nothing| said.contains(nothing)) {
            return Ok(HelperAnswer::None);
        }
        bail!("the credential helper docker-credential-{name} failed for {host}");
    }
    let Ok(kept) = serde_json::from_slice::<Kept>(&output) else {
        bail!(
            "the credential helper docker-credential-{name} gave something for {host} that is no credential"
        );
    };
    if kept.username.is_empty() && kept.secret.is_empty() {
        return Ok(HelperAnswer::None);
    }
    if kept.username == "<token>" {
        bail!(
            "the credential helper docker-credential-{name} keeps an identity token for {host}, which cannot be \
             used here; log in with a user name and password or token"
        );
    }
    Ok(HelperAnswer::Credential { username: kept.username, password: kept.secret })
}

/// Gives a helper credentials to keep.
pub(super) async fn store(
    name: &str,
    host: &str,
    (user, password): (&str, &str),
    search: Option<&OsStr>,
) -> anyhow::Result<()> {
    let input = json!({"ServerURL": host, "Username": user, "Secret": password}).to_string();
    let (succeeded, _) = run(name, "store", input.as_bytes(), search).await?;
    if !succeeded {
        bail!("the credential helper docker-credential-{name} did not keep the credentials for {host}");
    }
    Ok(())
}

/// A keyring of what a helper gave.
pub(super) fn keyring(host: &str, username: String, password: String, helper: &str) -> Keyring {
    let source = format!("docker-credential-{helper}");
    Keyring::of_host(host, RegistryCredential { username, password: Secret::new(password), source })
}

async fn run(
    name: &str,
    action: &str,
    input: &[u8],
    search: Option<&OsStr>,
) -> anyhow::Result<(bool, Vec<u8>)> {
    let sound = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    if !name.chars().all(sound) {
        bail!("{name:?} is not the name of a credential helper");
    }
    let program = format!("docker-credential-{name}");
    let found = find_program(search, &program)
        .with_context(|| format!("the credential helper {program} is not on the path"))?;
    let working = async {
        let mut child = Command::new(&found)
            .arg(action)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that does not read ends before its input does.
            stdin.write_all(input).await.ok();
        }
        child.wait_with_output().await
    };
    match tokio::time::timeout(LIMIT, working).await {
        Ok(output) => {
            let output = output.with_context(|| format!("the credential helper {program} cannot be run"))?;
            Ok((output.status.success(), output.stdout))
        }
        Err(_elapsed) => bail!("the credential helper {program} took longer than {LIMIT:?}"),
    }
}
