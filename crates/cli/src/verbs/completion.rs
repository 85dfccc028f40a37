//! `completion`: scripts that let shells complete what is typed, by asking `__complete`.

mod candidates;
mod positions;

use clap::{Args, ValueEnum};

use crate::{environment::ExitStatus, session::Session};

/// Print the script that lets a shell complete commands, with the names of objects
///
/// Examples:
///   source <(oc completion bash)
///   oc completion zsh > "${fpath[1]}/_oc"
///   oc completion fish > ~/.config/fish/completions/oc.fish
///   oc completion powershell | Out-String | Invoke-Expression
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Shells that can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

/// What a shell asks: the words before the cursor, the last of them perhaps not whole.
#[derive(Args, Debug)]
#[command(hide = true)]
pub(crate) struct CompleteArgs {
    /// The words
    #[arg(last = true, value_name = "WORD", allow_hyphen_values = true)]
    words: Vec<String>,
}

pub(crate) fn run(args: CompletionArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let script = match args.shell {
        Shell::Bash => include_str!("completion/bash.sh"),
        Shell::Zsh => include_str!("completion/zsh.sh"),
        Shell::Fish => include_str!("completion/script.fish"),
        Shell::Powershell => include_str!("completion/script.ps1"),
    };
    session.print_data(&script.replace("@NAME@", session.name))?;
    Ok(ExitStatus::SUCCESS)
}

/// Prints a line for each candidate, and what it is behind a tab; `:files` means names of files. Never fails: somebody
/// is typing.
pub(crate) async fn complete(args: CompleteArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    for line in candidates::of(&args.words, session).await {
        session.say(&line)?;
    }
    Ok(ExitStatus::SUCCESS)
}
