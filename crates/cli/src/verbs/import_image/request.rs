//! What an import asks of the server: pure decisions over the flags and the stream (openshift-images 5.1).

use anyhow::bail;
use serde_json::{Map, Value, json};

use crate::{globals::Era, object};

/// What the command line asks for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The argument as typed: the source of a new stream, when no other is named.
    pub(super) argument: String,
    pub(super) stream: String,
    pub(super) tag: String,
    pub(super) from: Option<String>,
    pub(super) confirm: bool,
    pub(super) all: bool,
    pub(super) insecure: Option<bool>,
    pub(super) scheduled: bool,
    pub(super) reference_policy: &'static str,
    pub(super) import_mode: &'static str,
    /// False only looks.
    pub(super) import: bool,
    pub(super) era: Era,
}

/// The tag that an import writes, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TagImport {
    pub(super) tag: String,
    pub(super) from: String,
}

/// The ImageStreamImport to post.
pub(super) fn document(wanted: &Wanted, namespace: &str, stream: Option<&Value>) -> anyhow::Result<Value> {
    let mut metadata = json!({"name": wanted.stream, "namespace": namespace});
    if let Some(stream) = stream {
        object::set_text(&mut metadata, "resourceVersion", object::text(stream, "metadata.resourceVersion"));
    }
    let mut spec = if wanted.all { everything(wanted, stream)? } else { one_tag(wanted, stream)? };
    spec["import"] = json!(wanted.import);
    Ok(json!({
        "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamImport", "metadata": metadata, "spec": spec,
        "status": {},
    }))
}

fn one_tag(wanted: &Wanted, stream: Option<&Value>) -> anyhow::Result<Value> {
    let import = tag_import(wanted, stream)?;
    let mut image = entry(wanted, stream, &import.from);
    image["to"] = json!({"name": import.tag});
    let tags = stream.map_or(&[][..], |stream| object::list(stream, "spec.tags"));
    if let Some(known) = tags.iter().find(|tag| object::text(tag, "name") == import.tag) {
        keep_policies(&mut image, known, wanted);
    }
    Ok(json!({"images": [image]}))
}

fn everything(wanted: &Wanted, stream: Option<&Value>) -> anyhow::Result<Value> {
    if let Some(from) = repository(wanted, stream)? {
        return Ok(json!({"repository": entry(wanted, stream, without_tag(&from))}));
    }
    let tags = stream.map_or(&[][..], |stream| object::list(stream, "spec.tags"));
    let images: Vec<Value> = tags
        .iter()
        .filter(|tag| object::text(tag, "from.kind") == "DockerImage")
        .map(|tag| {
            let mut image = entry(wanted, stream, object::text(tag, "from.name"));
            image["to"] = json!({"name": object::text(tag, "name")});
            keep_policies(&mut image, tag, wanted);
            image
        })
        .collect();
    if images.is_empty() {
        bail!("image stream has not defined anything to import");
    }
    Ok(json!({"images": images}))
}

/// A tag keeps the policies that it has, but for those that a flag sets.
fn keep_policies(image: &mut Value, tag: &Value, wanted: &Wanted) {
    for field in ["insecure", "scheduled", "importMode"] {
        let is_asked = match field {
            "insecure" => wanted.insecure.is_some(),
            "scheduled" => wanted.scheduled,
            _ => wanted.import_mode != "Legacy",
        };
        if let Some(own) = object::at(tag, &format!("importPolicy.{field}")).filter(|_| !is_asked) {
            image["importPolicy"][field] = own.clone();
        }
    }
    if let Some(own) = object::at(tag, "referencePolicy.type")
        && wanted.reference_policy == "Source"
    {
        image["referencePolicy"]["type"] = own.clone();
    }
}

fn entry(wanted: &Wanted, stream: Option<&Value>, from: &str) -> Value {
    let annotated = stream.is_some_and(|stream| {
        let annotations = object::string_map(stream, "metadata.annotations");
        annotations.contains(&("openshift.io/image.insecureRepository", "true"))
    });
    let mut policy = Map::new();
    policy.insert("importMode".to_owned(), json!(wanted.import_mode));
    if wanted.insecure.unwrap_or(annotated) {
        policy.insert("insecure".to_owned(), json!(true));
    }
    if wanted.scheduled {
        policy.insert("scheduled".to_owned(), json!(true));
    }
    json!({
        "from": {"kind": "DockerImage", "name": from},
        "importPolicy": policy,
        "referencePolicy": {"type": wanted.reference_policy},
    })
}

/// The repository that `--all` imports; none when it imports the tags that the stream has.
pub(super) fn repository(wanted: &Wanted, stream: Option<&Value>) -> anyhow::Result<Option<String>> {
    let Some(stream) = stream else {
        return Ok(Some(wanted.from.clone().unwrap_or_else(|| wanted.argument.clone())));
    };
    let known = object::text(stream, "spec.dockerImageRepository");
    let Some(from) = wanted.from.as_deref() else {
        return Ok(Some(known.to_owned()).filter(|known| !known.is_empty()));
    };
    if from != known && !wanted.confirm {
        if known.is_empty() {
            bail!(
                "the image stream does not currently import an entire Docker repository, pass --confirm to update"
            );
        }
        bail!("the image stream has a different import spec {known:?}, pass --confirm to update");
    }
    Ok(Some(from.to_owned()))
}

/// Which tag to import from where.
pub(super) fn tag_import(wanted: &Wanted, stream: Option<&Value>) -> anyhow::Result<TagImport> {
    let tag = wanted.tag.clone();
    let Some(stream) = stream else {
        return Ok(TagImport { tag, from: wanted.from.clone().unwrap_or_else(|| wanted.argument.clone()) });
    };
    let repository = object::text(stream, "spec.dockerImageRepository");
    let has_tags = !object::list(stream, "spec.tags").is_empty();
    if wanted.era == Era::V3_2 && wanted.from.is_none() && repository.is_empty() && !has_tags {
        bail!("image stream has not defined anything to import");
    }
    let reached = reach(stream, &tag)?;
    let Some(known) = reached.entry.filter(|entry| object::at(entry, "from").is_some()) else {
        return match &wanted.from {
            Some(from) => Ok(TagImport { tag, from: from.clone() }),
            None if !repository.is_empty() => Ok(TagImport { from: format!("{repository}:{tag}"), tag }),
            None => bail!(
                "the tag {tag:?} does not exist on the image stream - choose an existing tag to import or use the 'tag' command to create a new tag"
            ),
        };
    };
    let kind = object::text(known, "from.kind");
    let source = object::text(known, "from.name");
    if kind != "DockerImage" {
        bail!("tag {tag:?} points to existing {kind} {source:?}, it cannot be re-imported");
    }
    if let Some(from) = wanted.from.as_deref().filter(|from| *from != source) {
        let advice = format!("use the 'tag' command if you want to change the source to {from:?}");
        if reached.tag != tag {
            bail!(
                "the tag {tag:?} points to the tag {:?} which points to {source:?} - {advice}",
                reached.tag
            );
        }
        bail!("the tag {tag:?} points to {source:?} - {advice}");
    }
    Ok(TagImport { tag: reached.tag, from: source.to_owned() })
}

/// The end of a chain of aliases within a stream.
struct Reached<'s> {
    tag: String,
    entry: Option<&'s Value>,
}

fn reach<'s>(stream: &'s Value, tag: &str) -> anyhow::Result<Reached<'s>> {
    let tags = object::list(stream, "spec.tags");
    let mut current = tag.to_owned();
    for _ in 0..=tags.len() {
        let entry = tags.iter().find(|entry| object::text(entry, "name") == current);
        let Some(from) = entry.and_then(|entry| object::at(entry, "from")) else {
            return Ok(Reached { tag: current, entry });
        };
        if object::text(from, "kind") != "ImageStreamTag" {
            return Ok(Reached { tag: current, entry });
        }
        let elsewhere = object::text(from, "namespace");
        if !elsewhere.is_empty() && elsewhere != object::namespace(stream).unwrap_or_default() {
            bail!("tag {tag:?} points to an imagestreamtag from another ImageStream");
        }
        let name = object::text(from, "name");
        current = match name.split_once(':') {
            Some((other, _)) if other != object::name(stream) => {
                bail!("tag {tag:?} points to an imagestreamtag from another ImageStream")
            }
            Some((_, "")) => bail!("tag {tag:?} points to an invalid imagestreamtag"),
            Some((_, target)) => target.to_owned(),
            None => name.to_owned(),
        };
    }
    bail!("tag {tag:?} on the image stream is a reference to same tag")
}

/// A repository is named without a tag; the port of its registry stays.
fn without_tag(from: &str) -> &str {
    match from.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => from,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Wanted, document, tag_import, without_tag};
    use crate::globals::Era;

    fn wanted(tag: &str, from: Option<&str>) -> Wanted {
        Wanted {
            argument: format!("app:{tag}"),
            stream: "app".into(),
            tag: tag.into(),
            from: from.map(str::to_owned),
            confirm: false,
            all: false,
            insecure: None,
            scheduled: false,
            reference_policy: "Source",
            import_mode: "Legacy",
            import: true,
            era: Era::V4,
        }
    }

    fn stream() -> Value {
        let docker = |name: &str| json!({"kind": "DockerImage", "name": name});
        let tag = |name: &str| json!({"kind": "ImageStreamTag", "name": name});
        json!({
            "metadata": {"name": "app", "namespace": "pushed", "resourceVersion": "7"},
            "spec": {"tags": [
                {"name": "latest", "from": docker("quay.io/o/app"), "importPolicy": {"scheduled": true}},
                {"name": "stable", "from": tag("app:latest")},
                {"name": "a", "from": tag("b")},
                {"name": "b", "from": tag("a")},
                {"name": "far", "from": tag("other:x")},
                {"name": "id", "from": {"kind": "ImageStreamImage", "name": "app@sha256:00"}},
                {"name": "pushed"},
            ]},
        })
    }

    #[track_caller]
    fn check(tag: &str, from: Option<&str>, expected: Result<(&str, &str), &str>) {
        let found = tag_import(&wanted(tag, from), Some(&stream()));
        let found = found.map(|found| (found.tag, found.from)).map_err(|error| error.to_string());
        let expected = expected.map(|(tag, from)| (tag.to_owned(), from.to_owned())).map_err(str::to_owned);
        assert_eq!(found, expected);
    }

    #[test]
    fn a_tag_leads_to_its_source() {
        check("latest", None, Ok(("latest", "quay.io/o/app")));
        check("stable", None, Ok(("latest", "quay.io/o/app")));
        check("latest", Some("quay.io/o/app"), Ok(("latest", "quay.io/o/app")));
        check("new", Some("quay.io/x"), Ok(("new", "quay.io/x")));
        check("pushed", Some("quay.io/x"), Ok(("pushed", "quay.io/x")));
    }

    #[test]
    fn what_cannot_be_imported_is_told() {
        let missing = "does not exist on the image stream - choose an existing tag to import or use the 'tag' command to create a new tag";
        check("new", None, Err(&format!("the tag \"new\" {missing}")));
        check("pushed", None, Err(&format!("the tag \"pushed\" {missing}")));
        check("a", None, Err("tag \"a\" on the image stream is a reference to same tag"));
        check("far", None, Err("tag \"far\" points to an imagestreamtag from another ImageStream"));
        check(
            "id",
            None,
            Err("tag \"id\" points to existing ImageStreamImage \"app@sha256:00\", it cannot be re-imported"),
        );
        check(
            "latest",
            Some("quay.io/x"),
            Err(
                "the tag \"latest\" points to \"quay.io/o/app\" - use the 'tag' command if you want to change the source to \"quay.io/x\"",
            ),
        );
        check(
            "stable",
            Some("quay.io/x"),
            Err(
                "the tag \"stable\" points to the tag \"latest\" which points to \"quay.io/o/app\" - use the 'tag' command if you want to change the source to \"quay.io/x\"",
            ),
        );
    }

    #[test]
    fn all_imports_the_repository_or_the_tags() {
        let mut all = Wanted { all: true, ..wanted("latest", None) };
        let spec = &document(&all, "pushed", Some(&stream())).unwrap()["spec"];
        let entry = json!({
            "from": {"kind": "DockerImage", "name": "quay.io/o/app"}, "to": {"name": "latest"},
            "importPolicy": {"importMode": "Legacy", "scheduled": true}, "referencePolicy": {"type": "Source"},
        });
        assert_eq!(*spec, json!({"import": true, "images": [entry]}));
        all.from = Some("quay.io:80/o/app:v1".into());
        let refused = document(&all, "pushed", Some(&stream())).unwrap_err().to_string();
        assert_eq!(
            refused,
            "the image stream does not currently import an entire Docker repository, pass --confirm to update"
        );
        all.confirm = true;
        let spec = &document(&all, "pushed", None).unwrap()["spec"];
        assert_eq!(spec["repository"]["from"]["name"], "quay.io:80/o/app");
    }

    #[test]
    fn ports_are_not_tags() {
        assert_eq!(without_tag("h:5000/a/b"), "h:5000/a/b");
        assert_eq!(without_tag("h:5000/a/b:c"), "h:5000/a/b");
        assert_eq!(without_tag("a/b"), "a/b");
    }
}
