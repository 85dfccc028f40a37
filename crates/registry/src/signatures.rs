//! `/extensions/v2/<name>/signatures/<digest>`: signatures of images, as `atomic` and `skopeo` keep them.
//!
//! They are objects of the API; here they only change their form. Who may read the image may read its signatures;
//! writing them is a right of its own, in the whole cluster.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use pierhead_images::{DryRun, Images};
use pierhead_oci::{Digest, Reference};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::body::RequestBody;
use crate::call::Call;
use crate::error::RegistryError;
use crate::response::{self, Response};
use crate::route::Repository;

/// Longest signature that is read, in bytes.
const MAX_BYTES: usize = 256 << 10;

/// The only form of signatures there is.
const SCHEMA_VERSION: u32 = 2;

/// A signature as clients send and get it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signature {
    schema_version: u32,
    /// The image's digest, `@`, and the signature's own name.
    name: String,
    #[serde(rename = "type")]
    kind: String,
    /// In base64.
    content: String,
}

#[derive(Serialize)]
struct SignatureList {
    signatures: Vec<Signature>,
}

/// `GET /extensions/v2/<name>/signatures/<digest>`.
pub(crate) async fn get(
    images: &Images,
    call: &Call<'_>,
    repository: &Repository,
    digest: &Digest,
) -> Result<Response, RegistryError> {
    let permit = call.permit_pull(repository)?;
    images.manifest(&permit, &Reference::Digest(digest.clone())).await?;
    let image = images.image(&digest.to_string())?;
    let signatures = image.map(|image| image.signatures).unwrap_or_default();
    let signatures = signatures.iter().map(|signature| Signature {
        schema_version: SCHEMA_VERSION,
        name: signature.metadata.name.clone(),
        kind: signature.signature_type.clone(),
        content: STANDARD.encode(signature.content.as_slice()),
    });
    Ok(response::json(StatusCode::OK, &SignatureList { signatures: signatures.collect() }))
}

/// `PUT /extensions/v2/<name>/signatures/<digest>` adds a signature (201), unless there is one of that name (409).
pub(crate) async fn put(
    images: &Images,
    call: &Call<'_>,
    body: RequestBody,
    repository: &Repository,
    digest: &Digest,
) -> Result<Response, RegistryError> {
    let permit = call.permit_sign(repository)?;
    let bytes = body.gather(MAX_BYTES).await?;
    let signature: Signature =
        serde_json::from_slice(&bytes).map_err(|error| RegistryError::signature_invalid(&error))?;
    let of_image = signature.name.strip_prefix(&digest.to_string()).and_then(|rest| rest.strip_prefix('@'));
    if signature.schema_version != SCHEMA_VERSION || of_image.is_none_or(str::is_empty) {
        let expected = SignatureForm { digest: digest.clone() };
        return Err(RegistryError::signature_invalid(&expected));
    }
    let object = json!({
        "metadata": { "name": signature.name }, "type": signature.kind, "content": signature.content,
    });
    let object = serde_json::from_value(object).map_err(|error| RegistryError::signature_invalid(&error))?;
    images.create_signature(&permit, object, DryRun::No).await?;
    Ok(response::empty(StatusCode::CREATED))
}

/// A signature is not of the form that its image needs.
#[derive(Debug, thiserror::Error)]
#[error("a signature has schemaVersion {SCHEMA_VERSION} and a name of the form {digest}@<name>")]
struct SignatureForm {
    digest: Digest,
}
