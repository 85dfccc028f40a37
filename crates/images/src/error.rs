//! What can go wrong, in the words of streams, tags and images. Statuses and codes are the servers' business.

use pierhead_api::field::{FieldErrors, FieldProblem};
use pierhead_blobs::{BlobError, UploadId};
use pierhead_oci::{Digest, Tag};
use pierhead_quota::{ChargeError, LimitExceeded};
use pierhead_store::{ChangesError, StoreError};

/// Why something could not be read from a repository.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// There is no such stream.
    #[error("there is no repository {namespace}/{name}")]
    RepositoryUnknown {
        /// Namespace asked in.
        namespace: String,
        /// Stream asked for.
        name: String,
    },
    /// The tag does not exist, points at no image, or the digest is not of this repository.
    #[error("manifest {reference} is not in {namespace}/{name}")]
    ManifestUnknown {
        /// Namespace asked in.
        namespace: String,
        /// Stream asked in.
        name: String,
        /// Tag or digest asked for.
        reference: String,
    },
    /// The blob is not of this repository, or its file is lost or damaged: pushing it again helps.
    #[error("blob {digest} is not in {namespace}/{name}")]
    BlobUnknown {
        /// Namespace asked in.
        namespace: String,
        /// Stream asked in.
        name: String,
        /// Blob asked for.
        digest: Digest,
    },
    /// Reading bytes failed.
    #[error("reading a blob")]
    Blob(#[from] BlobError),
    /// Reading rows failed.
    #[error("reading image metadata")]
    Store(#[from] StoreError),
}

/// Why a manifest was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The stream does not exist and the caller may not create it.
    #[error("there is no stream {namespace}/{name}, and it may not be created")]
    StreamMissing {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Blobs the manifest lists are not in the repository.
    #[error("{} blobs that the manifest lists are not in the repository", digests.len())]
    MissingBlobs {
        /// Which ones, in the order of the manifest.
        digests: Vec<Digest>,
    },
    /// Manifests the index lists are not in the repository.
    #[error("{} manifests that the index lists are not in the repository", digests.len())]
    MissingManifests {
        /// Which ones, in the order of the index.
        digests: Vec<Digest>,
    },
    /// A blob has another length than the manifest says.
    #[error("blob {digest} has {actual} bytes, and the manifest says {expected}")]
    SizeMismatch {
        /// Which blob.
        digest: Box<Digest>,
        /// What the manifest says.
        expected: u64,
        /// How long it is.
        actual: u64,
    },
    /// The manifest was pushed under a digest it does not have.
    #[error("the manifest has digest {actual}, not {expected}")]
    DigestMismatch {
        /// What the client named.
        expected: Box<Digest>,
        /// What the bytes hash to.
        actual: Box<Digest>,
    },
    /// Indexes are nested too deeply.
    #[error("indexes are nested more than {limit} levels deep")]
    TooDeep {
        /// How many levels are taken.
        limit: u8,
    },
    /// A quota or a limit of the namespace does not allow it; the text is theirs.
    #[error("{reason}")]
    Refused {
        /// What they say.
        reason: String,
    },
    /// Looking at quotas failed.
    #[error("charging quotas")]
    Quota(#[source] ChargeError),
    /// Storing a large manifest failed.
    #[error("storing the manifest as a blob")]
    Blob(#[from] BlobError),
    /// The stored config or the manifest disappeared while it was looked at, or could not be kept.
    #[error("storing the manifest's bytes")]
    Bytes(#[from] pierhead_blobs::UploadError),
    /// Writing rows failed.
    #[error("storing the manifest")]
    Store(#[from] StoreError),
}

/// Why a stream was not made, or not changed as somebody wanted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotMade {
    /// Its namespace is gone, or going.
    #[error("there is no namespace {namespace} for a stream {name}")]
    NoNamespace {
        /// The namespace.
        namespace: String,
        /// The stream.
        name: String,
    },
    /// A quota does not allow another stream.
    #[error("stream {name}: {error}")]
    Charged {
        /// The stream.
        name: String,
        /// What the quota says, or what failed.
        error: ChargeError,
    },
    /// The stream would have more than a limit allows.
    #[error("stream {name}: {exceeded}")]
    Limited {
        /// The stream.
        name: String,
        /// More of what.
        exceeded: LimitExceeded,
    },
    /// Writing rows failed.
    #[error("storing a stream")]
    Store(#[from] StoreError),
}

impl NotMade {
    /// As writes of a stream's spec tell it: there a limit makes the object invalid (images 3.2).
    pub(crate) fn of_spec(self) -> StreamError {
        let Self::Limited { name, exceeded } = self else { return self.into() };
        let mut errors = FieldErrors::new();
        let detail = format!("imagestreams \"{name}\" is forbidden: {exceeded}");
        errors.push("[]", FieldProblem::Internal { detail });
        StreamError::Invalid { kind: "ImageStream", name, errors }
    }
}

impl From<NotMade> for PushError {
    fn from(error: NotMade) -> Self {
        match error {
            NotMade::NoNamespace { namespace, name } => Self::StreamMissing { namespace, name },
            NotMade::Charged { error: ChargeError::Refused(refusal), .. } => {
                Self::Refused { reason: refusal.to_string() }
            }
            NotMade::Charged { error, .. } => Self::Quota(error),
            NotMade::Limited { exceeded, .. } => exceeded.into(),
            NotMade::Store(error) => Self::Store(error),
        }
    }
}

impl From<LimitExceeded> for PushError {
    fn from(exceeded: LimitExceeded) -> Self {
        Self::Refused { reason: exceeded.to_string() }
    }
}

impl From<NotMade> for StreamError {
    fn from(error: NotMade) -> Self {
        match error {
            NotMade::NoNamespace { namespace, .. } => {
                Self::NotFound { resource: "namespaces", name: namespace }
            }
            NotMade::Charged { name, error: ChargeError::Refused(refusal) } => {
                Self::Forbidden { resource: "imagestreams", name, why: refusal.to_string() }
            }
            NotMade::Charged { error, .. } => Self::Quota(error),
            NotMade::Limited { name, exceeded } => {
                Self::Forbidden { resource: "imagestreams", name, why: exceeded.to_string() }
            }
            NotMade::Store(error) => Self::Store(error),
        }
    }
}

/// Why something was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// There is no such stream.
    #[error("there is no repository {namespace}/{name}")]
    RepositoryUnknown {
        /// Namespace asked in.
        namespace: String,
        /// Stream asked in.
        name: String,
    },
    /// There is no such tag.
    #[error("there is no tag {tag}")]
    TagUnknown {
        /// Which one.
        tag: Tag,
    },
    /// The manifest is not of this repository.
    #[error("manifest {digest} is not in the repository")]
    ManifestUnknown {
        /// Which one.
        digest: Digest,
    },
    /// The blob is not of this repository.
    #[error("blob {digest} is not in the repository")]
    BlobUnknown {
        /// Which one.
        digest: Digest,
    },
    /// Removing bytes failed.
    #[error("removing a blob")]
    Bytes(#[from] BlobError),
    /// Writing rows failed.
    #[error("deleting")]
    Store(#[from] StoreError),
}

/// Why an upload or a mount did not go on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// No such upload of this caller in this repository: never started, finished, cancelled, expired or foreign.
    #[error("upload {id} is not open")]
    Unknown {
        /// What was asked for.
        id: UploadId,
    },
    /// Another request is writing to it and did not finish in time.
    #[error("upload {id} is being written by another request")]
    Busy {
        /// Which one.
        id: UploadId,
    },
    /// The namespace is gone or going: its repositories take nothing new.
    #[error("there is no stream {namespace}/{name}, and it may not be created")]
    StreamMissing {
        /// The namespace.
        namespace: String,
        /// The stream.
        name: String,
    },
    /// A quota or a limit of the namespace does not allow it; the text is theirs.
    #[error("{reason}")]
    Refused {
        /// What they say.
        reason: String,
    },
    /// Looking at quotas failed.
    #[error("charging quotas")]
    Quota(#[source] ChargeError),
    /// The caller has as many unfinished uploads as one may have.
    #[error("there are {limit} unfinished uploads already")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The blob would be longer than any may be.
    #[error("blobs may have at most {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The bytes do not have the promised digest. The upload is gone.
    #[error("the uploaded bytes have digest {actual}, not {expected}")]
    DigestMismatch {
        /// What the client promised.
        expected: Box<Digest>,
        /// What the bytes hash to.
        actual: Box<Digest>,
    },
    /// The disk is full. What was half-written is removed.
    #[error("no space left for blobs")]
    OutOfSpace,
    /// Writing bytes failed.
    #[error("writing a blob")]
    Blob(#[source] BlobError),
    /// Writing rows failed.
    #[error("recording a blob")]
    Store(#[from] StoreError),
}

impl From<pierhead_blobs::UploadError> for UploadError {
    fn from(error: pierhead_blobs::UploadError) -> Self {
        use pierhead_blobs::UploadError as Bytes;
        match error {
            Bytes::Unknown { id } => Self::Unknown { id },
            Bytes::Busy { id } => Self::Busy { id },
            Bytes::DigestMismatch { expected, actual } => Self::DigestMismatch { expected, actual },
            Bytes::Blob(error) => Self::from(error),
        }
    }
}

impl From<BlobError> for UploadError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::OutOfSpace => Self::OutOfSpace,
            other => Self::Blob(other),
        }
    }
}

/// Why an operation of the image API failed (images 3).
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// There is no such object.
    #[error("{resource} \"{name}\" not found")]
    NotFound {
        /// Plural of what is missing: `imagestreams`, `imagestreamtags`, `images` …
        resource: &'static str,
        /// Its name.
        name: String,
    },
    /// There is one already.
    #[error("{resource} \"{name}\" already exists")]
    AlreadyExists {
        /// Plural of what exists.
        resource: &'static str,
        /// Its name.
        name: String,
    },
    /// The caller's version is not the newest.
    #[error("the object has been modified; please apply your changes to the latest version and try again")]
    Conflict {
        /// Plural of what changed.
        resource: &'static str,
        /// Its name.
        name: String,
        /// Its newest resourceVersion.
        newest: String,
    },
    /// The object breaks rules (422).
    #[error("{kind} \"{name}\" is invalid: {errors}")]
    Invalid {
        /// Kind of the object.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What is wrong.
        errors: FieldErrors,
    },
    /// A quota or a limit of the namespace does not allow it (403).
    #[error("{resource} \"{name}\" is forbidden: {why}")]
    Forbidden {
        /// Plural of the object.
        resource: &'static str,
        /// Its name.
        name: String,
        /// What they say.
        why: String,
    },
    /// Looking at quotas failed.
    #[error("charging quotas")]
    Quota(#[source] ChargeError),
    /// A list of what was at a revision that nobody knows any more.
    #[error("reading what was")]
    Past(#[from] ChangesError),
    /// The request makes no sense (400).
    #[error("{message}")]
    BadRequest {
        /// Text for the caller.
        message: String,
    },
    /// A uid or resourceVersion that the caller insisted on is another (409).
    #[error("Precondition failed: {message}")]
    Precondition {
        /// Plural of the object.
        resource: &'static str,
        /// Its name.
        name: String,
        /// Text for the caller.
        message: String,
    },
    /// Keeping a large manifest failed.
    #[error("storing the manifest's bytes")]
    Bytes(#[from] pierhead_blobs::UploadError),
    /// Reading or writing rows failed.
    #[error("storing image metadata")]
    Store(#[from] StoreError),
}

impl StreamError {
    pub(crate) fn not_found(resource: &'static str, name: &str) -> Self {
        Self::NotFound { resource, name: name.to_owned() }
    }

    /// An error if anything is wrong.
    pub(crate) fn invalid_if(kind: &'static str, name: &str, errors: FieldErrors) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self::Invalid { kind, name: name.to_owned(), errors }) }
    }
}
