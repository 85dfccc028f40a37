//! Which host the integrated registry has, read from image streams (platform 7.5).

use anyhow::bail;
use serde_json::Value;

use crate::{object, session::Session, verbs::get};

/// Which of the registry's names is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The public one, else the internal one.
    Any,
    Internal,
    Public,
}

/// A host, and whether it is the public one.
pub(crate) struct RegistryHost {
    pub(crate) host: String,
    pub(crate) is_public: bool,
    /// The name that was not chosen, if there is one.
    pub(crate) other: Option<String>,
}

/// Finds the host.
pub(crate) async fn find(session: &mut Session, wanted: Wanted) -> anyhow::Result<RegistryHost> {
    let discovery = session.discovery().await?;
    let client = session.client()?;
    let own = session.namespace()?;
    let streams = discovery.known("image.openshift.io", "imagestreams")?;
    for namespace in [own.as_str(), "openshift"] {
        let found = match get::read_all(&client, streams, Some(namespace), &[]).await {
            Ok(found) => found,
            Err(error) if error.is_forbidden() || error.is_not_found() => continue,
            Err(error) => return Err(error.into()),
        };
        if let Some(stream) = found.first() {
            return choose(stream, wanted);
        }
    }
    bail!(
        "no image streams could be located to retrieve registry info, please specify a namespace with image streams"
    )
}

fn choose(stream: &Value, wanted: Wanted) -> anyhow::Result<RegistryHost> {
    let host = |path: &str| {
        let repository = object::text(stream, path);
        repository.split('/').next().unwrap_or_default().to_owned()
    };
    let (public, internal) =
        (host("status.publicDockerImageRepository"), host("status.dockerImageRepository"));
    if public.is_empty() && internal.is_empty() {
        bail!("the integrated registry has not been configured");
    }
    let chosen = |host: String, other: String, is_public| {
        Ok(RegistryHost { host, is_public, other: Some(other).filter(|other| !other.is_empty()) })
    };
    match wanted {
        Wanted::Public if public.is_empty() => bail!("registry does not have public hostname"),
        Wanted::Internal => chosen(internal, public, false),
        Wanted::Any if public.is_empty() => chosen(internal, public, false),
        Wanted::Any | Wanted::Public => chosen(public, internal, true),
    }
}
