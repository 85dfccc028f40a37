//! Holds what a server shows against the ledger; each finding is a sentence.

use crate::crash::server::CrashServer;
use crate::ledger::Ledger;
use crate::sample::sha256;
use crate::wire::Wire;
use anyhow::Result;
use http::StatusCode;

/// Everything acknowledged that is not there or not right. Tags are settled to what they show.
pub async fn violations(server: &CrashServer, ledger: &Ledger) -> Result<Vec<String>> {
    let mut wire = server.connect().await?;
    let mut found = Vec::new();
    for (repository, digest, bytes) in ledger.blobs() {
        let path = format!("/v2/{repository}/blobs/{digest}");
        check_content(&mut wire, &path, &bytes, &mut found).await?;
    }
    for (repository, digest, bytes) in ledger.manifests() {
        let path = format!("/v2/{repository}/manifests/{digest}");
        check_content(&mut wire, &path, &bytes, &mut found).await?;
    }
    for (repository, tag, possible) in ledger.tags() {
        let answer = wire.get(&format!("/v2/{repository}/manifests/{tag}")).await?;
        if answer.status != StatusCode::OK {
            found.push(format!("I3: {repository}:{tag} was acknowledged and answers {}", answer.status));
            continue;
        }
        let shown = sha256(&answer.body);
        if !possible.contains(&shown) {
            found.push(format!("I3: {repository}:{tag} shows {shown}, may show {possible:?}"));
        }
        check_parts(&mut wire, &repository, &answer.body, &mut found).await?;
        ledger.settle(&repository, &tag, &shown);
    }
    Ok(found)
}

async fn check_content(wire: &mut Wire, path: &str, bytes: &[u8], found: &mut Vec<String>) -> Result<()> {
    let answer = wire.get(path).await?;
    if answer.status != StatusCode::OK {
        found.push(format!("I1: {path} was acknowledged and answers {}", answer.status));
    } else if answer.body != bytes {
        found.push(format!("I5: {path} answers 200 with other bytes"));
    }
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
