//! The repository's own commands: `cargo xtask test`, `bench`, `torture`, `fuzz-api`, `real-kubernetes`, `check-layers`,
//! `tidy`.
//!
//! Owns what has to happen around cargo: installing the tools that tests drive, the order of the checks, and
//! the rules a compiler does not know. Holds no test and no benchmark itself: those live in `e2e`.

mod layers;
mod run;
mod tests;
mod tidy;
mod tools;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The commands of this repository")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the tests need, then run every check and every test
    Test {
        /// Only tests whose name contains this; skips formatting and lints
        filter: Option<String>,
    },
    /// Check who depends on whom against layers.toml
    CheckLayers,
    /// Check the rules of the code base that the compiler does not know
    Tidy,
    /// Make many requests at random from our description of the API, for a resource on each core; hours, and goes on where
    /// it was stopped
    FuzzApi {
        /// Requests for each operation
        #[arg(long, default_value_t = 500)]
        examples: u32,
        /// Only resources whose path contains this, such as `image.openshift.io/v1/imagestreams`
        #[arg(long, default_value = "")]
        paths: String,
    },
    /// Build Kubernetes' API server, once, and run our command line against it
    RealKubernetes,
    /// Compare with other registries on this machine and print ratios
    Bench {
        /// Only rows whose name contains this
        filter: Option<String>,
    },
    /// Run the crash and power-cut rounds for long
    Torture {
        /// Rounds of each kind
        #[arg(long, default_value_t = 1000)]
        rounds: u32,
        /// Where the random choices start; printed by every run
        #[arg(long)]
        seed: Option<u64>,
        /// Changes that watchers must be told of, each once and in order
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
    },
}

fn main() -> ExitCode {
    let outcome = match Args::parse().task {
        Task::Test { filter } => tests::test(filter.as_deref()),
        Task::CheckLayers => layers::check(),
        Task::Tidy => tidy::check(),
        Task::FuzzApi { examples, paths } => tests::fuzz_api(examples, &paths),
        Task::RealKubernetes => tests::real_kubernetes(),
        Task::Bench { filter } => tests::bench(filter.as_deref()),
        Task::Torture { rounds, seed, events } => tests::torture(rounds, seed, events),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::say(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
