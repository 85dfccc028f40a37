//! Advisories A: names, paths and parsers. Also E8, since it is about paths: one spelling opens one door.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cast::{Caller, Cast, REPOSITORY, put_manifest};
use crate::door::{Ask, Door};

/// Ways to write what leads elsewhere: dots, slashes, ends of strings, other alphabets.
const SPELLINGS: [&str; 34] = [
    "..",
    "../",
    "/..",
    "%2e%2e",
    "%2E%2E/",
    "..%2f",
    "..%2F..%2F",
    "%252e%252e%252f",
    "%252f",
    "..;",
    "..;/",
    ";x",
    "..%5c",
    "..\\",
    "\\",
    "%5c",
    "%00",
    "v1%00",
    "%c0%ae%c0%ae",
    "%c0%af",
    "%e0%80%af",
    "%ef%bc%8e%ef%bc%8e",
    "%ef%bc%8f",
    "%e2%80%ae",
    ".",
    "...",
    "v1.%20",
    "v1%20",
    "%20v1",
    "//",
    "%2f%2f",
    "%0d%0a",
    "%09",
    "%ff%fe",
];

#[tokio::test(flavor = "multi_thread")]
async fn advisories_a_names_paths_and_parsers() -> Result<()> {
    let cast = Cast::start().await?;
    a1_no_spelling_leads_elsewhere(&cast).await.context("A1")?;
    a2_digests_are_digests(&cast).await.context("A2")?;
    a5_documents_do_not_explode(&cast).await.context("A5")?;
    a6_manifests_have_a_cap(&cast).await.context("A6")?;
    a7_pages_are_as_long_as_we_say(&cast).await.context("A7")?;
    a8_long_headers_take_no_longer_than_their_length(&cast).await.context("A8")?;
    a9_hosts_and_paths_of_routes_are_data(&cast).await.context("A9")?;
    e8_one_spelling_opens_a_door(&cast).await.context("E8")?;
    cast.stop()
}

/// A request line with any bytes in its path, sent as it is.
async fn ask_raw(door: &Door, path: &[u8], who: &Caller) -> Result<Option<StatusCode>> {
    let mut request = b"GET ".to_vec();
    request.extend_from_slice(path);
    request.extend_from_slice(b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    if let Some(authorization) = &who.authorization {
        request.extend_from_slice(format!("authorization: {authorization}\r\n").as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    Ok(door.raw(&request).await?.map(|answer| answer.status))
}

fn is_harmless(status: Option<StatusCode>) -> bool {
    status.is_none_or(|status| status.is_client_error())
}

async fn a1_no_spelling_leads_elsewhere(cast: &Cast) -> Result<()> {
    let (root, mut answered) = (&cast.root, 0);
    let raw: [&[u8]; 5] = [b"\x00", b"\xc0\xae\xc0\xae", b"..\\..\\", b"\xff", b"v1\x7f"];
    for spelling in SPELLINGS.iter().map(|text| text.as_bytes()).chain(raw) {
        let shown = String::from_utf8_lossy(spelling).into_owned();
        for (door, before, after) in [
            (&cast.registry, "/v2/", "/secret/tags/list"),
            (&cast.registry, "/v2/victim/", "/tags/list"),
            (&cast.registry, "/v2/victim/secret/manifests/", ""),
            (&cast.registry, "/v2/victim/secret/blobs/", ""),
            (&cast.registry, "/v2/victim/secret/blobs/uploads/", "/../../v1"),
            (&cast.api, "/api/v1/namespaces/victim/", "/secret"),
            (&cast.api, "/api/v1/namespaces/", "/secrets/secret"),
            (&cast.api, "/apis/", "/v1"),
        ] {
            let path = [before.as_bytes(), spelling, after.as_bytes()].concat();
            let status = ask_raw(door, &path, root).await?;
            ensure!(is_harmless(status), "{before}{shown}{after}: {status:?}");
            answered += usize::from(status.is_some());
        }
        // Below names that are nobody's, the router has only its page.
        let path = [b"/", spelling].concat();
        let status = ask_raw(&cast.router, &path, root).await?;
        let page = [StatusCode::BAD_REQUEST, StatusCode::SERVICE_UNAVAILABLE];
        ensure!(status.is_none_or(|status| page.contains(&status)), "router /{shown}: {status:?}");
    }
    ensure!(answered > 250, "only {answered} of these paths were answered at all");
    Ok(())
}

async fn a2_digests_are_digests(cast: &Cast) -> Result<()> {
    let hex = cast.image.layer.digest.trim_start_matches("sha256:");
    let upper = hex.to_uppercase();
    let short = hex.get(1..).context("64 characters")?;
    for digest in [
        format!("sha256:{upper}"),
        format!("sha256:{short}"),
        format!("sha256:{hex}0"),
        format!("SHA256:{hex}"),
        format!("sha256::{hex}"),
        format!("sha512:{hex}"),
        format!("md5:{hex}"),
        "sha256:../../../../etc/passwd".to_owned(),
        format!("sha256:{hex}/../{hex}"),
    ] {
        let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
        let status = cast.registry.send(Ask::get(path).by(&cast.root)).await?.status;
        ensure!(matches!(status.as_u16(), 400 | 404), "{digest}: {status}");
        let escaped = digest.replace('/', "%2F");
        let path = format!("/v2/{REPOSITORY}/blobs/uploads/?digest={escaped}");
        let ask =
            Ask::new(Method::POST, path).body("application/octet-stream", cast.image.layer.bytes.clone());
        let status = cast.registry.send(ask.by(&cast.root)).await?.status;
        ensure!(status == StatusCode::BAD_REQUEST, "pushing {digest}: {status}");
    }
    Ok(())
}

async fn a5_documents_do_not_explode(cast: &Cast) -> Result<()> {
    let path = "/api/v1/namespaces/victim/configmaps";
    let mut laughs = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for (before, name) in "abcdefgh".chars().zip("bcdefghi".chars()) {
        let many = vec![format!("*{before}"); 9].join(", ");
        laughs.push_str(&format!("{name}: &{name} [{many}]\n"));
    }
    laughs.push_str("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: lol}\n");
    let deep = |open: &str, close: &str, depth: usize| {
        let (open, close) = (open.repeat(depth), close.repeat(depth));
        format!(r#"{{"metadata":{{"name":"deep"}},"data":{open}1{close}}}"#)
    };
    for (name, media_type, body) in [
        ("aliases", "application/yaml", laughs),
        ("arrays", "application/json", deep("[", "]", 100_000)),
        ("a million arrays", "application/json", deep("[", "]", 1_000_000)),
        ("objects", "application/json", deep(r#"{"a":"#, "}", 100_000)),
        ("arrays in YAML", "application/yaml", deep("[", "]", 100_000)),
        ("an open end", "application/json", "[".repeat(100_000)),
    ] {
        let began = Instant::now();
        let ask = Ask::new(Method::POST, path).body(media_type, body).by(&cast.chief);
        let answer = cast.api.send(ask).await.with_context(|| name.to_owned())?;
        ensure!(answer.status.is_client_error(), "{name}: {}", answer.status);
        ensure!(began.elapsed() < Duration::from_secs(5), "{name} took {:?}", began.elapsed());
    }
    let manifest =
        format!(r#"{{"schemaVersion":2,"annotations":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let answer = cast.registry.send(put_manifest(REPOSITORY, "deep", manifest).by(&cast.chief)).await?;
    ensure!(answer.status == StatusCode::BAD_REQUEST, "a deep manifest: {}", answer.status);
    Ok(())
}

/// A manifest is read to this many bytes.
const MANIFEST_CAP: usize = 4 << 20;

async fn a6_manifests_have_a_cap(cast: &Cast) -> Result<()> {
    // White space around it belongs to a manifest's bytes and to nothing else.
    let padded = |length: usize| {
        let mut bytes = cast.image.manifest.bytes.to_vec();
        bytes.resize(length, b' ');
        Bytes::from(bytes)
    };
    let put = |length: usize| put_manifest(REPOSITORY, "padded", padded(length)).by(&cast.chief);
    let at_cap = cast.registry.send(put(MANIFEST_CAP)).await?.status;
    ensure!(at_cap == StatusCode::CREATED, "at the cap: {at_cap}");
    let over = cast.registry.send(put(MANIFEST_CAP + 1)).await?.status;
    ensure!(over == StatusCode::PAYLOAD_TOO_LARGE, "one over the cap: {over}");
    // Without a length: refused when the cap is passed, not when the end comes, which it never does.
    let mut request = format!(
        "PUT /v2/{REPOSITORY}/manifests/endless HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/vnd.oci.image.manifest.v1+json\r\ntransfer-encoding: chunked\r\n\
         connection: close\r\n\r\n",
        cast.chief.token()
    )
    .into_bytes();
    for _ in 0..5 {
        request.extend_from_slice(b"100000\r\n");
        request.resize(request.len() + (1 << 20), b' ');
        request.extend_from_slice(b"\r\n");
    }
    let answer = cast.registry.raw(&request).await?;
    let status = answer.map(|answer| answer.status);
    ensure!(status == Some(StatusCode::PAYLOAD_TOO_LARGE), "endless: {status:?}");
    Ok(())
}

async fn a7_pages_are_as_long_as_we_say(cast: &Cast) -> Result<()> {
    for n in ["-1", "9223372036854775808", "18446744073709551616", "", "+1", "0x10", "1e9", "%31%00", "x"] {
        for path in ["/v2/_catalog", &format!("/v2/{REPOSITORY}/tags/list")] {
            let answer = cast.registry.send(Ask::get(format!("{path}?n={n}")).by(&cast.root)).await?;
            ensure!(matches!(answer.status.as_u16(), 200 | 400), "{path}?n={n}: {}", answer.status);
            ensure!(answer.body.len() < 10_000, "{path}?n={n} answers {} bytes", answer.body.len());
        }
    }
    let billion = cast.registry.send(Ask::get("/v2/_catalog?n=1000000000").by(&cast.root)).await?;
    ensure!(matches!(billion.status.as_u16(), 200 | 400), "a billion: {}", billion.status);
    // Names that are prefixes of each other are all there, a page at a time.
    let streams = "/apis/image.openshift.io/v1/namespaces/elsewhere/imagestreams";
    let names = ["a", "a-a", "a.a", "a0", "aa", "aaa", "ab", "b"];
    for name in names {
        cast.create(&cast.stranger, streams, &json!({"metadata": {"name": name}})).await?;
    }
    let mut found = Vec::new();
    let mut last = "elsewhere/".to_owned();
    for _ in 0..=names.len() {
        let path = format!("/v2/_catalog?n=1&last={last}");
        let page = cast.registry.send(Ask::get(path).by(&cast.root)).await?.expect(StatusCode::OK)?;
        let page: Value = serde_json::from_slice(&page.body)?;
        let Some(name) = page.pointer("/repositories/0").and_then(Value::as_str) else { break };
        last = name.to_owned();
        found.extend(name.strip_prefix("elsewhere/").map(str::to_owned));
    }
    ensure!(found == names, "{found:?}");
    Ok(())
}

/// Twice the input may take twice the time. The bound is wide, since machines are busy; a parser that is quadratic
/// misses it by far, because the longer input is sixteen times the shorter.
async fn a8_long_headers_take_no_longer_than_their_length(cast: &Cast) -> Result<()> {
    let manifest = format!("/v2/{REPOSITORY}/manifests/v1");
    let stream = "/apis/image.openshift.io/v1/namespaces/victim/imagestreams";
    for (name, unit) in [
        ("accept", "application/vnd.oci.image.manifest.v1+json;q=0.1,"),
        ("accept-language", "a-"),
        ("range", "bytes=0-1,"),
        ("forwarded", "for=x;"),
    ] {
        let time = async |count: usize| -> Result<Duration> {
            let mut best = Duration::MAX;
            for _ in 0..3 {
                let began = Instant::now();
                let header = unit.repeat(count);
                cast.registry.send(Ask::get(&*manifest).header(name, header.clone()).by(&cast.chief)).await?;
                cast.api.send(Ask::get(stream).header(name, header).by(&cast.chief)).await?;
                best = best.min(began.elapsed());
            }
            Ok(best)
        };
        let longest = 40_000 / unit.len();
        let (short, long) = (time(longest / 16).await?, time(longest).await?);
        ensure!(long < short * 40 + Duration::from_millis(250), "{name}: {short:?}, then {long:?}");
    }
    Ok(())
}

async fn a9_hosts_and_paths_of_routes_are_data(cast: &Cast) -> Result<()> {
    let routes = "/apis/route.openshift.io/v1/namespaces/elsewhere/routes";
    let hostile = [
        "/x\nfrontend evil",
        "/x\" } location / {",
        "/$(id)",
        "/%0a%0d",
        "/`id`",
        "/ deny all",
        "/{{.}}",
        "/\u{0}",
        "/a\\..\\b",
        "/*/../..",
    ];
    let mut stored = 0;
    for (number, text) in hostile.into_iter().enumerate() {
        let hosts =
            [format!("h{number}.example.com"), format!("{}.example.com", text.trim_start_matches('/'))];
        for (kind, host) in ["path", "host"].into_iter().zip(hosts) {
            let path = if kind == "path" { text } else { "/" };
            let object = json!({
                "metadata": {
                    "name": format!("r{number}-{kind}"),
                    "annotations": {"haproxy.router.openshift.io/rewrite-target": text, "ingress.kubernetes.io/snippet": text},
                },
                "spec": {"host": host, "path": path, "to": {"kind": "Service", "name": "secret"}},
            });
            let answer = cast.api.send(Ask::post(routes, &object).by(&cast.stranger)).await?;
            ensure!(matches!(answer.status.as_u16(), 201 | 403 | 422), "{kind} {text:?}: {}", answer.status);
            ensure!(kind == "path" || !answer.status.is_success(), "the host {host:?} is no host");
            stored += usize::from(answer.status.is_success());
        }
    }
    ensure!(stored > 0, "no hostile text was stored, so nothing was tried");
    // The router goes on, for the route that was there before, too.
    let route = cast.read(&cast.chief, "/apis/route.openshift.io/v1/namespaces/victim/routes/secret").await?;
    let host = route.pointer("/spec/host").and_then(Value::as_str).context("no host")?;
    for host in [host, "h0.example.com", "nobody.example.com"] {
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let status = cast.router.raw(request.as_bytes()).await?.map(|answer| answer.status);
        ensure!(status == Some(StatusCode::SERVICE_UNAVAILABLE), "{host}: {status:?}");
    }
    Ok(())
}

/// What nobody may read without credentials is behind no other spelling of its path either.
async fn e8_one_spelling_opens_a_door(cast: &Cast) -> Result<()> {
    let doors = [
        (&cast.registry, "/v2/_catalog".to_owned()),
        (&cast.registry, "/v2/victim/secret/tags/list".to_owned()),
        (&cast.registry, "/v2/victim/secret/manifests/v1".to_owned()),
        (&cast.registry, format!("/v2/victim/secret/blobs/{}", cast.image.layer.digest)),
        (&cast.api, "/api/v1/namespaces/victim/secrets/secret".to_owned()),
        (&cast.api, "/apis/oauth.openshift.io/v1/oauthaccesstokens".to_owned()),
    ];
    for (door, path) in doors {
        let open = ask_raw(door, path.as_bytes(), &cast.root).await?;
        ensure!(open == Some(StatusCode::OK), "{path} for the administrator: {open:?}");
        let (parent, last) = path.rsplit_once('/').context("a path")?;
        let escaped: String = last.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for spelling in [
            format!("{path}/"),
            format!("{path}//"),
            format!("/{path}"),
            format!("{parent}//{last}"),
            format!("{parent}/./{last}"),
            format!("{parent}/x/../{last}"),
            format!("{path}/."),
            format!("{path}/.."),
            format!("{path};x"),
            format!("{path};/x"),
            format!("{path}%00"),
            format!("{path}%20"),
            format!("{path}%2f"),
            format!("{parent}%2f{last}"),
            format!("{parent}%2F{last}"),
            format!("{parent}%252f{last}"),
            format!("{parent}/{escaped}"),
            format!("{parent}\\{last}"),
            format!("{path}#x"),
            format!("{path}?x#y"),
            format!("{path}."),
            format!("/.{path}"),
            format!("/x/..{path}"),
            format!("/healthz/..{path}"),
            format!("http://localhost{path}"),
            path.to_uppercase(),
        ] {
            let status = ask_raw(door, spelling.as_bytes(), &cast.nobody).await?;
            let closed = status.is_none_or(|status| matches!(status.as_u16(), 400 | 401 | 403 | 404));
            ensure!(closed, "{spelling}: {status:?}");
        }
    }
    Ok(())
}
