//! `apply view-last-applied|set-last-applied|edit-last-applied`: the annotation that `apply` goes by.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::{LAST_APPLIED, remember, remembered};
use crate::{
    discovery::ApiKind,
    dry_run::{DryRun, DryRunArgs},
    environment::ExitStatus,
    manifest::{self, FileArgs},
    object,
    print::output::{Form, OutputArgs, print_done, print_objects},
    resource_args::SelectArgs,
    session::Session,
    tally::Tally,
    verbs::{edit, get},
};

#[derive(Subcommand, Debug)]
pub(super) enum LastAppliedVerb {
    #[command(name = "view-last-applied")]
    View(ViewArgs),
    #[command(name = "set-last-applied")]
    Set(SetArgs),
    #[command(name = "edit-last-applied")]
    Edit(ViewArgs),
}

/// Show, or change in an editor, the document that was applied last
///
/// Examples:
///   apply view-last-applied is/myimage
///   apply view-last-applied -f app.yaml -o json
///   apply edit-last-applied is/myimage
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct ViewArgs {
    /// TYPE NAME… | TYPE/NAME…
    #[arg(value_name = "TYPE")]
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    select: SelectArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Note documents as those that were applied last, and change nothing else
///
/// Examples:
///   apply set-last-applied -f app.yaml
///   apply set-last-applied -f app.yaml --create-annotation
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct SetArgs {
    #[command(flatten)]
    files: FileArgs,
    /// Also on objects that have no such note
    #[arg(long)]
    create_annotation: bool,
    #[command(flatten)]
    dry: DryRunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(verb: LastAppliedVerb, session: &mut Session) -> anyhow::Result<ExitStatus> {
    match verb {
        LastAppliedVerb::View(args) => view(args, session).await,
        LastAppliedVerb::Set(args) => set(args, session).await,
        LastAppliedVerb::Edit(args) => edit(args, session).await,
    }
}

async fn find(args: &ViewArgs, session: &mut Session) -> anyhow::Result<Vec<(ApiKind, Value)>> {
    if args.files.is_empty() {
        return args.select.objects(&args.words, session).await;
    }
    let mut found = Vec::new();
    for document in args.files.read(session).await? {
        found.push(of_document(&document, session).await?);
    }
    Ok(found)
}

/// The object that a document is about, as it is now.
async fn of_document(document: &Value, session: &mut Session) -> anyhow::Result<(ApiKind, Value)> {
    let discovery = session.discovery().await?;
    let kind = discovery.of_document(document)?.clone();
    let own = session.namespace()?;
    let namespace = object::namespace(document).unwrap_or(&own);
    let object = get::read(&session.client()?, &kind, namespace, manifest::name_of(document)?).await?;
    Ok((kind, object))
}

/// The document that was applied last.
fn note_of(kind: &ApiKind, object: &Value) -> anyhow::Result<Value> {
    let Some(text) = remembered(object) else {
        bail!(
            "no last-applied-configuration annotation found on resource: {}/{}",
            kind.plural,
            object::name(object)
        );
    };
    serde_json::from_str(text).context("the note of what was applied last is not JSON")
}

async fn view(args: ViewArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let form = match args.output.form(session)? {
        Form::Table { .. } | Form::Yaml => Form::Yaml,
        Form::Json => Form::Json,
        _ => bail!("unexpected -o output mode, the flag 'output' must be one of yaml|json"),
    };
    let mut tally = Tally::default();
    for (kind, object) in find(&args, session).await? {
        if let Some(note) = tally.note(note_of(&kind, &object)) {
            print_objects(session, &form, vec![note], false, true)?;
        }
    }
    tally.finish(session)
}

async fn set(args: SetArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    if args.files.is_empty() {
        bail!("must specify -f");
    }
    let mut tally = Tally::default();
    for document in args.files.read(session).await? {
        let (kind, object) = of_document(&document, session).await?;
        if remembered(&object).is_none() && !args.create_annotation {
            let name = object::name(&object);
            tally.note(Err::<(), _>(anyhow::anyhow!(
                "no last-applied-configuration annotation found on resource: {}/{name}, to create the annotation, run \
                 the command with --create-annotation",
                kind.plural
            )));
            continue;
        }
        let stored = write((&kind, object), document, args.dry.dry_run, session).await;
        if let Some(stored) = tally.note(stored) {
            print_done(session, &args.output, &kind, &stored, &args.dry.dry_run.done("configured"))?;
        }
    }
    tally.finish(session)
}

async fn edit(args: ViewArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let mut tally = Tally::default();
    for (kind, object) in find(&args, session).await? {
        let before = note_of(&kind, &object)?;
        let edited = edit::documents(vec![before.clone()], session)?;
        let [after] = edited.as_slice() else { bail!("the edited file must hold one document") };
        if *after == before {
            session.remark("Edit cancelled, no changes made.")?;
            continue;
        }
        let stored = write((&kind, object), after.clone(), DryRun::None, session).await;
        if let Some(stored) = tally.note(stored) {
            print_done(session, &OutputArgs::default(), &kind, &stored, "edited")?;
        }
    }
    tally.finish(session)
}

/// Replaces the note; nothing else of the object changes.
async fn write(
    (kind, object): (&ApiKind, Value),
    mut document: Value,
    dry_run: DryRun,
    session: &mut Session,
) -> anyhow::Result<Value> {
    if object::name(&document) != object::name(&object) {
        bail!("the name of an object cannot be changed");
    }
    remember(&mut document);
    let note = remembered(&document).unwrap_or_default();
    let patch = json!({"metadata": {"annotations": {LAST_APPLIED: note}}});
    if dry_run == DryRun::Client {
        return Ok(object);
    }
    let path = kind.resource().item(object::namespace(&object), object::name(&object), None);
    let path = format!("{path}?{}", dry_run.query_of("kubectl-last-applied"));
    let content_type = Some("application/merge-patch+json");
    Ok(session.client()?.request(Method::PATCH, &path, content_type, Some(&patch)).await?)
}
