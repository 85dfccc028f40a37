//! `LimitRange`: what a single pod, container, image or image stream of a namespace may use.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Quantity;
use super::resource_names::{self, is_container_resource};
use crate::field::FieldErrors;
use crate::meta::ObjectMeta;
use crate::name;

/// Limits on single objects of a namespace, and defaults for containers that say nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct LimitRange {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// The limits.
    pub spec: LimitRangeSpec,
}

object!(LimitRange: "" "v1", "limitranges" "limitrange", Namespaced, short ["limits"]);

/// Limits by what they are about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct LimitRangeSpec {
    /// The limits; each type once.
    pub limits: Vec<LimitRangeItem>,
}

/// Limits on one type of object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct LimitRangeItem {
    /// `Pod`, `Container`, `PersistentVolumeClaim`, `openshift.io/Image` or `openshift.io/ImageStream`.
    #[serde(rename = "type")]
    pub limit_type: String,
    /// The most that may be used, by resource.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub max: BTreeMap<String, Quantity>,
    /// The least that must be asked for, by resource.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub min: BTreeMap<String, Quantity>,
    /// The limit of containers that have none, by resource.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub default: BTreeMap<String, Quantity>,
    /// The request of containers that have none, by resource.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub default_request: BTreeMap<String, Quantity>,
    /// How many times its request a limit may be, by resource.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub max_limit_request_ratio: BTreeMap<String, Quantity>,
}

/// Types that need no prefix.
const STANDARD_TYPES: [&str; 3] = ["Pod", "Container", "PersistentVolumeClaim"];

impl LimitRange {
    /// For containers: limits default to the maximum, requests to the limit or else to the minimum.
    pub fn set_defaults(&mut self) {
        for item in self.spec.limits.iter_mut().filter(|item| item.limit_type == "Container") {
            let LimitRangeItem { max, min, default, default_request, .. } = item;
            fill(max, default);
            fill(default, default_request);
            fill(min, default_request);
        }
    }

    /// Types, names of resources, and that the amounts of each fit together.
    pub fn validate(&self) -> FieldErrors {
        let mut errors =
            name::validate_metadata(&self.metadata, name::Scope::Namespaced, name::dns1123_subdomain);
        let mut types = BTreeSet::new();
        for (index, item) in self.spec.limits.iter().enumerate() {
            let path = format!("spec.limits[{index}]");
            let limit_type = item.limit_type.as_str();
            errors.append(validate_type(limit_type, &format!("{path}.type")));
            if !types.insert(limit_type) {
                errors.duplicate(format!("{path}.type"), limit_type);
            }
            item.validate(&path, &mut errors);
        }
        errors
    }

    /// The spec may change as it likes.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        errors
    }
}

fn fill(from: &BTreeMap<String, Quantity>, to: &mut BTreeMap<String, Quantity>) {
    for (resource, amount) in from {
        to.entry(resource.clone()).or_insert(*amount);
    }
}

fn validate_type(limit_type: &str, field: &str) -> FieldErrors {
    let mut errors = FieldErrors::new();
    for problem in name::qualified_name(limit_type) {
        errors.invalid(field, limit_type, problem);
    }
    if errors.is_empty() && !limit_type.contains('/') && !STANDARD_TYPES.contains(&limit_type) {
        errors.invalid(field, limit_type, "must be a standard limit type or fully qualified");
    }
    errors
}

impl LimitRangeItem {
    fn validate(&self, path: &str, errors: &mut FieldErrors) {
        let maps = [
            ("max", &self.max),
            ("min", &self.min),
            ("default", &self.default),
            ("defaultRequest", &self.default_request),
            ("maxLimitRequestRatio", &self.max_limit_request_ratio),
        ];
        let of_pods = self.limit_type == "Pod";
        let mut resources = BTreeSet::new();
        for (name, map) in maps {
            let default = name.starts_with("default");
            if of_pods && default && !map.is_empty() {
                errors.forbidden(
                    format!("{path}.{name}"),
                    format!("may not be specified when `type` is '{}'", self.limit_type),
                );
                continue;
            }
            for resource in map.keys() {
                self.validate_resource(resource, &format!("{path}.{name}[{resource}]"), errors);
                resources.insert(resource.as_str());
            }
        }
        let storage = |map: &BTreeMap<String, Quantity>| map.contains_key("storage");
        if self.limit_type == "PersistentVolumeClaim" && !storage(&self.min) && !storage(&self.max) {
            let detail = "either minimum or maximum storage value is required, but neither was provided";
            errors.required(format!("{path}.limits"), detail);
        }
        for resource in resources {
            self.compare(resource, path, errors);
        }
    }

    fn validate_resource(&self, resource: &str, field: &str, errors: &mut FieldErrors) {
        match self.limit_type.as_str() {
            "Pod" | "Container" => {
                let before = errors.len();
                for problem in name::qualified_name(resource) {
                    errors.invalid(field, resource, problem);
                }
                if errors.len() == before && !resource.contains('/') && !is_container_resource(resource) {
                    errors.invalid(field, resource, "must be a standard resource for containers");
                }
            }
            _ => resource_names::validate(resource, field, errors),
        }
    }

    /// Whether the amounts of one resource fit together.
    fn compare(&self, resource: &str, path: &str, errors: &mut FieldErrors) {
        let of = |map: &BTreeMap<String, Quantity>| map.get(resource).copied();
        let (max, min) = (of(&self.max), of(&self.min));
        let (default, request) = (of(&self.default), of(&self.default_request));
        let above = |left: Option<Quantity>, right: Option<Quantity>| {
            left.zip(right).filter(|(left, right)| left > right)
        };
        let mut invalid = |map: &str, value: Quantity, detail: String| {
            errors.invalid(format!("{path}.{map}[{resource}]"), value.to_string(), detail);
        };
        if let Some((min, max)) = above(min, max) {
            invalid("min", min, format!("min value {min} is greater than max value {max}"));
        }
        if let Some((min, request)) = above(min, request) {
            let detail = format!("min value {min} is greater than default request value {request}");
            invalid("defaultRequest", request, detail);
        }
        if let Some((request, max)) = above(request, max) {
            let detail = format!("default request value {request} is greater than max value {max}");
            invalid("defaultRequest", request, detail);
        }
        if let Some((request, default)) = above(request, default) {
            let detail =
                format!("default request value {request} is greater than default limit value {default}");
            invalid("defaultRequest", request, detail);
        }
        if let Some((min, default)) = above(min, default) {
            invalid("default", min, format!("min value {min} is greater than default value {default}"));
        }
        if let Some((default, max)) = above(default, max) {
            invalid("default", max, format!("default value {default} is greater than max value {max}"));
        }
        let Some(ratio) = of(&self.max_limit_request_ratio) else { return };
        if ratio < Quantity::whole(1) {
            invalid("maxLimitRequestRatio", ratio, format!("ratio {ratio} is less than 1"));
        }
        if let Some((max, min)) = max.zip(min).filter(|(_, min)| min.nano_value() > 0) {
            let possible = max.in_units_of(min);
            if ratio.in_units_of(Quantity::whole(1)) > possible {
                let detail = format!("ratio {ratio} is greater than max/min = {possible:.6}");
                invalid("maxLimitRequestRatio", ratio, detail);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::LimitRange;

    #[track_caller]
    fn check(limit: Value, expected: &[&str]) {
        let document = json!({"metadata": {"name": "l", "namespace": "n"}, "spec": {"limits": [limit]}});
        let mut range: LimitRange = serde_json::from_value(document).unwrap();
        range.set_defaults();
        let errors: Vec<String> = range.validate().iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected);
    }

    #[test]
    fn amounts_fit_together() {
        check(json!({"type": "openshift.io/Image", "max": {"storage": "1Gi"}}), &[]);
        let stream = json!({"openshift.io/images": 12, "openshift.io/image-tags": "20"});
        check(json!({"type": "openshift.io/ImageStream", "max": stream}), &[]);
        check(json!({"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1"}}), &[]);
        check(
            json!({"type": "Pod", "max": {"cpu": "1"}, "min": {"cpu": "2"}}),
            &["spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"],
        );
        check(
            json!({"type": "Pod", "default": {"cpu": "1"}}),
            &["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"],
        );
        check(
            json!({"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "2"}}),
            &[
                "spec.limits[0].defaultRequest[cpu]: Invalid value: \"2\": default request value 2 is greater \
               than default limit value 1",
            ],
        );
        check(
            json!({"type": "Container", "max": {"cpu": "4"}, "min": {"cpu": "2"},
                "maxLimitRequestRatio": {"cpu": "3"}}),
            &["spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"3\": ratio 3 is greater than \
               max/min = 2.000000"],
        );
    }

    #[test]
    fn types_and_resources_have_names() {
        check(
            json!({"type": "Image", "max": {"storage": "1"}}),
            &[
                "spec.limits[0].type: Invalid value: \"Image\": must be a standard limit type or fully qualified",
            ],
        );
        check(
            json!({"type": "Container", "max": {"disk": "1"}}),
            &[
                "spec.limits[0].max[disk]: Invalid value: \"disk\": must be a standard resource for containers",
                "spec.limits[0].default[disk]: Invalid value: \"disk\": must be a standard resource for \
                 containers",
                "spec.limits[0].defaultRequest[disk]: Invalid value: \"disk\": must be a standard resource for \
                 containers",
            ],
        );
        check(
            json!({"type": "openshift.io/Image", "max": {"disk": "1"}}),
            &[
                "spec.limits[0].max[disk]: Invalid value: \"disk\": must be a standard resource type or fully \
               qualified",
            ],
        );
        check(
            json!({"type": "PersistentVolumeClaim"}),
            &[
                "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but \
               neither was provided",
            ],
        );
    }
}
