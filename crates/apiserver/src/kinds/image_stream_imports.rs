//! Imports of images from other registries: `imagestreamimports` (images 5.2).
//!
//! Owns the order of an import: check, find the stream, fetch, write, answer. What is fetched how is `fetch`'s, what a
//! failure is called `failure`'s; what is written is `images`'. That a registry cannot be reached is no failure of the
//! request: it is told in the statuses.

mod failure;
mod fetch;
mod room;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::field::FieldErrors;
use pierhead_api::image::{
    Image, ImageImportStatus, ImageStream, ImageStreamImport, RepositoryImportStatus, TagImportPolicy,
    TagReferencePolicy,
};
use pierhead_api::meta::{Status, StatusReason};
use pierhead_api::{core, from_value, to_value};
use pierhead_auth::Attributes;
use pierhead_client::keyring::Keyring;
use pierhead_images::{FetchedImage, ImportOutcome, ImportWrite, SeenStream, StreamError, TagImport};
use pierhead_oci::ImageReference;
use serde_json::Value;
use tracing::debug;

use super::access_reviews::read;
use super::image_streams::docker_secrets;
use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::kind::{Connect, Kind, Verb};
use crate::metadata;
use crate::query::{DryRun, WriteOptions};
use crate::server::NamespaceState;
use crate::storage::image_streams::tried;
use fetch::{Fetched, Fetcher, Found};
use room::Room;

const GROUP: &str = "image.openshift.io";
const STREAMS: &str = "imagestreams";

/// Imports.
pub(crate) fn kind() -> Kind {
    Kind::calls::<ImageStreamImport>(&[Verb::Create], Imports { room: Room::default() }).openshift()
}

struct Imports {
    room: Room,
}

impl Connect for Imports {
    fn call<'a>(&'a self, call: &'a Call, body: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        async move {
            let options = WriteOptions::parse(&call.query, "CreateOptions")?;
            let import = accepted(call, &body.unwrap_or_default())?;
            self.run(call, import, options.dry_run).await
        }
        .boxed()
    }
}

impl Imports {
    async fn run(
        &self,
        call: &Call,
        mut import: ImageStreamImport,
        dry_run: DryRun,
    ) -> Result<Answer, ApiError> {
        let stream = existing(call, &import)?;
        let Some(egress) = call.server.config.egress.clone() else {
            return Err(Status::service_unavailable("importing images is switched off on this server").into());
        };
        let keyring = keyring(call)?;
        let fetcher = Fetcher::new(egress, keyring, stream.as_ref(), &call.server.config, self.room.clone());
        // Other registries take their time; the caller's imports are counted, and nobody waits for them.
        let _counted = call.go_on_apart()?;
        call.turn.give_back();
        let mut found = fetcher.run(&import.spec).await;
        refuse_sizes(call, &mut found)?;
        fill_statuses(&mut import, &found, call);
        if import.spec.import {
            let write = write_of(&import, &found);
            let applied = call.server.images.apply_import(&call.permit, write, tried(dry_run)).await;
            import.status.import = Some(applied.map_err(|error| collided(&import, error))?);
        }
        Ok(Answer::created(to_value(&import)))
    }
}

/// The import as it was asked for, with defaults, if it makes sense and is allowed.
fn accepted(call: &Call, document: &Value) -> Result<ImageStreamImport, ApiError> {
    let namespace = call.namespace();
    let sent = metadata::text(document, "namespace");
    if !sent.is_empty() && sent != namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )
        .into());
    }
    let mut import: ImageStreamImport = read(document)?;
    namespace.clone_into(&mut import.metadata.namespace);
    import.status = pierhead_api::image::ImageStreamImportStatus::default();
    import.set_defaults();
    let name = &import.metadata.name;
    match call.server.namespace_state(namespace)? {
        NamespaceState::Open => {}
        // A plain 404 would send clients of 2016 down another road (images 1.3).
        NamespaceState::Missing => return Err(Status::not_found("namespaces", "", namespace).into()),
        NamespaceState::Terminating => {
            let why = format!("namespace {namespace} is being terminated");
            return Err(call.forbidden(name, &why).into());
        }
    }
    let mut errors = import.validate();
    if errors.is_empty() && !may_import_anything(call) {
        refuse_registries(call, &import, &mut errors);
    }
    if errors.is_empty() {
        return Ok(import);
    }
    Err(Status::invalid("ImageStreamImport", GROUP, name, &errors).into())
}

/// The second resource is written so since the first version of it (images 3.9).
fn may_import_anything(call: &Call) -> bool {
    ["images", "imagestreammapping"].iter().any(|resource| {
        let attributes = Attributes::new("create", GROUP, resource).namespace(call.namespace());
        call.server.auth.allowed(&call.subject, &attributes).allowed
    })
}

fn refuse_registries(call: &Call, import: &ImageStreamImport, errors: &mut FieldErrors) {
    let images = import.spec.images.iter().enumerate();
    let images = images.map(|(index, image)| {
        (format!("spec.images[{index}].from.name"), &image.from.name, image.import_policy.insecure)
    });
    let repository = import.spec.repository.iter().map(|repository| {
        let insecure = repository.import_policy.insecure;
        ("spec.repository.from.name".to_owned(), &repository.from.name, insecure)
    });
    for (field, name, insecure) in images.chain(repository) {
        let reference = name.parse::<ImageReference>().ok();
        let refusal = reference.and_then(|reference| call.server.images.import_refusal(&reference, insecure));
        if let Some(refusal) = refusal {
            errors.forbidden(field, refusal);
        }
    }
}

/// Images that are larger than the project's limits allow have failed, like those that are not there.
fn refuse_sizes(call: &Call, found: &mut Found) -> Result<(), ApiError> {
    let of_repository = found.repository.iter_mut().flat_map(|repository| &mut repository.images);
    for fetched in found.images.iter_mut().chain(of_repository.map(|(_, image)| image)) {
        let Ok(image) = fetched else { continue };
        let refused = call.server.images.size_refusal(call.namespace(), image)?;
        if let Some(exceeded) = refused {
            let name = image.manifest.digest().to_string();
            *fetched = Err(Box::new(Status::forbidden("images", GROUP, &name, exceeded)));
        }
    }
    Ok(())
}

/// The stream to import into, if it is there and the one that the caller saw.
fn existing(call: &Call, import: &ImageStreamImport) -> Result<Option<ImageStream>, ApiError> {
    let (namespace, name) = (call.namespace(), import.metadata.name.as_str());
    let seen = seen(import).unwrap_or_default();
    call.server.images.check_seen(namespace, name, &seen).map_err(|error| collided(import, error))?;
    Ok(call.server.images.stream(namespace, name)?)
}

fn seen(import: &ImageStreamImport) -> Option<SeenStream> {
    let seen = SeenStream {
        uid: import.metadata.uid.clone(),
        resource_version: import.metadata.resource_version.clone(),
    };
    (seen != SeenStream::default()).then_some(seen)
}

/// A failure of `images` in the words of imports.
fn collided(import: &ImageStreamImport, error: StreamError) -> ApiError {
    match error {
        StreamError::Conflict { name, newest, .. } => {
            let seen = &import.metadata.resource_version;
            let why = format!("the image stream was updated from \"{seen}\" to \"{newest}\"");
            Status::conflict(STREAMS, GROUP, &name, why).into()
        }
        other => other.into(),
    }
}

/// The credentials of all docker secrets of the namespace, whatever the caller may read (images 5.5).
fn keyring(call: &Call) -> Result<Keyring, ApiError> {
    let (documents, _) = docker_secrets(call)?;
    let secrets: Vec<core::Secret> =
        documents.iter().filter_map(|document| from_value(document).ok()).collect();
    let keyring = Keyring::from_secrets(&secrets);
    for problem in keyring.problems() {
        debug!(namespace = call.namespace(), secret = %problem.secret, "A secret is of no use for imports: {}", problem.message);
    }
    Ok(keyring)
}

fn fill_statuses(import: &mut ImageStreamImport, found: &Found, call: &Call) {
    let asked = import.spec.images.iter().zip(&found.images);
    import.status.images = asked
        .map(|(image, fetched)| {
            let tag = image.to.as_ref().map(|to| to.name.clone()).unwrap_or_default();
            image_status(fetched, tag, image.include_manifest, call)
        })
        .collect();
    let Some((repository, fetched)) = import.spec.repository.as_ref().zip(found.repository.as_ref()) else {
        return;
    };
    let images: Vec<ImageImportStatus> = fetched
        .images
        .iter()
        .map(|(tag, image)| image_status(image, tag.clone(), repository.include_manifest, call))
        .collect();
    let failed = images.iter().filter(|image| !image.status.is_success()).count();
    let status = match (&fetched.failure, failed) {
        (Some(failure), _) => (**failure).clone(),
        (None, 0) => Status::success(),
        (None, failed) => partly(failed),
    };
    import.status.repository =
        Some(RepositoryImportStatus { status, images, additional_tags: fetched.additional.clone() });
}

/// Some images of a repository failed.
fn partly(failed: usize) -> Status {
    let message = match failed {
        1 => "one of the images from this repository failed to import".to_owned(),
        count => format!("{count} of the images from this repository failed to import"),
    };
    Status::failure(0, StatusReason::ImportFailed, message)
}

fn image_status(fetched: &Fetched, tag: String, with_manifest: bool, call: &Call) -> ImageImportStatus {
    let image = match fetched {
        Ok(image) => image,
        Err(failure) => {
            return ImageImportStatus { status: (**failure).clone(), tag, ..ImageImportStatus::default() };
        }
    };
    let shown = |manifest: &pierhead_images::FetchedManifest, reference: String| {
        let mut object: Image = manifest.image(reference, call.now);
        if !with_manifest {
            object.docker_image_manifest.clear();
            object.docker_image_config.clear();
        }
        object
    };
    let children = image.children.iter();
    ImageImportStatus {
        status: Status::success(),
        image: Some(shown(&image.manifest, image.reference.clone())),
        tag,
        manifests: children.map(|child| shown(child, image.reference_to(child.digest()))).collect(),
    }
}

/// What is to be written: the images that have a tag, then the repository's.
fn write_of(import: &ImageStreamImport, found: &Found) -> ImportWrite {
    let mut tags = Vec::new();
    for (image, fetched) in import.spec.images.iter().zip(&found.images) {
        if let Some(to) = &image.to {
            let policies = (&image.import_policy, &image.reference_policy);
            tags.push(tag_import(&to.name, image.from.name.clone(), policies, fetched));
        }
    }
    let mut repository_failure = None;
    if let Some((repository, fetched)) = import.spec.repository.as_ref().zip(found.repository.as_ref()) {
        repository_failure = fetched.failure.as_ref().map(|failure| failure.message.clone());
        let policies = (&repository.import_policy, &repository.reference_policy);
        for (tag, image) in &fetched.images {
            tags.push(tag_import(tag, format!("{}:{tag}", repository.from.name), policies, image));
        }
    }
    ImportWrite { stream: import.metadata.name.clone(), seen: seen(import), tags, repository_failure }
}

fn tag_import(
    tag: &str,
    from: String,
    (import_policy, reference_policy): (&TagImportPolicy, &TagReferencePolicy),
    fetched: &Fetched,
) -> TagImport {
    let outcome = match fetched {
        Ok(image) => ImportOutcome::Fetched(std::sync::Arc::<FetchedImage>::clone(image)),
        Err(failure) => ImportOutcome::Failed {
            reason: failure.reason.map(|reason| format!("{reason:?}")).unwrap_or_default(),
            message: failure.message.clone(),
        },
    };
    TagImport {
        tag: tag.to_owned(),
        from,
        import_policy: import_policy.clone(),
        reference_policy: reference_policy.clone(),
        outcome,
    }
}
