//! `import-image`: fetch what a registry says about tags (openshift-images 8.4).

use anyhow::bail;
use clap::Args;
use http::Method;
use pierhead_client::Resource;
use serde_json::{Map, Value, json};

use crate::{describe, environment::ExitStatus, error::Silent, globals::Era, object, session::Session};

/// Import tags of an image stream from another registry
///
/// Examples:
///   import-image myimage --from=registry.example.com/pushed/myimage --confirm
///   import-image myimage:latest
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ImportImageArgs {
    /// NAME[:TAG] of the image stream
    name: String,
    /// Image or repository to import from
    #[arg(long, value_name = "IMAGE")]
    from: Option<String>,
    /// Create or change the image stream if need be
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    confirm: bool,
    /// Import all tags of the repository
    #[arg(long)]
    all: bool,
    /// Allow plain HTTP and unverified certificates
    #[arg(long, visible_alias = "insecure-repository", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    insecure: Option<bool>,
    /// Import again from time to time
    #[arg(long)]
    scheduled: bool,
    /// source or local: where pods pull from
    #[arg(long, default_value = "source", value_name = "POLICY")]
    reference_policy: String,
    /// Legacy or PreserveOriginal: what becomes of a manifest list
    #[arg(long, default_value = "Legacy", value_name = "MODE")]
    import_mode: String,
    /// Do not store anything
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(args: ImportImageArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    if args.name.contains('@') {
        bail!("to import images by ID, use the 'tag' command");
    }
    let (name, tag) = match args.name.split_once(':') {
        Some((name, tag)) => (name.to_owned(), Some(tag.to_owned())),
        None => (args.name.clone(), None),
    };
    if tag.is_some() && args.all {
        bail!("cannot specify a tag {:?} as well as --all", args.name);
    }
    let client = session.client()?;
    let namespace = session.namespace()?;
    let resource = |plural: &str| Resource {
        group: "image.openshift.io".into(),
        version: "v1".into(),
        plural: plural.into(),
        namespaced: true,
    };
    let path = resource("imagestreams").item(Some(&namespace), &name, None);
    let stream = match client.request(Method::GET, &path, None, None).await {
        Ok(stream) => Some(stream),
        Err(error) if error.is_not_found() && args.confirm => None,
        Err(error) if error.is_not_found() => {
            bail!("no image stream named {name:?} exists, pass --confirm to create and import")
        }
        Err(error) => return Err(error.into()),
    };
    let spec = import_spec(&args, &name, tag.as_deref(), stream.as_ref())?;
    let mut metadata = json!({"name": name, "namespace": namespace});
    if let Some(stream) = &stream {
        object::set_text(&mut metadata, "resourceVersion", object::text(stream, "metadata.resourceVersion"));
    }
    let import = json!({
        "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamImport", "metadata": metadata, "spec": spec,
    });
    let path = resource("imagestreamimports").collection(Some(&namespace));
    let answer = client.request(Method::POST, &path, None, Some(&import)).await?;
    let failures = failures(&answer);
    let line = match (session.era(), failures.is_empty()) {
        (Era::V3_2, true) => "The import completed successfully.".to_owned(),
        (Era::V3_2, false) => "The import completed with errors.".to_owned(),
        (_, clean) => {
            let errors = if clean { "" } else { " with errors" };
            let dry = if args.dry_run { " (dry run)" } else { "" };
            format!("imagestream.image.openshift.io/{name} imported{errors}{dry}")
        }
    };
    session.say(&line)?;
    session.say("")?;
    if let Some(stream) = object::at(&answer, "status.import") {
        let text = describe::image_stream(stream, (session.environment.now)(), session.era());
        session.print(&text)?;
    }
    for failure in &failures {
        session.remark(&format!("error: {failure}"))?;
    }
    if failures.is_empty() {
        return Ok(ExitStatus::SUCCESS);
    }
    if session.era() != Era::V3_2 {
        bail!("imported completed with errors");
    }
    Err(Silent(ExitStatus::FAILURE).into())
}

fn import_spec(
    args: &ImportImageArgs,
    name: &str,
    tag: Option<&str>,
    stream: Option<&Value>,
) -> anyhow::Result<Value> {
    let annotations =
        stream.map(|stream| object::string_map(stream, "metadata.annotations")).unwrap_or_default();
    let insecure = args
        .insecure
        .unwrap_or_else(|| annotations.contains(&("openshift.io/image.insecureRepository", "true")));
    let mut policy = json!({"importMode": args.import_mode});
    if insecure {
        policy["insecure"] = json!(true);
    }
    if args.scheduled {
        policy["scheduled"] = json!(true);
    }
    let reference = if args.reference_policy.eq_ignore_ascii_case("local") { "Local" } else { "Source" };
    let entry = |from: &str, to: Option<&str>| {
        let mut entry = Map::new();
        entry.insert("from".to_owned(), json!({"kind": "DockerImage", "name": from}));
        if let Some(to) = to {
            entry.insert("to".to_owned(), json!({"name": to}));
        }
        entry.insert("importPolicy".to_owned(), policy.clone());
        entry.insert("referencePolicy".to_owned(), json!({"type": reference}));
        Value::Object(entry)
    };
    let import = !args.dry_run;
    let repository = stream.map_or("", |stream| object::text(stream, "spec.dockerImageRepository"));
    if args.all {
        let from = whole_repository(args, repository, stream.is_some())?;
        return Ok(json!({"import": import, "repository": entry(from, None)}));
    }
    let wanted = tag.unwrap_or("latest");
    let spec_tags = stream.map_or(&[] as &[Value], |stream| object::list(stream, "spec.tags"));
    let known = spec_tags.iter().find(|entry| object::text(entry, "name") == wanted);
    let image = match (known, &args.from) {
        (Some(known), from) => {
            let source = object::text(known, "from.name");
            if object::text(known, "from.kind") != "DockerImage" {
                bail!(
                    "tag {wanted:?} points to existing {} {source:?}, it cannot be re-imported",
                    object::text(known, "from.kind")
                );
            }
            if let Some(from) = from.as_deref().filter(|from| *from != source) {
                bail!(
                    "the tag {wanted:?} points to {source:?} - use the 'tag' command if you want to change the source to {from:?}"
                );
            }
            source.to_owned()
        }
        (None, Some(from)) => from.clone(),
        (None, None) if tag.is_some() && stream.is_some() => bail!(
            "the tag {wanted:?} does not exist on the image stream - choose an existing tag to import or use the 'tag' command to create a new tag"
        ),
        (None, None) if repository.is_empty() => {
            if stream.is_some() && spec_tags.is_empty() {
                bail!("image stream has not defined anything to import");
            }
            let images: Vec<Value> = spec_tags
                .iter()
                .filter(|entry| object::text(entry, "from.kind") == "DockerImage")
                .map(|known| entry(object::text(known, "from.name"), Some(object::text(known, "name"))))
                .collect();
            if images.is_empty() {
                return Ok(
                    json!({"import": import, "images": [entry(&format!("{name}:{wanted}"), Some(wanted))]}),
                );
            }
            return Ok(json!({"import": import, "images": images}));
        }
        (None, None) => format!("{repository}:{wanted}"),
    };
    Ok(json!({"import": import, "images": [entry(&image, Some(wanted))]}))
}

/// What `--all` imports from.
fn whole_repository<'a>(
    args: &'a ImportImageArgs,
    repository: &'a str,
    exists: bool,
) -> anyhow::Result<&'a str> {
    let from = args.from.as_deref().unwrap_or(repository);
    if from.is_empty() {
        bail!("all tags of which repository? pass --from");
    }
    if exists && repository != from && !args.confirm {
        if repository.is_empty() {
            bail!(
                "the image stream does not currently import an entire Docker repository, pass --confirm to update"
            );
        }
        bail!("the image stream has a different import spec {repository:?}, pass --confirm to update");
    }
    Ok(from)
}

fn failures(answer: &Value) -> Vec<String> {
    let mut out = Vec::new();
    let failed = |entry: &Value| object::text(entry, "status.status") == "Failure";
    for image in object::list(answer, "status.images").iter().filter(|image| failed(image)) {
        out.push(format!(
            "tag {} failed: {}",
            object::text(image, "tag"),
            object::text(image, "status.message")
        ));
    }
    if let Some(repository) = object::at(answer, "status.repository") {
        if failed(repository) {
            out.push(format!("repository failed: {}", object::text(repository, "status.message")));
        }
        for image in object::list(repository, "images").iter().filter(|image| failed(image)) {
            let message = object::text(image, "status.message");
            out.push(format!("repository tag {} failed: {message}", object::text(image, "tag")));
        }
    }
    out
}
