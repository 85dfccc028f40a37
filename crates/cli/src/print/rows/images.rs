//! Streams, their tags and images; ages in docker's words (openshift-images 8.3).

use jiff::Timestamp;

use super::Rows;
use crate::{object, print::age};

/// How many tags are named.
const SHOWN_TAGS: usize = 3;

pub(super) const STREAMS: Rows = Rows {
    columns: &["Name", "Image Repository", "Tags", "Updated"],
    cells: |stream, now| {
        let repository = [
            "status.publicDockerImageRepository",
            "spec.dockerImageRepository",
            "status.dockerImageRepository",
        ]
        .into_iter()
        .map(|path| object::text(stream, path))
        .find(|repository| !repository.is_empty())
        .unwrap_or_default();
        let mut tags: Vec<(&str, &str)> = object::list(stream, "status.tags")
            .iter()
            .filter_map(|tag| {
                let newest = object::list(tag, "items").first()?;
                Some((object::text(newest, "created"), object::text(tag, "tag")))
            })
            .collect();
        tags.sort_by(|(time, name), (other_time, other_name)| {
            other_time.cmp(time).then(name.cmp(other_name))
        });
        let updated = tags.first().map(|(time, _)| ago(time, now)).unwrap_or_default();
        let names: Vec<&str> = tags.iter().map(|(_, name)| *name).collect();
        let shown = match names.len().checked_sub(SHOWN_TAGS) {
            Some(more) if more > 0 => format!("{} + {more} more...", names[..SHOWN_TAGS].join(",")),
            _ => names.join(","),
        };
        vec![object::name(stream).to_owned(), repository.to_owned(), shown, updated]
    },
};

pub(super) const STREAM_TAGS: Rows = Rows {
    columns: &["Name", "Image Reference", "Updated", "+Image Name"],
    cells: |tag, now| {
        vec![
            object::name(tag).to_owned(),
            object::text(tag, "image.dockerImageReference").to_owned(),
            ago(object::text(tag, "metadata.creationTimestamp"), now),
            object::text(tag, "image.metadata.name").to_owned(),
        ]
    },
};

pub(super) const STREAM_IMAGES: Rows = Rows {
    columns: &["Name", "Updated", "+Image Reference", "+Image Name"],
    cells: |image, now| {
        vec![
            object::name(image).to_owned(),
            ago(object::text(image, "metadata.creationTimestamp"), now),
            object::text(image, "image.dockerImageReference").to_owned(),
            object::text(image, "image.metadata.name").to_owned(),
        ]
    },
};

pub(super) const IMAGES: Rows = Rows {
    columns: &["Name", "Image Reference"],
    cells: |image, _| {
        vec![object::name(image).to_owned(), object::text(image, "dockerImageReference").to_owned()]
    },
};

fn ago(time: &str, now: Timestamp) -> String {
    if time.is_empty() { String::new() } else { format!("{} ago", age::words(Some(time), now)) }
}
