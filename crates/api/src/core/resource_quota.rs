//! `ResourceQuota`: how much a namespace may hold altogether.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Quantity;
use super::resource_names::{fits_scope, is_whole, validate_of_quota};
use crate::field::FieldErrors;
use crate::meta::ObjectMeta;
use crate::name;

/// The most that all objects of a namespace may use together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceQuota {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What is allowed.
    pub spec: ResourceQuotaSpec,
    /// What is used.
    pub status: ResourceQuotaStatus,
}

object!(ResourceQuota: "" "v1", "resourcequotas" "resourcequota", Namespaced, short ["quota"]);

/// What is allowed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceQuotaSpec {
    /// The most of each resource: `pods`, `secrets`, `requests.cpu`, `openshift.io/imagestreams`, `count/routes.route.openshift.io` …
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hard: BTreeMap<String, Quantity>,
    /// Only pods of all these scopes count: `Terminating`, `NotTerminating`, `BestEffort`, `NotBestEffort`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Only pods that all these expressions match count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope_selector: Option<ScopeSelector>,
}

/// Expressions about pods, all of which must match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ScopeSelector {
    /// The expressions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<ScopedResourceSelectorRequirement>,
}

/// A scope, and how pods must relate to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ScopedResourceSelectorRequirement {
    /// A scope, or `PriorityClass`.
    pub scope_name: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`; scopes other than `PriorityClass` only exist.
    pub operator: String,
    /// Values for `In` and `NotIn`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// What is allowed and used, as it is enforced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceQuotaStatus {
    /// The most of each resource, as it is enforced.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hard: BTreeMap<String, Quantity>,
    /// How much of each the namespace uses.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub used: BTreeMap<String, Quantity>,
}

const SCOPES: [&str; 6] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
];
/// Scopes that no pod is in at the same time.
const OPPOSITES: [(&str, &str); 2] = [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")];

impl ResourceQuota {
    /// Names of resources and scopes, and amounts.
    pub fn validate(&self) -> FieldErrors {
        let mut errors =
            name::validate_metadata(&self.metadata, name::Scope::Namespaced, name::dns1123_subdomain);
        errors.append(self.spec.validate("spec"));
        errors
    }

    /// Scopes stay as they were.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        errors.append(self.spec.validate_update(&old.spec, "spec"));
        errors
    }
}

impl ResourceQuotaSpec {
    /// Names of resources and scopes, and amounts; `path` is where the spec is.
    pub fn validate(&self, path: &str) -> FieldErrors {
        let mut errors = FieldErrors::new();
        for (resource, amount) in &self.hard {
            let field = format!("{path}.hard[{resource}]");
            validate_of_quota(resource, &field, &mut errors);
            if *amount < Quantity::default() {
                let detail = "must be greater than or equal to 0";
                errors.invalid(field.as_str(), amount.to_string(), detail);
            }
            if is_whole(resource) && *amount != Quantity::whole(amount.value()) {
                errors.invalid(field, amount.to_string(), "must be an integer");
            }
        }
        let given = || serde_json::Value::from(self.scopes.clone());
        for scope in &self.scopes {
            if !SCOPES.contains(&scope.as_str()) {
                errors.invalid(format!("{path}.scopes"), given(), "unsupported scope");
            }
            if self.hard.keys().any(|resource| !fits_scope(resource, scope)) {
                let detail = "unsupported scope applied to resource";
                errors.invalid(format!("{path}.scopes"), given(), detail);
            }
        }
        let has = |scope: &str| self.scopes.iter().any(|given| given == scope);
        if OPPOSITES.iter().any(|(one, other)| has(one) && has(other)) {
            errors.invalid(format!("{path}.scopes"), given(), "conflicting scopes");
        }
        if let Some(selector) = &self.scope_selector {
            for (index, expression) in selector.match_expressions.iter().enumerate() {
                let at = format!("{path}.scopeSelector.matchExpressions[{index}]");
                expression.validate(&at, &mut errors);
            }
        }
        errors
    }

    /// Scopes stay as they were.
    pub fn validate_update(&self, old: &Self, path: &str) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let sorted = |scopes: &[String]| scopes.iter().cloned().collect::<std::collections::BTreeSet<_>>();
        if sorted(&self.scopes) != sorted(&old.scopes) {
            let field = format!("{path}.scopes");
            errors.invalid(field, serde_json::Value::from(self.scopes.clone()), "field is immutable");
        }
        errors
    }
}

impl ScopedResourceSelectorRequirement {
    fn validate(&self, at: &str, errors: &mut FieldErrors) {
        let scope = self.scope_name.as_str();
        if !SCOPES.contains(&scope) {
            errors.invalid(format!("{at}.scopeName"), scope, "unsupported scope");
        }
        if scope != "PriorityClass" && self.operator != "Exists" {
            let detail = "must be 'Exist' only operator when scope is any of ResourceQuotaScopeTerminating, \
                          ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, \
                          ResourceQuotaScopeNotBestEffort, ResourceQuotaScopeVolumeAttributesClass or \
                          ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.invalid(format!("{at}.operator"), self.operator.as_str(), detail);
        }
        let values = serde_json::Value::from(self.values.clone());
        match self.operator.as_str() {
            "In" | "NotIn" if self.values.is_empty() => {
                let detail =
                    "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.required(format!("{at}.values"), detail);
            }
            "Exists" | "DoesNotExist" if !self.values.is_empty() => {
                let detail =
                    "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                errors.invalid(format!("{at}.values"), values, detail);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid(format!("{at}.operator"), other, "not a valid selector operator"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::ResourceQuota;

    #[track_caller]
    fn check(spec: Value, expected: &[&str]) {
        let document = json!({"metadata": {"name": "q", "namespace": "n"}, "spec": spec});
        let quota: ResourceQuota = serde_json::from_value(document).unwrap();
        let errors: Vec<String> = quota.validate().iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected);
    }

    #[test]
    fn resources_and_scopes_are_known() {
        check(
            json!({"hard": {"pods": "4", "openshift.io/imagestreams": 10, "count/routes.route.openshift.io": 1,
                "requests.cpu": "500m", "services.nodeports": 0}}),
            &[],
        );
        check(json!({"hard": {"pods": 1}, "scopes": ["BestEffort"]}), &[]);
        check(
            json!({"hard": {"images": "1"}}),
            &[
                "spec.hard[images]: Invalid value: \"images\": must be a standard resource type or fully qualified",
                "spec.hard[images]: Invalid value: \"images\": must be a standard resource for quota",
            ],
        );
        check(
            json!({"hard": {"pods": "-1", "secrets": "1500m"}}),
            &[
                "spec.hard[pods]: Invalid value: \"-1\": must be greater than or equal to 0",
                "spec.hard[secrets]: Invalid value: \"1500m\": must be an integer",
            ],
        );
        check(
            json!({"hard": {"secrets": 1}, "scopes": ["Terminating", "NotTerminating"]}),
            &[
                "spec.scopes: Invalid value: [\"Terminating\",\"NotTerminating\"]: unsupported scope applied to resource",
                "spec.scopes: Invalid value: [\"Terminating\",\"NotTerminating\"]: unsupported scope applied to resource",
                "spec.scopes: Invalid value: [\"Terminating\",\"NotTerminating\"]: conflicting scopes",
            ],
        );
    }

    #[test]
    fn scopes_stay() {
        let quota = |scope: &str| -> ResourceQuota {
            let spec = json!({"hard": {"pods": 1}, "scopes": [scope]});
            serde_json::from_value(json!({"metadata": {"name": "q", "namespace": "n"}, "spec": spec}))
                .unwrap()
        };
        let errors = quota("BestEffort").validate_update(&quota("NotBestEffort"));
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["spec.scopes: Invalid value: [\"BestEffort\"]: field is immutable"]);
    }
}
