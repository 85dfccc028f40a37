//! The order of the checks, and the environment that the end-to-end tests and benches are given.

use crate::run::{cargo, run, say, target};
use crate::{layers, tidy, tools};
use anyhow::Result;
use std::path::PathBuf;

/// Everything that must hold before a change is taken.
pub(crate) fn test(filter: Option<&str>) -> Result<()> {
    let found = tools::for_tests()?;
    let tests = |words: &[&str]| -> Result<()> {
        build_server("dev")?;
        let mut command = cargo();
        command.envs(found.iter().map(|(name, path)| (name, path)));
        // The features of its own dependencies would make everything compile a second time.
        command.args(["test", "--locked", "--workspace", "--exclude", "xtask"]).args(words);
        run(with_server(&mut command, "debug"))
    };
    if let Some(filter) = filter {
        return tests(&["--", filter]);
    }
    run(cargo().args(["fmt", "--all", "--check"]))?;
    layers::check()?;
    tidy::check()?;
    run(cargo().args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // What the types say is derived only here: the product is built without.
    run(cargo().args([
        "test",
        "--locked",
        "-p",
        "pierhead-api",
        "--features",
        "schema",
        "--test",
        "schema",
    ]))?;
    run(cargo().args(["test", "--locked", "-p", "xtask"]))?;
    tests(&["--no-fail-fast"])
}

/// Many requests made at random from the description of the API; goes on where a run before was stopped.
pub(crate) fn fuzz_api(examples: u32, paths: &str) -> Result<()> {
    let schemathesis = tools::for_fuzzing()?;
    build_server("release")?;
    let mut command = cargo();
    command.args(["test", "--locked", "--package", "pierhead-e2e", "--", "--nocapture"]);
    command.arg("many_requests_at_random_are_answered_as_described");
    command.env("PIERHEAD_SCHEMATHESIS", schemathesis).env("PIERHEAD_FUZZ_EXAMPLES", examples.to_string());
    command.env("PIERHEAD_FUZZ_PATHS", paths).env("PIERHEAD_FUZZ_FOLDER", target().join("fuzz-api"));
    run(with_server(&mut command, "release"))
}

/// Our command line against Kubernetes' own API server.
pub(crate) fn real_kubernetes() -> Result<()> {
    let (etcd, kubernetes) = tools::for_real_kubernetes()?;
    build_server("dev")?;
    let mut command = cargo();
    command.args(["test", "--locked", "--package", "pierhead-e2e", "--test", "kubernetes"]);
    command.env("PIERHEAD_ETCD", etcd).env("PIERHEAD_KUBERNETES", kubernetes);
    run(with_server(&mut command, "debug"))
}

/// The comparison of the README's table.
pub(crate) fn bench(filter: Option<&str>) -> Result<()> {
    let distribution = tools::for_benches()?;
    build_server("release")?;
    let mut command = cargo();
    command.args(["run", "--locked", "--release", "--package", "pierhead-e2e", "--bin", "bench", "--"]);
    command.args(filter).env("PIERHEAD_BENCH_DISTRIBUTION", distribution);
    run(with_server(&mut command, "release"))
}

/// The crash rounds and the rollouts of the tests, many more of them.
pub(crate) fn torture(rounds: u32, seed: Option<u64>, events: u64) -> Result<()> {
    tools::for_crashes()?;
    build_server("release")?;
    let mut command = cargo();
    command.args([
        "test",
        "--locked",
        "--package",
        "pierhead-e2e",
        "--",
        "--nocapture",
        "--test-threads=1",
        "crash_",
        "many_rollouts",
        "watch_w1",
    ]);
    command.env("PIERHEAD_WATCH_EVENTS", events.to_string());
    command.env("PIERHEAD_TORTURE_ROUNDS", rounds.to_string());
    command.env("PIERHEAD_ROLLOUTS", rounds.to_string());
    if let Some(seed) = seed {
        command.env("PIERHEAD_TORTURE_SEED", seed.to_string());
    }
    say(&format!("{rounds} rounds of each kind, {events} events"));
    run(with_server(&mut command, "release"))
}

/// Builds the binary in the given profile; cargo names the folder of `dev` `debug`.
fn build_server(profile: &str) -> Result<()> {
    run(cargo().args(["build", "--locked", "--package", "pierhead-server", "--profile", profile]))
}

/// Where [`build_server`] left the binary.
fn server(folder: &str) -> PathBuf {
    target().join(folder).join("pierhead")
}

fn with_server<'a>(command: &'a mut std::process::Command, folder: &str) -> &'a mut std::process::Command {
    command.env("PIERHEAD_BIN", server(folder))
}
