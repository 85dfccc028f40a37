//! The entrance: what all operations share, and the settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use pierhead_api::image::annotation;
use pierhead_api::meta::ObjectMeta;
use pierhead_auth::Permit;
use pierhead_blobs::Blobs;
use pierhead_oci::{Digest, ImageReference};
use pierhead_runtime::SharedClock;
use pierhead_store::{Store, StoreError};
use tokio::sync::{RwLock, RwLockReadGuard};

use crate::allowed_registries::{AllowedRegistry, refusal};
use crate::cache::ManifestCache;
use crate::stream_edit::Authorship;

/// Streams, tags, images and their blobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Images(pub(crate) Arc<Shared>);

/// Settings of [`Images`].
#[derive(Clone)]
pub struct Config {
    /// Host and port of the registry inside the cluster, as pull specs name it (images 3.2).
    pub internal_registry: String,
    /// Host of the registry outside, while there is one. Asked with every read.
    pub public_registry: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// Whether streams are marked as looked at when they are made, as the import controller of 3.x did with streams that
    /// import nothing (images 2.5, 3.10).
    pub marks_checked_streams: bool,
    /// Where images may be imported from; `None`: from everywhere. Our own registry is always allowed.
    pub allowed_registries: Option<Vec<AllowedRegistry>>,
    /// Whether a host, with its port where it has one, is a name of our own registry. Asked with every check; the
    /// internal name and the public one need not be answered for.
    pub is_own_registry: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    /// The longest blob that is taken, in bytes.
    pub max_blob_bytes: u64,
    /// Unfinished uploads one principal may have.
    pub max_open_uploads: usize,
    /// How long an upload must have rested before it gives way to a new one of a principal who has too many.
    pub upload_rest: Duration,
    /// How long an unfinished upload may rest.
    pub upload_life: Duration,
    /// How long a blob that nothing refers to is kept after it was last of use to somebody. At least an hour.
    pub blob_grace: Duration,
}

impl Config {
    /// The defaults of reliability 8: blobs to 52 000 MiB, 64 uploads, which rest a day at most, and a
    /// minute if their principal wants more.
    pub fn new(internal_registry: impl Into<String>) -> Self {
        Self {
            internal_registry: internal_registry.into(),
            public_registry: Arc::new(|| None),
            marks_checked_streams: false,
            allowed_registries: None,
            is_own_registry: Arc::new(|_| false),
            max_blob_bytes: 52_000 << 20,
            max_open_uploads: 64,
            upload_rest: Duration::from_mins(1),
            upload_life: Duration::from_hours(24),
            blob_grace: Duration::from_hours(24),
        }
    }
}

impl Config {
    /// Says why an image may not be imported from where `reference` points; `None` when it may.
    pub(crate) fn refuses(&self, reference: &ImageReference, insecure: bool) -> Option<String> {
        let allowed = self.allowed_registries.as_ref()?;
        let own = reference.registry.as_deref().is_some_and(|registry| self.names_us(registry));
        if own { None } else { refusal(allowed, reference, insecure) }
    }

    /// Whether `registry` is one of our own names.
    pub(crate) fn names_us(&self, registry: &str) -> bool {
        registry == self.internal_registry
            || (self.public_registry)().is_some_and(|public| public == registry)
            || (self.is_own_registry)(registry)
    }

    /// Marks a stream that imports nothing as looked at, where that is asked for.
    pub(crate) fn mark_checked(&self, stream: &mut ObjectMeta, now: Timestamp) {
        if self.marks_checked_streams {
            let time = Timestamp::from_second(now.as_second()).unwrap_or(now).to_string();
            stream.annotations.entry(annotation::REPOSITORY_CHECK.to_owned()).or_insert(time);
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("internal_registry", &self.internal_registry).finish_non_exhaustive()
    }
}

/// Settings that do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The name of the registry is empty.
    #[error("the internal registry needs a host name")]
    NoInternalRegistry,
    /// Leases are renewed every ten minutes, so the grace must be much longer.
    #[error("blobs must be kept for an hour at least, not {0:?}")]
    GraceTooShort(Duration),
}

/// Digests remembered of those that were pushed of late.
const PUSHED: u64 = 16_384;
/// Digests are spread over this many locks between committing a blob and collecting it.
const STRIPES: usize = 64;

pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    pub(crate) config: Config,
    pub(crate) clock: SharedClock,
    pub(crate) manifests: ManifestCache,
    /// What was pushed of late: most pushes move a tag to an image that is there, which need not be made again.
    pub(crate) pushed: Cache<Digest, ()>,
    stripes: Vec<RwLock<()>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Images {
    /// Opens the images of a store, which was opened with [`crate::tables`].
    pub fn open(store: Store, blobs: Blobs, config: Config, clock: SharedClock) -> Result<Self, OpenError> {
        if config.internal_registry.is_empty() {
            return Err(OpenError::NoInternalRegistry);
        }
        if config.blob_grace < Duration::from_hours(1) {
            return Err(OpenError::GraceTooShort(config.blob_grace));
        }
        let manifests = ManifestCache::new(&store);
        let stripes = std::iter::repeat_with(|| RwLock::new(())).take(STRIPES).collect();
        let pushed = Cache::new(PUSHED);
        Ok(Self(Arc::new(Shared { store, blobs, config, clock, manifests, pushed, stripes })))
    }

    /// Says why an image may not be imported from where `reference` points, for the rules of the cluster; `None` when it
    /// may (images 3.9).
    pub fn import_refusal(&self, reference: &ImageReference, insecure: bool) -> Option<String> {
        self.config().refuses(reference, insecure)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn blobs(&self) -> &Blobs {
        &self.0.blobs
    }

    /// The settings these images were opened with.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn now_s(&self) -> i64 {
        self.0.clock.now().as_second()
    }

    /// Whoever makes a blob or refers to one holds this for reading; whoever removes one, for writing.
    pub(crate) fn stripe(&self, digest: &Digest) -> &RwLock<()> {
        &self.0.stripes[stripe_of(digest)]
    }

    /// The stripes of several blobs, for reading. Each is taken once: a second time could wait for somebody who waits
    /// for the first.
    pub(crate) async fn stripes(&self, digests: Vec<Digest>) -> Vec<RwLockReadGuard<'_, ()>> {
        let needed: std::collections::BTreeSet<usize> = digests.iter().map(stripe_of).collect();
        let mut held = Vec::with_capacity(needed.len());
        for index in needed {
            held.push(self.0.stripes[index].read().await);
        }
        held
    }

    pub(crate) fn authorship<A>(&self, permit: &Permit<A>) -> Authorship {
        Authorship { actor: permit.subject().username.clone(), now: self.0.clock.now() }
    }

    /// The pull spec of an image in a stream, as the cluster names it.
    pub(crate) fn pull_spec(&self, namespace: &str, name: &str, digest: &str) -> String {
        format!("{}/{namespace}/{name}@{digest}", self.config().internal_registry)
    }

    /// Runs a write whose outcome is a domain error or a value.
    pub(crate) async fn write<T, E>(
        &self,
        closure: impl FnMut(&mut pierhead_store::WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.store().write(closure).await
    }
}

fn stripe_of(digest: &Digest) -> usize {
    digest.hash().last().copied().map_or(0, usize::from) % STRIPES
}
