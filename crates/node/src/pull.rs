//! Sees to it that the engine has a container's image: by the pull policy, with the pod's pull secrets (platform 8.6).

use pierhead_api::core::{Container, Namespace, Pod};
use pierhead_client::keyring::Keyring;
use pierhead_client::{Client, ClientError};
use tracing::{debug, warn};

use crate::engine::{Engine, EngineError, Image, PullCredentials};
use crate::events::{Kind, Recorder};
use crate::image_name::ImageName;
use crate::image_tenants::ImageTenants;
use crate::pause;
use crate::sources::{Sources, Wanted};

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageProblem {
    /// Told in the container's status; the reason is for programs.
    #[error("{message}")]
    Failed { reason: &'static str, message: String },
    /// Says nothing about the image.
    #[error(transparent)]
    Engine(EngineError),
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// An image that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) image: Image,
    /// The name with its digest, where the image came from a registry.
    pub(crate) by_digest: Option<String>,
}

/// What it takes to find or pull an image.
pub(crate) struct Puller<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) client: &'a Client,
    pub(crate) recorder: &'a Recorder,
    pub(crate) tenants: &'a ImageTenants,
    pub(crate) pod: &'a Pod,
    pub(crate) container: &'a Container,
}

impl Puller<'_> {
    /// The image, pulled if the policy says so.
    pub(crate) async fn ensure(&self) -> Result<Found, ImageProblem> {
        let text = &self.container.image;
        let name = ImageName::parse(text).map_err(|error| {
            let message = format!("Failed to apply default image tag {text:?}: {error}");
            self.tell(Kind::Warning, "InspectFailed", &message);
            ImageProblem::Failed { reason: "InvalidImageName", message }
        })?;
        if pause::is_named(&name) {
            let message = format!("the image {text:?} is this node's own");
            self.tell(Kind::Warning, "InspectFailed", &message);
            return Err(ImageProblem::Failed { reason: "InvalidImageName", message });
        }
        let namespace = &self.pod.metadata.namespace;
        let tenant = self.client.get::<Namespace>(None, namespace).await?.metadata.uid;
        let present = self.find(&name).await?;
        let place = name.place();
        let usable = present.filter(|found| self.tenants.may_use(&found.image.id, &place, &tenant));
        match (self.container.image_pull_policy.as_str(), usable) {
            ("Never", None) => {
                let message = format!("Container image {text:?} is not present with pull policy of Never");
                self.tell(Kind::Warning, "ErrImageNeverPull", &message);
                Err(ImageProblem::Failed { reason: "ErrImageNeverPull", message })
            }
            ("Never" | "IfNotPresent", Some(found)) => {
                let message = format!("Container image {text:?} already present on machine");
                self.tell(Kind::Normal, "Pulled", &message);
                Ok(found)
            }
            _ => self.pull_for(&name, &tenant).await,
        }
    }

    /// Pulls, and sees to it that what comes is nobody's but theirs whom the registry let in.
    async fn pull_for(&self, name: &ImageName, tenant: &str) -> Result<Found, ImageProblem> {
        let secrets = Sources::read(self.client, self.pod, &Wanted::by_pull_secrets(self.pod)).await?.secrets;
        let keyring = Keyring::from_secrets(secrets.values());
        for problem in keyring.problems() {
            debug!(secret = problem.secret, "A pull secret cannot be read: {}", problem.message);
        }
        let place = name.place();
        self.tenants.pull_begins(&place).await.map_err(|error| ImageProblem::Failed {
            reason: "ErrImagePull",
            message: format!("noting who pulls {place}: {error}"),
        })?;
        let pulled = self.pull(name, &keyring).await;
        let noted = match &pulled {
            Ok(found) => self.tenants.pulled(&place, &found.image.id, tenant).await,
            Err(ImageProblem::Failed { .. } | ImageProblem::Client(_)) => {
                self.tenants.pull_failed(&place).await
            }
            // The engine may go on without us.
            Err(ImageProblem::Engine(_)) => Ok(()),
        };
        if let Err(error) = noted {
            warn!(%error, "That {place} was pulled will be forgotten, it is to be pulled again: {error}");
        }
        pulled
    }

    fn tell(&self, kind: Kind, reason: &str, message: &str) {
        self.recorder.tell(self.pod, Some(&self.container.name), kind, reason, message);
    }

    async fn find(&self, name: &ImageName) -> Result<Option<Found>, ImageProblem> {
        let found = self
            .engine
            .find_image(&name.full)
            .await
            .map_err(|error| self.failed("ImageInspectError", error))?;
        Ok(found.map(|image| Found { by_digest: name.choose_digest(&image.digests).cloned(), image }))
    }

    fn failed(&self, reason: &'static str, error: EngineError) -> ImageProblem {
        if error.is_unreachable() {
            return ImageProblem::Engine(error);
        }
        ImageProblem::Failed { reason, message: error.to_string() }
    }

    async fn pull(&self, name: &ImageName, keyring: &Keyring) -> Result<Found, ImageProblem> {
        let text = &self.container.image;
        self.tell(Kind::Normal, "Pulling", &format!("pulling image {text:?}"));
        match self.pull_by_turns(name, keyring).await {
            Ok(()) => {
                self.tell(Kind::Normal, "Pulled", &format!("Successfully pulled image {text:?}"));
                let gone = || ImageProblem::Failed {
                    reason: "ErrImagePull",
                    message: format!("the engine pulled {text:?} and does not have it"),
                };
                self.find(name).await?.ok_or_else(gone)
            }
            Err(problem) => {
                if let ImageProblem::Failed { message, .. } = &problem {
                    self.tell(Kind::Warning, "Failed", &format!("Failed to pull image {text:?}: {message}"));
                    self.tell(Kind::Warning, "Failed", "Error: ErrImagePull");
                }
                Err(problem)
            }
        }
    }

    /// Every credential that fits, best first; without any where none fits or helps.
    async fn pull_by_turns(&self, name: &ImageName, keyring: &Keyring) -> Result<(), ImageProblem> {
        let mut refusals: Vec<String> = Vec::new();
        let candidates = keyring.candidates(&name.registry, &name.repository).into_iter();
        let candidates = candidates.map(|candidate| PullCredentials {
            registry: name.registry.clone(),
            username: candidate.username,
            password: candidate.password,
        });
        for credentials in candidates.map(Some).chain([None]) {
            match self.engine.pull(&name.full, credentials.as_ref()).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_unreachable() => return Err(ImageProblem::Engine(error)),
                Err(error) => {
                    let message = error.to_string();
                    if !refusals.contains(&message) {
                        refusals.push(message);
                    }
                }
            }
        }
        let message = match refusals.as_slice() {
            [only] => only.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        Err(ImageProblem::Failed { reason: "ErrImagePull", message })
    }
}
