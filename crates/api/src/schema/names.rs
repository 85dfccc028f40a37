//! What definitions are called: the names that clients know from Kubernetes and OpenShift.
//!
//! Owns the prefixes' use and the names that differ from those of the Rust types. A type that several groups use is
//! called by the first of them, which is why the groups have an order.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

/// Start of a `$ref`.
const DEFINITIONS: &str = "#/definitions/";
/// Metadata of lists.
pub(super) const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// Types whose own names are not those clients know.
const RENAMED: &[(&str, &str)] = &[
    ("ConfigMapVolume", "ConfigMapVolumeSource"),
    ("DownwardApiFile", "DownwardAPIVolumeFile"),
    ("DownwardApiProjection", "DownwardAPIProjection"),
    ("DownwardApiVolume", "DownwardAPIVolumeSource"),
    ("EmptyDirVolume", "EmptyDirVolumeSource"),
    ("ExtensionsScale", "Scale"),
    ("ExtensionsScaleStatus", "ScaleStatus"),
    ("GrpcAction", "GRPCAction"),
    ("HostPathVolume", "HostPathVolumeSource"),
    ("HttpGetAction", "HTTPGetAction"),
    ("HttpHeader", "HTTPHeader"),
    ("PersistentVolumeClaimVolume", "PersistentVolumeClaimVolumeSource"),
    ("PodIp", "PodIP"),
    ("ProjectedVolume", "ProjectedVolumeSource"),
    ("SecretVolume", "SecretVolumeSource"),
    ("TcpSocketAction", "TCPSocketAction"),
    ("TokenProjection", "ServiceAccountTokenProjection"),
];

/// Types that have a place of their own.
const PLACED: &[(&str, &str)] = &[
    ("IntOrString", "io.k8s.apimachinery.pkg.util.intstr.IntOrString"),
    ("Quantity", "io.k8s.apimachinery.pkg.api.resource.Quantity"),
];

/// A `$ref` to a definition.
pub(super) fn reference(full: &str) -> String {
    format!("{DEFINITIONS}{full}")
}

/// The definition a `$ref` means.
pub(super) fn referred(path: &str) -> &str {
    path.strip_prefix(DEFINITIONS).unwrap_or(path)
}

/// Names given so far.
#[derive(Default)]
pub(super) struct Names {
    /// Per Rust name: schemas as derived with all they refer to, and what they are called.
    given: HashMap<String, Vec<(Value, String)>>,
}

impl Names {
    /// Names the types of a group. Types that look the same as one of an earlier group are that one, except `kinds`.
    pub(super) fn of_group(
        &mut self,
        prefix: &str,
        types: &Map<String, Value>,
        kinds: &[&str],
    ) -> BTreeMap<String, String> {
        let mut names = BTreeMap::new();
        for (name, schema) in types {
            let whole = inlined(schema, types, 0);
            let given = self.given.entry(name.clone()).or_default();
            let known = given.iter().find(|(known, _)| *known == whole && !kinds.contains(&name.as_str()));
            let full = known.map(|(_, full)| full.clone()).unwrap_or_else(|| full_name(prefix, name));
            given.push((whole, full.clone()));
            names.insert(name.clone(), full);
        }
        names
    }
}

/// A schema with those it refers to in their places, to some depth.
fn inlined(schema: &Value, types: &Map<String, Value>, depth: usize) -> Value {
    match schema {
        Value::Object(members) => {
            let mut out: Map<String, Value> =
                members.iter().map(|(name, value)| (name.clone(), inlined(value, types, depth))).collect();
            let name = members.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
            if let Some(referred) = name.and_then(|name| types.get(name)).filter(|_| depth < 4) {
                out.insert("$ref".into(), inlined(referred, types, depth + 1));
            }
            Value::Object(out)
        }
        Value::Array(items) => items.iter().map(|item| inlined(item, types, depth)).collect(),
        plain => plain.clone(),
    }
}

fn full_name(prefix: &str, name: &str) -> String {
    let of = |table: &[(&str, &str)]| {
        table.iter().find(|(own, _)| *own == name).map(|(_, known)| (*known).to_owned())
    };
    of(PLACED).unwrap_or_else(|| format!("{prefix}.{}", of(RENAMED).unwrap_or_else(|| name.to_owned())))
}
