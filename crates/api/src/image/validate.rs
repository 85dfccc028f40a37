//! Rules of streams, tags, images, mappings and imports (images 3.6). Look-ups and limits are the server's.

use std::collections::BTreeMap;

use pierhead_oci::ImageReference;

use super::{
    Image, ImageStream, ImageStreamImport, ImageStreamMapping, ImageStreamTag, ImageTag, TagImportPolicy,
    TagReference, TagReferencePolicy,
};
use crate::core::ObjectReference;
use crate::field::FieldErrors;
use crate::meta::ObjectMeta;
use crate::name::{self, Scope};

/// Longest `namespace/name` of a stream, in bytes: the longest repository name.
const MAX_REPOSITORY: usize = 255;

/// Kinds a spec tag may follow.
const FROM_KINDS: [&str; 3] = ["DockerImage", "ImageStreamImage", "ImageStreamTag"];

/// Rule for names of streams: a path segment that is one component of a repository name.
pub fn image_stream_name(text: &str) -> Vec<String> {
    let problems = name::path_segment(text);
    if !problems.is_empty() {
        return problems;
    }
    if is_repository_component(text) {
        Vec::new()
    } else {
        vec!["must match \"[a-z0-9]+(?:[._-][a-z0-9]+)*\"".into()]
    }
}

/// Runs of lower-case letters and digits, single separators `.`, `_`, `-` between them (two underscores count as
/// one separator, and so does any number of dashes, as repository names have it).
fn is_repository_component(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches(alphanumeric);
        if trimmed.len() == rest.len() {
            return false;
        }
        if trimmed.is_empty() {
            return true;
        }
        let after = trimmed.trim_start_matches(|c| !alphanumeric(c));
        let Some(separator) = trimmed.strip_suffix(after) else { return false };
        let dashes = !separator.is_empty() && separator.bytes().all(|byte| byte == b'-');
        if !(dashes || matches!(separator, "." | "_" | "__")) {
            return false;
        }
        rest = after;
    }
}

/// Rule for names of images: a path segment, in practice a digest.
pub fn image_name(text: &str) -> Vec<String> {
    name::path_segment(text)
}

/// Rule for tag names as clients and the registry have it: `[\w][\w.-]{0,127}`.
pub fn tag_name(text: &str) -> Vec<String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let good = (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-');
    if good { Vec::new() } else { vec!["must match \"[\\w][\\w.-]{0,127}\"".into()] }
}

/// Splits `stream:tag`, the name of an image stream tag.
pub fn stream_and_tag(text: &str) -> Option<(&str, &str)> {
    let (stream, tag) = text.split_once(':')?;
    let is_good = !stream.is_empty() && !tag.is_empty() && !tag.contains(':') && !text.contains('@');
    is_good.then_some((stream, tag))
}

/// Splits `stream@id`, the name of an image stream image.
pub fn stream_image(text: &str) -> Option<(&str, &str)> {
    let (stream, id) = text.split_once('@')?;
    (!stream.is_empty() && !id.is_empty() && !id.contains('@')).then_some((stream, id))
}

fn validate_reference_policy(policy: &TagReferencePolicy, field: &str, errors: &mut FieldErrors) {
    if !matches!(policy.policy_type.as_str(), "Source" | "Local") {
        let detail = "valid values are \"Local\", \"Source\"";
        errors.invalid(format!("{field}.referencePolicy.type"), policy.policy_type.as_str(), detail);
    }
}

fn validate_import_mode(policy: &TagImportPolicy, field: &str, errors: &mut FieldErrors) {
    if !matches!(policy.import_mode.as_str(), "" | "Legacy" | "PreserveOriginal") {
        let detail = "invalid import mode, valid modes are '', 'Legacy', 'PreserveOriginal'";
        errors.invalid(format!("{field}.importPolicy.importMode"), policy.import_mode.as_str(), detail);
    }
}

fn validate_docker_image(text: &str, field: &str, errors: &mut FieldErrors) -> Option<ImageReference> {
    match text.parse::<ImageReference>() {
        Ok(reference) => Some(reference),
        Err(error) => {
            errors.invalid(field, text, error.to_string());
            None
        }
    }
}

fn validate_spec_tag(tag: &TagReference, field: &str, errors: &mut FieldErrors) {
    validate_import_mode(&tag.import_policy, field, errors);
    validate_reference_policy(&tag.reference_policy, field, errors);
    let Some(from) = &tag.from else { return };
    if from.name.is_empty() {
        errors.required(format!("{field}.from.name"), "");
    }
    match from.kind.as_str() {
        "DockerImage" => {
            if !from.name.is_empty() {
                validate_docker_image(&from.name, &format!("{field}.from.name"), errors);
            }
        }
        "ImageStreamTag" | "ImageStreamImage" => {
            if tag.import_policy.scheduled {
                let detail =
                    "only tags pointing to Docker repositories may be scheduled for background import";
                errors.invalid(format!("{field}.importPolicy.scheduled"), true, detail);
            }
        }
        _ => {
            let detail = format!("valid values are '{}'", FROM_KINDS.join("', '"));
            errors.required(format!("{field}.from.kind"), detail);
        }
    }
}

impl ImageStream {
    /// Names, references, policies.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, Scope::Namespaced, image_stream_name);
        let path = self.metadata.namespace.len() + 1 + self.metadata.name.len();
        if path > MAX_REPOSITORY {
            let detail = format!("'namespace/name' cannot be longer than {MAX_REPOSITORY} characters");
            errors.invalid("metadata.name", self.metadata.name.as_str(), detail);
        }
        let repository = &self.spec.docker_image_repository;
        if !repository.is_empty()
            && let Some(reference) =
                validate_docker_image(repository, "spec.dockerImageRepository", &mut errors)
        {
            for (part, what) in [(&reference.tag, "a tag"), (&reference.id, "an ID")] {
                if part.as_ref().is_some_and(|part| !part.is_empty()) {
                    let detail = format!("the repository name may not contain {what}");
                    errors.invalid("spec.dockerImageRepository", repository.as_str(), detail);
                }
            }
        }
        for tag in &self.spec.tags {
            validate_spec_tag(tag, &format!("spec.tags[{}]", tag.name), &mut errors);
            if tag.name.is_empty() {
                errors.required("spec.tags[].name", "");
            }
        }
        for tag in &self.status.tags {
            for (index, item) in tag.items.iter().enumerate() {
                let field = format!("status.tags[{}].items[{index}].dockerImageReference", tag.tag);
                if item.docker_image_reference.is_empty() {
                    errors.required(field, "");
                } else {
                    validate_docker_image(&item.docker_image_reference, &field, &mut errors);
                }
            }
        }
        errors
    }

    /// Metadata rules of an update and those of [`ImageStream::validate`].
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        errors
    }
}

impl Image {
    /// Reference, manifests, layers.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, Scope::Cluster, image_name);
        self.validate_fields("", &mut errors);
        errors
    }

    fn validate_fields(&self, path: &str, errors: &mut FieldErrors) {
        let reference = format!("{path}dockerImageReference");
        if self.docker_image_reference.is_empty() {
            errors.required(reference, "");
        } else {
            validate_docker_image(&self.docker_image_reference, &reference, errors);
        }
        for (index, manifest) in self.docker_image_manifests.iter().enumerate() {
            let fields = [
                ("digest", &manifest.digest),
                ("mediaType", &manifest.media_type),
                ("architecture", &manifest.architecture),
                ("os", &manifest.os),
            ];
            for (field, value) in fields {
                if value.is_empty() {
                    errors.required(format!("{path}dockerImageManifests[{index}].{field}"), "");
                }
            }
        }
        if !self.docker_image_manifests.is_empty() && !self.docker_image_layers.is_empty() {
            let detail = "dockerImageLayers should not be set when dockerImageManifests is set";
            errors.forbidden(format!("{path}dockerImageLayers"), detail);
        }
        for (index, signature) in self.signatures.iter().enumerate() {
            if signature.signature_type.is_empty() {
                errors.required(format!("{path}signatures[{index}].type"), "");
            }
            if signature.content.0.is_empty() {
                errors.required(format!("{path}signatures[{index}].content"), "");
            }
        }
    }

    /// Metadata rules of an update and those of [`Image::validate`].
    pub fn validate_update(&self, old: &Self) -> FieldErrors {
        let mut errors = name::validate_metadata_update(&self.metadata, &old.metadata);
        errors.append(self.validate());
        errors
    }
}

impl super::ImageSignature {
    /// The name joins image and signature; labels and annotations are not kept.
    pub fn validate(&self) -> FieldErrors {
        let mut errors =
            name::validate_metadata(&self.metadata, Scope::Cluster, |text| match stream_image(text) {
                Some(_) => name::path_segment(text),
                None => vec!["name must be of format <imageName>@<signatureName>".into()],
            });
        if !self.metadata.labels.is_empty() {
            errors.forbidden("metadata.labels", "signature labels cannot be set");
        }
        if !self.metadata.annotations.is_empty() {
            errors.forbidden("metadata.annotations", "signature annotations cannot be set");
        }
        if self.signature_type.is_empty() {
            errors.required("type", "");
        }
        if self.content.0.is_empty() {
            errors.required("content", "");
        }
        errors
    }
}

impl ImageStreamMapping {
    /// A stream (by name or repository), a tag, and an image.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = FieldErrors::new();
        if self.metadata.name.is_empty() && self.docker_image_repository.is_empty() {
            errors.required("metadata.name", "");
            errors.required("dockerImageRepository", "");
        } else if self.metadata.name.is_empty() {
            validate_docker_image(&self.docker_image_repository, "dockerImageRepository", &mut errors);
        } else {
            for problem in image_stream_name(&self.metadata.name) {
                errors.invalid("metadata.name", self.metadata.name.as_str(), problem);
            }
        }
        if self.metadata.namespace.is_empty() {
            errors.required("metadata.namespace", "");
        }
        if self.tag.is_empty() {
            errors.required("tag", "");
        }
        for problem in name::validate_metadata(&self.image.metadata, Scope::Cluster, image_name) {
            errors.push(format!("image.{}", problem.field), problem.problem);
        }
        self.image.validate_fields("image.", &mut errors);
        errors
    }
}

impl ImageStreamTag {
    /// Name, tag, and that the annotations agree.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, Scope::Namespaced, name::path_segment);
        validate_tag_name(&self.metadata.name, &mut errors);
        if let Some(tag) = &self.tag {
            validate_spec_tag(tag, "tag", &mut errors);
            if let Some(annotations) = &tag.annotations
                && !annotations.is_empty()
                && *annotations != self.metadata.annotations
            {
                errors.invalid(
                    "tag.annotations",
                    "<map>",
                    "tag annotations must not be provided or must be equal to the object meta annotations",
                );
            }
        }
        errors
    }

    /// [`ImageStreamTag::validate`], and that the labels are left to the stream: nothing but annotations and the tag
    /// changes here. Old clients send no labels.
    pub fn validate_update(&self, of_stream: &BTreeMap<String, String>) -> FieldErrors {
        let mut errors = self.validate();
        if !self.metadata.labels.is_empty() && self.metadata.labels != *of_stream {
            errors.invalid("metadata", "", "may not update fields other than metadata.annotations");
        }
        errors
    }
}

impl ImageTag {
    /// Name and spec; the tag in the spec is the one in the name.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, Scope::Namespaced, name::path_segment);
        validate_tag_name(&self.metadata.name, &mut errors);
        if let Some(spec) = &self.spec {
            validate_spec_tag(spec, "spec", &mut errors);
            if let Some((_, tag)) = stream_and_tag(&self.metadata.name)
                && spec.name != tag
            {
                errors.invalid("spec.name", spec.name.as_str(), "must match image tag name");
            }
        }
        errors
    }

    /// [`ImageTag::validate`], and that labels and annotations, which are the stream's, are left to it or left out.
    pub fn validate_update(&self, of_stream: &ObjectMeta) -> FieldErrors {
        let mut errors = self.validate();
        let differs = |ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>| {
            !ours.is_empty() && ours != theirs
        };
        if differs(&self.metadata.labels, &of_stream.labels)
            || differs(&self.metadata.annotations, &of_stream.annotations)
        {
            errors.invalid("metadata", "", "may not update fields other than spec");
        }
        errors
    }
}

fn validate_tag_name(text: &str, errors: &mut FieldErrors) {
    if !text.is_empty() && stream_and_tag(text).is_none() {
        errors.invalid("metadata.name", text, "must be in the form of <name>:<tag>");
    }
}

fn validate_import_source(
    from: &ObjectReference,
    field: &str,
    errors: &mut FieldErrors,
) -> Option<ImageReference> {
    if from.kind != "DockerImage" {
        errors.invalid(format!("{field}.from.kind"), from.kind.as_str(), "only DockerImage is supported");
        return None;
    }
    if from.name.is_empty() {
        errors.required(format!("{field}.from.name"), "");
        return None;
    }
    if from.name == "*" {
        return None;
    }
    validate_docker_image(&from.name, &format!("{field}.from.name"), errors)
}

impl ImageStreamImport {
    /// Something to import, from docker repositories only.
    pub fn validate(&self) -> FieldErrors {
        let mut errors = name::validate_metadata(&self.metadata, Scope::Namespaced, image_stream_name);
        if self.spec.images.is_empty() && self.spec.repository.is_none() {
            let detail = "you must specify at least one image or a repository import";
            errors.invalid("spec.images", serde_json::Value::Null, detail);
        }
        for (index, image) in self.spec.images.iter().enumerate() {
            let field = format!("spec.images[{index}]");
            validate_import_source(&image.from, &field, &mut errors);
            if let Some(to) = &image.to
                && to.name.is_empty()
            {
                errors.invalid(
                    format!("{field}.to.name"),
                    "",
                    "the name of the target tag must be specified",
                );
            }
            validate_import_mode(&image.import_policy, &field, &mut errors);
            validate_reference_policy(&image.reference_policy, &field, &mut errors);
        }
        if let Some(repository) = &self.spec.repository {
            let field = "spec.repository";
            if let Some(reference) = validate_import_source(&repository.from, field, &mut errors) {
                let name = repository.from.name.as_str();
                if reference.id.is_some_and(|id| !id.is_empty()) {
                    errors.invalid(
                        "spec.repository.from.name",
                        name,
                        "you must specify a repository, not an image ID",
                    );
                } else if reference.tag.is_some_and(|tag| !tag.is_empty()) {
                    errors.invalid(
                        "spec.repository.from.name",
                        name,
                        "you must specify a repository, not a tag",
                    );
                }
            }
            validate_import_mode(&repository.import_policy, field, &mut errors);
            validate_reference_policy(&repository.reference_policy, field, &mut errors);
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{image_stream_name, stream_and_tag, tag_name};
    use crate::field::FieldErrors;
    use crate::image::{Image, ImageSignature, ImageStream, ImageStreamImport, ImageStreamMapping, ImageTag};
    use crate::{from_value, to_value};

    fn stream(spec: Value) -> ImageStream {
        let document = json!({"metadata": {"name": "hello", "namespace": "shop"}, "spec": spec});
        let mut stream: ImageStream = from_value(&document).unwrap();
        stream.set_defaults();
        stream
    }

    #[track_caller]
    fn check(spec: Value, expected: &str) {
        let errors = stream(spec).validate();
        assert_eq!(if errors.is_empty() { String::new() } else { errors.to_string() }, expected);
    }

    #[test]
    fn checks_streams() {
        check(json!({}), "");
        check(json!({"tags": [{"name": "a"}]}), "");
        check(json!({"tags": [{"name": "a", "from": {"kind": "DockerImage", "name": "busybox:1"}}]}), "");
        check(
            json!({"tags": [{"name": "a", "from": {"kind": "Pod", "name": "x"}}]}),
            "spec.tags[a].from.kind: Required value: valid values are 'DockerImage', 'ImageStreamImage', 'ImageStreamTag'",
        );
        check(
            json!({"tags": [{"name": "a", "from": {"kind": "ImageStreamTag", "name": "b"}, "importPolicy": {"scheduled": true}}]}),
            "spec.tags[a].importPolicy.scheduled: Invalid value: true: only tags pointing to Docker repositories \
             may be scheduled for background import",
        );
        check(
            json!({"dockerImageRepository": "quay.io/a/b:1"}),
            "spec.dockerImageRepository: Invalid value: \"quay.io/a/b:1\": the repository name may not contain a tag",
        );
    }

    #[track_caller]
    fn check_errors(errors: &FieldErrors, expected: &[&str]) {
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn checks_names_and_policies_of_streams() {
        let mut long = stream(json!({}));
        long.metadata.name = "a".repeat(251);
        check_errors(
            &long.validate(),
            &[&format!(
                "metadata.name: Invalid value: \"{}\": 'namespace/name' cannot be longer than 255 characters",
                "a".repeat(251)
            )],
        );
        let tag = |members: Value| {
            let mut tag = json!({"name": "a", "from": {"kind": "DockerImage", "name": "quay.io/a/b:1"}});
            tag.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            json!({"tags": [tag]})
        };
        check(tag(json!({"from": {"kind": "DockerImage", "name": "quay.io/a/b:1@sha256:00"}})), "");
        check(tag(json!({"importPolicy": {"scheduled": true, "importMode": "PreserveOriginal"}})), "");
        check(tag(json!({"referencePolicy": {"type": "Local"}})), "");
        check(
            tag(json!({"from": {"kind": "ImageStreamTag", "name": ""}})),
            "spec.tags[a].from.name: Required value",
        );
        check(
            tag(json!({"from": {"kind": "", "name": "b"}})),
            "spec.tags[a].from.kind: Required value: valid values are 'DockerImage', 'ImageStreamImage', 'ImageStreamTag'",
        );
        check(
            tag(json!({"referencePolicy": {"type": "Other"}})),
            "spec.tags[a].referencePolicy.type: Invalid value: \"Other\": valid values are \"Local\", \"Source\"",
        );
        check(
            tag(json!({"importPolicy": {"importMode": "Other"}})),
            "spec.tags[a].importPolicy.importMode: Invalid value: \"Other\": invalid import mode, valid modes are '', \
             'Legacy', 'PreserveOriginal'",
        );
        check(
            json!({"dockerImageRepository": "quay.io/a/b@sha256:00"}),
            "spec.dockerImageRepository: Invalid value: \"quay.io/a/b@sha256:00\": the repository name may not contain an ID",
        );
    }

    #[test]
    fn checks_images() {
        let image = |members: Value| {
            let mut image =
                json!({"metadata": {"name": "sha256:00"}, "dockerImageReference": "quay.io/a/b:1"});
            image.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            from_value::<Image>(&image).unwrap().validate()
        };
        check_errors(&image(json!({})), &[]);
        check_errors(&image(json!({"dockerImageReference": ""})), &["dockerImageReference: Required value"]);
        assert_eq!(image(json!({"dockerImageReference": "A//b"})).iter().count(), 1);
        assert_eq!(image(json!({"metadata": {"name": "a/b"}})).iter().count(), 1);
        check_errors(
            &image(json!({"dockerImageManifests": [{}]})),
            &["digest", "mediaType", "architecture", "os"]
                .map(|field| format!("dockerImageManifests[0].{field}: Required value"))
                .each_ref()
                .map(String::as_str),
        );
        let manifest =
            json!({"digest": "sha256:00", "mediaType": "x", "architecture": "amd64", "os": "linux"});
        check_errors(
            &image(json!({"dockerImageManifests": [manifest], "dockerImageLayers": [{"name": "sha256:00"}]})),
            &[
                "dockerImageLayers: Forbidden: dockerImageLayers should not be set when dockerImageManifests is set",
            ],
        );
    }

    #[test]
    fn checks_signatures_and_mappings() {
        let signature = |document: Value| from_value::<ImageSignature>(&document).unwrap().validate();
        let good = json!({"metadata": {"name": "sha256:00@a"}, "type": "atomic", "content": "YQ=="});
        check_errors(&signature(good), &[]);
        check_errors(
            &signature(json!({"metadata": {"name": "a@b", "labels": {"a": "b"}, "annotations": {"a": "b"}}})),
            &[
                "metadata.labels: Forbidden: signature labels cannot be set",
                "metadata.annotations: Forbidden: signature annotations cannot be set",
                "type: Required value",
                "content: Required value",
            ],
        );
        let mapping = |document: Value| from_value::<ImageStreamMapping>(&document).unwrap().validate();
        let image = json!({"metadata": {"name": "sha256:00"}, "dockerImageReference": "quay.io/a/b:1"});
        let at = json!({"name": "web", "namespace": "shop"});
        check_errors(&mapping(json!({"metadata": at, "tag": "a", "image": image})), &[]);
        check_errors(
            &mapping(json!({"metadata": at, "image": {"metadata": {"name": "sha256:00"}}})),
            &["tag: Required value", "image.dockerImageReference: Required value"],
        );
        check_errors(
            &mapping(json!({"metadata": {"namespace": "shop"}, "tag": "a", "image": image})),
            &["metadata.name: Required value", "dockerImageRepository: Required value"],
        );
    }

    #[test]
    fn checks_imports_and_image_tags() {
        let import = |spec: Value| {
            let document = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec});
            let mut import: ImageStreamImport = from_value(&document).unwrap();
            import.set_defaults();
            import.validate()
        };
        let from = |kind: &str, name: &str| json!({"from": {"kind": kind, "name": name}});
        check_errors(
            &import(json!({"images": [from("DockerImage", "quay.io/a/b:1"), from("DockerImage", "*")]})),
            &[],
        );
        check_errors(&import(json!({"repository": from("DockerImage", "quay.io/a/b")})), &[]);
        check_errors(
            &import(json!({})),
            &["spec.images: Invalid value: null: you must specify at least one image or a repository import"],
        );
        check_errors(
            &import(
                json!({"images": [from("ImageStreamTag", "a:b")], "repository": from("DockerImage", "quay.io/a/b:1")}),
            ),
            &[
                "spec.images[0].from.kind: Invalid value: \"ImageStreamTag\": only DockerImage is supported",
                "spec.repository.from.name: Invalid value: \"quay.io/a/b:1\": you must specify a repository, not a tag",
            ],
        );
        check_errors(
            &import(json!({"repository": from("DockerImage", "quay.io/a/b@sha256:00")})),
            &[
                "spec.repository.from.name: Invalid value: \"quay.io/a/b@sha256:00\": you must specify a repository, not an image ID",
            ],
        );
        let tag = |name: &str| {
            let spec = json!({"name": "a", "referencePolicy": {"type": "Source"}});
            let document = json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec});
            from_value::<ImageTag>(&document).unwrap().validate()
        };
        check_errors(&tag("web:a"), &[]);
        check_errors(&tag("web:b"), &["spec.name: Invalid value: \"a\": must match image tag name"]);
        check_errors(
            &tag("web"),
            &["metadata.name: Invalid value: \"web\": must be in the form of <name>:<tag>"],
        );
    }

    #[test]
    fn names_follow_the_registry() {
        for good in ["a", "a-b", "a.b", "a_b", "a__b", "a--b", "0"] {
            assert!(image_stream_name(good).is_empty(), "`{good}` should pass");
        }
        for bad in ["A", "a..b", "-a", "a-", "a___b", "a/b", ".", "a._b", ""] {
            assert!(!image_stream_name(bad).is_empty(), "`{bad}` should fail");
        }
        assert!(tag_name("v1.0-beta_2").is_empty());
        assert!(!tag_name("-a").is_empty());
        assert_eq!(stream_and_tag("a:b"), Some(("a", "b")));
        assert_eq!(stream_and_tag("a:b:c"), None);
        assert_eq!(stream_and_tag("a@sha256:b"), None);
    }

    #[test]
    fn writes_the_keys_clients_rely_on() {
        let stream = stream(json!({"tags": [{"name": "a"}]}));
        let document = to_value(&stream);
        let expected = json!({
            "name": "a", "annotations": null, "generation": null,
            "importPolicy": {"importMode": "Legacy"}, "referencePolicy": {"type": "Source"},
        });
        assert_eq!(document["spec"]["tags"][0], expected);
        assert_eq!(document["spec"]["lookupPolicy"], json!({"local": false}));
        assert_eq!(document["status"], json!({"dockerImageRepository": ""}));
        assert_eq!(from_value::<ImageStream>(&document).unwrap(), stream);
    }

    #[test]
    fn a_tag_without_items_says_null() {
        let document = json!({"status": {"tags": [{"tag": "a", "items": null}]}});
        let stream: ImageStream = from_value(&document).unwrap();
        assert_eq!(to_value(&stream)["status"]["tags"][0], json!({"tag": "a", "items": null}));
    }
}
