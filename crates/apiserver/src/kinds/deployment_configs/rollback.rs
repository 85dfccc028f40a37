//! What a configuration would be like with parts of an older version: the subresource `rollback`, and
//! `deploymentconfigrollbacks` of 2016 (platform 8.4). Nothing is stored; the client does that.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::apps::annotations::{Phase, deployment_name};
use pierhead_api::apps::{DeploymentConfig, DeploymentConfigRollback, encoded_config};
use pierhead_api::core::ReplicationController;
use pierhead_api::field::FieldErrors;
use pierhead_api::meta::Status;
use pierhead_api::to_value;
use serde_json::Value;

use super::super::access_reviews::read;
use super::instantiate::find;
use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::kind::{Connect, Kind, Verb};

/// The resource of 2016.
pub(super) fn kind() -> Kind {
    Kind::calls::<DeploymentConfigRollback>(&[Verb::Create], OfController).legacy()
}

/// To a version of the configuration in the path.
pub(super) struct OfConfig;

/// To a replication controller, which says whose it is.
struct OfController;

impl Connect for OfConfig {
    fn call<'a>(&'a self, call: &'a Call, body: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        let document = body.unwrap_or_default();
        std::future::ready(to_version(call, &document).map(|config| Answer::created(to_value(&config))))
            .boxed()
    }
}

impl Connect for OfController {
    fn call<'a>(&'a self, call: &'a Call, body: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        let document = body.unwrap_or_default();
        std::future::ready(to_controller(call, &document).map(|config| Answer::created(to_value(&config))))
            .boxed()
    }
}

fn invalid(rollback: &DeploymentConfigRollback, errors: &FieldErrors) -> ApiError {
    Status::invalid("DeploymentConfigRollback", super::GROUP, &rollback.name, errors).into()
}

/// 422 about one field.
fn refused(
    rollback: &DeploymentConfigRollback,
    field: &str,
    value: &str,
    detail: impl Into<String>,
) -> ApiError {
    let mut errors = FieldErrors::new();
    errors.invalid(field, value, detail);
    invalid(rollback, &errors)
}

fn to_version(call: &Call, document: &Value) -> Result<DeploymentConfig, ApiError> {
    let rollback: DeploymentConfigRollback = read(document)?;
    let mut errors = rollback.validate();
    if errors.is_empty() && rollback.name != call.name() {
        let detail = "name of the deployment config must match the name in the path";
        errors.invalid("name", rollback.name.as_str(), detail);
    }
    if !errors.is_empty() {
        return Err(invalid(&rollback, &errors));
    }
    let name = rollback.name.as_str();
    let refused = |detail: String| refused(&rollback, "name", name, detail);
    let config = super::stored(call, name)?.ok_or_else(|| {
        let missing = call.not_found(name).message;
        refused(format!("cannot get deployment config {name:?}: {missing}"))
    })?;
    let (latest, wanted) = (config.status.latest_version, rollback.spec.revision);
    if latest == 0 {
        return Err(refused("cannot rollback an undeployed config".into()));
    }
    if latest == 1 {
        let label = format!("{}/{name}", call.namespace());
        return Err(refused(format!("no previous deployment exists for {label:?}")));
    }
    if latest == wanted {
        return Err(refused(format!("version {wanted} is already the latest")));
    }
    let found = match wanted {
        0 => previous(call, name, latest)?,
        version => find(call, &deployment_name(name, version))?,
    };
    let deployment = found.ok_or_else(|| refused("couldn't find deployment for rollback".into()))?;
    let to = decode(&deployment).map_err(refused)?;
    Ok(finish(&config, &to, &rollback))
}

/// The newest complete version before the latest one; where none was completed, the one before it.
fn previous(call: &Call, name: &str, latest: i64) -> Result<Option<ReplicationController>, ApiError> {
    let mut newest = None;
    for version in (1..latest).rev() {
        let Some(deployment) = find(call, &deployment_name(name, version))? else { continue };
        if Phase::of(&deployment.metadata) == Phase::Complete {
            return Ok(Some(deployment));
        }
        newest.get_or_insert(deployment);
    }
    Ok(newest)
}

fn to_controller(call: &Call, document: &Value) -> Result<DeploymentConfig, ApiError> {
    let rollback: DeploymentConfigRollback = read(document)?;
    let errors = rollback.validate_by_controller();
    if !errors.is_empty() {
        return Err(invalid(&rollback, &errors));
    }
    let from = rollback.spec.from.name.as_str();
    let refused = |detail: String| refused(&rollback, "spec.from.name", from, detail);
    let deployment =
        find(call, from)?.ok_or_else(|| refused("couldn't find deployment for rollback".into()))?;
    let to = decode(&deployment).map_err(refused)?;
    let name = to.metadata.name.as_str();
    let config = super::stored(call, name)?.ok_or_else(|| {
        refused(format!("couldn't find a current deployment config {}/{name}", call.namespace()))
    })?;
    Ok(finish(&config, &to, &rollback))
}

fn decode(deployment: &ReplicationController) -> Result<DeploymentConfig, String> {
    let why = match encoded_config(&deployment.metadata) {
        Some(Ok(config)) => return Ok(config),
        Some(Err(error)) => error.to_string(),
        None => format!("{:?} was not made from one", deployment.metadata.name),
    };
    Err(format!("couldn't decode deployment config from deployment: {why}"))
}

fn finish(
    config: &DeploymentConfig,
    to: &DeploymentConfig,
    rollback: &DeploymentConfigRollback,
) -> DeploymentConfig {
    let mut config = config.rolled_back(to, &rollback.spec);
    config.metadata.annotations.extend(rollback.updated_annotations.clone());
    config
}
