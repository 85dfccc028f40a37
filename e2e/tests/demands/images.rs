//! Streams, tags and images.

use anyhow::Result;
use pierhead_testkit::{Actor, Site};

use super::{does, fails, feeds, says};

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_images() -> Result<()> {
    let site = Site::start().await?;
    let ed = site.user("ed").await?;
    does(&ed, "new-project images").await;
    streams_are_made_and_shown(&ed).await?;
    tags_follow_and_refer(&ed).await?;
    names_of_streams_can_stand_for_images(&ed).await?;
    images_belong_to_the_cluster(&site.admin()?, &ed).await?;
    site.stop()
}

async fn streams_are_made_and_shown(ed: &Actor) -> Result<()> {
    says(ed, "create imagestream one --compat=4", "imagestream.image.openshift.io/one created").await;
    fails(ed, "create imagestream one", 1, "already exists").await;
    feeds(ed, "create -f -", "{apiVersion: v1, kind: ImageStream, metadata: {name: two}}").await;
    says(ed, "get is one -o jsonpath={.status.dockerImageRepository}", "/images/one").await;
    says(ed, "describe is one", "Docker Pull Spec:").await;
    says(ed, "delete is/two --compat=4", "imagestream.image.openshift.io \"two\" deleted").await;
    Ok(())
}

async fn tags_follow_and_refer(ed: &Actor) -> Result<()> {
    does(ed, "tag hub.example.com/app:1 one:ref --source=docker --reference").await;
    says(ed, "get is one -o jsonpath={.spec.tags[?(@.name==\"ref\")].reference}", "true").await;
    does(ed, "tag one:ref one:alias --alias").await;
    says(ed, "get is one -o jsonpath={.spec.tags[?(@.name==\"alias\")].from.name}", "one:ref").await;
    fails(ed, "tag one:none one:other", 1, "not currently pointing to an image").await;
    says(ed, "tag -d one:alias", "Deleted tag images/one:alias.").await;
    fails(ed, "tag -d one:alias", 1, "").await;
    fails(ed, "import-image none", 1, "pass --confirm to create and import").await;
    Ok(())
}

async fn names_of_streams_can_stand_for_images(ed: &Actor) -> Result<()> {
    says(ed, "set image-lookup", "one").await;
    does(ed, "set image-lookup one").await;
    says(ed, "set image-lookup one --list", "true").await;
    says(ed, "get is one -o jsonpath={.spec.lookupPolicy.local}", "true").await;
    does(ed, "set image-lookup one --enabled=false").await;
    says(ed, "set image-lookup one --list", "false").await;
    Ok(())
}

async fn images_belong_to_the_cluster(admin: &Actor, ed: &Actor) -> Result<()> {
    fails(ed, "get images", 1, "cannot list").await;
    does(admin, "get images").await;
    Ok(())
}
