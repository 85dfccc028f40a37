//! `types`: the words of the trade, as `oc` of 2016 explained them.

use clap::Args;

use crate::{environment::ExitStatus, print::tabwriter, session::Session};

const TYPES: [(&str, &str); 13] = [
    ("project", "A space of a team: everything below is in one, and who may do what is said per project."),
    ("user, group", "Who can be given roles. Users appear when they log in."),
    ("service account [sa]", "An account for programs. Its secrets hold tokens and registry credentials."),
    ("role, rolebinding", "What may be done, and by whom."),
    ("secret", "Credentials and other small things that not everybody may read."),
    ("configmap [cm]", "Settings that everybody in the project may read."),
    ("image", "What containers start from: layers and settings, named by a digest."),
    ("imagestream [is]", "Tags of images with their history. Pushes go to streams; so do imports."),
    ("imagestreamtag [istag]", "One tag of a stream, and the image that it means now."),
    ("pod [po]", "Containers that run together on one node."),
    ("deploymentconfig [dc]", "Which pods shall run, and when they are replaced by new ones."),
    ("service [svc]", "One address for the pods that do the same."),
    ("route", "A host name outside of the cluster that leads to a service."),
];

/// Explain the kinds of objects that one works with
///
/// Examples:
///   types
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct TypesArgs {}

pub(crate) fn run(_: TypesArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    session.print("Concepts and types\n\n")?;
    let text: String = TYPES.iter().map(|(name, meaning)| format!("{name}\t{meaning}\n")).collect();
    session.print(&tabwriter::align(&text, tabwriter::DESCRIPTION))?;
    session.say("\n'get TYPE' lists objects, 'describe TYPE/NAME' shows one, 'explain TYPE' its fields.")?;
    Ok(ExitStatus::SUCCESS)
}
