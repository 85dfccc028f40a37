//! `image append`: a new image of an old one, with more layers and other settings.
//!
//! Owns what the new image is made of. Layers of the old one go from registry to registry without being kept here.

mod config;
mod layer;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use jiff::Timestamp;
use pierhead_client::distribution::RemoteManifest;
use pierhead_oci::{Descriptor, Digest, ManifestKind, MediaType, Reference};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::info::explain;
use crate::{
    environment::ExitStatus,
    registries::{
        Registries, RegistryOptions,
        platform::FilterOptions,
        repository::{Repository, parts},
        size,
        source::{ImageSource, Place, Which, is_same},
    },
    session::Session,
};
use layer::NewLayer;

/// Add layers to an image, or change its settings, and push the result
///
/// LAYER is a tar archive, plain or compressed with gzip, that lies over the image; files in it named .wh.NAME hide NAME.
/// --image changes what containers of the image get (Env, Cmd, Labels, …), --meta what is said of the image itself; both
/// are JSON, and null takes a setting away. Without --from the image begins with nothing.
///
/// Examples:
///   image append --from=registry.example.com/shop/web:1 --to=registry.example.com/shop/web:2 layer.tar.gz
///   image append --from=registry.example.com/shop/web:1 --to=registry.example.com/shop/web:2 --image='{"Entrypoint":null}'
///   image append --to=registry.example.com/shop/files:1 layer.tar
///   image append --from=registry.example.com/shop/web:1 --to=file://web:2 --dir=media layer.tar.gz
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct AppendArgs {
    /// Archives, lowest first; - for standard input
    #[arg(value_name = "LAYER")]
    layers: Vec<String>,
    /// Image to begin with; nothing if it is left out
    #[arg(long, value_name = "IMAGE")]
    from: Option<String>,
    /// Repository and tag to push to
    #[arg(long, value_name = "IMAGE", required = true)]
    to: String,
    /// Changes to what containers of the image get
    #[arg(long, value_name = "JSON")]
    image: Option<String>,
    /// Changes to what is said of the image
    #[arg(long, value_name = "JSON")]
    meta: Option<String>,
    /// When the image was made, as 2026-01-31T12:00:00Z or in milliseconds since 1970; now if left out
    #[arg(long, value_name = "TIME")]
    created_at: Option<String>,
    /// Leave out how the image came to be
    #[arg(long)]
    drop_history: bool,
    /// Print the configuration of the new image, and push nothing
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_default_value = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    dry_run: bool,
    /// Send layers even if they are there
    #[arg(long)]
    force: bool,
    /// Add to every image of an image for several platforms, and push it as one
    #[arg(long)]
    keep_manifest_list: bool,
    #[command(flatten)]
    registries: RegistryOptions,
    #[command(flatten)]
    filter: FilterOptions,
    /// Accepted for old scripts
    #[arg(long, hide = true, value_name = "N")]
    max_per_registry: Option<u16>,
    /// Folder of file:// images
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Folder of the file:// image that is read, where it is another
    #[arg(long, value_name = "FOLDER")]
    from_dir: Option<PathBuf>,
}

/// Where the image comes from and goes to.
struct Route {
    from: Option<(Place, Repository)>,
    place: Place,
    to: Repository,
    sent: Arc<AtomicU64>,
}

/// What the layers and settings are added to.
struct Base {
    media_type: MediaType,
    config_type: MediaType,
    config: Value,
    layers: Vec<Descriptor>,
    annotations: Option<Value>,
}

pub(super) async fn run(args: AppendArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let created = match &args.created_at {
        Some(text) => parse_time(text)?,
        None => (session.environment.now)(),
    };
    let goal = ImageSource::parse(&args.to)?;
    let target = match &goal.which {
        Which::Tag(tag) => Some(Reference::Tag(tag.clone())),
        Which::Unsaid => None,
        Which::Digest(_) | Which::Pattern(_) => bail!("--to may not point to an image by ID"),
    };
    let from = args.from.as_deref().map(ImageSource::parse).transpose()?;
    let registries = Registries::open(&args.registries, args.dir.as_ref(), session)?;
    let mut added = Vec::new();
    for name in &args.layers {
        added.push(NewLayer::read(name, session)?);
    }
    let sources: Vec<String> = from
        .iter()
        .filter(|from| from.place.registry() == goal.place.registry())
        .map(|from| from.place.path().to_owned())
        .collect();
    let to = registries.writer(&goal.place, &sources).await?;
    let mut route = Route { from: None, place: goal.place.clone(), to, sent: Arc::default() };
    let mut list = None;
    let mut images = Vec::new();
    if let Some(from) = &from {
        let near = match &args.from_dir {
            Some(folder) => registries.in_folder(session.path(folder)),
            None => registries.in_folder(registries.folder.clone()),
        };
        let repository = near.reader(&from.place).await?;
        let found = read(&args, from, &repository).await?;
        (list, images) = found;
        route.from = Some((from.place.clone(), repository));
    }
    let making = Making { args: &args, added: &added, created, route: &route };
    if list.is_none() {
        let digest = making.one(images.first(), target.as_ref(), session).await?;
        return finish(&args, digest, &goal, session);
    }
    let Some(list) = list else { return Ok(ExitStatus::SUCCESS) };
    let digest = making.list(&list, &images, target.as_ref(), session).await?;
    finish(&args, digest, &goal, session)
}

fn finish(
    args: &AppendArgs,
    digest: Digest,
    goal: &ImageSource,
    session: &mut Session,
) -> anyhow::Result<ExitStatus> {
    if !args.dry_run {
        session.say(&format!("Pushed {digest} to {goal}"))?;
    }
    Ok(ExitStatus::SUCCESS)
}

/// The image to begin with; with `--keep-manifest-list` the list and those of its images that are wanted.
async fn read(
    args: &AppendArgs,
    from: &ImageSource,
    repository: &Repository,
) -> anyhow::Result<(Option<RemoteManifest>, Vec<RemoteManifest>)> {
    let reference = from.reference()?;
    if args.keep_manifest_list {
        let found = repository.manifest(&reference).await.map_err(|error| explain(error, &from.text))?;
        if let ManifestKind::Index { manifests } = found.manifest.kind() {
            let mut images = Vec::new();
            for child in manifests.iter().filter(|child| args.filter.includes_or_all(child)) {
                images.push(repository.manifest(&Reference::Digest(child.digest.clone())).await?);
            }
            return Ok((Some(found), images));
        }
    }
    let found =
        repository.image(&reference, &args.filter).await.map_err(|error| explain(error, &from.text))?;
    Ok((None, vec![found]))
}

/// RFC 3339, or milliseconds.
fn parse_time(text: &str) -> anyhow::Result<Timestamp> {
    if let Ok(milliseconds) = text.parse::<i64>() {
        return Ok(Timestamp::from_millisecond(milliseconds)?);
    }
    match text.parse() {
        Ok(time) => Ok(time),
        Err(_) => bail!("--created-at must be an RFC 3339 time or milliseconds since 1970, not {text:?}"),
    }
}

struct Making<'m> {
    args: &'m AppendArgs,
    added: &'m [NewLayer],
    created: Timestamp,
    route: &'m Route,
}

impl Making<'_> {
    /// One image: made and pushed.
    async fn one(
        &self,
        manifest: Option<&RemoteManifest>,
        target: Option<&Reference>,
        session: &mut Session,
    ) -> anyhow::Result<Digest> {
        let mut base = match (manifest, &self.route.from) {
            (Some(manifest), Some((_, repository))) => Base::of(manifest, repository).await?,
            _ => Base::nothing(),
        };
        let mut added: Vec<&NewLayer> = self.added.iter().collect();
        let empty;
        if base.layers.is_empty() && added.is_empty() {
            // Engines refuse images without any layer.
            empty = NewLayer::empty()?;
            added.push(&empty);
        }
        let patches = config::Patches {
            image: self.args.image.as_deref(),
            meta: self.args.meta.as_deref(),
            drop_history: self.args.drop_history,
        };
        config::change(&mut base.config, &patches, self.created)?;
        for layer in &added {
            config::add_layer(&mut base.config, &layer.diff_id, self.created);
            base.layers.push(layer.descriptor(&base.media_type)?);
        }
        if self.args.dry_run {
            session.print_data(&format!("{:#}\n", base.config))?;
            return Ok(Digest::sha256(base.config.to_string().as_bytes()));
        }
        let start = Instant::now();
        write!(session.environment.stderr, "Uploading ... ")?;
        session.environment.stderr.flush()?;
        let pushed = self.push(&base, &added, target).await;
        let seconds = start.elapsed().as_secs_f64().max(0.001);
        match pushed {
            Ok(digest) => {
                let rate = self.route.sent.swap(0, Ordering::Relaxed) as f64 / seconds;
                session.remark(&format!("{}/s", size::decimal(rate)))?;
                Ok(digest)
            }
            Err(error) => {
                session.remark("failed")?;
                Err(error)
            }
        }
    }

    async fn push(
        &self,
        base: &Base,
        added: &[&NewLayer],
        target: Option<&Reference>,
    ) -> anyhow::Result<Digest> {
        let inherited = base.layers.len() - added.len();
        for layer in base.layers.iter().take(inherited) {
            self.inherit(layer)
                .await
                .with_context(|| format!("unable to copy the layer {}", layer.digest))?;
        }
        for layer in added {
            let digest = &layer.digest;
            if self.args.force || !self.route.to.has_blob(digest).await? {
                let pushing = self.route.to.push_file(digest, layer.open()?, self.count());
                pushing.await.with_context(|| format!("unable to push the layer {digest}"))?;
            }
        }
        let config = Bytes::from(base.config.to_string());
        let config_digest = Digest::sha256(&config);
        if self.args.force || !self.route.to.has_blob(&config_digest).await? {
            let pushing = self.route.to.push_bytes(&config_digest, config.clone());
            pushing.await.context("unable to push the configuration")?;
        }
        let config = Descriptor::new(base.config_type.clone(), config_digest, config.len() as u64);
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": base.media_type,
            "config": config,
            "layers": base.layers,
        });
        if let (Some(annotations), Value::Object(fields)) = (&base.annotations, &mut manifest) {
            fields.insert("annotations".to_owned(), annotations.clone());
        }
        self.publish(&base.media_type, serde_json::to_vec(&manifest)?.into(), target).await
    }

    async fn publish(
        &self,
        media_type: &MediaType,
        manifest: Bytes,
        target: Option<&Reference>,
    ) -> anyhow::Result<Digest> {
        let digest = Digest::sha256(&manifest);
        let by_digest = Reference::Digest(digest.clone());
        let reference = target.unwrap_or(&by_digest);
        let pushing = self.route.to.push_manifest(reference, media_type.as_str(), manifest);
        pushing.await.context("unable to push the manifest")?;
        Ok(digest)
    }

    /// Every wanted image of a list, and then a list of what became of them.
    async fn list(
        &self,
        list: &RemoteManifest,
        images: &[RemoteManifest],
        target: Option<&Reference>,
        session: &mut Session,
    ) -> anyhow::Result<Digest> {
        let mut document: Value = serde_json::from_slice(&list.bytes)?;
        for image in images {
            let digest = self
                .one(Some(image), None, session)
                .await
                .with_context(|| format!("error appending image {}", image.digest))?;
            if self.args.dry_run {
                continue;
            }
            let stored = self.route.to.manifest(&Reference::Digest(digest.clone())).await?;
            let old = image.digest.to_string();
            let children = document.get_mut("manifests").and_then(Value::as_array_mut);
            for child in children.into_iter().flatten() {
                if child.get("digest").and_then(Value::as_str) == Some(old.as_str()) {
                    child["digest"] = Value::from(digest.to_string());
                    child["size"] = Value::from(stored.bytes.len());
                }
            }
        }
        if self.args.dry_run {
            return Ok(list.digest.clone());
        }
        // What the filter left out is listed as it was, and has to be there too.
        for child in list_children(list) {
            if !images.iter().any(|image| image.digest == child.digest) {
                self.copy(child).await?;
            }
        }
        let media_type = list.manifest.media_type();
        self.publish(media_type, serde_json::to_vec(&document)?.into(), target).await
    }

    /// Whether what is at the source is there already.
    fn is_at_source(&self, from: &Place) -> bool {
        is_same(from, &self.route.place, self.args.from_dir.is_some())
    }

    /// Brings an image as it is.
    async fn copy(&self, child: &Descriptor) -> anyhow::Result<()> {
        let Some((from, repository)) = &self.route.from else { return Ok(()) };
        if self.is_at_source(from) {
            return Ok(());
        }
        let manifest = repository.manifest(&Reference::Digest(child.digest.clone())).await?;
        let (config, layers) = parts(&manifest)?;
        for blob in std::iter::once(config).chain(layers) {
            self.inherit(blob).await?;
        }
        let reference = Reference::Digest(manifest.digest.clone());
        self.route.to.push_manifest(&reference, &manifest.media_type, manifest.bytes).await
    }

    /// Brings a blob of the old image, if it is not there.
    async fn inherit(&self, blob: &Descriptor) -> anyhow::Result<()> {
        let Route { from, place, to, .. } = self.route;
        let Some((from, repository)) = from else { return Ok(()) };
        let elsewhere = blob.media_type.is_foreign_layer() && !blob.urls.is_empty();
        if self.is_at_source(from) || elsewhere || (!self.args.force && to.has_blob(&blob.digest).await?) {
            return Ok(());
        }
        if from.registry() == place.registry() && to.mount(&blob.digest, from.path()).await.unwrap_or(false) {
            return Ok(());
        }
        let content = repository.blob(&blob.digest).await?;
        to.push_blob(&blob.digest, content, self.count()).await
    }

    fn count(&self) -> impl Fn(u64) + Send + 'static {
        let sent = Arc::clone(&self.route.sent);
        move |bytes| {
            sent.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

fn list_children(list: &RemoteManifest) -> &[Descriptor] {
    match list.manifest.kind() {
        ManifestKind::Index { manifests } => manifests,
        ManifestKind::Image { .. } => &[],
    }
}

impl Base {
    async fn of(manifest: &RemoteManifest, repository: &Repository) -> anyhow::Result<Self> {
        let (config, layers) = parts(manifest)?;
        let bytes = repository.config(&config.digest).await.context("unable to read the configuration")?;
        let document: Value =
            serde_json::from_slice(&bytes).context("the configuration of the image is no JSON")?;
        if document.pointer("/rootfs/diff_ids").is_none() {
            bail!("{} is not an image of a file system: its configuration lists no layers", manifest.digest);
        }
        let whole: Value = serde_json::from_slice(&manifest.bytes)?;
        Ok(Self {
            media_type: manifest.manifest.media_type().clone(),
            config_type: config.media_type.clone(),
            config: document,
            layers: layers.to_vec(),
            annotations: whole.get("annotations").filter(|annotations| annotations.is_object()).cloned(),
        })
    }

    fn nothing() -> Self {
        Self {
            media_type: MediaType::DOCKER_MANIFEST,
            config_type: MediaType::DOCKER_CONFIG,
            config: config::empty(),
            layers: Vec::new(),
            annotations: None,
        }
    }
}
