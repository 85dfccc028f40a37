//! Completion in a real shell, plugins, the manual.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::Result;
use pierhead_testkit::{Actor, Site, Tool, eventually};

use super::does;

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_completion() -> Result<()> {
    let site = Site::start().await?;
    let ed = site.user("ed").await?;
    does(&ed, "new-project pushed").await;
    does(&ed, "create imagestream myimage").await;
    does(&ed, "create configmap settings").await;
    bash_completes_verbs_kinds_and_live_names(&site, &ed).await?;
    programs_on_the_path_are_verbs(&site, &ed).await?;
    the_manual_has_a_page_for_each_verb(&ed).await?;
    an_interrupted_watch_ends_with_130(&site, &ed).await?;
    site.stop()
}

/// What bash offers for a line with the cursor at its end.
async fn offered(site: &Site, actor: &Actor, line: &str) -> Result<String> {
    let script = format!(
        "PATH={}:$PATH; source <(oc completion bash); COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; \
         __oc_complete 2>/dev/null; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        site.binaries().display()
    );
    let shell = Tool::new("bash", actor.home()).variable("KUBECONFIG", actor.kubeconfig());
    Ok(shell.run(["--noprofile", "--norc", "-c", &script]).await.succeeds())
}

async fn bash_completes_verbs_kinds_and_live_names(site: &Site, ed: &Actor) -> Result<()> {
    for (line, expected) in [
        ("oc rollo", "rollout\n"),
        ("oc policy add-role-to-u", "add-role-to-user\n"),
        ("oc get imagestreamt", "imagestreamtags\n"),
        ("oc get is my", "myimage\n"),
        ("oc get is/m", "is/myimage\n"),
        ("oc -n pushed describe configmap set", "settings\n"),
        ("oc get pods --no-h", "--no-headers\n"),
        ("oc get pods -o y", "yaml\n"),
        ("oc project push", "pushed\n"),
        ("oc -n pus", "pushed\n"),
        ("oc policy add-role-to-user system:image-pul", "image-puller\n"),
        ("oc completion z", "zsh\n"),
    ] {
        // On a busy machine the server may take longer to answer than somebody who types waits.
        eventually(line, async || {
            offered(site, ed, line).await.is_ok_and(|offered| offered == expected).then_some(())
        })
        .await?;
    }
    let nobody = site.stranger("nobody")?;
    assert_eq!(offered(site, &nobody, "oc get is my").await?, "\n");
    Ok(())
}

async fn programs_on_the_path_are_verbs(site: &Site, ed: &Actor) -> Result<()> {
    let folder = ed.home().join("plugins");
    std::fs::create_dir(&folder)?;
    let program = |name: &str, text: &str| -> Result<()> {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n"))?;
        Ok(std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?)
    };
    program("oc-hello", "echo hello \"$@\"")?;
    program("kubectl-hello-world", "echo whole world \"$@\"; exit 7")?;
    program("pierhead-get", "echo never")?;
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let tool =
        Tool::new(site.binary(), ed.home()).variable("KUBECONFIG", ed.kubeconfig()).variable("PATH", path);
    assert_eq!(tool.run(["hello", "you", "--loud"]).await.succeeds(), "hello you --loud\n");
    let outcome = tool.run(["hello", "world", "x"]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(7), "whole world x\n"));
    assert_eq!(
        tool.run(["get", "is", "-o", "name"]).await.succeeds(),
        "imagestream.image.openshift.io/myimage\n"
    );
    let outcome = tool.run(["plugin", "list"]).await;
    assert!(
        outcome.code == Some(1) && outcome.said("oc-hello") && outcome.said("\"get\" is a verb already"),
        "{outcome}"
    );
    Ok(())
}

async fn the_manual_has_a_page_for_each_verb(ed: &Actor) -> Result<()> {
    does(ed, "man pages").await;
    for page in ["pierhead.1", "pierhead-get.1", "pierhead-policy-add-role-to-user.1"] {
        let text = std::fs::read_to_string(ed.home().join("pages").join(page))?;
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
    Ok(())
}

async fn an_interrupted_watch_ends_with_130(site: &Site, ed: &Actor) -> Result<()> {
    let script = format!(
        "{} get configmap -w > watched & pid=$!; until grep -q settings watched; do sleep 0.05; done; kill -INT $pid; \
         wait $pid; echo $?",
        site.binary().display()
    );
    // With job control a shell lets its children have SIGINT.
    let shell = Tool::new("bash", ed.home()).variable("KUBECONFIG", ed.kubeconfig());
    let said = shell.run(["-m", "-c", &script]).await.succeeds();
    assert!(said.ends_with("130\n"), "{said}");
    Ok(())
}
