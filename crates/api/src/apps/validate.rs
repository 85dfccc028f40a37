//! Rules of deployment configurations and of what is asked of them, with the texts of platform 8.1 and 8.4.

mod hooks;
mod requests;
mod strategy;

use std::collections::BTreeSet;

use serde_json::json;

use super::{
    DEFAULT_TIMEOUT_SECONDS, DeploymentConfig, DeploymentConfigSpec, DeploymentConfigStatus,
    DeploymentTriggerImageChangeParams, trigger,
};
use crate::core::PodTemplateSpec;
use crate::field::FieldErrors;
use crate::name::{self, Scope};

const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

impl DeploymentConfig {
    /// Metadata, triggers, strategy, template, selector, numbers.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, Scope::Namespaced, name::dns1123_subdomain);
        self.spec.validate(&mut errors);
        self.status.validate(&mut errors);
        errors
    }

    /// The rules of a change: those of the object, and that versions do not go back.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        self.status.validate_after(&old.status, &mut errors);
        errors
    }

    /// The rules of a new status.
    pub fn validate_status_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        self.status.validate(&mut errors);
        self.status.validate_after(&old.status, &mut errors);
        errors
    }
}

impl DeploymentConfigStatus {
    fn validate(&self, errors: &mut FieldErrors) {
        let numbers = [
            ("latestVersion", self.latest_version),
            ("observedGeneration", self.observed_generation),
            ("replicas", self.replicas.into()),
            ("readyReplicas", self.ready_replicas.into()),
            ("availableReplicas", self.available_replicas.into()),
            ("unavailableReplicas", self.unavailable_replicas.into()),
        ];
        for (field, number) in numbers {
            not_negative(format!("status.{field}"), number, errors);
        }
    }

    fn validate_after(&self, old: &Self, errors: &mut FieldErrors) {
        let numbers = [
            ("latestVersion", self.latest_version, old.latest_version),
            ("observedGeneration", self.observed_generation, old.observed_generation),
        ];
        for (field, new, old) in numbers {
            if new < old {
                errors.invalid(format!("status.{field}"), new, format!("{field} cannot be decremented"));
            }
        }
    }
}

fn not_negative(field: String, number: i64, errors: &mut FieldErrors) {
    if number < 0 {
        errors.invalid(field, number, NOT_NEGATIVE);
    }
}

impl DeploymentConfigSpec {
    fn validate(&self, errors: &mut FieldErrors) {
        for (index, trigger) in self.triggers().iter().enumerate() {
            let field = format!("spec.triggers[{index}]");
            if trigger.trigger_type.is_empty() {
                errors.required(format!("{field}.type"), "");
            }
            if trigger.trigger_type == trigger::IMAGE_CHANGE {
                let field = format!("{field}.imageChangeParams");
                match &trigger.image_change_params {
                    Some(params) => params.validate(&field, errors),
                    None => errors.required(field, ""),
                }
            }
        }
        if let Some(template) = &self.template {
            self.strategy.validate(&template.spec, errors);
        }
        if let Some(limit) = self.revision_history_limit {
            not_negative("spec.revisionHistoryLimit".into(), limit.into(), errors);
        }
        self.validate_readiness(errors);
        match &self.template {
            Some(template) => self.validate_template(template, errors),
            None => errors.required("spec.template", ""),
        }
        if self.replicas < 0 {
            errors.invalid("spec.replicas", self.replicas, "replicas cannot be negative");
        }
        if self.selector.is_empty() {
            errors.invalid("spec.selector", json!(self.selector), "selector cannot be empty");
        }
    }

    /// A pod must have time to be ready for long enough.
    fn validate_readiness(&self, errors: &mut FieldErrors) {
        const FIELD: &str = "spec.minReadySeconds";
        let wanted = i64::from(self.min_ready_seconds);
        not_negative(FIELD.into(), wanted, errors);
        let rolling = self.strategy.rolling_params.as_ref().and_then(|params| params.timeout_seconds);
        let recreate = self.strategy.recreate_params.as_ref().and_then(|params| params.timeout_seconds);
        let timeout = rolling.or(recreate).unwrap_or(DEFAULT_TIMEOUT_SECONDS);
        if timeout > 0 && wanted >= timeout {
            let detail = format!("must be less than the deployment timeout ({timeout}s)");
            errors.invalid(FIELD, self.min_ready_seconds, detail);
        }
        if let Some(deadline) = self.strategy.active_deadline_seconds
            && wanted >= deadline
        {
            let detail =
                format!("must be less than activeDeadlineSeconds ({deadline}s - used by the deployer pod)");
            errors.invalid(FIELD, self.min_ready_seconds, detail);
        }
    }

    fn validate_template(&self, template: &PodTemplateSpec, errors: &mut FieldErrors) {
        const FIELD: &str = "spec.template";
        let labels = &template.metadata.labels;
        if !self.selector.is_empty()
            && !self.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        {
            let detail = "`selector` does not match template `labels`";
            errors.invalid(format!("{FIELD}.metadata.labels"), json!(labels), detail);
        }
        // An image may be left to a trigger, and may be blank or have blanks around it, as clients of 2016 wrote it: the
        // rollout trims it. The rules of pods know neither.
        let from_triggers: BTreeSet<&str> = self
            .image_triggers()
            .flat_map(|params| params.container_names.iter().map(String::as_str))
            .collect();
        let mut template = template.clone();
        let pod = &mut template.spec;
        for container in pod.containers.iter_mut().chain(&mut pod.init_containers) {
            let image = container.image.trim();
            container.image = match image {
                "" if from_triggers.contains(container.name.as_str()) || !container.image.is_empty() => {
                    "unset".into()
                }
                image => image.into(),
            };
        }
        errors.append(template.validate_for_controller(FIELD));
    }
}

impl DeploymentTriggerImageChangeParams {
    fn validate(&self, field: &str, errors: &mut FieldErrors) {
        let from = &self.from;
        if from.name.is_empty() {
            errors.required(format!("{field}.from"), "");
        } else {
            if from.kind != "ImageStreamTag" {
                let detail = "kind must be an ImageStreamTag";
                errors.invalid(format!("{field}.from.kind"), from.kind.as_str(), detail);
            }
            match from.name.split_once(':') {
                Some((stream, tag)) if !stream.is_empty() && !tag.is_empty() && !tag.contains(':') => {
                    let problems = name::path_segment(stream);
                    if !problems.is_empty() {
                        errors.invalid(format!("{field}.from.name"), from.name.as_str(), problems.join(", "));
                    }
                }
                _ => {
                    let detail = "must be in the form of <name>:<tag>";
                    errors.invalid(format!("{field}.from.name"), from.name.as_str(), detail);
                }
            }
            if !from.namespace.is_empty() && !name::is_dns1123_subdomain(&from.namespace) {
                let detail = "namespace must be a valid subdomain";
                errors.invalid(format!("{field}.from.namespace"), from.namespace.as_str(), detail);
            }
        }
        if self.container_names.is_empty() {
            errors.required(format!("{field}.containerNames"), "");
        }
    }
}

#[cfg(test)]
mod tests;
