//! What a failed image is called in the status of an import (images 5.3).
//!
//! Owns the texts. Clients of 2016 and of today match them; those of 2016 know neither groups nor the newer word.

use pierhead_api::field::FieldErrors;
use pierhead_api::meta::{Status, StatusReason};
use pierhead_auth::Era;
use pierhead_client::distribution::RemoteError;
use pierhead_oci::ImageReference;

/// Seconds to wait when a registry that had enough did not say how long.
const PAUSE_S: u32 = 30;

/// An image that was asked for, in the words of its failures.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// As it was asked for.
    pub(super) reference: &'a ImageReference,
    pub(super) era: Era,
}

impl Wanted<'_> {
    /// The status of a failure.
    pub(super) fn failed(&self, error: &RemoteError) -> Status {
        let reference = self.reference.exact();
        match error {
            RemoteError::NotFound => self.not_found(),
            RemoteError::Unauthorized { wrong_password: true, .. } => {
                unauthorized(format!("incorrect username or password for image \"{reference}\""))
            }
            RemoteError::Unauthorized { had_credentials: true, .. } => unauthorized(self.no_access()),
            RemoteError::Unauthorized { .. } => {
                unauthorized(format!("{} and did not have credentials to the repository", self.no_access()))
            }
            RemoteError::UntrustedRealm { .. } => unauthorized(format!("{}: {error}", self.no_access())),
            RemoteError::HttpOnly => Status::bad_request(format!(
                "the repository {} is HTTP only and requires the insecure flag to import",
                self.reference.repository()
            )),
            RemoteError::NotV2 => {
                let registry = self.reference.registry.as_deref().unwrap_or("docker.io");
                let message = format!("registry \"{registry}\" does not support the v2 Registry API");
                Status::failure(403, StatusReason::NotV2Registry, message)
            }
            RemoteError::TooManyRequests { retry_after } => {
                let seconds = retry_after
                    .map_or(PAUSE_S, |wait| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1));
                Status::too_many_requests(format!("{reference}: {error}"), seconds)
            }
            RemoteError::Unavailable { .. }
            | RemoteError::Unexpected { .. }
            | RemoteError::Refused { .. }
            | RemoteError::Rejected { .. }
            | RemoteError::Mismatch { .. }
            | RemoteError::TooLarge { .. }
            | RemoteError::Manifest(_)
            | RemoteError::Malformed { .. }
            | RemoteError::Transport { .. }
            | RemoteError::Timeout { .. } => self.broken(error),
        }
    }

    /// The registry has no such image.
    pub(super) fn not_found(&self) -> Status {
        let group = match self.era {
            Era::V3_2 => "",
            Era::V4 => "image.openshift.io",
        };
        Status::not_found("dockerimage", group, &self.reference.exact())
    }

    /// Anything that has no status of its own.
    pub(super) fn broken(&self, why: impl std::fmt::Display) -> Status {
        Status::internal(format!("{}: {why}", self.reference.exact()))
    }

    fn no_access(&self) -> String {
        let what = match self.era {
            Era::V3_2 => "Docker",
            Era::V4 => "container",
        };
        format!("you may not have access to the {what} image \"{}\"", self.reference.exact())
    }
}

fn unauthorized(message: String) -> Status {
    Status::failure(401, StatusReason::Unauthorized, message)
}

/// What was asked for is no image reference, or none that a registry knows.
pub(super) fn invalid(text: &str, why: impl std::fmt::Display) -> Status {
    let mut errors = FieldErrors::new();
    errors.invalid("from.name", text, why.to_string());
    Status::invalid("DockerImage", "image.openshift.io", text, &errors)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Era, RemoteError, Wanted};

    #[track_caller]
    fn check(era: Era, error: &RemoteError, expected: &str) {
        let reference = "quay.io:81/a/b:1".parse().unwrap();
        let status = Wanted { reference: &reference, era }.failed(error);
        let reason = status.reason.map(|reason| format!("{reason:?}")).unwrap_or_default();
        assert_eq!(format!("{} {reason} {}", status.code, status.message), expected);
    }

    #[test]
    fn failures_have_the_texts_that_clients_know() {
        let unauthorized =
            |had_credentials, wrong_password| RemoteError::Unauthorized { had_credentials, wrong_password };
        check(Era::V3_2, &RemoteError::NotFound, "404 NotFound dockerimage \"quay.io:81/a/b:1\" not found");
        check(
            Era::V4,
            &RemoteError::NotFound,
            "404 NotFound dockerimage.image.openshift.io \"quay.io:81/a/b:1\" not found",
        );
        check(
            Era::V4,
            &unauthorized(true, false),
            "401 Unauthorized you may not have access to the container image \"quay.io:81/a/b:1\"",
        );
        check(
            Era::V3_2,
            &unauthorized(false, false),
            "401 Unauthorized you may not have access to the Docker image \"quay.io:81/a/b:1\" and did not have \
             credentials to the repository",
        );
        check(
            Era::V4,
            &unauthorized(true, true),
            "401 Unauthorized incorrect username or password for image \"quay.io:81/a/b:1\"",
        );
        check(
            Era::V4,
            &RemoteError::HttpOnly,
            "400 BadRequest the repository quay.io:81/a/b is HTTP only and requires the insecure flag to import",
        );
        check(
            Era::V4,
            &RemoteError::NotV2,
            "403 NotV2Registry registry \"quay.io:81\" does not support the v2 Registry API",
        );
        check(
            Era::V4,
            &RemoteError::TooManyRequests { retry_after: Some(Duration::from_secs(7)) },
            "429 TooManyRequests quay.io:81/a/b:1: the registry refuses further requests for now (429)",
        );
        check(
            Era::V4,
            &RemoteError::Unavailable { status: 503 },
            "500 InternalError Internal error occurred: quay.io:81/a/b:1: the registry answered 503",
        );
    }
}
