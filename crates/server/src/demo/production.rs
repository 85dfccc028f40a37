//! The second part of the story: production imports the image, runs it, follows it, and needs nonprod no more.

use super::Story;
use super::cluster::Shell;
use super::pushed::{self, Pushed};
use super::wait::{eventually, until};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::header::HOST as HOST_HEADER;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pierhead_client::{HttpClient, Trust};
use std::net::SocketAddr;
use std::time::Duration;

const PROJECT: &str = "myapp";
const HOST: &str = "myapp.apps.production.example.com";
/// How long a roll-out may take.
const LIMIT: Duration = Duration::from_secs(120);
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// A deployment that follows the stream, a service for it, and a route to that.
const APPLICATION: &str = "apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: DeploymentConfig
  metadata:
    name: myapp
  spec:
    replicas: 1
    selector: {app: myapp}
    template:
      metadata:
        labels: {app: myapp}
      spec:
        terminationGracePeriodSeconds: 1
        containers:
        - name: myimage
          image: myimage
          imagePullPolicy: IfNotPresent
          ports:
          - containerPort: 8080
          readinessProbe:
            periodSeconds: 1
            httpGet: {path: /, port: 8080}
    triggers:
    - type: ConfigChange
    - type: ImageChange
      imageChangeParams:
        automatic: true
        containerNames: [myimage]
        from: {kind: ImageStreamTag, name: 'myimage:latest'}
- apiVersion: v1
  kind: Service
  metadata:
    name: myapp
  spec:
    selector: {app: myapp}
    ports:
    - {name: http, port: 8080}
";

/// Imports what was pushed and, where there is an engine, deploys it.
pub(super) fn tell(story: &mut Story<'_>, image: &Pushed) -> Result<()> {
    let ann = import(story, image)?;
    if story.engine.is_some() {
        deploy(story, &ann)?;
        promote(story, &ann, image)?;
        lose_nonprod(story, &ann)?;
    } else {
        story.tell.title("Left out: running it")?;
        story.tell.say(
            "With a container engine, production would now deploy the image by a DeploymentConfig, roll out each \
             new version that is pushed to nonprod, and go on when nonprod is gone.",
        )?;
    }
    Ok(())
}

fn import(story: &mut Story<'_>, image: &Pushed) -> Result<Shell> {
    story.tell.title("Production takes the image")?;
    story.tell.say("Ann runs what Ed makes, in a cluster of her own.")?;
    let ann = story.production.somebody();
    let api = story.production.api();
    let authority = story.production.authority();
    let authority = format!("--certificate-authority={}", authority.display());
    story.tell.show(&ann.oc(&["login", "-u", "ann", "-p", "anything", &api, &authority])?)?;
    story.tell.show(&ann.oc(&["new-project", PROJECT])?)?;
    story.tell.say(
        "The registry of nonprod shows nothing to strangers. Ann puts the token of nonprod's account into a \
         secret, and links it to the account that runs her pods.",
    )?;
    let server = format!("--docker-server={}", image.registry);
    let password = format!("--docker-password={}", image.token);
    let secret = ["secrets", "new-dockercfg", "nonprod", &server, "--docker-username=anything", &password];
    let mut ran = ann.oc(&[&secret[..], &["--docker-email=ann@example.com"]].concat())?;
    ran.typed = ran.typed.replace(&image.token, "TOKEN");
    story.tell.show(&ran)?;
    let link = ["secrets", "add", "serviceaccount/default", "secrets/nonprod", "--for=pull"];
    story.tell.show(&ann.oc(&link)?)?;
    story.tell.say(
        "An import makes an image stream that follows the other registry. --insecure, since nonprod is exposed \
         without TLS here; --scheduled, so that production looks again by itself.",
    )?;
    let from = format!("--from={}", image.repository);
    let import = ["import-image", "myimage", &from, "--confirm", "--insecure=true", "--scheduled=true"];
    story.tell.show(&ann.oc(&import)?)?;
    Ok(ann)
}

fn deploy(story: &mut Story<'_>, ann: &Shell) -> Result<()> {
    story.tell.title("Production runs it")?;
    story.tell.say(
        "A DeploymentConfig runs the image of the stream's tag, and rolls out again whenever the tag moves. A \
         route makes it reachable.",
    )?;
    story.tell.show(&ann.oc_with_input(&["create", "-f", "-"], APPLICATION)?)?;
    story.tell.show(&ann.oc(&["expose", "service", "myapp", "--hostname", HOST])?)?;
    story.tell.show(&ann.oc(&["rollout", "status", "dc/myapp"])?)?;
    story.tell.show(&ann.oc(&["get", "pods"])?)?;
    let answer = wait_for(story.production.router(), "version 1")?;
    story.tell.note(&format!("GET http://{HOST}/ answers: {answer}"))
}

fn promote(story: &mut Story<'_>, ann: &Shell, image: &Pushed) -> Result<()> {
    story.tell.title("A new version goes from one cluster to the other")?;
    story.tell.say(
        "Ed pushes again. Nobody does anything in production: the scheduled import sees the new image, the tag \
         moves, and the deployment follows.",
    )?;
    pushed::push(story, image, "version 2")?;
    let answer = wait_for(story.production.router(), "version 2")?;
    story.tell.show(&ann.oc(&["rollout", "status", "dc/myapp"])?)?;
    story.tell.note(&format!("GET http://{HOST}/ answers: {answer}"))
}

fn lose_nonprod(story: &mut Story<'_>, ann: &Shell) -> Result<()> {
    story.tell.title("Production without nonprod")?;
    story
        .tell
        .say("The first cluster is switched off now. Production goes on, and starts its pods again.")?;
    story.nonprod.stop()?;
    story.tell.show(&ann.oc(&["delete", "pod", "-l", "app=myapp"])?)?;
    let answer = wait_for(story.production.router(), "version 2")?;
    story.tell.show(&ann.oc(&["get", "pods"])?)?;
    story.tell.note(&format!("GET http://{HOST}/ answers: {answer}"))
}

/// Removes what runs, so that the engine is left as it was found.
pub(super) fn clear(story: &Story<'_>) -> Result<()> {
    if story.engine.is_none() {
        return Ok(());
    }
    let admin = story.production.administrator();
    for kind in ["dc", "rc", "pods"] {
        let ran = admin.oc(&["delete", kind, "--all", "-n", PROJECT])?;
        ensure!(ran.succeeded, "{}", ran.output);
    }
    until(LIMIT, || {
        let pods = admin.oc(&["get", "pods", "-n", PROJECT, "-o", "name"])?;
        Ok((pods.succeeded && pods.output.trim().is_empty()).then_some(()))
    })
    .context("the pods of the story do not end")
}

/// The application's answer, once it is `expected`.
fn wait_for(router: SocketAddr, expected: &str) -> Result<String> {
    eventually(LIMIT, || {
        let answer = get(router).context("asking the application")?;
        ensure!(answer.trim() == expected, "the application answers: {answer}");
        Ok(expected.to_owned())
    })
}

/// The body of the application's page.
fn get(router: SocketAddr) -> Result<String> {
    let headers = HeaderMap::from_iter([(HOST_HEADER, HeaderValue::from_static(HOST))]);
    let answer = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let client = HttpClient::new(&Trust::default())?;
        let page = format!("http://{router}/");
        let asked = client.fetch(Method::GET, &page, headers, Bytes::new());
        anyhow::Ok(tokio::time::timeout(REQUEST_LIMIT, asked).await??)
    })?;
    ensure!(answer.status == StatusCode::OK, "the answer is {}", answer.status);
    Ok(String::from_utf8(answer.body.to_vec())?)
}
