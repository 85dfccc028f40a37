//! Advisories A10 and E3: what is on disk when the server starts, damaged or not secret.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use pierhead_testkit::{Addresses, Process, Site, eventually_within, serve_anywhere};

/// How long a start may take, well or not.
const LIMIT: Duration = Duration::from_secs(30);

/// Starts the server over `data`; says whether it became ready, and what it printed.
async fn start(binary: &Path, data: &Path) -> Result<(bool, String)> {
    let log = data.with_extension("log");
    let mut command = Command::new(binary);
    serve_anywhere(&mut command, data).arg("--allow-any-password");
    let mut process = Process::start(&mut command, &log)?;
    let ready = eventually_within(LIMIT, "the server is ready or has ended", async || {
        if process.ended().ok()?.is_some() {
            return Some(false);
        }
        Addresses::of(data).map(|_| true)
    })
    .await?;
    let status = process.stop()?;
    let printed = std::fs::read_to_string(&log)?;
    std::fs::remove_file(&log)?;
    ensure!(!ready || status.success(), "it started and ended with {status}: {printed}");
    ensure!(status.code().is_some(), "it ended by a signal: {printed}");
    Ok((ready, printed))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let (from, to) = (entry.as_ref().ok().context("an entry")?.path(), to.join(entry?.file_name()));
        if from.is_dir() { copy(&from, &to)? } else { std::fs::copy(&from, &to).map(drop)? }
    }
    Ok(())
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { files.extend(files_below(&path)?) } else { files.push(path) }
    }
    files.sort();
    Ok(files)
}

type Damage = fn(&mut Vec<u8>);

const DAMAGES: [(&str, Damage); 4] = [
    ("emptied", Vec::clear),
    ("cut in half", |bytes| bytes.truncate(bytes.len() / 2)),
    ("with another beginning", |bytes| bytes.iter_mut().take(100).for_each(|byte| *byte = b'\xa5')),
    ("with noise", |bytes| bytes.iter_mut().step_by(97).for_each(|byte| *byte ^= 0x5a)),
];

#[tokio::test(flavor = "multi_thread")]
async fn a10_damaged_files_are_an_error_and_never_a_panic() -> Result<()> {
    let site = Site::start().await?;
    let binary = site.binary().to_path_buf();
    site.stop()?;
    let folder = tempfile::tempdir()?;
    let sound = folder.path().join("sound");
    ensure!(start(&binary, &sound).await?.0, "a new folder is no reason not to start");
    let mut kept = files_below(&sound.join("metadata"))?;
    kept.push(sound.join("pki/service-account.key"));
    // An index in shared memory, which is made anew at every start.
    kept.retain(|file| file.extension().is_none_or(|extension| extension != "db-shm"));
    ensure!(kept.len() >= 3, "{kept:?}");
    let mut refused = 0;
    for file in kept {
        let name = file.strip_prefix(&sound)?.to_owned();
        let attempts = DAMAGES.map(async |(how, damage)| -> Result<bool> {
            let data = folder.path().join(how);
            copy(&sound, &data)?;
            let mut bytes = std::fs::read(&file)?;
            damage(&mut bytes);
            std::fs::write(data.join(&name), bytes)?;
            let (ready, printed) = start(&binary, &data).await.with_context(|| format!("{name:?} {how}"))?;
            ensure!(!printed.contains("panicked"), "{name:?} {how}: {printed}");
            ensure!(ready || !printed.trim().is_empty(), "{name:?} {how}: it ended without a word");
            std::fs::remove_dir_all(&data)?;
            Ok(!ready)
        });
        refused += try_join_all(attempts).await?.into_iter().filter(|refused| *refused).count();
    }
    ensure!(refused > 4, "only {refused} kinds of damage were noticed");
    Ok(())
}

/// Keys are made at the first start, for this site alone and for nobody else to read; none is taken for granted.
#[tokio::test(flavor = "multi_thread")]
async fn e3_keys_are_made_and_not_assumed() -> Result<()> {
    let site = Site::start().await?;
    let binary = site.binary().to_path_buf();
    site.stop()?;
    let folder = tempfile::tempdir()?;
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    for data in [&one, &two] {
        ensure!(start(&binary, data).await?.0, "a new folder is no reason not to start");
    }
    for key in ["pki/ca.key", "pki/service-account.key"] {
        let [first, second] = [std::fs::read(one.join(key))?, std::fs::read(two.join(key))?];
        ensure!(first != second && first.len() > 64, "{key} is the same everywhere");
        let mode = std::fs::metadata(one.join(key))?.permissions().mode();
        ensure!(mode & 0o077 == 0, "{key} has mode {mode:o}");
        std::fs::write(one.join(key), "")?;
        let (ready, printed) = start(&binary, &one).await?;
        let file = Path::new(key).file_name().and_then(|name| name.to_str()).context("a name")?;
        ensure!(!ready && printed.contains(file), "with an empty {key}: {printed}");
        std::fs::write(one.join(key), first)?;
    }
    ensure!(start(&binary, &one).await?.0, "with its keys back it starts");
    Ok(())
}
