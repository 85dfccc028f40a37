//! What pods may not ask of this machine. Whoever may create pods must not thereby own the machine: everything here is
//! refused unless the configuration allows it.

use pierhead_api::core::{Container, Pod};

/// Capabilities that engines give by default; adding them gives nothing that dropping them did not take.
const HARMLESS: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Kernel settings that belong to a pod's own network or IPC namespace.
const SAFE_SYSCTLS: [&str; 9] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
];

/// What the configuration allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Privileged containers, the machine's namespaces and ports, any capability, probes and hooks that ask other hosts.
    pub privileged: bool,
    /// Paths of the machine as volumes.
    pub host_paths: bool,
}

/// Something a pod asks for and does not get here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} not allowed on this node")]
pub(crate) struct Refusal {
    what: String,
}

impl Policy {
    /// What the pod as a whole may not have.
    pub(crate) fn check_pod(self, pod: &Pod) -> Result<(), Refusal> {
        let spec = &pod.spec;
        let host =
            [("hostNetwork", spec.host_network), ("hostPID", spec.host_pid), ("hostIPC", spec.host_ipc)];
        if let Some((name, _)) = host.into_iter().find(|(_, wanted)| *wanted && !self.privileged) {
            return Err(Refusal { what: format!("{name} is") });
        }
        // A port of the machine may be the one at which people trust somebody else.
        let mut ports = spec.containers.iter().flat_map(|container| &container.ports);
        if let Some(port) = ports.find(|port| port.host_port > 0 && !self.privileged) {
            return Err(Refusal { what: format!("the host port {} is", port.host_port) });
        }
        let unsafe_sysctl = sysctls(pod).into_iter().find(|(name, _)| !SAFE_SYSCTLS.contains(&name.as_str()));
        match unsafe_sysctl {
            Some((name, _)) if !self.privileged => Err(Refusal { what: format!("the sysctl {name} is") }),
            _ => Ok(()),
        }
    }

    /// What a container may not have.
    pub(crate) fn check_container(self, container: &Container) -> Result<(), Refusal> {
        if self.privileged {
            return Ok(());
        }
        // Probes and hooks are asked from where this process is: only of the container itself.
        if let Some(host) = hosts(container).find(|host| !host.is_empty()) {
            return Err(Refusal { what: format!("asking the host {host} is") });
        }
        let Some(context) = &container.security_context else { return Ok(()) };
        if context.privileged == Some(true) {
            return Err(Refusal { what: "privileged containers are".to_owned() });
        }
        let added = context.capabilities.iter().flat_map(|capabilities| &capabilities.add);
        for capability in added {
            let name = capability.to_ascii_uppercase();
            if !HARMLESS.contains(&name.strip_prefix("CAP_").unwrap_or(&name)) {
                return Err(Refusal { what: format!("the capability {capability} is") });
            }
        }
        if context.proc_mount.as_deref().is_some_and(|mount| mount != "Default") {
            return Err(Refusal { what: "an unmasked /proc is".to_owned() });
        }
        match context.seccomp_profile.as_ref().map(|profile| profile.profile_type.as_str()) {
            Some(profile) if profile != "RuntimeDefault" => {
                Err(Refusal { what: format!("the seccomp profile {profile} is") })
            }
            _ => Ok(()),
        }
    }
}

/// The hosts that a container's probes and hooks name.
fn hosts(container: &Container) -> impl Iterator<Item = &str> {
    let Container { liveness_probe, readiness_probe, startup_probe, lifecycle, .. } = container;
    let probes = [liveness_probe, readiness_probe, startup_probe].into_iter().flatten();
    let probes = probes.map(|probe| (&probe.http_get, &probe.tcp_socket));
    let hooks = lifecycle.iter().flat_map(|lifecycle| [&lifecycle.post_start, &lifecycle.pre_stop]);
    let hooks = hooks.flatten().map(|hook| (&hook.http_get, &hook.tcp_socket));
    probes.chain(hooks).flat_map(|(get, socket)| {
        let get = get.as_ref().map(|get| get.host.as_str());
        get.into_iter().chain(socket.as_ref().map(|socket| socket.host.as_str()))
    })
}

/// Kernel settings a pod asks for.
pub(crate) fn sysctls(pod: &Pod) -> Vec<(String, String)> {
    let context = pod.spec.security_context.as_ref();
    let list = context.into_iter().flat_map(|context| &context.sysctls);
    list.map(|setting| (setting.name.clone(), setting.value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use pierhead_api::core::Pod;
    use pierhead_api::from_value;
    use serde_json::{Value, json};

    use super::Policy;

    #[track_caller]
    fn check(spec: Value, expected: &str) {
        let pod: Pod = from_value(&json!({"spec": spec})).unwrap();
        let judged = |policy: Policy| {
            policy.check_pod(&pod)?;
            pod.spec.containers.iter().try_for_each(|container| policy.check_container(container))
        };
        let text = judged(Policy::default()).map_or_else(|refusal| refusal.to_string(), |()| String::new());
        assert_eq!(text, expected);
        assert_eq!(judged(Policy { privileged: true, host_paths: true }), Ok(()));
    }

    fn container(context: Value) -> Value {
        json!({"containers": [{"name": "c", "securityContext": context}]})
    }

    #[test]
    fn nobody_gets_the_machine_by_creating_a_pod() {
        check(json!({"containers": [{"name": "c"}]}), "");
        check(json!({"hostNetwork": true}), "hostNetwork is not allowed on this node");
        check(json!({"hostPID": true}), "hostPID is not allowed on this node");
        check(container(json!({"privileged": true})), "privileged containers are not allowed on this node");
        check(container(json!({"capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}})), "");
        check(
            container(json!({"capabilities": {"add": ["CAP_SYS_ADMIN"]}})),
            "the capability CAP_SYS_ADMIN is not allowed on this node",
        );
        check(
            container(json!({"capabilities": {"add": ["ALL"]}})),
            "the capability ALL is not allowed on this node",
        );
        check(
            container(json!({"seccompProfile": {"type": "Unconfined"}})),
            "the seccomp profile Unconfined is not allowed on this node",
        );
        let with = |field: &str, value: Value| json!({"containers": [{"name": "c", field: value}]});
        check(with("ports", json!([{"containerPort": 443, "protocol": "TCP"}])), "");
        check(
            with("ports", json!([{"containerPort": 443, "hostPort": 443, "protocol": "TCP"}])),
            "the host port 443 is not allowed on this node",
        );
        check(with("readinessProbe", json!({"httpGet": {"port": 80}})), "");
        check(
            with("readinessProbe", json!({"httpGet": {"port": 80, "host": "169.254.169.254"}})),
            "asking the host 169.254.169.254 is not allowed on this node",
        );
        check(
            with("livenessProbe", json!({"tcpSocket": {"port": 22, "host": "127.0.0.1"}})),
            "asking the host 127.0.0.1 is not allowed on this node",
        );
        check(
            with("lifecycle", json!({"postStart": {"httpGet": {"port": 80, "host": "db"}}})),
            "asking the host db is not allowed on this node",
        );
        check(
            json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}),
            "the sysctl kernel.msgmax is not allowed on this node",
        );
    }
}
