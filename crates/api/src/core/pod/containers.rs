//! Rules of containers: names, images, ports, environment, mounts, resources, probes.

use std::collections::BTreeSet;

use super::validate::{one_of, validate_sub_path};
use crate::IntOrString;
use crate::core::{
    Container, EnvVar, ExecAction, HttpGetAction, Lifecycle, PodSpec, Probe, ResourceRequirements,
    VolumeMount,
};
use crate::field::FieldErrors;
use crate::name;

const PORT_RANGE: &str = "must be between 1 and 65535, inclusive";
const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
const VARIABLE_NAME: &str = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', \
or '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for \
validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')";

/// What a pod spec is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A pod.
    Pod,
    /// A template, whose images may be one blank until a trigger fills them in.
    Template,
}

/// What containers may refer to, and where they are.
pub(super) struct Names<'a> {
    /// What they are part of.
    pub(super) holder: Holder,
    /// Volumes of the pod.
    pub(super) volumes: &'a BTreeSet<&'a str>,
    /// Whether host ports are the container's ports.
    pub(super) host_network: bool,
}

/// All containers of a pod.
pub(super) fn validate_containers(spec: &PodSpec, names: &Names<'_>, path: &str, errors: &mut FieldErrors) {
    let mut seen = BTreeSet::new();
    if spec.containers.is_empty() {
        errors.required(format!("{path}.containers"), "");
    }
    for (list, containers) in [("initContainers", &spec.init_containers), ("containers", &spec.containers)] {
        for (index, container) in containers.iter().enumerate() {
            let path = format!("{path}.{list}[{index}]");
            if container.name.is_empty() {
                errors.required(format!("{path}.name"), "");
            } else {
                for problem in name::dns1123_label(&container.name) {
                    errors.invalid(format!("{path}.name"), container.name.as_str(), problem);
                }
                if !seen.insert(container.name.as_str()) {
                    errors.duplicate(format!("{path}.name"), container.name.as_str());
                }
            }
            Check { path, errors }.container(container, names);
        }
    }
}

/// One container being checked.
struct Check<'e> {
    path: String,
    errors: &'e mut FieldErrors,
}

impl Check<'_> {
    fn field(&self, field: &str) -> String {
        format!("{}.{field}", self.path)
    }

    fn container(&mut self, container: &Container, names: &Names<'_>) {
        let image = self.field("image");
        if container.image.is_empty() {
            self.errors.required(image, "");
        } else if names.holder == Holder::Pod && container.image.trim() != container.image {
            let detail = "must not have leading or trailing whitespace";
            self.errors.invalid(image, container.image.as_str(), detail);
        }
        self.ports(container, names);
        for (index, variable) in container.env.iter().enumerate() {
            self.variable(variable, &format!("env[{index}]"));
        }
        for (index, source) in container.env_from.iter().enumerate() {
            if source.config_map_ref.is_some() == source.secret_ref.is_some() {
                let detail = "must specify one of: `configMapRef` or `secretRef`";
                self.errors.invalid(self.field(&format!("envFrom[{index}]")), "", detail);
            }
        }
        self.mounts(&container.volume_mounts, names);
        let policies = ["Always", "IfNotPresent", "Never"];
        let field = self.field("imagePullPolicy");
        one_of(self.errors, &field, &container.image_pull_policy, &policies);
        let field = self.field("terminationMessagePolicy");
        one_of(
            self.errors,
            &field,
            &container.termination_message_policy,
            &["FallbackToLogsOnError", "File"],
        );
        self.resources(&container.resources);
        let probes = [
            ("livenessProbe", &container.liveness_probe, true),
            ("readinessProbe", &container.readiness_probe, false),
            ("startupProbe", &container.startup_probe, true),
        ];
        for (name, probe, once) in probes {
            if let Some(probe) = probe {
                self.probe(probe, name, once);
            }
        }
        if let Some(lifecycle) = &container.lifecycle {
            self.lifecycle(lifecycle);
        }
    }

    fn ports(&mut self, container: &Container, names: &Names<'_>) {
        let mut seen = BTreeSet::new();
        for (index, port) in container.ports.iter().enumerate() {
            let field = |name: &str| format!("{}.ports[{index}].{name}", self.path);
            if !port.name.is_empty() {
                for problem in name::port_name(&port.name) {
                    self.errors.invalid(field("name"), port.name.as_str(), problem);
                }
                if !seen.insert(port.name.as_str()) {
                    self.errors.duplicate(field("name"), port.name.as_str());
                }
            }
            match port.container_port {
                0 => self.errors.required(field("containerPort"), ""),
                1..=65535 => {}
                other => self.errors.invalid(field("containerPort"), other, PORT_RANGE),
            }
            if port.host_port != 0 && !(1..=65535).contains(&port.host_port) {
                self.errors.invalid(field("hostPort"), port.host_port, PORT_RANGE);
            } else if names.host_network && port.host_port != port.container_port {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                self.errors.invalid(field("containerPort"), port.container_port, detail);
            }
            one_of(self.errors, &field("protocol"), &port.protocol, &["SCTP", "TCP", "UDP"]);
        }
    }

    fn variable(&mut self, variable: &EnvVar, path: &str) {
        let path = self.field(path);
        let name = variable.name.as_str();
        if name.is_empty() {
            self.errors.required(format!("{path}.name"), "");
        } else if name.starts_with(|c: char| c.is_ascii_digit())
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        {
            self.errors.invalid(format!("{path}.name"), name, VARIABLE_NAME);
        }
        let Some(source) = &variable.value_from else { return };
        let path = format!("{path}.valueFrom");
        let set = [
            source.field_ref.is_some(),
            source.resource_field_ref.is_some(),
            source.config_map_key_ref.is_some(),
            source.secret_key_ref.is_some(),
            source.file_key_ref.is_some(),
        ];
        match set.into_iter().filter(|set| *set).count() {
            0 => {
                let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
                self.errors.invalid(path.as_str(), "", detail);
            }
            1 if !variable.value.is_empty() => {
                self.errors.invalid(path.as_str(), "", "may not be specified when `value` is not empty");
            }
            1 => {}
            _ => {
                self.errors.invalid(path.as_str(), "", "may not have more than one field specified at a time")
            }
        }
        if source.field_ref.as_ref().is_some_and(|field| field.field_path.is_empty()) {
            self.errors.required(format!("{path}.fieldRef.fieldPath"), "");
        }
        let keys =
            [("configMapKeyRef", &source.config_map_key_ref), ("secretKeyRef", &source.secret_key_ref)];
        for (field, key) in keys {
            if key.as_ref().is_some_and(|key| key.key.is_empty()) {
                self.errors.required(format!("{path}.{field}.key"), "");
            }
        }
    }

    fn mounts(&mut self, mounts: &[VolumeMount], names: &Names<'_>) {
        let mut places = BTreeSet::new();
        for (index, mount) in mounts.iter().enumerate() {
            let field = |name: &str| format!("{}.volumeMounts[{index}].{name}", self.path);
            if mount.name.is_empty() {
                self.errors.required(field("name"), "");
            } else if !names.volumes.contains(mount.name.as_str()) {
                self.errors.not_found(field("name"), mount.name.as_str());
            }
            if mount.mount_path.is_empty() {
                self.errors.required(field("mountPath"), "");
            } else if !places.insert(mount.mount_path.as_str()) {
                self.errors.invalid(field("mountPath"), mount.mount_path.as_str(), "must be unique");
            }
            validate_sub_path(&mount.sub_path, &field("subPath"), self.errors);
        }
    }

    fn resources(&mut self, resources: &ResourceRequirements) {
        for (list, amounts) in [("limits", &resources.limits), ("requests", &resources.requests)] {
            for (name, amount) in amounts {
                if amount.nano_value() < 0 {
                    let field = format!("{}.resources.{list}[{name}]", self.path);
                    self.errors.invalid(field, amount.to_string(), NOT_NEGATIVE);
                }
            }
        }
        for (name, request) in &resources.requests {
            if let Some(limit) = resources.limits.get(name)
                && request > limit
            {
                let detail = format!("must be less than or equal to {name} limit of {limit}");
                self.errors.invalid(self.field("resources.requests"), request.to_string(), detail);
            }
        }
    }

    fn probe(&mut self, probe: &Probe, name: &str, succeeds_once: bool) {
        let path = self.field(name);
        let handlers = Handlers {
            exec: probe.exec.as_ref(),
            http: probe.http_get.as_ref(),
            tcp: probe.tcp_socket.as_ref().map(|action| &action.port),
            other: probe.grpc.is_some(),
        };
        handlers.validate(&path, self.errors);
        for (field, number) in [
            ("initialDelaySeconds", probe.initial_delay_seconds),
            ("timeoutSeconds", probe.timeout_seconds),
            ("periodSeconds", probe.period_seconds),
            ("successThreshold", probe.success_threshold),
            ("failureThreshold", probe.failure_threshold),
        ] {
            if number < 0 {
                self.errors.invalid(format!("{path}.{field}"), number, NOT_NEGATIVE);
            }
        }
        if succeeds_once && probe.success_threshold != 1 {
            self.errors.invalid(format!("{path}.successThreshold"), probe.success_threshold, "must be 1");
        }
    }

    fn lifecycle(&mut self, lifecycle: &Lifecycle) {
        for (name, handler) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
            let Some(handler) = handler else { continue };
            let handlers = Handlers {
                exec: handler.exec.as_ref(),
                http: handler.http_get.as_ref(),
                tcp: handler.tcp_socket.as_ref().map(|action| &action.port),
                other: handler.sleep.is_some(),
            };
            handlers.validate(&self.field(&format!("lifecycle.{name}")), self.errors);
        }
    }
}

/// What a probe or a lifecycle hook may do; one of them.
struct Handlers<'a> {
    exec: Option<&'a ExecAction>,
    http: Option<&'a HttpGetAction>,
    tcp: Option<&'a IntOrString>,
    other: bool,
}

impl Handlers<'_> {
    fn validate(&self, path: &str, errors: &mut FieldErrors) {
        let set = [
            ("exec", self.exec.is_some()),
            ("httpGet", self.http.is_some()),
            ("tcpSocket", self.tcp.is_some()),
            ("other", self.other),
        ];
        let set: Vec<&str> = set.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect();
        match set.as_slice() {
            [] => errors.required(path, "must specify a handler type"),
            [_] => {}
            [_, more @ ..] => {
                for name in more {
                    errors.forbidden(format!("{path}.{name}"), "may not specify more than 1 handler type");
                }
            }
        }
        if self.exec.is_some_and(|exec| exec.command.is_empty()) {
            errors.required(format!("{path}.exec.command"), "");
        }
        if let Some(http) = self.http {
            if http.path.is_empty() {
                errors.required(format!("{path}.httpGet.path"), "");
            }
            validate_port(&http.port, &format!("{path}.httpGet.port"), errors);
            one_of(errors, &format!("{path}.httpGet.scheme"), &http.scheme, &["HTTP", "HTTPS"]);
        }
        if let Some(port) = self.tcp {
            validate_port(port, &format!("{path}.tcpSocket.port"), errors);
        }
    }
}

fn validate_port(port: &IntOrString, field: &str, errors: &mut FieldErrors) {
    match port {
        IntOrString::Int(number) if !(1..=65535).contains(number) => {
            errors.invalid(field, *number, PORT_RANGE)
        }
        IntOrString::Int(_) => {}
        IntOrString::String(text) => {
            for problem in name::port_name(text) {
                errors.invalid(field, text.as_str(), problem);
            }
        }
    }
}
