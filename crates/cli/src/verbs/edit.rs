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
    environment::ExitStatus,
    error, object,
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
#[derive(Args, Debug)]
pub(crate) struct EditArgs {
    /// TYPE NAME… | TYPE/NAME…
    #[arg(value_name = "TYPE", required = true)]
    words: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: EditArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let (client, namespace) = (session.client()?, session.namespace()?);
    let mut objects = Vec::new();
    for target in resource_args::parse(&discovery, &args.words)?.targets {
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
    for (kind, object) in objects {
        if let Some(stored) = edit(&client, &kind, object, session).await? {
            changed = true;
            print_done(session, &args.output, &kind, &stored, "edited")?;
        }
    }
    if !changed {
        session.remark("Edit cancelled, no changes made.")?;
    }
    Ok(ExitStatus::SUCCESS)
}

/// The object as stored after the edit; none if nothing was changed. What the person wrote is never lost: if it cannot
/// be saved on the server, the file stays.
async fn edit(
    client: &Client,
    kind: &ApiKind,
    mut before: Value,
    session: &mut Session,
) -> anyhow::Result<Option<Value>> {
    object::strip_managed_fields(&mut before);
    let shown = yaml::to_string(&before);
    let file = tempfile::Builder::new().prefix("edit-").suffix(".yaml").tempfile()?;
    let edited = edit_in(file.path(), client, kind, (&before, &shown), session).await;
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
    client: &Client,
    kind: &ApiKind,
    (before, shown): (&Value, &str),
    session: &mut Session,
) -> anyhow::Result<Option<Value>> {
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
        let problem = match send(client, kind, before, &content).await {
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
async fn send(
    client: &Client,
    kind: &ApiKind,
    before: &Value,
    content: &str,
) -> anyhow::Result<Option<Value>> {
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
    let patch_path = format!("{path}?fieldManager=kubectl-edit");
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
            answered => return Ok(Some(answered?)),
        }
    }
    unreachable!("the loop above ends by returning")
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
