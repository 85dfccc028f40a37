//! Rules of strategies.

use serde_json::json;

use super::super::{
    DeploymentStrategy, RecreateDeploymentStrategyParams, RollingDeploymentStrategyParams, strategy,
};
use super::{hooks, not_negative};
use crate::IntOrString;
use crate::core::PodSpec;
use crate::field::FieldErrors;
use crate::name;

const FIELD: &str = "spec.strategy";

impl DeploymentStrategy {
    pub(super) fn validate(&self, pod: &PodSpec, errors: &mut FieldErrors) {
        if let Some(params) = &self.custom_params {
            hooks::validate_env(&params.environment, &format!("{FIELD}.customParams.environment"), errors);
        }
        let rolling = self.rolling_params.as_ref();
        let recreate = self.recreate_params.as_ref();
        match self.strategy_type.as_str() {
            strategy::ROLLING => match rolling {
                Some(params) => params.validate(pod, errors),
                None => errors.required(format!("{FIELD}.rollingParams"), ""),
            },
            strategy::RECREATE => {
                if let Some(params) = recreate {
                    params.validate(pod, errors);
                }
            }
            strategy::CUSTOM => {
                if self.custom_params.is_none() {
                    errors.required(format!("{FIELD}.customParams"), "");
                }
                if let Some(params) = rolling {
                    params.validate(pod, errors);
                }
                if let Some(params) = recreate {
                    params.validate(pod, errors);
                }
            }
            "" => errors.required(format!("{FIELD}.type"), "strategy type is required"),
            other => {
                let detail =
                    "unsupported strategy type, use \"Custom\" instead and specify your own strategy";
                errors.invalid(format!("{FIELD}.type"), other, detail);
            }
        }
        name::validate_labels(&self.labels, &format!("{FIELD}.labels"), errors);
        self.validate_deadline(errors);
    }

    fn validate_deadline(&self, errors: &mut FieldErrors) {
        let Some(deadline) = self.active_deadline_seconds else { return };
        let field = format!("{FIELD}.activeDeadlineSeconds");
        not_negative(field.clone(), deadline, errors);
        let timeout = match (&self.rolling_params, &self.recreate_params) {
            (Some(params), _) => params.timeout_seconds,
            (None, Some(params)) => params.timeout_seconds,
            (None, None) => None,
        };
        if timeout.is_some_and(|timeout| deadline <= timeout) {
            errors.invalid(field, deadline, "activeDeadlineSeconds must be greater than timeoutSeconds");
        }
    }
}

fn validate_seconds(field: &str, seconds: Option<i64>, errors: &mut FieldErrors) {
    if let Some(seconds) = seconds
        && seconds < 1
    {
        errors.invalid(format!("{FIELD}.{field}"), seconds, "must be >0");
    }
}

impl RecreateDeploymentStrategyParams {
    fn validate(&self, pod: &PodSpec, errors: &mut FieldErrors) {
        const PARAMS: &str = "recreateParams";
        validate_seconds(&format!("{PARAMS}.timeoutSeconds"), self.timeout_seconds, errors);
        for (name, hook) in [("pre", &self.pre), ("mid", &self.mid), ("post", &self.post)] {
            if let Some(hook) = hook {
                hook.validate(pod, &format!("{FIELD}.{PARAMS}.{name}"), errors);
            }
        }
    }
}

impl RollingDeploymentStrategyParams {
    fn validate(&self, pod: &PodSpec, errors: &mut FieldErrors) {
        const PARAMS: &str = "rollingParams";
        for (name, seconds) in [
            ("intervalSeconds", self.interval_seconds),
            ("updatePeriodSeconds", self.update_period_seconds),
            ("timeoutSeconds", self.timeout_seconds),
        ] {
            validate_seconds(&format!("{PARAMS}.{name}"), seconds, errors);
        }
        let field = |name: &str| format!("{FIELD}.{PARAMS}.{name}");
        let unavailable = self.max_unavailable.clone().unwrap_or_default();
        let surge = self.max_surge.clone().unwrap_or_default();
        validate_amount(&field("maxUnavailable"), &unavailable, errors);
        validate_amount(&field("maxSurge"), &surge, errors);
        if number_or_percent(&unavailable) == 0 && number_or_percent(&surge) == 0 {
            let detail = "cannot be 0 when maxSurge is 0 as well";
            errors.invalid(field("maxUnavailable"), json!(unavailable), detail);
        }
        if percent(&unavailable).is_some_and(|share| share > 100) {
            errors.invalid(field("maxUnavailable"), json!(unavailable), "should not be more than 100%");
        }
        for (name, hook) in [("pre", &self.pre), ("post", &self.post)] {
            if let Some(hook) = hook {
                hook.validate(pod, &field(name), errors);
            }
        }
    }
}

fn validate_amount(field: &str, amount: &IntOrString, errors: &mut FieldErrors) {
    match amount {
        IntOrString::Int(number) if *number < 0 => errors.invalid(field, *number, "must be non-negative"),
        IntOrString::String(text) if percent(amount).is_none() => {
            errors.invalid(field, text.as_str(), "value should be int(5) or percentage(5%)");
        }
        IntOrString::Int(_) | IntOrString::String(_) => {}
    }
}

fn percent(amount: &IntOrString) -> Option<u32> {
    let IntOrString::String(text) = amount else { return None };
    let digits = text.strip_suffix('%')?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More digits than fit are more than any limit.
    Some(digits.parse().unwrap_or(u32::MAX))
}

fn number_or_percent(amount: &IntOrString) -> i64 {
    match amount {
        IntOrString::Int(number) => i64::from(*number),
        IntOrString::String(_) => percent(amount).map_or(0, i64::from),
    }
}
