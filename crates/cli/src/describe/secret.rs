//! Secrets: sizes of the values, except for the token that one comes for (platform 6).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{globals::Era, object};

pub(super) fn describe(secret: &Value, era: Era) -> String {
    let secret_type = object::text(secret, "type");
    let mut text = if era == Era::V4 {
        super::head(secret)
    } else {
        format!(
            "Name:\t{}\nNamespace:\t{}\nLabels:\t{}\nAnnotations:\t{}\n",
            object::name(secret),
            object::namespace(secret).unwrap_or_default(),
            super::map_line(secret, "metadata.labels"),
            super::map_line(secret, "metadata.annotations"),
        )
    };
    text.push_str(&format!("\nType:\t{secret_type}\n\nData\n====\n"));
    for (key, value) in object::string_map(secret, "data") {
        let bytes = STANDARD.decode(value).unwrap_or_default();
        if key == "token" && secret_type == "kubernetes.io/service-account-token" {
            text.push_str(&format!("{key}:\t{}\n", String::from_utf8_lossy(&bytes)));
        } else {
            text.push_str(&format!("{key}:\t{} bytes\n", bytes.len()));
        }
    }
    text
}
