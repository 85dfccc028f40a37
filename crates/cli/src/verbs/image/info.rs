//! `image info`: what an image is, without pulling it.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use pierhead_client::{
    distribution::{RemoteError, RemoteManifest},
    yaml,
};
use pierhead_oci::{Digest, ManifestKind, Reference, Tag};
use serde_json::{Value, json};

use crate::{
    environment::ExitStatus,
    object,
    print::{age, tabwriter},
    registries::{
        Registries, RegistryOptions,
        platform::FilterOptions,
        repository::{self, Repository, is_forbidden, is_not_found, parts},
        size,
        source::{self, ImageSource, Which},
    },
    session::Session,
};

/// Show what an image is, without pulling it
///
/// Of an image for several platforms the one for this machine is shown, or the one that --filter-by-os selects. A tag
/// may hold *, which stands for anything.
///
/// Examples:
///   image info registry.example.com/shop/web:1
///   image info registry.example.com/shop/web:4.* -o json
///   image info registry.example.com/shop/web:1 --filter-by-os=linux/arm64
///   image info --dir=mirror file://shop/web:1
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct InfoArgs {
    /// HOST/REPOSITORY:TAG, HOST/REPOSITORY@DIGEST or file://REPOSITORY:TAG
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    #[command(flatten)]
    registries: RegistryOptions,
    #[command(flatten)]
    filter: FilterOptions,
    /// Show the images of all platforms
    #[arg(long)]
    show_multiarch: bool,
    /// json or yaml
    #[arg(short = 'o', long, value_name = "FORM")]
    output: Option<String>,
    /// Folder of file:// images
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// An image and what was found of it.
struct Found {
    source: ImageSource,
    manifest: RemoteManifest,
    list: Option<Digest>,
    config: Value,
}

pub(super) async fn run(args: InfoArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    if let Some(form) = args.output.as_deref().filter(|form| !matches!(*form, "json" | "yaml")) {
        bail!("unrecognized --output {form:?}, only 'json' and 'yaml' are supported");
    }
    let registries = Registries::open(&args.registries, args.dir.as_ref(), session)?;
    let mut documents = Vec::new();
    for typed in &args.images {
        let source = ImageSource::parse(typed)?;
        let repository = registries.reader(&source.place).await?;
        for source in expand(&repository, source).await? {
            for found in find(&args, &repository, &source).await? {
                if args.output.is_some() {
                    documents.push(document(&found));
                } else {
                    let text = description(&found, session);
                    session.print(&text)?;
                    session.say("")?;
                }
            }
        }
    }
    if let Some(form) = args.output.as_deref() {
        let document = match documents.len() {
            1 => documents.swap_remove(0),
            _ => Value::Array(documents),
        };
        let text = if form == "yaml" { yaml::to_string(&document) } else { format!("{document:#}\n") };
        session.print_data(&text)?;
    }
    Ok(ExitStatus::SUCCESS)
}

/// The images that a name with a pattern means.
pub(super) async fn expand(repository: &Repository, source: ImageSource) -> anyhow::Result<Vec<ImageSource>> {
    let Which::Pattern(pattern) = &source.which else {
        source.reference()?;
        return Ok(vec![source]);
    };
    let tags =
        repository.tags().await.with_context(|| format!("unable to list the tags of {}", source.place))?;
    let fitting: Vec<ImageSource> = tags
        .iter()
        .filter(|tag| source::matches(pattern, tag))
        .filter_map(|tag| Some(source.with_tag(tag.parse::<Tag>().ok()?)))
        .collect();
    if fitting.is_empty() {
        bail!("no tag of {} matches {pattern:?}", source.place);
    }
    Ok(fitting)
}

async fn find(args: &InfoArgs, repository: &Repository, source: &ImageSource) -> anyhow::Result<Vec<Found>> {
    let reference = source.reference()?;
    let manifest = repository.manifest(&reference).await.map_err(|error| explain(error, &source.text))?;
    let ManifestKind::Index { manifests } = manifest.manifest.kind() else {
        return Ok(vec![read(repository, source, manifest, None).await?]);
    };
    let list = manifest.digest.clone();
    let wanted: Vec<_> = manifests
        .iter()
        .filter(|child| match args.show_multiarch {
            true => args.filter.includes_or_all(child),
            false => args.filter.includes(child, manifests.len()),
        })
        .collect();
    if wanted.is_empty() || (wanted.len() > 1 && !args.show_multiarch) {
        bail!(
            "the image is a manifest list and contains multiple images - use --filter-by-os to select from:\n\n{}",
            repository::rows(manifests)
        );
    }
    let mut found = Vec::new();
    for child in wanted {
        let reference = Reference::Digest(child.digest.clone());
        let manifest = repository.manifest(&reference).await.map_err(|error| explain(error, &source.text))?;
        found.push(read(repository, source, manifest, Some(list.clone())).await?);
    }
    Ok(found)
}

/// The error in oc's words.
pub(super) fn explain(error: anyhow::Error, image: &str) -> anyhow::Error {
    if is_not_found(&error) {
        return error.context(format!("image {image:?} not found"));
    }
    if is_forbidden(&error) {
        return error.context(format!(
            "image {image:?} does not exist or you don't have permission to access the repository"
        ));
    }
    if matches!(error.downcast_ref(), Some(RemoteError::HttpOnly)) {
        return error.context(format!("unable to read image {image} (pass --insecure for plain HTTP)"));
    }
    error.context(format!("unable to read image {image}"))
}

async fn read(
    repository: &Repository,
    source: &ImageSource,
    manifest: RemoteManifest,
    list: Option<Digest>,
) -> anyhow::Result<Found> {
    let (config, _) = parts(&manifest)?;
    let is_image = config.media_type.as_str().contains("image");
    let config = if is_image {
        let bytes = repository
            .config(&config.digest)
            .await
            .with_context(|| format!("unable to read the configuration of {}", source.text))?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("the configuration of {} is no JSON", source.text))?
    } else {
        // An artifact, whose configuration may be anything.
        json!({})
    };
    Ok(Found { source: source.clone(), manifest, list, config })
}

/// The sum of what the layers take up at the registry.
fn total(found: &Found) -> u64 {
    parts(&found.manifest)
        .map_or(0, |(_, layers)| layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size)))
}

fn document(found: &Found) -> Value {
    let layers = parts(&found.manifest).map_or(Vec::new(), |(_, layers)| layers.to_vec());
    let mut config = found.config.clone();
    if let Value::Object(fields) = &mut config {
        fields.insert("size".to_owned(), Value::from(total(found)));
    }
    json!({
        "name": found.source.to_string(),
        "digest": found.manifest.digest.to_string(),
        "contentDigest": found.manifest.digest.to_string(),
        "listDigest": found.list.as_ref().map(ToString::to_string).unwrap_or_default(),
        "mediaType": found.manifest.media_type,
        "layers": layers,
        "config": config,
    })
}

fn description(found: &Found, session: &Session) -> String {
    let mut text = format!("Name:\t{}\n", found.source);
    let digest = &found.manifest.digest;
    if !matches!(&found.source.which, Which::Digest(asked) if asked == digest) {
        text.push_str(&format!("Digest:\t{digest}\n"));
    }
    if let Some(list) = &found.list {
        text.push_str(&format!("Manifest List:\t{list}\n"));
    }
    text.push_str(&format!("Media Type:\t{}\n", found.manifest.media_type));
    let created = object::text(&found.config, "created");
    let created = if created.is_empty() || created.starts_with("0001-01-01") {
        "<unknown>".to_owned()
    } else {
        format!("{} ago", age::short(Some(created), (session.environment.now)()))
    };
    text.push_str(&format!("Created:\t{created}\n"));
    let layers = parts(&found.manifest).map_or(&[][..], |(_, layers)| layers);
    text.push_str(&format!(
        "Image Size:\t{} in {} layers\n",
        size::decimal(total(found) as f64),
        layers.len()
    ));
    list(
        &mut text,
        "Layers:",
        layers.iter().map(|layer| format!("{}\t{}", size::decimal(layer.size as f64), layer.digest)),
    );
    text.push_str(&format!("OS:\t{}\n", object::text(&found.config, "os")));
    text.push_str(&format!("Arch:\t{}\n", object::text(&found.config, "architecture")));
    run_settings(&mut text, &found.config);
    tabwriter::align(&text, tabwriter::Layout { min_width: 4, padding: 1 })
}

/// What a container of the image does unless it is told otherwise.
fn run_settings(text: &mut String, config: &Value) {
    let words = |path: &str| {
        object::list(config, path).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
    };
    let keys = |path: &str| {
        let mut keys: Vec<String> = object::at(config, path)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(key, _)| key.clone())
            .collect();
        keys.sort();
        keys
    };
    let mut row = |title: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("{title}\t{value}\n"));
        }
    };
    row("Author:", object::text(config, "author"));
    let (entrypoint, command) = (words("config.Entrypoint"), words("config.Cmd"));
    row("Entrypoint:", &entrypoint);
    row("Command:", if command.is_empty() && entrypoint.is_empty() { "<none>" } else { &command });
    row("Working Dir:", object::text(config, "config.WorkingDir"));
    row("User:", object::text(config, "config.User"));
    row("Exposes Ports:", &keys("config.ExposedPorts").join(", "));
    let environment = object::list(config, "config.Env").iter().filter_map(Value::as_str).map(str::to_owned);
    list(text, "Environment:", environment);
    let mut labels: Vec<String> = object::string_map(config, "config.Labels")
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    labels.sort();
    list(text, "Labels:", labels.into_iter());
    list(text, "Volumes:", keys("config.Volumes").into_iter());
}

/// A row for each, the first of which has the title.
fn list(text: &mut String, title: &str, rows: impl Iterator<Item = String>) {
    for (position, row) in rows.enumerate() {
        text.push_str(&format!("{}\t{row}\n", if position == 0 { title } else { "" }));
    }
}
