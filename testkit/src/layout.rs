//! Images made from nothing, as OCI image layouts that skopeo and podman read.
//!
//! Owns writing blobs, manifests, indexes and artifacts. The same input gives the same digests.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::tar::{Entry, Tar};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const BUSYBOX: &str = "/bin/busybox";

/// A folder in the form of an OCI image layout.
#[derive(Debug)]
pub struct Layout {
    folder: PathBuf,
    named: Vec<Value>,
}

impl Layout {
    /// An empty layout in a new folder.
    ///
    /// # Errors
    /// The folder exists or cannot be made.
    pub fn create(folder: &Path) -> Result<Self> {
        std::fs::create_dir(folder)?;
        std::fs::create_dir_all(folder.join("blobs/sha256"))?;
        std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let layout = Self { folder: folder.to_path_buf(), named: Vec::new() };
        layout.write_index()?;
        Ok(layout)
    }

    /// Where `name` is, as skopeo writes it.
    pub fn reference(&self, name: &str) -> String {
        format!("oci:{}:{name}", self.folder.display())
    }

    /// Writes a blob and gives its descriptor.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn blob(&self, media_type: &str, bytes: &[u8]) -> Result<Value> {
        let hex = sha256_hex(bytes);
        std::fs::write(self.folder.join("blobs/sha256").join(&hex), bytes)?;
        Ok(json!({"mediaType": media_type, "digest": format!("sha256:{hex}"), "size": bytes.len()}))
    }

    /// Writes an image of one layer for an architecture and gives its descriptor, with the platform in it.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn image(&self, architecture: &str, layer: &[u8], command: &[&str]) -> Result<Value> {
        let config = json!({
            "created": "2026-01-01T00:00:00Z", "architecture": architecture, "os": "linux",
            "config": {"Cmd": command},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256_hex(layer))]},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "pierhead-testkit"}],
        });
        let config = self.blob(CONFIG, config.to_string().as_bytes())?;
        let layer = self.blob(LAYER, layer)?;
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
        let mut descriptor = self.blob(MANIFEST, manifest.to_string().as_bytes())?;
        if let Some(fields) = descriptor.as_object_mut() {
            fields.insert("platform".into(), json!({"architecture": architecture, "os": "linux"}));
        }
        Ok(descriptor)
    }

    /// Writes an index over these and gives its descriptor.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn index(&self, manifests: &[Value]) -> Result<Value> {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        self.blob(INDEX, index.to_string().as_bytes())
    }

    /// Writes an artifact, which is a manifest with a type and any content, and gives its descriptor.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn artifact(&self, artifact_type: &str, content: &[u8], subject: Option<&Value>) -> Result<Value> {
        let config = self.blob(EMPTY, b"{}")?;
        let layer = self.blob("application/octet-stream", content)?;
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": artifact_type,
            "config": config, "layers": [layer],
        });
        if let (Some(fields), Some(subject)) = (manifest.as_object_mut(), subject) {
            let keep = ["mediaType", "digest", "size"].map(|name| (name, subject.get(name).cloned()));
            fields.insert("subject".into(), keep.into_iter().collect());
        }
        self.blob(MANIFEST, manifest.to_string().as_bytes())
    }

    /// Gives a manifest or index a name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn name(&mut self, name: &str, descriptor: &Value) -> Result<()> {
        let mut named = descriptor.clone();
        let fields = named.as_object_mut().context("a descriptor is an object")?;
        fields.insert("annotations".into(), json!({"org.opencontainers.image.ref.name": name}));
        self.named.push(named);
        self.write_index()
    }

    fn write_index(&self) -> Result<()> {
        let index = json!({"schemaVersion": 2, "manifests": self.named});
        Ok(std::fs::write(self.folder.join("index.json"), index.to_string())?)
    }
}

/// A layer with a static busybox, its most used names, and `text` in `/message`.
///
/// # Errors
/// There is no busybox on this machine.
pub fn busybox_layer(text: &str) -> Result<Vec<u8>> {
    let busybox =
        std::fs::read(BUSYBOX).with_context(|| format!("{BUSYBOX} is missing: install busybox-static"))?;
    let mut tar = Tar::default();
    tar.add("bin/", 0o755, Entry::Folder);
    tar.add("bin/busybox", 0o755, Entry::File(&busybox));
    for name in ["sh", "cat", "sleep", "httpd", "ls"] {
        tar.add(&format!("bin/{name}"), 0o777, Entry::Link("busybox"));
    }
    tar.add("message", 0o644, Entry::File(text.as_bytes()));
    Ok(tar.finish())
}

/// A layer with nothing but `text` in `/message`.
pub fn small_layer(text: &str) -> Vec<u8> {
    let mut tar = Tar::default();
    tar.add("message", 0o644, Entry::File(text.as_bytes()));
    tar.finish()
}

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Layout, busybox_layer, small_layer};

    #[test]
    fn tar_and_skopeo_read_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("layer.tar");
        std::fs::write(&archive, busybox_layer("hello").unwrap()).unwrap();
        let listed = Command::new("tar").arg("-tf").arg(&archive).output().unwrap();
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        assert!(String::from_utf8_lossy(&listed.stdout).contains("bin/busybox\nbin/sh\n"));
        let mut layout = Layout::create(&folder.path().join("layout")).unwrap();
        let image = layout.image("amd64", &small_layer("hello"), &["/bin/cat", "/message"]).unwrap();
        layout.name("hello", &image).unwrap();
        let inspected =
            Command::new("skopeo").args(["inspect", &layout.reference("hello")]).output().unwrap();
        assert!(inspected.status.success(), "{}", String::from_utf8_lossy(&inspected.stderr));
        let inspected: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
        assert_eq!(inspected["Digest"], image["digest"]);
    }
}
