//! `set image`.

use anyhow::{Context as _, bail};
use clap::Args;
use http::Method;
use serde_json::Value;

use super::{SetOptions, each_container, image_kind, split_words};
use crate::{environment::ExitStatus, object, session::Session};

/// Change the images of containers
#[derive(Args, Debug)]
pub(super) struct ImageArgs {
    /// TYPE/NAME… CONTAINER=IMAGE…
    #[arg(value_name = "WORD", required = true)]
    words: Vec<String>,
    /// What the image is: docker, imagestreamtag (istag) or imagestreamimage (isimage)
    #[arg(long, default_value = "docker", value_name = "KIND")]
    source: String,
    #[command(flatten)]
    options: SetOptions,
}

pub(super) async fn run(args: ImageArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let (words, changes) = split_words(&args.words, |word| word.contains('='));
    if changes.is_empty() {
        bail!("at least one image update is required");
    }
    let mut images = Vec::new();
    for change in &changes {
        let (container, image) = change.split_once('=').context("chosen above because it has a =")?;
        if container.is_empty() || image.is_empty() {
            bail!("invalid image update {change:?}, expected CONTAINER=IMAGE");
        }
        images.push((container.to_owned(), resolve(&args.source, image, session).await?));
    }
    let objects = args.options.objects(&words, session).await?;
    args.options
        .change(objects, "image updated", session, |object| {
            for (container, image) in &images {
                each_container(object, container, |container| {
                    container["image"] = Value::from(image.as_str());
                    Ok(())
                })?;
            }
            Ok(())
        })
        .await
}

/// The reference by which containers pull an image.
async fn resolve(source: &str, image: &str, session: &mut Session) -> anyhow::Result<String> {
    let plural = match source.to_lowercase().as_str() {
        "docker" | "dockerimage" => return Ok(image.to_owned()),
        "imagestreamtag" | "istag" => "imagestreamtags",
        "imagestreamimage" | "isimage" => "imagestreamimages",
        other => bail!("unknown source {other:?}; valid values are imagestreamtag, imagestreamimage, docker"),
    };
    let discovery = session.discovery().await?;
    let own = session.namespace()?;
    let (namespace, name) = image.split_once('/').unwrap_or((&own, image));
    let name = match (plural, name.contains([':', '@'])) {
        ("imagestreamtags", false) => format!("{name}:latest"),
        _ => name.to_owned(),
    };
    let path = image_kind(&discovery, plural)?.resource().item(Some(namespace), &name, None);
    let found = session.client()?.request(Method::GET, &path, None, None).await?;
    let reference = object::text(&found, "image.dockerImageReference");
    if reference.is_empty() {
        bail!("{image} points to no image that can be pulled");
    }
    Ok(reference.to_owned())
}
