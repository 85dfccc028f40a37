//! Pruning images: the requests that pruners of 2016 and of today make, in our words, and our own pruner, which comes to the
//! same end.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use pierhead_e2e::sample::SampleImage;
use serde_json::{Value, json};

use crate::cast::{Caller, Cast, login};
use crate::door::Ask;

const REPOSITORY: &str = "victim/app";

/// Everything that a pruner of today lists, and what one of 2016 does.
const TODAY: [&str; 15] = [
    "/apis/image.openshift.io/v1/images",
    "/apis/image.openshift.io/v1/imagestreams",
    "/api/v1/pods",
    "/api/v1/replicationcontrollers",
    "/apis/build.openshift.io/v1/buildconfigs",
    "/apis/build.openshift.io/v1/builds",
    "/apis/apps/v1/daemonsets",
    "/apis/apps/v1/deployments",
    "/apis/apps.openshift.io/v1/deploymentconfigs",
    "/apis/apps/v1/replicasets",
    "/apis/apps/v1/statefulsets",
    "/apis/batch/v1/jobs",
    "/apis/batch/v1/cronjobs",
    "/api/v1/limitranges",
    "/api/v1/namespaces",
];
const OF_2016: [&str; 7] = [
    "/oapi/v1/images",
    "/oapi/v1/imagestreams",
    "/api/v1/pods",
    "/api/v1/replicationcontrollers",
    "/oapi/v1/buildconfigs",
    "/oapi/v1/builds",
    "/oapi/v1/deploymentconfigs",
];

/// Where a generation of clients finds things.
struct Era {
    images: &'static str,
    lists: &'static [&'static str],
    query: &'static str,
    ping: &'static str,
}

/// Two images were pushed to one tag, so the older one can go.
struct Scene {
    cast: Cast,
    pruner: Caller,
    old: SampleImage,
    new: SampleImage,
}

impl Scene {
    async fn open() -> Result<Self> {
        let cast = Cast::start().await?;
        let pruner = login(&cast.api, "pruner").await?;
        let group = "rbac.authorization.k8s.io";
        let binding = json!({
            "metadata": {"name": "pruner"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "system:image-pruner"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "pruner"}],
        });
        cast.create(&cast.root, &format!("/apis/{group}/v1/clusterrolebindings"), &binding).await?;
        let mut random = rand::rng();
        let (old, new) =
            (SampleImage::random(&mut random, 6 << 10), SampleImage::random(&mut random, 6 << 10));
        for image in [&old, &new] {
            cast.push_image(&cast.chief, REPOSITORY, "latest", image).await?;
        }
        Ok(Self { cast, pruner, old, new })
    }

    /// Asks the registry with the token as the password of anybody.
    async fn registry(&self, who: &Caller, method: Method, path: &str) -> Result<StatusCode> {
        let basic = format!("Basic {}", STANDARD.encode(format!("unused:{}", who.token())));
        let ask = Ask::new(method, path).header("authorization", basic);
        Ok(self.cast.registry.send(ask).await?.status)
    }

    async fn check(&self, method: Method, path: &str, expected: u16) -> Result<()> {
        let status = self.registry(&self.pruner, method.clone(), path).await?;
        ensure!(status.as_u16() == expected, "{method} {path}: {status}, not {expected}");
        Ok(())
    }

    async fn prune_as(&self, era: &Era) -> Result<()> {
        let Self { cast, pruner, old, new } = self;
        for list in era.lists {
            // In 2016 the role knew less; pruners of today go on where they are refused.
            let newer = ["/apis/apps/", "/apis/batch/", "/api/v1/namespaces"]
                .iter()
                .any(|kind| list.starts_with(kind));
            let who = if newer { &cast.root } else { pruner };
            let listed = cast.read(who, &format!("{list}{}", era.query)).await?;
            ensure!(listed["items"].is_array(), "{list}: {listed}");
        }
        for path in ["/", era.ping] {
            let answer = cast.registry.send(Ask::get(path)).await?;
            ensure!(answer.status == StatusCode::OK, "{path}: {}", answer.status);
        }
        self.update_stream(era).await?;
        let parts = [&old.layer.digest, &old.config.digest];
        for digest in parts {
            self.check(Method::DELETE, &format!("/v2/{REPOSITORY}/blobs/{digest}"), 202).await?;
            self.check(Method::DELETE, &format!("/v2/{REPOSITORY}/blobs/{digest}"), 404).await?;
        }
        let manifest = format!("/v2/{REPOSITORY}/manifests/{}", old.manifest.digest);
        self.check(Method::DELETE, &manifest, 202).await?;
        self.check(Method::DELETE, &manifest, 404).await?;
        for digest in parts {
            let status =
                self.registry(&cast.chief, Method::DELETE, &format!("/admin/blobs/{digest}")).await?;
            ensure!(status == StatusCode::UNAUTHORIZED, "an administrator of one project prunes: {status}");
            self.check(Method::DELETE, &format!("/admin/blobs/{digest}"), 204).await?;
            self.check(Method::DELETE, &format!("/admin/blobs/{digest}"), 404).await?;
        }
        // What is still served is not taken, whatever a pruner believes.
        self.check(Method::DELETE, &format!("/admin/blobs/{}", new.layer.digest), 202).await?;
        let image = format!("{}/images/{}", era.images, old.manifest.digest);
        cast.delete(pruner, &image).await?;
        let gone = cast.api.send(Ask::new(Method::DELETE, image).by(pruner)).await?;
        ensure!(gone.status == StatusCode::NOT_FOUND, "{}", gone.status);
        self.check_end().await
    }

    /// Takes the older item out of the stream, after a conflict as with somebody who pushes at the same time.
    async fn update_stream(&self, era: &Era) -> Result<()> {
        let Self { cast, pruner, .. } = self;
        let path = format!("{}/namespaces/victim/imagestreams/app", era.images);
        let shorten = |mut stream: Value| {
            let items = stream.pointer_mut("/status/tags/0/items").and_then(Value::as_array_mut);
            items.map(|items| items.truncate(1)).context("no items").map(|()| stream)
        };
        let stale = shorten(cast.read(&cast.root, &path).await?)?;
        cast.push_image(&cast.chief, REPOSITORY, "other", &self.new).await?;
        let put = |stream: &Value| Ask::new(Method::PUT, format!("{path}/status")).json(stream).by(pruner);
        let conflict = cast.api.send(put(&stale)).await?;
        ensure!(conflict.status == StatusCode::CONFLICT, "{}", conflict.status);
        let fresh = shorten(cast.read(&cast.root, &path).await?)?;
        let written = cast.api.send(put(&fresh)).await?;
        ensure!(
            written.status == StatusCode::OK,
            "{}: {}",
            written.status,
            String::from_utf8_lossy(&written.body)
        );
        Ok(())
    }

    /// The older image is gone with its parts, the newer one is whole.
    async fn check_end(&self) -> Result<()> {
        let Self { cast, old, new, .. } = self;
        for (image, expected) in [(old, StatusCode::NOT_FOUND), (new, StatusCode::OK)] {
            for path in [
                format!("manifests/{}", image.manifest.digest),
                format!("blobs/{}", image.layer.digest),
                format!("blobs/{}", image.config.digest),
            ] {
                let status =
                    self.registry(&cast.chief, Method::GET, &format!("/v2/{REPOSITORY}/{path}")).await?;
                ensure!(status == expected, "{path}: {status}");
            }
        }
        let stream =
            cast.read(&cast.root, "/apis/image.openshift.io/v1/namespaces/victim/imagestreams/app").await?;
        let text = stream.to_string();
        ensure!(!text.contains(&old.manifest.digest) && text.contains(&new.manifest.digest), "{text}");
        Ok(())
    }
}

#[tokio::test]
async fn a_pruner_of_today_finds_all_that_it_asks_for() -> Result<()> {
    let scene = Scene::open().await?;
    let era =
        Era { images: "/apis/image.openshift.io/v1", lists: &TODAY, query: "?limit=5000", ping: "/healthz" };
    scene.prune_as(&era).await?;
    scene.cast.stop()
}

#[tokio::test]
async fn a_pruner_of_2016_finds_all_that_it_asks_for() -> Result<()> {
    let scene = Scene::open().await?;
    let era = Era { images: "/oapi/v1", lists: &OF_2016, query: "", ping: "/healthz" };
    scene.prune_as(&era).await?;
    scene.cast.stop()
}

#[tokio::test]
async fn our_own_pruner_comes_to_the_same_end_and_top_agrees() -> Result<()> {
    let scene = Scene::open().await?;
    let Scene { cast, old, new, .. } = &scene;
    let cleo = cast.site.user("cleo").await?;
    let grant = ["adm", "policy", "add-cluster-role-to-user", "cluster-admin", "cleo"];
    cast.site.admin()?.oc(grant).await.succeeds();
    let url = format!("http://{}", cast.site.addresses().registry);
    let prune = async |more: &[&str]| {
        let mut line = vec!["--compat=4", "adm", "prune", "images", "--keep-younger-than=0s"];
        line.extend(["--keep-tag-revisions=1", "--registry-url", &url]);
        line.extend(more);
        cleo.oc(line).await.succeeds()
    };
    let top = cleo.oc(["adm", "top", "images"]).await.succeeds();
    let named = |line: &str| line.starts_with(&old.manifest.digest) && line.contains(" victim/app (latest) ");
    ensure!(top.lines().any(named), "{top}");
    let top = cleo.oc(["adm", "top", "imagestreams"]).await.succeeds();
    ensure!(top.lines().any(|line| line.starts_with("victim/app ") && line.contains(" 2 ")), "{top}");

    let dry = prune(&[]).await;
    let last = "Summary: deleted 1 image object(s), deleted 1 image stream tag item(s), updated 1 image stream(s), \
                deleted 2 layer link(s), deleted 1 manifest link(s), deleted 3 blob(s)\n";
    ensure!(
        dry.contains(&format!("Deleting image {}\n", old.manifest.digest)) && dry.ends_with(last),
        "{dry}"
    );
    ensure!(!dry.contains(&new.manifest.digest), "{dry}");
    let path = format!("/v2/{REPOSITORY}/blobs/{}", old.layer.digest);
    let status = scene.registry(&cast.chief, Method::GET, &path);
    ensure!(status.await? == StatusCode::OK, "a dry run removed something");
    let done = prune(&["--confirm"]).await;
    ensure!(done == dry, "{done}\nis not\n{dry}");
    scene.check_end().await?;
    let again = prune(&["--confirm"]).await;
    ensure!(again == "Summary: deleted 0 objects\n", "{again}");
    let top = cleo.oc(["adm", "top", "images"]).await.succeeds();
    ensure!(!top.contains(&old.manifest.digest) && top.contains(&new.manifest.digest), "{top}");
    scene.cast.stop()
}
