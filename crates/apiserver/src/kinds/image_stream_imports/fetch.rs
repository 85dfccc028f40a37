//! Gets what an import asks for from other registries (images 5.3).
//!
//! Owns which manifests and configs are fetched and which platform is taken of a list. Each host has a queue of its own,
//! so a dead one keeps nobody waiting but those who ask for it; a deadline ends what takes too long.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream;
use futures_util::{FutureExt as _, StreamExt as _};
use parking_lot::Mutex;
use pierhead_api::image::{
    ImageStream, ImageStreamImportSpec, RepositoryImportSpec, TagImportPolicy, annotation, is_insecure,
    prioritize_tags,
};
use pierhead_api::meta::Status;
use pierhead_auth::Era;
use pierhead_client::distribution::{RemoteManifest, RemoteName, RemoteRepository};
use pierhead_client::egress::Egress;
use pierhead_client::keyring::Keyring;
use pierhead_images::{FetchedImage, FetchedManifest};
use pierhead_oci::{Descriptor, Digest, ImageReference, ManifestKind, Platform, Reference};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::failure::{Wanted, invalid};
use super::room::Room;
use crate::server::Config;

/// Images of one host that are fetched at a time by one import.
const AT_ONCE: usize = 8;
/// Manifests of one list that are fetched at a time.
const CHILDREN_AT_ONCE: usize = 4;
/// Levels of lists in lists.
const MAX_DEPTH: u8 = 5;
/// Manifests of one list, those below it included.
const MAX_MANIFESTS: usize = 1_000;
/// Configs larger than this are not fetched; the image is imported without what they say.
const MAX_CONFIG: u64 = 8 << 20;
/// Tags read of one repository.
const MAX_TAGS: usize = 10_000;
/// What was not fetched by then has failed.
const DEADLINE: Duration = Duration::from_secs(600);

/// An image, or why there is none.
pub(super) type Fetched = Result<Arc<FetchedImage>, Box<Status>>;

/// What came of an import.
#[derive(Default)]
pub(super) struct Found {
    /// In the order of the spec.
    pub(super) images: Vec<Fetched>,
    pub(super) repository: Option<FoundRepository>,
    /// Keeps the room of what was found.
    _kept: Vec<OwnedSemaphorePermit>,
}

/// What came of a repository.
#[derive(Default)]
pub(super) struct FoundRepository {
    /// Why its tags are not known.
    pub(super) failure: Option<Box<Status>>,
    /// Tags with their images, the most important first.
    pub(super) images: Vec<(String, Fetched)>,
    /// Tags beyond the limit.
    pub(super) additional: Vec<String>,
}

/// Fetches for one import.
pub(super) struct Fetcher {
    egress: Egress,
    keyring: Keyring,
    era: Era,
    tags_per_repository: Option<usize>,
    insecure: bool,
    /// What wanted tags say about lists.
    platforms: BTreeMap<String, (String, String)>,
    repositories: Mutex<HashMap<RemoteName, RemoteRepository>>,
    room: Room,
    kept: Mutex<Vec<OwnedSemaphorePermit>>,
    deadline: Instant,
}

/// One image to fetch.
struct Order<'a> {
    from: String,
    policy: &'a TagImportPolicy,
    /// The tag it is for.
    tag: Option<&'a str>,
}

impl Fetcher {
    pub(super) fn new(
        egress: Egress,
        keyring: Keyring,
        stream: Option<&ImageStream>,
        config: &Config,
        room: Room,
    ) -> Self {
        let wanted = stream.map(|stream| stream.spec.tags.as_slice()).unwrap_or_default();
        let platforms = wanted.iter().filter_map(|tag| {
            let prefer = |key| tag.annotation(key).filter(|value| !value.is_empty());
            let (architecture, os) = (prefer(annotation::PREFER_ARCHITECTURE), prefer(annotation::PREFER_OS));
            let (own_architecture, own_os) = own_platform();
            (architecture.is_some() || os.is_some()).then(|| {
                let architecture = architecture.unwrap_or(own_architecture).to_owned();
                (tag.name.clone(), (architecture, os.unwrap_or(own_os).to_owned()))
            })
        });
        Self {
            egress,
            keyring,
            era: config.era,
            tags_per_repository: config.tags_per_repository,
            insecure: stream.is_some_and(|stream| is_insecure(&stream.metadata)),
            platforms: platforms.collect(),
            repositories: Mutex::default(),
            room,
            kept: Mutex::default(),
            deadline: Instant::now() + DEADLINE,
        }
    }

    /// Fetches everything that is asked for.
    pub(super) async fn run(self, spec: &ImageStreamImportSpec) -> Found {
        let orders = spec.images.iter().map(|image| Order {
            from: image.from.name.clone(),
            policy: &image.import_policy,
            tag: image.to.as_ref().map(|to| to.name.as_str()),
        });
        let repository = async {
            match &spec.repository {
                Some(repository) => Some(self.repository(repository).await),
                None => None,
            }
        };
        let (images, repository) = tokio::join!(self.all(orders.collect()), repository);
        Found { images, repository, _kept: self.kept.into_inner() }
    }

    async fn repository(&self, repository: &RepositoryImportSpec) -> FoundRepository {
        let failed = |failure| FoundRepository { failure: Some(Box::new(failure)), ..Default::default() };
        let name = &repository.from.name;
        let reference: ImageReference = match name.parse() {
            Ok(reference) => reference,
            Err(error) => return failed(invalid(name, error)),
        };
        let wanted = Wanted { reference: &reference, era: self.era };
        let remote = self.remote(&reference, repository.import_policy.insecure);
        let listed = tokio::time::timeout_at(self.deadline, remote.tags(MAX_TAGS)).await;
        let mut tags = match listed {
            Ok(Ok(tags)) => tags,
            Ok(Err(error)) => return failed(wanted.failed(&error)),
            Err(_elapsed) => return failed(wanted.broken(late())),
        };
        for tag in tags.iter_mut().filter(|tag| tag.is_empty()) {
            "latest".clone_into(tag);
        }
        prioritize_tags(&mut tags);
        tags.dedup();
        let limit = self.tags_per_repository.unwrap_or(usize::MAX).min(tags.len());
        let additional = tags.split_off(limit);
        let orders = tags.iter().map(|tag| Order {
            from: format!("{name}:{tag}"),
            policy: &repository.import_policy,
            tag: Some(tag),
        });
        let images = self.all(orders.collect()).await;
        FoundRepository { failure: None, images: tags.into_iter().zip(images).collect(), additional }
    }

    /// Fetches images, each host's one after the other and all hosts at once; answers in the order of the orders.
    async fn all(&self, orders: Vec<Order<'_>>) -> Vec<Fetched> {
        let mut hosts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, order) in orders.iter().enumerate() {
            let reference = order.from.parse::<ImageReference>().ok();
            let host = reference.and_then(|reference| reference.registry).unwrap_or_default();
            hosts.entry(host).or_default().push(index);
        }
        let orders = &orders;
        let queues = hosts.into_values().map(|indices| {
            let fetch = |index: usize| {
                let order = &orders[index];
                async move { (index, self.within_time(order).await.map(Arc::new).map_err(Box::new)) }.boxed()
            };
            let fetches: Vec<_> = indices.into_iter().map(fetch).collect();
            stream::iter(fetches).buffer_unordered(AT_ONCE).collect::<Vec<_>>()
        });
        let mut fetched: Vec<(usize, Fetched)> = join_all(queues).await.into_iter().flatten().collect();
        fetched.sort_by_key(|(index, _)| *index);
        fetched.into_iter().map(|(_, fetched)| fetched).collect()
    }

    async fn within_time(&self, order: &Order<'_>) -> Result<FetchedImage, Status> {
        let reference: ImageReference = order
            .from
            .parse()
            .map_err(|error: pierhead_oci::ImageReferenceError| invalid(&order.from, error))?;
        let wanted = Wanted { reference: &reference, era: self.era };
        match tokio::time::timeout_at(self.deadline, self.image(order, wanted)).await {
            Ok(fetched) => fetched,
            Err(_elapsed) => Err(wanted.broken(late())),
        }
    }

    async fn image(&self, order: &Order<'_>, wanted: Wanted<'_>) -> Result<FetchedImage, Status> {
        let asked = wanted.reference.clone().docker_client_defaults();
        let version = match (&asked.id, &asked.tag) {
            (Some(id), _) => {
                id.parse::<Digest>().map(Reference::Digest).map_err(|error| invalid(&order.from, error))?
            }
            (None, Some(tag)) => tag
                .parse()
                .map(Reference::Tag)
                .map_err(|error: pierhead_oci::TagError| invalid(&order.from, error))?,
            (None, None) => return Err(invalid(&order.from, "it names neither a tag nor an id")),
        };
        let remote = self.remote(wanted.reference, order.policy.insecure);
        let mut manifest = self.manifest(&remote, &version, wanted).await?;
        let mut children = Vec::new();
        if order.policy.import_mode == "PreserveOriginal" {
            children = self.below(&remote, &manifest, wanted).await?;
        } else {
            let mut depth = 0;
            while let ManifestKind::Index { manifests } = manifest.manifest.kind() {
                depth += 1;
                let chosen = self.choose(manifests, order.tag).filter(|_| depth <= MAX_DEPTH);
                let chosen =
                    chosen.ok_or_else(|| wanted.broken("the list names no image that could be taken"))?;
                manifest = self.manifest(&remote, &Reference::Digest(chosen.digest.clone()), wanted).await?;
            }
        }
        let algorithm = manifest.digest.algorithm();
        let config = self.config(&remote, &manifest, wanted).await?;
        let manifest = FetchedManifest::new(algorithm, manifest.manifest, config);
        let exact =
            ImageReference { tag: None, id: Some(manifest.digest().to_string()), ..wanted.reference.clone() };
        Ok(FetchedImage { reference: exact.exact(), manifest, children })
    }

    /// The image of a list that fits the tag's wishes, else ours, else the usual one, else the first.
    fn choose<'m>(&self, manifests: &'m [Descriptor], tag: Option<&str>) -> Option<&'m Descriptor> {
        let own = own_platform();
        let (architecture, os) = tag
            .and_then(|tag| self.platforms.get(tag))
            .map_or(own, |(architecture, os)| (architecture.as_str(), os.as_str()));
        let fits = |platform: &Platform, architecture: &str, os: &str| {
            platform.architecture == architecture && platform.os == os
        };
        let find = |architecture: &str, os: &str| {
            manifests.iter().find(|descriptor| {
                descriptor.platform.as_ref().is_some_and(|platform| fits(platform, architecture, os))
            })
        };
        find(architecture, os).or_else(|| find("amd64", "linux")).or_else(|| manifests.first())
    }

    /// Everything below a list, what lists others after what it lists.
    async fn below(
        &self,
        remote: &RemoteRepository,
        top: &RemoteManifest,
        wanted: Wanted<'_>,
    ) -> Result<Vec<FetchedManifest>, Status> {
        let mut levels = Vec::new();
        let mut next = children(top);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..=MAX_DEPTH {
            next.retain(|digest| seen.insert(digest.clone()));
            if next.is_empty() {
                levels.reverse();
                return Ok(levels);
            }
            if seen.len() > MAX_MANIFESTS {
                return Err(wanted.broken(format!("the list names more than {MAX_MANIFESTS} manifests")));
            }
            let fetch = |digest: Digest| {
                async move {
                    let manifest = self.manifest(remote, &Reference::Digest(digest), wanted).await?;
                    let config = self.config(remote, &manifest, wanted).await?;
                    Ok::<_, Status>((manifest, config))
                }
                .boxed()
            };
            let fetches: Vec<_> = next.into_iter().map(fetch).collect();
            let fetched: Vec<_> = stream::iter(fetches).buffered(CHILDREN_AT_ONCE).collect().await;
            let mut further = Vec::new();
            for level in fetched {
                let (manifest, config) = level?;
                further.extend(children(&manifest));
                let algorithm = manifest.digest.algorithm();
                levels.push(FetchedManifest::new(algorithm, manifest.manifest, config));
            }
            next = further;
        }
        Err(wanted.broken(format!("lists are nested more than {MAX_DEPTH} levels deep")))
    }

    async fn manifest(
        &self,
        remote: &RemoteRepository,
        reference: &Reference,
        wanted: Wanted<'_>,
    ) -> Result<RemoteManifest, Status> {
        let manifest = remote.manifest(reference).await.map_err(|error| wanted.failed(&error))?;
        // The bytes, and what was read out of them.
        self.keep(manifest.bytes.len() * 2, wanted).map_err(|full| *full)?;
        Ok(manifest)
    }

    /// The config that a manifest names; none where it names none, or one that nobody would read.
    async fn config(
        &self,
        remote: &RemoteRepository,
        manifest: &RemoteManifest,
        wanted: Wanted<'_>,
    ) -> Result<Option<Bytes>, Status> {
        let ManifestKind::Image { config, .. } = manifest.manifest.kind() else { return Ok(None) };
        let Some(size) = usize::try_from(config.size).ok().filter(|_| config.size <= MAX_CONFIG) else {
            return Ok(None);
        };
        self.keep(size, wanted).map_err(|full| *full)?;
        let fetched = remote.small_blob(&config.digest, size).await;
        fetched.map(Some).map_err(|error| wanted.failed(&error))
    }

    fn keep(&self, bytes: usize, wanted: Wanted<'_>) -> Result<(), Box<Status>> {
        let Some(kept) = self.room.take(bytes) else {
            let text = format!("{}: too many imports are running", wanted.reference);
            return Err(Box::new(Status::too_many_requests(text, 30)));
        };
        self.kept.lock().push(kept);
        Ok(())
    }

    /// The repository a reference is in; one for all its images, so that they share tokens.
    fn remote(&self, reference: &ImageReference, insecure: bool) -> RemoteRepository {
        let asked = reference.clone().docker_client_defaults();
        let name = RemoteName {
            repository: asked.repository_path(),
            host: asked.registry.unwrap_or_default(),
            insecure: insecure || self.insecure,
        };
        let mut repositories = self.repositories.lock();
        let new = || RemoteRepository::new(&self.egress, name.clone(), self.keyring.clone());
        repositories.entry(name.clone()).or_insert_with(new).clone()
    }
}

fn children(manifest: &RemoteManifest) -> Vec<Digest> {
    match manifest.manifest.kind() {
        ManifestKind::Index { manifests } => manifests.iter().map(|child| child.digest.clone()).collect(),
        ManifestKind::Image { .. } => Vec::new(),
    }
}

fn late() -> String {
    format!("it was not there after {} seconds", DEADLINE.as_secs())
}

/// Architecture and system of this machine, in Go's spelling.
fn own_platform() -> (&'static str, &'static str) {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    };
    (architecture, std::env::consts::OS)
}
