//! Rules of hooks.

use super::super::{ExecNewPodHook, LifecycleHook, TagImageHook};
use crate::core::{EnvVar, PodSpec};
use crate::field::FieldErrors;

impl LifecycleHook {
    pub(super) fn validate(&self, pod: &PodSpec, field: &str, errors: &mut FieldErrors) {
        if self.failure_policy.is_empty() {
            errors.required(format!("{field}.failurePolicy"), "");
        }
        match &self.exec_new_pod {
            Some(_) if !self.tag_images.is_empty() => {
                let detail = "only one of 'execNewPod' or 'tagImages' may be specified";
                errors.invalid(field, "<hook>", detail);
            }
            Some(pod) => pod.validate(&format!("{field}.execNewPod"), errors),
            None if self.tag_images.is_empty() => {
                errors.invalid(field, "<empty>", "One of execNewPod or tagImages must be specified");
            }
            None => {
                for (index, tag) in self.tag_images.iter().enumerate() {
                    tag.validate(pod, &format!("{field}.tagImages[{index}]"), errors);
                }
            }
        }
    }
}

impl TagImageHook {
    fn validate(&self, pod: &PodSpec, field: &str, errors: &mut FieldErrors) {
        let wanted = self.container_name.as_str();
        if wanted.is_empty() {
            errors.required(format!("{field}.containerName"), "a containerName is required");
        } else if !pod.containers.iter().chain(&pod.init_containers).any(|known| known.name == wanted) {
            let detail = format!("no container {wanted:?} found");
            errors.invalid(format!("{field}.containerName"), wanted, detail);
        }
        if self.to.kind != "ImageStreamTag" {
            errors.invalid(format!("{field}.to.kind"), self.to.kind.as_str(), "Must be 'ImageStreamTag'");
        }
        if self.to.name.is_empty() {
            errors.required(format!("{field}.to.name"), "a destination tag name is required");
        }
    }
}

impl ExecNewPodHook {
    fn validate(&self, field: &str, errors: &mut FieldErrors) {
        if self.command.is_empty() {
            errors.required(format!("{field}.command"), "");
        }
        if self.container_name.is_empty() {
            errors.required(format!("{field}.containerName"), "");
        }
        validate_env(&self.env, &format!("{field}.env"), errors);
        for (index, volume) in self.volumes.iter().enumerate() {
            if volume.is_empty() {
                errors.invalid(format!("{field}.volumes[{index}]"), "", "must not be empty");
            }
        }
    }
}

const VARIABLE_NAME: &str = "a valid C identifier must start with alphabetic character or '_', followed by a string \
                             of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex \
                             used for validation is '[A-Za-z_][A-Za-z0-9_]*')";

/// Variables of pods that deployers make have names a shell understands.
pub(super) fn validate_env(variables: &[EnvVar], field: &str, errors: &mut FieldErrors) {
    for (index, variable) in variables.iter().enumerate() {
        let field = format!("{field}[{index}].name");
        let name = variable.name.as_str();
        if name.is_empty() {
            errors.required(field.clone(), "");
        }
        let starts = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        if !starts || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            errors.invalid(field, name, VARIABLE_NAME);
        }
    }
}
