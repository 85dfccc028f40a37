//! Schemas of all wire types, from which the OpenAPI documents are made. Only built with the feature `schema`, by the
//! test that writes `schema/definitions.json`; the product serves the finished documents.
//!
//! Owns the order of work: types are described by what is derived from them (`roots`), named as clients know them
//! (`names`), brought into the form of OpenAPI (`normal`), and told what no type says: which fields must be given, how
//! lists are merged (`notes`).

mod names;
mod normal;
mod notes;
mod roots;
mod scalars;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::Object;

/// Everything described of one group: roots are kinds or documents that paths name.
struct Group {
    /// Start of the names of its definitions.
    prefix: &'static str,
    generator: schemars::SchemaGenerator,
    /// Name of the Rust type, and what it is a kind of.
    kinds: Vec<Root>,
}

/// A kind.
struct Root {
    type_name: String,
    kind: KindNames,
}

/// What documents call a kind.
#[derive(Clone, Copy)]
struct KindNames {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    /// Whether it is listed, so that there is a list kind.
    listed: bool,
}

impl Group {
    fn new(prefix: &'static str) -> Self {
        let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
        Self { prefix, generator: settings.into_generator(), kinds: Vec::new() }
    }

    /// Adds a kind.
    fn kind<T: Object + schemars::JsonSchema>(&mut self, listed: bool) {
        self.document::<T>();
        let kind = KindNames { group: T::GROUP, version: T::VERSION, kind: T::KIND, listed };
        self.kinds.push(Root { type_name: T::schema_name().into_owned(), kind });
    }

    /// Adds a document that is no kind of objects, but says its kind.
    fn message<T: schemars::JsonSchema>(&mut self, kind: &'static str) {
        self.document::<T>();
        let kind = KindNames { group: "", version: "v1", kind, listed: false };
        self.kinds.push(Root { type_name: T::schema_name().into_owned(), kind });
    }

    /// Adds a type that is not a kind.
    fn document<T: schemars::JsonSchema>(&mut self) {
        self.generator.subschema_for::<T>();
    }
}

/// All definitions, by the names that `$ref`s use after `#/definitions/`.
///
/// # Panics
///
/// When two types would get the same name, or when a note is about a field that does not exist.
#[must_use]
pub fn definitions() -> BTreeMap<String, Value> {
    let mut named = names::Names::default();
    let (mut plain, mut definitions) = (BTreeMap::new(), BTreeMap::new());
    for mut group in roots::groups() {
        let types = group.generator.take_definitions(false);
        let kinds: Vec<&str> = group.kinds.iter().map(|root| root.type_name.as_str()).collect();
        let full_names = named.of_group(group.prefix, &types, &kinds);
        for (name, schema) in &types {
            let full = full_names[name].clone();
            let schema = normal::schema(schema, &full_names);
            let known = plain.entry(full.clone()).or_insert_with(|| schema.clone());
            assert!(*known == schema, "two types are called {full}");
            definitions.entry(full).or_insert(schema);
        }
        for Root { type_name, kind } in &group.kinds {
            let full = &full_names[type_name];
            add_kind(&mut definitions, full, *kind);
        }
    }
    for (name, schema) in roots::hand_written() {
        definitions.insert(name.to_owned(), schema);
    }
    notes::apply(&mut definitions);
    definitions
}

/// Adds what every document of a kind has, and the list of the kind.
fn add_kind(definitions: &mut BTreeMap<String, Value>, full: &str, names: KindNames) {
    // A kind that is another one under a new name has its fields.
    let other =
        definitions[full].get("$ref").and_then(Value::as_str).map(|path| names::referred(path).to_owned());
    if let Some(other) = other {
        let mut copy = definitions[&other].clone();
        copy["description"] = definitions[full]["description"].clone();
        if let Some(members) = copy.as_object_mut() {
            members.remove(GROUP_VERSION_KIND);
        }
        definitions.insert(full.to_owned(), copy);
    }
    let schema = definitions.get_mut(full).expect("a definition of this name was looked up above");
    add_envelope(schema, names.kind, names);
    if !names.listed {
        return;
    }
    let list = format!("{}List", names.kind);
    let mut schema = json!({
        "description": format!("{list} is a list of objects of the kind {}.", names.kind),
        "type": "object",
        "properties": {
            "items": {"description": "The objects.", "type": "array", "items": {"$ref": names::reference(full)}},
            "metadata": {
                "description": "Metadata of the list.", "$ref": names::reference(names::LIST_META),
            },
        },
        "required": ["items"],
    });
    add_envelope(&mut schema, &list, names);
    definitions.insert(format!("{full}List"), schema);
}

/// Which group, version and kind a definition is.
const GROUP_VERSION_KIND: &str = "x-kubernetes-group-version-kind";

fn add_envelope(schema: &mut Value, kind: &str, KindNames { group, version, .. }: KindNames) {
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut properties = Map::new();
    properties.insert(
        "apiVersion".into(),
        json!({"description": format!("Group and version of the document: `{api_version}`."), "type": "string"}),
    );
    properties.insert(
        "kind".into(),
        json!({"description": format!("Kind of the document: `{kind}`."), "type": "string"}),
    );
    if let Some(own) = schema["properties"].as_object() {
        let fields = own.iter().filter(|(name, _)| *name != "apiVersion" && *name != "kind");
        properties.extend(fields.map(|(name, field)| (name.clone(), field.clone())));
    }
    schema["properties"] = Value::Object(properties);
    let own = json!({"group": group, "version": version, "kind": kind});
    match schema[GROUP_VERSION_KIND].as_array_mut() {
        Some(known) if !known.contains(&own) => known.push(own),
        Some(_) => {}
        None => schema[GROUP_VERSION_KIND] = json!([own]),
    }
}
