//! `explain`.

use anyhow::Result;
use pierhead_testkit::{Actor, Site};

use super::{fails, says};

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_explain() -> Result<()> {
    let site = Site::start().await?;
    let ed = site.user("ed").await?;
    kinds_and_fields_are_explained(&ed).await?;
    what_is_not_known_is_said(&ed).await?;
    site.stop()
}

async fn kinds_and_fields_are_explained(ed: &Actor) -> Result<()> {
    for kind in ["pods", "dc", "is", "istag", "route", "svc", "secrets", "projects", "rolebindings", "users"]
    {
        says(ed, &format!("explain {kind}"), "metadata").await;
    }
    says(ed, "explain pods.spec.containers.image", "image").await;
    says(ed, "explain dc.spec.triggers", "imageChangeParams").await;
    says(ed, "explain is.spec.tags.importPolicy", "scheduled").await;
    says(ed, "explain route --recursive", "termination").await;
    Ok(())
}

async fn what_is_not_known_is_said(ed: &Actor) -> Result<()> {
    fails(ed, "explain gadgets", 1, "gadgets").await;
    fails(ed, "explain pods.spec.nothing", 1, "nothing").await;
    fails(ed, "explain", 2, "Usage").await;
    Ok(())
}
