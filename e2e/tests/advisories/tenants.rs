//! Advisories D: what belongs to others, reached by digests, sessions, names, references and selectors.

use anyhow::{Context as _, Result, ensure};
use http::{Method, StatusCode};
use pierhead_e2e::sample::{Blob, SampleImage};
use pierhead_e2e::wire::Wire;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cast::{Caller, Cast, MANIFEST, REPOSITORY, put_manifest, told};
use crate::door::Ask;

const NEVER: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const STREAMS: &str = "/apis/image.openshift.io/v1/namespaces/elsewhere/imagestreams";

#[tokio::test(flavor = "multi_thread")]
async fn advisories_d_tenants() -> Result<()> {
    let cast = Cast::start().await?;
    let own = SampleImage::random(&mut rand::rng(), 1 << 10);
    cast.push_image(&cast.stranger, "elsewhere/mine", "v1", &own).await?;
    d1s_a_known_digest_is_worth_nothing(&cast).await.context("D1s")?;
    d1s_a_manifest_or_mapping_takes_nothing_along(&cast, &own).await.context("D1s, by reference")?;
    d2s_an_upload_is_its_callers(&cast).await.context("D2s")?;
    d3s_refusals_name_nothing(&cast).await.context("D3s")?;
    d3s_refusals_take_the_same_time(&cast).await.context("D3s, time")?;
    d4s_nobody_sees_nothing(&cast).await.context("D4s")?;
    d6s_foreign_children_are_not_found(&cast).await.context("D6s, children")?;
    d6s_nobody_assigns_what_is_not_theirs(&cast).await.context("D6s, fields")?;
    d7s_selectors_and_tokens_stay_in_their_namespace(&cast).await.context("D7s")?;
    cast.stop()
}

/// Asks twice, and wants the same to be told.
async fn tell_the_same(cast: &Cast, who: &Caller, asks: [(Ask, &str); 2]) -> Result<StatusCode> {
    let mut answers = Vec::new();
    for (ask, name) in asks {
        answers.push(told(&cast.registry.send(ask.by(who)).await?, &[name]));
    }
    ensure!(answers.first() == answers.last(), "{answers:#?}");
    Ok(answers.first().context("two answers")?.0)
}

/// In one's own repository, what is elsewhere is as absent as what never was.
async fn d1s_a_known_digest_is_worth_nothing(cast: &Cast) -> Result<()> {
    // Something that was here and is deleted is the same again.
    let gone = Blob::random(&mut rand::rng(), 100);
    cast.push_blob(&cast.stranger, "elsewhere/mine", &gone.digest, gone.bytes.clone()).await?;
    let delete = Ask::new(Method::DELETE, format!("/v2/elsewhere/mine/blobs/{}", gone.digest));
    cast.registry.send(delete.by(&cast.stranger)).await?.expect(StatusCode::ACCEPTED)?;
    let foreign =
        [&cast.image.layer.digest, &cast.image.config.digest, &cast.image.manifest.digest, &gone.digest];
    let path = |rest: String| format!("/v2/elsewhere/mine/{rest}");
    type Question<'a> = (&'a str, u16, Box<dyn Fn(&str) -> Ask + 'a>);
    let get = |method: Method, kind: &'static str| -> Box<dyn Fn(&str) -> Ask> {
        Box::new(move |digest| Ask::new(method.clone(), format!("/v2/elsewhere/mine/{kind}/{digest}")))
    };
    let mount = |from: &'static str| -> Box<dyn Fn(&str) -> Ask> {
        Box::new(move |digest| {
            Ask::new(Method::POST, format!("/v2/elsewhere/mine/blobs/uploads/?mount={digest}{from}"))
        })
    };
    let questions: Vec<Question<'_>> = vec![
        ("GET blob", 404, get(Method::GET, "blobs")),
        ("HEAD blob", 404, get(Method::HEAD, "blobs")),
        ("a range", 404, Box::new(|d| Ask::get(path(format!("blobs/{d}"))).header("range", "bytes=0-0"))),
        ("GET manifest", 404, get(Method::GET, "manifests")),
        ("HEAD manifest", 404, get(Method::HEAD, "manifests")),
        ("referrers", 200, get(Method::GET, "referrers")),
        ("DELETE blob", 404, get(Method::DELETE, "blobs")),
        ("DELETE manifest", 404, get(Method::DELETE, "manifests")),
        ("mount", 202, mount("")),
        ("mount from there", 202, mount("&from=victim/secret")),
        ("mount from nowhere", 202, mount("&from=nowhere/absent")),
        ("mount from no name", 202, mount("&from=../secret")),
        (
            "a push without bytes",
            400,
            Box::new(|d| Ask::new(Method::POST, path(format!("blobs/uploads/?digest={d}")))),
        ),
    ];
    for (name, status, ask) in questions {
        for digest in foreign {
            let asks = [(ask(digest), digest.as_str()), (ask(NEVER), NEVER)];
            let found = tell_the_same(cast, &cast.stranger, asks).await.with_context(|| name.to_owned())?;
            ensure!(found.as_u16() == status, "{name}: {found}");
        }
    }
    Ok(())
}

/// A manifest that names foreign blobs is refused as if they were nowhere, and so is a mapping of a foreign image.
async fn d1s_a_manifest_or_mapping_takes_nothing_along(cast: &Cast, own: &SampleImage) -> Result<()> {
    let naming = |layer: &str| {
        let text = String::from_utf8_lossy(&own.manifest.bytes).replace(&own.layer.digest, layer);
        put_manifest("elsewhere/mine", "taken", text)
    };
    let foreign = cast.image.layer.digest.as_str();
    let status =
        tell_the_same(cast, &cast.stranger, [(naming(foreign), foreign), (naming(NEVER), NEVER)]).await?;
    ensure!(status == StatusCode::BAD_REQUEST, "a manifest of foreign blobs: {status}");

    let mappings = "/apis/image.openshift.io/v1/namespaces/elsewhere/imagestreammappings";
    let map = async |name: &str, manifest: &str| -> Result<_> {
        let mapping = json!({
            "metadata": {"name": "mine"}, "tag": "taken",
            "image": {
                "metadata": {"name": name}, "dockerImageManifest": manifest,
                "dockerImageReference": format!("registry.example.com/victim/secret@{name}"),
            },
        });
        let answer = cast.api.send(Ask::post(mappings, &mapping).by(&cast.stranger)).await?;
        Ok(told(&answer, &[name]))
    };
    let foreign = &cast.image.manifest;
    let (there, nowhere) = (map(&foreign.digest, "").await?, map(NEVER, "").await?);
    ensure!(there == nowhere, "{there:?}\n{nowhere:?}");
    ensure!(there.0 == StatusCode::UNPROCESSABLE_ENTITY, "mapping a foreign image: {}", there.0);
    // Not even with a manifest made for the purpose.
    let made = Blob::new(String::from_utf8_lossy(&foreign.bytes).into_owned() + " ");
    for manifest in [foreign, &made] {
        let answer = map(&manifest.digest, &String::from_utf8_lossy(&manifest.bytes)).await?;
        ensure!(answer.0 == StatusCode::UNPROCESSABLE_ENTITY, "a manifest of foreign blobs: {answer:?}");
    }
    for path in [
        format!("manifests/{}", foreign.digest),
        "manifests/taken".to_owned(),
        format!("blobs/{}", cast.image.layer.digest),
    ] {
        let ask = Ask::get(format!("/v2/elsewhere/mine/{path}")).by(&cast.stranger);
        let status = cast.registry.send(ask).await?.status;
        ensure!(status == StatusCode::NOT_FOUND, "{path}: {status}");
    }
    Ok(())
}

async fn d2s_an_upload_is_its_callers(cast: &Cast) -> Result<()> {
    let place = cast.start_upload(&cast.chief, REPOSITORY).await?;
    let elsewhere = place.replace("/v2/victim/secret/", "/v2/elsewhere/mine/");
    let sibling = place.replace("/v2/victim/secret/", "/v2/victim/sibling/");
    let blob = Blob::new("x");
    for (who, place) in
        [(&cast.pusher, &place), (&cast.stranger, &elsewhere), (&cast.chief, &sibling), (&cast.root, &place)]
    {
        for ask in [
            Ask::get(place.clone()),
            Ask::new(Method::HEAD, place.clone()),
            Ask::new(Method::PATCH, place.clone()).body("application/octet-stream", "x"),
            Ask::new(Method::PATCH, place.clone())
                .body("application/octet-stream", "x")
                .header("content-range", "0-0"),
            Ask::new(Method::PUT, format!("{place}?digest={}", blob.digest))
                .body("application/octet-stream", "x"),
            Ask::new(Method::PUT, format!("{place}?digest={}", blob.digest)),
            Ask::new(Method::DELETE, place.clone()),
        ] {
            let shown = format!("{} {ask:?}", who.name);
            let status = cast.registry.send(ask.by(who)).await?.status;
            ensure!(status == StatusCode::NOT_FOUND, "{shown}: {status}");
        }
    }
    let own = cast.registry.send(Ask::get(place).by(&cast.chief)).await?;
    ensure!(own.status == StatusCode::NO_CONTENT && own.header("range") == Some("0-0"), "{own:?}");
    Ok(())
}

async fn d3s_refusals_name_nothing(cast: &Cast) -> Result<()> {
    // An image stream that follows another namespace.
    let follow = async |namespace: &str, stream: &str, kind: &str, tag: &str| -> Result<_> {
        let from = json!({"kind": kind, "namespace": namespace, "name": format!("{stream}{tag}")});
        let object =
            json!({"metadata": {"name": "follower"}, "spec": {"tags": [{"name": "v1", "from": from}]}});
        let answer = cast.api.send(Ask::post(STREAMS, &object).by(&cast.stranger)).await?;
        Ok(told(&answer, &[namespace, stream]))
    };
    for (kind, tag) in [("ImageStreamTag", ":v1"), ("ImageStreamImage", "@sha256:1234")] {
        let foreign = follow("victim", "secret", kind, tag).await?;
        ensure!(foreign.0.is_client_error(), "{kind}: {foreign:?}");
        for (namespace, stream) in [("victim", "absent"), ("nowhere", "absent")] {
            let absent = follow(namespace, stream, kind, tag).await?;
            ensure!(absent == foreign, "{kind} {namespace}/{stream}:\n{absent:?}\n{foreign:?}");
        }
    }
    // A route to a host that somebody has: it must be said that it is taken, and not by whom.
    let routes = "/apis/route.openshift.io/v1/namespaces";
    let route = cast.read(&cast.chief, &format!("{routes}/victim/routes/secret")).await?;
    let host = route.pointer("/spec/host").and_then(Value::as_str).context("no host")?;
    let object = json!({"metadata": {"name": "taken"}, "spec": {"host": host, "to": {"kind": "Service", "name": "x"}}});
    let answer =
        cast.api.send(Ask::post(format!("{routes}/elsewhere/routes"), &object).by(&cast.stranger)).await?;
    let mut text = String::from_utf8_lossy(&answer.body).replace(host, "");
    if answer.status.is_success() {
        let read = Ask::get(format!("{routes}/elsewhere/routes/taken")).by(&cast.stranger);
        text = String::from_utf8_lossy(&cast.api.send(read).await?.body).replace(host, "");
    }
    ensure!(!text.contains("victim") && !text.contains("secret"), "{text}");
    Ok(())
}

/// How often each of two questions is asked, in turn, so that whatever else the machine does is the same for both.
const TURNS: usize = 1_500;
/// How much longer half of the answers to one may take than half of those to the other.
const TOLERANCE: f64 = 1.25;

/// Whether something is elsewhere or nowhere does not show in how long it takes to refuse it.
async fn d3s_refusals_take_the_same_time(cast: &Cast) -> Result<()> {
    let addresses = cast.site.addresses();
    let mut wire =
        Wire::connect(addresses.registry, "localhost", cast.stranger.authorization.as_deref()).await?;
    let (image, absent) = (&cast.image, Blob::random(&mut rand::rng(), 100).digest);
    let in_mine = |kind: &str, digest: &str| format!("/v2/elsewhere/mine/{kind}/{digest}");
    for (foreign, nowhere) in [
        (in_mine("blobs", &image.layer.digest), in_mine("blobs", &absent)),
        (in_mine("manifests", &image.manifest.digest), in_mine("manifests", &absent)),
        ("/v2/victim/secret/manifests/v1".to_owned(), "/v2/victim/absent/manifests/v1".to_owned()),
        ("/v2/victim/secret/tags/list".to_owned(), "/v2/nowhere/absent/tags/list".to_owned()),
    ] {
        let mut times = [Vec::with_capacity(TURNS), Vec::with_capacity(TURNS)];
        for turn in 0..TURNS {
            // Who is asked first changes as well.
            for which in [turn % 2, 1 - turn % 2] {
                let path = if which == 0 { &foreign } else { &nowhere };
                let began = Instant::now();
                let status = wire.get(path).await?.status;
                times[which].push(began.elapsed().as_secs_f64());
                ensure!(status.is_client_error(), "{path}: {status}");
            }
        }
        let [of_foreign, of_nowhere] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[TURNS / 2]
        });
        let ratio = (of_foreign / of_nowhere).max(of_nowhere / of_foreign);
        ensure!(ratio < TOLERANCE, "{foreign}: {of_foreign} s, {nowhere}: {of_nowhere} s");
    }
    Ok(())
}

async fn d4s_nobody_sees_nothing(cast: &Cast) -> Result<()> {
    let scope = "service=x&scope=repository:victim/secret:pull,push&scope=registry:catalog:*";
    let answer = cast.registry.send(Ask::get(format!("/openshift/token?{scope}"))).await?;
    let given: Value = serde_json::from_slice(&answer.body)?;
    let given = given.get("token").and_then(Value::as_str).context("no token")?.to_owned();
    for token in
        [given.as_str(), "anonymous", "Anonymous", "ghost", "system:anonymous", "sha256~", "null", "-"]
    {
        let ghost = Caller::bearer("ghost", token);
        for path in ["/v2/_catalog", "/v2/victim/secret/tags/list", "/v2/victim/secret/manifests/v1"] {
            let status = cast.registry.send(Ask::get(path).by(&ghost)).await?.status;
            ensure!(status == StatusCode::UNAUTHORIZED, "{token} {path}: {status}");
        }
    }
    let projects = cast.read(&cast.stranger, "/apis/project.openshift.io/v1/projects").await?;
    let names: Vec<&str> = projects
        .get("items")
        .and_then(Value::as_array)
        .context("no items")?
        .iter()
        .filter_map(|project| project.pointer("/metadata/name")?.as_str())
        .collect();
    ensure!(names.contains(&"elsewhere") && !names.contains(&"victim"), "{names:?}");
    Ok(())
}

/// The id of something foreign below a parent of one's own.
async fn d6s_foreign_children_are_not_found(cast: &Cast) -> Result<()> {
    let digest = &cast.image.manifest.digest;
    for path in [
        format!("/apis/image.openshift.io/v1/namespaces/elsewhere/imagestreamimages/mine@{digest}"),
        "/apis/image.openshift.io/v1/namespaces/elsewhere/imagestreamtags/secret:v1".to_owned(),
        "/api/v1/namespaces/elsewhere/secrets/secret".to_owned(),
        "/api/v1/namespaces/elsewhere/serviceaccounts/secret".to_owned(),
        "/apis/route.openshift.io/v1/namespaces/elsewhere/routes/secret".to_owned(),
    ] {
        let status = cast.api.send(Ask::get(path.clone()).by(&cast.stranger)).await?.status;
        ensure!(status == StatusCode::NOT_FOUND, "{path}: {status}");
    }
    let token = "/api/v1/namespaces/elsewhere/serviceaccounts/secret/token";
    let answer = cast.api.send(Ask::post(token, &json!({"spec": {}})).by(&cast.stranger)).await?;
    ensure!(answer.status == StatusCode::NOT_FOUND, "a token of a foreign account: {}", answer.status);
    // A secret that asks for a token of a foreign account by its name and uid gets none.
    let account = cast.read(&cast.chief, "/api/v1/namespaces/victim/serviceaccounts/secret").await?;
    let uid = account.pointer("/metadata/uid").and_then(Value::as_str).context("no uid")?;
    let wish = json!({
        "metadata": {"name": "wish", "annotations": {
            "kubernetes.io/service-account.name": "secret", "kubernetes.io/service-account.uid": uid,
        }},
        "type": "kubernetes.io/service-account-token",
    });
    cast.create(&cast.stranger, "/api/v1/namespaces/elsewhere/secrets", &wish).await?;
    // What the controller does with an account of their own shows that it had its turn.
    let own = json!({"metadata": {"name": "own"}});
    cast.create(&cast.stranger, "/api/v1/namespaces/elsewhere/serviceaccounts", &own).await?;
    pierhead_testkit::eventually("the new account has a token", async || {
        let account =
            cast.read(&cast.stranger, "/api/v1/namespaces/elsewhere/serviceaccounts/own").await.ok()?;
        account.pointer("/secrets/0").is_some().then_some(())
    })
    .await?;
    let ask = Ask::get("/api/v1/namespaces/elsewhere/secrets/wish").by(&cast.stranger);
    let text = String::from_utf8(cast.api.send(ask).await?.body.to_vec())?;
    ensure!(!text.contains("\"token\""), "{text}");
    Ok(())
}

async fn d6s_nobody_assigns_what_is_not_theirs(cast: &Cast) -> Result<()> {
    let digest = &cast.image.manifest.digest;
    let item = json!({"created": "2026-01-01T00:00:00Z", "dockerImageReference": "x", "image": digest, "generation": 1});
    let object = json!({
        "metadata": {
            "name": "assigned", "uid": "11111111-1111-1111-1111-111111111111", "resourceVersion": "",
            "creationTimestamp": "2001-01-01T00:00:00Z",
        },
        "status": {"dockerImageRepository": "victim/secret", "tags": [{"tag": "v1", "items": [item]}]},
        "has_admin_role": true,
    });
    let made = cast.create(&cast.stranger, STREAMS, &object).await?;
    let check = |made: &Value| -> Result<()> {
        let text = made.to_string();
        ensure!(!text.contains(digest) && !text.contains("has_admin_role"), "{text}");
        ensure!(!text.contains("11111111-1111") && !text.contains("2001-01-01"), "{text}");
        Ok(())
    };
    check(&made)?;
    let path = format!("{STREAMS}/assigned");
    let mut changed = made.clone();
    let fields = changed.as_object_mut().context("an object")?;
    fields.insert("status".into(), json!({"tags": [{"tag": "v1", "items": [item]}]}));
    let put = Ask::new(Method::PUT, path.clone()).json(&changed).by(&cast.stranger);
    cast.api.send(put).await?.expect(StatusCode::OK)?;
    let patch = Ask::new(Method::PATCH, path.clone());
    let patch =
        patch.body("application/merge-patch+json", json!({"status": changed.get("status")}).to_string());
    cast.api.send(patch.by(&cast.stranger)).await?.expect(StatusCode::OK)?;
    check(&cast.read(&cast.stranger, &path).await?)?;
    let ask = Ask::get("/v2/elsewhere/assigned/manifests/v1").by(&cast.stranger);
    let status = cast.registry.send(ask).await?.status;
    ensure!(status == StatusCode::NOT_FOUND, "a status that was sent is served: {status}");
    // The status itself is not theirs to write.
    let put = Ask::new(Method::PUT, format!("{path}/status")).json(&changed).by(&cast.stranger);
    let status = cast.api.send(put).await?.status;
    ensure!(status == StatusCode::FORBIDDEN, "writing a status: {status}");
    // A namespace in the object that is not the one of the path.
    let moved = json!({"metadata": {"name": "moved", "namespace": "victim"}});
    let status = cast.api.send(Ask::post(STREAMS, &moved).by(&cast.stranger)).await?.status;
    ensure!(status == StatusCode::BAD_REQUEST, "two namespaces in one request: {status}");
    Ok(())
}

async fn d7s_selectors_and_tokens_stay_in_their_namespace(cast: &Cast) -> Result<()> {
    let list = cast.read(&cast.root, "/api/v1/secrets?limit=1").await?;
    let everywhere = list.pointer("/metadata/continue").and_then(Value::as_str).context("no token")?;
    let list = cast.read(&cast.chief, "/api/v1/namespaces/victim/secrets?limit=1").await?;
    let victims = list.pointer("/metadata/continue").and_then(Value::as_str).context("no token")?;
    let own = "/api/v1/namespaces/elsewhere/secrets";
    let forged = [everywhere, victims, "x", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIvIn0"];
    for token in forged {
        let ask = Ask::get(format!("{own}?limit=1&continue={token}")).by(&cast.stranger);
        let answer = cast.api.send(ask).await?;
        ensure!(matches!(answer.status.as_u16(), 400 | 410), "continue={token}: {}", answer.status);
    }
    for selector in
        ["metadata.namespace=victim", "metadata.namespace%3Dvictim", "metadata.namespace!=elsewhere"]
    {
        let answer =
            cast.api.send(Ask::get(format!("{own}?fieldSelector={selector}")).by(&cast.stranger)).await?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(!text.contains("\"namespace\":\"victim\""), "{selector}: {text}");
        let ask = Ask::get(format!("/api/v1/secrets?fieldSelector={selector}")).by(&cast.stranger);
        let status = cast.api.send(ask).await?.status;
        ensure!(status == StatusCode::FORBIDDEN, "{selector} everywhere: {status}");
    }
    let projects = "/apis/project.openshift.io/v1/projects";
    for query in ["fieldSelector=metadata.name%3Dvictim", "labelSelector=", "limit=1&resourceVersion=0"] {
        let list = cast.read(&cast.stranger, &format!("{projects}?{query}")).await?.to_string();
        ensure!(!list.contains("victim"), "{query}: {list}");
    }
    for version in ["", "0", "1"] {
        let query = format!("watch=true&resourceVersion={version}&timeoutSeconds=1");
        for path in [
            "/api/v1/namespaces/victim/secrets",
            "/api/v1/secrets",
            "/api/v1/watch/namespaces/victim/secrets",
        ] {
            let ask = Ask::get(format!("{path}?{query}")).by(&cast.stranger);
            let status = cast.api.follow(ask).await?.status();
            ensure!(status == StatusCode::FORBIDDEN, "watching {path} from {version:?}: {status}");
        }
        let mut watch = cast.api.follow(Ask::get(format!("{projects}?{query}")).by(&cast.stranger)).await?;
        while let Some(event) = watch.next().await? {
            let event = String::from_utf8_lossy(&event).into_owned();
            ensure!(!event.contains("victim"), "{event}");
        }
    }
    // Content types of manifests are no way around either.
    let accept = Ask::get(format!("/v2/{REPOSITORY}/manifests/v1")).header("accept", MANIFEST);
    let status = cast.registry.send(accept.by(&cast.stranger)).await?.status;
    ensure!(status == StatusCode::UNAUTHORIZED, "with a media type: {status}");
    Ok(())
}
