//! `diff`: what `apply` would change, as the server would store it.
//!
//! Both states go to files, and `diff` (or `$KUBECTL_EXTERNAL_DIFF`) compares the folders. As with kubectl the exit
//! code is 0 without differences, 1 with some, and more than 1 when something failed.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, bail};
use clap::Args;
use http::Method;
use pierhead_client::{Client, ClientError, yaml};
use serde_json::Value;

use super::apply;
use crate::{
    discovery::ApiKind,
    environment::ExitStatus,
    error::{self, Silent},
    manifest::{self, FileArgs},
    object,
    session::Session,
};

/// Show what apply would change
///
/// Examples:
///   diff -f app.yaml
///   KUBECTL_EXTERNAL_DIFF="colordiff -N -u" diff -f app/
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    files: FileArgs,
    /// Let the server merge
    #[arg(long)]
    server_side: bool,
    /// Take over fields that others own (with --server-side)
    #[arg(long)]
    force_conflicts: bool,
    /// Name to record as the owner of the fields
    #[arg(long, default_value = "kubectl-client-side-apply", value_name = "NAME")]
    field_manager: String,
    /// Keep managedFields
    #[arg(long)]
    show_managed_fields: bool,
}

pub(crate) async fn run(args: DiffArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    match compare(&args, session).await {
        // 1 means that there are differences.
        Err(failure) if !error::is_broken_pipe(&failure) && !failure.is::<Silent>() => {
            session.remark(&error::render(&failure))?;
            Err(Silent(ExitStatus::USAGE).into())
        }
        outcome => outcome,
    }
}

async fn compare(args: &DiffArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    if args.files.is_empty() {
        bail!("must specify -f");
    }
    let (live, merged) = (folder("LIVE-")?, folder("MERGED-")?);
    for mut document in args.files.read(session).await? {
        let discovery = session.discovery().await?;
        let kind = discovery.of_document(&document)?.clone();
        manifest::name_of(&document)?;
        let namespace = manifest::prepare(session, &kind, &mut document)?;
        let client = session.client()?;
        let way = Way { client: &client, kind: &kind, namespace: namespace.as_deref(), args };
        let (before, after) = way.states(document).await?;
        let group = if kind.group.is_empty() { String::new() } else { format!("{}.", kind.group) };
        let name = format!(
            "{group}{}.{}.{}.{}",
            kind.version,
            kind.kind,
            namespace.as_deref().unwrap_or_default(),
            object::name(&after).replace(['/', ':'], "_")
        );
        if let Some(before) = before {
            write(live.path(), &name, before, args.show_managed_fields)?;
        }
        write(merged.path(), &name, after, args.show_managed_fields)?;
    }
    let tool = session.environment.var("KUBECTL_EXTERNAL_DIFF").unwrap_or("diff -u -N").to_owned();
    let output = Command::new("/bin/sh")
        .args(["-c", &format!("{tool} \"$1\" \"$2\""), "diff"])
        .args([live.path(), merged.path()])
        .output()
        .with_context(|| format!("unable to run {tool:?}"))?;
    session.print(&String::from_utf8_lossy(&output.stdout))?;
    match output.status.code() {
        Some(0) => Ok(ExitStatus::SUCCESS),
        Some(1) => Err(Silent(ExitStatus::FAILURE).into()),
        _ => bail!("{tool:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim()),
    }
}

fn folder(prefix: &str) -> std::io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix(prefix).tempdir()
}

fn write(folder: &Path, name: &str, mut object: Value, keep_managed_fields: bool) -> std::io::Result<()> {
    if !keep_managed_fields {
        object::strip_managed_fields(&mut object);
    }
    // Values of secrets are not for eyes; that they differ is.
    if object::text(&object, "kind") == "Secret" {
        for field in ["data", "stringData"] {
            for value in object.get_mut(field).and_then(Value::as_object_mut).into_iter().flatten() {
                let digest = <sha2::Sha256 as sha2::Digest>::digest(value.1.to_string());
                let short: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
                *value.1 = Value::from(format!("*** ({short})"));
            }
        }
        apply::forget(&mut object);
    }
    fs::write(folder.join(name), yaml::to_string(&object))
}

struct Way<'w> {
    client: &'w Client,
    kind: &'w ApiKind,
    namespace: Option<&'w str>,
    args: &'w DiffArgs,
}

impl Way<'_> {
    /// The object as it is, if it is, and as it would be.
    async fn states(&self, mut document: Value) -> anyhow::Result<(Option<Value>, Value)> {
        let path = self.kind.resource().item(self.namespace, object::name(&document), None);
        let before = match self.client.request(Method::GET, &path, None, None).await {
            Ok(found) => Some(found),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("dryRun", "All").append_pair("fieldManager", &self.args.field_manager);
        let after = if self.args.server_side {
            query.append_pair("force", &self.args.force_conflicts.to_string());
            let path = format!("{path}?{}", query.finish());
            self.client
                .request(Method::PATCH, &path, Some("application/apply-patch+yaml"), Some(&document))
                .await?
        } else {
            apply::remember(&mut document);
            self.try_patch(&path, before.as_ref(), &document, &query.finish()).await?
        };
        Ok((before, after))
    }

    async fn try_patch(
        &self,
        path: &str,
        before: Option<&Value>,
        document: &Value,
        query: &str,
    ) -> Result<Value, ClientError> {
        let Some(before) = before else {
            let path = format!("{}?{query}", self.kind.resource().collection(self.namespace));
            return self.client.request(Method::POST, &path, None, Some(document)).await;
        };
        let path = format!("{path}?{query}");
        let mut result = None;
        for (content_type, patch) in apply::patches(self.kind, document, before) {
            match self.client.request(Method::PATCH, &path, Some(content_type), Some(&patch)).await {
                Err(error) if error.code() == Some(415) => result = Some(Err(error)),
                answered => return answered,
            }
        }
        result.unwrap_or_else(|| Ok(before.clone()))
    }
}
