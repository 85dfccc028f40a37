//! `tag`: let a tag of an image stream point somewhere (openshift-images 8.5).

use anyhow::bail;
use bytes::Bytes;
use clap::Args;
use http::Method;
use pierhead_client::{ApiRequest, Client, ClientError, Resource};
use serde_json::{Value, json};

use super::{get, import_image};
use crate::{environment::ExitStatus, globals::Era, object, session::Session};

/// Tag images into image streams
///
/// Examples:
///   tag pushed/myimage:latest production/myimage:prod
///   tag quay.io/org/app:1.2 app:1.2 --scheduled
///   tag -d app:old
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct TagArgs {
    /// SOURCE DESTINATION… (with -d only destinations)
    #[arg(required = true, value_name = "REFERENCE")]
    references: Vec<String>,
    /// What the source is: imagestreamtag, imagestreamimage or docker
    #[arg(long, value_name = "KIND")]
    source: Option<String>,
    /// Delete the tags
    #[arg(short = 'd', long)]
    delete: bool,
    /// Follow the source tag as it moves
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    alias: bool,
    /// Do not import, only refer
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    reference: bool,
    /// Import again from time to time
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    scheduled: bool,
    /// Import over plain HTTP or with an unverified certificate
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    insecure: bool,
    /// source or local: where pods pull from
    #[arg(long, value_name = "POLICY")]
    reference_policy: Option<String>,
    /// Legacy or PreserveOriginal: what becomes of a manifest list
    #[arg(long, value_name = "MODE")]
    import_mode: Option<String>,
}

/// `[project/]name:tag`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Destination {
    namespace: String,
    stream: String,
    tag: String,
}

/// What the tag is to point to.
struct Source {
    kind: &'static str,
    namespace: Option<String>,
    name: String,
}

/// How it is imported and pulled, as the API has it.
struct How {
    reference_policy: Option<&'static str>,
    import_mode: Option<&'static str>,
}

impl Source {
    /// The stream that a tag or an image is of.
    fn stream(&self) -> &str {
        self.name.split([':', '@']).next().unwrap_or(&self.name)
    }

    fn display(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

pub(crate) async fn run(args: TagArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let client = session.client()?;
    let own = session.namespace()?;
    if args.delete {
        for reference in &args.references {
            let destination = parse_destination(reference, &own)?;
            delete(&client, &destination).await?;
            let Destination { namespace, stream, tag } = destination;
            session.say(&format!("Deleted tag {namespace}/{stream}:{tag}."))?;
        }
        return Ok(ExitStatus::SUCCESS);
    }
    let Some((source, destinations)) = args.references.split_first().filter(|(_, rest)| !rest.is_empty())
    else {
        bail!("you must specify a source reference and at least one destination");
    };
    let how = How {
        reference_policy: args.reference_policy.as_deref().map(import_image::reference_policy).transpose()?,
        import_mode: args.import_mode.as_deref().map(import_image::import_mode).transpose()?,
    };
    let source = resolve_source(&args, source, &own, &client, session).await?;
    let imports = args.scheduled || args.insecure || args.import_mode.is_some();
    if source.kind != "DockerImage" && imports {
        let images = if session.era() == Era::V4 { "container" } else { "Docker" };
        bail!("only {images} images can have importing flags set");
    }
    if args.alias && source.kind != "ImageStreamTag" {
        bail!("only image stream tags can be followed: --alias needs a source NAME:TAG");
    }
    for reference in destinations {
        let destination = parse_destination(reference, &own)?;
        let is_elsewhere = source.namespace.as_deref().unwrap_or(&own) != destination.namespace
            || source.stream() != destination.stream;
        if args.alias && is_elsewhere {
            bail!("cannot set alias across different Image Streams");
        }
        write(&client, &args, &how, &source, &destination).await?;
        let shown = format!("{}:{}", destination.stream, destination.tag);
        let elsewhere = destination.namespace != own;
        let shown = if elsewhere { format!("{}/{shown}", destination.namespace) } else { shown };
        let from = source.display();
        session.say(&match (args.alias, args.scheduled, elsewhere) {
            (true, ..) => format!("Tag {shown} set up to track {from}."),
            (_, true, false) => format!("Tag {shown} set to import {from} periodically."),
            (_, true, true) => format!("Tag {shown} set to {from} periodically."),
            _ => format!("Tag {shown} set to {from}."),
        })?;
    }
    Ok(ExitStatus::SUCCESS)
}

fn parse_destination(reference: &str, own: &str) -> anyhow::Result<Destination> {
    let (namespace, rest) = reference.split_once('/').unwrap_or((own, reference));
    let (stream, tag) = rest.split_once(':').unwrap_or((rest, "latest"));
    if namespace.is_empty() || stream.is_empty() || tag.is_empty() || rest.contains('/') || rest.contains('@')
    {
        bail!("{reference:?} is not a valid image stream tag: use [PROJECT/]NAME:TAG");
    }
    Ok(Destination { namespace: namespace.to_owned(), stream: stream.to_owned(), tag: tag.to_owned() })
}

/// What a source is when nobody says: a registry in it makes it an image of that registry.
fn guess_kind(reference: &str) -> &'static str {
    let mut parts = reference.split('/');
    let first = parts.next().unwrap_or_default();
    let more = parts.count();
    let names_registry = more > 0 && (first.contains(['.', ':']) || first == "localhost");
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if names_registry || more > 1 {
        "DockerImage"
    } else if last.contains('@') {
        "ImageStreamImage"
    } else if last.contains(':') {
        "ImageStreamTag"
    } else {
        "DockerImage"
    }
}

async fn resolve_source(
    args: &TagArgs,
    reference: &str,
    own: &str,
    client: &Client,
    session: &mut Session,
) -> anyhow::Result<Source> {
    let kind = match args.source.as_deref().map(str::to_lowercase).as_deref() {
        None => guess_kind(reference),
        Some("imagestreamtag" | "istag") => "ImageStreamTag",
        Some("imagestreamimage" | "isimage") => "ImageStreamImage",
        Some("docker" | "dockerimage") => "DockerImage",
        Some(other) => {
            bail!("unknown source {other:?}; valid values are imagestreamtag, imagestreamimage, docker")
        }
    };
    if kind == "DockerImage" {
        return Ok(Source { kind, namespace: None, name: reference.to_owned() });
    }
    let (namespace, name) = reference.split_once('/').unwrap_or((own, reference));
    let mut source = Source { kind, namespace: Some(namespace.to_owned()), name: name.to_owned() };
    if kind == "ImageStreamTag" {
        let (stream, tag) = name.split_once(':').unwrap_or((name, "latest"));
        source.name = format!("{stream}:{tag}");
        if args.alias {
            if namespace == own {
                source.namespace = None;
            }
            return Ok(source);
        }
        let discovery = session.discovery().await?;
        let streams = discovery.known("image.openshift.io", "imagestreams")?;
        let found = get::read(client, streams, namespace, stream).await?;
        let newest = object::list(&found, "status.tags")
            .iter()
            .find(|entry| object::text(entry, "tag") == tag)
            .and_then(|entry| object::list(entry, "items").first());
        let Some(newest) = newest else {
            bail!(
                "{reference:?} is not currently pointing to an image, cannot use it as the source of a tag"
            );
        };
        let image = object::text(newest, "image");
        if image.is_empty() {
            let name = object::text(newest, "dockerImageReference").to_owned();
            return Ok(Source { kind: "DockerImage", namespace: None, name });
        }
        source = Source {
            kind: "ImageStreamImage",
            namespace: Some(namespace.to_owned()),
            name: format!("{stream}@{image}"),
        };
    }
    Ok(source)
}

fn stream_tags() -> Resource {
    Resource {
        group: "image.openshift.io".into(),
        version: "v1".into(),
        plural: "imagestreamtags".into(),
        namespaced: true,
    }
}

async fn write(
    client: &Client,
    args: &TagArgs,
    how: &How,
    source: &Source,
    destination: &Destination,
) -> Result<(), ClientError> {
    let name = format!("{}:{}", destination.stream, destination.tag);
    let mut from = json!({"kind": source.kind, "name": source.name});
    if let Some(namespace) = &source.namespace {
        from["namespace"] = json!(namespace);
    }
    let mut import = json!({});
    if args.insecure {
        import["insecure"] = json!(true);
    }
    if args.scheduled {
        import["scheduled"] = json!(true);
    }
    if let Some(mode) = how.import_mode {
        import["importMode"] = json!(mode);
    }
    let mut tag =
        json!({"name": destination.tag, "reference": args.reference, "importPolicy": import, "from": from});
    if let Some(policy) = how.reference_policy {
        tag["referencePolicy"] = json!({"type": policy});
    }
    if source.kind == "DockerImage" {
        tag["generation"] = json!(0);
    }
    let document = json!({
        "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamTag",
        "metadata": {"name": name, "namespace": destination.namespace}, "tag": tag,
    });
    let path = stream_tags().item(Some(&destination.namespace), &name, None);
    let answered = client.request(Method::PUT, &path, None, Some(&document)).await;
    if !answered.as_ref().is_err_and(|error| matches!(error.code(), Some(403..=405))) {
        return answered.map(|_| ());
    }
    let path = stream_tags().collection(Some(&destination.namespace));
    match client.request(Method::POST, &path, None, Some(&document)).await {
        Err(error) if matches!(error.code(), Some(403 | 405)) => {
            // Servers before image stream tags could be written, and roles that only reach the stream.
            match write_into_stream(client, destination, &document["tag"]).await {
                Err(second) if second.is_forbidden() => Err(error),
                written => written,
            }
        }
        answered => answered.map(|_| ()),
    }
}

/// Sets the tag in the spec of its stream, which is made if there is none.
async fn write_into_stream(
    client: &Client,
    destination: &Destination,
    tag: &Value,
) -> Result<(), ClientError> {
    let streams = Resource { plural: "imagestreams".into(), ..stream_tags() };
    let path = streams.item(Some(&destination.namespace), &destination.stream, None);
    let mut stream = match client.request(Method::GET, &path, None, None).await {
        Ok(stream) => stream,
        Err(error) if error.is_not_found() => {
            let document = json!({
                "apiVersion": "image.openshift.io/v1", "kind": "ImageStream",
                "metadata": {"name": destination.stream, "namespace": destination.namespace},
                "spec": {"tags": [tag]},
            });
            let path = streams.collection(Some(&destination.namespace));
            return client.request(Method::POST, &path, None, Some(&document)).await.map(|_| ());
        }
        Err(error) => return Err(error),
    };
    let spec = object::object_mut(&mut stream, "spec");
    let tags = spec.entry("tags".to_owned()).or_insert_with(|| json!([]));
    match tags.as_array_mut() {
        Some(tags) => {
            tags.retain(|known| object::text(known, "name") != destination.tag);
            tags.push(tag.clone());
        }
        None => *tags = json!([tag]),
    }
    client.request(Method::PUT, &path, None, Some(&stream)).await.map(|_| ())
}

async fn delete(client: &Client, destination: &Destination) -> Result<(), ClientError> {
    let name = format!("{}:{}", destination.stream, destination.tag);
    let path = stream_tags().item(Some(&destination.namespace), &name, None);
    match client.send(ApiRequest::new(Method::DELETE, path, Bytes::new())).await {
        Err(error) if matches!(error.code(), Some(403 | 405)) => {
            let streams = Resource { plural: "imagestreams".into(), ..stream_tags() };
            let path = streams.item(Some(&destination.namespace), &destination.stream, None);
            let mut stream = client.request(Method::GET, &path, None, None).await?;
            if let Some(Value::Array(tags)) = stream.pointer_mut("/spec/tags") {
                let before = tags.len();
                tags.retain(|tag| object::text(tag, "name") != destination.tag);
                if tags.len() == before {
                    return Err(error);
                }
            }
            client.request(Method::PUT, &path, None, Some(&stream)).await.map(|_| ())
        }
        answered => answered.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::{guess_kind, parse_destination};

    #[test]
    fn kinds_of_sources() {
        let rows = [
            ("quay.io/org/app:1", "DockerImage"),
            ("localhost/app:1", "DockerImage"),
            ("pushed/myimage:latest", "ImageStreamTag"),
            ("myimage:latest", "ImageStreamTag"),
            ("myimage@sha256:ab", "ImageStreamImage"),
            ("busybox", "DockerImage"),
            ("172.30.1.1:5000/p/i:t", "DockerImage"),
        ];
        for (reference, kind) in rows {
            assert_eq!(guess_kind(reference), kind, "{reference}");
        }
    }

    #[test]
    fn destinations() {
        let parsed = parse_destination("q/app:prod", "p").unwrap();
        assert_eq!(
            (parsed.namespace.as_str(), parsed.stream.as_str(), parsed.tag.as_str()),
            ("q", "app", "prod")
        );
        assert_eq!(parse_destination("app", "p").unwrap().tag, "latest");
        for bad in ["a/b/c:t", "app:", ":t", "app@sha256:ab"] {
            assert!(parse_destination(bad, "p").is_err(), "{bad}");
        }
    }
}
