//! What can go: a pure computation over everything that was read (openshift-images 7.1).
//!
//! An item of a tag's history stays for one of the reasons of [`Rules`]; an image goes when no item that stays, no workload
//! and no list that stays needs it; a blob when no image that stays consists of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pierhead_api::core::Quantity;
use serde_json::Value;

use super::super::usage::{InUse, Stream, is_younger};
use crate::object;

/// Everything there is.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) images: Vec<Value>,
    pub(super) streams: Vec<Value>,
    pub(super) limits: Vec<Value>,
    pub(super) used: InUse,
}

/// What stays though nobody uses it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Images that were not pushed to this registry may go, too.
    pub(super) imported_too: bool,
    /// What is from after this stays.
    pub(super) young: Option<Timestamp>,
    /// So many of the newest items of each tag stay.
    pub(super) revisions: usize,
    /// Only what is larger than a project's limit goes.
    pub(super) over_size: bool,
    /// Images go as well as items; not when only one project was looked at.
    pub(super) images_too: bool,
}

/// An item of a tag's history.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    pub(super) tag: String,
    pub(super) image: String,
    pub(super) created: String,
}

/// What goes, in the order in which it goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) streams: BTreeMap<Stream, Vec<Item>>,
    /// Repository and digest.
    pub(super) layer_links: BTreeSet<(String, String)>,
    pub(super) manifest_links: BTreeSet<(String, String)>,
    pub(super) blobs: BTreeSet<String>,
    pub(super) images: Vec<String>,
}

impl Plan {
    pub(super) fn of(cluster: &Cluster, rules: &Rules) -> Self {
        let images: BTreeMap<&str, &Value> =
            cluster.images.iter().map(|image| (object::name(image), image)).collect();
        let may_go = |image: &Value| {
            let managed = object::at(image, "metadata.annotations")
                .and_then(|all| all.get("openshift.io/image.managed"))
                .is_some_and(|value| value == "true");
            (rules.imported_too || managed)
                && !is_younger(object::text(image, "metadata.creationTimestamp"), rules.young)
        };
        let mut plan = Self::default();
        let mut needed: BTreeSet<&str> =
            cluster.used.images.keys().map(|(_, image)| image.as_str()).collect();
        for stream in &cluster.streams {
            let name = stream_of(stream);
            let limit = smallest_limit(&cluster.limits, &name.0);
            let keep = Keep { cluster, rules, name: &name, stream, limit, images: &images };
            let mut going = Vec::new();
            let mut staying: BTreeSet<&str> = BTreeSet::new();
            for list in object::list(stream, "status.tags") {
                let tag = object::text(list, "tag");
                for (revision, item) in object::list(list, "items").iter().enumerate() {
                    let image = object::text(item, "image");
                    let known = images.get(image);
                    if image.is_empty()
                        || known.is_some_and(|known| !may_go(known))
                        || keep.stays(tag, revision, item)
                    {
                        staying.insert(image);
                    } else {
                        let created = object::text(item, "created").to_owned();
                        going.push(Item { tag: tag.to_owned(), image: image.to_owned(), created });
                    }
                }
            }
            needed.extend(&staying);
            // What workloads pull through this stream stays in its repository, also if no tag has it any more.
            staying.extend(cluster.used.of_stream(&name));
            plan.unlink(&name, &going, &staying, &images);
            if !going.is_empty() {
                plan.streams.insert(name, going);
            }
        }
        if rules.images_too {
            plan.choose_images(&cluster.images, &images, needed, (rules, &may_go));
        }
        plan
    }

    /// Leaves out what somebody has begun to need since the plan was made.
    pub(super) fn spare(&mut self, now: &Cluster) {
        let images: BTreeMap<&str, &Value> =
            now.images.iter().map(|image| (object::name(image), image)).collect();
        let going: BTreeSet<&str> = self.images.iter().map(String::as_str).collect();
        let mut needed: BTreeSet<&str> =
            images.keys().filter(|image| !going.contains(**image)).copied().collect();
        needed.extend(now.used.images.keys().map(|(_, image)| image.as_str()));
        for stream in &now.streams {
            let name = stream_of(stream);
            let repository = format!("{}/{}", name.0, name.1);
            let lists = object::list(stream, "status.tags").iter();
            let items = lists.flat_map(|list| object::list(list, "items"));
            let mut own: BTreeSet<&str> = items.map(|item| object::text(item, "image")).collect();
            needed.extend(&own);
            own.extend(now.used.of_stream(&name));
            let kept = closure(&own, &images);
            let parts = parts_of(&kept, &images);
            self.manifest_links.retain(|(at, digest)| *at != repository || !kept.contains(digest.as_str()));
            self.layer_links.retain(|(at, digest)| *at != repository || !parts.contains(digest.as_str()));
        }
        let kept = closure(&needed, &images);
        let parts = parts_of(&kept, &images);
        self.images.retain(|image| !kept.contains(image.as_str()));
        self.blobs.retain(|blob| !kept.contains(blob.as_str()) && !parts.contains(blob.as_str()));
    }

    /// What a repository no longer serves once these items are gone.
    fn unlink(
        &mut self,
        stream: &Stream,
        going: &[Item],
        staying: &BTreeSet<&str>,
        images: &BTreeMap<&str, &Value>,
    ) {
        let repository = format!("{}/{}", stream.0, stream.1);
        let kept: BTreeSet<&str> = closure(staying, images);
        let kept_parts = parts_of(&kept, images);
        let gone: BTreeSet<&str> = going.iter().map(|item| item.image.as_str()).collect();
        for image in closure(&gone, images).difference(&kept) {
            self.manifest_links.insert((repository.clone(), (*image).to_owned()));
        }
        for part in parts_of(&closure(&gone, images), images).difference(&kept_parts) {
            self.layer_links.insert((repository.clone(), (*part).to_owned()));
        }
    }

    fn choose_images<'i>(
        &mut self,
        all: &'i [Value],
        images: &BTreeMap<&'i str, &'i Value>,
        mut needed: BTreeSet<&'i str>,
        (rules, may_go): (&Rules, &dyn Fn(&Value) -> bool),
    ) {
        // With a limit of size only those go that a stream let go for that reason.
        let let_go: BTreeSet<&str> =
            self.streams.values().flatten().map(|item| item.image.as_str()).collect();
        for image in all {
            let name = object::name(image);
            if !may_go(image) || rules.over_size && !let_go.contains(name) {
                needed.insert(name);
            }
        }
        let kept = closure(&needed, images);
        let going: BTreeSet<&str> = images.keys().filter(|name| !kept.contains(**name)).copied().collect();
        let kept_parts = parts_of(&kept, images);
        let parts = parts_of(&going, images);
        self.blobs = parts.difference(&kept_parts).map(|part| (*part).to_owned()).collect();
        self.blobs.extend(going.iter().map(|image| (*image).to_owned()));
        self.images = going.into_iter().map(str::to_owned).collect();
    }
}

/// The reasons for which an item of one stream stays.
struct Keep<'k> {
    cluster: &'k Cluster,
    rules: &'k Rules,
    name: &'k Stream,
    stream: &'k Value,
    limit: Option<Quantity>,
    images: &'k BTreeMap<&'k str, &'k Value>,
}

impl Keep<'_> {
    fn stays(&self, tag: &str, revision: usize, item: &Value) -> bool {
        let id = object::text(item, "image");
        let Some(image) = self.images.get(id) else {
            return !self.rules.images_too || is_younger(object::text(item, "created"), self.rules.young);
        };
        let used = &self.cluster.used;
        let is_used = used.images.contains_key(&(self.name.clone(), id.to_owned()))
            || revision == 0 && used.tags.contains_key(&(self.name.clone(), tag.to_owned()));
        if self.rules.over_size {
            let size = object::at(image, "dockerImageMetadata.Size").and_then(Value::as_i64).unwrap_or(0);
            return is_used || self.limit.is_none_or(|limit| Quantity::bytes(size) <= limit);
        }
        is_used
            || revision < self.rules.revisions
            || is_younger(object::text(self.stream, "metadata.creationTimestamp"), self.rules.young)
            || is_younger(object::text(item, "created"), self.rules.young)
    }
}

pub(super) fn stream_of(stream: &Value) -> Stream {
    (object::namespace(stream).unwrap_or_default().to_owned(), object::name(stream).to_owned())
}

/// The smallest limit on images of a project.
fn smallest_limit(limits: &[Value], namespace: &str) -> Option<Quantity> {
    let ranges = limits.iter().filter(|range| object::namespace(range) == Some(namespace));
    let items = ranges.flat_map(|range| object::list(range, "spec.limits"));
    let images = items.filter(|item| object::text(item, "type") == "openshift.io/Image");
    images
        .filter_map(|item| {
            let storage = object::at(item, "max.storage")?;
            storage.as_str().map_or_else(|| storage.to_string(), str::to_owned).parse().ok()
        })
        .min()
}

/// Images with the images that they list.
fn closure<'i>(names: &BTreeSet<&'i str>, images: &BTreeMap<&'i str, &'i Value>) -> BTreeSet<&'i str> {
    let mut found = BTreeSet::new();
    let mut pending: Vec<&str> = names.iter().copied().collect();
    while let Some(name) = pending.pop() {
        let Some((name, image)) = images.get_key_value(name) else { continue };
        if found.insert(*name) {
            let children = object::list(image, "dockerImageManifests").iter();
            pending.extend(children.map(|child| object::text(child, "digest")));
        }
    }
    found
}

/// The layers and configs of images.
fn parts_of<'i>(names: &BTreeSet<&str>, images: &BTreeMap<&str, &'i Value>) -> BTreeSet<&'i str> {
    let mut parts = BTreeSet::new();
    for image in names.iter().filter_map(|name| images.get(name)) {
        parts
            .extend(object::list(image, "dockerImageLayers").iter().map(|layer| object::text(layer, "name")));
        let config = object::text(image, "dockerImageMetadata.Id");
        let is_list = !object::list(image, "dockerImageManifests").is_empty();
        if config.contains(':') && !is_list {
            parts.insert(config);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Cluster, Plan, Rules};

    const OLD: &str = "2016-01-01T00:00:00Z";

    fn image(name: &str, layers: &[&str], size: i64) -> Value {
        let layers: Vec<Value> = layers.iter().map(|layer| json!({"name": layer, "size": 1})).collect();
        json!({
            "metadata": {"name": name, "creationTimestamp": OLD, "annotations": {"openshift.io/image.managed": "true"}},
            "dockerImageLayers": layers, "dockerImageMetadata": {"Id": format!("config:{name}"), "Size": size},
        })
    }

    fn stream(name: &str, tags: &[(&str, &[&str])]) -> Value {
        let tags: Vec<Value> = tags
            .iter()
            .map(|(tag, images)| {
                let items: Vec<Value> =
                    images.iter().map(|image| json!({"image": image, "created": OLD})).collect();
                json!({"tag": tag, "items": items})
            })
            .collect();
        json!({"metadata": {"name": name, "namespace": "shop", "creationTimestamp": OLD}, "status": {"tags": tags}})
    }

    const RULES: Rules =
        Rules { imported_too: true, young: None, revisions: 1, over_size: false, images_too: true };

    fn cluster() -> Cluster {
        Cluster {
            images: vec![
                image("a", &["l1", "l2"], 10),
                image("b", &["l1", "l3"], 20),
                image("c", &["l4"], 30),
            ],
            streams: vec![stream("web", &[("latest", &["a", "b", "c"])])],
            ..Cluster::default()
        }
    }

    #[track_caller]
    fn check(cluster: &Cluster, rules: Rules, items: &[&str], images: &[&str], blobs: &[&str]) {
        let plan = Plan::of(cluster, &rules);
        let going: Vec<&str> = plan.streams.values().flatten().map(|item| item.image.as_str()).collect();
        assert_eq!(
            (going.as_slice(), plan.images.as_slice()),
            (items, images.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().as_slice())
        );
        let blobs: std::collections::BTreeSet<String> = blobs.iter().map(|blob| (*blob).to_owned()).collect();
        assert_eq!(plan.blobs, blobs);
    }

    #[test]
    fn what_nobody_needs_goes_with_what_only_it_consists_of() {
        let mut cluster = cluster();
        let both = ["b", "c", "config:b", "config:c", "l3", "l4"];
        check(&cluster, RULES, &["b", "c"], &["b", "c"], &both);
        check(&cluster, Rules { revisions: 3, ..RULES }, &[], &[], &[]);
        let young = "2015-12-31T00:00:00Z".parse().ok();
        check(&cluster, Rules { young, ..RULES }, &[], &[], &[]);
        // A workload that names an image by its digest keeps it, through whichever host.
        let pod = json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": {"containers": [
            {"name": "x", "image": format!("10.0.0.1:5000/shop/web@sha256:{}", "d".repeat(64))}]}});
        let digest = format!("sha256:{}", "d".repeat(64));
        cluster.images.push(image(&digest, &["l5"], 1));
        cluster.streams = vec![stream("web", &[("latest", &["a", "b", &digest])])];
        cluster.used.add_workload("Pod", &pod, "spec");
        check(&cluster, RULES, &["b"], &["b", "c"], &both);
    }

    #[test]
    fn a_stream_loses_only_links_that_no_other_of_its_images_needs() {
        let mut cluster = cluster();
        cluster.streams.push(stream("other", &[("v1", &["b"])]));
        let plan = Plan::of(&cluster, &RULES);
        let links: Vec<&str> = plan.layer_links.iter().map(|(_, digest)| digest.as_str()).collect();
        assert_eq!(links, ["config:b", "config:c", "l3", "l4"]);
        let manifests: Vec<String> =
            plan.manifest_links.iter().map(|(repository, digest)| format!("{repository}@{digest}")).collect();
        assert_eq!(manifests, ["shop/web@b", "shop/web@c"]);
        // The other stream still has it.
        assert_eq!(plan.images, ["c"]);
    }

    #[test]
    fn a_repository_keeps_what_a_workload_pulls_from_it() {
        let digest = format!("sha256:{}", "d".repeat(64));
        let mut cluster = cluster();
        // A pod runs one platform of a list, and shares a layer with what goes.
        let mut list = image("list", &[], 0);
        list["dockerImageManifests"] = json!([{"digest": digest}]);
        cluster.images.extend([image(&digest, &["l3", "l5"], 1), list]);
        cluster.streams = vec![stream("web", &[("latest", &["a", "b", "list"])])];
        let pod = json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": {"containers": [
            {"name": "x", "image": format!("10.0.0.1:5000/shop/web@{digest}")}]}});
        cluster.used.add_workload("Pod", &pod, "spec");
        let plan = Plan::of(&cluster, &RULES);
        let of = |links: &std::collections::BTreeSet<(String, String)>| -> Vec<String> {
            links.iter().map(|(_, digest)| digest.clone()).collect()
        };
        assert_eq!(of(&plan.manifest_links), ["b", "list"]);
        assert_eq!(of(&plan.layer_links), ["config:b"]);
    }

    #[test]
    fn images_that_are_listed_stay_with_the_list() {
        let mut cluster = cluster();
        let mut list = image("list", &[], 0);
        list["dockerImageManifests"] = json!([{"digest": "b"}]);
        cluster.images.push(list);
        cluster.streams = vec![stream("web", &[("latest", &["list"])])];
        check(&cluster, RULES, &[], &["a", "c"], &["a", "c", "config:a", "config:c", "l2", "l4"]);
    }

    #[test]
    fn only_what_is_too_large_goes_where_that_is_asked_for() {
        let mut cluster = cluster();
        let rules = Rules { over_size: true, ..RULES };
        check(&cluster, rules, &[], &[], &[]);
        let limits = json!([{"type": "openshift.io/Image", "max": {"storage": "25"}}]);
        cluster.limits =
            vec![json!({"metadata": {"name": "l", "namespace": "shop"}, "spec": {"limits": limits}})];
        check(&cluster, rules, &["c"], &["c"], &["c", "config:c", "l4"]);
    }

    #[test]
    fn imported_images_and_other_projects_are_spared_if_asked() {
        let mut cluster = cluster();
        cluster.images[1]["metadata"]["annotations"] = json!({});
        check(&cluster, Rules { imported_too: false, ..RULES }, &["c"], &["c"], &["c", "config:c", "l4"]);
        let one = Plan::of(&cluster, &Rules { images_too: false, ..RULES });
        assert_eq!((one.streams.len(), one.images.len()), (1, 0));
        // An item whose image is gone says nothing any more, unless it is so new that the image was not seen yet.
        cluster.images.remove(2);
        check(&cluster, Rules { revisions: 5, ..RULES }, &["c"], &[], &[]);
        let young = "2015-12-31T00:00:00Z".parse().ok();
        check(&cluster, Rules { revisions: 5, young, ..RULES }, &[], &[], &[]);
    }

    #[test]
    fn what_is_needed_by_now_is_left_out() {
        let before = cluster();
        let mut plan = Plan::of(&before, &RULES);
        assert_eq!(plan.images, ["b", "c"]);
        // Meanwhile b was tagged elsewhere, and an image was pushed that has a layer of c.
        let mut now = cluster();
        now.images.push(image("d", &["l4"], 1));
        now.streams = vec![stream("web", &[("latest", &["d", "a"])]), stream("other", &[("v1", &["b"])])];
        plan.spare(&now);
        assert_eq!(plan.images, ["c"]);
        assert_eq!(plan.blobs.iter().collect::<Vec<_>>(), ["c", "config:c"]);
        let links: Vec<&str> = plan.layer_links.iter().map(|(_, digest)| digest.as_str()).collect();
        assert_eq!(links, ["config:b", "config:c", "l3"]);
        // Nor may the image go from where it was pushed again.
        now.streams = vec![stream("web", &[("latest", &["b", "a"])])];
        plan.spare(&now);
        let manifests: Vec<&str> = plan.manifest_links.iter().map(|(_, digest)| digest.as_str()).collect();
        assert_eq!(manifests, ["c"]);
    }
}
