//! `auth reconcile`: roles and bindings hold at least what documents say.

use anyhow::bail;
use clap::Args;
use http::Method;
use serde_json::Value;

use crate::{
    discovery::ApiKind,
    dry_run::DryRun,
    environment::ExitStatus,
    manifest::{self, FileArgs},
    object,
    print::output::print_done,
    session::Session,
    tally::Tally,
    verbs::create::{CreateOptions, post, put},
};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Add to roles and bindings what documents say and they lack
///
/// Examples:
///   auth reconcile -f roles.yaml
///   auth reconcile -f roles.yaml --remove-extra-subjects --dry-run=client
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct ReconcileArgs {
    #[command(flatten)]
    files: FileArgs,
    /// Take away permissions that the documents do not have
    #[arg(long)]
    remove_extra_permissions: bool,
    /// Take away subjects that the documents do not have
    #[arg(long)]
    remove_extra_subjects: bool,
    #[command(flatten)]
    options: CreateOptions,
}

pub(super) async fn run(args: ReconcileArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    if args.files.is_empty() {
        bail!("must specify -f");
    }
    let mut tally = Tally::default();
    for document in args.files.read(session).await? {
        tally.note(reconcile(document, &args, session).await);
    }
    tally.finish(session)
}

async fn reconcile(mut document: Value, args: &ReconcileArgs, session: &mut Session) -> anyhow::Result<()> {
    let discovery = session.discovery().await?;
    let kind = discovery.of_document(&document)?.clone();
    if kind.group != GROUP {
        bail!("only roles and role bindings of {GROUP}/v1 can be reconciled, not {}", kind.display_name());
    }
    manifest::name_of(&document)?;
    let namespace = manifest::prepare(session, &kind, &mut document)?;
    let scope = namespace.as_deref();
    let (client, dry_run, query) = (session.client()?, args.options.dry_run(), args.options.query());
    let path = kind.resource().item(scope, object::name(&document), None);
    let stored = match client.request(Method::GET, &path, None, None).await {
        Err(error) if error.is_not_found() && dry_run == DryRun::Client => document,
        Err(error) if error.is_not_found() => post(&client, &kind, scope, &document, &query).await?,
        Err(error) => return Err(error.into()),
        Ok(before) => {
            let after = merged(&kind, &before, &document, args)?;
            if after == before || dry_run == DryRun::Client {
                after
            } else {
                put(&client, &kind, scope, &after, &query).await?
            }
        }
    };
    print_done(session, &args.options.output, &kind, &stored, &dry_run.done("reconciled"))
}

/// What there is, with what the document adds.
fn merged(kind: &ApiKind, before: &Value, document: &Value, args: &ReconcileArgs) -> anyhow::Result<Value> {
    let mut after = before.clone();
    let (field, replaces) = if kind.kind.ends_with("Binding") {
        let role = |value: &Value| {
            ["kind", "name"].map(|part| object::text(value, &format!("roleRef.{part}")).to_owned())
        };
        if role(before) != role(document) {
            bail!("{} {:?} is for another role: delete it first", kind.kind, object::name(document));
        }
        ("subjects", args.remove_extra_subjects)
    } else {
        ("rules", args.remove_extra_permissions)
    };
    let wanted = object::list(document, field);
    let items = object::list_mut(&mut after, field);
    if replaces {
        *items = wanted.to_vec();
    } else {
        for item in wanted {
            if !items.contains(item) {
                items.push(item.clone());
            }
        }
    }
    for part in ["labels", "annotations"] {
        for (key, value) in object::string_map(document, &format!("metadata.{part}")) {
            let known = object::object_mut(&mut after, &format!("metadata.{part}"));
            known.entry(key.to_owned()).or_insert_with(|| Value::from(value));
        }
    }
    Ok(after)
}
