//! `pierhead serve` and `pierhead check-config`: from the command line to a running server and back to an exit code.

use crate::config::{Config, Settings};
use crate::start::{self, Running};
use anyhow::{Context, Result};
use clap::Args;
use pierhead_runtime::telemetry::{self, LogFormat};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;

/// How long requests in flight may take after SIGTERM.
const GRACE: Duration = Duration::from_secs(25);
/// `EX_SOFTWARE`: the metadata could not be written, and a supervisor shall start us again.
const STORE_FAILED: u8 = 70;

/// Start everything on one machine, with one folder
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Configuration file (TOML); its keys are the flags without the dashes
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// Say what is wrong with a configuration file, or what would hold; starts nothing
#[derive(Args, Debug)]
pub(crate) struct CheckConfigArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// What of the process the settings depend on.
pub(crate) struct Surroundings {
    /// Environment variables.
    pub(crate) variables: BTreeMap<String, String>,
    /// Whether we are root.
    pub(crate) root: bool,
}

impl Surroundings {
    fn checked(&self, flags: Settings, file: Option<&PathBuf>) -> Result<Config> {
        let environment = Settings::from_environment(&self.variables)?;
        let file = file.map(|path| Settings::read(path)).transpose()?.unwrap_or_default();
        let home = self.variables.get("HOME").map(PathBuf::from);
        Ok(flags.or(environment).or(file).checked(home.as_deref(), self.root)?)
    }
}

/// Reads a file and prints the settings that would hold.
pub(crate) fn check_config(
    args: &CheckConfigArgs,
    surroundings: &Surroundings,
    out: &mut impl Write,
) -> Result<ExitCode> {
    let config = surroundings.checked(Settings::default(), Some(&args.file))?;
    writeln!(out, "{config:#?}")?;
    Ok(ExitCode::SUCCESS)
}

/// Serves until SIGTERM or SIGINT, or until the store can no longer be written.
pub(crate) fn serve(args: ServeArgs, surroundings: &Surroundings, out: &mut impl Write) -> Result<ExitCode> {
    let config = surroundings.checked(args.settings, args.config.as_ref())?;
    telemetry::init(LogFormat::Text, &config.log)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
    let code = runtime.block_on(async {
        // Before the addresses are written: who reads them may end us at once, and that is an orderly end, too.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let running = start::start(&config).await?;
        if let Err(error) = greet(&running, &config, out) {
            warn!("Nobody reads what is said at the start: {error:#}");
        }
        let code = tokio::select! {
            _ = terminate.recv() => ExitCode::SUCCESS,
            _ = interrupt.recv() => ExitCode::SUCCESS,
            () = running.store_failed() => ExitCode::from(STORE_FAILED),
        };
        if code == ExitCode::SUCCESS {
            // Whoever tells us a second time does not want to wait.
            tokio::select! {
                () = running.stop(GRACE) => {}
                _ = terminate.recv() => running.forget_addresses(),
                _ = interrupt.recv() => running.forget_addresses(),
            }
        } else {
            running.forget_addresses();
        }
        anyhow::Ok(code)
    })?;
    // Blocking reads that outlive the grace period hold nothing that must be written.
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(code)
}

fn greet(running: &Running, config: &Config, out: &mut impl Write) -> Result<()> {
    let addresses = running.addresses;
    let kubeconfig = config.data.join("admin.kubeconfig");
    let kubeconfig = kubeconfig.display();
    let api = &running.public_url;
    writeln!(out, "pierhead {} serves from {}", env!("CARGO_PKG_VERSION"), config.data.display())?;
    writeln!(out, "  API, OAuth   {api}")?;
    writeln!(out, "  registry     {} (a service inside; a route exposes it)", addresses.registry)?;
    writeln!(out, "  router       http {}, https {}", addresses.router_http, addresses.router_https)?;
    writeln!(out, "  metrics      http://{}/metrics", addresses.metrics)?;
    writeln!(out, "  routes are named below {}", config.router_domain)?;
    if running.first_start {
        let authority = config.data.join("pki/ca.crt");
        writeln!(out, "\nThe administrator's kubeconfig is {kubeconfig}. Next:")?;
        writeln!(out, "  pierhead --kubeconfig {kubeconfig} expose service docker-registry -n default")?;
        if config.htpasswd.is_some() || config.allow_any_password {
            let authority = authority.display();
            writeln!(out, "  pierhead login {api} -u YOU --certificate-authority {authority}")?;
            writeln!(out, "  pierhead new-project pushed")?;
        } else {
            writeln!(
                out,
                "  htpasswd -cB users YOU      # then start again with --htpasswd users, and log in"
            )?;
            writeln!(out, "  pierhead --kubeconfig {kubeconfig} new-project pushed")?;
        }
    }
    out.flush()?;
    Ok(())
}
