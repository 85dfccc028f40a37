//! The `Object` trait: what the machinery needs to know of a kind, and how a typed object becomes a document.
//!
//! Structs hold no `apiVersion` and no `kind`; these are constants of the type and are written here.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::meta::{List, ObjectMeta};

/// A kind of the API. The constants are those of its group form (`image.openshift.io/v1`, not the legacy `v1`).
pub trait Object: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// API group; empty for the core group.
    const GROUP: &'static str;
    /// API version, such as `v1`.
    const VERSION: &'static str;
    /// Kind, such as `ImageStream`.
    const KIND: &'static str;
    /// Resource name in paths, such as `imagestreams`.
    const PLURAL: &'static str;
    /// Singular resource name, such as `imagestream`.
    const SINGULAR: &'static str;
    /// Whether objects live in a namespace.
    const NAMESPACED: bool;
    /// Short names clients may type, such as `is`.
    const SHORT_NAMES: &'static [&'static str];
    /// Categories, such as `all`.
    const CATEGORIES: &'static [&'static str];

    /// The metadata of this object.
    fn metadata(&self) -> &ObjectMeta;
    /// The metadata of this object, to change it.
    fn metadata_mut(&mut self) -> &mut ObjectMeta;

    /// `group/version`, or only the version for the core group.
    fn api_version() -> String {
        if Self::GROUP.is_empty() {
            Self::VERSION.to_owned()
        } else {
            format!("{}/{}", Self::GROUP, Self::VERSION)
        }
    }

    /// `plural.group`, or only the plural for the core group: the form used in messages and storage keys.
    fn qualified_resource() -> String {
        if Self::GROUP.is_empty() {
            Self::PLURAL.to_owned()
        } else {
            format!("{}.{}", Self::PLURAL, Self::GROUP)
        }
    }
}

/// The document of an object, `apiVersion` and `kind` first.
pub fn to_value<T: Object>(object: &T) -> Value {
    let mut document = envelope(T::api_version(), T::KIND.to_owned());
    document.extend(fields_of(object));
    Value::Object(document)
}

/// The document of a list of objects: `kind` is the item's kind with `List` appended. Items carry their own
/// `apiVersion` and `kind`, as clients that split lists like it.
pub fn list_to_value<T: Object>(list: &List<T>) -> Value {
    let mut document = envelope(T::api_version(), format!("{}List", T::KIND));
    document.insert("metadata".into(), Value::Object(fields_of(&list.metadata)));
    document.insert("items".into(), list.items.iter().map(to_value).collect());
    Value::Object(document)
}

pub(crate) fn envelope(api_version: String, kind: String) -> Map<String, Value> {
    let mut document = Map::new();
    document.insert("apiVersion".into(), Value::String(api_version));
    document.insert("kind".into(), Value::String(kind));
    document
}

pub(crate) fn fields_of<T: Serialize>(object: &T) -> Map<String, Value> {
    match serde_json::to_value(object) {
        Ok(Value::Object(fields)) => fields,
        Ok(other) => unreachable!("wire types are structs, this one became {other}"),
        Err(error) => unreachable!("wire types have string keys and plain fields: {error}"),
    }
}

/// Implements [`Object`] for a struct with a `metadata` field.
macro_rules! object {
    (
        $type:ident: $group:literal $version:literal, $plural:literal $singular:literal, $scope:ident
        $(, short [$($short:literal),*])? $(, categories [$($category:literal),*])?
    ) => {
        impl $crate::object::Object for $type {
            const GROUP: &'static str = $group;
            const VERSION: &'static str = $version;
            const KIND: &'static str = stringify!($type);
            const PLURAL: &'static str = $plural;
            const SINGULAR: &'static str = $singular;
            const NAMESPACED: bool = object!(@scope $scope);
            const SHORT_NAMES: &'static [&'static str] = &[$($($short),*)?];
            const CATEGORIES: &'static [&'static str] = &[$($($category),*)?];

            fn metadata(&self) -> &$crate::meta::ObjectMeta {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut $crate::meta::ObjectMeta {
                &mut self.metadata
            }
        }
    };
    (@scope Namespaced) => { true };
    (@scope Cluster) => { false };
}
