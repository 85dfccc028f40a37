//! `deploymentconfigs/<name>/instantiate`: a rollout on request (platform 8.4).

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::StatusCode;
use pierhead_api::apps::{
    DeploymentConfig, DeploymentDetails, DeploymentRequest, annotations, encoded_config, trigger,
};
use pierhead_api::core::ReplicationController;
use pierhead_api::meta::Status;
use pierhead_api::{Object, from_value, to_value};
use serde_json::{Value, json};

use super::super::access_reviews;
use crate::call::{Answer, Call};
use crate::collection::Collection;
use crate::error::ApiError;
use crate::kind::Connect;
use crate::query::WriteOptions;
use crate::storage::Document;
use crate::strategy::Part;

pub(super) struct Instantiate;

impl Connect for Instantiate {
    fn call<'a>(&'a self, call: &'a Call, body: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        async move {
            let request: DeploymentRequest = access_reviews::read(&body.unwrap_or_default())?;
            let options = WriteOptions::parse(&call.query, "CreateOptions")?;
            let mut begins = false;
            let written = Collection::of(call)?
                .update(&call.key(), Part::Computed, &options, |stored| {
                    let next = next_version(call, &request, super::read(stored)?)?;
                    begins = next.is_some();
                    Ok(next.map_or_else(|| stored.clone(), |config| to_value(&config)))
                })
                .await?;
            let document = if begins { written.document } else { nothing_to_do(call.name()) };
            let document = Document::Tree(document);
            Ok(Answer::Object { code: StatusCode::CREATED, document, warnings: Vec::new() })
        }
        .boxed()
    }
}

/// What clients are told when nothing changed. The code is in the document only: an answer 204 has no body.
fn nothing_to_do(name: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {},
        "message": format!("deployment config {name:?} cannot be instantiated"), "code": 204,
    })
}

/// The configuration with its next version; `None` when there is no reason for one.
fn next_version(
    call: &Call,
    request: &DeploymentRequest,
    mut config: DeploymentConfig,
) -> Result<Option<DeploymentConfig>, ApiError> {
    let errors = request.validate_for(&config);
    if !errors.is_empty() {
        return Err(Status::invalid("DeploymentRequest", super::GROUP, &request.name, &errors).into());
    }
    let excluded = request.exclude_triggers.iter().any(|excluded| excluded == trigger::IMAGE_CHANGE);
    if request.latest && !excluded {
        super::resolve_images(call, &mut config, |params| request.force || params.automatic)?;
    }
    let deployed = deployed(call, &config)?;
    let causes = config.causes(deployed.as_ref(), request.force).map_err(|error| {
        let name = &config.metadata.name;
        Status::bad_request(format!("cannot trigger a deployment for {name:?} because {error}"))
    })?;
    if causes.is_empty() {
        return Ok(None);
    }
    config.status.details = Some(DeploymentDetails::of_causes(causes));
    config.status.latest_version += 1;
    // Computed from what is stored: computed again when somebody else was faster.
    config.metadata.resource_version.clear();
    Ok(Some(config))
}

/// The configuration that the newest replication controller was made from.
fn deployed(call: &Call, config: &DeploymentConfig) -> Result<Option<DeploymentConfig>, ApiError> {
    if config.status.latest_version == 0 {
        return Ok(None);
    }
    let name = annotations::deployment_name(&config.metadata.name, config.status.latest_version);
    let deployment = find(call, &name)?.ok_or_else(|| {
        Status::not_found(ReplicationController::PLURAL, ReplicationController::GROUP, &name)
    })?;
    match encoded_config(&deployment.metadata) {
        Some(Ok(config)) => Ok(Some(config)),
        Some(Err(error)) => {
            Err(Status::internal(format!("the configuration in {name:?} cannot be read: {error}")).into())
        }
        None => Err(Status::internal(format!("{name:?} does not say what it was made from")).into()),
    }
}

/// A replication controller of the namespace.
pub(super) fn find(call: &Call, name: &str) -> Result<Option<ReplicationController>, ApiError> {
    let document = call.server.object(ReplicationController::PLURAL, call.namespace(), name)?;
    let read = |document: &Value| from_value(document).map_err(|error| ApiError::internal(&error));
    document.as_ref().map(read).transpose()
}
