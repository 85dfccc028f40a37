//! A namespace that is going takes everything in it along, and then goes (platform 3.4).
//!
//! What there is to delete is asked of the server's discovery, so a new kind is not forgotten. Nothing is
//! remembered between runs: what is still there after a run is deleted by the next one.

use std::time::Duration;

use http::Method;
use jiff::{SignedDuration, Timestamp};
use pierhead_api::core::Namespace;
use pierhead_api::to_value;
use pierhead_client::{Client, ClientError, Reflected, Resource, escape};
use pierhead_runtime::SharedClock;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::runner::{Outcome, Reconciler, Retry};

/// How soon a namespace that waits for pods is looked at again.
const PODS_END_WITHIN: Duration = Duration::from_secs(2);
/// How long after its time a pod may still be about to go. One that stays longer waits for something else.
const PODS_ARE_LATE: SignedDuration = SignedDuration::from_secs(30);

/// Why a namespace is not gone yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TerminationError {
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Objects with finalizers of their own wait for whoever put these there.
    #[error("{remaining} objects are still there, the first is {resource}/{name}")]
    NotEmpty {
        remaining: usize,
        resource: String,
        name: String,
        /// Whether pods are among them that end by themselves before long.
        pods: bool,
    },
}

impl Retry for TerminationError {
    fn is_expected(&self) -> bool {
        match self {
            Self::Client(error) => error.is_expected(),
            Self::NotEmpty { .. } => true,
        }
    }

    fn within(&self) -> Option<Duration> {
        matches!(self, Self::NotEmpty { pods: true, .. }).then_some(PODS_END_WITHIN)
    }
}

pub(crate) struct NamespaceTermination {
    pub(crate) client: Client,
    pub(crate) namespaces: Reflected<Namespace>,
    pub(crate) clock: SharedClock,
}

impl Reconciler for NamespaceTermination {
    type Key = String;
    type Error = TerminationError;

    const NAME: &'static str = "namespace-termination";

    fn triggers(&self) -> Vec<watch::Receiver<u64>> {
        vec![self.namespaces.changed()]
    }

    async fn synced(&self) {
        self.namespaces.synced().await;
    }

    fn due(&self) -> Vec<String> {
        let all = self.namespaces.list().into_iter();
        all.filter(|namespace| namespace.is_terminating())
            .map(|namespace| namespace.metadata.name.clone())
            .collect()
    }

    async fn reconcile(&self, name: &String) -> Result<Outcome, TerminationError> {
        let Some(namespace) = self.client.find::<Namespace>(None, name).await? else {
            return Ok(Outcome::Nothing);
        };
        if !namespace.is_terminating() {
            return Ok(Outcome::Nothing);
        }
        let resources = self.deletable().await?;
        for resource in &resources {
            self.delete_all(resource, name).await?;
        }
        let mut left = Vec::new();
        let mut pods = false;
        let now = self.clock.now();
        for resource in &resources {
            let plural = &resource.resource.plural;
            let list = self.list(&resource.resource, name).await?;
            pods |= plural == "pods" && texts(&list, "items").any(|pod| ends_soon(pod, now));
            left.extend(item_names(&list).into_iter().map(|name| (plural.clone(), name)));
        }
        if let Some((resource, name)) = left.first().cloned() {
            return Err(TerminationError::NotEmpty { remaining: left.len(), resource, name, pods });
        }
        self.finalize(namespace).await?;
        Ok(Outcome::Changed)
    }
}

impl NamespaceTermination {
    async fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.client.request(Method::GET, path, None, None).await
    }

    /// What can be listed and deleted in a namespace, image streams before their tags.
    async fn deletable(&self) -> Result<Vec<Deletable>, ClientError> {
        let mut found = deletable("", "v1", &self.get("/api/v1").await?);
        let groups = self.get("/apis").await?;
        for (group, version) in preferred_versions(&groups) {
            let resources = self.get(&format!("/apis/{}/{}", escape(&group), escape(&version))).await?;
            found.extend(deletable(&group, &version, &resources));
        }
        // Deleting a stream takes its tags along; one by one they would take very long.
        found.sort_by_key(|deletable| deletable.resource.plural != "imagestreams");
        Ok(found)
    }

    async fn delete_all(&self, deletable: &Deletable, namespace: &str) -> Result<(), ClientError> {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        if deletable.as_collection {
            let path = deletable.resource.collection(Some(namespace));
            match self.client.request(Method::DELETE, &path, None, Some(&options)).await {
                Ok(_) => return Ok(()),
                // Discovery promised what the server does not do: one by one, then.
                Err(error) if matches!(error.code(), Some(404 | 405)) => {}
                Err(error) => return Err(error),
            }
        }
        for name in item_names(&self.list(&deletable.resource, namespace).await?) {
            let path = deletable.resource.item(Some(namespace), &name, None);
            match self.client.request(Method::DELETE, &path, None, Some(&options)).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// All of a kind; null where there is no such list.
    async fn list(&self, resource: &Resource, namespace: &str) -> Result<Value, ClientError> {
        match self.get(&resource.collection(Some(namespace))).await {
            Err(error) if matches!(error.code(), Some(404 | 405)) => Ok(Value::Null),
            other => other,
        }
    }

    /// Takes the finalizers away; the server removes the namespace then.
    async fn finalize(&self, mut namespace: Namespace) -> Result<(), ClientError> {
        namespace.spec.finalizers.clear();
        let path = Resource::of::<Namespace>().item(None, &namespace.metadata.name, Some("finalize"));
        match self.client.request(Method::PUT, &path, None, Some(&to_value(&namespace))).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A namespaced resource whose objects can be found and deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Deletable {
    resource: Resource,
    as_collection: bool,
}

fn texts<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Group and version of each group in an `APIGroupList`.
fn preferred_versions(groups: &Value) -> Vec<(String, String)> {
    texts(groups, "groups")
        .filter_map(|group| {
            let preferred = group.get("preferredVersion").or_else(|| texts(group, "versions").next())?;
            Some((text(group, "name").to_owned(), text(preferred, "version").to_owned()))
        })
        .collect()
}

/// The resources of an `APIResourceList` that live in namespaces and can be listed and deleted.
fn deletable(group: &str, version: &str, resources: &Value) -> Vec<Deletable> {
    texts(resources, "resources")
        .filter_map(|resource| {
            let plural = text(resource, "name");
            let can = |verb: &str| texts(resource, "verbs").any(|able| able.as_str() == Some(verb));
            let namespaced = resource.get("namespaced").and_then(Value::as_bool).unwrap_or_default();
            let is_deletable = can("delete") || can("deletecollection");
            (namespaced && !plural.contains('/') && can("list") && is_deletable).then(|| Deletable {
                resource: Resource {
                    group: group.to_owned(),
                    version: version.to_owned(),
                    plural: plural.to_owned(),
                    namespaced: true,
                },
                as_collection: can("deletecollection"),
            })
        })
        .collect()
}

/// Whether a pod is about to go: its time, which its grace is part of, is not long over, and nobody else holds it.
fn ends_soon(pod: &Value, now: Timestamp) -> bool {
    let Some(metadata) = pod.get("metadata") else { return false };
    let is_held = texts(metadata, "finalizers").next().is_some();
    let end: Option<Timestamp> = text(metadata, "deletionTimestamp").parse().ok();
    !is_held && end.is_some_and(|end| now.duration_since(end) < PODS_ARE_LATE)
}

fn item_names(list: &Value) -> Vec<String> {
    texts(list, "items")
        .filter_map(|item| Some(text(item.get("metadata")?, "name").to_owned()))
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{deletable, ends_soon, preferred_versions};

    fn check(resource: Value, expected: Option<(&str, bool)>) {
        let found = deletable("image.openshift.io", "v1", &json!({"resources": [resource]}));
        let found = found.first().map(|found| (found.resource.plural.as_str(), found.as_collection));
        assert_eq!(found, expected, "{resource}");
    }

    #[test]
    fn takes_what_lives_in_namespaces_and_can_be_deleted() {
        let all = json!(["create", "delete", "deletecollection", "get", "list"]);
        check(
            json!({"name": "imagestreams", "namespaced": true, "verbs": all}),
            Some(("imagestreams", true)),
        );
        check(json!({"name": "imagestreams/secrets", "namespaced": true, "verbs": all}), None);
        check(json!({"name": "images", "namespaced": false, "verbs": all}), None);
        let single = json!(["delete", "list"]);
        check(
            json!({"name": "imagestreamtags", "namespaced": true, "verbs": single}),
            Some(("imagestreamtags", false)),
        );
        check(json!({"name": "imagestreamimports", "namespaced": true, "verbs": ["create"]}), None);
        check(json!({"name": "imagestreamimages", "namespaced": true, "verbs": ["get", "delete"]}), None);
    }

    #[test]
    fn pods_end_soon_that_are_in_time_and_that_nobody_holds() {
        let now = "2016-03-30T12:00:00Z".parse().unwrap();
        let check = |metadata: Value, expected: bool| {
            assert_eq!(ends_soon(&json!({"metadata": metadata}), now), expected, "{metadata}");
        };
        check(json!({}), false);
        check(json!({"deletionTimestamp": "2016-03-30T12:10:00Z"}), true);
        check(json!({"deletionTimestamp": "2016-03-30T11:59:31Z"}), true);
        check(json!({"deletionTimestamp": "2016-03-30T11:59:30Z"}), false);
        check(json!({"deletionTimestamp": "2016-03-30T12:10:00Z", "finalizers": ["a.example/b"]}), false);
    }

    #[test]
    fn one_version_of_each_group_is_enough() {
        let groups = json!({"groups": [
            {"name": "a", "versions": [{"version": "v1beta1"}, {"version": "v1"}], "preferredVersion": {"version": "v1"}},
            {"name": "b", "versions": [{"version": "v2"}]},
            {"name": "c", "versions": []},
        ]});
        let expected = [("a".to_owned(), "v1".to_owned()), ("b".to_owned(), "v2".to_owned())];
        assert_eq!(preferred_versions(&groups), expected);
    }
}
