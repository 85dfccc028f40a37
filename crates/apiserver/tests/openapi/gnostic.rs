//! The document of OpenAPI 2.0 as protobuf, in the messages of gnostic that older clients read.
//!
//! Owns the numbers of the fields, as far as our document uses them.

use serde_json::Value;

/// A message in the making.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
            number >>= 7;
        }
        self.0.push(u8::try_from(number).unwrap());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len().try_into().unwrap());
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u64, value: &Value) {
        if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
            self.bytes(field, text.as_bytes());
        }
    }

    fn texts(&mut self, field: u64, values: &Value) {
        for value in values.as_array().into_iter().flatten() {
            // An empty text in a list is a member of it.
            self.bytes(field, value.as_str().unwrap().as_bytes());
        }
    }

    fn flag(&mut self, field: u64, value: &Value) {
        if value == &Value::Bool(true) {
            self.varint(field << 3);
            self.varint(1);
        }
    }

    fn message(&mut self, field: u64, message: Message) {
        self.bytes(field, &message.0);
    }

    /// A name and a value, which maps are lists of.
    fn named(&mut self, field: u64, name: &str, value: Message) {
        let mut pair = Message::default();
        pair.bytes(1, name.as_bytes());
        pair.message(2, value);
        self.message(field, pair);
    }

    fn extensions(&mut self, field: u64, of: &Value) {
        for (name, value) in of.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-")) {
            self.named(field, name, any(value));
        }
    }
}

/// Any value, as YAML (of which JSON is a part).
fn any(value: &Value) -> Message {
    let mut message = Message::default();
    message.bytes(2, value.to_string().as_bytes());
    message
}

/// The whole document.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Message::default();
    out.text(1, &document["swagger"]);
    let mut info = Message::default();
    info.text(1, &document["info"]["title"]);
    info.text(2, &document["info"]["version"]);
    out.message(2, info);
    let mut paths = Message::default();
    for (path, item) in document["paths"].as_object().unwrap() {
        paths.named(2, path, path_item(item));
    }
    out.message(8, paths);
    let mut definitions = Message::default();
    for (name, definition) in document["definitions"].as_object().unwrap() {
        definitions.named(1, name, schema(definition));
    }
    out.message(9, definitions);
    out.0
}

fn path_item(item: &Value) -> Message {
    let mut out = Message::default();
    for (field, method) in [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (8, "patch")] {
        if let Some(of) = item.get(method) {
            out.message(field, operation(of));
        }
    }
    for of in item["parameters"].as_array().into_iter().flatten() {
        out.message(9, parameter(of));
    }
    out
}

fn operation(of: &Value) -> Message {
    let mut out = Message::default();
    out.texts(1, &of["tags"]);
    out.text(3, &of["description"]);
    out.text(5, &of["operationId"]);
    out.texts(6, &of["produces"]);
    out.texts(7, &of["consumes"]);
    for one in of["parameters"].as_array().into_iter().flatten() {
        out.message(8, parameter(one));
    }
    let mut responses = Message::default();
    for (code, response) in of["responses"].as_object().unwrap() {
        let mut message = Message::default();
        message.text(1, &response["description"]);
        if let Some(of) = response.get("schema") {
            let mut item = Message::default();
            item.message(1, schema(of));
            message.message(2, item);
        }
        let mut value = Message::default();
        value.message(1, message);
        responses.named(1, code, value);
    }
    out.message(9, responses);
    out.extensions(13, of);
    out
}

/// A parameter where one or a reference to one may be.
fn parameter(of: &Value) -> Message {
    let mut out = Message::default();
    let mut choice = Message::default();
    match of["in"].as_str() {
        Some("body") => {
            let mut body = Message::default();
            body.text(1, &of["description"]);
            body.text(2, &of["name"]);
            body.text(3, &of["in"]);
            body.flag(4, &of["required"]);
            body.message(5, schema(&of["schema"]));
            choice.message(1, body);
        }
        place => {
            let is_query = place == Some("query");
            let mut plain = Message::default();
            plain.flag(1, &of["required"]);
            plain.text(2, &of["in"]);
            plain.text(3, &of["description"]);
            plain.text(4, &of["name"]);
            plain.text(if is_query { 6 } else { 5 }, &of["type"]);
            plain.flag(if is_query { 20 } else { 19 }, &of["uniqueItems"]);
            let mut either = Message::default();
            either.message(if is_query { 3 } else { 4 }, plain);
            choice.message(2, either);
        }
    }
    out.message(1, choice);
    out
}

fn schema(of: &Value) -> Message {
    let mut out = Message::default();
    out.text(1, &of["$ref"]);
    out.text(2, &of["format"]);
    out.text(4, &of["description"]);
    if let Some(default) = of.get("default") {
        out.message(5, any(default));
    }
    out.texts(19, &of["required"]);
    for value in of["enum"].as_array().into_iter().flatten() {
        out.message(20, any(value));
    }
    if let Some(values) = of.get("additionalProperties") {
        let mut item = Message::default();
        item.message(1, schema(values));
        out.message(21, item);
    }
    if of["type"].is_string() {
        let mut item = Message::default();
        item.text(1, &of["type"]);
        out.message(22, item);
    }
    if let Some(items) = of.get("items") {
        let mut item = Message::default();
        item.message(1, schema(items));
        out.message(23, item);
    }
    if let Some(fields) = of["properties"].as_object() {
        let mut properties = Message::default();
        for (name, field) in fields {
            properties.named(1, name, schema(field));
        }
        out.message(25, properties);
    }
    out.extensions(31, of);
    out
}
