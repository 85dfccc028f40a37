//! What a pod gets that its author left out.

use pierhead_oci::ImageReference;

use super::{Pod, PodSpec};
use crate::core::{
    Container, EmptyDirVolume, EnvVarSource, HttpGetAction, LifecycleHandler, Probe, Quantity, Volume,
};

/// Permissions of files made from secrets and config maps: `0644`.
const FILE_MODE: i32 = 0o644;
const TERMINATION_MESSAGE_PATH: &str = "/dev/termination-log";
const TOKEN_SECONDS: i64 = 3600;

/// Who binds pods that do not name a scheduler.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";
/// Seconds a pod gets to end, unless it says otherwise.
pub const DEFAULT_GRACE_SECONDS: i64 = 30;

fn default(field: &mut String, value: &str) {
    if field.is_empty() {
        value.clone_into(field);
    }
}

impl Pod {
    /// Those of [`PodSpec::set_defaults`], requests from limits, and service links.
    pub fn set_defaults(&mut self) {
        let spec = &mut self.spec;
        spec.set_defaults();
        spec.enable_service_links.get_or_insert(true);
        for container in spec.init_containers.iter_mut().chain(&mut spec.containers) {
            let resources = &mut container.resources;
            for (name, limit) in &resources.limits {
                resources.requests.entry(name.clone()).or_insert(*limit);
            }
        }
    }

    /// `Guaranteed`, `Burstable` or `BestEffort`, by what its containers ask of CPU and memory.
    pub fn qos_class(&self) -> &'static str {
        let zero = Quantity::default();
        let mut anything = false;
        let mut guaranteed = true;
        for container in self.spec.init_containers.iter().chain(&self.spec.containers) {
            for resource in ["cpu", "memory"] {
                let limit = container.resources.limits.get(resource).filter(|amount| **amount != zero);
                let request = container.resources.requests.get(resource).filter(|amount| **amount != zero);
                anything |= limit.is_some() || request.is_some();
                guaranteed &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
            }
        }
        match (anything, guaranteed) {
            (false, _) => "BestEffort",
            (true, true) => "Guaranteed",
            (true, false) => "Burstable",
        }
    }
}

impl PodSpec {
    /// Policies, grace period, scheduler, and the defaults of volumes and containers. They hold for pods and templates.
    pub fn set_defaults(&mut self) {
        default(&mut self.restart_policy, "Always");
        default(&mut self.dns_policy, "ClusterFirst");
        default(&mut self.scheduler_name, DEFAULT_SCHEDULER);
        self.termination_grace_period_seconds.get_or_insert(DEFAULT_GRACE_SECONDS);
        self.security_context.get_or_insert_default();
        if self.service_account_name.is_empty() {
            self.service_account_name.clone_from(&self.service_account);
        }
        self.service_account.clone_from(&self.service_account_name);
        self.volumes.iter_mut().for_each(Volume::set_defaults);
        let host_network = self.host_network;
        for container in self.init_containers.iter_mut().chain(&mut self.containers) {
            container.set_defaults();
            for port in container.ports.iter_mut().filter(|port| host_network && port.host_port == 0) {
                port.host_port = port.container_port;
            }
        }
    }
}

impl Volume {
    fn set_defaults(&mut self) {
        if !self.has_source() {
            self.empty_dir = Some(EmptyDirVolume::default());
        }
        let modes = [
            self.secret.as_mut().map(|source| &mut source.default_mode),
            self.config_map.as_mut().map(|source| &mut source.default_mode),
            self.downward_api.as_mut().map(|source| &mut source.default_mode),
            self.projected.as_mut().map(|source| &mut source.default_mode),
        ];
        for mode in modes.into_iter().flatten() {
            mode.get_or_insert(FILE_MODE);
        }
        if let Some(path) = &mut self.host_path {
            path.host_path_type.get_or_insert_default();
        }
        for source in self.projected.iter_mut().flat_map(|projected| &mut projected.sources) {
            if let Some(token) = &mut source.service_account_token {
                token.expiration_seconds.get_or_insert(TOKEN_SECONDS);
            }
        }
    }
}

impl Container {
    /// Protocols, pull policy by the image's tag, termination message, probes.
    pub fn set_defaults(&mut self) {
        for port in &mut self.ports {
            default(&mut port.protocol, "TCP");
        }
        for source in self.env.iter_mut().filter_map(|variable| variable.value_from.as_mut()) {
            set_source_defaults(source);
        }
        default(&mut self.termination_message_path, TERMINATION_MESSAGE_PATH);
        default(&mut self.termination_message_policy, "File");
        if self.image_pull_policy.is_empty() {
            default_pull_policy(&self.image).clone_into(&mut self.image_pull_policy);
        }
        for probe in [&mut self.liveness_probe, &mut self.readiness_probe, &mut self.startup_probe] {
            probe.iter_mut().for_each(Probe::set_defaults);
        }
        for handler in self.lifecycle.iter_mut().flat_map(|life| [&mut life.post_start, &mut life.pre_stop]) {
            handler.iter_mut().for_each(LifecycleHandler::set_defaults);
        }
    }
}

fn set_source_defaults(source: &mut EnvVarSource) {
    if let Some(field) = &mut source.field_ref {
        default(&mut field.api_version, "v1");
    }
    if let Some(resource) = &mut source.resource_field_ref {
        resource.divisor.get_or_insert_default();
    }
}

/// `Always` for a missing tag and for `latest`, `IfNotPresent` otherwise (platform 8.6).
pub fn default_pull_policy(image: &str) -> &'static str {
    let moving = match image.parse::<ImageReference>() {
        Ok(reference) => reference.id.is_none() && reference.tag.as_deref().unwrap_or("latest") == "latest",
        Err(_) => false,
    };
    if moving { "Always" } else { "IfNotPresent" }
}

impl Probe {
    fn set_defaults(&mut self) {
        let defaults = [
            (&mut self.timeout_seconds, 1),
            (&mut self.period_seconds, 10),
            (&mut self.success_threshold, 1),
            (&mut self.failure_threshold, 3),
        ];
        for (field, value) in defaults {
            if *field == 0 {
                *field = value;
            }
        }
        self.http_get.iter_mut().for_each(set_http_defaults);
        if let Some(grpc) = &mut self.grpc {
            grpc.service.get_or_insert_default();
        }
    }
}

impl LifecycleHandler {
    fn set_defaults(&mut self) {
        self.http_get.iter_mut().for_each(set_http_defaults);
    }
}

fn set_http_defaults(action: &mut HttpGetAction) {
    default(&mut action.path, "/");
    default(&mut action.scheme, "HTTP");
}
