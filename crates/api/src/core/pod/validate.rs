//! Rules of pods and pod templates, with the texts of the field errors (platform 1.9). Those of a single container are
//! in [`super::containers`].

use std::collections::BTreeSet;

use super::containers::{Holder, Names, validate_containers};
use crate::core::{Pod, PodSpec, PodTemplateSpec, Volume};
use crate::field::FieldErrors;
use crate::name;

const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
const FROZEN: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

impl Pod {
    /// Metadata and spec.
    pub fn validate(&self) -> FieldErrors {
        let mut errors =
            name::validate_metadata(&self.metadata, name::Scope::Namespaced, name::dns1123_subdomain);
        self.spec.validate_into("spec", Holder::Pod, &mut errors);
        errors
    }

    /// A pod keeps its spec, but for images, the deadline and tolerations.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        let mut expected = old.spec.clone();
        expected.active_deadline_seconds = self.spec.active_deadline_seconds;
        expected.tolerations.clone_from(&self.spec.tolerations);
        if old.spec.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0) {
            expected.termination_grace_period_seconds = self.spec.termination_grace_period_seconds;
        }
        let pairs = [
            (&mut expected.containers, &self.spec.containers),
            (&mut expected.init_containers, &self.spec.init_containers),
        ];
        for (before, after) in pairs {
            for (before, after) in before.iter_mut().zip(after) {
                before.image.clone_from(&after.image);
            }
        }
        if expected != self.spec {
            errors.forbidden("spec", FROZEN);
        }
        errors
    }
}

impl PodTemplateSpec {
    /// Labels, annotations and spec, with `path` in front of the fields.
    pub fn validate(&self, path: &str) -> FieldErrors {
        let mut errors = FieldErrors::new();
        name::validate_labels(&self.metadata.labels, &format!("{path}.metadata.labels"), &mut errors);
        self.spec.validate_into(&format!("{path}.spec"), Holder::Template, &mut errors);
        errors
    }

    /// Those of [`PodTemplateSpec::validate`]; pods of a controller always restart and have no deadline.
    pub fn validate_for_controller(&self, path: &str) -> FieldErrors {
        let mut errors = self.validate(path);
        let policy = self.spec.restart_policy.as_str();
        if ["OnFailure", "Never"].contains(&policy) {
            errors.not_supported(format!("{path}.spec.restartPolicy"), policy, &["Always"]);
        }
        if self.spec.active_deadline_seconds.is_some() {
            let detail = "activeDeadlineSeconds in ReplicationController is not Supported";
            errors.forbidden(format!("{path}.spec.activeDeadlineSeconds"), detail);
        }
        errors
    }
}

impl PodSpec {
    fn validate_into(&self, path: &str, holder: Holder, errors: &mut FieldErrors) {
        let volumes = validate_volumes(&self.volumes, path, errors);
        let names = Names { volumes: &volumes, host_network: self.host_network, holder };
        validate_containers(self, &names, path, errors);
        one_of(
            errors,
            &format!("{path}.restartPolicy"),
            &self.restart_policy,
            &["Always", "OnFailure", "Never"],
        );
        one_of(
            errors,
            &format!("{path}.dnsPolicy"),
            &self.dns_policy,
            &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
        );
        if self.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0) {
            let seconds = self.termination_grace_period_seconds;
            errors.invalid(format!("{path}.terminationGracePeriodSeconds"), seconds, NOT_NEGATIVE);
        }
        if let Some(seconds) = self.active_deadline_seconds
            && !(1..=i64::from(i32::MAX)).contains(&seconds)
        {
            let detail = "must be between 1 and 2147483647, inclusive";
            errors.invalid(format!("{path}.activeDeadlineSeconds"), seconds, detail);
        }
        name::validate_labels(&self.node_selector, &format!("{path}.nodeSelector"), errors);
        let named: [(&str, &str, name::Rule); 4] = [
            ("serviceAccountName", &self.service_account_name, name::dns1123_subdomain),
            ("nodeName", &self.node_name, name::dns1123_subdomain),
            ("hostname", &self.hostname, name::dns1123_label),
            ("subdomain", &self.subdomain, name::dns1123_label),
        ];
        for (field, value, rule) in named {
            if !value.is_empty() {
                for problem in rule(value) {
                    errors.invalid(format!("{path}.{field}"), value, problem);
                }
            }
        }
        for (index, alias) in self.host_aliases.iter().enumerate() {
            if alias.ip.parse::<std::net::IpAddr>().is_err() {
                let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
                errors.invalid(format!("{path}.hostAliases[{index}].ip"), alias.ip.as_str(), detail);
            }
        }
    }
}

/// The value must be given and be one of `known`.
pub(super) fn one_of(errors: &mut FieldErrors, field: &str, value: &str, known: &[&str]) {
    if value.is_empty() {
        errors.required(field, "");
    } else if !known.contains(&value) {
        errors.not_supported(field, value, known);
    }
}

/// Checks the volumes and gives back their names.
fn validate_volumes<'a>(volumes: &'a [Volume], path: &str, errors: &mut FieldErrors) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = format!("{path}.volumes[{index}]");
        if volume.name.is_empty() {
            errors.required(format!("{path}.name"), "");
        } else {
            for problem in name::dns1123_label(&volume.name) {
                errors.invalid(format!("{path}.name"), volume.name.as_str(), problem);
            }
            if !names.insert(volume.name.as_str()) {
                errors.duplicate(format!("{path}.name"), volume.name.as_str());
            }
        }
        match volume.sources().as_slice() {
            [] => errors.required(path.as_str(), "must specify a volume type"),
            [_] => {}
            [_, more @ ..] => {
                for source in more {
                    errors.forbidden(format!("{path}.{source}"), "may not specify more than 1 volume type");
                }
            }
        }
        let named = [
            ("secret.secretName", volume.secret.as_ref().map(|source| &source.secret_name)),
            ("configMap.name", volume.config_map.as_ref().map(|source| &source.name)),
            ("hostPath.path", volume.host_path.as_ref().map(|source| &source.path)),
            (
                "persistentVolumeClaim.claimName",
                volume.persistent_volume_claim.as_ref().map(|source| &source.claim_name),
            ),
        ];
        for (field, value) in named {
            if value.is_some_and(String::is_empty) {
                errors.required(format!("{path}.{field}"), "");
            }
        }
        validate_files(volume, &path, errors);
    }
    names
}

/// Keys need a key and a path that stays inside the volume.
fn validate_files(volume: &Volume, path: &str, errors: &mut FieldErrors) {
    let lists = [
        ("secret", volume.secret.as_ref().map(|source| &source.items)),
        ("configMap", volume.config_map.as_ref().map(|source| &source.items)),
    ];
    for (source, items) in lists {
        for (index, item) in items.into_iter().flatten().enumerate() {
            let path = format!("{path}.{source}.items[{index}]");
            if item.key.is_empty() {
                errors.required(format!("{path}.key"), "");
            }
            validate_local_path(&item.path, &format!("{path}.path"), errors);
        }
    }
    let files = volume.downward_api.iter().flat_map(|source| &source.items).enumerate();
    for (index, file) in files {
        let path = format!("{path}.downwardAPI.items[{index}]");
        validate_local_path(&file.path, &format!("{path}.path"), errors);
        if file.field_ref.is_none() && file.resource_field_ref.is_none() {
            errors.required(path, "one of fieldRef and resourceFieldRef is required");
        }
    }
}

/// A relative path without a step upwards.
pub(super) fn validate_local_path(path: &str, field: &str, errors: &mut FieldErrors) {
    if path.is_empty() {
        errors.required(field, "");
    } else {
        validate_sub_path(path, field, errors);
    }
}

/// As [`validate_local_path`], but empty is fine.
pub(super) fn validate_sub_path(path: &str, field: &str, errors: &mut FieldErrors) {
    if path.starts_with('/') {
        errors.invalid(field, path, "must be a relative path");
    }
    if path.split('/').any(|part| part == "..") {
        errors.invalid(field, path, "must not contain '..'");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::core::Pod;
    use crate::from_value;

    fn pod(spec: Value) -> Pod {
        let mut pod: Pod =
            from_value(&json!({"metadata": {"name": "a", "namespace": "b"}, "spec": spec})).unwrap();
        pod.set_defaults();
        pod
    }

    #[track_caller]
    fn check(spec: Value, expected: &str) {
        let errors = pod(spec).validate();
        assert_eq!(if errors.is_empty() { String::new() } else { errors.to_string() }, expected);
    }

    fn one(container: Value) -> Value {
        let mut whole = json!({"name": "c", "image": "i"});
        whole.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
        json!({"containers": [whole], "volumes": [{"name": "v", "emptyDir": {}}]})
    }

    #[test]
    fn checks_the_pod() {
        check(one(json!({})), "");
        check(json!({}), "spec.containers: Required value");
        check(
            json!({"containers": [{}]}),
            "[spec.containers[0].name: Required value, spec.containers[0].image: Required value]",
        );
        check(
            json!({"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Sometimes"}),
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
        );
        check(
            json!({"containers": [{"name": "c", "image": "i"}], "activeDeadlineSeconds": 0}),
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        );
        check(
            json!({"containers": [{"name": "c", "image": "i"}, {"name": "c", "image": "j"}]}),
            "spec.containers[1].name: Duplicate value: \"c\"",
        );
    }

    #[test]
    fn checks_volumes() {
        let with = |volume: Value| json!({"containers": [{"name": "c", "image": "i"}], "volumes": [volume]});
        check(with(json!({"name": "v"})), "");
        check(with(json!({"name": "v", "secret": {}})), "spec.volumes[0].secret.secretName: Required value");
        check(
            with(json!({"name": "v", "emptyDir": {}, "secret": {"secretName": "s"}})),
            "spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type",
        );
        check(
            with(
                json!({"name": "v", "secret": {"secretName": "s", "items": [{"key": "k", "path": "../x"}]}}),
            ),
            "spec.volumes[0].secret.items[0].path: Invalid value: \"../x\": must not contain '..'",
        );
    }

    #[test]
    fn checks_containers() {
        check(
            one(json!({"volumeMounts": [{"name": "w", "mountPath": "/w"}]})),
            "spec.containers[0].volumeMounts[0].name: Not found: \"w\"",
        );
        check(
            one(
                json!({"volumeMounts": [{"name": "v", "mountPath": "/w"}, {"name": "v", "mountPath": "/w"}]}),
            ),
            "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/w\": must be unique",
        );
        check(
            one(json!({"ports": [{"containerPort": 70000}]})),
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        );
        check(one(json!({"ports": [{}]})), "spec.containers[0].ports[0].containerPort: Required value");
        check(
            one(
                json!({"env": [{"name": "A", "value": "b", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}),
            ),
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
        );
        check(
            one(json!({"env": [{"name": "A", "valueFrom": {}}]})),
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, \
             `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
        );
        check(
            one(json!({"imagePullPolicy": "Maybe"})),
            "spec.containers[0].imagePullPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \
             \"IfNotPresent\", \"Never\"",
        );
        check(
            one(json!({"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}})),
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        );
        check(
            one(json!({"livenessProbe": {"successThreshold": 2, "tcpSocket": {"port": 80}}})),
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        );
        check(
            one(json!({"readinessProbe": {}})),
            "spec.containers[0].readinessProbe: Required value: must specify a handler type",
        );
    }

    #[test]
    fn a_running_pod_keeps_its_spec() {
        let old = pod(one(json!({})));
        let mut new = old.clone();
        new.spec.containers[0].image = "j".into();
        new.spec.active_deadline_seconds = Some(5);
        assert!(new.validate_update(&old).is_empty());
        new.spec.node_name = "other".into();
        let text = new.validate_update(&old).to_string();
        assert!(text.starts_with("spec: Forbidden: pod updates may not change fields other than"), "{text}");
    }

    #[test]
    fn limits_decide_the_class_and_tags_the_pull_policy() {
        let class = |resources: Value| pod(one(json!({"resources": resources}))).qos_class();
        assert_eq!(class(json!({})), "BestEffort");
        assert_eq!(class(json!({"limits": {"cpu": 1}})), "Burstable");
        assert_eq!(class(json!({"limits": {"cpu": 1, "memory": "1Gi"}})), "Guaranteed");
        let policy =
            |image: &str| pod(one(json!({"image": image}))).spec.containers[0].image_pull_policy.clone();
        let digest = "a".repeat(64);
        for (image, expected) in [
            ("busybox", "Always"),
            ("h:80/p/s:latest", "Always"),
            ("h:80/p/s", "Always"),
            ("h:80/p/s:1", "IfNotPresent"),
            (&format!("h/p/s@sha256:{digest}"), "IfNotPresent"),
        ] {
            assert_eq!(policy(image), expected, "{image}");
        }
    }
}
