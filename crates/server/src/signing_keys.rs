//! The keys that sign tokens of service accounts, as files: `service-account.key` signs, and every
//! `service-account-….key` beside it still verifies.
//!
//! Owns reading them, following them while the server runs, and the verb that exchanges them. A key is exchanged by
//! putting another file in its place: the server looks every second, so nobody restarts it and nobody is refused.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use pierhead_auth::service_account::{SigningKey, TokenSigner};
use pierhead_runtime::{CancellationToken, Tasks};
use tracing::{info, warn};

use crate::pki;

const CURRENT: &str = "service-account.key";
const OLDER: &str = "service-account-";
const SUFFIX: &str = ".key";
/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Exchange the key that signs service account tokens; the old one goes on verifying until it is retired
#[derive(Args, Debug)]
pub(crate) struct RotateArgs {
    /// The server's folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Make no new key, but take all older ones out of use: tokens they signed are refused from then on, and secrets
    /// that hold such tokens get new ones
    #[arg(long)]
    retire: bool,
}

/// The content of the files, by name.
type Files = BTreeMap<String, String>;

fn read(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry.with_context(|| format!("reading {}", folder.display()))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name == CURRENT || (name.starts_with(OLDER) && name.ends_with(SUFFIX)) {
            let content = fs::read_to_string(entry.path());
            files.insert(name, content.with_context(|| format!("reading {}", entry.path().display()))?);
        }
    }
    Ok(files)
}

fn keys(folder: &Path, files: &Files) -> Result<(SigningKey, Vec<SigningKey>)> {
    let key = |(name, pem): (&String, &String)| {
        SigningKey::from_pem(pem).with_context(|| format!("loading {}", folder.join(name).display()))
    };
    let current = files.get_key_value(CURRENT).map(key);
    let current = current.with_context(|| format!("there is no {}", folder.join(CURRENT).display()))??;
    let older = files.iter().filter(|(name, _)| *name != CURRENT).map(key).collect::<Result<_>>()?;
    Ok((current, older))
}

/// Loads the keys in `folder`, or makes the first one.
pub(crate) fn open(folder: &Path) -> Result<TokenSigner> {
    if !folder.join(CURRENT).exists() {
        write(folder, CURRENT, &SigningKey::generate()?)?;
    }
    let (current, older) = keys(folder, &read(folder)?)?;
    Ok(TokenSigner::new(current, older))
}

/// Follows the files until `tasks` stops.
pub(crate) fn follow(folder: PathBuf, signer: TokenSigner, tasks: &Tasks) {
    tasks.spawn("signing-keys", |stop| following(folder, signer, stop));
}

/// What cannot be read, perhaps because it is being replaced, leaves the keys that were read before.
async fn following(folder: PathBuf, signer: TokenSigner, stop: CancellationToken) {
    let mut known = read(&folder).unwrap_or_default();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let from = folder.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let files = read(&from)?;
            let keys = keys(&from, &files)?;
            anyhow::Ok((files, keys))
        });
        // A panic or a stop of the process: in neither case was anything read.
        let Ok(looked) = looked.await else { continue };
        match looked {
            Ok((files, (current, older))) if files != known => {
                info!(
                    key = current.key_id(),
                    older = older.len(),
                    "Service account tokens are signed with the key {}; {} older ones verify",
                    current.key_id(),
                    older.len()
                );
                signer.replace(current, older);
                known = files;
            }
            Ok(_) => {}
            Err(error) => warn!("{error:#}; the keys read before stay"),
        }
    }
}

/// `pierhead rotate-signing-key`.
pub(crate) fn rotate(args: &RotateArgs, out: &mut impl Write) -> Result<ExitCode> {
    let folder = args.data.join("pki");
    if !folder.join(CURRENT).exists() {
        bail!("{} is no folder of a server: it has no {CURRENT}", args.data.display());
    }
    let files = read(&folder)?;
    let (current, _) = keys(&folder, &files)?;
    if args.retire {
        let older: Vec<&String> = files.keys().filter(|name| *name != CURRENT).collect();
        for name in &older {
            let path = folder.join(name);
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
        writeln!(out, "{} older keys are out of use; {} signs and verifies", older.len(), current.key_id())?;
        return Ok(ExitCode::SUCCESS);
    }
    let new = SigningKey::generate()?;
    let id: String = current.key_id().chars().take(12).collect();
    // The old key is in its new place before it leaves its old one.
    write(&folder, &format!("{OLDER}{id}{SUFFIX}"), &current)?;
    write(&folder, CURRENT, &new)?;
    writeln!(out, "{} signs from now on; {} still verifies", new.key_id(), current.key_id())?;
    writeln!(
        out,
        "When no token of it is needed any more: pierhead rotate-signing-key --data {} --retire",
        args.data.display()
    )?;
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path, name: &str, key: &SigningKey) -> Result<()> {
    pki::write(&folder.join(name), key.to_pem()?.expose().as_bytes(), 0o600)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use pierhead_auth::service_account::LegacyClaims;
    use pierhead_runtime::Tasks;

    use super::{LOOK_EVERY, RotateArgs, follow, open, rotate};

    #[tokio::test(start_paused = true)]
    async fn a_running_server_takes_the_new_key_and_keeps_the_old_one_until_it_is_retired() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("pki");
        std::fs::create_dir(&folder).unwrap();
        let signer = open(&folder).unwrap();
        let claims = LegacyClaims {
            namespace: "shop".into(),
            secret_name: "s".into(),
            service_account_name: "a".into(),
            service_account_uid: "1".into(),
        };
        let token = signer.sign_legacy(&claims).into_exposed();
        let first = signer.key_id();
        let tasks = Tasks::new();
        follow(folder.clone(), signer.clone(), &tasks);
        tokio::time::sleep(LOOK_EVERY / 2).await;
        let run = |retire| {
            let mut said = Vec::new();
            rotate(&RotateArgs { data: data.path().to_owned(), retire }, &mut said).unwrap();
            String::from_utf8(said).unwrap()
        };
        let changes = async |expected: usize| {
            let mut replaced = signer.replaced();
            while signer.jwks()["keys"].as_array().unwrap().len() != expected {
                tokio::time::timeout(Duration::from_secs(3_600), replaced.changed()).await.unwrap().unwrap();
            }
        };
        assert!(run(false).contains(&format!("; {first} still verifies")));
        changes(2).await;
        assert_ne!(signer.key_id(), first);
        assert!(!signer.names_lost_key(&token));
        run(false);
        changes(3).await;
        for entry in std::fs::read_dir(&folder).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(open(&folder).unwrap().jwks(), signer.jwks(), "the same after a restart");
        assert!(run(true).starts_with("2 older keys are out of use"));
        changes(1).await;
        assert!(signer.names_lost_key(&token));
        tasks.shutdown(Duration::from_secs(1)).await.unwrap();
        let nowhere = RotateArgs { data: folder.clone(), retire: false };
        assert!(
            rotate(&nowhere, &mut Vec::new()).unwrap_err().to_string().contains("is no folder of a server")
        );
    }
}
