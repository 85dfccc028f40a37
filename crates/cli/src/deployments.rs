//! What replication controllers say about the rollouts that they stand for (platform 8.2).

use pierhead_api::apps::annotations::CONFIG_VERSION;
pub(crate) use pierhead_api::apps::annotations::{
    CANCELLED, CANCELLED_BY_USER, CONFIG, DEPLOYER_POD_FOR, PHASE, STATUS_REASON,
};
use pierhead_client::{Client, ClientError};
use serde_json::{Value, json};

use crate::{
    discovery::{ApiKind, Discovery},
    object,
    print::age,
    verbs::get,
};

/// The group of deployment configs.
pub(crate) const GROUP: &str = "apps.openshift.io";

/// The collection of deployment configs.
pub(crate) fn configs(discovery: &Discovery) -> anyhow::Result<&ApiKind> {
    discovery.known(GROUP, "deploymentconfigs")
}

/// An annotation; empty where there is none.
pub(crate) fn annotation<'v>(object: &'v Value, name: &str) -> &'v str {
    object::at(object, "metadata.annotations")
        .and_then(|annotations| annotations.get(name))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The phase of a rollout.
pub(crate) fn phase(rollout: &Value) -> &str {
    annotation(rollout, PHASE)
}

/// The number of a rollout; 0 for controllers that are none.
pub(crate) fn version(rollout: &Value) -> u64 {
    annotation(rollout, CONFIG_VERSION).parse().unwrap_or(0)
}

/// Whether the rollout is over, well or badly.
pub(crate) fn is_over(rollout: &Value) -> bool {
    matches!(phase(rollout), "Complete" | "Failed")
}

/// Whether somebody wanted it to end.
pub(crate) fn is_cancelled(rollout: &Value) -> bool {
    annotation(rollout, CANCELLED) == "true"
}

/// `status.latestVersion` of a config.
pub(crate) fn latest_version(config: &Value) -> u64 {
    number(config, "status.latestVersion")
}

/// A number at a path; 0 where there is none.
pub(crate) fn number(object: &Value, path: &str) -> u64 {
    object::at(object, path).and_then(Value::as_u64).unwrap_or(0)
}

/// The name of a config's rollout with this number.
pub(crate) fn rollout_name(config: &str, version: u64) -> String {
    format!("{config}-{version}")
}

/// The rollouts of a config, newest first.
pub(crate) async fn rollouts(
    client: &Client,
    discovery: &Discovery,
    namespace: &str,
    config: &str,
) -> anyhow::Result<Vec<Value>> {
    let controllers = discovery.known("", "replicationcontrollers")?;
    let selector = format!("{CONFIG}={config}");
    let query = [("labelSelector", selector.as_str())];
    let mut found = get::read_all(client, controllers, Some(namespace), &query).await?;
    found.sort_by_key(|rollout| std::cmp::Reverse(version(rollout)));
    Ok(found)
}

/// The latest rollout of a config, if it still exists.
pub(crate) async fn latest(
    client: &Client,
    discovery: &Discovery,
    namespace: &str,
    config: &Value,
) -> anyhow::Result<Option<Value>> {
    let controllers = discovery.known("", "replicationcontrollers")?;
    let name = rollout_name(object::name(config), latest_version(config));
    match get::read(client, controllers, namespace, &name).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Rollouts that are not over, after the end of all was asked for.
pub(crate) struct Cancelled<'r> {
    /// Those whose end was asked for now.
    pub(crate) now: Vec<&'r Value>,
    /// Whether that of others was before.
    pub(crate) before: bool,
}

/// Asks for the end of the rollouts that are not over.
pub(crate) async fn cancel<'r>(
    client: &Client,
    discovery: &Discovery,
    rollouts: &'r [Value],
) -> anyhow::Result<Cancelled<'r>> {
    let controllers = discovery.known("", "replicationcontrollers")?;
    let running = rollouts.iter().filter(|rollout| !is_over(rollout));
    let (asked, now): (Vec<_>, Vec<_>) = running.partition(|rollout| is_cancelled(rollout));
    let annotations = json!({CANCELLED: "true", STATUS_REASON: CANCELLED_BY_USER});
    for rollout in &now {
        patch(client, controllers, rollout, &json!({"metadata": {"annotations": annotations}})).await?;
    }
    Ok(Cancelled { now, before: !asked.is_empty() })
}

/// `#2 complete 3 minutes ago`.
pub(crate) fn ended(rollout: &Value, now: jiff::Timestamp) -> String {
    let created = object::text(rollout, "metadata.creationTimestamp");
    let age = age::words(Some(created), now).to_lowercase();
    format!("#{} {} {age} ago", version(rollout), phase(rollout).to_lowercase())
}

/// Changes an object by a merge patch.
pub(crate) async fn patch(
    client: &Client,
    kind: &ApiKind,
    object: &Value,
    patch: &Value,
) -> Result<Value, ClientError> {
    let path = kind.resource().item(object::namespace(object), object::name(object), None);
    client.request(http::Method::PATCH, &path, Some("application/merge-patch+json"), Some(patch)).await
}
