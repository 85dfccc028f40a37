//! Rules of what is asked of a deployment configuration.

use super::super::{DeploymentConfig, DeploymentConfigRollback, DeploymentLogOptions, DeploymentRequest};
use crate::field::FieldErrors;
use crate::name;

const MISSING: &str = "name of the deployment config is missing";
const INVALID: &str = "name of the deployment config is invalid";

impl DeploymentRequest {
    /// The request alone, and whether `config` takes it now.
    pub fn validate_for(&self, config: &DeploymentConfig) -> FieldErrors {
        let mut errors = FieldErrors::new();
        if self.name.is_empty() {
            errors.invalid("name", "", MISSING);
        } else if !name::is_dns1123_subdomain(&self.name) {
            errors.invalid("name", self.name.as_str(), INVALID);
        } else if self.name != config.metadata.name {
            let detail = "name of the deployment config must match the name in the path";
            errors.invalid("name", self.name.as_str(), detail);
        }
        if config.spec.paused {
            let name = &config.metadata.name;
            let detail =
                format!("deployment config {name:?} is paused - unpause to request a new deployment");
            errors.invalid("spec.paused", true, detail);
        }
        errors
    }
}

impl DeploymentConfigRollback {
    /// Name and revision, as the subresource `rollback` wants them.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = FieldErrors::new();
        if self.name.is_empty() {
            errors.required("name", MISSING);
        } else if !name::is_dns1123_subdomain(&self.name) {
            errors.invalid("name", self.name.as_str(), INVALID);
        }
        if self.spec.revision < 0 {
            errors.invalid("spec.revision", self.spec.revision, "must be non-negative");
        }
        errors
    }

    /// The replication controller, as `deploymentconfigrollbacks` of 2016 wants it.
    pub fn validate_by_controller(&self) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let from = &self.spec.from;
        if from.name.is_empty() {
            errors.required("spec.from.name", "");
        }
        if !matches!(from.kind.as_str(), "" | "ReplicationController") {
            let detail = "the kind of the rollback target must be 'ReplicationController'";
            errors.invalid("spec.from.kind", from.kind.as_str(), detail);
        }
        errors
    }
}

impl DeploymentLogOptions {
    /// Versions and numbers of lines.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = FieldErrors::new();
        if let Some(lines) = self.tail_lines
            && lines < 0
        {
            errors.invalid("tailLines", lines, super::NOT_NEGATIVE);
        }
        if let Some(bytes) = self.limit_bytes
            && bytes < 1
        {
            errors.invalid("limitBytes", bytes, "must be greater than 0");
        }
        match (self.since_seconds, self.since_time) {
            (Some(_), Some(_)) => {
                errors.forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified");
            }
            (Some(seconds), None) if seconds < 1 => {
                errors.invalid("sinceSeconds", seconds, "must be greater than 0");
            }
            _ => {}
        }
        if let Some(version) = self.version {
            if version <= 0 {
                errors.invalid("version", version, "deployment version must be greater than 0");
            }
            if self.previous {
                errors.invalid("previous", true, "cannot use previous when a version is specified");
            }
        }
        errors
    }
}
