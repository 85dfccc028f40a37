//! Images: what the engine has, and pulling what it has not.

use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::query_parameters::{CreateImageOptionsBuilder, ImportImageOptionsBuilder};
use bytes::Bytes;
use futures_util::StreamExt as _;
use pierhead_runtime::Secret;

use super::{Engine, EngineError};

/// An engine that says nothing for this long while it pulls has lost its way.
const PULL_SILENCE: Duration = Duration::from_secs(600);

/// An image the engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// The engine's id.
    pub(crate) id: String,
    /// Names with digests under which it was pulled.
    pub(crate) digests: Vec<String>,
    /// The user it runs as; empty for root.
    pub(crate) user: String,
    /// Digests of its layers, unpacked, lowest first.
    pub(crate) layers: Vec<String>,
    /// The program it runs, with what always comes first of its arguments.
    pub(crate) entrypoint: Vec<String>,
}

/// Who pulls.
#[derive(Clone, Debug)]
pub(crate) struct PullCredentials {
    pub(crate) registry: String,
    pub(crate) username: String,
    pub(crate) password: Secret<String>,
}

impl Engine {
    /// The image of this name, tag or digest, or id; none if the engine does not have it.
    pub(crate) async fn find_image(&self, name: &str) -> Result<Option<Image>, EngineError> {
        match self.docker().await?.inspect_image(name).await {
            Ok(answer) => {
                let config = answer.config.unwrap_or_default();
                Ok(Some(Image {
                    id: answer.id.unwrap_or_default(),
                    digests: answer.repo_digests.unwrap_or_default(),
                    user: config.user.unwrap_or_default(),
                    layers: answer.root_fs.and_then(|files| files.layers).unwrap_or_default(),
                    entrypoint: config.entrypoint.unwrap_or_default(),
                }))
            }
            Err(error) => match EngineError::from(error) {
                EngineError::NotFound { .. } => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Lets the engine pull an image by its full name: with a tag or a digest, never without.
    pub(crate) async fn pull(
        &self,
        name: &str,
        credentials: Option<&PullCredentials>,
    ) -> Result<(), EngineError> {
        let options = CreateImageOptionsBuilder::new().from_image(name).build();
        let credentials = credentials.map(|known| DockerCredentials {
            username: Some(known.username.clone()),
            password: Some(known.password.expose().clone()),
            serveraddress: Some(known.registry.clone()),
            ..DockerCredentials::default()
        });
        let docker = self.docker().await?.with_timeout(PULL_SILENCE);
        let mut progress = docker.create_image(Some(options), None, credentials);
        loop {
            match tokio::time::timeout(PULL_SILENCE, progress.next()).await {
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => return Err(error.into()),
                Ok(None) => return Ok(()),
                Err(_elapsed) => {
                    let message = format!("no progress for {} seconds", PULL_SILENCE.as_secs());
                    return Err(EngineError::Refused { message });
                }
            }
        }
    }

    /// Gives the engine an image that was saved as an archive.
    pub(crate) async fn load_image(&self, archive: Vec<u8>) -> Result<(), EngineError> {
        let options = ImportImageOptionsBuilder::new().build();
        let docker = self.docker().await?;
        let mut progress = docker.import_image(options, bollard::body_full(Bytes::from(archive)), None);
        while let Some(step) = progress.next().await {
            step?;
        }
        Ok(())
    }
}
