//! Config maps with their contents.

use serde_json::Value;

use crate::object;

pub(super) fn describe(map: &Value) -> String {
    let mut text = super::head(map);
    text.push_str("\nData\n====\n");
    for (key, value) in object::string_map(map, "data") {
        text.push_str(&format!("{key}:\n----\n{value}\n\n"));
    }
    let binary = object::string_map(map, "binaryData");
    text.push_str("BinaryData\n====\n");
    for (key, value) in binary {
        // Base64 has four characters for three bytes, the last of which may be missing.
        let missing = value.bytes().rev().take_while(|byte| *byte == b'=').count();
        text.push_str(&format!("{key}: {} bytes\n", (value.len() / 4 * 3).saturating_sub(missing)));
    }
    text.push('\n');
    text
}
