//! What engines are asked for, from what pods say.

use std::path::Path;

use bollard::models::ContainerCreateBody;
use pierhead_api::core::Pod;
use pierhead_api::from_value;
use serde_json::{Value, json};

use super::{Parts, PodFolders, container, sandbox};
use crate::environment::Environment;
use crate::fields::Place;
use crate::labels::{ContainerIdentity, PodIdentity, Role};
use crate::policy::Policy;
use crate::sources::Sources;

fn owner() -> PodIdentity {
    PodIdentity { cluster: "c".into(), uid: "u".into(), namespace: "shop".into(), name: "p".into() }
}

fn identity(role: Role) -> ContainerIdentity {
    ContainerIdentity {
        role,
        container: "web".into(),
        attempt: 0,
        sandbox: "infra".into(),
        image: "i".into(),
    }
}

fn pod(spec: Value) -> Pod {
    from_value(&json!({"metadata": {"name": "p", "namespace": "shop", "uid": "u"}, "spec": spec})).unwrap()
}

fn made(spec: Value, image_user: &str, folder: &Path) -> Result<ContainerCreateBody, String> {
    of(&pod(spec), "web", Role::Main, image_user, folder)
}

/// What is asked for the container of this name.
fn of(
    pod: &Pod,
    name: &str,
    role: Role,
    image_user: &str,
    folder: &Path,
) -> Result<ContainerCreateBody, String> {
    let all = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    let wanted = all.into_iter().find(|container| container.name == name).unwrap();
    let environment = Environment::of(pod, wanted, &Sources::default(), &Place::default()).unwrap();
    let mut folders = PodFolders::new(folder, "u");
    folders.empty_dirs.insert("scratch".into(), folder.join("scratch"));
    container(&Parts {
        pod,
        owner: &owner(),
        container: wanted,
        identity: &identity(role),
        image: ("sha256:1", image_user),
        environment: &environment,
        folders: &folders,
        policy: Policy::default(),
    })
    .map_err(|error| error.to_string())
}

#[test]
fn commands_resources_and_users_are_passed_on() {
    let body = made(
        json!({
            "securityContext": {"runAsUser": 7, "fsGroup": 9, "supplementalGroups": [8]},
            "containers": [{
                "name": "web", "command": ["run", "$(A)"], "args": ["$(B)", "$$(A)"],
                "env": [{"name": "A", "value": "1"}],
                "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "250m"}},
                "securityContext": {"readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
                                    "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}},
            }],
        }),
        "",
        Path::new("/data"),
    )
    .unwrap();
    assert_eq!(body.entrypoint, Some(vec!["run".into(), "1".into()]));
    assert_eq!(body.cmd, Some(vec!["$(B)".into(), "$(A)".into()]));
    assert_eq!(body.user.as_deref(), Some("7"));
    let host = body.host_config.unwrap();
    assert_eq!((host.memory, host.memory_swap), (Some(64 << 20), Some(64 << 20)));
    assert_eq!((host.cpu_quota, host.cpu_shares), (Some(50_000), Some(256)));
    assert_eq!(host.group_add, Some(vec!["8".into(), "9".into()]));
    assert_eq!(host.network_mode.as_deref(), Some("container:infra"));
    assert_eq!(host.readonly_rootfs, Some(true));
    assert_eq!(host.security_opt, Some(vec!["no-new-privileges".into()]));
    assert_eq!(host.cap_drop, Some(vec!["ALL".into()]));
}

#[track_caller]
fn check_user(context: Value, image_user: &str, expected: Result<Option<&str>, &str>) {
    let spec = json!({"containers": [{"name": "web", "securityContext": context}]});
    let user = made(spec, image_user, Path::new("/data")).map(|body| body.user);
    assert_eq!(user.as_ref().map(Option::as_deref).map_err(String::as_str), expected);
}

#[test]
fn root_is_refused_to_those_who_said_so() {
    check_user(json!({}), "", Ok(None));
    check_user(json!({"runAsUser": 5, "runAsGroup": 6}), "", Ok(Some("5:6")));
    check_user(json!({"runAsNonRoot": true}), "7:www", Ok(None));
    check_user(json!({"runAsNonRoot": true, "runAsUser": 7}), "www", Ok(Some("7")));
    let refused = Err("container has runAsNonRoot and image will run as root");
    check_user(json!({"runAsNonRoot": true}), "", refused);
    check_user(json!({"runAsNonRoot": true}), "0:5", refused);
    check_user(json!({"runAsNonRoot": true}), "00", refused);
    check_user(json!({"runAsNonRoot": true}), "+0", refused);
    check_user(json!({"runAsNonRoot": true, "runAsUser": 0}), "www", refused);
    let unknown =
        "container has runAsNonRoot and image has non-numeric user (www), cannot verify user is non-root";
    check_user(json!({"runAsNonRoot": true}), "www:5", Err(unknown));
}

#[test]
fn volumes_are_mounted_where_they_belong_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    std::fs::create_dir_all(folder.join("u/volumes/conf")).unwrap();
    std::fs::write(folder.join("u/volumes/conf/a"), "").unwrap();
    std::fs::create_dir(folder.join("scratch")).unwrap();
    std::os::unix::fs::symlink("/etc", folder.join("scratch/out")).unwrap();
    std::os::unix::fs::symlink("d", folder.join("scratch/in")).unwrap();
    let mounted = |mount: Value| {
        let spec = json!({
            "volumes": [{"name": "conf", "configMap": {"name": "c"}}, {"name": "scratch", "emptyDir": {}}],
            "containers": [{"name": "web", "volumeMounts": [mount]}],
        });
        let host = made(spec, "", &folder)?.host_config.unwrap();
        let mounts = host.mounts.unwrap().into_iter().map(|mount| {
            let access = if mount.read_only == Some(true) { "ro" } else { "rw" };
            format!("{}:{}:{access}", mount.source.unwrap(), mount.target.unwrap())
        });
        let all: Vec<String> = mounts.chain(host.binds.unwrap()).collect();
        Ok::<_, String>(all.join(" ").replace(folder.to_str().unwrap(), ""))
    };
    let check = |mount: Value, expected: &str| {
        assert_eq!(mounted(mount).unwrap_or_else(|error| error), expected);
    };
    check(json!({"name": "conf", "mountPath": "/c"}), "/u/volumes/conf:/c:ro");
    check(json!({"name": "conf", "mountPath": "/c", "subPath": "a"}), "/u/volumes/conf/a:/c:ro");
    check(json!({"name": "scratch", "mountPath": "/s"}), "pierhead_u_scratch:/s:rw,nocopy");
    check(json!({"name": "scratch", "mountPath": "/s", "subPath": "d/e"}), "/scratch/d/e:/s:rw");
    let out = "subPath \"out\" of volume \"scratch\" does not stay within it";
    check(json!({"name": "scratch", "mountPath": "/s", "subPath": "out"}), out);
    let link = "subPath \"in/e\" of volume \"scratch\" leads through a link";
    check(json!({"name": "scratch", "mountPath": "/s", "subPath": "in/e"}), link);
    let up = "subPath \"../x\" of volume \"scratch\" does not stay within it";
    check(json!({"name": "scratch", "mountPath": "/s", "subPath": "../x"}), up);
    check(json!({"name": "scratch", "mountPath": "/s", "subPathExpr": "d/$$e"}), "/scratch/d/$e:/s:rw");
    for whole in [".", "./."] {
        let all = format!("subPathExpr {whole:?} of volume \"scratch\" is no part of it, but all of it");
        check(json!({"name": "scratch", "mountPath": "/s", "subPathExpr": whole}), &all);
    }
    check(json!({"name": "other", "mountPath": "/s"}), "there is no volume \"other\"");
    check(json!({"name": "conf", "mountPath": "/a:/b"}), "the mount path \"/a:/b\" cannot be used");
}

/// Whether `web` may have the part `path` of a volume, of which other containers have what `others` says.
#[track_caller]
fn check_part(path: &str, role: Role, others: Value, writer: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("scratch")).unwrap();
    let mine =
        json!({"name": "web", "volumeMounts": [{"name": "scratch", "mountPath": "/s", "subPath": path}]});
    let mut spec =
        json!({"volumes": [{"name": "scratch", "emptyDir": {}}], "containers": [], "initContainers": []});
    for (name, mount) in others.as_object().unwrap() {
        let mut mount = mount.clone();
        mount["name"] = "scratch".into();
        let restart = (name == "sidecar").then_some("Always");
        let list = if name.starts_with("main") { "containers" } else { "initContainers" };
        let other = json!({"name": name, "restartPolicy": restart, "volumeMounts": [mount]});
        spec[list].as_array_mut().unwrap().push(other);
    }
    let list = if role == Role::Init { "initContainers" } else { "containers" };
    spec[list].as_array_mut().unwrap().push(mine);
    let refused = of(&pod(spec), "web", role, "", folder.path()).err();
    let expected = writer.map(|writer| {
        format!(
            "subPath {path:?} of volume \"scratch\": container {writer:?} can write above it meanwhile, which is not allowed on this node"
        )
    });
    assert_eq!(refused, expected);
}

#[test]
fn nobody_can_turn_the_way_to_a_part_of_a_volume() {
    check_part("d", Role::Main, json!({"main": {"subPath": "d"}}), None);
    check_part("d", Role::Main, json!({"main": {"readOnly": true}}), None);
    check_part("d", Role::Main, json!({"main": {}}), Some("main"));
    check_part("d", Role::Main, json!({"main": {"subPath": "."}}), Some("main"));
    check_part("d", Role::Main, json!({"main": {"subPathExpr": "$(A)"}}), None);
    check_part("d/e", Role::Main, json!({"main": {"subPathExpr": "$(A)"}}), Some("main"));
    check_part("d/e", Role::Main, json!({"main": {"subPath": "d/f"}}), None);
    check_part("./d/e", Role::Main, json!({"main": {"subPath": "d"}}), Some("main"));
    // Init containers are over before others begin, but sidecars see all of them.
    check_part("d", Role::Main, json!({"init": {}}), None);
    check_part("d", Role::Init, json!({"init": {}, "main": {}}), None);
    check_part("d", Role::Init, json!({"sidecar": {}}), Some("sidecar"));
    check_part("d", Role::Main, json!({"sidecar": {"subPath": "a"}}), None);
    check_part("d/e", Role::Main, json!({"sidecar": {"subPath": "a"}}), Some("sidecar"));
}

#[test]
fn the_sandbox_has_what_all_containers_share() {
    let pod = pod(json!({
        "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}],
        "dnsConfig": {"nameservers": ["9.9.9.9"], "options": [{"name": "ndots", "value": "2"}, {"name": "debug"}]},
        "volumes": [{"name": "scratch", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "s"}}],
        "containers": [{"name": "web", "ports": [
            {"containerPort": 80, "protocol": "TCP"}, {"containerPort": 81, "hostPort": 8081, "protocol": "TCP"}]}],
    }));
    let infra = identity(Role::Infra);
    let allowed = Policy { privileged: true, ..Policy::default() };
    let body = sandbox(&pod, &owner(), &infra, "sha256:pause", "pierhead", allowed).unwrap();
    assert_eq!(body.image.as_deref(), Some("sha256:pause"));
    assert_eq!(body.hostname.as_deref(), Some("p"));
    let host = body.host_config.unwrap();
    assert_eq!(host.extra_hosts, Some(vec!["a:1.2.3.4".into(), "b:1.2.3.4".into()]));
    assert_eq!(host.dns_options, Some(vec!["ndots:2".into(), "debug".into()]));
    assert_eq!(host.binds, Some(vec!["pierhead_u_scratch:/v/0".into()]));
    let bindings = host.port_bindings.unwrap();
    assert_eq!(bindings.len(), 1);
    let bound = bindings["81/tcp"].as_ref().unwrap();
    assert_eq!(bound[0].host_port.as_deref(), Some("8081"));
}
