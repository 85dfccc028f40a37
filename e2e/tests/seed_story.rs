//! The story that Pierhead tells first: expose the registry, make a project that accepts pushes, push from outside with
//! a service account's token, look at the image stream, pull, and use the image from another project.
//!
//! Every command is typed as it was in 2016, except for what Docker and people no longer have (`--email`).

use anyhow::{Context as _, Result, ensure};
use pierhead_testkit::{Actor, DockerEngine, HostName, Site, eventually};

const MESSAGE: &str = "hello from outside\n";

const IMAGE_STREAM: &str = r#"apiVersion: v1
kind: ImageStream
metadata:
  annotations:
    description: Keeps track of changes in the application image
  name: myimage
"#;

const OLDER_WAY: &str = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: older\n";

/// The text after `label` on the line that starts with it.
pub(crate) fn field<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim_start().strip_prefix(label)).map(str::trim)
}

/// The first word that starts with `prefix`.
pub(crate) fn word<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.split_whitespace().find(|word| word.starts_with(prefix))
}

/// Waits until a route of project `default` is admitted, and gives its host.
pub(crate) async fn admitted(admin: &Actor, route: &str) -> Result<String> {
    let path = "{.status.ingress[0].conditions[0].status} {.spec.host}";
    let output = format!("jsonpath={path}");
    eventually("the route is admitted", async || {
        let shown = admin.oc(["get", "route", route, "-n", "default", "-o", &output]).await;
        shown.stdout.strip_prefix("True ").map(|host| host.trim().to_owned())
    })
    .await
}

/// A token of a service account, found the way people found it: describe the account, then one of its secrets.
async fn token_of(actor: &Actor, account: &str) -> Result<String> {
    let prefix = format!("{account}-token-");
    let secret = eventually("the service account has a token", async || {
        let described = actor.oc(["describe", "sa", account]).await.succeeds();
        let tokens = described.split_once("Tokens:").map(|(_, rest)| rest)?;
        word(tokens, &prefix).map(str::to_owned)
    })
    .await?;
    let described = actor.oc(["describe", "secret", &secret]).await.succeeds();
    field(&described, "token:").map(str::to_owned).context(described)
}

/// Project `pushed` with an image stream and a service account that may push, made by its owner.
pub(crate) async fn prepare_project(site: &Site) -> Result<(Actor, String)> {
    let (admin, ed) = (site.admin()?, site.user("ed").await?);
    let made = ed.oc(["new-project", "pushed"]).await.succeeds();
    ensure!(made.contains("Now using project \"pushed\" on server"), "{made}");
    let made = ed.oc(["create", "serviceaccount", "pusher"]).await.succeeds();
    ensure!(made.contains("pusher") && made.contains("created"), "{made}");
    ed.oc_with_input(["create", "-f", "-"], OLDER_WAY).await.succeeds();

    let account = "system:serviceaccount:pushed:pusher";
    // The role is the cluster administrator's to give; `edit` is the project administrator's.
    let refused = ed.oc(["policy", "add-role-to-user", "system:image-builder", account]).await;
    ensure!(refused.code != Some(0), "{refused}");
    ed.oc(["policy", "add-role-to-user", "edit", account]).await.succeeds();
    admin
        .oc(["policy", "add-role-to-user", "system:image-builder", account, "-n", "pushed"])
        .await
        .succeeds();

    let described = ed.oc(["describe", "sa", "pusher"]).await.succeeds();
    ensure!(field(&described, "Name:") == Some("pusher"), "{described}");
    ensure!(field(&described, "Namespace:") == Some("pushed"), "{described}");
    ensure!(field(&described, "Labels:") == Some("<none>"), "{described}");
    let token = token_of(&ed, "pusher").await?;
    let described = ed.oc(["describe", "sa", "pusher"]).await.succeeds();
    for label in ["Mountable secrets:", "Image pull secrets:"] {
        ensure!(
            field(&described, label).is_some_and(|text| text.starts_with("pusher-")),
            "{label} in {described}"
        );
    }
    let secret = word(&described, "pusher-token-").context("a token secret")?;
    let described = ed.oc(["describe", "secret", secret]).await.succeeds();
    ensure!(field(&described, "Type:") == Some("kubernetes.io/service-account-token"), "{described}");
    ensure!(described.contains("kubernetes.io/service-account.name"), "{described}");
    ensure!(field(&described, "ca.crt:").is_some_and(|size| size.ends_with("bytes")), "{described}");
    ensure!(token.split('.').count() == 3 && token.starts_with("eyJ"), "{token} is no JWT");

    ed.oc_with_input(["create", "-f", "-"], IMAGE_STREAM).await.succeeds();
    Ok((ed, token))
}

/// Logs in, pushes a new image and gives its digest as Docker reports it.
async fn push(docker: &DockerEngine, registry: &str, token: &str) -> Result<String> {
    let login = ["login", "--username=ed", "--password-stdin", registry];
    let said = docker.docker_with_input(login, token).await.succeeds();
    ensure!(said.contains("Login Succeeded"), "{said}");
    let id = docker.make_image("local/app", MESSAGE).await?;
    let name = format!("{registry}/pushed/myimage:latest");
    docker.docker(["tag", &id, &name]).await.succeeds();
    let pushed = docker.docker(["push", &name]).await.succeeds();
    word(&pushed, "sha256:").map(str::to_owned).context(pushed)
}

/// Removes the image, pulls it again and runs it.
async fn pull_and_run(docker: &DockerEngine, registry: &str) -> Result<()> {
    let name = format!("{registry}/pushed/myimage");
    docker.docker(["rmi", "local/app", &name]).await.succeeds();
    let pulled = docker.docker(["pull", &name]).await.succeeds();
    ensure!(pulled.contains("Downloaded newer image"), "{pulled}");
    let printed = docker.docker(["run", "--rm", "--network", "none", &name]).await.succeeds();
    ensure!(printed == MESSAGE, "the image printed {printed:?}");
    Ok(())
}

pub(crate) fn host_port(host: &HostName, address: std::net::SocketAddr) -> String {
    format!("{}:{}", host.as_str(), address.port())
}

/// A line with its columns one space apart and its age or time, which differs from run to run, left out.
fn without_age(line: &str) -> String {
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((before, time)) = line.split_once("dockerRepositoryCheck=") {
        let form: String = time.chars().map(|each| if each.is_ascii_digit() { '0' } else { each }).collect();
        return format!("{before}dockerRepositoryCheck={form}");
    }
    let Some((before, after)) = line.split_once(" ago") else { return line };
    let ages = ["Less than a second", "About a minute"];
    let short = ages.iter().find_map(|age| before.strip_suffix(age).map(str::to_owned));
    // "17 seconds", "1 second", "2 minutes"
    let counted = || before.rsplitn(3, ' ').nth(2).map(|rest| format!("{rest} "));
    format!("{}AGE{after}", short.or_else(counted).unwrap_or_default())
}

/// `oc describe is` and what kubectl shows of the same stream.
pub(crate) async fn look_at_the_stream(site: &Site, ed: &Actor, digest: &str) -> Result<()> {
    let described = ed.oc(["describe", "is", "myimage"]).await.succeeds();
    let repository = format!("{}/pushed/myimage", site.addresses().registry);
    let expected = [
        "Name: myimage",
        "Created: AGE",
        "Labels: <none>",
        "Description: Keeps track of changes in the application image",
        "Annotations: openshift.io/image.dockerRepositoryCheck=0000-00-00T00:00:00Z",
        &format!("Docker Pull Spec: {repository}"),
        "",
        "Tag Spec Created PullSpec Image",
        &format!("latest <pushed> AGE {repository}@{digest} <same>"),
    ];
    let shown: Vec<String> = described.trim_end().lines().map(without_age).collect();
    ensure!(shown == expected, "{described}");
    let path = "jsonpath={.status.tags[0].items[0].image}";
    let shown = ed.kubectl(["get", "imagestreams", "myimage", "-o", path]).await.succeeds();
    ensure!(shown == digest, "kubectl shows {shown}");
    let shown = ed.kubectl(["get", "imagestreamtags"]).await.succeeds();
    ensure!(shown.contains("myimage:latest"), "{shown}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_story_over_plain_http() -> Result<()> {
    let site = Site::start().await?;
    let admin = site.admin()?;
    let host = site.route_host("docker-registry", "default")?;
    let registry = host_port(&host, site.addresses().router_http);
    let exposed = admin.oc(["expose", "service", "docker-registry", "-n", "default"]).await.succeeds();
    ensure!(exposed.contains("docker-registry") && exposed.contains("exposed"), "{exposed}");
    ensure!(admitted(&admin, "docker-registry").await? == host.as_str(), "the route has another host");

    let docker = DockerEngine::start(&[&registry]).await?;
    let (ed, token) = prepare_project(&site).await?;
    let digest = push(&docker, &registry, &token).await?;
    look_at_the_stream(&site, &ed, &digest).await?;
    pull_and_run(&docker, &registry).await?;

    // Another project uses the image with a pull secret made by hand.
    ed.oc(["new-project", "production"]).await.succeeds();
    let server = format!("--docker-server={registry}");
    let password = format!("--docker-password={token}");
    let secret = [
        "secrets",
        "new-dockercfg",
        "pushed-pull",
        &server,
        "--docker-username=ed",
        &password,
        "--docker-email=ed@example.com",
    ];
    ed.oc(secret).await.succeeds();
    ed.oc(["secrets", "add", "serviceaccount/default", "secrets/pushed-pull", "--for=pull"]).await.succeeds();
    let path = "jsonpath={.imagePullSecrets[*].name}";
    let shown = ed.kubectl(["get", "serviceaccount", "default", "-o", path]).await.succeeds();
    ensure!(shown.split_whitespace().any(|name| name == "pushed-pull"), "{shown}");
    drop(docker);
    site.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_story_over_tls() -> Result<()> {
    let site = Site::start().await?;
    let admin = site.admin()?;
    let host = site.route_host("secured", "default")?;
    let registry = host_port(&host, site.addresses().router_https);
    let created =
        admin.oc(["create", "route", "edge", "secured", "--service=docker-registry", "-n", "default"]).await;
    ensure!(created.succeeds().contains("created"));
    ensure!(admitted(&admin, "secured").await? == host.as_str(), "the route has another host");

    let mut docker = DockerEngine::start(&[]).await?;
    docker.docker(["pull", &format!("{registry}/pushed/myimage")]).await.fails_with("x509");
    docker.trust(&registry, &site.authority())?;
    let (ed, token) = prepare_project(&site).await?;
    let digest = push(&docker, &registry, &token).await?;
    look_at_the_stream(&site, &ed, &digest).await?;
    pull_and_run(&docker, &registry).await?;

    // Whoever is not logged in gets nothing.
    docker.docker(["logout", &registry]).await.succeeds();
    let refused = docker.docker(["pull", &format!("{registry}/pushed/myimage")]).await;
    ensure!(refused.code != Some(0) && !refused.said("Downloaded"), "{refused}");
    drop(docker);
    site.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_story_works_with_kubectl() -> Result<()> {
    let site = Site::start().await?;
    let admin = site.admin()?;
    admin.kubectl(["create", "namespace", "pushed"]).await.succeeds();
    admin.kubectl(["create", "serviceaccount", "pusher", "-n", "pushed"]).await.succeeds();
    admin
        .kubectl_with_input(
            ["create", "-n", "pushed", "-f", "-"],
            &IMAGE_STREAM.replace("v1", "image.openshift.io/v1"),
        )
        .await
        .succeeds();
    let binding = [
        "create",
        "rolebinding",
        "pushers",
        "--clusterrole=system:image-builder",
        "--serviceaccount=pushed:pusher",
        "-n",
        "pushed",
    ];
    admin.kubectl(binding).await.succeeds();
    let described = admin.kubectl(["describe", "serviceaccount", "pusher", "-n", "pushed"]).await.succeeds();
    ensure!(field(&described, "Name:") == Some("pusher"), "{described}");
    let may = [
        "auth",
        "can-i",
        "update",
        "imagestreams.image.openshift.io",
        "--subresource=layers",
        "-n",
        "pushed",
        "--as=system:serviceaccount:pushed:pusher",
    ];
    let answer = eventually("the binding holds", async || {
        let answer = admin.kubectl(may).await;
        (answer.stdout.trim() == "yes").then_some(answer)
    });
    answer.await?;
    let listed = admin.kubectl(["get", "svc,endpoints", "-n", "default"]).await.succeeds();
    ensure!(listed.contains("service/docker-registry"), "{listed}");
    admin.kubectl(["delete", "namespace", "pushed"]).await.succeeds();
    site.stop()
}
