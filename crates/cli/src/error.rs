//! Errors as the user reads them: one line on stderr, in kubectl's forms.

use std::io;

use pierhead_api::meta::{Status, StatusReason};
use pierhead_client::ClientError;

use crate::environment::ExitStatus;

/// Ends the command with a code and no further message: what there was to say is said.
#[derive(Debug, thiserror::Error)]
#[error("exit {}", .0.0)]
pub(crate) struct Silent(pub(crate) ExitStatus);

/// Fails because nobody is logged in.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct LoginNeeded(pub(crate) String);

/// Fails because something did not happen in time.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TimedOut(pub(crate) String);

/// The words cannot mean anything, whatever the server holds.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// How the process ends for this error (demand 3.1).
pub(crate) fn exit_status(error: &anyhow::Error) -> ExitStatus {
    let client = error.chain().find_map(|cause| cause.downcast_ref::<ClientError>());
    if client.is_some_and(|error| error.is_unauthorized() || was_nobody(error)) || error.is::<LoginNeeded>() {
        ExitStatus::LOGIN_NEEDED
    } else if matches!(client, Some(ClientError::Timeout { .. })) || error.is::<TimedOut>() {
        ExitStatus::TIMED_OUT
    } else if error.is::<Usage>() {
        ExitStatus::USAGE
    } else {
        ExitStatus::FAILURE
    }
}

/// Whether something was refused to whoever says nothing of who they are.
fn was_nobody(error: &ClientError) -> bool {
    error.is_forbidden() && error.to_string().contains("User \"system:anonymous\" cannot ")
}

/// How the process ends where `failed` of several things did not work and `done` did.
pub(crate) fn exit_status_of_many(done: usize, failed: usize) -> ExitStatus {
    match (done, failed) {
        (_, 0) => ExitStatus::SUCCESS,
        (0, _) => ExitStatus::FAILURE,
        _ => ExitStatus::PARTIAL,
    }
}

/// Whether the reader of our output is gone; that is not a failure.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// The text for an error, without a final newline.
pub(crate) fn render(error: &anyhow::Error) -> String {
    match error.downcast_ref::<ClientError>() {
        Some(error) => render_client(error),
        None => format!("error: {}", in_one(error)),
    }
}

/// The error and its causes; a cause whose text the error has taken into its own is not said twice.
fn in_one(error: &anyhow::Error) -> String {
    error.chain().skip(1).map(ToString::to_string).fold(error.to_string(), |text, cause| {
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

/// The text for an error of the client.
pub(crate) fn render_client(error: &ClientError) -> String {
    match error {
        ClientError::Api(status) => render_status(status),
        ClientError::Transport(error) => error.to_string(),
        error => format!("error: {error}"),
    }
}

fn render_status(status: &Status) -> String {
    match status.reason {
        Some(StatusReason::Unauthorized) => {
            format!("error: You must be logged in to the server ({})", status.message)
        }
        Some(StatusReason::Invalid) => render_invalid(status),
        None | Some(StatusReason::Unknown) => format!("Error from server: {}", status.message),
        Some(reason) => format!("Error from server ({reason:?}): {}", status.message),
    }
}

fn render_invalid(status: &Status) -> String {
    let Some(details) = &status.details else { return format!("The request is invalid: {}", status.message) };
    let subject = format!("The {} {:?} is invalid", details.kind, details.name);
    let causes: Vec<String> = details
        .causes
        .iter()
        .map(|cause| match cause.field.as_str() {
            "" => cause.message.clone(),
            field => format!("{field}: {}", cause.message),
        })
        .collect();
    match causes.as_slice() {
        [] => subject,
        [cause] => format!("{subject}: {cause}"),
        causes => format!("{subject}: \n* {}", causes.join("\n* ")),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use pierhead_api::meta::{Status, StatusCause, StatusDetails, StatusReason};
    use pierhead_client::ClientError;

    use super::render;

    #[track_caller]
    fn check(status: Status, expected: &str) {
        assert_eq!(render(&anyhow::Error::from(ClientError::Api(Box::new(status)))), expected);
    }

    #[test]
    fn errors_read_as_those_of_kubectl() {
        check(
            Status::failure(404, StatusReason::NotFound, "routes.route.openshift.io \"x\" not found"),
            "Error from server (NotFound): routes.route.openshift.io \"x\" not found",
        );
        check(
            Status::failure(401, StatusReason::Unauthorized, "Unauthorized"),
            "error: You must be logged in to the server (Unauthorized)",
        );
        let cause = |field: &str, message: &str| StatusCause {
            field: field.into(),
            message: message.into(),
            ..StatusCause::default()
        };
        let mut invalid = Status::failure(422, StatusReason::Invalid, "whatever");
        let mut details =
            StatusDetails { kind: "Route".into(), name: "x".into(), ..StatusDetails::default() };
        details.causes = vec![cause("spec.host", "Invalid value")];
        invalid.details = Some(details.clone());
        check(invalid.clone(), "The Route \"x\" is invalid: spec.host: Invalid value");
        details.causes.push(cause("", "more"));
        invalid.details = Some(details);
        check(invalid, "The Route \"x\" is invalid: \n* spec.host: Invalid value\n* more");
        assert_eq!(render(&anyhow!("no such thing")), "error: no such thing");
        let nested = anyhow!("line 1").context("bad YAML: line 1").context("unable to read x");
        assert_eq!(render(&nested), "error: unable to read x: bad YAML: line 1");
    }
}
