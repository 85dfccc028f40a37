//! The first part of the story: a project that accepts pushes from outside, and a push.

use super::Story;
use super::cluster::Shell;
use super::sample::{self, Target};
use super::wait::eventually;
use anyhow::{Result, bail};
use std::time::Duration;

const HOST: &str = "localhost";
const PROJECT: &str = "pushed";
const STREAM: &str = "myimage";
const LIMIT: Duration = Duration::from_secs(30);

const IMAGE_STREAM: &str = "apiVersion: v1
kind: ImageStream
metadata:
  annotations:
    description: Keeps track of changes in the application image
  name: myimage
";

/// What the rest of the story needs to know of the pushed image.
pub(super) struct Pushed {
    /// `host:port` of the exposed registry.
    pub(super) registry: String,
    /// `host:port/project/stream`.
    pub(super) repository: String,
    /// Token of the account that may push and pull.
    pub(super) token: String,
}

/// Exposes the registry, prepares the project, pushes version 1.
pub(super) fn tell(story: &mut Story<'_>) -> Result<Pushed> {
    expose(story)?;
    let ed = prepare_project(story)?;
    let token = token(story, &ed)?;
    let registry = format!("{HOST}:{}", story.nonprod.router().port());
    let pushed = Pushed { repository: format!("{registry}/{PROJECT}/{STREAM}"), registry, token };
    story.tell.title("Push from outside")?;
    log_in(story, &pushed)?;
    push(story, &pushed, "version 1")?;
    story.tell.say("The image stream knows what was pushed:")?;
    story.tell.show(&ed.oc(&["describe", "is", STREAM])?)?;
    Ok(pushed)
}

fn expose(story: &mut Story<'_>) -> Result<()> {
    story.tell.title("Make the registry of nonprod reachable from outside")?;
    story.tell.say(
        "By default the registry is not reachable from outside its cluster. A route exposes it; the \
         administrator makes one. Engines take the name localhost without TLS, so the story uses that.",
    )?;
    let admin = story.nonprod.administrator();
    let name = format!("--hostname={HOST}");
    story.tell.show(&admin.oc(&["expose", "service", "docker-registry", "-n", "default", &name])?)
}

fn prepare_project(story: &mut Story<'_>) -> Result<Shell> {
    story.tell.title("A project that accepts pushes")?;
    story.tell.say(
        "Ed is a developer. He makes a project, and in it a service account for whoever pushes: a pipeline does \
         not use a person's password.",
    )?;
    let ed = story.nonprod.somebody();
    let api = story.nonprod.api();
    let authority = story.nonprod.authority();
    let authority = format!("--certificate-authority={}", authority.display());
    story.tell.show(&ed.oc(&["login", "-u", "ed", "-p", "anything", &api, &authority])?)?;
    story.tell.show(&ed.oc(&["new-project", PROJECT])?)?;
    story.tell.show(&ed.oc(&["create", "serviceaccount", "pusher"])?)?;
    story.tell.say(
        "The role system:image-builder allows push and pull and nothing else. Only cluster administrators may \
         grant it, so Ed is refused; the role edit is his to give.",
    )?;
    let account = format!("system:serviceaccount:{PROJECT}:pusher");
    let refused = ed.oc(&["policy", "add-role-to-user", "system:image-builder", &account])?;
    story.tell.show_refusal(&refused)?;
    story.tell.show(&ed.oc(&["policy", "add-role-to-user", "edit", &account])?)?;
    story.tell.show(&ed.oc_with_input(&["create", "-f", "-"], IMAGE_STREAM)?)?;
    Ok(ed)
}

fn token(story: &mut Story<'_>, ed: &Shell) -> Result<String> {
    story.tell.say("The account has tokens, each in a secret. A token is the password of the registry.")?;
    story.tell.show(&ed.oc(&["describe", "sa", "pusher"])?)?;
    let token = ed.oc(&["sa", "get-token", "pusher"])?;
    if !token.succeeded {
        bail!("the account has no token: {}", token.output);
    }
    Ok(token.output.trim().to_owned())
}

fn log_in(story: &mut Story<'_>, pushed: &Pushed) -> Result<()> {
    let Some(engine) = &story.engine else { return Ok(()) };
    let login = ["login", "-u", "anything", "--password-stdin", &pushed.registry];
    let mut ran = engine.docker(&login, &pushed.token)?;
    ran.typed =
        format!("oc sa get-token pusher | docker login -u anything --password-stdin {}", pushed.registry);
    story.tell.show(&ran)
}

/// Pushes `message` as the image `latest`: by the engine, or by this program where there is none.
pub(super) fn push(story: &mut Story<'_>, pushed: &Pushed, message: &str) -> Result<()> {
    let image = format!("{}:latest", pushed.repository);
    if let Some(engine) = &story.engine {
        story.tell.show(&engine.build(&image, message)?)?;
        return story.tell.show(&engine.docker(&["push", &image], "")?);
    }
    let repository = format!("{PROJECT}/{STREAM}");
    let target = Target {
        router: story.nonprod.router(),
        host: &pushed.registry,
        repository: &repository,
        tag: "latest",
        token: &pushed.token,
    };
    let digest = eventually(LIMIT, || sample::push(&target, message))?;
    story.tell.say(&format!("This program pushed {image}, which is {digest}."))
}
