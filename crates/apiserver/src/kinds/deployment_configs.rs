//! Deployment configurations, and what can be asked of one (platform 8.1, 8.4).
//!
//! Owns names, verbs, subresources and the rules of a write: that the status is the controllers', except that clients of
//! 2016 start a rollout by counting `status.latestVersion` up. What a configuration may look like, and what starts a
//! rollout, is said in `api`; rolling out is the controllers'.

use std::sync::Arc;

use pierhead_api::apps::{
    DeploymentCause, DeploymentConfig, DeploymentDetails, DeploymentTriggerImageChangeParams, trigger,
};
use pierhead_api::core::ExtensionsScale;
use pierhead_api::field::FieldErrors;
use pierhead_api::{Object, from_value, to_value};
use pierhead_auth::Subject;
use serde_json::{Value, json};

use super::pod_images;
use crate::admission::Admission;
use crate::call::Call;
use crate::error::ApiError;
use crate::kind::{Connect, Facet, GroupVersionKind, Kind, SubBehaviour, Subresource, Verb};
use crate::strategy::{Change, Strategy};

mod generate;
mod instantiate;
mod log;
mod rollback;

const GROUP: &str = "apps.openshift.io";
const LATEST_VERSION: &str = "/status/latestVersion";

/// Configurations, and the two resources of 2016 beside them.
pub(crate) fn kinds() -> Vec<Kind> {
    let configs = Kind::stored(Configs)
        .openshift()
        .generation()
        .also_counts(&[LATEST_VERSION])
        .takes_status(take_next_version)
        .old_delete_orphans()
        .admit(resolve_template)
        .status()
        .subresource(scale())
        .subresource(connect("instantiate", "DeploymentRequest", Verb::Create, instantiate::Instantiate))
        .subresource(connect("log", "DeploymentLog", Verb::Get, log::Log))
        .subresource(connect("rollback", "DeploymentConfigRollback", Verb::Create, rollback::OfConfig));
    vec![configs, rollback::kind(), generate::kind()]
}

fn connect(name: &'static str, kind: &'static str, verb: Verb, behaviour: impl Connect) -> Subresource {
    Subresource {
        name,
        kind: GroupVersionKind { group: GROUP, version: "v1", kind },
        verbs: match verb {
            Verb::Get => &[Verb::Get],
            _ => &[Verb::Create],
        },
        behaviour: SubBehaviour::Connect(Arc::new(behaviour)),
    }
}

fn scale() -> Subresource {
    Subresource {
        name: "scale",
        kind: GroupVersionKind { group: "extensions", version: "v1beta1", kind: "Scale" },
        verbs: &[Verb::Get, Verb::Patch, Verb::Update],
        behaviour: SubBehaviour::Facet(Arc::new(Scale)),
    }
}

/// Short image names may mean streams of the project (images 5.8).
fn resolve_template(admission: &mut Admission<'_>) -> Result<(), ApiError> {
    pod_images::resolve(admission, |config: &mut DeploymentConfig| {
        let asked = pod_images::asks(&config.metadata);
        let template = config.spec.template.as_mut()?;
        let asked = asked || pod_images::asks(&template.metadata);
        Some((&mut template.spec, asked))
    })
}

/// The stored configuration of a name.
fn stored(call: &Call, name: &str) -> Result<Option<DeploymentConfig>, ApiError> {
    let resource = DeploymentConfig::qualified_resource();
    call.server.object(&resource, call.namespace(), name)?.as_ref().map(read).transpose()
}

/// A stored document as a configuration.
fn read(document: &Value) -> Result<DeploymentConfig, ApiError> {
    from_value(document).map_err(|error| ApiError::internal(&error))
}

/// The service account that the pods of the configuration run as.
fn account_of(config: &DeploymentConfig) -> String {
    let named = config.spec.template.as_ref().map(|template| template.spec.service_account_name.as_str());
    named.filter(|name| !name.is_empty()).unwrap_or("default").to_owned()
}

/// The pull spec that an image stream tag means now; nothing while it has no image, or if it is another project's and
/// neither the caller nor the pods' `account` may pull it: what they may not read looks as if it were not there.
fn resolve(call: &Call, account: &str, namespace: &str, name: &str) -> Result<Option<String>, ApiError> {
    let stream = name.split_once(':').map_or(name, |(stream, _)| stream);
    let may = |who: &Arc<Subject>| call.server.auth.permit_pull(who, namespace, stream).is_ok();
    let pods = || Arc::new(Subject::service_account(call.namespace(), account, ""));
    if namespace != call.namespace() && !may(&call.subject) && !may(&pods()) {
        return Ok(None);
    }
    let found = call.server.images.tag_pull_spec(namespace, name)?;
    Ok(found.map(|(_, spec)| spec))
}

/// Puts the newest images of the `wanted` triggers into the template.
fn resolve_images(
    call: &Call,
    config: &mut DeploymentConfig,
    wanted: impl Fn(&DeploymentTriggerImageChangeParams) -> bool,
) -> Result<(), ApiError> {
    let mut failure = None;
    let account = account_of(config);
    config.resolve_images(wanted, |from| {
        resolve(call, &account, &from.namespace, &from.name).unwrap_or_else(|error| {
            failure = Some(error);
            None
        })
    });
    failure.map_or(Ok(()), Err)
}

/// `status.latestVersion` counted up by one in a write of the object starts a rollout by hand.
fn take_next_version(document: &mut Value, sent: &Value) {
    let next = document.pointer(LATEST_VERSION).and_then(Value::as_i64).unwrap_or(0) + 1;
    if sent.get("latestVersion").and_then(Value::as_i64) == Some(next) {
        let manual = DeploymentCause { cause_type: trigger::MANUAL.to_owned(), image_trigger: None };
        document["status"]["latestVersion"] = next.into();
        document["status"]["details"] = json!(DeploymentDetails::of_causes(vec![manual]));
    }
}

struct Configs;

impl Strategy for Configs {
    type Object = DeploymentConfig;

    fn prepare_create(&self, config: &mut DeploymentConfig, change: &Change<'_>) {
        config.begin();
        config.set_defaults();
        if !change.legacy {
            config.limit_history();
        }
    }

    fn prepare_update(&self, config: &mut DeploymentConfig, _: &DeploymentConfig, _: &Change<'_>) {
        config.set_defaults();
    }

    fn validate(&self, config: &DeploymentConfig, _: &Change<'_>) -> FieldErrors {
        config.validate()
    }

    fn validate_update(
        &self,
        config: &DeploymentConfig,
        old: &DeploymentConfig,
        _: &Change<'_>,
    ) -> FieldErrors {
        config.validate_update(old)
    }

    fn validate_status(
        &self,
        config: &DeploymentConfig,
        old: &DeploymentConfig,
        _: &Change<'_>,
    ) -> FieldErrors {
        config.validate_status_update(old)
    }
}

/// How many pods, as `extensions/v1beta1` says it.
struct Scale;

impl Facet for Scale {
    fn show(&self, object: &Value) -> Value {
        // What cannot be read shows as an empty one; the store holds what this server wrote.
        to_value(&from_value::<DeploymentConfig>(object).unwrap_or_default().scale())
    }

    fn write(&self, object: &mut Value, changed: &Value) -> FieldErrors {
        let mut errors = FieldErrors::new();
        match from_value::<ExtensionsScale>(changed) {
            Ok(scale) if scale.spec.replicas < 0 => {
                let detail = "must be greater than or equal to 0";
                errors.invalid("spec.replicas", scale.spec.replicas, detail);
            }
            Ok(scale) => object["spec"]["replicas"] = scale.spec.replicas.into(),
            Err(error) => errors.invalid(error.path, Value::Null, error.message),
        }
        errors
    }
}
