//! Says what there is: groups, versions, resources and verbs, in the old and the aggregated form (platform 1.2, 1.3).
//!
//! Owns the documents, made once from the list of kinds, and their ETags. Nothing here names a kind, so discovery
//! cannot disagree with what is served.

use bytes::Bytes;
use pierhead_api::meta::{
    APIGroup, APIGroupDiscovery, APIGroupDiscoveryList, APIGroupList, APIResource, APIResourceDiscovery,
    APIResourceList, APISubresourceDiscovery, APIVersionDiscovery, APIVersions, GroupVersionForDiscovery,
    GroupVersionKind as WireKind, ObjectMeta, ServerAddressByClientCIDR,
};
use serde_json::Value;
use sha2::{Digest as _, Sha512};

use crate::catalog::{Catalog, alias_plural, prefix_of};
use crate::kind::{GroupVersionKind, Kind, Verb};
use crate::path::Prefix;

/// A document with the tag clients cache it by.
#[derive(Clone)]
pub(crate) struct Tagged {
    /// The document as compact JSON.
    pub(crate) bytes: Bytes,
    /// The document.
    pub(crate) value: Value,
    /// Its ETag, quotes included.
    pub(crate) etag: String,
}

impl Tagged {
    fn new(value: Value) -> Self {
        let mut text = value.to_string();
        text.push('\n');
        let hash = Sha512::digest(text.as_bytes());
        let hex: String = hash.iter().map(|byte| format!("{byte:02X}")).collect();
        Self { bytes: text.into(), value, etag: format!("\"{hex}\"") }
    }
}

/// All discovery documents.
pub(crate) struct Discovery {
    groups: Vec<APIGroup>,
    group_list: Tagged,
    core: [Tagged; 2],
    grouped: [Tagged; 2],
    resources: Vec<(Prefix, Tagged)>,
}

/// The versions of aggregated discovery, best first.
const AGGREGATED: [&str; 2] = ["v2", "v2beta1"];

impl Discovery {
    /// Makes the documents of all kinds.
    pub(crate) fn new(catalog: &Catalog) -> Self {
        let kinds: Vec<&Kind> = catalog.resources().iter().map(|resource| &resource.kind).collect();
        let mut prefixes = vec![Prefix::Core];
        for kind in kinds.iter().filter(|kind| kind.announced) {
            let prefix = prefix_of(kind);
            if !prefixes.contains(&prefix) {
                prefixes.push(prefix);
            }
        }
        let groups: Vec<APIGroup> = prefixes.iter().filter_map(group_of).collect();
        let aggregated = |wanted: fn(&Prefix) -> bool| {
            let items = prefixes.iter().filter(|prefix| wanted(prefix));
            let list = APIGroupDiscoveryList {
                items: items.map(|prefix| aggregate(prefix, &kinds)).collect(),
                ..APIGroupDiscoveryList::default()
            };
            AGGREGATED.map(|version| Tagged::new(list.to_value(version)))
        };
        let core = aggregated(|prefix| *prefix == Prefix::Core);
        let grouped = aggregated(|prefix| *prefix != Prefix::Core);
        prefixes.push(Prefix::Legacy);
        let resources = prefixes
            .into_iter()
            .map(|prefix| {
                let list = Tagged::new(resource_list(&prefix, &kinds).to_value());
                (prefix, list)
            })
            .collect();
        let group_list = Tagged::new(APIGroupList { groups: groups.clone() }.to_value());
        Self { groups, group_list, core, grouped, resources }
    }

    /// `GET /apis` in the old form.
    pub(crate) fn groups(&self) -> &Tagged {
        &self.group_list
    }

    /// `GET /api` or `GET /apis` in the aggregated form of `version`.
    pub(crate) fn aggregated(&self, core: bool, version: &str) -> &Tagged {
        let documents = if core { &self.core } else { &self.grouped };
        if version == AGGREGATED[1] { &documents[1] } else { &documents[0] }
    }

    /// `GET /apis/<group>`.
    pub(crate) fn group(&self, name: &str) -> Option<Value> {
        self.groups.iter().find(|group| group.name == name).map(APIGroup::to_value)
    }

    /// The resources under a prefix.
    pub(crate) fn resources(&self, prefix: &Prefix) -> Option<&Tagged> {
        self.resources.iter().find(|(known, _)| known == prefix).map(|(_, list)| list)
    }

    /// The prefixes that have resources.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = &Prefix> {
        self.resources.iter().map(|(prefix, _)| prefix)
    }

    /// `GET /api` and `GET /oapi` in the old form.
    pub(crate) fn versions(address: &str) -> Value {
        APIVersions {
            versions: vec!["v1".to_owned()],
            server_address_by_client_cidrs: vec![ServerAddressByClientCIDR {
                client_cidr: "0.0.0.0/0".to_owned(),
                server_address: address.to_owned(),
            }],
        }
        .to_value()
    }
}

fn group_of(prefix: &Prefix) -> Option<APIGroup> {
    let Prefix::Group { group, version } = prefix else { return None };
    let version = GroupVersionForDiscovery { group_version: prefix.api_version(), version: version.clone() };
    Some(APIGroup { name: group.clone(), versions: vec![version.clone()], preferred_version: version })
}

/// How a kind appears under a prefix.
struct Shown {
    plural: String,
    singular: String,
    short_names: Vec<String>,
    categories: Vec<String>,
}

/// How `kind` appears under `prefix`, if it does.
fn shown(kind: &Kind, prefix: &Prefix) -> Option<Shown> {
    if !kind.announced {
        return None;
    }
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    if prefix_of(kind) == *prefix {
        return Some(Shown {
            plural: kind.plural.to_owned(),
            singular: kind.singular.to_owned(),
            short_names: words(kind.short_names),
            categories: words(kind.categories),
        });
    }
    let bare = |plural: String, singular: String| Shown {
        plural,
        singular,
        short_names: Vec::new(),
        categories: Vec::new(),
    };
    match prefix {
        Prefix::Legacy if kind.legacy => Some(bare(kind.plural.to_owned(), kind.singular.to_owned())),
        Prefix::Core if kind.core_alias => Some(bare(alias_plural(kind.plural), alias_plural(kind.singular))),
        _ => None,
    }
}

fn verbs(verbs: &[Verb]) -> Vec<String> {
    let mut verbs: Vec<Verb> = verbs.to_vec();
    verbs.sort_unstable();
    verbs.iter().map(|verb| verb.as_str().to_owned()).collect()
}

fn resource_list(prefix: &Prefix, kinds: &[&Kind]) -> APIResourceList {
    let mut resources = Vec::new();
    for kind in kinds {
        let Some(Shown { plural, singular, short_names, categories }) = shown(kind, prefix) else { continue };
        resources.push(APIResource {
            name: plural.clone(),
            singular_name: singular,
            namespaced: kind.namespaced,
            kind: kind.gvk.kind.to_owned(),
            verbs: verbs(&kind.verbs),
            short_names,
            categories,
            ..APIResource::default()
        });
        for sub in &kind.subresources {
            let foreign = sub.kind.group != kind.gvk.group || sub.kind.version != kind.gvk.version;
            resources.push(APIResource {
                name: format!("{plural}/{}", sub.name),
                namespaced: kind.namespaced,
                group: if foreign { sub.kind.group.to_owned() } else { String::new() },
                version: if foreign { sub.kind.version.to_owned() } else { String::new() },
                kind: sub.kind.kind.to_owned(),
                verbs: verbs(sub.verbs),
                ..APIResource::default()
            });
        }
    }
    resources.sort_by(|a, b| a.name.cmp(&b.name));
    APIResourceList { group_version: prefix.api_version(), resources }
}

fn aggregate(prefix: &Prefix, kinds: &[&Kind]) -> APIGroupDiscovery {
    let mut resources = Vec::new();
    for kind in kinds {
        let Some(Shown { plural, singular, short_names, categories }) = shown(kind, prefix) else { continue };
        // An alias says `apiVersion: v1`, so its kind belongs to the prefix it is shown under. Parts that are of a
        // foreign kind, as `scale` is, stay what they are.
        let own = prefix_of(kind) == *prefix;
        let wire = |gvk: &GroupVersionKind| WireKind {
            group: if own || gvk.group != kind.gvk.group { gvk.group.to_owned() } else { String::new() },
            version: gvk.version.to_owned(),
            kind: gvk.kind.to_owned(),
        };
        let subresources = kind.subresources.iter().map(|sub| APISubresourceDiscovery {
            subresource: sub.name.to_owned(),
            response_kind: wire(&sub.kind),
            verbs: verbs(sub.verbs),
            ..APISubresourceDiscovery::default()
        });
        resources.push(APIResourceDiscovery {
            resource: plural,
            response_kind: wire(&kind.gvk),
            scope: if kind.namespaced { "Namespaced" } else { "Cluster" }.to_owned(),
            singular_resource: singular,
            verbs: verbs(&kind.verbs),
            short_names,
            categories,
            subresources: subresources.collect(),
        });
    }
    resources.sort_by(|a, b| a.resource.cmp(&b.resource));
    let (name, version) = match prefix {
        Prefix::Core | Prefix::Legacy => (String::new(), "v1".to_owned()),
        Prefix::Group { group, version } => (group.clone(), version.clone()),
    };
    APIGroupDiscovery {
        metadata: ObjectMeta::named(name),
        versions: vec![APIVersionDiscovery { version, resources, freshness: "Current".to_owned() }],
    }
}
