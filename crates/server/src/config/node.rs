//! The section `[node]` of the configuration file: the container engine that runs pods. Only the file has it.

use std::path::PathBuf;

use pierhead_node::{EngineKind, Policy};
use serde::Deserialize;

use super::ConfigError;

const DOCKER_SOCKET: &str = "/var/run/docker.sock";
const PODMAN_SOCKET: &str = "/run/podman/podman.sock";
/// Where the system keeps this machine's name.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// `[node]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct NodeSection {
    engine: Option<String>,
    socket: Option<PathBuf>,
    name: Option<String>,
    network: Option<String>,
    allow_privileged: bool,
    allow_host_paths: bool,
}

/// The engine that runs pods, checked.
#[derive(Clone, Debug)]
pub(crate) struct NodeSettings {
    pub(crate) engine: EngineKind,
    pub(crate) socket: PathBuf,
    pub(crate) name: String,
    pub(crate) network: Option<String>,
    pub(crate) policy: Policy,
}

impl NodeSection {
    /// None without an engine: pods stay pending.
    pub(super) fn checked(self) -> Result<Option<NodeSettings>, ConfigError> {
        let Self { engine, socket, name, network, allow_privileged, allow_host_paths } = self;
        let (engine, usual) = match engine.as_deref() {
            None | Some("none") => return Ok(None),
            Some("docker") => (EngineKind::Docker, DOCKER_SOCKET),
            Some("podman") => (EngineKind::Podman, PODMAN_SOCKET),
            Some(other) => {
                let why = format!("`{other}` is none of docker, podman, none");
                return Err(ConfigError::Value { key: "node.engine", why });
            }
        };
        let socket = socket.unwrap_or_else(|| PathBuf::from(usual));
        if socket.is_relative() {
            let why = format!("`{}` is not an absolute path", socket.display());
            return Err(ConfigError::Value { key: "node.socket", why });
        }
        let name = name.unwrap_or_else(host_name);
        if !pierhead_api::name::is_dns1123_subdomain(&name) {
            let why =
                format!("`{name}` is no name of an object: write lower-case letters, digits, `-` and `.`");
            return Err(ConfigError::Value { key: "node.name", why });
        }
        let policy = Policy { privileged: allow_privileged, host_paths: allow_host_paths };
        Ok(Some(NodeSettings { engine, socket, name, network, policy }))
    }
}

/// This machine's name as an object's; `node` where it has none.
fn host_name() -> String {
    let name = std::fs::read_to_string(HOST_NAME).unwrap_or_default().trim().to_ascii_lowercase();
    if pierhead_api::name::is_dns1123_subdomain(&name) { name } else { "node".to_owned() }
}
