//! `pierhead demo`: the whole story on one machine, told to somebody who has just got the program.
//!
//! Two clusters run as children in a folder that goes away at the end. Every command is the one a user types, and
//! is shown before it runs. Owns the order of the story's parts; `narrator` prints and waits, `cluster` is a child
//! process, `engine` a container engine that was found, `sample` the image that is pushed where there is none.

mod cluster;
mod engine;
mod narrator;
mod production;
mod pushed;
mod sample;
mod wait;

use anyhow::{Context, Result};
use clap::Args;
use cluster::{Cluster, Place};
use engine::Engine;
use narrator::Narrator;
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Tell the whole story on one machine: two clusters, push, promote, deploy, and what to look at
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Go on without waiting for the Enter key
    #[arg(long)]
    no_pause: bool,
    /// Socket of the Docker Engine to use [default: what DOCKER_HOST says, else /var/run/docker.sock]
    #[arg(long, value_name = "SOCKET", conflicts_with = "without_engine")]
    engine: Option<PathBuf>,
    /// Leave out what needs a container engine
    #[arg(long)]
    without_engine: bool,
}

/// What the story is told with.
struct Story<'a> {
    tell: Narrator<'a>,
    nonprod: Cluster,
    production: Cluster,
    engine: Option<Engine>,
}

/// Tells the story from its first command to its last. A command that fails ends it with that command's output.
pub(crate) fn demo(
    args: &DemoArgs,
    variables: &BTreeMap<String, String>,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    interactive: bool,
) -> Result<ExitCode> {
    let folder = tempfile::Builder::new().prefix("pierhead-demo-").tempdir().context("making a folder")?;
    let mut tell = Narrator::new(input, out, interactive && !args.no_pause);
    tell.title("Two clusters, and an image that goes from one to the other")?;
    let engine = match (args.without_engine, &args.engine) {
        (true, _) => None,
        (false, socket) => Engine::find(socket.as_deref(), variables, &folder.path().join("docker")),
    };
    explain_engine(&mut tell, engine.as_ref(), args.without_engine)?;
    tell.say(
        "Both clusters are this program, each with a folder and addresses of its own. `nonprod` is where images \
         are made, `production` is where they run.",
    )?;
    let start = |name, place| Cluster::start(name, &folder.path().join(name), place, engine.as_ref());
    let nonprod = start("nonprod", Place::NonProduction)?;
    let production = start("production", Place::Production)?;
    for cluster in [&nonprod, &production] {
        tell.note(&format!("{} serves its API at {}", cluster.name(), cluster.api()))?;
    }
    let mut story = Story { tell, nonprod, production, engine };
    let image = pushed::tell(&mut story)?;
    production::tell(&mut story, &image)?;
    story.end()?;
    Ok(ExitCode::SUCCESS)
}

fn explain_engine(tell: &mut Narrator<'_>, engine: Option<&Engine>, unwanted: bool) -> Result<()> {
    match engine {
        Some(engine) => tell.say(&format!(
            "A container engine answers at {} (version {}): it pushes, and it runs what production deploys.",
            engine.socket().display(),
            engine.version()
        )),
        None if unwanted => tell.say(
            "No container engine is used, as you asked. Left out: docker login, push and pull (the image is \
             pushed by this program instead), and running what is deployed.",
        ),
        None => tell.say(
            "No container engine was found. Left out: docker login, push and pull (the image is pushed by this \
             program instead), and running what is deployed. Start a Docker Engine, or name its socket with \
             --engine, to see the whole story.",
        ),
    }
}

impl Story<'_> {
    fn end(mut self) -> Result<()> {
        self.tell.title("What to look at next")?;
        self.tell.say(
            "docs/guides/user-guide.md tells the same at its own pace; `pierhead serve` starts a cluster that \
             stays. The two clusters of this story, and what they run, are removed now.",
        )?;
        production::clear(&self)?;
        self.production.stop()?;
        self.nonprod.stop()
    }
}
