//! How an image object comes from a manifest and its config (images 4).

use jiff::Timestamp;
use pierhead_api::image::{DockerConfig, DockerImage, Image, ImageLayer, ImageManifest, annotation};
use pierhead_oci::{ContainerConfig, Descriptor, ImageConfig, Manifest, ManifestKind};

/// What a push makes of a manifest: a managed image whose bytes are in the blob store. `config` is the config blob, if
/// there is one and it can be read; without it the image has layers and no metadata but its id.
pub(crate) fn pushed_image(
    name: &str,
    reference: String,
    now: Timestamp,
    manifest: &Manifest,
    config: Option<&ImageConfig>,
) -> Image {
    let mut image = Image { docker_image_reference: reference, ..Image::default() };
    image.metadata.name = name.to_owned();
    image.metadata.uid = uuid::Uuid::new_v4().to_string();
    image.metadata.creation_timestamp = Some(now.into());
    for mark in [annotation::MANAGED, annotation::MANIFEST_BLOB_STORED] {
        image.metadata.annotations.insert(mark.to_owned(), "true".to_owned());
    }
    describe(&mut image, manifest, config);
    image
}

/// Fills in what the manifest and the config say. A list has no date of its own; it gets the image's.
pub(crate) fn describe(image: &mut Image, manifest: &Manifest, config: Option<&ImageConfig>) {
    image.docker_image_manifest_media_type = manifest.media_type().as_str().to_owned();
    image.metadata.annotations.insert(annotation::LAYERS_ORDER.to_owned(), "ascending".to_owned());
    match manifest.kind() {
        ManifestKind::Image { config: descriptor, layers } => {
            image.docker_image_layers = layers.iter().map(layer).collect();
            image.set_docker_image(&docker_image(descriptor, layers, config));
        }
        ManifestKind::Index { manifests } => {
            image.docker_image_manifests = manifests.iter().map(child).collect();
            let id = image.metadata.name.clone();
            let created = image.metadata.creation_timestamp.map(|time| time.to_string());
            image.set_docker_image(&DockerImage { id, created, ..DockerImage::default() });
        }
    }
}

fn layer(descriptor: &Descriptor) -> ImageLayer {
    ImageLayer {
        name: descriptor.digest.to_string(),
        size: signed(descriptor.size),
        media_type: descriptor.media_type.as_str().to_owned(),
    }
}

fn child(descriptor: &Descriptor) -> ImageManifest {
    let platform = descriptor.platform.clone().unwrap_or_default();
    ImageManifest {
        digest: descriptor.digest.to_string(),
        media_type: descriptor.media_type.as_str().to_owned(),
        manifest_size: signed(descriptor.size),
        architecture: platform.architecture,
        os: platform.os,
        variant: platform.variant.unwrap_or_default(),
    }
}

/// Size: the config and every layer once, however often the manifest names it.
fn docker_image(descriptor: &Descriptor, layers: &[Descriptor], config: Option<&ImageConfig>) -> DockerImage {
    let mut seen = std::collections::HashSet::new();
    let unique = layers.iter().filter(|layer| seen.insert(&layer.digest));
    let size = unique.fold(descriptor.size, |sum, layer| sum.saturating_add(layer.size));
    let id = descriptor.digest.to_string();
    let Some(config) = config else {
        return DockerImage { id, size: signed(size), ..DockerImage::default() };
    };
    DockerImage {
        id,
        parent: config.parent.clone(),
        comment: config.comment.clone(),
        created: config.created.clone(),
        container: config.container.clone(),
        container_config: config.container_config.as_ref().map(docker_config).unwrap_or_default(),
        docker_version: config.docker_version.clone(),
        author: config.author.clone(),
        config: config.config.as_ref().map(docker_config),
        architecture: config.architecture.clone(),
        size: signed(size),
    }
}

fn docker_config(config: &ContainerConfig) -> DockerConfig {
    DockerConfig {
        hostname: config.hostname.clone(),
        domainname: config.domainname.clone(),
        user: config.user.clone(),
        memory: config.memory,
        memory_swap: config.memory_swap,
        cpu_shares: config.cpu_shares,
        cpuset: config.cpuset.clone(),
        attach_stdin: config.attach_stdin,
        attach_stdout: config.attach_stdout,
        attach_stderr: config.attach_stderr,
        port_specs: config.port_specs.clone(),
        exposed_ports: config.exposed_ports.clone(),
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        env: config.env.clone(),
        cmd: config.cmd.clone(),
        dns: config.dns.clone(),
        image: config.image.clone(),
        volumes: config.volumes.clone(),
        volumes_from: config.volumes_from.clone(),
        working_dir: config.working_dir.clone(),
        entrypoint: config.entrypoint.clone(),
        network_disabled: config.network_disabled,
        security_opts: config.security_opts.clone(),
        on_build: config.on_build.clone(),
        labels: config.labels.clone(),
    }
}

fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
