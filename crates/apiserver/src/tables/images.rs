//! Columns of images, streams and their views. Ages are in docker's words here (images 3.11).

use jiff::Timestamp;
use pierhead_api::age;
use pierhead_api::image::{
    Image, ImageStream, ImageStreamImage, ImageStreamTag, ImageTag, NamedTagEventList, TagReference,
};
use pierhead_api::meta::Time;
use serde_json::Value;

use super::{Column, ColumnSet, Sets, name, typed};

/// Characters the names of tags may take, and how much more when that shows all of them.
const TAGS_WIDTH: usize = 40;
const TAGS_SLACK: usize = TAGS_WIDTH / 4;
/// How a tag that follows another one of its stream is shown.
const TRACK: &str = "Track";

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
    let newest = |tag: &NamedTagEventList| tag.items.first().and_then(|item| item.created);
    let mut tags: Vec<(Option<Time>, &str)> =
        status.tags.iter().map(|tag| (newest(tag), tag.tag.as_str())).collect();
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

/// The names that fit, at least one, then how many more there are. One that does not fit is shown all the same where it
/// would leave much room empty and needs little more.
fn tag_names(names: &[&str]) -> String {
    let mut width = 0;
    let mut fits = |name: &&&str| {
        let before = width;
        width += name.len() + 1;
        let (empty, beyond) = (TAGS_WIDTH.saturating_sub(before + 1), width.saturating_sub(TAGS_WIDTH));
        beyond == 0 || (empty > TAGS_SLACK && beyond <= TAGS_SLACK)
    };
    let shown = names.iter().take_while(&mut fits).count().max(1).min(names.len());
    let (first, rest) = names.split_at(shown);
    if rest.is_empty() { first.join(",") } else { format!("{} + {} more...", first.join(","), rest.len()) }
}

fn image_tag(object: &Value, now: Timestamp) -> Vec<Value> {
    let ImageTag { spec, status, .. } = typed(object);
    let (wanted, mut what) = spec.as_ref().map_or(("", String::new()), wanted_cells);
    let wanted_generation = spec.as_ref().and_then(|spec| spec.generation).unwrap_or_default();
    let status = status.unwrap_or_default();
    let newest = status.items.first();
    let generation = newest.map_or(0, |newest| newest.generation);
    let is_counted = wanted_generation > 0 && generation > 0;
    if let Some(newest) = newest {
        if is_counted && generation < wanted_generation {
            what = "Importing".to_owned();
        } else if !newest.image.is_empty() {
            what = format!("image/{}", newest.image);
        } else if !newest.docker_image_reference.is_empty() {
            what.clone_from(&newest.docker_image_reference);
        }
    }
    // What came without being wanted, or after it, was pushed. Tags that follow others have their generation.
    let pushed = match wanted {
        "" => newest.is_some() && !what.is_empty(),
        wanted => wanted != TRACK && is_counted && generation > wanted_generation,
    };
    let mut updated = newest.and_then(|newest| newest.created);
    for condition in &status.conditions {
        if condition.condition_type == "ImportSuccess" && condition.status == "False" {
            what = format!("ImportFailed ({})", condition.reason);
        }
        updated = updated.max(condition.last_transition_time);
    }
    let history = if status.items.is_empty() { Value::Null } else { status.items.len().into() };
    vec![
        name(object),
        if pushed { "Push" } else { wanted }.into(),
        what.into(),
        history,
        age::long_since(updated, now).into(),
    ]
}

/// How a tag is wanted, and what.
fn wanted_cells(spec: &TagReference) -> (&'static str, String) {
    let Some(from) = &spec.from else { return ("", String::new()) };
    let how = match spec {
        spec if spec.import_policy.scheduled => "Scheduled",
        spec if spec.reference => "Ref",
        _ => "Tag",
    };
    match from.kind.as_str() {
        "ImageStreamImage" => match from.name.split_once('@') {
            Some((_, id)) => (how, format!("image/{id}")),
            None => (how, "InvalidRefName".to_owned()),
        },
        "ImageStreamTag" => {
            let how = if from.name.contains(':') { how } else { TRACK };
            let separator = if from.namespace.is_empty() { "/" } else { " " };
            let of = if from.namespace.is_empty() { String::new() } else { format!("{}/", from.namespace) };
            (how, format!("istag{separator}{of}{}", from.name))
        }
        _ => (how, from.name.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
                ("Tags", "2,1,3"),
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
        check_tags(&[ten; 3], "0123456789,0123456789,0123456789");
        check_tags(&[ten; 4], "0123456789,0123456789,0123456789 + 1 more...");
        // A fourth part more is given where more than that would be left.
        let (long, short) = ("a".repeat(27), "b".repeat(20));
        check_tags(&[&long, &short], &format!("{long},{short}"));
        check_tags(
            &["a".repeat(30).as_str(), "b".repeat(18).as_str()],
            &format!("{} + 1 more...", "a".repeat(30)),
        );
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
    }

    #[track_caller]
    fn check_tag(spec: Value, status: Value, [wanted, what, history, updated]: [&str; 4]) {
        check(
            "imagetags.image.openshift.io",
            json!({"metadata": {"name": "hello:1"}, "spec": spec, "status": status}),
            &[
                ("Name", "hello:1"),
                ("Spec", wanted),
                ("Status", what),
                ("History", history),
                ("Updated", updated),
            ],
        );
    }

    #[test]
    fn prints_how_tags_are_wanted_and_what_they_are() {
        let image = "sha256:0123456789abcdef";
        let item = |image: &str, generation: i64| json!({"image": image, "dockerImageReference": "r", "created": "2016-05-01T11:59:00Z", "generation": generation});
        let there = |generation: i64| json!({"tag": "1", "items": [item(image, generation)]});
        let wanted = |kind: &str, name: &str, generation: i64| json!({"name": "1", "from": {"kind": kind, "name": name}, "generation": generation});
        let shown = format!("image/{image}");
        let minute = "About a minute ago";
        check_tag(json!(null), there(1), ["Push", &shown, "1", minute]);
        check_tag(wanted("DockerImage", "x/y", 2), json!(null), ["Tag", "x/y", "null", ""]);
        check_tag(wanted("DockerImage", "x/y", 2), there(1), ["Tag", "Importing", "1", minute]);
        check_tag(wanted("DockerImage", "x/y", 2), there(2), ["Tag", &shown, "1", minute]);
        check_tag(wanted("DockerImage", "x/y", 2), there(3), ["Push", &shown, "1", minute]);
        check_tag(wanted("ImageStreamTag", "2", 2), there(3), ["Track", &shown, "1", minute]);
        check_tag(wanted("ImageStreamTag", "2", 2), json!(null), ["Track", "istag/2", "null", ""]);
        check_tag(wanted("ImageStreamTag", "web:2", 2), json!(null), ["Tag", "istag/web:2", "null", ""]);
        check_tag(
            wanted("ImageStreamImage", "web@sha256:0", 1),
            json!(null),
            ["Tag", "image/sha256:0", "null", ""],
        );
        let mut elsewhere = wanted("ImageStreamTag", "web:2", 2);
        elsewhere["from"]["namespace"] = json!("shop");
        check_tag(elsewhere, json!(null), ["Tag", "istag shop/web:2", "null", ""]);
        let mut referred = wanted("DockerImage", "x/y", 1);
        referred["reference"] = json!(true);
        check_tag(referred, json!({"tag": "1", "items": [item("", 1)]}), ["Ref", "r", "1", minute]);
        let mut scheduled = wanted("DockerImage", "x/y", 1);
        scheduled["importPolicy"] = json!({"scheduled": true});
        let failed = json!({"type": "ImportSuccess", "status": "False", "reason": "NotFound", "lastTransitionTime": "2016-05-01T11:59:30Z"});
        check_tag(
            scheduled,
            json!({"tag": "1", "items": [item(image, 1)], "conditions": [failed]}),
            ["Scheduled", "ImportFailed (NotFound)", "1", "30 seconds ago"],
        );
        // A tag that only has a description wants nothing.
        check_tag(json!({"name": "1"}), there(1), ["Push", &shown, "1", minute]);
    }
}
