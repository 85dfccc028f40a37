//! `edit`: change objects in an editor (platform 9).

use std::{ffi::OsString, fs, path::Path};

use anyhow::{Context as _, bail};
use clap::Args;
use http::Method;
use pierhead_client::{Client, ClientError, yaml};
use serde_json::Value;

use super::get;
use crate::{
    discovery::ApiKind,
    dry_run::DryRun,
    environment::ExitStatus,
    error,
    manifest::{self, FileArgs},
    object,
    print::output::{OutputArgs, print_done},
    resource_args,
    session::Session,
};

const REMARK: &str = "\
# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit. If an error occurs while saving this file will be
# reopened with the relevant failures.
#
";

/// Change objects in an editor ($OC_EDITOR, $KUBE_EDITOR, $EDITOR, else vi)
///
/// Examples:
///   edit is/myimage
///   edit route/web -o json
///   OC_EDITOR="code --wait" edit configmap settings
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct EditArgs {
    /// TYPE NAME… | TYPE/NAME…
    #[arg(value_name = "TYPE")]
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    /// Print the patch that was sent
    #[arg(long)]
    output_patch: bool,
    /// Name to record as the owner of the fields
    #[arg(long, default_value = "kubectl-edit", value_name = "NAME")]
    field_manager: String,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: EditArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let (client, namespace) = (session.client()?, session.namespace()?);
    let mut objects = Vec::new();
    let documents = if args.files.is_empty() { Vec::new() } else { args.files.read(session).await? };
    for document in documents {
        let kind = discovery.of_document(&document)?.clone();
        let own = object::namespace(&document).unwrap_or(&namespace);
        let object = get::read(&client, &kind, own, manifest::name_of(&document)?).await?;
        objects.push((kind, object));
    }
    let targets = match args.words.is_empty() && !args.files.is_empty() {
        true => Vec::new(),
        false => resource_args::parse(&discovery, &args.words)?.targets,
    };
    for target in targets {
        match &target.name {
            Some(name) => {
                let object = get::read(&client, &target.kind, &namespace, name).await?;
                objects.push((target.kind, object));
            }
            None => {
                for object in get::read_all(&client, &target.kind, Some(&namespace), &[]).await? {
                    objects.push((target.kind.clone(), object));
                }
            }
        }
    }
    let mut changed = false;
    let is_json = args.output.output.as_deref() == Some("json");
    for (kind, object) in objects {
        let way = Way { client: &client, kind: &kind, is_json, manager: &args.field_manager };
        if let Some((stored, patch)) = edit(&way, object, session).await? {
            changed = true;
            if args.output_patch {
                session.say(&format!("Patch: {patch}"))?;
            }
            let done = OutputArgs::default();
            print_done(session, if is_json { &done } else { &args.output }, &kind, &stored, "edited")?;
        }
    }
    if !changed {
        session.remark("Edit cancelled, no changes made.")?;
    }
    Ok(ExitStatus::SUCCESS)
}

/// How an object is shown and stored.
struct Way<'w> {
    client: &'w Client,
    kind: &'w ApiKind,
    /// Shown as JSON, not YAML.
    is_json: bool,
    manager: &'w str,
}

impl Way<'_> {
    fn text(&self, object: &Value) -> String {
        if self.is_json { format!("{object:#}\n") } else { yaml::to_string(object) }
    }
}

/// The object as stored after the edit, and the patch; none if nothing was changed. What the person wrote is never lost: if it cannot
/// be saved on the server, the file stays.
async fn edit(
    way: &Way<'_>,
    mut before: Value,
    session: &mut Session,
) -> anyhow::Result<Option<(Value, Value)>> {
    object::strip_managed_fields(&mut before);
    let shown = way.text(&before);
    let suffix = if way.is_json { ".json" } else { ".yaml" };
    let file = tempfile::Builder::new().prefix("edit-").suffix(suffix).tempfile()?;
    let edited = edit_in(file.path(), way, (&before, &shown), session).await;
    let is_changed = |text: String| ![shown.as_str(), ""].contains(&content_of(&text).as_str());
    if edited.is_err() && fs::read_to_string(file.path()).is_ok_and(is_changed) {
        let (_, path) = file.keep()?;
        session.remark(&format!("A copy of your changes has been stored to {:?}", path.display()))?;
    }
    edited
}

/// The lines that are not remarks.
fn content_of(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

async fn edit_in(
    file: &Path,
    way: &Way<'_>,
    (before, shown): (&Value, &str),
    session: &mut Session,
) -> anyhow::Result<Option<(Value, Value)>> {
    let mut text = format!("{REMARK}{shown}");
    loop {
        let edited = open_editor(file, &text, session)?;
        let content = content_of(&edited);
        if content == shown || content.trim().is_empty() {
            return Ok(None);
        }
        if edited == text {
            bail!("edit cancelled, no valid changes were saved");
        }
        let problem = match send(way, before, &content).await {
            Ok(stored) => return Ok(stored),
            Err(problem) => match problem.downcast_ref::<ClientError>() {
                // The person can mend what the server refuses, but not a missing right or connection.
                Some(refused) if !refused.is_invalid() && refused.code() != Some(400) => return Err(problem),
                _ => error::render(&problem),
            },
        };
        session.remark(&problem)?;
        let problem: String = problem.lines().map(|line| format!("# {line}\n")).collect();
        text = format!("{REMARK}{problem}#\n{content}");
    }
}

/// Sends the difference between what was read and what was written.
async fn send(way: &Way<'_>, before: &Value, content: &str) -> anyhow::Result<Option<(Value, Value)>> {
    let Way { client, kind, manager, .. } = way;
    let documents = yaml::parse_documents(content).context("the edited file had a syntax error")?;
    let [after] = documents.as_slice() else { bail!("the edited file must hold one document") };
    if object::name(after) != object::name(before)
        || object::text(after, "kind") != object::text(before, "kind")
    {
        bail!("the name and kind of an object cannot be changed");
    }
    let changes = object::difference(before, after);
    if changes.as_object().is_some_and(serde_json::Map::is_empty) {
        return Ok(None);
    }
    let path = kind.resource().item(object::namespace(before), object::name(before), None);
    let patch_path = format!("{path}?{}", DryRun::None.query_of(manager));
    let content_type = Some("application/merge-patch+json");
    let mut version = object::text(before, "metadata.resourceVersion").to_owned();
    for attempt in 1.. {
        let mut patch = changes.clone();
        if !version.is_empty() {
            object::set_text(&mut patch, "metadata.resourceVersion", &version);
        }
        match client.request(Method::PATCH, &patch_path, content_type, Some(&patch)).await {
            Err(error) if error.is_conflict() && attempt < 5 => {
                let mut now = client.request(Method::GET, &path, None, None).await?;
                object::strip_managed_fields(&mut now);
                // Others may change what the person did not: a controller writes the status all the time.
                if object::overlap(&changes, &object::difference(before, &now)) {
                    return Err(error.into());
                }
                object::text(&now, "metadata.resourceVersion").clone_into(&mut version);
            }
            answered => return Ok(Some((answered?, changes))),
        }
    }
    unreachable!("the loop above ends by returning")
}

/// Documents as the person leaves them (`create --edit`).
pub(super) fn documents(documents: Vec<Value>, session: &Session) -> anyhow::Result<Vec<Value>> {
    let texts: Vec<String> = documents.iter().map(yaml::to_string).collect();
    let file = tempfile::Builder::new().prefix("edit-").suffix(".yaml").tempfile()?;
    let edited = open_editor(file.path(), &texts.join("---\n"), session)?;
    let content = content_of(&edited);
    if content.trim().is_empty() {
        bail!("edit cancelled, the file is empty");
    }
    yaml::parse_documents(&content).context("the edited file had a syntax error")
}

/// Lets the person's editor change a text in a file that nobody else can read.
fn open_editor(file: &Path, text: &str, session: &Session) -> anyhow::Result<String> {
    fs::write(file, text)?;
    let editor = ["OC_EDITOR", "KUBE_EDITOR", "EDITOR"]
        .into_iter()
        .find_map(|name| session.environment.var(name))
        .unwrap_or("vi");
    run_editor(editor, file)?;
    let edited = fs::read(file).context("the edited file cannot be read")?;
    String::from_utf8(edited).context("the edited file is not text")
}

/// The variable may hold arguments, so a shell takes it apart.
fn run_editor(editor: &str, file: &Path) -> anyhow::Result<()> {
    let command =
        [OsString::from("-c"), OsString::from(format!("{editor} \"$1\"")), OsString::from("editor")];
    let status = std::process::Command::new("/bin/sh")
        .args(command)
        .arg(file)
        .status()
        .with_context(|| format!("unable to launch the editor {editor:?}"))?;
    if !status.success() {
        bail!("there was a problem with the editor {editor:?}");
    }
    Ok(())
}
