//! Holds what a server shows against the ledger; each finding is a sentence that begins with the invariant it breaks.

use crate::crash::server::CrashServer;
use crate::ledger::{Ledger, Shown, Stored};
use crate::sample::sha256;
use crate::wire::{Answer, Wire};
use anyhow::{Context, Result};
use http::StatusCode;
use tokio::task::JoinSet;

/// Requests at a time.
const READERS: usize = 4;

/// Everything acknowledged that is not there or not right: blobs and manifests acknowledged since a tick of the
/// ledger, and all tags, which are settled to what they show.
pub async fn violations(server: &CrashServer, ledger: &Ledger, since: u64) -> Result<Vec<String>> {
    let blobs = ledger.blobs(since).into_iter().map(|stored| ("blobs", stored));
    let manifests = ledger.manifests(since).into_iter().map(|stored| ("manifests", stored));
    let contents: Vec<(&'static str, Stored)> = blobs.chain(manifests).collect();
    let mut readers = JoinSet::new();
    for share in contents.chunks(contents.len().div_ceil(READERS).max(1)) {
        let (mut wire, share) = (server.connect().await?, share.to_vec());
        readers.spawn(async move {
            let mut found = Vec::new();
            for (kind, (repository, digest, bytes)) in share {
                let path = format!("/v2/{repository}/{kind}/{digest}");
                found.extend(compare(&path, &wire.get(&path).await?, &bytes));
            }
            anyhow::Ok(found)
        });
    }
    let mut found = Vec::new();
    while let Some(reader) = readers.join_next().await {
        found.extend(reader??);
    }
    let mut wire = server.connect().await?;
    for (repository, tag, possible) in ledger.tags() {
        check_tag(&mut wire, ledger, (&repository, &tag), &possible, &mut found).await?;
    }
    found.extend(server.panics().into_iter().map(|line| format!("I18: {line}")));
    Ok(found)
}

fn compare(path: &str, answer: &Answer, bytes: &[u8]) -> Option<String> {
    if answer.status != StatusCode::OK {
        Some(format!("I1: {path} was acknowledged and answers {}", answer.status))
    } else if answer.body != bytes {
        Some(format!("I5: {path} answers 200 with other bytes"))
    } else {
        None
    }
}

async fn check_tag(
    wire: &mut Wire,
    ledger: &Ledger,
    (repository, tag): (&str, &str),
    possible: &[Shown],
    found: &mut Vec<String>,
) -> Result<()> {
    let answer = wire.get(&format!("/v2/{repository}/manifests/{tag}")).await?;
    let shown = match answer.status {
        StatusCode::OK => Some(sha256(&answer.body)),
        StatusCode::NOT_FOUND => None,
        other => {
            found.push(format!("I3: {repository}:{tag} answers {other}"));
            return Ok(());
        }
    };
    if !possible.contains(&shown) {
        found.push(format!("I3, I8: {repository}:{tag} shows {shown:?}, may show {possible:?}"));
    }
    if shown.is_some() {
        check_parts(wire, repository, &answer.body, found).await?;
    }
    ledger.settle(repository, tag, shown);
    Ok(())
}

/// I4: what a readable manifest refers to is readable.
async fn check_parts(
    wire: &mut Wire,
    repository: &str,
    manifest: &[u8],
    found: &mut Vec<String>,
) -> Result<()> {
    let manifest: serde_json::Value = serde_json::from_slice(manifest)?;
    let layers = manifest["layers"].as_array().into_iter().flatten();
    for part in layers.chain([&manifest["config"]]).filter_map(|part| part["digest"].as_str()) {
        let answer = wire.get(&format!("/v2/{repository}/blobs/{part}")).await?;
        if answer.status != StatusCode::OK || sha256(&answer.body) != part {
            found
                .push(format!("I4: {repository} has a manifest whose blob {part} answers {}", answer.status));
        }
    }
    Ok(())
}

/// I6: the histories of all tags that were only ever pushed, as the image streams of a project tell them. Says how many
/// events there were.
pub async fn histories(server: &CrashServer, ledger: &Ledger, project: &str) -> Result<(usize, Vec<String>)> {
    let streams: serde_json::Value =
        serde_json::from_str(&server.oc(&["get", "is", "-n", project, "-o", "json"]).await?)?;
    let (mut events, mut found) = (0, Vec::new());
    for stream in streams["items"].as_array().context("the list has no items")? {
        let name = stream["metadata"]["name"].as_str().context("a stream without a name")?;
        let repository = format!("{project}/{name}");
        for tag in ledger.tags_with_history(&repository) {
            let tags = stream["status"]["tags"].as_array().into_iter().flatten();
            let items =
                tags.filter(|told| told["tag"] == tag.as_str()).flat_map(|told| told["items"].as_array());
            let mut history: Vec<String> =
                items.flatten().filter_map(|item| Some(item["image"].as_str()?.to_owned())).collect();
            history.reverse();
            events += history.len();
            found.extend(ledger.check_history(&repository, &tag, &history));
        }
    }
    Ok((events, found))
}
