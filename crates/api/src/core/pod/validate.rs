//! Rules of pods and pod templates, with the texts of the field errors (platform 1.9).

use crate::core::{Pod, PodSpec, PodTemplateSpec};
use crate::field::FieldErrors;
use crate::name;

impl Pod {
    /// Metadata and spec.
    pub fn validate(&self) -> FieldErrors {
        let mut errors =
            name::validate_metadata(&self.metadata, name::Scope::Namespaced, name::dns1123_subdomain);
        self.spec.validate_into("spec", &mut errors);
        errors
    }
}

impl PodTemplateSpec {
    /// Labels, annotations and spec, with `path` in front of the fields.
    pub fn validate(&self, path: &str) -> FieldErrors {
        let mut errors = FieldErrors::new();
        self.spec.validate_into(&format!("{path}.spec"), &mut errors);
        errors
    }

    /// Those of [`PodTemplateSpec::validate`]; pods of a controller always restart and have no deadline.
    pub fn validate_for_controller(&self, path: &str) -> FieldErrors {
        let mut errors = self.validate(path);
        let policy = self.spec.restart_policy.as_str();
        if policy != "Always" && !policy.is_empty() {
            errors.not_supported(format!("{path}.spec.restartPolicy"), policy, &["Always"]);
        }
        errors
    }
}

impl PodSpec {
    fn validate_into(&self, path: &str, errors: &mut FieldErrors) {
        if self.containers.is_empty() {
            errors.required(format!("{path}.containers"), "");
        }
    }
}
