//! The configuration of the new image: what was there, and what the user says.

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use pierhead_oci::Digest;
use serde_json::{Value, json};

use crate::{object, registries::platform};

/// What the user says.
pub(super) struct Patches<'p> {
    pub(super) image: Option<&'p str>,
    pub(super) meta: Option<&'p str>,
    pub(super) drop_history: bool,
}

/// An image with nothing in it.
pub(super) fn empty() -> Value {
    json!({
        "architecture": platform::architecture(),
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": []},
        "history": [],
    })
}

/// Changes everything but the layers.
pub(super) fn change(config: &mut Value, patches: &Patches<'_>, created: Timestamp) -> anyhow::Result<()> {
    object::set_text(config, "created", &created.to_string());
    if patches.drop_history
        && let Value::Object(fields) = config
    {
        for field in ["container_config", "container", "docker_version", "history", "parent"] {
            fields.remove(field);
        }
        if let Some(run) = fields.get_mut("config").and_then(Value::as_object_mut) {
            run.remove("Image");
        }
    }
    if let Some(text) = patches.image {
        let patch = parse(text).context("unable to patch image from --image")?;
        if !config.get("config").is_some_and(Value::is_object) {
            config["config"] = json!({});
        }
        merge(&mut config["config"], patch);
    }
    if let Some(text) = patches.meta {
        let patch = parse(text).context("unable to patch image from --meta")?;
        if patch.get("rootfs").is_some() {
            bail!("--meta may not change rootfs: the layers are what they are");
        }
        merge(config, patch);
    }
    Ok(())
}

fn parse(text: &str) -> anyhow::Result<Value> {
    match serde_json::from_str(text)? {
        patch @ Value::Object(_) => Ok(patch),
        other => bail!("{other} is no JSON object"),
    }
}

/// Objects are merged, null takes away, all else replaces.
fn merge(target: &mut Value, patch: Value) {
    match (target, patch) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (key, change) in changes {
                if change.is_null() {
                    fields.remove(&key);
                } else {
                    merge(fields.entry(key).or_insert(Value::Null), change);
                }
            }
        }
        (target, patch) => *target = patch,
    }
}

/// Notes a layer that comes on top.
pub(super) fn add_layer(config: &mut Value, diff_id: &Digest, created: Timestamp) {
    object::list_mut(config, "rootfs.diff_ids").push(Value::from(diff_id.to_string()));
    // A history that says less than there is would be read wrongly; none at all is not.
    if config.get("history").is_some_and(Value::is_array) {
        let entry = json!({"created": created.to_string(), "comment": "added by image append"});
        object::list_mut(config, "history").push(entry);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use pierhead_oci::Digest;
    use serde_json::json;

    use super::{Patches, add_layer, change, empty};

    #[test]
    fn settings_are_changed_and_history_is_kept_or_dropped() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let mut config = empty();
        config["config"] = json!({"Cmd": ["a"], "Labels": {"a": "1", "b": "2"}, "Image": "x"});
        config["container_config"] = json!({});
        let image = r#"{"Cmd":null,"Labels":{"b":"3"},"Env":["A=1"]}"#;
        let meta = r#"{"author":"me"}"#;
        let mut patches = Patches { image: Some(image), meta: Some(meta), drop_history: false };
        change(&mut config, &patches, now).unwrap();
        add_layer(&mut config, &Digest::sha256(b"x"), now);
        assert_eq!(config["config"], json!({"Labels": {"a": "1", "b": "3"}, "Image": "x", "Env": ["A=1"]}));
        assert_eq!((&config["author"], &config["created"]), (&json!("me"), &json!("2026-01-31T12:00:00Z")));
        assert_eq!(config["history"].as_array().unwrap().len(), 1);
        assert_eq!(config["rootfs"]["diff_ids"], json!([Digest::sha256(b"x").to_string()]));
        patches = Patches { image: None, meta: Some("{\"rootfs\":1}"), drop_history: true };
        assert!(change(&mut config, &patches, now).is_err());
        assert!(config.get("history").is_none() && config.get("container_config").is_none());
        assert!(config["config"].get("Image").is_none());
        patches.meta = Some("[]");
        assert!(change(&mut config, &patches, now).is_err());
    }
}
