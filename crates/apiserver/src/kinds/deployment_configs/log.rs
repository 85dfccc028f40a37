//! `deploymentconfigs/<name>/log`: what the deployer of a version says while it works or after it failed, and what the
//! pods say after it succeeded (platform 8.4).
//!
//! Owns the choice of the pod and the waiting for it. How a log is read and cut is `pod_output`'s.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use pierhead_api::apps::annotations::{Phase, deployer_pod_name, deployment_name};
use pierhead_api::apps::{DeploymentConfig, DeploymentLogOptions};
use pierhead_api::core::{Pod, ReplicationController};
use pierhead_api::field::FieldErrors;
use pierhead_api::meta::Status;
use pierhead_api::{Object, from_slice};
use pierhead_store::KeyRange;
use pierhead_store::objects::OBJECTS;
use serde_json::Value;
use tokio::time::Instant;

use super::super::pod_output;
use super::instantiate::find;
use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::kind::Connect;

/// How long a request waits for a log that is not there yet.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long changes are left to gather before it is looked for again.
const PAUSE: Duration = Duration::from_millis(250);
/// What of the query is about the version, not about the log.
const OWN_OPTIONS: [&str; 3] = ["previous", "version", "nowait"];

pub(super) struct Log;

impl Connect for Log {
    fn call<'a>(&'a self, call: &'a Call, _: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        show(call).boxed()
    }
}

async fn show(call: &Call) -> Result<Answer, ApiError> {
    let options = read_options(call)?;
    let config = super::stored(call, call.name())?.ok_or_else(|| call.not_found(call.name()))?;
    let name = deployment_name(call.name(), version(&config, &options)?);
    let deadline = Instant::now() + PATIENCE;
    let existing = wait(call, deadline, || find(call, &name)).await?;
    let mut deployment = existing.ok_or_else(|| missing(&name))?;
    if matches!(Phase::of(&deployment.metadata), Phase::New | Phase::Pending) {
        if options.no_wait {
            return Ok(pod_output::text(stream::empty().boxed()));
        }
        let begun = wait(call, deadline, || {
            let deployment = find(call, &name)?.ok_or_else(|| missing(&name))?;
            let waits = matches!(Phase::of(&deployment.metadata), Phase::New | Phase::Pending);
            Ok((!waits).then_some(deployment))
        })
        .await?;
        let plural = ReplicationController::PLURAL;
        deployment = begun.ok_or_else(|| Status::server_timeout(plural, "", "get", 2))?;
    }
    let query = call.query.without(&OWN_OPTIONS);
    if Phase::of(&deployment.metadata) != Phase::Complete {
        match pod_output::show(call, &deployer_pod_name(&name), &query).await {
            // It may have succeeded just now, and its pod be gone.
            Err(error) if error.status().code == 404 => {
                deployment = find(call, &name)?.ok_or_else(|| missing(&name))?;
                if Phase::of(&deployment.metadata) != Phase::Complete {
                    return Err(error);
                }
            }
            shown => return shown,
        }
    }
    let pod = wait(call, deadline, || best_pod(call, &deployment.spec.selector)).await?;
    let pod = pod.ok_or_else(|| Status::not_found(Pod::PLURAL, Pod::GROUP, &name))?;
    pod_output::show(call, &pod, &query).await
}

fn missing(name: &str) -> ApiError {
    Status::not_found(ReplicationController::PLURAL, ReplicationController::GROUP, name).into()
}

fn read_options(call: &Call) -> Result<DeploymentLogOptions, ApiError> {
    let mut errors = FieldErrors::new();
    let version = call.query.get("version").and_then(|text| match text.parse::<i64>() {
        Ok(version) => Some(version),
        Err(_) => {
            errors.invalid("version", text, "must be a number");
            None
        }
    });
    let options = DeploymentLogOptions {
        version,
        previous: call.query.flag("previous"),
        no_wait: call.query.flag("nowait"),
        ..DeploymentLogOptions::default()
    };
    errors.append(options.validate());
    if errors.is_empty() {
        return Ok(options);
    }
    Err(Status::invalid("DeploymentLogOptions", super::GROUP, "", &errors).into())
}

/// The version whose log is wanted.
fn version(config: &DeploymentConfig, options: &DeploymentLogOptions) -> Result<i64, ApiError> {
    let (name, latest) = (&config.metadata.name, config.status.latest_version);
    let refused = |message: String| Err(Status::bad_request(message).into());
    match options.version {
        _ if latest == 0 => refused(format!("no deployment exists for deploymentConfig {name:?}")),
        None if !options.previous => Ok(latest),
        None if latest > 1 => Ok(latest - 1),
        None => refused(format!("no previous deployment exists for deploymentConfig {name:?}")),
        Some(version) if (1..=latest).contains(&version) => Ok(version),
        Some(version) => refused(format!("invalid version for deploymentConfig {name:?}: {version}")),
    }
}

/// Looks again after changes of objects until there is something, but not beyond `deadline`.
async fn wait<T>(
    call: &Call,
    deadline: Instant,
    look: impl Fn() -> Result<Option<T>, ApiError>,
) -> Result<Option<T>, ApiError> {
    let mut news = call.server.store.subscribe_to(&[OBJECTS.name()]);
    loop {
        news.mark_seen();
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        match tokio::time::timeout_at(deadline, news.changed()).await {
            Ok(true) => tokio::time::sleep_until(deadline.min(Instant::now() + PAUSE)).await,
            Ok(false) | Err(_) => return Ok(None),
        }
    }
}

/// The name of the pod whose log tells most: one that runs, is ready, and is the oldest of these.
fn best_pod(call: &Call, selector: &BTreeMap<String, String>) -> Result<Option<String>, ApiError> {
    let range = KeyRange::prefix(&(Pod::PLURAL, call.namespace()));
    let rows = call.server.store.read(|tx| tx.scan(&OBJECTS, &range, usize::MAX))?;
    let mut pods = Vec::new();
    for (_, record) in rows {
        let pod: Pod = from_slice(&record.0).map_err(|error| ApiError::internal(&error))?;
        if selector.iter().all(|(key, value)| pod.metadata.label(key) == Some(value)) {
            pods.push(pod);
        }
    }
    let rank = |pod: &Pod| {
        let ready = pod
            .status
            .conditions
            .iter()
            .any(|known| known.condition_type == "Ready" && known.status == "True");
        let age = pod.metadata.creation_timestamp;
        (pod.status.phase != "Running", !ready, age)
    };
    Ok(pods.iter().min_by_key(|pod| rank(pod)).map(|pod| pod.metadata.name.clone()))
}

#[cfg(test)]
mod tests {
    use pierhead_api::apps::{DeploymentConfig, DeploymentLogOptions};

    use super::version;

    #[track_caller]
    fn check(latest: i64, wanted: Option<i64>, previous: bool, expected: Result<i64, &str>) {
        let mut config = DeploymentConfig::default();
        (config.metadata.name, config.status.latest_version) = ("web".into(), latest);
        let options = DeploymentLogOptions { version: wanted, previous, ..DeploymentLogOptions::default() };
        let got = version(&config, &options).map_err(|error| error.status().message.clone());
        assert_eq!(got.as_ref().copied().map_err(String::as_str), expected);
    }

    #[test]
    fn chooses_the_version() {
        check(3, None, false, Ok(3));
        check(3, None, true, Ok(2));
        check(3, Some(1), false, Ok(1));
        check(0, None, false, Err("no deployment exists for deploymentConfig \"web\""));
        check(1, None, true, Err("no previous deployment exists for deploymentConfig \"web\""));
        check(3, Some(4), false, Err("invalid version for deploymentConfig \"web\": 4"));
    }
}
