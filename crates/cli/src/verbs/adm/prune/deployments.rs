//! `adm prune deployments`: removes rollouts that are over, beyond the newest of each deployment config (platform 9).
//!
//! Rollouts with pods, and rollouts that are not over, stay whatever is asked for.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::super::usage::is_younger;
use crate::{
    deployments::{self, CONFIG},
    dry_run::DryRun,
    environment::ExitStatus,
    object,
    print::tabwriter,
    session::{Session, parse_timeout},
    tally::Tally,
    verbs::{delete::delete_in_background, get},
};

/// Remove old deployments of deployment configs
///
/// Without --confirm it only says what it would do. Of each config the newest five complete
/// deployments stay and the newest failed one, and everything that has pods or is younger than an
/// hour.
///
/// Examples:
///   adm prune deployments
///   adm prune deployments --keep-complete=2 --keep-failed=0 --keep-younger-than=24h --confirm
///   adm prune deployments --orphans --confirm -n shop
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(in super::super) struct PruneDeploymentsArgs {
    /// Do it
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_default_value = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    confirm: bool,
    /// Also those whose config is gone
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_default_value = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    orphans: bool,
    /// How many complete deployments of each config stay
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    keep_complete: usize,
    /// How many failed deployments of each config stay
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    keep_failed: usize,
    /// What is younger stays
    #[arg(long, default_value = "60m", value_name = "DURATION")]
    keep_younger_than: String,
}

pub(super) async fn run(args: &PruneDeploymentsArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let age = parse_timeout(&args.keep_younger_than).context("--keep-younger-than")?;
    let young = age.map(|age| (session.environment.now)() - age);
    let namespace = session.globals.namespace.clone();
    let discovery = session.discovery().await?;
    let client = session.client()?;
    let controllers = discovery.known("", "replicationcontrollers")?;
    // Rollouts first: the config of each was there when the configs are read, or is gone.
    let rollouts = get::read_all(&client, controllers, namespace.as_deref(), &[]).await?;
    let configs = deployments::configs(&discovery)?;
    let configs = get::read_all(&client, configs, namespace.as_deref(), &[]).await?;
    let going = choose(&rollouts, &configs, args, young);
    if !args.confirm {
        session
            .remark("Dry run enabled - no modifications will be made. Add --confirm to remove deployments")?;
    }
    let mut tally = Tally::default();
    let mut text = String::new();
    for rollout in going {
        let path = controllers.resource().item(object::namespace(rollout), object::name(rollout), None);
        if args.confirm && tally.note(delete_in_background(&client, &path, DryRun::None).await).is_none() {
            continue;
        }
        if text.is_empty() {
            text.push_str("NAMESPACE\tNAME\n");
        }
        let namespace = object::namespace(rollout).unwrap_or_default();
        text.push_str(&format!("{namespace}\t{}\n", object::name(rollout)));
    }
    session.print(&tabwriter::align(&text, tabwriter::TABLE))?;
    tally.finish(session)
}

/// The rollouts that go, by config, newest first.
fn choose<'r>(
    rollouts: &'r [Value],
    configs: &[Value],
    args: &PruneDeploymentsArgs,
    young: Option<Timestamp>,
) -> Vec<&'r Value> {
    let place = |object: &Value, name: &str| {
        (object::namespace(object).unwrap_or_default().to_owned(), name.to_owned())
    };
    let known: BTreeSet<_> = configs.iter().map(|config| place(config, object::name(config))).collect();
    let mut of_config: BTreeMap<_, Vec<&Value>> = BTreeMap::new();
    for rollout in rollouts {
        let config = deployments::annotation(rollout, CONFIG);
        if !config.is_empty() {
            of_config.entry(place(rollout, config)).or_default().push(rollout);
        }
    }
    let may_go = |rollout: &&Value| {
        deployments::number(rollout, "spec.replicas") == 0
            && deployments::number(rollout, "status.replicas") == 0
            && !is_younger(object::text(rollout, "metadata.creationTimestamp"), young)
    };
    let mut going = Vec::new();
    for (config, mut rollouts) in of_config {
        rollouts.sort_by_key(|rollout| std::cmp::Reverse(deployments::version(rollout)));
        let is_orphan = !known.contains(&config);
        if is_orphan && !args.orphans {
            continue;
        }
        for (phase, keep) in [("Complete", args.keep_complete), ("Failed", args.keep_failed)] {
            let keep = if is_orphan { 0 } else { keep };
            let over = rollouts.iter().copied().filter(|rollout| deployments::phase(rollout) == phase);
            going.extend(over.skip(keep).filter(may_go));
        }
    }
    going
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{CONFIG, PruneDeploymentsArgs, choose};
    use crate::deployments::PHASE;

    fn rollout(config: &str, version: u64, phase: &str, replicas: u64) -> Value {
        json!({
            "metadata": {
                "name": format!("{config}-{version}"), "namespace": "shop", "creationTimestamp": "2016-03-30T10:00:00Z",
                "annotations": {CONFIG: config, PHASE: phase, "openshift.io/deployment-config.latest-version": version.to_string()},
            },
            "spec": {"replicas": replicas},
        })
    }

    #[track_caller]
    fn check(change: impl Fn(&mut PruneDeploymentsArgs), young: Option<&str>, expected: &[&str]) {
        let mut args = PruneDeploymentsArgs {
            confirm: false,
            orphans: false,
            keep_complete: 1,
            keep_failed: 1,
            keep_younger_than: String::new(),
        };
        change(&mut args);
        let rollouts = [
            rollout("web", 1, "Complete", 0),
            rollout("web", 2, "Failed", 0),
            rollout("web", 3, "Complete", 2),
            rollout("web", 4, "Failed", 0),
            rollout("web", 10, "Complete", 0),
            rollout("web", 11, "Running", 0),
            rollout("gone", 1, "Complete", 0),
            rollout("gone", 2, "Complete", 1),
            json!({"metadata": {"name": "own", "namespace": "shop"}, "spec": {"replicas": 0}}),
        ];
        let configs = [json!({"metadata": {"name": "web", "namespace": "shop"}})];
        let young = young.map(|young| young.parse().unwrap());
        let going = choose(&rollouts, &configs, &args, young);
        let names: Vec<&str> = going.into_iter().map(crate::object::name).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn only_what_is_over_and_has_no_pods_goes() {
        check(|_| {}, None, &["web-1", "web-2"]);
        check(|args| args.keep_complete = 0, None, &["web-10", "web-1", "web-2"]);
        check(|args| args.keep_failed = 5, None, &["web-1"]);
        check(|args| args.orphans = true, None, &["gone-1", "web-1", "web-2"]);
        check(|_| {}, Some("2016-03-30T09:00:00Z"), &[]);
        check(|_| {}, Some("2016-03-30T11:00:00Z"), &["web-1", "web-2"]);
    }
}
