//! `generatedeploymentconfigs/<name>`, for clients of 2016: a configuration with its images resolved and its next
//! version, not stored (platform 8.4).

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::apps::DeploymentConfig;
use pierhead_api::to_value;
use serde_json::Value;

use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::kind::{Connect, Kind, Verb};

/// The resource. Its kind is that of configurations, so clients that look up where a configuration is kept must not
/// find it.
pub(super) fn kind() -> Kind {
    let mut kind = Kind::calls::<DeploymentConfig>(&[Verb::Get], Generate).legacy().unannounced();
    (kind.plural, kind.singular) = ("generatedeploymentconfigs", "generatedeploymentconfig");
    (kind.short_names, kind.categories) = (&[], &[]);
    kind
}

struct Generate;

impl Connect for Generate {
    fn call<'a>(&'a self, call: &'a Call, _: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        std::future::ready(generate(call).map(|config| Answer::ok(to_value(&config)))).boxed()
    }
}

fn generate(call: &Call) -> Result<DeploymentConfig, ApiError> {
    let mut config = super::stored(call, call.name())?.ok_or_else(|| call.not_found(call.name()))?;
    super::resolve_images(call, &mut config, |_| true)?;
    config.status.latest_version += 1;
    Ok(config)
}
