//! What a server offers: kinds, their names, and which of them a word means.
//!
//! Reads the aggregated documents where the server has them, the older ones elsewhere (platform 1.2, 1.3). One
//! failing group hides only that group.

use anyhow::bail;
use http::header;
use pierhead_api::meta::{APIGroupDiscoveryList, APIGroupList, APIResource, APIResourceList};
use pierhead_client::{ApiRequest, Client, ClientError, Resource};
use serde_json::Value;

mod legacy_kinds;

pub(crate) use legacy_kinds::group_of_legacy_kind;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// Groups whose kinds share names with others that people mean when they type the bare name.
const SECOND_CHOICE: [&str; 5] =
    ["authorization.openshift.io", "config.openshift.io", "events.k8s.io", "extensions", "metrics.k8s.io"];

/// One kind of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiKind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) namespaced: bool,
    pub(crate) verbs: Vec<String>,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
}

impl ApiKind {
    /// `group/version`, or the version alone for the core group.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// How results name it: `imagestream.image.openshift.io`, `service`.
    pub(crate) fn display_name(&self) -> String {
        let kind = self.kind.to_lowercase();
        if self.group.is_empty() { kind } else { format!("{kind}.{}", self.group) }
    }

    /// `plural.group`.
    pub(crate) fn qualified_plural(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The collection for the client.
    pub(crate) fn resource(&self) -> Resource {
        Resource {
            group: self.group.clone(),
            version: self.version.clone(),
            plural: self.plural.clone(),
            namespaced: self.namespaced,
        }
    }

    /// The namespace for requests: none for cluster-scoped kinds.
    pub(crate) fn scope<'n>(&self, namespace: &'n str) -> Option<&'n str> {
        self.namespaced.then_some(namespace)
    }

    pub(crate) fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    fn answers_to(&self, word: &str) -> bool {
        self.plural == word
            || self.singular == word
            || self.kind.to_lowercase() == word
            || self.short_names.iter().any(|name| name == word)
    }
}

/// The kinds of a server, best first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Discovery {
    pub(crate) kinds: Vec<ApiKind>,
}

impl Discovery {
    /// Asks the server.
    pub(crate) async fn load(client: &Client) -> Result<Self, ClientError> {
        let mut kinds = Vec::new();
        match aggregated(client, "/api").await? {
            Some(list) => extend_from_aggregated(&mut kinds, list),
            None => extend_from_legacy(client, &mut kinds, "/api/v1", "", "v1").await?,
        }
        match aggregated(client, "/apis").await? {
            Some(list) => extend_from_aggregated(&mut kinds, list),
            None => {
                let groups = client.request(http::Method::GET, "/apis", None, None).await?;
                let groups: APIGroupList = decode("/apis", groups)?;
                for group in groups.groups {
                    for version in &group.versions {
                        let path = format!("/apis/{}", version.group_version);
                        extend_from_legacy(client, &mut kinds, &path, &group.name, &version.version).await?;
                    }
                }
            }
        }
        Ok(Self { kinds })
    }

    /// The kind that a word means: plural, singular, short name or kind, perhaps with `.group` or `.version.group`.
    pub(crate) fn resolve(&self, word: &str) -> anyhow::Result<&ApiKind> {
        match self.find(word) {
            Some(kind) => Ok(kind),
            None => bail!("the server doesn't have a resource type {word:?}"),
        }
    }

    /// As `resolve`, for words that may be something else.
    pub(crate) fn find(&self, word: &str) -> Option<&ApiKind> {
        let word = word.to_lowercase();
        let bare = self.kinds.iter().filter(|kind| kind.answers_to(&word)).min_by_key(|kind| self.rank(kind));
        if bare.is_some() {
            return bare;
        }
        let (name, rest) = word.split_once('.')?;
        self.kinds.iter().filter(|kind| kind.answers_to(name)).find(|kind| {
            let versioned = format!("{}.{}", kind.version, kind.group);
            kind.group == rest || versioned.trim_end_matches('.') == rest
        })
    }

    /// Lower is what people mean.
    fn rank(&self, kind: &ApiKind) -> usize {
        if kind.group.is_empty() {
            // A server may list its grouped kinds in the core group too, for documents of 2016.
            let elsewhere = group_of_legacy_kind(&kind.kind).is_some_and(|group| {
                self.kinds.iter().any(|other| other.group == group && other.kind == kind.kind)
            });
            return if elsewhere { 3 } else { 0 };
        }
        if SECOND_CHOICE.contains(&kind.group.as_str()) { 2 } else { 1 }
    }

    /// The kind of a document. Documents of 2016 name OpenShift kinds without a group; they are understood.
    pub(crate) fn of_document(&self, document: &Value) -> anyhow::Result<&ApiKind> {
        let api_version = crate::object::text(document, "apiVersion");
        let kind = crate::object::text(document, "kind");
        if kind.is_empty() {
            bail!("Object 'Kind' is missing in '{document}'");
        }
        if api_version.is_empty() {
            bail!("Object 'apiVersion' is missing in '{document}'");
        }
        self.of_kind(api_version, kind)
    }

    /// The kind with this name in this group and version.
    pub(crate) fn of_kind(&self, api_version: &str, kind: &str) -> anyhow::Result<&ApiKind> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let in_group = |group: &str| {
            self.kinds
                .iter()
                .find(|known| known.group == group && known.version == version && known.kind == kind)
        };
        if group.is_empty()
            && let Some(found) = group_of_legacy_kind(kind).and_then(in_group)
        {
            return Ok(found);
        }
        match in_group(group) {
            Some(kind) => Ok(kind),
            None => bail!("no matches for kind {kind:?} in version {api_version:?}"),
        }
    }

    /// The kinds of a category that can be listed, one version of each.
    pub(crate) fn category(&self, name: &str) -> Vec<&ApiKind> {
        let mut found: Vec<&ApiKind> = Vec::new();
        for kind in &self.kinds {
            let is_new = !found.iter().any(|known| known.group == kind.group && known.plural == kind.plural);
            if kind.categories.iter().any(|category| category == name) && kind.can("list") && is_new {
                found.push(kind);
            }
        }
        found
    }

    /// The kind that the server must have for a verb to work at all.
    pub(crate) fn known(&self, group: &str, plural: &str) -> anyhow::Result<&ApiKind> {
        match self.kinds.iter().find(|kind| kind.group == group && kind.plural == plural) {
            Some(kind) => Ok(kind),
            None => {
                let dot = if group.is_empty() { "" } else { "." };
                bail!("the server doesn't have a resource type \"{plural}{dot}{group}\"")
            }
        }
    }
}

fn decode<T: serde::de::DeserializeOwned>(path: &str, value: Value) -> Result<T, ClientError> {
    serde_json::from_value(value).map_err(|source| ClientError::Decode { path: path.to_owned(), source })
}

async fn aggregated(client: &Client, path: &str) -> Result<Option<APIGroupDiscoveryList>, ClientError> {
    let answer = match client.send(ApiRequest::get(path).accept(AGGREGATED)).await {
        Ok(answer) => answer,
        // Some servers refuse the document but not what it lists.
        Err(error) if error.is_not_found() || error.is_forbidden() => return Ok(None),
        Err(error) => return Err(error),
    };
    let content_type = answer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(|value| value.contains("as=APIGroupDiscoveryList")) {
        return Ok(None);
    }
    decode(path, answer.json(path)?).map(Some)
}

fn extend_from_aggregated(kinds: &mut Vec<ApiKind>, list: APIGroupDiscoveryList) {
    for group in list.items {
        for version in group.versions.iter().filter(|version| version.freshness != "Stale") {
            for resource in &version.resources {
                let kind = resource.response_kind.kind.clone();
                if kind.is_empty() {
                    continue;
                }
                kinds.push(ApiKind {
                    group: group.metadata.name.clone(),
                    version: version.version.clone(),
                    singular: or_lowercase(&resource.singular_resource, &kind),
                    kind,
                    plural: resource.resource.clone(),
                    namespaced: resource.scope == "Namespaced",
                    verbs: resource.verbs.clone(),
                    short_names: resource.short_names.clone(),
                    categories: resource.categories.clone(),
                });
            }
        }
    }
}

async fn extend_from_legacy(
    client: &Client,
    kinds: &mut Vec<ApiKind>,
    path: &str,
    group: &str,
    version: &str,
) -> Result<(), ClientError> {
    let list = match client.request(http::Method::GET, path, None, None).await {
        Ok(list) => list,
        // One group that does not answer must not hide the others.
        Err(ClientError::Api(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    let list: APIResourceList = decode(path, list)?;
    for resource in list.resources.into_iter().filter(|resource| !resource.name.contains('/')) {
        kinds.push(from_legacy(resource, group, version));
    }
    Ok(())
}

fn from_legacy(resource: APIResource, group: &str, version: &str) -> ApiKind {
    ApiKind {
        group: group.to_owned(),
        version: version.to_owned(),
        singular: or_lowercase(&resource.singular_name, &resource.kind),
        kind: resource.kind,
        plural: resource.name,
        namespaced: resource.namespaced,
        verbs: resource.verbs,
        short_names: resource.short_names,
        categories: resource.categories,
    }
}

fn or_lowercase(singular: &str, kind: &str) -> String {
    if singular.is_empty() { kind.to_lowercase() } else { singular.to_owned() }
}
