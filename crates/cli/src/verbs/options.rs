//! `options`: the flags that every verb takes.

use clap::{Args, CommandFactory as _};

use crate::{environment::ExitStatus, print::tabwriter, session::Session, verbs::Cli};

/// Show the options that all verbs take
///
/// Examples:
///   options
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct OptionsArgs {}

pub(crate) fn run(_: OptionsArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let command = Cli::command();
    let mut text = String::new();
    for argument in command.get_arguments().filter(|argument| argument.is_global_set()) {
        let short = argument.get_short().map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
        let long = argument.get_long().unwrap_or_default();
        let value = match argument.get_value_names() {
            Some([name, ..]) if argument.get_action().takes_values() => format!("={name}"),
            _ => String::new(),
        };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("    {short}--{long}{value}\t{help}\n"));
    }
    session.print("The following options can be passed to any command:\n\n")?;
    session.print(&tabwriter::align(&text, tabwriter::DESCRIPTION))?;
    Ok(ExitStatus::SUCCESS)
}
