//! From a tag to the pull spec that workloads run (images 5.8): the newest image of its history, named the way the
//! tag's reference policy wants.

use pierhead_oci::ImageReference;

use super::{ImageStream, TagEvent, TagReference};

/// The pull spec of `newest`, the newest event of a tag. `repository` is the stream's own repository
/// (`status.dockerImageRepository`), `wanted` what the stream's spec says of the tag. Policy `Local` leads to our
/// registry, which pulls through; anything else to where the image came from.
pub fn pull_spec(repository: &str, wanted: Option<&TagReference>, newest: &TagEvent) -> String {
    let local = wanted.is_some_and(|tag| tag.reference_policy.policy_type == "Local");
    if local
        && !newest.image.is_empty()
        && let Ok(reference) = repository.parse::<ImageReference>()
    {
        return ImageReference { tag: None, id: Some(newest.image.clone()), ..reference }.exact();
    }
    newest.docker_image_reference.clone()
}

impl ImageStream {
    /// The pull spec a workload that follows `tag` runs; `None` while the tag has no image.
    pub fn newest_pull_spec(&self, tag: &str) -> Option<String> {
        let history = self.status.tags.iter().find(|history| history.tag == tag)?;
        let wanted = self.spec.tags.iter().find(|wanted| wanted.name == tag);
        let spec = pull_spec(&self.status.docker_image_repository, wanted, history.items.first()?);
        Some(spec).filter(|spec| !spec.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::from_value;
    use crate::image::ImageStream;

    #[track_caller]
    fn check(policy: &str, image: &str, tag: &str, expected: Option<&str>) {
        let stream: ImageStream = from_value(&json!({
            "metadata": {"name": "app", "namespace": "shop"},
            "spec": {"tags": [{"name": "v1", "referencePolicy": {"type": policy}}]},
            "status": {
                "dockerImageRepository": "172.30.0.1:5000/shop/app",
                "tags": [
                    {"tag": "v1", "items": [
                        {"image": image, "dockerImageReference": "quay.example.com/x/y@sha256:new"},
                        {"image": "sha256:old", "dockerImageReference": "quay.example.com/x/y@sha256:old"},
                    ]},
                    {"tag": "empty", "items": []},
                ],
            },
        }))
        .unwrap();
        assert_eq!(stream.newest_pull_spec(tag).as_deref(), expected);
    }

    #[test]
    fn the_policy_of_the_tag_decides_where_it_is_pulled_from() {
        let digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        let source = "quay.example.com/x/y@sha256:new";
        check("Source", digest, "v1", Some(source));
        check("", digest, "v1", Some(source));
        check("Local", digest, "v1", Some(&format!("172.30.0.1:5000/shop/app@{digest}")));
        check("Local", "", "v1", Some(source));
        check("Local", digest, "empty", None);
        check("Local", digest, "other", None);
    }
}
