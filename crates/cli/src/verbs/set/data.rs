//! `set data`: keys of secrets and config maps (platform 9).

use std::collections::BTreeSet;

use anyhow::bail;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use serde_json::{Value, json};

use super::SetOptions;
use crate::{environment::ExitStatus, object, session::Session, verbs::create::secret::read_plain_files};

/// Set or remove keys of secrets and config maps
///
/// KEY=VALUE sets a key, KEY- removes it. Files keep what is in them, byte for byte.
///
/// Examples:
///   set data secret/pull password=secret old-
///   set data configmap/web --from-file=nginx.conf --from-literal=level=debug
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct DataArgs {
    /// TYPE/NAME, then KEY=VALUE or KEY-
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,
    /// key=FILE, FILE or directory; may be repeated
    #[arg(long, value_name = "[KEY=]FILE")]
    from_file: Vec<String>,
    /// key=value; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    from_literal: Vec<String>,
    #[command(flatten)]
    options: SetOptions,
}

pub(super) async fn run(args: DataArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let is_change = |word: &str| word.contains('=') || (word.ends_with('-') && !word.contains('/'));
    let (subjects, changes) = super::split_words(&args.words, is_change);
    let mut literals = args.from_literal.clone();
    let mut removed = BTreeSet::new();
    for change in changes {
        match change.strip_suffix('-') {
            Some(key) if !change.contains('=') => {
                removed.insert(key.to_owned());
            }
            _ => literals.push(change),
        }
    }
    let contents = read_plain_files(&args.from_file, &literals, &[], session)?;
    if contents.is_empty() && removed.is_empty() {
        bail!("at least one of KEY=VALUE, KEY-, --from-file or --from-literal is required");
    }
    if let Some((key, _)) = contents.iter().find(|(key, _)| removed.contains(key)) {
        bail!("you may not both set and remove a key: {key}");
    }
    let objects = args.options.objects(&subjects, session).await?;
    for (kind, _) in &objects {
        if !matches!((kind.group.as_str(), kind.plural.as_str()), ("", "secrets" | "configmaps")) {
            bail!("only secrets and config maps have data, not {}", kind.plural);
        }
    }
    args.options
        .change(objects, "data updated", session, |object| {
            let is_secret = object.get("type").is_some() || object::text(object, "kind") == "Secret";
            for key in &removed {
                for field in ["data", "binaryData"] {
                    if let Some(data) = object.get_mut(field).and_then(Value::as_object_mut) {
                        data.remove(key);
                    }
                }
            }
            for (key, content) in &contents {
                set_key(object, is_secret, key, content);
            }
            Ok(())
        })
        .await
}

/// In secrets everything is base64; in config maps only what is no text, and that in a field of its own.
fn set_key(object: &mut Value, is_secret: bool, key: &str, content: &[u8]) {
    let encoded = || json!(STANDARD.encode(content));
    if is_secret {
        object::object_mut(object, "data").insert(key.to_owned(), encoded());
        return;
    }
    let (field, other, value) = match std::str::from_utf8(content) {
        Ok(text) => ("data", "binaryData", json!(text)),
        Err(_) => ("binaryData", "data", encoded()),
    };
    if let Some(other) = object.get_mut(other).and_then(Value::as_object_mut) {
        other.remove(key);
    }
    object::object_mut(object, field).insert(key.to_owned(), value);
}
