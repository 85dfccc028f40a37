//! `extract`: the contents of secrets and config maps as files (platform 6).

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use serde_json::Value;

use super::get;
use crate::{environment::ExitStatus, object, resource_args, session::Session};

/// Write the contents of a secret or config map into files
///
/// Examples:
///   extract secret/pull --to=-
///   extract configmap/web --keys=nginx.conf --to=conf --confirm
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ExtractArgs {
    /// TYPE/NAME
    #[arg(value_name = "NAME", required = true)]
    words: Vec<String>,
    /// Only these keys
    #[arg(long, value_delimiter = ',', value_name = "KEY")]
    keys: Vec<String>,
    /// Directory for the files; - prints them
    #[arg(long, default_value = ".", value_name = "DIRECTORY")]
    to: String,
    /// Replace files that are there
    #[arg(long)]
    confirm: bool,
}

pub(crate) async fn run(args: ExtractArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let (kind, name) = resource_args::parse_one(&discovery, &args.words)?;
    if !matches!((kind.group.as_str(), kind.plural.as_str()), ("", "secrets" | "configmaps")) {
        bail!("{}/{name} does not support extraction", kind.singular);
    }
    let found = get::read(&session.client()?, &kind, &session.namespace()?, &name).await?;
    let is_secret = kind.plural == "secrets";
    let contents = contents(&found, is_secret)?;
    for key in &args.keys {
        if !contents.iter().any(|(known, _)| known == key) {
            bail!("key {key:?} not found in {}/{name}", kind.singular);
        }
    }
    let folder = session.path(args.to.as_str());
    if args.to != "-" && !folder.is_dir() {
        bail!("the directory {:?} does not exist", args.to);
    }
    for (key, content) in contents {
        if !args.keys.is_empty() && !args.keys.contains(&key) {
            continue;
        }
        if args.to == "-" {
            session.remark(&format!("# {key}"))?;
            session.print_data(&String::from_utf8_lossy(&content))?;
            if !content.ends_with(b"\n") {
                session.print_data("\n")?;
            }
            continue;
        }
        // Keys hold no slashes on a sound server; a bad one must not choose where we write.
        if key.contains('/') || key == ".." || key == "." {
            bail!("{key:?} is not the name of a file");
        }
        let file = folder.join(&key);
        if file.exists() && !args.confirm {
            bail!("{} already exists, pass --confirm to replace it", file.display());
        }
        let mode = if is_secret { 0o600 } else { 0o666 };
        write(&file, &content, mode).with_context(|| format!("unable to write {}", file.display()))?;
        session.say(&if args.to == "." {
            key
        } else {
            format!("{}/{key}", args.to.trim_end_matches('/'))
        })?;
    }
    Ok(ExitStatus::SUCCESS)
}

/// Writes a file; a new one gets this mode, less what the process masks.
fn write(file: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode).open(file)?.write_all(content)
}

fn contents(object: &Value, is_secret: bool) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut contents = Vec::new();
    for (field, is_base64) in [("data", is_secret), ("binaryData", true)] {
        for (key, value) in object::string_map(object, field) {
            let content = if is_base64 {
                STANDARD.decode(value).with_context(|| format!("the value of {key:?} is not base64"))?
            } else {
                value.as_bytes().to_vec()
            };
            contents.push((key.to_owned(), content));
        }
    }
    Ok(contents)
}
