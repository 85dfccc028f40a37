//! Images that were imported only are pulled from us: once from their source, and then without it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use pierhead_auth::{Attributes, Subject};
use pierhead_client::egress::{AddressPolicy, Authorities, Egress, EgressConfig};
use pierhead_client::keyring::Keyring;
use pierhead_images::{DryRun, FetchedImage, FetchedManifest, ImportOutcome, ImportWrite, TagImport};
use pierhead_oci::{Algorithm, Digest, Manifest};
use pierhead_registry::{PullThrough, ResponseBody};
use pierhead_runtime::Tasks;
use serde_json::json;
use tempfile::TempDir;

use crate::site::{OCI_MANIFEST, Site, image_manifest};
use crate::upstream::{Behaviour, Upstream};

const REPOSITORY: &str = "shop/front";
const LARGE: usize = 3 << 20;

/// A registry that pulls through, and the one it pulls from.
struct World {
    site: Site,
    upstream: Upstream,
    tasks: Tasks,
    _folder: TempDir,
}

/// `length` bytes that look like nothing.
fn content(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    });
    next.take(length).collect()
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut site = Site::start_below(folder.path()).await;
        let (upstream, tasks) = (Upstream::start(), Tasks::new());
        let addresses = AddressPolicy { allow: vec!["127.0.0.0/8".parse().unwrap()], deny: Vec::new() };
        let idle_timeout = Duration::from_secs(5);
        let egress =
            Egress::new(EgressConfig { addresses, idle_timeout, ..EgressConfig::new(Authorities::none()) });
        let credentials = Arc::new(|_: &str| -> futures_util::future::BoxFuture<'static, _> {
            Box::pin(async { Ok(Keyring::empty()) })
        });
        site.registry = site.registry.with_pull_through(PullThrough::new(egress, credentials, &tasks));
        Self { site, upstream, tasks, _folder: folder }
    }

    /// Imports a manifest under a tag of a repository, as if it came from the upstream.
    async fn import(&self, repository: &str, tag: &str, media_type: &str, manifest: &[u8]) -> Digest {
        self.import_list(repository, tag, (media_type, manifest), &[]).await
    }

    /// The same with the manifests that are below it.
    async fn import_list(
        &self,
        repository: &str,
        tag: &str,
        (media_type, manifest): (&str, &[u8]),
        children: &[&[u8]],
    ) -> Digest {
        let (namespace, stream) = repository.split_once('/').unwrap();
        let manifest = Manifest::parse(media_type, manifest).unwrap();
        let manifest = FetchedManifest::new(Algorithm::Sha256, manifest, None);
        let digest = manifest.digest().clone();
        let reference = format!("{}/lib/app@{digest}", self.upstream.host());
        let children = children.iter().map(|child| {
            let child = Manifest::parse(OCI_MANIFEST, *child).unwrap();
            FetchedManifest::new(Algorithm::Sha256, child, None)
        });
        let children = children.collect();
        let image = FetchedImage { reference: reference.clone(), manifest, children };
        let mut import = TagImport {
            tag: tag.to_owned(),
            from: reference,
            import_policy: Default::default(),
            reference_policy: Default::default(),
            outcome: ImportOutcome::Fetched(Arc::new(image)),
        };
        import.import_policy.insecure = true;
        let write = ImportWrite {
            stream: stream.to_owned(),
            seen: None,
            tags: vec![import],
            repository_failure: None,
        };
        let user = Subject::system("admin", &["system:masters"]);
        let attributes =
            Attributes::new("create", "image.openshift.io", "imagestreamimports").namespace(namespace);
        let permit = self.site.auth.authorize(&user, &attributes).unwrap();
        self.site.images.apply_import(&permit, write, DryRun::No).await.unwrap();
        digest
    }

    /// Imports an image of one layer, whose config is to be had as well.
    async fn import_image(&self, repository: &str, tag: &str, layer: &Bytes, behaviour: Behaviour) -> Digest {
        let config = Digest::sha256(b"{}");
        self.upstream.blob(&config, Behaviour::Sends(Bytes::from("{}")));
        let digest = Digest::sha256(layer);
        self.upstream.blob(&digest, behaviour);
        let manifest = image_manifest(&config, &digest, layer.len());
        self.import(repository, tag, OCI_MANIFEST, &manifest).await;
        digest
    }

    async fn status(&self, path: &str) -> (StatusCode, String) {
        let answer = self.site.get("puller", &format!("/v2/{REPOSITORY}/{path}")).send().await;
        (answer.status, answer.code())
    }

    /// Ends every fetch.
    async fn settle(&self) {
        let limit = Duration::from_secs(20);
        let ended = tokio::time::timeout(limit, async {
            while self.tasks.running().contains(&"pull-through") {
                tokio::task::yield_now().await;
            }
        });
        ended.await.unwrap();
    }
}

fn blob_path(digest: &Digest) -> String {
    format!("/v2/{REPOSITORY}/blobs/{digest}")
}

/// What came before the body ended, and whether it ended well.
async fn read(mut body: ResponseBody) -> (Vec<u8>, bool) {
    let mut received = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => received.extend_from_slice(&frame.into_data().unwrap()),
            Err(_broken) => return (received, false),
        }
    }
    (received, true)
}

#[tokio::test]
async fn an_imported_image_is_pulled_once_and_then_without_its_source() {
    let world = World::start().await;
    let layer = content(1, LARGE);
    let digest = world.import_image(REPOSITORY, "v1", &layer, Behaviour::Sends(layer.clone())).await;
    let config = Digest::sha256(b"{}");
    let tag = world.site.get("puller", &format!("/v2/{REPOSITORY}/manifests/v1")).send().await;
    assert_eq!(tag.status, StatusCode::OK);
    for _ in 0..2 {
        let answer = world.site.get("puller", &blob_path(&digest)).send().await;
        assert_eq!((answer.status, &answer.body), (StatusCode::OK, &layer));
        let answer = world.site.get("puller", &blob_path(&config)).send().await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "{}"));
    }
    assert_eq!(world.upstream.count("GET blobs/"), 2, "{:?}", world.upstream.asked());
    for (refusal, path) in [(401, &digest), (429, &config), (500, &digest)] {
        world.upstream.blob(path, Behaviour::Refuses(refusal));
    }
    drop(world.upstream);
    let answer = world.site.get("puller", &blob_path(&digest)).send().await;
    assert_eq!((answer.status, &answer.body), (StatusCode::OK, &layer));
}

#[tokio::test]
async fn many_clients_share_one_fetch_and_get_bytes_while_they_arrive() {
    let world = World::start().await;
    let layer = content(2, LARGE);
    let digest = world.import_image(REPOSITORY, "v1", &layer, Behaviour::Drips(layer.clone())).await;
    world.upstream.open_tap(LARGE / 2);
    let path = blob_path(&digest);
    let answers =
        futures_util::future::join_all((0..50).map(|_| world.site.get("puller", &path).begin())).await;
    let mut bodies = Vec::new();
    for answer in answers {
        assert_eq!(answer.status(), StatusCode::OK);
        let mut body = answer.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(!first.is_empty() && first.len() <= LARGE / 2);
        bodies.push((first, body));
    }
    world.upstream.open_tap(LARGE);
    for (first, body) in bodies {
        let (rest, whole) = read(body).await;
        assert!(whole);
        assert_eq!(Digest::sha256(&[&first[..], &rest[..]].concat()), digest);
    }
    world.settle().await;
    assert_eq!(world.upstream.count("GET blobs/"), 1);
    let stored = world.site.get("puller", &path).send().await;
    assert_eq!(stored.body, layer);
    assert_eq!(world.upstream.count("GET blobs/"), 1);
}

#[tokio::test]
async fn a_client_that_leaves_stops_neither_the_others_nor_the_storing() {
    let world = World::start().await;
    let layer = content(3, LARGE);
    let digest = world.import_image(REPOSITORY, "v1", &layer, Behaviour::Drips(layer.clone())).await;
    world.upstream.open_tap(LARGE / 3);
    let path = blob_path(&digest);
    let first = world.site.get("puller", &path).begin().await;
    let second = world.site.get("puller", &path).begin().await;
    drop(first);
    world.upstream.open_tap(LARGE / 3 * 2);
    drop(second);
    world.upstream.open_tap(LARGE);
    world.settle().await;
    world.upstream.blob(&digest, Behaviour::Refuses(500));
    let stored = world.site.get("puller", &path).send().await;
    assert_eq!(stored.body, layer);
    assert_eq!(world.upstream.count("GET blobs/"), 1);
}

#[tokio::test]
async fn wrong_bytes_never_complete_an_answer() {
    let world = World::start().await;
    let layer = content(4, LARGE);
    let digest = world.import_image(REPOSITORY, "v1", &layer, Behaviour::Sends(content(5, LARGE))).await;
    let path = blob_path(&digest);
    let (received, whole) = read(world.site.get("puller", &path).begin().await.into_body()).await;
    assert!(!whole && received.len() < LARGE, "{whole} {}", received.len());

    world.upstream.blob(&digest, Behaviour::Breaks(layer.clone(), LARGE - 10));
    let (received, whole) = read(world.site.get("puller", &path).begin().await.into_body()).await;
    assert!(!whole && received.len() < LARGE, "{whole} {}", received.len());

    let ranged = world.site.get("puller", &path).header("range", "bytes=0-999999").begin().await;
    world.upstream.blob(&digest, Behaviour::Sends(content(5, LARGE)));
    let (received, whole) = read(ranged.into_body()).await;
    assert!(!whole && received.len() < 1_000_000, "a part is not sent unverified either");

    for short_or_long in [content(4, LARGE - 1), content(4, LARGE + 1)] {
        world.upstream.blob(&digest, Behaviour::Sends(short_or_long));
        let answer = world.site.get("puller", &path).send().await;
        assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, "BLOB_UNKNOWN".to_owned()));
    }
    world.settle().await;
    world.upstream.blob(&digest, Behaviour::Sends(layer.clone()));
    let answer = world.site.get("puller", &path).send().await;
    assert_eq!((answer.status, &answer.body), (StatusCode::OK, &layer), "the next one gets it");

    let small = content(6, 100);
    let wrong = Behaviour::Sends(content(7, 100));
    let digest = world.import_image(REPOSITORY, "v2", &small, wrong).await;
    assert_eq!(world.status(&format!("blobs/{digest}")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_the_source_says_is_passed_on() {
    let world = World::start().await;
    let layer = content(8, 1_000);
    let digest = world.import_image(REPOSITORY, "v1", &layer, Behaviour::Refuses(404)).await;
    let path = format!("blobs/{digest}");
    for (status, expected) in [
        (404, (StatusCode::NOT_FOUND, "BLOB_UNKNOWN")),
        (401, (StatusCode::NOT_FOUND, "BLOB_UNKNOWN")),
        (500, (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE")),
        (502, (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE")),
    ] {
        world.upstream.blob(&digest, Behaviour::Refuses(status));
        let (answered, code) = world.status(&path).await;
        assert_eq!((answered, code.as_str()), expected, "{status}");
    }
    world.upstream.blob(&digest, Behaviour::Refuses(429));
    let answer = world.site.get("puller", &blob_path(&digest)).send().await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"));
    assert!(["16", "17"].contains(&answer.header("retry-after")), "{}", answer.header("retry-after"));
}

#[tokio::test]
async fn heads_and_parts_of_what_is_elsewhere_are_answered() {
    let world = World::start().await;
    let layer = content(9, LARGE);
    let digest = world.import_image(REPOSITORY, "v1", &layer, Behaviour::Sends(layer.clone())).await;
    let path = blob_path(&digest);
    let head = world.site.request("puller", Method::HEAD, &path).send().await;
    assert_eq!((head.status, head.header("content-length")), (StatusCode::OK, LARGE.to_string().as_str()));
    assert_eq!((world.upstream.count("HEAD blobs/"), world.upstream.count("GET blobs/")), (1, 0));
    let part = world.site.get("puller", &path).header("range", "bytes=1000000-1000999").send().await;
    assert_eq!((part.status, &part.body[..]), (StatusCode::PARTIAL_CONTENT, &layer[1_000_000..1_001_000]));
    assert_eq!(part.header("content-range"), format!("bytes 1000000-1000999/{LARGE}"));
    world.settle().await;

    let other = Digest::sha256(b"nothing");
    let missing = content(10, 50);
    let gone = world.import_image(REPOSITORY, "v2", &missing, Behaviour::Refuses(404)).await;
    for digest in [other, gone] {
        let head = world.site.request("puller", Method::HEAD, &blob_path(&digest)).send().await;
        assert_eq!(head.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn nothing_is_fetched_for_who_may_not_pull_or_of_what_no_manifest_names() {
    let world = World::start().await;
    let layer = content(11, 5_000);
    let digest = world.import_image(REPOSITORY, "v1", &layer, Behaviour::Sends(layer.clone())).await;
    world.site.push_image("stranger", "other/empty", "v1", b"layer").await;
    let before = world.upstream.asked().len();
    let stranger = world.site.get("stranger", &blob_path(&digest)).send().await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    let nobody = world.site.get("", &blob_path(&digest)).send().await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    let elsewhere = world.site.get("stranger", &format!("/v2/other/empty/blobs/{digest}")).send().await;
    assert_eq!(elsewhere.status, StatusCode::NOT_FOUND);
    let unnamed = Digest::sha256(b"unnamed");
    world.upstream.blob(&unnamed, Behaviour::Sends(Bytes::from("unnamed")));
    world.upstream.manifest(&unnamed, Behaviour::Sends(Bytes::from("unnamed")));
    assert_eq!(world.status(&format!("blobs/{unnamed}")).await.1, "BLOB_UNKNOWN");
    assert_eq!(world.status(&format!("manifests/{unnamed}")).await.1, "MANIFEST_UNKNOWN");
    assert_eq!(world.upstream.asked().len(), before, "{:?}", world.upstream.asked());
}

#[tokio::test]
async fn d5s_a_hostile_source_gets_nobody_the_bytes_of_another_repository() {
    let world = World::start().await;
    let secret = content(12, 10_000);
    world.site.push_image("developer", "shop/secret", "v1", &secret).await;
    let digest = Digest::sha256(&secret);
    // The stranger imports a manifest that names the blob, from a source that has not got it.
    world.import_image("other/thief", "v1", &secret, Behaviour::Refuses(404)).await;
    let path = format!("/v2/other/thief/blobs/{digest}");
    let answer = world.site.get("stranger", &path).send().await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"));
    // Nor while somebody else fetches it.
    let layer = content(13, LARGE);
    let shared = world.import_image(REPOSITORY, "v1", &layer, Behaviour::Drips(layer.clone())).await;
    world.upstream.open_tap(LARGE / 2);
    let owner = world.site.get("puller", &blob_path(&shared)).begin().await;
    let thief_source = Upstream::start();
    let thief = World { upstream: thief_source, ..world };
    let config = Digest::sha256(b"{}");
    let manifest = image_manifest(&config, &shared, LARGE);
    thief.import("other/thief", "v2", OCI_MANIFEST, &manifest).await;
    let path = format!("/v2/other/thief/blobs/{shared}");
    let answer = thief.site.get("stranger", &path).send().await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(thief.upstream.count("GET blobs/"), 1, "the thief's own source was asked");
    drop(owner);
}

#[tokio::test]
async fn manifests_of_a_list_are_fetched_and_kept() {
    const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    let world = World::start().await;
    let layer = content(14, 5_000);
    let (config, layer_digest) = (Digest::sha256(b"{}"), Digest::sha256(&layer));
    let child = image_manifest(&config, &layer_digest, layer.len());
    let child_digest = Digest::sha256(&child);
    let index = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [{
            "mediaType": OCI_MANIFEST, "digest": child_digest, "size": child.len(),
            "platform": {"architecture": "amd64", "os": "linux"},
        }],
    });
    world.upstream.blob(&layer_digest, Behaviour::Sends(layer.clone()));
    world.import(REPOSITORY, "multi", OCI_INDEX, index.to_string().as_bytes()).await;
    let path = format!("manifests/{child_digest}");
    for (status, expected) in [
        (404, (StatusCode::NOT_FOUND, "OPENSHIFT_PULLTHROUGH_MANIFEST")),
        (500, (StatusCode::NOT_FOUND, "OPENSHIFT_PULLTHROUGH_MANIFEST")),
        (429, (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS")),
    ] {
        world.upstream.manifest(&child_digest, Behaviour::Refuses(status));
        let (answered, code) = world.status(&path).await;
        assert_eq!((answered, code.as_str()), expected, "{status}");
    }
}

#[tokio::test]
async fn layers_of_a_list_that_was_imported_whole_are_fetched() {
    const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    let world = World::start().await;
    let layer = content(17, 5_000);
    let (config, layer_digest) = (Digest::sha256(b"{}"), Digest::sha256(&layer));
    let child = image_manifest(&config, &layer_digest, layer.len());
    let index = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [{"mediaType": OCI_MANIFEST, "digest": Digest::sha256(&child), "size": child.len()}],
    });
    let index = index.to_string();
    world.upstream.blob(&layer_digest, Behaviour::Sends(layer.clone()));
    world.import_list(REPOSITORY, "multi", (OCI_INDEX, index.as_bytes()), &[&child]).await;
    let answer = world.site.get("puller", &blob_path(&layer_digest)).send().await;
    assert_eq!((answer.status, &answer.body), (StatusCode::OK, &layer));
}

#[tokio::test]
async fn one_fetch_of_a_manifest_serves_all_and_its_layers_follow() {
    const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    let world = World::start().await;
    let layer = content(15, 5_000);
    let (config, layer_digest) = (Digest::sha256(b"{}"), Digest::sha256(&layer));
    let child: Bytes = image_manifest(&config, &layer_digest, layer.len()).into();
    let child_digest = Digest::sha256(&child);
    let index = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [{"mediaType": OCI_MANIFEST, "digest": child_digest, "size": child.len()}],
    });
    world.upstream.blob(&layer_digest, Behaviour::Sends(layer.clone()));
    world.upstream.manifest(&child_digest, Behaviour::Sends(child.clone()));
    world.import(REPOSITORY, "multi", OCI_INDEX, index.to_string().as_bytes()).await;
    let path = format!("/v2/{REPOSITORY}/manifests/{child_digest}");
    let answers =
        futures_util::future::join_all((0..20).map(|_| world.site.get("puller", &path).send())).await;
    assert!(answers.iter().all(|answer| answer.body == child));
    assert_eq!(world.upstream.count("GET manifests/"), 1);
    world.upstream.manifest(&child_digest, Behaviour::Refuses(500));
    assert_eq!(world.site.get("puller", &path).send().await.body, child, "it was kept");
    let answer = world.site.get("puller", &blob_path(&layer_digest)).send().await;
    assert_eq!(answer.body, layer);
}

#[tokio::test]
async fn an_image_may_be_pushed_over_layers_that_are_elsewhere() {
    let world = World::start().await;
    let layer = content(16, LARGE);
    let digest = world.import_image(REPOSITORY, "base", &layer, Behaviour::Sends(layer.clone())).await;
    let head = world.site.request("developer", Method::HEAD, &blob_path(&digest)).send().await;
    assert_eq!(head.status, StatusCode::OK, "the client need not upload it");
    let config = world.site.push_blob("developer", REPOSITORY, br#"{"a":1}"#).await;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 7},
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": LARGE,
        }],
    });
    let path = format!("/v2/{REPOSITORY}/manifests/derived");
    let put = world.site.put("developer", &path).header("content-type", OCI_MANIFEST);
    let answer = put.body(manifest.to_string()).send().await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    world.upstream.blob(&digest, Behaviour::Refuses(500));
    assert_eq!(world.site.get("puller", &blob_path(&digest)).send().await.body, layer);
}
