//! The binary: `pierhead`, and `oc` when called by that name. Client verbs are `cli`'s; the server's own are here.

mod config;
mod data;
mod demo;
mod front_proxies;
mod health;
mod issuers;
mod maintenance;
mod passwords;
mod pki;
mod pod_output;
mod public_registry;
mod pull_credentials;
mod registry_audit;
mod seal_keys;
mod serve;
mod signing_keys;
mod start;
mod web;

use anyhow::Result;
use clap::{Args as _, Command, FromArgMatches as _};
use demo::DemoArgs;
use pierhead_cli::Environment;
use serve::{CheckConfigArgs, ServeArgs, Surroundings};
use signing_keys::RotateArgs;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const SERVE: &str = "serve";
const CHECK_CONFIG: &str = "check-config";
const DEMO: &str = "demo";
const ROTATE: &str = "rotate-signing-key";

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let typed = arguments.next().unwrap_or_default();
    let name = if Path::new(&typed).file_name().is_some_and(|name| name == "oc") { "oc" } else { "pierhead" };
    let arguments: Vec<OsString> = [OsString::from(name)].into_iter().chain(arguments).collect();
    let ours = arguments
        .get(1)
        .is_some_and(|verb| [SERVE, CHECK_CONFIG, DEMO, ROTATE].iter().any(|own| verb == own));
    if !ours {
        let known = listing(pierhead_cli::command(name));
        if let Some(status) = pierhead_cli::run_plugin(&known, &arguments, &mut environment()) {
            return status.into();
        }
    }
    let command = if ours { server_command(name) } else { listing(pierhead_cli::command(name)) };
    let matches = match command.try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return pierhead_cli::usage(&error, environment()).into(),
    };
    let outcome = match matches.subcommand() {
        Some((SERVE, matches)) => ServeArgs::from_arg_matches(matches)
            .map_err(Into::into)
            .and_then(|args| serve::serve(args, &surroundings(), &mut std::io::stdout())),
        Some((CHECK_CONFIG, matches)) => CheckConfigArgs::from_arg_matches(matches)
            .map_err(Into::into)
            .and_then(|args| serve::check_config(&args, &surroundings(), &mut std::io::stdout())),
        Some((ROTATE, matches)) => RotateArgs::from_arg_matches(matches)
            .map_err(Into::into)
            .and_then(|args| signing_keys::rotate(&args, &mut std::io::stdout())),
        Some((DEMO, matches)) => DemoArgs::from_arg_matches(matches).map_err(Into::into).and_then(tell),
        _ => client(name, &matches),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            // There is nowhere left to say that standard error is closed.
            writeln!(std::io::stderr(), "error: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

fn tell(args: DemoArgs) -> Result<ExitCode> {
    pierhead_runtime::tls::install_provider();
    let (mut input, mut out) = (std::io::stdin().lock(), std::io::stdout());
    let interactive = input.is_terminal() && out.is_terminal();
    demo::demo(&args, &surroundings().variables, &mut input, &mut out, interactive)
}

/// The server's own verbs. They take none of the client's global flags: a server has no kubeconfig.
fn server_command(name: &'static str) -> Command {
    let [serve, check, demo, rotate] = server_verbs();
    Command::new(name)
        .subcommand_required(true)
        .subcommand(ServeArgs::augment_args(serve))
        .subcommand(CheckConfigArgs::augment_args(check))
        .subcommand(DemoArgs::augment_args(demo))
        .subcommand(RotateArgs::augment_args(rotate))
}

/// The client's command, whose help names the server's verbs as well.
fn listing(command: Command) -> Command {
    command.subcommands(server_verbs())
}

fn server_verbs() -> [Command; 4] {
    [
        Command::new(SERVE).about("Start everything on one machine, with one folder"),
        Command::new(CHECK_CONFIG).about("Say what is wrong with a configuration file"),
        Command::new(DEMO).about("Tell the whole story on this machine, with two clusters"),
        Command::new(ROTATE).about("Exchange the key that signs service account tokens"),
    ]
}

fn client(name: &'static str, matches: &clap::ArgMatches) -> Result<ExitCode> {
    pierhead_runtime::tls::install_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(pierhead_cli::dispatch(name, matches, environment())).into())
}

fn surroundings() -> Surroundings {
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    Surroundings {
        variables: std::env::vars_os().filter_map(text).collect(),
        root: rustix::process::geteuid().is_root(),
    }
}

fn environment() -> Environment {
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value));
    let vars: BTreeMap<String, OsString> = std::env::vars_os().filter_map(text).collect();
    Environment {
        home: vars.get("HOME").map(PathBuf::from),
        vars,
        cwd: std::env::current_dir().unwrap_or_default(),
        stdin: Box::new(std::io::stdin()),
        stdin_is_terminal: std::io::stdin().is_terminal(),
        stdout: Box::new(std::io::stdout()),
        stdout_is_terminal: std::io::stdout().is_terminal(),
        stderr: Box::new(std::io::stderr()),
        stderr_is_terminal: std::io::stderr().is_terminal(),
        now: || pierhead_runtime::Clock::now(&pierhead_runtime::SystemClock),
        client: None,
    }
}
