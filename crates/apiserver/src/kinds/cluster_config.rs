//! `config.openshift.io`: what clients read of how the server is set up (platform 1.1, 1.2), one object of each kind.
//!
//! Owns the objects, made from the settings in force at every read. The age of a cluster and its id are those of its
//! first namespace.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::config::{
    CLUSTER_NAME, ClusterVersion, ClusterVersionCondition, ClusterVersionSpec, ClusterVersionStatus,
    IdentityProvider, Image, ImageSpec, ImageStatus, Ingress, IngressSpec, OAuth, OAuthSpec, Project,
    ProjectSpec, RegistryLocation, Release, TokenConfig, UpdateHistory, VERSION_NAME,
};
use pierhead_api::core::Namespace;
use pierhead_api::meta::ObjectMeta;
use pierhead_api::{Object as _, from_slice, to_value};
use pierhead_auth::Era;
use pierhead_auth::password::{MappingMethod, ProviderKind};
use pierhead_store::objects::{OBJECTS, ObjectKey};
use serde_json::Value;

use crate::call::{Answer, Call, ListAnswer};
use crate::error::ApiError;
use crate::kind::{Connect, Kind, Verb};
use crate::storage::Document;

/// The kinds.
pub(crate) fn kinds() -> Vec<Kind> {
    const READ: &[Verb] = &[Verb::Get, Verb::List];
    vec![
        Kind::calls::<ClusterVersion>(READ, Singleton::Version),
        Kind::calls::<Image>(READ, Singleton::Image),
        Kind::calls::<Ingress>(READ, Singleton::Ingress),
        Kind::calls::<OAuth>(READ, Singleton::OAuth),
        Kind::calls::<Project>(READ, Singleton::Project),
    ]
}

/// The only object of a kind.
#[derive(Clone, Copy)]
enum Singleton {
    Version,
    Image,
    Ingress,
    OAuth,
    Project,
}

impl Connect for Singleton {
    fn call<'a>(&'a self, call: &'a Call, _: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        async move {
            let object = self.object(call)?;
            if call.verb == Verb::Get {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                if call.name() != name {
                    return Err(call.not_found(call.name()).into());
                }
                return Ok(Answer::ok(object));
            }
            if call.verb != Verb::List {
                return Err(call.wrong_verb().into());
            }
            let selector = call.selector()?;
            let items = if selector.matches(&object) { vec![Document::Tree(object)] } else { Vec::new() };
            let revision = call.server.store.read(|tx| tx.revision());
            Ok(Answer::List(ListAnswer { items, revision, continue_token: None }))
        }
        .boxed()
    }
}

impl Singleton {
    fn object(self, call: &Call) -> Result<Value, ApiError> {
        let born = first_namespace(call)?.metadata;
        let metadata = |name: &str| ObjectMeta {
            uid: born.uid.clone(),
            creation_timestamp: born.creation_timestamp,
            resource_version: born.resource_version.clone(),
            generation: Some(1),
            ..ObjectMeta::named(name)
        };
        Ok(match self {
            Self::Version => to_value(&ClusterVersion {
                spec: ClusterVersionSpec { cluster_id: born.uid.clone() },
                status: version_status(call, &born),
                metadata: metadata(VERSION_NAME),
            }),
            Self::Image => to_value(&image(call, metadata(CLUSTER_NAME))),
            Self::Ingress => to_value(&Ingress {
                metadata: metadata(CLUSTER_NAME),
                spec: IngressSpec { domain: call.server.config.route_domain.clone() },
            }),
            Self::OAuth => {
                to_value(&OAuth { metadata: metadata(CLUSTER_NAME), spec: logins(call.server.auth.config()) })
            }
            Self::Project => {
                let message = call.server.config.project_requests.message.clone();
                let spec = ProjectSpec { project_request_message: message.unwrap_or_default() };
                to_value(&Project { metadata: metadata(CLUSTER_NAME), spec })
            }
        })
    }
}

/// The namespace every cluster begins with.
fn first_namespace(call: &Call) -> Result<Namespace, ApiError> {
    let key = ObjectKey::new(Namespace::qualified_resource(), "", "default");
    match call.server.store.read(|tx| tx.get(&OBJECTS, &key))? {
        Some(record) => from_slice(&record.0).map_err(|error| ApiError::internal(&error)),
        None => Ok(Namespace::default()),
    }
}

fn version_status(call: &Call, born: &ObjectMeta) -> ClusterVersionStatus {
    let version = match call.server.config.era {
        Era::V3_2 => "3.2.0",
        Era::V4 => "4.19.0",
    };
    let since = born.creation_timestamp;
    let condition = |condition_type: &str, holds: bool, message: &str| ClusterVersionCondition {
        condition_type: condition_type.to_owned(),
        status: if holds { "True" } else { "False" }.to_owned(),
        last_transition_time: since,
        message: message.to_owned(),
    };
    ClusterVersionStatus {
        desired: Release { version: version.to_owned(), image: String::new() },
        history: vec![UpdateHistory {
            state: "Completed".to_owned(),
            started_time: since,
            completion_time: since,
            version: version.to_owned(),
            ..UpdateHistory::default()
        }],
        observed_generation: 1,
        version_hash: call.server.config.version.clone(),
        conditions: vec![
            condition(
                "Available",
                true,
                &format!("Pierhead {} answers as {version}", call.server.config.version),
            ),
            condition("Failing", false, ""),
            condition("Progressing", false, &format!("Cluster version is {version}")),
        ],
        available_updates: None,
    }
}

fn image(call: &Call, metadata: ObjectMeta) -> Image {
    let config = call.server.images.config();
    let allowed = config.allowed_registries.iter().flatten();
    Image {
        metadata,
        spec: ImageSpec {
            allowed_registries_for_import: allowed
                .map(|allowed| RegistryLocation { domain_name: allowed.to_string(), insecure: false })
                .collect(),
        },
        status: ImageStatus {
            internal_registry_hostname: config.internal_registry.clone(),
            external_registry_hostnames: (config.public_registry)().into_iter().collect(),
        },
    }
}

fn logins(config: &pierhead_auth::Config) -> OAuthSpec {
    let shown = |provider: &pierhead_auth::password::IdentityProvider| IdentityProvider {
        name: provider.name.clone(),
        mapping_method: match provider.mapping {
            MappingMethod::Claim => "claim",
            MappingMethod::Lookup => "lookup",
            MappingMethod::Generate => "generate",
            MappingMethod::Add => "add",
        }
        .to_owned(),
        provider_type: match provider.kind {
            ProviderKind::AllowAny => "AllowAll",
            ProviderKind::DenyAll => "DenyAll",
            ProviderKind::Htpasswd(_) => "HTPasswd",
            ProviderKind::BasicAuth(_) => "BasicAuth",
            ProviderKind::Ldap(_) => "LDAP",
            ProviderKind::OpenId(_) => "OpenID",
            ProviderKind::RequestHeader(_) => "RequestHeader",
        }
        .to_owned(),
    };
    OAuthSpec {
        identity_providers: config.identity_providers.iter().map(shown).collect(),
        token_config: TokenConfig {
            access_token_max_age_seconds: i32::try_from(config.access_token_life.as_secs())
                .unwrap_or(i32::MAX),
            access_token_inactivity_timeout: match config.access_token_idle.as_secs() {
                0 => String::new(),
                seconds => go_duration(seconds),
            },
        },
    }
}

/// As Go writes it: `1h5m0s`.
fn go_duration(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}
