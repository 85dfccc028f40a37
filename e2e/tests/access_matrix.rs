//! Everybody asks for everything in a project of somebody else's.
//!
//! Owns two laws. What is open to whom is a reviewed list (platform 5.4, images 6.3): every kind and verb of discovery,
//! every route of the registry. And what is closed looks as if it had never been (invariant I14), by status, headers
//! and body. A new kind or verb shows up here by itself.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::cast::{Caller, Cast, REPOSITORY, put_manifest, told};
use crate::door::Ask;

const UNKNOWN: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// A kind as discovery announces it.
#[derive(Debug)]
struct Kind {
    /// `/apis/<group>/<version>`, `/api/v1` or `/oapi/v1`.
    prefix: String,
    /// With its subresource.
    resource: String,
    namespaced: bool,
    verbs: Vec<String>,
}

impl Kind {
    fn read(prefix: &str, announced: &Value) -> Result<Self> {
        let verbs = announced.get("verbs").and_then(Value::as_array).context("no verbs")?;
        let mut verbs: Vec<String> = verbs.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let namespaced = announced.get("namespaced") == Some(&Value::Bool(true));
        if namespaced && verbs.iter().any(|verb| verb == "list") {
            verbs.push("list-all".to_owned());
        }
        verbs.sort();
        let resource = announced.get("name").and_then(Value::as_str).context("no name")?;
        Ok(Self { prefix: prefix.to_owned(), resource: resource.to_owned(), namespaced, verbs })
    }

    /// `imagestreams.image.openshift.io`; core and old kinds have no group.
    fn name(&self) -> String {
        match self.prefix.strip_prefix("/apis/").and_then(|prefix| prefix.split('/').next()) {
            Some(group) => format!("{}.{group}", self.resource),
            None => self.resource.clone(),
        }
    }

    fn collection(&self, namespace: &str) -> String {
        let resource = self.resource.split('/').next().unwrap_or_default();
        if self.namespaced {
            format!("{}/namespaces/{namespace}/{resource}", self.prefix)
        } else {
            format!("{}/{resource}", self.prefix)
        }
    }

    fn object(&self, namespace: &str, name: &str) -> String {
        let path = format!("{}/{name}", self.collection(namespace));
        match self.resource.split_once('/') {
            Some((_, subresource)) => format!("{path}/{subresource}"),
            None => path,
        }
    }

    /// A request of this verb that changes nothing, whoever may make it.
    fn ask(&self, verb: &str, namespace: &str, name: &str) -> Ask {
        let (collection, object) = (self.collection(namespace), self.object(namespace, &escape(name)));
        let tried = |path: &str| format!("{path}?dryRun=All");
        match verb {
            "get" => Ask::get(object),
            "list" => Ask::get(format!("{collection}?limit=1")),
            "list-all" => Ask::get(format!("{}/{}?limit=1", self.prefix, self.resource)),
            "watch" => Ask::get(format!("{collection}?watch=true&timeoutSeconds=1")),
            "create" if self.resource.contains('/') => Ask::post(object, &json!({})),
            "create" => Ask::post(collection, &json!({"metadata": {"name": "No Name!"}})),
            "update" => Ask::new(Method::PUT, tried(&object)).json(&json!({"metadata": {"name": name}})),
            "patch" => Ask::new(Method::PATCH, tried(&object)).body("application/merge-patch+json", "{}"),
            "delete" => Ask::new(Method::DELETE, tried(&object)),
            "deletecollection" => {
                Ask::new(Method::DELETE, format!("{collection}?labelSelector=nobody-has=this-label"))
            }
            other => panic!("discovery names the verb {other}, which the matrix does not know"),
        }
    }
}

/// As a segment of a path.
fn escape(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:@".contains(c);
    let escaped = |c: char| c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    name.chars().map(|c| if plain(c) { c.to_string() } else { escaped(c) }).collect()
}

/// Every kind that the server announces, but for the second names of old kinds, under which nothing is served.
async fn announced(cast: &Cast) -> Result<Vec<Kind>> {
    let mut prefixes = vec!["/api/v1".to_owned(), "/oapi/v1".to_owned()];
    let groups = cast.read(&cast.root, "/apis").await?;
    for group in groups.get("groups").and_then(Value::as_array).context("no groups")? {
        for version in group.get("versions").and_then(Value::as_array).context("no versions")? {
            let version = version.get("groupVersion").and_then(Value::as_str).context("no version")?;
            prefixes.push(format!("/apis/{version}"));
        }
    }
    let mut kinds = Vec::new();
    for prefix in prefixes {
        let list = cast.read(&cast.root, &prefix).await?;
        for resource in list.get("resources").and_then(Value::as_array).context("no resources")? {
            let kind = Kind::read(&prefix, resource)?;
            if !kind.resource.starts_with("legacy") {
                kinds.push(kind);
            }
        }
    }
    ensure!(kinds.len() > 60, "discovery names {} kinds only", kinds.len());
    Ok(kinds)
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// The verbs that are open to somebody.
async fn open_verbs(cast: &Cast, who: &Caller, kind: &Kind) -> Result<Vec<String>> {
    let mut open = Vec::new();
    for verb in &kind.verbs {
        let is_project = matches!(kind.resource.split('/').next(), Some("namespaces" | "projects"));
        let name = if is_project { "victim" } else { "nothing" };
        let ask = kind.ask(verb, "victim", name).by(who);
        let status = match verb.as_str() {
            "watch" => cast.api.follow(ask).await?.status(),
            _ => cast.api.send(ask).await?.status,
        };
        ensure!(!status.is_server_error(), "{verb} {} by {}: {status}", kind.name(), who.name);
        if !is_refusal(status) {
            open.push(verb.clone());
        }
    }
    Ok(open)
}

/// For one caller: verbs, and the kinds of which exactly these are open.
async fn open_kinds(cast: &Cast, who: &Caller, kinds: &[Kind]) -> Result<BTreeMap<String, Vec<String>>> {
    let mut old: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for kind in kinds {
        let open = open_verbs(cast, who, kind).await?;
        if kind.prefix == "/oapi/v1" {
            old.insert(&kind.resource, open);
            continue;
        }
        // The old prefix opens what OpenShift's group opens.
        // `images` of the configuration is another kind.
        if kind.prefix.contains("openshift.io")
            && !kind.prefix.contains("config.openshift.io")
            && let Some(old) = old.get(kind.resource.as_str())
        {
            ensure!(*old == open, "{} by {}: {open:?}, and {old:?} below /oapi", kind.name(), who.name);
        }
        let verbs = if open == kind.verbs { "everything".to_owned() } else { open.join(" ") };
        lines.entry(verbs).or_default().push(kind.name());
    }
    Ok(lines)
}

async fn api_matrix(cast: &Cast) -> Result<String> {
    let kinds = announced(cast).await?;
    let mut text = String::new();
    for who in cast.everybody() {
        if who.name == "anonymous" {
            continue; // The word is the registry's.
        }
        writeln!(text, "{}", who.name)?;
        // What is closed is what the administrator's list has and this one has not.
        for (verbs, kinds) in
            open_kinds(cast, who, &kinds).await?.into_iter().filter(|(verbs, _)| !verbs.is_empty())
        {
            writeln!(text, "  {verbs}:")?;
            for kind in kinds {
                writeln!(text, "    {kind}")?;
            }
        }
    }
    Ok(text)
}

/// Every route of the registry with every method it has, for one repository.
fn registry_routes(repository: &str, digest: &str, tag: &str) -> Vec<(&'static str, Ask)> {
    let of = |method: Method, rest: &str| Ask::new(method, format!("/v2/{repository}/{rest}"));
    let upload = "blobs/uploads/5d7c1e4e-6a3b-4f0c-9e53-0a3b7d1c2f10";
    let signatures = format!("/extensions/v2/{repository}/signatures/{digest}");
    let (by_digest, by_tag) = (format!("manifests/{digest}"), format!("manifests/{tag}"));
    let blob = format!("blobs/{digest}");
    vec![
        ("GET tags", of(Method::GET, "tags/list")),
        ("GET manifest by tag", of(Method::GET, &by_tag)),
        ("HEAD manifest by tag", of(Method::HEAD, &by_tag)),
        ("GET manifest by digest", of(Method::GET, &by_digest)),
        ("HEAD manifest by digest", of(Method::HEAD, &by_digest)),
        ("PUT manifest by tag", put_manifest(repository, tag, "{}")),
        ("PUT manifest by digest", put_manifest(repository, digest, "{}")),
        ("DELETE manifest by tag", of(Method::DELETE, &by_tag)),
        ("DELETE manifest by digest", of(Method::DELETE, &by_digest)),
        ("GET blob", of(Method::GET, &blob)),
        ("HEAD blob", of(Method::HEAD, &blob)),
        ("GET blob range", of(Method::GET, &blob).header("range", "bytes=0-1")),
        ("DELETE blob", of(Method::DELETE, &blob)),
        ("POST upload", of(Method::POST, "blobs/uploads/")),
        ("POST upload mount", of(Method::POST, &format!("blobs/uploads/?mount={digest}&from={REPOSITORY}"))),
        ("POST upload whole", of(Method::POST, &format!("blobs/uploads/?digest={digest}"))),
        ("GET upload", of(Method::GET, upload)),
        ("PATCH upload", of(Method::PATCH, upload)),
        ("PUT upload", of(Method::PUT, &format!("{upload}?digest={digest}"))),
        ("DELETE upload", of(Method::DELETE, upload)),
        ("GET referrers", of(Method::GET, &format!("referrers/{digest}"))),
        ("GET signatures", Ask::get(signatures.clone())),
        ("PUT signatures", Ask::new(Method::PUT, signatures).json(&json!({}))),
    ]
}

/// One line per route: the status for each caller.
async fn registry_matrix(cast: &Cast) -> Result<String> {
    let mut routes = vec![
        ("GET base", Ask::get("/v2/")),
        ("GET token", Ask::get("/openshift/token")),
        ("GET catalog", Ask::get("/v2/_catalog")),
    ];
    // Nothing is there, so that nothing goes away whoever may delete it.
    routes.extend(registry_routes("victim/absent", UNKNOWN, "nothing"));
    let mut text = format!("{:24}", "");
    for who in cast.everybody() {
        write!(text, "{:>10}", who.name)?;
    }
    for (name, ask) in routes {
        write!(text, "\n{name:24}")?;
        for who in cast.everybody() {
            let status = cast.registry.send(ask.clone().by(who)).await?.status;
            write!(text, "{:>10}", status.as_u16())?;
        }
    }
    Ok(text)
}

/// The registry's answers to those without a right do not depend on what is there.
async fn registry_keeps_secrets(cast: &Cast) -> Result<()> {
    let there = [
        (cast.image.manifest.digest.as_str(), "v1"),
        (cast.image.layer.digest.as_str(), "v1"),
        (UNKNOWN, "nothing"),
    ];
    let ask = async |ask: Ask, who: &Caller, names: &[&str]| -> Result<_> {
        let answer = cast.registry.send(ask.by(who)).await?;
        Ok(told(&answer, names))
    };
    for who in [&cast.nobody, &cast.anonymous, &cast.stranger] {
        for (digest, tag) in there {
            let foreign = registry_routes(REPOSITORY, digest, tag);
            let absent = registry_routes("nowhere/absent", UNKNOWN, "nothing");
            for ((name, foreign), (_, absent)) in foreign.into_iter().zip(absent) {
                let foreign = ask(foreign, who, &["victim", "secret", digest]).await?;
                let absent = ask(absent, who, &["nowhere", "absent", UNKNOWN]).await?;
                ensure!(foreign.0 == StatusCode::UNAUTHORIZED, "{name} by {}: {}", who.name, foreign.0);
                ensure!(foreign == absent, "{name} by {}:\n{foreign:?}\n{absent:?}", who.name);
            }
        }
    }
    Ok(())
}

/// The name of something that exists, for each collection that has anything.
async fn existing_names(cast: &Cast, kinds: &[Kind]) -> Result<BTreeMap<String, String>> {
    let mut names = BTreeMap::new();
    for kind in kinds.iter().filter(|kind| kind.verbs.iter().any(|verb| verb == "list")) {
        let collection = kind.collection("victim");
        let list = cast.read(&cast.root, &collection).await?;
        // The list of project requests answers whether one may ask, with a status.
        let Some(items) = list.get("items").and_then(Value::as_array) else { continue };
        let name = |item: &Value| item.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
        let mut found = items.iter().filter_map(name).collect::<Vec<_>>();
        // Rather a name that no text of a refusal holds for other reasons.
        found.sort_by_key(|name| (name != "secret", name != "victim", Reverse(name.len())));
        if let Some(name) = found.into_iter().next() {
            names.insert(collection, name);
        }
    }
    Ok(names)
}

/// The API's answers to those without a right depend neither on the object nor on its namespace.
async fn api_keeps_secrets(cast: &Cast) -> Result<()> {
    let kinds = announced(cast).await?;
    let existing = existing_names(cast, &kinds).await?;
    let mut compared = 0;
    for who in [&cast.nobody, &cast.stranger] {
        for kind in &kinds {
            let real = existing.get(&kind.collection("victim")).map_or("secret", String::as_str);
            for verb in kind.verbs.iter().filter(|verb| !matches!(verb.as_str(), "watch" | "list-all")) {
                let ask = async |namespace: &str, name: &str| -> Result<_> {
                    let answer = cast.api.send(kind.ask(verb, namespace, name).by(who)).await?;
                    // With their quotes: `secret` is part of other words.
                    let quoted = |name: &str| [format!("\\\"{name}\\\""), format!("\"{name}\"")];
                    let names = [quoted(name), quoted(namespace)].concat();
                    Ok(told(&answer, &names.iter().map(String::as_str).collect::<Vec<_>>()))
                };
                let foreign = ask("victim", real).await?;
                if !is_refusal(foreign.0) {
                    continue; // Open to everybody, as the matrix says.
                }
                for namespace in ["victim", "nowhere"] {
                    let absent = ask(namespace, "never-was").await?;
                    let what = format!("{verb} {} by {}", kind.name(), who.name);
                    ensure!(foreign == absent, "{what} in {namespace}:\n{foreign:?}\n{absent:?}");
                    compared += 1;
                }
            }
        }
    }
    ensure!(compared > 500, "only {compared} answers were compared");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn access_is_open_to_whom_it_should_be_and_silent_to_others() -> Result<()> {
    let cast = Cast::start().await?;
    insta::assert_snapshot!("registry", registry_matrix(&cast).await?);
    insta::assert_snapshot!("api", api_matrix(&cast).await?);
    registry_keeps_secrets(&cast).await.context("the registry tells")?;
    api_keeps_secrets(&cast).await.context("the API tells")?;
    cast.stop()
}
