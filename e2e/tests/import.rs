//! One cluster imports from another: single images with and without credentials, whole repositories, and tags that follow
//! what is pushed later.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use pierhead_e2e::sample::{Blob, SampleImage, sha256};
use pierhead_e2e::wire::{Wire, whole};
use pierhead_testkit::{Actor, HostName, Site, SiteOptions, eventually};
use serde_json::{Value, json};

/// Tests are all on one machine, whose own addresses are otherwise nobody's to import from.
const CONFIG: &str = "[import]\nscheduled-interval = \"1s\"\ntags-per-repository = -1\n\n[egress]\nallow = [\"127.0.0.0/8\"]\n";

/// The cluster that images are pushed to, and whoever pushes.
struct Source {
    site: Site,
    host: HostName,
    token: String,
}

impl Source {
    async fn open() -> Result<Self> {
        let site = Site::start().await?;
        let host = site.route_host("docker-registry", "default")?;
        site.admin()?.oc(["expose", "service", "docker-registry", "-n", "default"]).await.succeeds();
        let ed = site.user("ed").await?;
        ed.oc(["new-project", "pushed"]).await.succeeds();
        let token = ed.oc(["whoami", "-t"]).await.succeeds().trim().to_owned();
        let source = Self { site, host, token };
        eventually("the registry is reached by its route", async || {
            let mut wire = source.wire().await.ok()?;
            wire.get("/v2/").await.ok()?.expect(http::StatusCode::OK).ok()
        })
        .await?;
        Ok(source)
    }

    fn registry(&self) -> String {
        format!("{}:{}", self.host.as_str(), self.site.addresses().router_http.port())
    }

    async fn wire(&self) -> Result<Wire> {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("ed:{}", self.token)));
        Wire::connect(self.site.addresses().router_http, self.host.as_str(), Some(&basic)).await
    }

    /// Pushes a list of two images, for 64 bits of Intel and of Arm, under a tag; answers its digest and theirs.
    async fn push_list(&self, repository: &str, tag: &str) -> Result<[String; 3]> {
        let mut children = Vec::new();
        for (number, architecture) in ["amd64", "arm64"].into_iter().enumerate() {
            let digest = self.push(repository, &[], number as u64).await?;
            let size =
                self.wire().await?.get(&format!("/v2/{repository}/manifests/{digest}")).await?.body.len();
            children.push(json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
                "platform": {"architecture": architecture, "os": "linux"},
            }));
        }
        let [amd, arm] =
            [0, 1].map(|at: usize| children[at]["digest"].as_str().unwrap_or_default().to_owned());
        let index = "application/vnd.oci.image.index.v1+json";
        let list = json!({"schemaVersion": 2, "mediaType": index, "manifests": children}).to_string();
        let digest = sha256(list.as_bytes());
        let path = format!("/v2/{repository}/manifests/{tag}");
        let (mut wire, headers) = (self.wire().await?, [("content-type", index)]);
        let sent = wire.send(Method::PUT, &path, &headers, whole(list.into())).await?;
        sent.expect(http::StatusCode::CREATED)?;
        Ok([digest, amd, arm])
    }

    /// Pushes an image under some tags; answers its digest.
    async fn push(&self, repository: &str, tags: &[String], number: u64) -> Result<String> {
        let mut wire = self.wire().await?;
        let image = SampleImage::of_layer(Blob::new(format!("layer {number}")));
        for blob in [&image.config, &image.layer] {
            wire.push_blob(repository, &blob.digest, blob.bytes.clone()).await?;
        }
        for reference in [std::slice::from_ref(&image.manifest.digest), tags].concat() {
            wire.push_manifest(repository, &reference, image.manifest.bytes.clone()).await?;
        }
        Ok(image.manifest.digest)
    }
}

/// The cluster that imports, and somebody with a project there.
struct Target {
    site: Site,
    ann: Actor,
}

impl Target {
    async fn open() -> Result<Self> {
        let options = SiteOptions { config: Some(CONFIG.to_owned()), ..SiteOptions::default() };
        let site = Site::start_with(options).await?;
        let ann = site.user("ann").await?;
        ann.oc(["new-project", "prod"]).await.succeeds();
        Ok(Self { site, ann })
    }

    async fn secret(&self, name: &str, registry: &str, password: &str) {
        let made = [
            "create",
            "secret",
            "docker-registry",
            name,
            &format!("--docker-server={registry}"),
            "--docker-username=ed",
            &format!("--docker-password={password}"),
            "--docker-email=ed@example.com",
        ];
        self.ann.oc(made).await.succeeds();
    }

    async fn stream(&self, name: &str) -> Result<Value> {
        let shown = self.ann.oc(["get", "is", name, "-o", "json"]).await.succeeds();
        Ok(serde_json::from_str(&shown)?)
    }

    /// Imports and answers the whole object.
    async fn import(&self, name: &str, spec: Value) -> Result<Value> {
        let import = json!({
            "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamImport",
            "metadata": {"name": name, "namespace": "prod"}, "spec": spec,
        });
        let made =
            self.ann.kubectl_with_input(["create", "-f", "-", "-o", "json"], &import.to_string()).await;
        Ok(serde_json::from_str(&made.succeeds())?)
    }

    /// What the newest item of a tag is, when it is what it should be.
    async fn follows(&self, stream: &str, tag: &str, digest: &str) -> Result<()> {
        eventually(&format!("{stream}:{tag} is {digest}"), async || {
            let shown = self.stream(stream).await.ok()?;
            (newest(&shown, tag)? == digest).then_some(())
        })
        .await
    }
}

fn newest<'v>(stream: &'v Value, tag: &str) -> Option<&'v str> {
    let tags = stream["status"]["tags"].as_array()?;
    tags.iter().find(|list| list["tag"] == tag)?["items"][0]["image"].as_str()
}

fn condition(stream: &Value) -> String {
    stream["status"]["tags"][0]["conditions"][0]["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_a_private_image_with_the_projects_secrets() -> Result<()> {
    let (source, target) = (Source::open().await?, Target::open().await?);
    let registry = source.registry();
    let digest = source.push("pushed/myimage", &["latest".into()], 1).await?;
    let from = format!("--from={registry}/pushed/myimage");

    // As typed in 2016; without credentials the stream is made, and says what is missing.
    let typed = ["import-image", "myimage", &from, "--confirm", "--insecure-repository=true"];
    let said = target.ann.oc(typed).await;
    let stream = target.stream("myimage").await?;
    ensure!(condition(&stream).contains("did not have credentials"), "{stream}\n{said}");
    target.secret("wrong", &registry, "nonsense").await;
    target.ann.oc(["delete", "is", "myimage"]).await.succeeds();
    target.ann.oc(typed).await;
    let stream = target.stream("myimage").await?;
    ensure!(condition(&stream).contains("incorrect username or password"), "{stream}");
    target.secret("right", &registry, &source.token).await;
    target.ann.oc(["delete", "is", "myimage"]).await.succeeds();
    let said = target.ann.oc(typed).await.succeeds();
    ensure!(said.contains("The import completed successfully."), "{said}");
    let stream = target.stream("myimage").await?;
    ensure!(newest(&stream, "latest") == Some(&digest), "{stream}");
    let annotations = &stream["metadata"]["annotations"];
    ensure!(annotations["openshift.io/image.insecureRepository"] == "true", "{annotations}");
    ensure!(annotations["openshift.io/image.dockerRepositoryCheck"].is_string(), "{annotations}");

    // The same again changes nothing.
    let import = |insecure: bool| {
        let image = json!({
            "from": {"kind": "DockerImage", "name": format!("{registry}/pushed/myimage:latest")},
            "to": {"name": "again"}, "importPolicy": {"insecure": insecure},
        });
        json!({"import": true, "images": [image]})
    };
    let first = target.import("other", import(true)).await?;
    ensure!(first["status"]["images"][0]["image"]["metadata"]["name"] == digest.as_str(), "{first}");
    let second = target.import("other", import(true)).await?;
    let version = |import: &Value| import["status"]["import"]["metadata"]["resourceVersion"].clone();
    ensure!(version(&first).is_string() && version(&first) == version(&second), "{first}\n{second}");

    // Plain HTTP has to be allowed, and what is not there is told as such.
    let secure = target.import("secure", import(false)).await?;
    let status = &secure["status"]["images"][0]["status"];
    let message = status["message"].as_str().unwrap_or_default();
    ensure!(message.ends_with("is HTTP only and requires the insecure flag to import"), "{status}");
    let mut missing = import(true);
    missing["images"][0]["from"]["name"] = format!("{registry}/pushed/myimage:none").into();
    let missing = target.import("missing", missing).await?;
    let status = &missing["status"]["images"][0]["status"];
    ensure!(status["reason"] == "NotFound" && status["code"] == 404, "{status}");
    // A look writes nothing.
    let mut look = import(true);
    look["import"] = false.into();
    let look = target.import("look", look).await?;
    ensure!(look["status"]["images"][0]["status"]["status"] == "Success", "{look}");
    ensure!(look["status"].get("import").is_none(), "{look}");
    target.ann.oc(["get", "is", "look"]).await.fails_with("not found");
    source.site.stop()?;
    target.site.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_whole_repositories_and_follows_scheduled_tags() -> Result<()> {
    let (source, target) = (Source::open().await?, Target::open().await?);
    let registry = source.registry();
    target.secret("source", &registry, &source.token).await;
    let tags: Vec<String> = (0..99).map(|number| format!("1.{number}")).chain(["latest".into()]).collect();
    let digest = source.push("pushed/many", &tags, 1).await?;
    let from = json!({"kind": "DockerImage", "name": format!("{registry}/pushed/many")});
    let spec = json!({"import": true, "repository": {"from": from, "importPolicy": {"insecure": true}}});
    let import = target.import("many", spec).await?;
    let repository = &import["status"]["repository"];
    ensure!(repository["status"]["status"] == "Success", "{repository}");
    let images = repository["images"].as_array().context("no images")?;
    let first: Vec<&str> = images.iter().filter_map(|image| image["tag"].as_str()).take(3).collect();
    ensure!(images.len() == 100 && first == ["latest", "1.98", "1.97"], "{} {first:?}", images.len());
    let stream = target.stream("many").await?;
    ensure!(tags.iter().all(|tag| newest(&stream, tag) == Some(&digest)), "{stream}");

    // A tag that is scheduled, one that is written into a manifest, and one that follows the first.
    let scheduled = ["tag", "--scheduled", "--insecure", "--source=docker"];
    let image = format!("{registry}/pushed/many:latest");
    target.ann.oc(scheduled.into_iter().chain([image.as_str(), "app:live"])).await.succeeds();
    target.follows("app", "live", &digest).await?;
    target.ann.oc(["tag", "--alias", "app:live", "app:also"]).await.succeeds();
    let manifest = json!({
        "apiVersion": "image.openshift.io/v1", "kind": "ImageStream",
        "metadata": {"name": "applied", "namespace": "prod"},
        "spec": {"tags": [{
            "name": "live", "from": {"kind": "DockerImage", "name": image},
            "importPolicy": {"insecure": true, "scheduled": true},
        }]},
    });
    target.ann.kubectl_with_input(["apply", "-f", "-"], &manifest.to_string()).await.succeeds();
    target.follows("applied", "live", &digest).await?;
    let later = source.push("pushed/many", &["latest".into()], 2).await?;
    ensure!(later != digest);
    for (stream, tag) in [("app", "live"), ("app", "also"), ("applied", "live")] {
        target.follows(stream, tag, &later).await?;
    }
    let before = target.stream("app").await?["metadata"]["resourceVersion"].clone();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = target.stream("app").await?["metadata"]["resourceVersion"].clone();
    ensure!(before == after, "looking again without news wrote something");
    source.site.stop()?;
    // The source is gone: what was imported stays, and says why it is not newer.
    eventually("the failure is told", async || {
        let stream = target.stream("app").await.ok()?;
        let failed = stream["status"]["tags"].as_array()?.iter().any(|tag| tag["conditions"].is_array());
        (failed && newest(&stream, "live") == Some(&later)).then_some(())
    })
    .await?;
    target.site.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_comes_as_the_image_that_is_wanted_or_whole() -> Result<()> {
    let (source, target) = (Source::open().await?, Target::open().await?);
    let registry = source.registry();
    target.secret("source", &registry, &source.token).await;
    let [list, amd, arm] = source.push_list("pushed/multi", "latest").await?;
    let from = json!({"kind": "DockerImage", "name": format!("{registry}/pushed/multi:latest")});
    let own = if std::env::consts::ARCH == "aarch64" { &arm } else { &amd };
    let prefer = |architecture: &str| json!({"importer.image.openshift.io/prefer-arch": architecture});
    for (name, mode, annotations, expected) in [
        ("own", "Legacy", json!({}), own),
        ("arm", "Legacy", prefer("arm64"), &arm),
        ("other", "Legacy", prefer("s390x"), &amd),
        ("whole", "PreserveOriginal", json!({}), &list),
    ] {
        let policy = json!({"insecure": true, "importMode": mode});
        let tag = json!({"name": "v1", "annotations": annotations, "from": from, "importPolicy": policy});
        let stream = json!({
            "apiVersion": "image.openshift.io/v1", "kind": "ImageStream",
            "metadata": {"name": name, "namespace": "prod"}, "spec": {"tags": [tag]},
        });
        target.ann.kubectl_with_input(["create", "-f", "-"], &stream.to_string()).await.succeeds();
        target.follows(name, "v1", expected).await?;
    }
    let image = json!({"from": from, "to": {"name": "v2"}, "importPolicy": {"insecure": true, "importMode": "PreserveOriginal"}});
    let import = target.import("whole", json!({"import": true, "images": [image]})).await?;
    let status = &import["status"]["images"][0];
    let names: Vec<_> = status["manifests"]
        .as_array()
        .context("no manifests")?
        .iter()
        .map(|one| &one["metadata"]["name"])
        .collect();
    ensure!(
        names.len() == 2 && [&amd, &arm].iter().all(|digest| names.contains(&&json!(digest))),
        "{status}"
    );
    ensure!(status["image"]["dockerImageManifests"].as_array().map(Vec::len) == Some(2), "{status}");
    let child =
        target.ann.kubectl(["get", "isimage", &format!("whole@{arm}"), "-o", "name"]).await.succeeds();
    ensure!(child.trim() == format!("imagestreamimage.image.openshift.io/whole@{arm}"), "{child}");
    target.ann.kubectl(["get", "isimage", &format!("own@{list}")]).await.fails_with("not found");
    source.site.stop()?;
    target.site.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_registry_holds_up_nobody_else() -> Result<()> {
    let (source, target) = (Source::open().await?, Target::open().await?);
    let registry = source.registry();
    target.secret("source", &registry, &source.token).await;
    let digest = source.push("pushed/app", &["latest".into()], 1).await?;
    // Takes connections and says nothing.
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = dead.local_addr()?;
    let stream = |name: &str, image: &str| {
        json!({
            "apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": {"name": name},
            "spec": {"tags": [{
                "name": "latest", "from": {"kind": "DockerImage", "name": image},
                "importPolicy": {"insecure": true},
            }]},
        })
    };
    for number in 0..30 {
        let waiting = stream(&format!("waiting{number}"), &format!("{address}/a/b:{number}"));
        target.ann.oc_with_input(["create", "-f", "-"], &waiting.to_string()).await.succeeds();
    }
    let quick = stream("quick", &format!("{registry}/pushed/app:latest"));
    let begun = tokio::time::Instant::now();
    target.ann.oc_with_input(["create", "-f", "-"], &quick.to_string()).await.succeeds();
    target.follows("quick", "latest", &digest).await?;
    ensure!(begun.elapsed() < Duration::from_secs(8), "it took {:?}", begun.elapsed());
    let waiting = target.stream("waiting0").await?;
    ensure!(newest(&waiting, "latest").is_none(), "{waiting}");
    source.site.stop()?;
    target.site.stop()
}
