//! Rows of manifests: what is accepted, as what, and what is refused with which words.

use pierhead_oci::{
    Algorithm, Digest, MAX_ANNOTATION_BYTES, MAX_INDEX_CHILDREN, MAX_LAYERS, MAX_MANIFEST_BYTES, Manifest,
    ManifestKind, MediaType,
};
use proptest::prelude::{any, proptest};
use serde_json::{Value, json};

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

fn descriptor(media_type: &str) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::sha256(b"x"), "size": 1 })
}

fn image() -> Value {
    json!({ "schemaVersion": 2, "config": descriptor("a/config"), "layers": [descriptor("a/layer")] })
}

fn index() -> Value {
    json!({ "schemaVersion": 2, "manifests": [descriptor(OCI)] })
}

fn with(mut document: Value, key: &str, value: Value) -> Value {
    document[key] = value;
    document
}

/// Expects the media type that is found, or the beginning of the refusal.
fn check(content_type: &str, document: &Value, expected: Result<&str, &str>) {
    let actual = Manifest::parse(content_type, document.to_string().into_bytes());
    let actual = actual.map(|manifest| manifest.media_type().to_string()).map_err(|error| error.to_string());
    match (&actual, expected) {
        (Ok(actual), Ok(expected)) if actual == expected => {}
        (Err(actual), Err(expected)) if actual.starts_with(expected) => {}
        _ => panic!("{actual:?} is not {expected:?} for {content_type:?}"),
    }
}

#[test]
fn header_field_and_shape_decide_the_format() {
    check(OCI, &image(), Ok(OCI));
    check(DOCKER, &image(), Ok(DOCKER));
    check(INDEX, &index(), Ok(INDEX));
    check(LIST, &index(), Ok(LIST));
    check(&format!("{OCI}; charset=utf-8"), &with(image(), "mediaType", json!(OCI)), Ok(OCI));
    check("", &with(image(), "mediaType", json!(DOCKER)), Ok(DOCKER));
    check("application/json", &with(index(), "mediaType", json!(LIST)), Ok(LIST));
    check("", &image(), Ok(OCI));
    check("", &index(), Ok(INDEX));
    check(INDEX, &with(index(), "manifests", Value::Null), Ok(INDEX));
    check(OCI, &with(image(), "layers", Value::Null), Ok(OCI));
}

#[test]
fn documents_with_two_meanings_are_refused() {
    let mismatch = format!("the manifest says it is `{OCI}`, but was sent as `{DOCKER}`");
    check(DOCKER, &with(image(), "mediaType", json!(OCI)), Err(&mismatch));
    let foreign = |media_type: &str, field: &str| {
        format!("a manifest of type `{media_type}` may not have the field `{field}`")
    };
    check(OCI, &with(image(), "manifests", json!([])), Err(&foreign(OCI, "manifests")));
    check(OCI, &with(image(), "manifests", Value::Null), Err(&foreign(OCI, "manifests")));
    check(OCI, &with(image(), "fsLayers", json!([])), Err(&foreign(OCI, "fsLayers")));
    check(INDEX, &with(index(), "layers", json!([])), Err(&foreign(INDEX, "layers")));
    check(INDEX, &with(index(), "config", descriptor("a/b")), Err(&foreign(INDEX, "config")));
    check(LIST, &with(index(), "Manifests", json!([])), Err("the manifest cannot be read: key `Manifests`"));
}

#[test]
fn what_is_not_ours_is_refused_by_name() {
    let schema1 = "manifests of Docker's schema 1 are no longer supported";
    check(SIGNED, &json!({ "schemaVersion": 1, "fsLayers": [], "history": [] }), Err(schema1));
    check("application/json", &json!({ "schemaVersion": 1, "fsLayers": [] }), Err(schema1));
    check("a/b", &image(), Err("manifests of type `a/b` are not supported"));
    check("x", &image(), Err("the content type cannot be read: `x` is not a media type"));
    check("", &json!({ "schemaVersion": 2 }), Err("neither a content type nor the manifest"));
    check(OCI, &json!({ "config": descriptor("a/b") }), Err("schemaVersion must be 2, got none"));
    check(OCI, &with(image(), "schemaVersion", json!(3)), Err("schemaVersion must be 2, got 3"));
    check(OCI, &json!({ "schemaVersion": 2, "layers": [] }), Err("the manifest has no config"));
    check(OCI, &json!([]), Err("the manifest cannot be read"));
    let no_size = json!({ "mediaType": "a/b", "digest": Digest::sha256(b"") });
    check(
        OCI,
        &with(image(), "layers", json!([no_size])),
        Err("the manifest cannot be read: missing field `size`"),
    );
    let escape = json!({ "mediaType": "a/b", "digest": "sha256:../../etc/passwd", "size": 1 });
    check(OCI, &with(image(), "config", escape), Err("the manifest cannot be read: a sha256 digest needs"));
}

#[test]
fn limits_hold_at_and_over_the_cap() {
    let layers = |count: usize| with(image(), "layers", json!(vec![descriptor("a/b"); count]));
    check(OCI, &layers(MAX_LAYERS), Ok(OCI));
    check(OCI, &layers(MAX_LAYERS + 1), Err("the manifest has 2049 layers, at most 2048 are allowed"));
    let children = |count: usize| with(index(), "manifests", json!(vec![descriptor(OCI); count]));
    check(INDEX, &children(MAX_INDEX_CHILDREN), Ok(INDEX));
    check(INDEX, &children(MAX_INDEX_CHILDREN + 1), Err("the index lists 4097 manifests"));

    let annotated = |length: usize| with(image(), "annotations", json!({ "k": "v".repeat(length - 1) }));
    let referrer = |length: usize| with(annotated(length), "subject", descriptor(OCI));
    check(OCI, &annotated(2 * MAX_ANNOTATION_BYTES), Ok(OCI));
    check(OCI, &referrer(MAX_ANNOTATION_BYTES), Ok(OCI));
    check(OCI, &referrer(MAX_ANNOTATION_BYTES + 1), Err("annotations of a referrer take 524289 bytes"));

    let padded = |length: usize| {
        let mut bytes = image().to_string().into_bytes();
        bytes.resize(length, b' ');
        Manifest::parse(OCI, bytes).map(|manifest| manifest.bytes().len()).map_err(|error| error.to_string())
    };
    assert_eq!(padded(MAX_MANIFEST_BYTES), Ok(MAX_MANIFEST_BYTES));
    let too_large = "the manifest has 4194305 bytes, at most 4194304 are allowed";
    assert_eq!(padded(MAX_MANIFEST_BYTES + 1), Err(too_large.into()));
}

#[test]
fn a_manifest_keeps_its_bytes_and_tells_what_it_holds() {
    let subject = descriptor(OCI);
    let document = json!({
        "schemaVersion": 2, "mediaType": OCI, "artifactType": "application/vnd.example.sbom", "unknown": [{}],
        "config": descriptor("application/vnd.oci.empty.v1+json"), "layers": [descriptor("text/spdx")],
        "subject": subject, "annotations": { "org.opencontainers.image.title": "list" },
    });
    let bytes = serde_json::to_vec_pretty(&document).unwrap();
    let manifest = Manifest::parse(OCI, bytes.as_slice()).unwrap();
    assert_eq!(manifest.bytes(), bytes);
    assert_eq!(manifest.digest(Algorithm::Sha512), Digest::of(Algorithm::Sha512, &bytes));
    assert_eq!(manifest.subject().map(|subject| subject.size), Some(1));
    assert_eq!(manifest.artifact_type().map(MediaType::as_str), Some("application/vnd.example.sbom"));
    assert_eq!(manifest.annotations().len(), 1);
    let ManifestKind::Image { config, layers } = manifest.kind() else { panic!("it is an image manifest") };
    assert_eq!((&config.media_type, layers.len()), (&MediaType::OCI_EMPTY, 1));
}

#[test]
fn without_an_artifact_type_the_config_tells() {
    let manifest = Manifest::parse(OCI, image().to_string().into_bytes()).unwrap();
    assert_eq!(manifest.artifact_type().map(MediaType::as_str), Some("a/config"));
    let manifest = Manifest::parse(INDEX, index().to_string().into_bytes()).unwrap();
    assert_eq!(manifest.artifact_type(), None);
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(content_type in any::<String>(), bytes: Vec<u8>) {
        drop(Manifest::parse(&content_type, bytes));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[\\[\\]{}\",:a-z0-9\\\\]{0,200}") {
        drop(Manifest::parse("", text.into_bytes()));
    }
}
