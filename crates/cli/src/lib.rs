//! The command line: `oc`'s grammar against Pierhead or any Kubernetes or OpenShift server.
//!
//! Owns what is typed, what is asked of the server for it and what is printed. Reads no environment and no
//! process state: the caller passes an [`Environment`]. Server verbs (`serve`, …) belong to the `server` crate,
//! which adds them to [`command`] and hands everything else to [`dispatch`].

mod deployments;
mod describe;
mod discovery;
mod dry_run;
mod environment;
mod error;
mod examples;
mod exec_plugin;
mod follow;
mod globals;
mod manifest;
mod object;
mod plugins;
mod print;
mod registries;
mod registry_host;
mod remarks;
mod resource_args;
mod session;
mod tally;
mod terminal;
mod verbs;

use std::ffi::OsString;
use std::pin::Pin;

use anyhow::Result;
use clap::{ArgMatches, Command, FromArgMatches as _};

pub use environment::{Environment, ExitStatus};
pub use plugins::run_plugin;

use session::Session;
use verbs::{Cli, Verb};

/// The command with all client verbs, to which a caller may add its own subcommands. `name` is what the user
/// typed (`pierhead`, `oc`): it appears in usage texts.
#[must_use]
pub fn command(name: &'static str) -> Command {
    examples::add(<Cli as clap::CommandFactory>::command().name(name).bin_name(name))
}

/// Runs the client verb that `matches` (of [`command`]) holds; `name` is what the user typed.
pub async fn dispatch(name: &'static str, matches: &ArgMatches, environment: Environment) -> ExitStatus {
    let cli = match Cli::from_arg_matches(matches) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, environment),
    };
    let globals = match &cli.verb {
        // There nothing is a value, too: it takes one away.
        Verb::Config(_) => cli.globals,
        _ => cli.globals.without_empty(),
    };
    let mut session = Session::new(name, globals, environment);
    let outcome = match session.match_server_version().await {
        Ok(()) => run_verb(cli.verb, &mut session).await,
        Err(error) => Err(error),
    };
    session.finish(outcome)
}

/// The verb as a future of one type, so that this crate's code is compiled with this crate.
fn run_verb(verb: Verb, session: &mut Session) -> Pin<Box<dyn Future<Output = Result<ExitStatus>> + '_>> {
    Box::pin(verbs::run(verb, session))
}

/// Parses the arguments (the first is the program's name) and runs the verb.
pub async fn run(
    name: &'static str,
    arguments: impl IntoIterator<Item = OsString>,
    mut environment: Environment,
) -> ExitStatus {
    let (command, arguments) = (command(name), arguments.into_iter().collect::<Vec<_>>());
    if let Some(status) = run_plugin(&command, &arguments, &mut environment) {
        return status;
    }
    match command.try_get_matches_from(arguments) {
        Ok(matches) => dispatch(name, &matches, environment).await,
        Err(error) => usage(&error, environment),
    }
}

/// Prints a usage error, which ends with 2, or the help that was asked for, which ends with 0.
pub fn usage(error: &clap::Error, mut environment: Environment) -> ExitStatus {
    let is_failure = error.use_stderr();
    let is_terminal =
        if is_failure { environment.stderr_is_terminal } else { environment.stdout_is_terminal };
    let text = error.render();
    let text = if print::colour::wanted(None, &environment, is_terminal) {
        text.ansi().to_string()
    } else {
        text.to_string()
    };
    let out = if is_failure { &mut environment.stderr } else { &mut environment.stdout };
    match out.write_all(text.as_bytes()) {
        Ok(()) if !is_failure => ExitStatus::SUCCESS,
        Ok(()) | Err(_) => ExitStatus::USAGE,
    }
}
