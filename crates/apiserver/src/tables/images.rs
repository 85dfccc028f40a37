//! Columns of images, streams and their views. Ages are in docker's words here (images 3.11).

use jiff::Timestamp;
use pierhead_api::age;
use pierhead_api::image::{Image, ImageStream, ImageStreamImage, ImageStreamTag, ImageTag};
use pierhead_api::meta::Time;
use serde_json::Value;

use super::{Column, ColumnSet, Sets, name, typed};

/// Characters the names of tags may take, and how much more when that shows all of them.
const TAGS_WIDTH: usize = 40;
const TAGS_SLACK: usize = TAGS_WIDTH / 4;
/// Characters of a digest that are shown.
const SHORT_ID: usize = 7;

pub(super) const SETS: Sets = &[
    (
        "images.image.openshift.io",
        ColumnSet {
            columns: &[Column::NAME, Column::text("Image Reference")],
            cells: |object, _| {
                let reference =
                    object.get("dockerImageReference").and_then(Value::as_str).unwrap_or_default();
                vec![name(object), reference.into()]
            },
        },
    ),
    (
        "imagestreams.image.openshift.io",
        ColumnSet {
            columns: &[
                Column::NAME,
                Column::text("Image Repository"),
                Column::text("Tags"),
                Column::text("Updated"),
            ],
            cells: stream,
        },
    ),
    (
        "imagestreamtags.image.openshift.io",
        ColumnSet {
            columns: &[
                Column::NAME,
                Column::text("Image Reference"),
                Column::text("Updated"),
                Column::text("Image Name").wide(),
            ],
            cells: |object, now| {
                let tag: ImageStreamTag = typed(object);
                let updated = age::long_since(tag.metadata.creation_timestamp, now);
                let Image { metadata, docker_image_reference, .. } = tag.image;
                vec![name(object), docker_image_reference.into(), updated.into(), metadata.name.into()]
            },
        },
    ),
    (
        "imagetags.image.openshift.io",
        ColumnSet {
            columns: &[
                Column::NAME,
                Column::text("Spec"),
                Column::text("Status"),
                Column::number("History"),
                Column::text("Updated"),
            ],
            cells: image_tag,
        },
    ),
    (
        "imagestreamimages.image.openshift.io",
        ColumnSet {
            columns: &[
                Column::NAME,
                Column::text("Updated"),
                Column::text("Image Reference").wide(),
                Column::text("Image Name").wide(),
            ],
            cells: |object, now| {
                let view: ImageStreamImage = typed(object);
                let updated = age::long_since(view.metadata.creation_timestamp, now);
                let Image { metadata, docker_image_reference, .. } = view.image;
                vec![name(object), updated.into(), docker_image_reference.into(), metadata.name.into()]
            },
        },
    ),
];

fn stream(object: &Value, now: Timestamp) -> Vec<Value> {
    let stream: ImageStream = typed(object);
    let status = &stream.status;
    let repositories = [
        &status.public_docker_image_repository,
        &stream.spec.docker_image_repository,
        &status.docker_image_repository,
    ];
    let repository = repositories.into_iter().find(|repository| !repository.is_empty());
    let mut tags: Vec<(Option<Time>, &str)> = Vec::new();
    for tag in &status.tags {
        if let Some(newest) = tag.items.first() {
            tags.push((newest.created, &tag.tag));
        }
    }
    tags.sort_by(|(time, name), (other_time, other_name)| other_time.cmp(time).then(name.cmp(other_name)));
    let names: Vec<&str> = tags.iter().map(|(_, name)| *name).collect();
    let updated = age::long_since(tags.first().and_then(|(time, _)| *time), now);
    vec![
        name(object),
        repository.cloned().unwrap_or_default().into(),
        tag_names(&names).into(),
        updated.into(),
    ]
}

/// The names that fit, at least one, then how many more there are. A little more room is given when it shows all.
fn tag_names(names: &[&str]) -> String {
    let all = names.join(",");
    if all.len() <= TAGS_WIDTH + TAGS_SLACK {
        return all;
    }
    let mut width = 0;
    let fitting = names.iter().take_while(|name| {
        width += name.len() + 1;
        width <= TAGS_WIDTH + 1
    });
    let shown = fitting.count().max(1);
    let (first, rest) = names.split_at(shown);
    if rest.is_empty() { first.join(",") } else { format!("{} + {} more...", first.join(","), rest.len()) }
}

fn image_tag(object: &Value, now: Timestamp) -> Vec<Value> {
    let tag: ImageTag = typed(object);
    let from = tag.spec.as_ref().and_then(|spec| spec.from.as_ref());
    let spec = match &tag.spec {
        None => "Push",
        Some(spec) if spec.reference => "Ref",
        Some(spec) if spec.import_policy.scheduled => "Scheduled",
        Some(_) if from.is_some_and(|from| from.kind == "ImageStreamTag") => "Track",
        Some(_) => "Tag",
    };
    let items = tag.status.as_ref().map_or(&[][..], |status| status.items.as_slice());
    let conditions = tag.status.as_ref().map_or(&[][..], |status| status.conditions.as_slice());
    let failed = conditions.iter().find(|one| one.condition_type == "ImportSuccess" && one.status == "False");
    let newest = items.first();
    let waiting = tag.spec.as_ref().is_some_and(|spec| {
        let reached = newest.map_or(0, |item| item.generation);
        from.is_some_and(|from| from.kind == "DockerImage")
            && !spec.reference
            && spec.generation.is_none_or(|wanted| wanted > reached)
    });
    let status = match (failed, newest, from) {
        (Some(failed), ..) => format!("ImportFailed ({})", failed.reason),
        (None, ..) if waiting => "Importing".to_owned(),
        (None, Some(item), _) if !item.image.is_empty() => format!("image/{}", short_id(&item.image)),
        (None, _, Some(from)) if from.kind == "ImageStreamTag" => format!("istag/{}", from.name),
        (None, Some(item), _) => item.docker_image_reference.clone(),
        (None, None, _) => String::new(),
    };
    let updated = age::long_since(newest.and_then(|item| item.created), now);
    vec![name(object), spec.into(), status.into(), items.len().into(), updated.into()]
}

/// The first characters of a digest, without its algorithm.
fn short_id(digest: &str) -> &str {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    hex.get(..SHORT_ID).unwrap_or(hex)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::tag_names;
    use crate::tables::tests::check;

    #[test]
    fn prints_streams() {
        let item =
            |created: &str| json!({"created": created, "dockerImageReference": "r", "image": "sha256:0"});
        check(
            "imagestreams.image.openshift.io",
            json!({
                "metadata": {"name": "hello"},
                "status": {
                    "dockerImageRepository": "172.30.1.1:5000/shop/hello",
                    "tags": [
                        {"tag": "1", "items": [item("2016-05-01T10:00:00Z")]},
                        {"tag": "2", "items": [item("2016-05-01T11:58:30Z")]},
                        {"tag": "3", "items": null},
                    ],
                },
            }),
            &[
                ("Name", "hello"),
                ("Image Repository", "172.30.1.1:5000/shop/hello"),
                ("Tags", "2,1"),
                ("Updated", "About a minute ago"),
            ],
        );
    }

    #[track_caller]
    fn check_tags(names: &[&str], expected: &str) {
        assert_eq!(tag_names(names), expected);
    }

    #[test]
    fn many_tags_are_counted() {
        let ten = "0123456789";
        check_tags(&[], "");
        check_tags(&[ten; 4], "0123456789,0123456789,0123456789,0123456789");
        check_tags(&[ten; 5], "0123456789,0123456789,0123456789 + 2 more...");
        check_tags(&["a".repeat(60).as_str(), "b"], &format!("{} + 1 more...", "a".repeat(60)));
    }

    #[test]
    fn prints_tags() {
        check(
            "imagestreamtags.image.openshift.io",
            json!({
                "metadata": {"name": "hello:1", "creationTimestamp": "2016-05-01T09:00:00Z"},
                "image": {"metadata": {"name": "sha256:00"}, "dockerImageReference": "r@sha256:00"},
            }),
            &[
                ("Name", "hello:1"),
                ("Image Reference", "r@sha256:00"),
                ("Updated", "3 hours ago"),
                ("[Image Name]", "sha256:00"),
            ],
        );
        let tag = |spec: serde_json::Value, status: serde_json::Value| json!({"metadata": {"name": "hello:1"}, "spec": spec, "status": status});
        let item =
            json!({"image": "sha256:0123456789abcdef", "created": "2016-05-01T11:59:00Z", "generation": 1});
        let row = |spec: &'static str, status: &'static str, history: &'static str, updated: &'static str| {
            [
                ("Name", "hello:1"),
                ("Spec", spec),
                ("Status", status),
                ("History", history),
                ("Updated", updated),
            ]
        };
        check(
            "imagetags.image.openshift.io",
            tag(json!(null), json!({"tag": "1", "items": [item]})),
            &row("Push", "image/0123456", "1", "About a minute ago"),
        );
        check(
            "imagetags.image.openshift.io",
            tag(
                json!({"name": "1", "from": {"kind": "DockerImage", "name": "x"}, "generation": 2}),
                json!(null),
            ),
            &row("Tag", "Importing", "0", ""),
        );
        check(
            "imagetags.image.openshift.io",
            tag(
                json!({"name": "1", "from": {"kind": "DockerImage", "name": "x"}, "importPolicy": {"scheduled": true}}),
                json!({"tag": "1", "conditions": [{"type": "ImportSuccess", "status": "False", "reason": "NotFound"}]}),
            ),
            &row("Scheduled", "ImportFailed (NotFound)", "0", ""),
        );
        check(
            "imagetags.image.openshift.io",
            tag(json!({"name": "1", "from": {"kind": "ImageStreamTag", "name": "2"}}), json!(null)),
            &row("Track", "istag/2", "0", ""),
        );
    }
}
