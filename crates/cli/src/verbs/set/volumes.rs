//! `set volumes`: show, add and remove the volumes of pods.

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::{Objects, SetOptions, each_container, matches, named, pod_spec_path, subject};
use crate::{environment::ExitStatus, object, session::Session};

/// Show, add or remove volumes
///
/// Examples:
///   set volumes dc/web
///   set volumes dc/web --add --name=conf --type=configmap --configmap-name=web --mount-path=/etc/web
///   set volumes dc/web --remove --name=conf
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct VolumesArgs {
    /// TYPE/NAME…
    #[arg(value_name = "NAME", required = true)]
    words: Vec<String>,
    /// Add a volume, or mount one that is there
    #[arg(long, conflicts_with = "remove")]
    add: bool,
    /// Remove a volume
    #[arg(long)]
    remove: bool,
    /// Remove all volumes
    #[arg(long, requires = "remove")]
    confirm: bool,
    /// Name of the volume
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// emptyDir, secret, configmap, persistentVolumeClaim (pvc) or hostPath
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    volume_type: Option<String>,
    /// Where containers see it
    #[arg(short = 'm', long, value_name = "PATH")]
    mount_path: Option<String>,
    /// Part of the volume that they see
    #[arg(long, value_name = "PATH")]
    sub_path: Option<String>,
    /// They cannot write
    #[arg(long)]
    read_only: bool,
    /// Name of the secret
    #[arg(long, value_name = "NAME")]
    secret_name: Option<String>,
    /// Name of the config map
    #[arg(long, value_name = "NAME")]
    configmap_name: Option<String>,
    /// Name of the claim
    #[arg(long, value_name = "NAME")]
    claim_name: Option<String>,
    /// Path on the node
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Replace a volume that is there
    #[arg(long)]
    overwrite: bool,
    /// Containers, by name or pattern
    #[arg(short = 'c', long, default_value = "*", value_name = "NAMES")]
    containers: String,
    #[command(flatten)]
    options: SetOptions,
}

pub(super) async fn run(args: VolumesArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let objects = args.options.objects(&args.words, session).await?;
    if !args.add && !args.remove {
        return show(&args, &objects, session);
    }
    if args.remove && args.name.is_none() && !args.confirm {
        bail!("must provide --confirm for removing more than one volume");
    }
    let source = if args.add { source(&args)? } else { None };
    args.options
        .change(objects, "volume updated", session, |object| {
            if args.add { add(object, &args, source.as_ref()) } else { remove(object, &args) }
        })
        .await
}

/// What the volume is, if the flags say so.
fn source(args: &VolumesArgs) -> anyhow::Result<Option<(&'static str, Value)>> {
    let needed = |name: &Option<String>, flag: &str| match name {
        Some(name) => Ok(name.clone()),
        None => bail!("must provide --{flag}"),
    };
    let volume_type = args.volume_type.as_deref().map(str::to_lowercase);
    let guessed = match &volume_type {
        Some(volume_type) => volume_type.as_str(),
        None if args.secret_name.is_some() => "secret",
        None if args.configmap_name.is_some() => "configmap",
        None if args.claim_name.is_some() => "pvc",
        None if args.path.is_some() => "hostpath",
        None => return Ok(None),
    };
    Ok(Some(match guessed {
        "emptydir" => ("emptyDir", json!({})),
        "secret" => ("secret", json!({"secretName": needed(&args.secret_name, "secret-name")?})),
        "configmap" => ("configMap", json!({"name": needed(&args.configmap_name, "configmap-name")?})),
        "persistentvolumeclaim" | "pvc" => {
            ("persistentVolumeClaim", json!({"claimName": needed(&args.claim_name, "claim-name")?}))
        }
        "hostpath" => ("hostPath", json!({"path": needed(&args.path, "path")?})),
        other => bail!("invalid volume type {other:?}"),
    }))
}

fn add(object: &mut Value, args: &VolumesArgs, source: Option<&(&'static str, Value)>) -> anyhow::Result<()> {
    let path = format!("{}.volumes", pod_spec_path(object));
    let known: Vec<String> =
        object::list(object, &path).iter().map(|volume| object::text(volume, "name").to_owned()).collect();
    let name = match &args.name {
        Some(name) => name.clone(),
        None => (1..)
            .map(|number| format!("volume-{number}"))
            .find(|name| !known.contains(name))
            .unwrap_or_default(),
    };
    let exists = known.contains(&name);
    if exists && source.is_some() && !args.overwrite {
        bail!("volume '{name}' already exists. Use --overwrite to replace");
    }
    let default = ("emptyDir", json!({}));
    if let Some((field, how)) = source.or((!exists).then_some(&default)) {
        let volume = named(object::list_mut(object, &path), &name);
        *volume = json!({"name": name, *field: how});
    }
    let Some(mount_path) = &args.mount_path else { return Ok(()) };
    each_container(object, &args.containers, |container| {
        let mounts = object::list_mut(container, "volumeMounts");
        let taken = mounts.iter().any(|mount| {
            object::text(mount, "mountPath") == mount_path && object::text(mount, "name") != name
        });
        if taken && !args.overwrite {
            bail!(
                "volume mount '{mount_path}' already exists for container '{}'",
                object::text(container, "name")
            );
        }
        mounts.retain(|mount| {
            object::text(mount, "mountPath") != mount_path && object::text(mount, "name") != name
        });
        let mut mount = json!({"name": name, "mountPath": mount_path});
        if let Some(sub_path) = &args.sub_path {
            mount["subPath"] = json!(sub_path);
        }
        if args.read_only {
            mount["readOnly"] = json!(true);
        }
        mounts.push(mount);
        Ok(())
    })
}

fn remove(object: &mut Value, args: &VolumesArgs) -> anyhow::Result<()> {
    let is_meant = |volume: &str| args.name.as_deref().is_none_or(|name| name == volume);
    let path = format!("{}.volumes", pod_spec_path(object));
    let known = object::list(object, &path).iter().any(|volume| is_meant(object::text(volume, "name")));
    if !known {
        match &args.name {
            Some(name) => bail!("volume '{name}' not found"),
            None => return Ok(()),
        }
    }
    // A volume that goes from all containers goes from those that run before them as well.
    let spec = pod_spec_path(object);
    let init = format!("{spec}.initContainers");
    if args.containers == "*" && !object::list(object, &init).is_empty() {
        for container in object::list_mut(object, &init) {
            unmount(container, is_meant);
        }
    }
    each_container(object, &args.containers, |container| {
        unmount(container, is_meant);
        Ok(())
    })?;
    // Only a volume that no container mounts any more goes.
    let containers = object::list(object, &format!("{spec}.containers")).to_vec();
    let init = object::list(object, &init).to_vec();
    let is_used = |name: &str| {
        containers
            .iter()
            .chain(&init)
            .flat_map(|container| object::list(container, "volumeMounts"))
            .any(|mount| object::text(mount, "name") == name)
    };
    object::list_mut(object, &path)
        .retain(|volume| !is_meant(object::text(volume, "name")) || is_used(object::text(volume, "name")));
    Ok(())
}

/// Removes the mounts of the volumes that are meant.
fn unmount(container: &mut Value, is_meant: impl Fn(&str) -> bool) {
    if container.get("volumeMounts").is_some() {
        object::list_mut(container, "volumeMounts").retain(|mount| !is_meant(object::text(mount, "name")));
    }
}

fn show(args: &VolumesArgs, objects: &Objects, session: &mut Session) -> anyhow::Result<ExitStatus> {
    for (kind, object) in objects {
        session.say(&subject(kind, object))?;
        let spec = pod_spec_path(object);
        for volume in object::list(object, &format!("{spec}.volumes")) {
            let name = object::text(volume, "name");
            if args.name.as_deref().is_some_and(|wanted| wanted != name) {
                continue;
            }
            session.say(&format!("  {} as {name}", told(volume)))?;
            for container in object::list(object, &format!("{spec}.containers")) {
                let own = object::text(container, "name");
                if !matches(&args.containers, own) {
                    continue;
                }
                for mount in object::list(container, "volumeMounts") {
                    if object::text(mount, "name") == name {
                        session.say(&format!("    mounted at {}", object::text(mount, "mountPath")))?;
                    }
                }
            }
        }
    }
    Ok(ExitStatus::SUCCESS)
}

fn told(volume: &Value) -> String {
    let name = |path: &str| object::text(volume, path).to_owned();
    if object::at(volume, "secret").is_some() {
        format!("secret/{}", name("secret.secretName"))
    } else if object::at(volume, "configMap").is_some() {
        format!("configMap/{}", name("configMap.name"))
    } else if object::at(volume, "persistentVolumeClaim").is_some() {
        format!("pvc/{}", name("persistentVolumeClaim.claimName"))
    } else if object::at(volume, "hostPath").is_some() {
        format!("host path {}", name("hostPath.path"))
    } else if volume.get("emptyDir").is_some() {
        "empty directory".to_owned()
    } else {
        "unknown".to_owned()
    }
}
