//! The configuration of an image: what to run, and how it was built.
//!
//! Read tolerantly: configurations come from every builder there ever was, and one odd field should not hide the
//! others. Never written; the bytes of the blob stay what they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::descriptor::null_is_default;

/// Longest configuration that is read, in bytes. Artifacts may have longer ones, which nobody reads.
const MAX_BYTES: usize = 8 << 20;

/// The configuration blob of an image, in Docker's or OCI's format; they differ in what they leave out.
///
/// ```
/// let json = br#"{"architecture":"arm64","os":"linux","config":{"Cmd":["sh"],"Env":null}}"#;
/// let config = pierhead_oci::ImageConfig::parse(json)?;
/// assert_eq!(config.architecture, "arm64");
/// assert_eq!(config.config.unwrap().cmd, ["sh"]);
/// # Ok::<(), pierhead_oci::ImageConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// Identifier of images from before there were digests.
    #[serde(deserialize_with = "null_is_default")]
    pub id: String,
    /// Identifier of the image this one was built upon, likewise.
    #[serde(deserialize_with = "null_is_default")]
    pub parent: String,
    /// What its author said when committing it.
    #[serde(deserialize_with = "null_is_default")]
    pub comment: String,
    /// When it was built, in RFC 3339 form if its builder kept to that.
    pub created: Option<String>,
    /// Who is responsible for it.
    #[serde(deserialize_with = "null_is_default")]
    pub author: String,
    /// The container it was committed from.
    #[serde(deserialize_with = "null_is_default")]
    pub container: String,
    /// The settings of that container.
    pub container_config: Option<ContainerConfig>,
    /// The builder's version.
    #[serde(deserialize_with = "null_is_default")]
    pub docker_version: String,
    /// The settings of containers made from the image.
    pub config: Option<ContainerConfig>,
    /// A processor architecture in Go's spelling.
    #[serde(deserialize_with = "null_is_default")]
    pub architecture: String,
    /// A variant of the architecture, such as `v8`.
    #[serde(deserialize_with = "null_is_default")]
    pub variant: String,
    /// An operating system in Go's spelling.
    #[serde(deserialize_with = "null_is_default")]
    pub os: String,
    /// The size that very old images name.
    #[serde(rename = "Size", deserialize_with = "null_is_default")]
    pub size: i64,
    /// The layers' contents before compression.
    #[serde(deserialize_with = "null_is_default")]
    pub rootfs: RootFs,
    /// One entry per build step, oldest first.
    #[serde(deserialize_with = "null_is_default")]
    pub history: Vec<History>,
}

impl ImageConfig {
    /// Reads a configuration. Unknown fields are ignored, absent ones empty.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageConfigError> {
        if bytes.len() > MAX_BYTES {
            return Err(ImageConfigError::TooLarge { length: bytes.len() });
        }
        Ok(serde_json::from_slice(bytes)?)
    }
}

/// How to run a container, in Docker's spelling.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the fields are Docker's, documented with `docker inspect`")]
pub struct ContainerConfig {
    #[serde(deserialize_with = "null_is_default")]
    pub hostname: String,
    #[serde(deserialize_with = "null_is_default")]
    pub domainname: String,
    #[serde(deserialize_with = "null_is_default")]
    pub user: String,
    #[serde(deserialize_with = "null_is_default")]
    pub memory: i64,
    #[serde(deserialize_with = "null_is_default")]
    pub memory_swap: i64,
    #[serde(deserialize_with = "null_is_default")]
    pub cpu_shares: i64,
    #[serde(deserialize_with = "null_is_default")]
    pub cpuset: String,
    #[serde(deserialize_with = "null_is_default")]
    pub attach_stdin: bool,
    #[serde(deserialize_with = "null_is_default")]
    pub attach_stdout: bool,
    #[serde(deserialize_with = "null_is_default")]
    pub attach_stderr: bool,
    #[serde(deserialize_with = "null_is_default")]
    pub port_specs: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub exposed_ports: BTreeMap<String, Value>,
    #[serde(deserialize_with = "null_is_default")]
    pub tty: bool,
    #[serde(deserialize_with = "null_is_default")]
    pub open_stdin: bool,
    #[serde(deserialize_with = "null_is_default")]
    pub stdin_once: bool,
    #[serde(deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    #[serde(deserialize_with = "words")]
    pub cmd: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub dns: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub image: String,
    #[serde(deserialize_with = "null_is_default")]
    pub volumes: BTreeMap<String, Value>,
    #[serde(deserialize_with = "null_is_default")]
    pub volumes_from: String,
    #[serde(deserialize_with = "null_is_default")]
    pub working_dir: String,
    #[serde(deserialize_with = "words")]
    pub entrypoint: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub network_disabled: bool,
    #[serde(deserialize_with = "null_is_default")]
    pub security_opts: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub on_build: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_default")]
    pub stop_signal: String,
    pub healthcheck: Option<Value>,
    #[serde(deserialize_with = "words")]
    pub shell: Vec<String>,
}

/// The file systems of an image.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", deserialize_with = "null_is_default")]
    pub kind: String,
    /// Digests of the layers before compression, base first. Text: nothing is looked up by them.
    #[serde(deserialize_with = "null_is_default")]
    pub diff_ids: Vec<String>,
}

/// One step of a build.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct History {
    /// When it ran.
    pub created: Option<String>,
    /// The command.
    #[serde(deserialize_with = "null_is_default")]
    pub created_by: String,
    /// Who ran it.
    #[serde(deserialize_with = "null_is_default")]
    pub author: String,
    /// A remark.
    #[serde(deserialize_with = "null_is_default")]
    pub comment: String,
    /// Set if the step made no layer.
    #[serde(deserialize_with = "null_is_default")]
    pub empty_layer: bool,
}

/// A configuration that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ImageConfigError {
    /// Longer than we read.
    #[error("the image configuration has {length} bytes, at most {MAX_BYTES} are read")]
    TooLarge {
        /// Length in bytes.
        length: usize,
    },
    /// Not JSON, or a field has a form no builder gives it.
    #[error("the image configuration cannot be read")]
    Json(#[from] serde_json::Error),
}

/// Commands are lists, but early builders wrote a single string for one word.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Option::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Words::One(word)) => vec![word],
        Some(Words::Many(words)) => words,
    })
}

#[cfg(test)]
mod tests {
    use super::{ContainerConfig, ImageConfig};

    #[test]
    fn reads_old_and_empty_configurations() {
        assert_eq!(ImageConfig::parse(b"{}").unwrap(), ImageConfig::default());
        let old = br#"{"id":"ab","created":"2014-10-01T20:46:08Z","author":null,"Size":7,"history":null,
            "container_config":{"Cmd":"/bin/sh","Entrypoint":null,"Labels":null},"rootfs":null,"os":"linux"}"#;
        let config = ImageConfig::parse(old).unwrap();
        let container = ContainerConfig { cmd: vec!["/bin/sh".into()], ..ContainerConfig::default() };
        assert_eq!(config.container_config, Some(container));
        assert_eq!((config.id.as_str(), config.size, config.os.as_str()), ("ab", 7, "linux"));
    }

    #[test]
    fn refuses_what_is_no_configuration() {
        assert!(ImageConfig::parse(b"").is_err());
        assert!(ImageConfig::parse(b"[1]").is_err());
        let error = ImageConfig::parse(&vec![b' '; (8 << 20) + 1]).unwrap_err().to_string();
        assert_eq!(error, "the image configuration has 8388609 bytes, at most 8388608 are read");
    }
}
