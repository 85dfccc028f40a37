//! Looking at everything before anything is sent: which images there are, and what of them is missing elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use pierhead_client::distribution::RemoteManifest;
use pierhead_oci::{Descriptor, Digest, ManifestKind, Reference, Tag};
use serde_json::Value;

use super::{
    MirrorArgs,
    arguments::Mapping,
    plan::{Plan, Sent, Work},
};
use crate::{
    registries::{
        Registries,
        repository::{Repository, is_not_found, parts},
        source::{ImageSource, Place, Which, is_same},
    },
    session::Session,
    verbs::image::info,
};

/// Repositories that blobs are taken from within a registry.
const MAX_SOURCES: usize = 100;

/// An image that was found, with all that must be sent for it.
struct Image {
    from: Place,
    repository: Repository,
    /// The digest that its tags get.
    root: Digest,
    /// It, and what it lists; the children first.
    manifests: Vec<(Digest, Sent)>,
    blobs: BTreeMap<Digest, u64>,
}

/// Where images go, by registry and repository.
type Goals = BTreeMap<Place, Vec<(usize, Option<Tag>)>>;

/// Looks at sources, then at destinations.
pub(super) async fn survey(
    args: &MirrorArgs,
    mappings: Vec<Mapping>,
    from: &Registries,
    to: &Registries,
    session: &mut Session,
) -> anyhow::Result<Plan> {
    let mut plan = Plan::default();
    let mut wanted: Vec<(Mapping, ImageSource)> = Vec::new();
    for mapping in mappings {
        for source in sources(&mapping.from, from, &mut plan).await? {
            wanted.push((mapping.clone(), source));
        }
    }
    let unique: BTreeMap<String, &ImageSource> =
        wanted.iter().map(|(_, source)| (source.to_string(), source)).collect();
    let reading =
        unique.into_iter().map(|(name, source)| async move { (name, find(args, source, from).await) });
    let answers: Vec<(String, anyhow::Result<Option<Image>>)> =
        stream::iter(reading).buffered(usize::from(args.max_per_registry)).collect().await;
    let mut images: Vec<Image> = Vec::new();
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for (name, answer) in answers {
        match answer {
            Ok(Some(image)) => {
                found.insert(name, images.len());
                images.push(image);
            }
            Ok(None) => session.remark(&format!("info: Filtered all images from {name}, skipping"))?,
            Err(error) if args.skip_missing && is_not_found(&error) => {
                session.remark(&format!("warning: Image {name} does not exist and will not be mirrored"))?;
            }
            Err(error) => plan.errors.push(format!("unable to retrieve source image {name}: {error:#}")),
        }
    }
    let mut goals = Goals::new();
    for (mapping, source) in wanted {
        let Some(index) = found.get(&source.to_string()).copied() else { continue };
        let tag = match (&mapping.to.which, &mapping.from.which, source.which) {
            (Which::Tag(tag), _, _) => Some(tag.clone()),
            (_, Which::Pattern(_), Which::Tag(tag)) => Some(tag),
            _ => None,
        };
        goals.entry(mapping.to.place).or_default().push((index, tag));
    }
    for image in &images {
        plan.sizes.extend(image.blobs.iter().map(|(digest, size)| (digest.clone(), *size)));
        plan.manifests.extend(image.manifests.iter().cloned());
    }
    let works = compare(args, &goals, &images, to).await?;
    for work in works {
        let (registry, path) = (work.place.registry().to_owned(), work.place.path().to_owned());
        plan.registries.entry(registry).or_default().insert(path, work);
    }
    Ok(plan)
}

/// The images that a source means; what cannot be listed is an error of the plan.
async fn sources(
    source: &ImageSource,
    from: &Registries,
    plan: &mut Plan,
) -> anyhow::Result<Vec<ImageSource>> {
    if !matches!(source.which, Which::Pattern(_)) {
        return Ok(vec![source.clone()]);
    }
    let repository = from.reader(&source.place).await?;
    match info::expand(&repository, source.clone()).await {
        Ok(sources) => Ok(sources),
        Err(error) => {
            plan.errors.push(format!("{error:#}"));
            Ok(Vec::new())
        }
    }
}

/// Reads an image with all that it lists; none if the filter leaves nothing of it.
async fn find(args: &MirrorArgs, source: &ImageSource, from: &Registries) -> anyhow::Result<Option<Image>> {
    let repository = from.reader(&source.place).await?;
    let root = repository.manifest(&source.reference()?).await?;
    let mut image = Image {
        from: source.place.clone(),
        repository: repository.clone(),
        root: root.digest.clone(),
        manifests: Vec::new(),
        blobs: BTreeMap::new(),
    };
    let ManifestKind::Index { manifests } = root.manifest.kind() else {
        image.add(&root)?;
        return Ok(Some(image));
    };
    let wanted: Vec<&Descriptor> =
        manifests.iter().filter(|child| args.filter.includes_or_all(child)).collect();
    if wanted.is_empty() && !manifests.is_empty() {
        return Ok(None);
    }
    for child in &wanted {
        let manifest = repository
            .manifest(&Reference::Digest(child.digest.clone()))
            .await
            .with_context(|| format!("manifest {} of the list {}", child.digest, root.digest))?;
        image.add(&manifest)?;
    }
    if wanted.len() == manifests.len() {
        let children = wanted.iter().map(|child| child.digest.clone()).collect();
        image.add_list(root.digest.clone(), root.media_type.clone(), root.bytes.clone(), children);
    } else if let ([only], false) = (wanted.as_slice(), args.keep_manifest_list) {
        image.root = only.digest.clone();
    } else {
        let bytes = shortened(&root, &wanted)?;
        let children = wanted.iter().map(|child| child.digest.clone()).collect();
        let digest = Digest::sha256(&bytes);
        image.root = digest.clone();
        image.add_list(digest, root.media_type.clone(), bytes, children);
    }
    Ok(Some(image))
}

/// A list with some of its images; all else of it stays.
fn shortened(list: &RemoteManifest, wanted: &[&Descriptor]) -> anyhow::Result<Bytes> {
    let mut document: Value = serde_json::from_slice(&list.bytes)?;
    let keep: BTreeSet<String> = wanted.iter().map(|child| child.digest.to_string()).collect();
    if let Some(Value::Array(manifests)) = document.get_mut("manifests") {
        manifests.retain(|child| {
            child.get("digest").and_then(Value::as_str).is_some_and(|digest| keep.contains(digest))
        });
    }
    Ok(serde_json::to_vec_pretty(&document)?.into())
}

impl Image {
    fn add(&mut self, manifest: &RemoteManifest) -> anyhow::Result<()> {
        let (config, layers) = parts(manifest)?;
        for blob in std::iter::once(config).chain(layers) {
            // Layers that others may not give away are at their urls, and only there.
            if !blob.media_type.is_foreign_layer() || blob.urls.is_empty() {
                self.blobs.insert(blob.digest.clone(), blob.size);
            }
        }
        let sent = Sent {
            media_type: manifest.media_type.clone(),
            bytes: manifest.bytes.clone(),
            children: Vec::new(),
        };
        self.manifests.push((manifest.digest.clone(), sent));
        Ok(())
    }

    fn add_list(&mut self, digest: Digest, media_type: String, bytes: Bytes, children: Vec<Digest>) {
        self.manifests.push((digest, Sent { media_type, bytes, children }));
    }
}

/// What each destination lacks.
async fn compare(
    args: &MirrorArgs,
    goals: &Goals,
    images: &[Image],
    to: &Registries,
) -> anyhow::Result<Vec<Work>> {
    let paths_of = |registry: &str| -> Vec<String> {
        let goals = goals.keys().filter(|place| place.registry() == registry);
        let sources = images.iter().map(|image| &image.from).filter(|place| place.registry() == registry);
        let paths: BTreeSet<&str> = goals.chain(sources).map(Place::path).collect();
        // All of them are in the address that tokens are asked for at.
        paths.into_iter().take(MAX_SOURCES).map(str::to_owned).collect()
    };
    let looking = goals.iter().map(|(place, goals)| {
        let sources = if args.skip_mount || args.skip_multiple_scopes {
            Vec::new()
        } else {
            paths_of(place.registry())
        };
        async move {
            let mut work = Work::new(place.clone(), to.writer(place, &sources).await?);
            if let Err(error) = lacks(args, goals, images, &mut work).await {
                work.blobs.clear();
                work.by_digest.clear();
                work.by_tag.clear();
                work.errors.push(format!("unable to look at {place}: {error:#}"));
            }
            anyhow::Ok(work)
        }
    });
    let works: Vec<anyhow::Result<Work>> =
        stream::iter(looking).buffered(usize::from(args.max_registry)).collect().await;
    works.into_iter().collect()
}

async fn lacks(
    args: &MirrorArgs,
    goals: &[(usize, Option<Tag>)],
    images: &[Image],
    work: &mut Work,
) -> anyhow::Result<()> {
    for (index, tag) in goals {
        let image = &images[*index];
        let at_source = is_same(&image.from, &work.place, args.from_dir.is_some());
        let has = |digest: Digest| {
            let to = &work.to;
            async move { if args.force { Ok(false) } else { has_manifest(to, &Reference::Digest(digest)).await } }
        };
        // Blobs of a manifest that is there are there too.
        let whole = at_source || has(image.root.clone()).await?;
        if !whole {
            for (digest, _) in &image.manifests {
                if *digest != image.root && !has(digest.clone()).await? {
                    work.by_digest.insert(digest.clone());
                }
            }
            let missing = missing_blobs(args, image, &work.to).await?;
            let entry = || (image.repository.clone(), BTreeSet::new());
            work.blobs.entry(image.from.clone()).or_insert_with(entry).1.extend(missing);
        }
        match tag {
            None if !whole => {
                work.by_digest.insert(image.root.clone());
            }
            None => {}
            Some(tag) => {
                let current = match args.force {
                    true => None,
                    false => tagged(&work.to, tag).await?,
                };
                if current.as_ref() != Some(&image.root) {
                    work.by_tag.entry(image.root.clone()).or_default().insert(tag.clone());
                }
            }
        }
    }
    Ok(())
}

async fn missing_blobs(args: &MirrorArgs, image: &Image, to: &Repository) -> anyhow::Result<Vec<Digest>> {
    if args.force {
        return Ok(image.blobs.keys().cloned().collect());
    }
    let asking = image.blobs.keys().map(|digest| async move {
        anyhow::Ok(if to.has_blob(digest).await? { None } else { Some(digest.clone()) })
    });
    let answers: Vec<anyhow::Result<Option<Digest>>> =
        stream::iter(asking).buffered(usize::from(args.max_per_registry)).collect().await;
    answers.into_iter().filter_map(Result::transpose).collect()
}

async fn has_manifest(to: &Repository, reference: &Reference) -> anyhow::Result<bool> {
    match to.manifest(reference).await {
        Ok(_) => Ok(true),
        Err(error) if is_not_found(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What a tag points to now.
async fn tagged(to: &Repository, tag: &Tag) -> anyhow::Result<Option<Digest>> {
    match to.manifest(&Reference::Tag(tag.clone())).await {
        Ok(found) => Ok(Some(found.digest)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
