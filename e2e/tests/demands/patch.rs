//! `patch` and `edit`.

use anyhow::Result;
use pierhead_testkit::{Actor, Site, Tool};

use super::{does, fails, feeds, says};

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_patch() -> Result<()> {
    let site = Site::start().await?;
    let ed = site.user("ed").await?;
    does(&ed, "new-project patched").await;
    does(&ed, "create configmap it --from-literal=a=1").await;
    patches_come_in_three_types(&ed).await?;
    what_changes_nothing_is_said(&ed).await?;
    patches_can_be_tried(&ed).await?;
    an_editor_changes_objects(&site, &ed).await?;
    site.stop()
}

async fn patches_come_in_three_types(ed: &Actor) -> Result<()> {
    does(ed, "patch configmap/it -p '{\"data\":{\"b\":\"2\"}}'").await;
    does(ed, "patch configmap/it --type=merge -p 'data: {c: \"3\"}'").await;
    does(ed, "patch configmap it --type=json -p '[{\"op\":\"remove\",\"path\":\"/data/a\"}]'").await;
    says(ed, "get configmap it -o jsonpath={.data}", "{\"b\":\"2\",\"c\":\"3\"}").await;
    std::fs::write(ed.home().join("patch"), "data: {d: '4'}")?;
    does(ed, "patch configmap it --patch-file patch").await;
    fails(ed, "patch configmap it", 1, "must specify --patch or --patch-file").await;
    fails(ed, "patch configmap it --type=other -p {}", 2, "strategic").await;
    fails(ed, "patch configmap it --type=json -p '[{\"op\":\"remove\",\"path\":\"/data/none\"}]'", 1, "")
        .await;
    Ok(())
}

async fn what_changes_nothing_is_said(ed: &Actor) -> Result<()> {
    says(
        ed,
        "patch configmap/it -p '{\"data\":{\"b\":\"2\"}}' --compat=4",
        "configmap/it patched (no change)",
    )
    .await;
    says(ed, "patch configmap/it -p '{\"data\":{\"b\":\"3\"}}' --compat=4", "configmap/it patched\n").await;
    Ok(())
}

async fn patches_can_be_tried(ed: &Actor) -> Result<()> {
    let tried = "patch configmap/it -p '{\"data\":{\"b\":\"9\"}}' -o jsonpath={.data.b} --dry-run";
    assert_eq!(does(ed, &format!("{tried}=client")).await, "9");
    assert_eq!(does(ed, &format!("{tried}=server")).await, "9");
    assert_eq!(does(ed, "get configmap it -o jsonpath={.data.b}").await, "3");
    let local = feeds(
        ed,
        "patch --local -f - -p '{\"data\":{\"z\":\"1\"}}' -o jsonpath={.data.z}",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}",
    )
    .await;
    assert_eq!(local, "1");
    Ok(())
}

async fn an_editor_changes_objects(site: &Site, ed: &Actor) -> Result<()> {
    let tool = |editor: &str| {
        Tool::new(site.binary(), ed.home())
            .variable("KUBECONFIG", ed.kubeconfig())
            .variable("OC_EDITOR", editor)
    };
    let edited = tool("sed -i 's/b: .*/b: \"7\"/'").run(["edit", "configmap/it"]).await.succeeds();
    assert!(edited.contains("edited"), "{edited}");
    assert_eq!(does(ed, "get configmap it -o jsonpath={.data.b}").await, "7");
    assert!(tool("true").run(["edit", "configmap/it"]).await.said("Edit cancelled, no changes made."));
    Ok(())
}
