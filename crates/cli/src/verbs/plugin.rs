//! `plugin`: programs on the path that are verbs of their own.

use clap::{Args, Subcommand};

use crate::{
    environment::ExitStatus,
    error::Silent,
    plugins::{self, Plugin},
    session::Session,
};

/// Programs on the path named pierhead-VERB, oc-VERB or kubectl-VERB
///
/// Examples:
///   plugin list
///   plugin list --name-only
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct PluginArgs {
    #[command(subcommand)]
    verb: PluginVerb,
}

#[derive(Subcommand, Debug)]
enum PluginVerb {
    /// List them, with what stands in their way
    List {
        /// Only names, not paths
        #[arg(long)]
        name_only: bool,
    },
}

pub(crate) fn run(args: PluginArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let PluginVerb::List { name_only } = args.verb;
    let found = plugins::all(&session.environment);
    if found.is_empty() {
        anyhow::bail!("unable to find any plugins in your PATH");
    }
    session.say("The following compatible plugins are available:\n")?;
    let command = crate::command("pierhead");
    let mut warnings = 0_usize;
    for (position, plugin) in found.iter().enumerate() {
        let shown = if name_only { plugin.name.clone() } else { plugin.path.display().to_string() };
        session.say(&shown)?;
        let earlier = found.iter().take(position).find(|earlier| earlier.name == plugin.name);
        for problem in problems(plugin, earlier, &command) {
            warnings += 1;
            session.say(&format!("  - warning: {problem}"))?;
        }
    }
    match warnings {
        0 => return Ok(ExitStatus::SUCCESS),
        1 => session.remark("error: one plugin warning was found")?,
        count => session.remark(&format!("error: {count} plugin warnings were found"))?,
    }
    Err(Silent(ExitStatus::FAILURE).into())
}

fn problems(plugin: &Plugin, earlier: Option<&Plugin>, command: &clap::Command) -> Vec<String> {
    let path = plugin.path.display();
    let mut problems = Vec::new();
    if !plugin.is_executable {
        problems.push(format!("{path} identified as a plugin, but it is not executable"));
    }
    if let Some(verb) = plugins::built_in(plugin, command) {
        problems.push(format!("{} is never run: {verb:?} is a verb already", plugin.name));
    }
    if let Some(earlier) = earlier {
        problems
            .push(format!("{path} is overshadowed by a similarly named plugin: {}", earlier.path.display()));
    }
    problems
}
