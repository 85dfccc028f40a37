//! `import-image`: fetch what a registry says about tags (openshift-images 5.1, 8.4).
//!
//! Owns the flags and what is printed. What is asked of the server is in `request`; the protocol of 2015, in which
//! a controller imports and leaves a mark on the stream, in `legacy`.

mod legacy;
mod request;

use anyhow::bail;
use clap::Args;
use http::Method;
use pierhead_client::{ClientError, Resource};
use serde_json::{Value, json};

use crate::{
    describe,
    environment::ExitStatus,
    error::Silent,
    globals::Era,
    object,
    print::output::{Form, OutputArgs, print_objects},
    session::Session,
};

use request::Wanted;

/// Import tags of an image stream from another registry
///
/// Examples:
///   import-image myimage --from=registry.example.com/pushed/myimage --confirm
///   import-image myimage:latest
///   import-image myimage --all --from=registry.example.com/pushed/myimage --confirm --scheduled
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
    /// Import all tags of the repository, or of the image stream
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    all: bool,
    /// Allow plain HTTP and unverified certificates
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    insecure: Option<bool>,
    /// As --insecure, for all imports of the stream from now on, in the way of 2015: by an annotation
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", conflicts_with_all = ["insecure", "scheduled", "dry_run"], value_name = "BOOL")]
    insecure_repository: Option<bool>,
    /// Import again from time to time
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    scheduled: bool,
    /// source or local: where pods pull from
    #[arg(long, default_value = "source", value_name = "POLICY")]
    reference_policy: String,
    /// Legacy or PreserveOriginal: what becomes of a manifest list
    #[arg(long, default_value = "Legacy", value_name = "MODE")]
    import_mode: String,
    /// Do not store anything
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: ImportImageArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let wanted = wanted(&args, session.era())?;
    let namespace = session.namespace()?;
    let client = session.client()?;
    let path = image_resource("imagestreams").item(Some(&namespace), &wanted.stream, None);
    let stream = match client.request(Method::GET, &path, None, None).await {
        Ok(stream) => Some(stream),
        Err(error @ ClientError::NoSuchResource { .. }) => return Err(error.into()),
        Err(error) if error.is_not_found() && args.confirm => None,
        Err(error) if error.is_not_found() => {
            bail!("no image stream named {:?} exists, pass --confirm to create and import", wanted.stream)
        }
        Err(error) => return Err(error.into()),
    };
    if args.insecure_repository.is_some() {
        return legacy::import(&wanted, args.insecure_repository, stream, session).await;
    }
    let import = request::document(&wanted, &namespace, stream.as_ref())?;
    let path = image_resource("imagestreamimports").collection(Some(&namespace));
    let answer = match client.request(Method::POST, &path, None, Some(&import)).await {
        // A server without the kind says 404 (or 405) about the path, and names no object.
        Err(error)
            if matches!(error.code(), Some(404 | 405))
                && error
                    .status()
                    .is_none_or(|status| status.details.as_ref().is_none_or(|it| it.name.is_empty())) =>
        {
            return legacy::import(&wanted, wanted.insecure, stream, session).await;
        }
        answer => answer?,
    };
    let form = args.output.form(session)?;
    if !matches!(form, Form::Table { .. }) {
        let shown = object::at(&answer, "status.import").filter(|_| !args.dry_run).unwrap_or(&answer).clone();
        print_objects(session, &form, vec![shown], false, args.output.show_managed_fields)?;
        return Ok(ExitStatus::SUCCESS);
    }
    report(&answer, &wanted, args.dry_run, session)
}

/// What the flags ask for.
fn wanted(args: &ImportImageArgs, era: Era) -> anyhow::Result<Wanted> {
    if args.name.contains('@') {
        bail!("to import images by ID, use the 'tag' command");
    }
    let last = args.name.rsplit('/').next().unwrap_or(&args.name);
    let (stream, tag) = match last.split_once(':') {
        Some((stream, tag)) => (stream, Some(tag)),
        None => (last, None),
    };
    if stream.is_empty() || tag == Some("") {
        bail!("{:?} is not a valid image stream: use NAME[:TAG]", args.name);
    }
    if tag.is_some() && args.all {
        bail!("cannot specify a tag {:?} as well as --all", args.name);
    }
    Ok(Wanted {
        argument: args.name.clone(),
        stream: stream.to_owned(),
        tag: tag.unwrap_or("latest").to_owned(),
        from: args.from.clone(),
        confirm: args.confirm,
        all: args.all,
        insecure: args.insecure,
        scheduled: args.scheduled,
        reference_policy: reference_policy(&args.reference_policy)?,
        import_mode: import_mode(&args.import_mode)?,
        import: !args.dry_run,
        era,
    })
}

/// The value of `--reference-policy` as the API has it.
pub(super) fn reference_policy(typed: &str) -> anyhow::Result<&'static str> {
    match typed.to_lowercase().as_str() {
        "source" => Ok("Source"),
        "local" => Ok("Local"),
        other => bail!("invalid --reference-policy: {other:?}: must be \"source\" or \"local\""),
    }
}

/// The value of `--import-mode` as the API has it.
pub(super) fn import_mode(typed: &str) -> anyhow::Result<&'static str> {
    match typed.to_lowercase().as_str() {
        "legacy" => Ok("Legacy"),
        "preserveoriginal" => Ok("PreserveOriginal"),
        _ => bail!("valid ImportMode values are Legacy or PreserveOriginal"),
    }
}

fn image_resource(plural: &str) -> Resource {
    Resource {
        group: "image.openshift.io".into(),
        version: "v1".into(),
        plural: plural.into(),
        namespaced: true,
    }
}

/// Prints what became of an import.
fn report(
    answer: &Value,
    wanted: &Wanted,
    dry_run: bool,
    session: &mut Session,
) -> anyhow::Result<ExitStatus> {
    let failures = failures(answer);
    let dry = if dry_run { " (dry run)" } else { "" };
    session.say(&match (session.era(), failures.is_empty()) {
        (Era::V3_2, true) => format!("The import completed successfully.{dry}"),
        (Era::V3_2, false) => format!("The import completed with errors.{dry}"),
        (Era::V4, true) => format!("imagestream.image.openshift.io/{} imported{dry}", wanted.stream),
        (Era::V4, false) => {
            format!("imagestream.image.openshift.io/{} imported with errors{dry}", wanted.stream)
        }
    })?;
    session.say("")?;
    let now = (session.environment.now)();
    if let Some(stream) = object::at(answer, "status.import") {
        let text = describe::image_stream(stream, now, session.era());
        session.print(&text)?;
    }
    if session.era() == Era::V4 {
        let whole = object::list(answer, "status.repository.images");
        for image in object::list(answer, "status.images").iter().chain(whole) {
            if object::at(image, "image").is_some() && !is_failure(image) {
                let name = json!(format!("{}:{}", wanted.stream, object::text(image, "tag")));
                let text = describe::image(&image["image"], name.as_str().unwrap_or_default(), now, Era::V4);
                session.print(&format!("\n{text}"))?;
            }
        }
    }
    let more: Vec<&str> =
        object::list(answer, "status.repository.additionalTags").iter().filter_map(Value::as_str).collect();
    if !more.is_empty() {
        session.say(&format!(
            "\ninfo: The remote repository contained {} additional tags which were not imported: {}",
            more.len(),
            more.join(", ")
        ))?;
    }
    for failure in &failures {
        session.remark(&format!("error: {failure}"))?;
    }
    if failures.is_empty() {
        return Ok(ExitStatus::SUCCESS);
    }
    if session.era() == Era::V4 {
        bail!("imported completed with errors");
    }
    Err(Silent(ExitStatus::FAILURE).into())
}

fn is_failure(entry: &Value) -> bool {
    object::text(entry, "status.status") == "Failure"
}

fn failures(answer: &Value) -> Vec<String> {
    let mut out = Vec::new();
    let message = |entry: &Value| object::text(entry, "status.message").to_owned();
    let tag = |entry: &Value| match object::text(entry, "tag") {
        "" => object::text(entry, "image.metadata.name").to_owned(),
        tag => tag.to_owned(),
    };
    for image in object::list(answer, "status.images").iter().filter(|image| is_failure(image)) {
        out.push(format!("tag {} failed: {}", tag(image), message(image)));
    }
    if let Some(repository) = object::at(answer, "status.repository") {
        if is_failure(repository) {
            out.push(format!("repository failed: {}", message(repository)));
        }
        for image in object::list(repository, "images").iter().filter(|image| is_failure(image)) {
            out.push(format!("repository tag {} failed: {}", tag(image), message(image)));
        }
    }
    out
}
