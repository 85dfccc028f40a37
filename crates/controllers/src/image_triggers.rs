//! Puts the newest images of tags into what follows them (platform 8.3, images 5.8): deployment configurations with
//! automatic image triggers, and replication controllers with the annotation `image.openshift.io/triggers`.
//!
//! Owns only that. A configuration changed here is rolled out by `deployment_config`, which sees the difference to what
//! is deployed. What a tag means is said in `api`, from the stream alone. A tag of another project counts only where the
//! pods' service account could pull it: whoever writes a trigger must not learn by it what they may not read.

mod annotation;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

use pierhead_api::Object as _;
use pierhead_api::apps::{DeploymentConfig, Followed};
use pierhead_api::authz::ResourceAttributes;
use pierhead_api::core::{ObjectReference, PodTemplateSpec, ReplicationController};
use pierhead_api::image::ImageStream;
use pierhead_client::{Client, ClientError, Reflected};
use tokio::sync::watch;

use crate::access::Account;
use crate::names::NamespacedName;
use crate::runner::{Outcome, Reconciler};

pub(crate) struct ImageTriggers {
    pub(crate) client: Client,
    pub(crate) configs: Reflected<DeploymentConfig>,
    pub(crate) controllers: Reflected<ReplicationController>,
    pub(crate) streams: Reflected<ImageStream>,
}

/// Something that follows tags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Follower {
    Config(NamespacedName),
    Controller(NamespacedName),
}

impl fmt::Display for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(name) => write!(f, "deployment config {name}"),
            Self::Controller(name) => write!(f, "replication controller {name}"),
        }
    }
}

/// The pull spec that a tag means now, by the streams that `find` knows.
fn pull_spec<S: AsRef<ImageStream>>(
    from: &ObjectReference,
    find: impl Fn(&str, &str) -> Option<S>,
) -> Option<String> {
    let (stream, tag) = from.name.split_once(':')?;
    find(&from.namespace, stream)?.as_ref().newest_pull_spec(tag)
}

/// The tags whose images the configuration takes by itself.
fn tags_of(config: &DeploymentConfig) -> Vec<ObjectReference> {
    let automatic = config.spec.image_triggers().filter(|params| params.automatic);
    automatic.map(|params| params.from.clone()).collect()
}

/// Whose pods a template makes.
fn account_of<'a>(namespace: &'a str, template: Option<&'a PodTemplateSpec>) -> Account<'a> {
    let named = template.map(|template| template.spec.service_account_name.as_str());
    Account { namespace, name: named.filter(|name| !name.is_empty()).unwrap_or("default") }
}

impl ImageTriggers {
    fn cached(&self, from: &ObjectReference) -> Option<String> {
        pull_spec(from, |namespace, stream| self.streams.get(Some(namespace), stream))
    }

    /// What the tags mean by the server's word to pods that run as `account`. Each stream is read once.
    async fn resolve(
        &self,
        account: Account<'_>,
        tags: &[ObjectReference],
    ) -> Result<BTreeMap<(String, String), String>, ClientError> {
        let mut streams: BTreeMap<(&str, &str), Option<Arc<ImageStream>>> = BTreeMap::new();
        let mut resolved = BTreeMap::new();
        for from in tags {
            let Some((stream, _)) = from.name.split_once(':') else { continue };
            let key = (from.namespace.as_str(), stream);
            if let Entry::Vacant(unread) = streams.entry(key) {
                let found = match self.may_pull(account, key).await? {
                    true => self.client.find::<ImageStream>(Some(key.0), key.1).await?,
                    false => None,
                };
                unread.insert(found.map(Arc::new));
            }
            let known = |namespace: &str, stream: &str| streams.get(&(namespace, stream)).cloned().flatten();
            if let Some(spec) = pull_spec(from, known) {
                resolved.insert((from.namespace.clone(), from.name.clone()), spec);
            }
        }
        Ok(resolved)
    }

    async fn may_pull(
        &self,
        account: Account<'_>,
        (namespace, stream): (&str, &str),
    ) -> Result<bool, ClientError> {
        if namespace == account.namespace {
            return Ok(true);
        }
        let action = ResourceAttributes {
            namespace: namespace.into(),
            verb: "get".into(),
            group: ImageStream::GROUP.into(),
            version: ImageStream::VERSION.into(),
            resource: "imagestreams".into(),
            subresource: "layers".into(),
            name: stream.into(),
        };
        account.may(&self.client, action).await
    }

    async fn follow_config(&self, name: &NamespacedName) -> Result<Outcome, ClientError> {
        let namespace = Some(name.namespace.as_str());
        let Some(mut config) = self.client.find::<DeploymentConfig>(namespace, &name.name).await? else {
            return Ok(Outcome::Nothing);
        };
        let account = account_of(&name.namespace, config.spec.template.as_ref());
        let images = self.resolve(account, &tags_of(&config)).await?;
        let image =
            |from: &ObjectReference| images.get(&(from.namespace.clone(), from.name.clone())).cloned();
        if config.metadata.deletion_timestamp.is_some() || config.follow_images(image) != Followed::Changed {
            return Ok(Outcome::Nothing);
        }
        self.client.replace(namespace, &config).await?;
        Ok(Outcome::Changed)
    }

    async fn follow_controller(&self, name: &NamespacedName) -> Result<Outcome, ClientError> {
        let namespace = Some(name.namespace.as_str());
        let Some(mut controller) = self.client.find::<ReplicationController>(namespace, &name.name).await?
        else {
            return Ok(Outcome::Nothing);
        };
        let account = account_of(&name.namespace, controller.spec.template.as_ref());
        let images = self.resolve(account, &annotation::tags_of(&controller)).await?;
        let image =
            |from: &ObjectReference| images.get(&(from.namespace.clone(), from.name.clone())).cloned();
        if controller.metadata.deletion_timestamp.is_some() || !annotation::follow(&mut controller, image) {
            return Ok(Outcome::Nothing);
        }
        self.client.replace(namespace, &controller).await?;
        Ok(Outcome::Changed)
    }
}

impl Reconciler for ImageTriggers {
    type Key = Follower;
    type Error = ClientError;

    const NAME: &'static str = "image-triggers";

    fn triggers(&self) -> Vec<watch::Receiver<u64>> {
        vec![self.streams.changed(), self.configs.changed(), self.controllers.changed()]
    }

    async fn synced(&self) {
        self.streams.synced().await;
        self.configs.synced().await;
        self.controllers.synced().await;
    }

    fn due(&self) -> Vec<Follower> {
        let mut due = Vec::new();
        for config in self.configs.list() {
            let follows = config.metadata.deletion_timestamp.is_none() && !tags_of(&config).is_empty();
            if follows
                && DeploymentConfig::clone(&config).follow_images(|from| self.cached(from))
                    == Followed::Changed
            {
                due.push(Follower::Config(NamespacedName::of(&config.metadata)));
            }
        }
        for controller in self.controllers.list() {
            let follows = controller.metadata.deletion_timestamp.is_none()
                && !annotation::tags_of(&controller).is_empty();
            if follows
                && annotation::follow(&mut ReplicationController::clone(&controller), |from| {
                    self.cached(from)
                })
            {
                due.push(Follower::Controller(NamespacedName::of(&controller.metadata)));
            }
        }
        due
    }

    async fn reconcile(&self, key: &Follower) -> Result<Outcome, ClientError> {
        match key {
            Follower::Config(name) => self.follow_config(name).await,
            Follower::Controller(name) => self.follow_controller(name).await,
        }
    }
}
