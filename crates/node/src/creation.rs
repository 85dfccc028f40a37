//! From a pod's specification to what an engine is asked to make. Pure, but for looking at paths within volumes.
//!
//! Owns what an engine is told about containers and the infra container. Whether a pod may have it is `policy`'s.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Component, Path, PathBuf};

use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, PortBinding};
use pierhead_api::core::{
    Container, Pod, PodDNSConfigOption, PodSecurityContext, SecurityContext, Volume, VolumeMount,
};

use crate::environment::Environment;
use crate::labels::{ContainerIdentity, PodIdentity, Role};
use crate::pause;
use crate::plan::is_sidecar;
use crate::policy::{self, Policy, Refusal};

/// Period of the CPU quota in microseconds.
const CPU_PERIOD: i64 = 100_000;
const LOG_SIZE: &str = "10m";
const LOG_FILES: &str = "3";
const HOST_NAME: usize = 63;

/// A container that cannot be made as it is wanted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreationError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("container has runAsNonRoot and image will run as root")]
    RunsAsRoot,
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root"
    )]
    UnknownUser { user: String },
    #[error("gRPC probes are not supported on this node")]
    GrpcProbe,
    #[error("there is no volume {name:?}")]
    NoVolume { name: String },
    #[error("the mount path {path:?} cannot be used")]
    MountPath { path: String },
    #[error("subPath {path:?} of volume {volume:?} does not stay within it")]
    SubPath { volume: String, path: String },
    #[error("subPathExpr {expression:?} of volume {volume:?} is no part of it, but all of it")]
    SubPathWhole { volume: String, expression: String },
    #[error("subPath {path:?} of volume {volume:?} leads through a link")]
    SubPathLink { volume: String, path: String },
    #[error(
        "subPath {path:?} of volume {volume:?}: container {writer:?} can write above it meanwhile, which is not allowed on this node"
    )]
    SubPathShared { volume: String, path: String, writer: String },
    #[error("subPath {path:?} of volume {volume:?}: {source}")]
    SubPathUnreadable { volume: String, path: String, source: io::Error },
    #[error("a pod has {most} volumes in memory or on disk at most")]
    TooManyVolumes { most: usize },
}

/// Where the parts of a pod are on this machine.
#[derive(Clone, Debug)]
pub(crate) struct PodFolders {
    root: PathBuf,
    /// Where the engine keeps `emptyDir`s, by name of the volume; only those needed.
    pub(crate) empty_dirs: BTreeMap<String, PathBuf>,
}

impl PodFolders {
    pub(crate) fn new(pods: &Path, uid: &str) -> Self {
        Self { root: pods.join(uid), empty_dirs: BTreeMap::new() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The files of a volume.
    pub(crate) fn volume(&self, name: &str) -> PathBuf {
        self.root.join("volumes").join(name)
    }

    /// Where a container leaves its termination message.
    pub(crate) fn message(&self, container: &str, attempt: u32) -> PathBuf {
        self.root.join("messages").join(format!("{container}-{attempt}"))
    }
}

/// Whether a volume is a folder that the engine keeps.
pub(crate) fn is_empty_dir(volume: &Volume) -> bool {
    let Volume { secret, config_map, projected, downward_api, host_path, .. } = volume;
    volume.empty_dir.is_some()
        && secret.is_none()
        && config_map.is_none()
        && projected.is_none()
        && downward_api.is_none()
        && host_path.is_none()
}

/// The infra container of a pod. `image` is the engine's id of ours.
pub(crate) fn sandbox(
    pod: &Pod,
    owner: &PodIdentity,
    identity: &ContainerIdentity,
    image: &str,
    network: &str,
    policy: Policy,
) -> Result<ContainerCreateBody, CreationError> {
    policy.check_pod(pod)?;
    let spec = &pod.spec;
    let volumes: Vec<&Volume> = spec.volumes.iter().filter(|volume| is_empty_dir(volume)).collect();
    if volumes.len() > pause::MOST_VOLUMES {
        return Err(CreationError::TooManyVolumes { most: pause::MOST_VOLUMES });
    }
    // Mounted here first so that the engine gives them the mode of the image's folders, and keeps those in memory alive
    // while containers come and go.
    let binds = volumes.iter().enumerate();
    let binds = binds.map(|(number, volume)| format!("{}:/v/{number}", owner.volume_name(&volume.name)));
    let mut exposed = Vec::new();
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in spec.containers.iter().flat_map(|container| &container.ports) {
        let key = format!("{}/{}", port.container_port, port.protocol.to_ascii_lowercase());
        if port.host_port > 0 && !spec.host_network {
            let host_ip = Some(port.host_ip.clone()).filter(|address| !address.is_empty());
            let binding = PortBinding { host_ip, host_port: Some(port.host_port.to_string()) };
            bindings.entry(key.clone()).or_default().get_or_insert_default().push(binding);
            exposed.push(key);
        }
    }
    let host_name = if spec.hostname.is_empty() { &pod.metadata.name } else { &spec.hostname };
    let aliases = spec.host_aliases.iter();
    let aliases = aliases.flat_map(|alias| alias.hostnames.iter().map(|name| format!("{name}:{}", alias.ip)));
    let dns = spec.dns_config.clone().unwrap_or_default();
    let host = HostConfig {
        network_mode: Some(if spec.host_network { "host".to_owned() } else { network.to_owned() }),
        ipc_mode: Some(if spec.host_ipc { "host".to_owned() } else { "shareable".to_owned() }),
        pid_mode: spec.host_pid.then(|| "host".to_owned()),
        binds: Some(binds.collect()),
        port_bindings: Some(bindings),
        extra_hosts: Some(aliases.collect()),
        dns: Some(dns.nameservers),
        dns_search: Some(dns.searches),
        dns_options: Some(
            dns.options.into_iter().filter(|option| !option.name.is_empty()).map(dns_option).collect(),
        ),
        sysctls: Some(policy::sysctls(pod).into_iter().collect()),
        readonly_rootfs: Some(true),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        log_config: Some(log_config()),
        ..HostConfig::default()
    };
    Ok(ContainerCreateBody {
        image: Some(image.to_owned()),
        hostname: (!spec.host_network).then(|| host_name.chars().take(HOST_NAME).collect()),
        exposed_ports: Some(exposed),
        labels: Some(identity.labels(owner)),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    })
}

fn dns_option(option: PodDNSConfigOption) -> String {
    match option {
        PodDNSConfigOption { name, value: Some(value) } => format!("{name}:{value}"),
        PodDNSConfigOption { name, value: None } => name,
    }
}

/// Engines keep logs for `pods/log`; they must not fill the disk.
fn log_config() -> HostConfigLogConfig {
    let options = [("max-size", LOG_SIZE), ("max-file", LOG_FILES)];
    let own = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
    HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(HashMap::from(own)) }
}

/// What a container is made from.
pub(crate) struct Parts<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) owner: &'a PodIdentity,
    pub(crate) container: &'a Container,
    pub(crate) identity: &'a ContainerIdentity,
    /// The engine's id of the image, and the user it runs as by itself.
    pub(crate) image: (&'a str, &'a str),
    pub(crate) environment: &'a Environment,
    pub(crate) folders: &'a PodFolders,
    pub(crate) policy: Policy,
}

/// A container of a pod.
pub(crate) fn container(parts: &Parts<'_>) -> Result<ContainerCreateBody, CreationError> {
    let Parts { pod, container, identity, environment, policy, .. } = parts;
    policy.check_container(container)?;
    let probes = [&container.liveness_probe, &container.readiness_probe, &container.startup_probe];
    if probes.into_iter().flatten().any(|probe| probe.grpc.is_some()) {
        return Err(CreationError::GrpcProbe);
    }
    let expanded = |words: &[String]| {
        let words: Vec<String> = words.iter().map(|word| environment.expand(word)).collect();
        Some(words).filter(|words| !words.is_empty())
    };
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let (mounts, binds) = mounts(parts)?;
    let context =
        Context { container: container.security_context.as_ref(), pod: pod.spec.security_context.as_ref() };
    let user = context.user(parts.image.1)?;
    let host = HostConfig { mounts: Some(mounts), binds: Some(binds), ..host_config(parts, &context) };
    Ok(ContainerCreateBody {
        image: Some(parts.image.0.to_owned()),
        entrypoint: expanded(&container.command),
        cmd: expanded(&container.args),
        env: Some(environment.lines()),
        working_dir: given(&container.working_dir),
        user,
        tty: Some(container.tty),
        open_stdin: Some(container.stdin),
        stdin_once: Some(container.stdin_once),
        stop_signal: container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.clone()),
        labels: Some(identity.labels(parts.owner)),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    })
}

fn host_config(parts: &Parts<'_>, context: &Context<'_>) -> HostConfig {
    let Parts { pod, container, identity, .. } = parts;
    let resources = &container.resources;
    let limit = |name: &str| resources.limits.get(name);
    let memory = limit("memory").map(pierhead_api::core::Quantity::value).filter(|bytes| *bytes > 0);
    let cpu = limit("cpu").map(|cpu| cpu.milli_value()).filter(|milli| *milli > 0);
    let share = resources
        .requests
        .get("cpu")
        .or(limit("cpu"))
        .map(|cpu| (cpu.milli_value().saturating_mul(1024) / 1000).max(2));
    let sandbox = format!("container:{}", identity.sandbox);
    HostConfig {
        network_mode: Some(sandbox.clone()),
        ipc_mode: Some(sandbox.clone()),
        pid_mode: match (pod.spec.host_pid, pod.spec.share_process_namespace) {
            (true, _) => Some("host".to_owned()),
            (false, Some(true)) => Some(sandbox),
            (false, _) => None,
        },
        memory,
        memory_swap: memory,
        cpu_period: cpu.map(|_| CPU_PERIOD),
        cpu_quota: cpu.map(|milli| (milli.saturating_mul(CPU_PERIOD) / 1000).max(1000)),
        cpu_shares: share,
        log_config: Some(log_config()),
        ..context.host_config()
    }
}

/// Security settings of a container, which win over those of its pod.
struct Context<'a> {
    container: Option<&'a SecurityContext>,
    pod: Option<&'a PodSecurityContext>,
}

impl Context<'_> {
    fn of<T: Copy>(
        &self,
        container: impl Fn(&SecurityContext) -> Option<T>,
        pod: impl Fn(&PodSecurityContext) -> Option<T>,
    ) -> Option<T> {
        self.container.and_then(container).or_else(|| self.pod.and_then(pod))
    }

    /// The user to run as; none leaves it to the image.
    fn user(&self, of_image: &str) -> Result<Option<String>, CreationError> {
        let user = self.of(|context| context.run_as_user, |context| context.run_as_user);
        let group = self.of(|context| context.run_as_group, |context| context.run_as_group);
        let non_root = self.of(|context| context.run_as_non_root, |context| context.run_as_non_root);
        let image_user = of_image.split(':').next().unwrap_or_default();
        if non_root == Some(true) {
            // What a name means is in the image's own list of users, which says what its maker likes.
            let number = match (user, image_user) {
                (Some(user), _) => user,
                (None, "" | "root") => 0,
                (None, name) => match name.parse() {
                    Ok(number) => number,
                    Err(_not_a_number) => return Err(CreationError::UnknownUser { user: name.to_owned() }),
                },
            };
            if number == 0 {
                return Err(CreationError::RunsAsRoot);
            }
        }
        Ok(match (user, group) {
            (Some(user), Some(group)) => Some(format!("{user}:{group}")),
            (Some(user), None) => Some(user.to_string()),
            (None, Some(group)) if image_user.is_empty() => Some(format!("0:{group}")),
            (None, Some(group)) => Some(format!("{image_user}:{group}")),
            (None, None) => None,
        })
    }

    fn host_config(&self) -> HostConfig {
        let capabilities =
            self.container.and_then(|context| context.capabilities.clone()).unwrap_or_default();
        let groups = self.pod.map(|context| {
            let groups = context.supplemental_groups.iter().chain(&context.fs_group);
            groups.map(ToString::to_string).collect()
        });
        let flag = |read: fn(&SecurityContext) -> Option<bool>| self.container.and_then(read);
        let mut options = Vec::new();
        if flag(|context| context.allow_privilege_escalation) == Some(false) {
            options.push("no-new-privileges".to_owned());
        }
        let seccomp = self.container.and_then(|context| context.seccomp_profile.as_ref());
        if seccomp.is_some_and(|profile| profile.profile_type == "Unconfined") {
            options.push("seccomp=unconfined".to_owned());
        }
        HostConfig {
            privileged: flag(|context| context.privileged),
            readonly_rootfs: flag(|context| context.read_only_root_filesystem),
            cap_add: Some(capabilities.add),
            cap_drop: Some(capabilities.drop),
            group_add: groups,
            security_opt: Some(options),
            ..HostConfig::default()
        }
    }
}

/// Folders and files as mounts; the engine's volumes as binds, where alone both engines know `nocopy`.
fn mounts(parts: &Parts<'_>) -> Result<(Vec<Mount>, Vec<String>), CreationError> {
    let Parts { pod, owner, container, identity, environment, folders, .. } = parts;
    let mut mounts = Vec::new();
    let mut binds = Vec::new();
    for mount in &container.volume_mounts {
        let volume = pod.spec.volumes.iter().find(|volume| volume.name == mount.name);
        let volume = volume.ok_or_else(|| CreationError::NoVolume { name: mount.name.clone() })?;
        if mount.mount_path.contains(':') || mount.mount_path.is_empty() {
            return Err(CreationError::MountPath { path: mount.mount_path.clone() });
        }
        let sub_path = if mount.sub_path_expr.is_empty() {
            mount.sub_path.clone()
        } else {
            environment.expand(&mount.sub_path_expr)
        };
        if is_empty_dir(volume) {
            // Other containers, which do not see what an expression became, count on this.
            if !mount.sub_path_expr.is_empty() && depth(&sub_path) == 0 {
                let (volume, expression) = (volume.name.clone(), mount.sub_path_expr.clone());
                return Err(CreationError::SubPathWhole { volume, expression });
            }
            if sub_path.is_empty() {
                let access = if mount.read_only { "ro" } else { "rw" };
                let name = owner.volume_name(&volume.name);
                binds.push(format!("{name}:{}:{access},nocopy", mount.mount_path));
            } else {
                let folder = folders.empty_dirs.get(&volume.name).cloned().unwrap_or_default();
                if let Some(writer) = writer_above(parts, mount, &sub_path) {
                    let (volume, path) = (volume.name.clone(), sub_path);
                    return Err(CreationError::SubPathShared { volume, path, writer: writer.to_owned() });
                }
                let path = within(&folder, mount, &sub_path, Missing::Made)?;
                mounts.push(bind(&path, &mount.mount_path, mount.read_only));
            }
        } else if let Some(host) = &volume.host_path {
            let path = within(Path::new(&host.path), mount, &sub_path, Missing::Refused)?;
            mounts.push(bind(&path, &mount.mount_path, mount.read_only));
        } else {
            let path = within(&folders.volume(&volume.name), mount, &sub_path, Missing::Refused)?;
            mounts.push(bind(&path, &mount.mount_path, true));
        }
    }
    if !container.termination_message_path.is_empty() {
        let file = folders.message(&container.name, identity.attempt);
        mounts.push(bind(&file, &container.termination_message_path, false));
    }
    Ok((mounts, binds))
}

/// A container that may run while this one is started, and can change where a part of an `emptyDir` leads.
///
/// The engine follows the path of a part when it starts a container: after we looked at it, and as somebody who may go
/// anywhere. A link that is put there in between would lead out of the volume, so nobody may be able to put one there.
fn writer_above<'a>(parts: &Parts<'a>, mount: &VolumeMount, path: &str) -> Option<&'a str> {
    let Parts { pod, container, identity, policy, .. } = parts;
    if policy.privileged || policy.host_paths {
        return None;
    }
    // Init containers run one at a time; beside them and beside all others run the sidecars.
    let is_init = identity.role == Role::Init && !is_sidecar(container);
    let inits = pod.spec.init_containers.iter().filter(|other| is_sidecar(other) || is_sidecar(container));
    let mains = pod.spec.containers.iter().filter(|_| !is_init);
    let mut others = inits.chain(mains).filter(|other| other.name != container.name);
    let is_deep = depth(path) > 1;
    let path = place(path);
    let is_above = |other: &Container, theirs: &VolumeMount| {
        let is_expression = !theirs.sub_path_expr.is_empty();
        // What an expression became is not known here; what a sidecar has may have been moved by an init container since.
        // Both are parts, and above a part of one component there is only the whole.
        let may_be_above = is_deep && (is_expression || is_sidecar(other));
        let folder = place(&theirs.sub_path);
        may_be_above || (!is_expression && path != folder && path.starts_with(folder))
    };
    let writes = |other: &Container| {
        let mut theirs =
            other.volume_mounts.iter().filter(|theirs| theirs.name == mount.name && !theirs.read_only);
        theirs.any(|theirs| is_above(other, theirs))
    };
    others.find(|other| writes(other)).map(|other| other.name.as_str())
}

/// A path within a volume, as if that were all there is.
fn place(path: &str) -> PathBuf {
    Path::new("/").join(path)
}

/// How many folders below the volume's own a path ends.
fn depth(path: &str) -> usize {
    place(path).components().count() - 1
}

fn bind(source: &Path, target: &str, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

/// What happens when a path within a volume does not exist.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Made,
    Refused,
}

/// A path within a volume. Links in it are followed where containers cannot write.
fn within(
    folder: &Path,
    mount: &VolumeMount,
    path: &str,
    missing: Missing,
) -> Result<PathBuf, CreationError> {
    if path.is_empty() {
        return Ok(folder.to_path_buf());
    }
    let (volume, shown) = (mount.name.clone(), path.to_owned());
    if Path::new(path).components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(CreationError::SubPath { volume, path: shown });
    }
    let resolve = || {
        let root = folder.canonicalize()?;
        let wanted = root.join(path);
        if missing == Missing::Made && !wanted.exists() {
            make_below(&root, Path::new(path))?;
        }
        Ok((wanted.canonicalize()?, wanted, root))
    };
    match resolve() {
        Ok((found, wanted, root)) if found.starts_with(&root) => {
            if missing == Missing::Made && found != wanted {
                return Err(CreationError::SubPathLink { volume, path: shown });
            }
            Ok(found)
        }
        Ok(_) => Err(CreationError::SubPath { volume, path: shown }),
        Err(source) => Err(CreationError::SubPathUnreadable { volume, path: shown, source }),
    }
}

/// Makes folders one by one, never through a link that leads out.
fn make_below(root: &Path, path: &Path) -> io::Result<()> {
    let mut folder = root.to_path_buf();
    for part in path.components() {
        folder.push(part);
        if !folder.exists() {
            std::fs::create_dir(&folder)?;
        }
        if !folder.canonicalize()?.starts_with(root) {
            return Err(io::Error::other("a link leads out of the volume"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
