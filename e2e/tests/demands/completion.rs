//! Completion in a real shell, plugins, the manual.

use std::os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _};
use std::process::Stdio;

use anyhow::{Context as _, Result};
use pierhead_testkit::{Actor, Site, Tool, eventually};
use tokio::io::{AsyncBufReadExt as _, BufReader};

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

/// Shells show an end by SIGINT as 130.
async fn an_interrupted_watch_ends_with_130(site: &Site, ed: &Actor) -> Result<()> {
    // Where the tests run in the background of a shell, it has them ignore SIGINT.
    let mut watch = tokio::process::Command::new("env")
        .arg("--default-signal=INT")
        .arg(site.binary())
        .args(["get", "configmap", "-w"])
        .env_clear()
        .env("KUBECONFIG", ed.kubeconfig())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(watch.stdout.take().context("it is piped")?).lines();
    lines.next_line().await?.context("it shows what there is")?;
    let process = watch.id().context("it runs")?.to_string();
    Tool::new("kill", ed.home()).run(["-INT", &process]).await.succeeds();
    assert_eq!(watch.wait().await?.signal(), Some(2));
    Ok(())
}
