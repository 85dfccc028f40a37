//! `man`: the manual as pages for `man`, one for each verb.

use std::fs;

use anyhow::Context as _;
use clap::Args;

use crate::{environment::ExitStatus, session::Session};

/// Write the manual, a page for each verb, into a folder
///
/// Examples:
///   man /usr/local/share/man/man1
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ManArgs {
    /// Folder to write to; made unless it is there
    #[arg(value_name = "DIR")]
    folder: String,
}

pub(crate) fn run(args: ManArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let folder = session.path(&args.folder);
    let text = || format!("unable to write to {}", folder.display());
    fs::create_dir_all(&folder).with_context(text)?;
    let mut command = crate::command("pierhead").disable_help_subcommand(true);
    command.build();
    clap_mangen::generate_to(command, &folder).with_context(text)?;
    Ok(ExitStatus::SUCCESS)
}
