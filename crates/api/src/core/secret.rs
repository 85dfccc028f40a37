//! `Secret`: credentials, with the keys each type must have (platform 6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ByteString;
use crate::field::FieldErrors;
use crate::meta::ObjectMeta;
use crate::name;

/// Most bytes all values of one secret (or config map) may have together.
pub const MAX_DATA_BYTES: usize = 1024 * 1024;

/// Types of secrets with rules of their own.
pub mod secret_type {
    /// Anything.
    pub const OPAQUE: &str = "Opaque";
    /// Token of a service account, filled by a controller.
    pub const SERVICE_ACCOUNT_TOKEN: &str = "kubernetes.io/service-account-token";
    /// Old docker credentials file, `.dockercfg`.
    pub const DOCKERCFG: &str = "kubernetes.io/dockercfg";
    /// Docker credentials file, `.dockerconfigjson`.
    pub const DOCKER_CONFIG_JSON: &str = "kubernetes.io/dockerconfigjson";
    /// User name and password.
    pub const BASIC_AUTH: &str = "kubernetes.io/basic-auth";
    /// SSH private key.
    pub const SSH_AUTH: &str = "kubernetes.io/ssh-auth";
    /// Certificate and key.
    pub const TLS: &str = "kubernetes.io/tls";
}

/// Annotation that names the service account of a token secret.
const SERVICE_ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

/// A secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Secret {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Values by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, ByteString>,
    /// Values as text; written only, merged into `data` by [`Secret::set_defaults`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub string_data: BTreeMap<String, String>,
    /// See [`secret_type`].
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub secret_type: String,
    /// `true` blocks all later changes of the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
}

object!(Secret: "" "v1", "secrets" "secret", Namespaced);

impl Secret {
    /// Empty type means `Opaque`; `stringData` goes into `data`.
    pub fn set_defaults(&mut self) {
        if self.secret_type.is_empty() {
            self.secret_type = secret_type::OPAQUE.into();
        }
        for (key, text) in std::mem::take(&mut self.string_data) {
            self.data.insert(key, text.into());
        }
    }

    /// The value of a key as text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.data.get(key).and_then(ByteString::as_str)
    }

    /// Names of keys, sizes, and the keys the type needs.
    pub fn validate(&self) -> FieldErrors {
        let mut errors =
            name::validate_metadata(&self.metadata, name::Scope::Namespaced, name::dns1123_subdomain);
        let mut total = 0;
        for (key, value) in &self.data {
            for problem in name::config_map_key(key) {
                errors.invalid(format!("data[{key}]"), key.as_str(), problem);
            }
            total += value.0.len();
        }
        if total > MAX_DATA_BYTES {
            errors.too_long("data", MAX_DATA_BYTES);
        }
        self.validate_type(&mut errors);
        errors
    }

    fn validate_type(&self, errors: &mut FieldErrors) {
        match self.secret_type.as_str() {
            secret_type::SERVICE_ACCOUNT_TOKEN
                if self.metadata.annotation(SERVICE_ACCOUNT_NAME).unwrap_or_default().is_empty() =>
            {
                errors.required(format!("metadata.annotations[{SERVICE_ACCOUNT_NAME}]"), "");
            }
            secret_type::DOCKERCFG => self.require_json(".dockercfg", errors),
            secret_type::DOCKER_CONFIG_JSON => self.require_json(".dockerconfigjson", errors),
            secret_type::BASIC_AUTH
                if !self.data.contains_key("username") && !self.data.contains_key("password") =>
            {
                errors.required("data[username]", "");
                errors.required("data[password]", "");
            }
            secret_type::SSH_AUTH => self.require("ssh-privatekey", errors),
            secret_type::TLS => {
                self.require("tls.crt", errors);
                self.require("tls.key", errors);
            }
            _ => {}
        }
    }

    fn require(&self, key: &str, errors: &mut FieldErrors) {
        if self.data.get(key).is_none_or(|value| value.0.is_empty()) {
            errors.required(format!("data[{key}]"), "");
        }
    }

    fn require_json(&self, key: &str, errors: &mut FieldErrors) {
        let field = format!("data[{key}]");
        let Some(value) = self.data.get(key) else { return errors.required(field, "") };
        if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(value.as_slice()) {
            errors.invalid(field, "<secret contents redacted>", error.to_string());
        }
    }

    /// The type never changes; with `immutable: true` nothing of the data does.
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        if self.secret_type != old.secret_type {
            errors.invalid("type", self.secret_type.as_str(), name::IMMUTABLE);
        }
        if old.immutable == Some(true) {
            if self.immutable != Some(true) {
                errors.forbidden("immutable", "field is immutable when `immutable` is set");
            }
            if self.data != old.data {
                errors.forbidden("data", "field is immutable when `immutable` is set");
            }
        }
        errors.append(self.validate());
        errors
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Secret;
    use crate::from_value;

    #[track_caller]
    fn check(document: Value, expected: &str) {
        let mut secret: Secret = from_value(&document).unwrap();
        secret.metadata.name = "s".into();
        secret.metadata.namespace = "n".into();
        secret.set_defaults();
        let errors = secret.validate();
        assert_eq!(if errors.is_empty() { String::new() } else { errors.to_string() }, expected);
    }

    #[test]
    fn wants_the_keys_of_its_type() {
        check(json!({}), "");
        check(json!({"type": "kubernetes.io/dockercfg"}), "data[.dockercfg]: Required value");
        check(json!({"type": "kubernetes.io/dockercfg", "stringData": {".dockercfg": "{}"}}), "");
        check(
            json!({"type": "kubernetes.io/tls"}),
            "[data[tls.crt]: Required value, data[tls.key]: Required value]",
        );
        check(
            json!({"type": "kubernetes.io/service-account-token"}),
            "metadata.annotations[kubernetes.io/service-account.name]: Required value",
        );
        check(json!({"type": "kubernetes.io/basic-auth", "stringData": {"password": "x"}}), "");
        check(json!({"type": "example.org/own"}), "");
    }

    #[test]
    fn does_not_show_contents_of_a_bad_file() {
        let document =
            json!({"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "hunter2"}});
        let mut secret: Secret = from_value(&document).unwrap();
        secret.set_defaults();
        let errors = secret.validate().to_string();
        assert!(
            errors.contains("data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\""),
            "{errors}"
        );
        assert!(!errors.contains("hunter2"), "{errors}");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }

    #[test]
    fn type_and_frozen_data_do_not_change() {
        let old: Secret =
            from_value(&json!({"type": "Opaque", "immutable": true, "data": {"a": "YQ=="}})).unwrap();
        let new: Secret =
            from_value(&json!({"type": "other", "immutable": true, "data": {"a": "Yg=="}})).unwrap();
        let text = new.validate_update(&old).to_string();
        assert!(text.contains("type: Invalid value: \"other\": field is immutable"), "{text}");
        assert!(text.contains("data: Forbidden: field is immutable when `immutable` is set"), "{text}");
    }

    #[test]
    fn reads_null_and_wrapped_base64() {
        let secret: Secret = from_value(&json!({"data": {"a": null, "b": "aGVs\nbG8="}})).unwrap();
        assert_eq!(secret.text("a"), Some(""));
        assert_eq!(secret.text("b"), Some("hello"));
    }
}
