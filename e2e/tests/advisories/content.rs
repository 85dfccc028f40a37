//! Advisories C: bytes that mean two things, come back from the dead, or are lost to somebody else's write.

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use http::{Method, StatusCode};
use pierhead_e2e::sample::{Blob, SampleImage};
use serde_json::{Value, json};

use crate::cast::{Caller, Cast, MANIFEST, REPOSITORY, put_manifest};
use crate::door::{Ask, Door};

#[tokio::test(flavor = "multi_thread")]
async fn advisories_c_content() -> Result<()> {
    let cast = Cast::start().await?;
    c1_no_manifest_means_two_things(&cast).await.context("C1")?;
    c2_what_is_deleted_stays_deleted(&cast).await.context("C2")?;
    c3_a_puller_changes_nothing(&cast).await.context("C3")?;
    c4_no_cache_is_shared_between_repositories(&cast).await.context("C4")?;
    c6_no_signature_is_lost(&cast).await.context("C6")?;
    cast.stop()
}

async fn c1_no_manifest_means_two_things(cast: &Cast) -> Result<()> {
    let mut both: Value = serde_json::from_slice(&cast.image.manifest.bytes)?;
    let text = String::from_utf8(cast.image.manifest.bytes.to_vec())?;
    both.as_object_mut().context("an object")?.insert("manifests".into(), json!([]));
    let index = "application/vnd.oci.image.index.v1+json";
    for (name, media_type, manifest) in [
        ("image and index", MANIFEST, both.to_string()),
        ("image and index, as index", index, both.to_string()),
        ("an image as index", index, text.clone()),
        ("a key twice", MANIFEST, text.replacen('{', r#"{"layers":[],"#, 1)),
        ("a key in another case", MANIFEST, text.replace("\"layers\"", "\"Layers\"")),
        ("no version", MANIFEST, text.replace("\"schemaVersion\":2", "\"schemaVersion\":3")),
        ("more after the end", MANIFEST, format!("{text}{{}}")),
    ] {
        let ask =
            Ask::new(Method::PUT, format!("/v2/{REPOSITORY}/manifests/twice")).body(media_type, manifest);
        let status = cast.registry.send(ask.by(&cast.chief)).await?.status;
        ensure!(status == StatusCode::BAD_REQUEST, "{name}: {status}");
    }
    Ok(())
}

async fn status(cast: &Cast, who: &Caller, method: Method, path: &str) -> Result<StatusCode> {
    Ok(cast.registry.send(Ask::new(method, path).by(who)).await?.status)
}

async fn c2_what_is_deleted_stays_deleted(cast: &Cast) -> Result<()> {
    let image = SampleImage::random(&mut rand::rng(), 2 << 10);
    for repository in ["victim/one", "victim/two"] {
        cast.push_image(&cast.chief, repository, "v1", &image).await?;
    }
    let blob = |repository: &str| format!("/v2/{repository}/blobs/{}", image.layer.digest);
    let manifest = |repository: &str| format!("/v2/{repository}/manifests/{}", image.manifest.digest);
    for round in 0..3 {
        for path in [blob("victim/one"), blob("victim/two"), manifest("victim/one"), manifest("victim/two")] {
            let filled = status(cast, &cast.chief, Method::GET, &path).await?;
            ensure!(filled == StatusCode::OK, "round {round}: {path}: {filled}");
        }
        for path in [manifest("victim/one"), blob("victim/one")] {
            let deleted = status(cast, &cast.chief, Method::DELETE, &path).await?;
            ensure!(deleted == StatusCode::ACCEPTED, "round {round}: DELETE {path}: {deleted}");
        }
        // Reading the other repository fills every cache with what is not in this one.
        for _ in 0..3 {
            for path in [blob("victim/two"), manifest("victim/two")] {
                let kept = status(cast, &cast.chief, Method::GET, &path).await?;
                ensure!(kept == StatusCode::OK, "round {round}: {path}: {kept}");
            }
            for path in [blob("victim/one"), manifest("victim/one"), "/v2/victim/one/manifests/v1".to_owned()]
            {
                for method in [Method::HEAD, Method::GET] {
                    let gone = status(cast, &cast.chief, method, &path).await?;
                    ensure!(gone == StatusCode::NOT_FOUND, "round {round}: {path} is back: {gone}");
                }
            }
        }
        cast.push_image(&cast.chief, "victim/one", "v1", &image).await?;
    }
    Ok(())
}

async fn c3_a_puller_changes_nothing(cast: &Cast) -> Result<()> {
    let (image, place) = (&cast.image, cast.start_upload(&cast.chief, REPOSITORY).await?);
    let path = |rest: &str| format!("/v2/{REPOSITORY}/{rest}");
    let digest = &image.layer.digest;
    let (manifest, signature) =
        (&image.manifest, json!({"schemaVersion": 2, "name": "x@y", "type": "atomic"}));
    let changes = [
        Ask::new(Method::DELETE, path("manifests/v1")),
        Ask::new(Method::DELETE, path(&format!("manifests/{}", manifest.digest))),
        Ask::new(Method::DELETE, path(&format!("blobs/{digest}"))),
        put_manifest(REPOSITORY, "v2", manifest.bytes.clone()),
        put_manifest(REPOSITORY, &manifest.digest, manifest.bytes.clone()),
        Ask::new(Method::POST, path("blobs/uploads/")),
        Ask::new(Method::POST, path(&format!("blobs/uploads/?mount={digest}&from={REPOSITORY}"))),
        Ask::new(Method::POST, path(&format!("blobs/uploads/?digest={digest}"))),
        Ask::new(Method::PATCH, place.clone()),
        Ask::new(Method::PUT, format!("{place}?digest={digest}")),
        Ask::new(Method::DELETE, place.clone()),
        Ask::new(Method::PUT, format!("/extensions/v2/{REPOSITORY}/signatures/{}", manifest.digest))
            .json(&signature),
    ];
    for ask in changes {
        let shown = format!("{ask:?}");
        let status = cast.registry.send(ask.by(&cast.puller)).await?.status;
        ensure!(status == StatusCode::UNAUTHORIZED, "{shown}: {status}");
    }
    for rest in ["manifests/v1", &format!("blobs/{digest}")] {
        let status = status(cast, &cast.puller, Method::GET, &path(rest)).await?;
        ensure!(status == StatusCode::OK, "{rest} is not what it was: {status}");
    }
    let status = status(cast, &cast.chief, Method::GET, &place).await?;
    ensure!(status == StatusCode::NO_CONTENT, "the upload of another is not what it was: {status}");
    Ok(())
}

/// One tag of one name in two repositories, and one repository seen by two callers.
async fn c4_no_cache_is_shared_between_repositories(cast: &Cast) -> Result<()> {
    let other = SampleImage::random(&mut rand::rng(), 1 << 10);
    cast.push_image(&cast.stranger, "elsewhere/secret", "v1", &other).await?;
    for _ in 0..3 {
        for (who, repository, expected) in [
            (&cast.chief, REPOSITORY, Some(&cast.image)),
            (&cast.stranger, "elsewhere/secret", Some(&other)),
            (&cast.stranger, REPOSITORY, None),
            (&cast.puller, "elsewhere/secret", None),
            (&cast.puller, REPOSITORY, Some(&cast.image)),
        ] {
            let ask = Ask::get(format!("/v2/{repository}/manifests/v1")).by(who);
            let answer = cast.registry.send(ask).await?;
            let shown = answer.status.is_success().then_some(&answer.body);
            let what = format!("{repository} for {}: {}", who.name, answer.status);
            ensure!(shown == expected.map(|image| &image.manifest.bytes), what);
        }
    }
    Ok(())
}

/// A hundred writers attach an artifact to one image at once, each of them in the way of clients that know no
/// referrers: they also move a tag named after the image. None of the artifacts is lost.
async fn c6_no_signature_is_lost(cast: &Cast) -> Result<()> {
    const WRITERS: usize = 100;
    let empty = Blob::new("{}");
    cast.push_blob(&cast.chief, REPOSITORY, &empty.digest, empty.bytes.clone()).await?;
    let subject = &cast.image.manifest;
    let part = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty.digest, "size": 2});
    let tag = subject.digest.replace(':', "-");
    let sign = async |number: usize| -> Result<String> {
        let artifact = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.test.signature",
            "config": part, "layers": [part], "annotations": {"number": number.to_string()},
            "subject": {"mediaType": MANIFEST, "digest": subject.digest, "size": subject.bytes.len()},
        });
        let artifact = Blob::new(artifact.to_string());
        let door = Door::new(cast.site.addresses().registry, None);
        let ask = put_manifest(REPOSITORY, &artifact.digest, artifact.bytes.clone()).by(&cast.pusher);
        door.send(ask).await?.expect(StatusCode::CREATED)?;
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{"mediaType": MANIFEST, "digest": artifact.digest, "size": artifact.bytes.len()}],
        });
        let path = format!("/v2/{REPOSITORY}/manifests/{tag}");
        let ask =
            Ask::new(Method::PUT, path).body("application/vnd.oci.image.index.v1+json", index.to_string());
        door.send(ask.by(&cast.pusher)).await?.expect(StatusCode::CREATED)?;
        Ok(artifact.digest)
    };
    let mut signed = try_join_all((0..WRITERS).map(sign)).await?;
    signed.sort();
    let mut listed = Vec::new();
    let mut next = Some(format!("/v2/{REPOSITORY}/referrers/{}", subject.digest));
    while let Some(path) = next {
        let page = cast.registry.send(Ask::get(path).by(&cast.puller)).await?.expect(StatusCode::OK)?;
        let index: Value = serde_json::from_slice(&page.body)?;
        let manifests = index.get("manifests").and_then(Value::as_array).context("no manifests")?;
        let digest = |entry: &Value| entry.get("digest").and_then(Value::as_str).map(str::to_owned);
        listed.extend(manifests.iter().filter_map(digest));
        let link = page.header("link").and_then(|link| link.strip_prefix('<')?.split_once('>'));
        next = link.map(|(path, _)| path.to_owned());
    }
    listed.sort();
    ensure!(listed == signed, "{} of {} are listed", listed.len(), signed.len());
    Ok(())
}
