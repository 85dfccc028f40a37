//! Requests made at random from our own description of the API, by schemathesis: no answer is an error of ours, and each
//! is as described. A few in every run, many in `cargo xtask fuzz-api`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pierhead_testkit::{Actor, Site, Tool};
use serde_json::{Map, Value};

use super::{program, tool};

/// What every run looks at; the lane looks at everything.
const FEW: &str = "/namespaces/\\{namespace\\}/(configmaps|secrets|imagestreams|imagestreamtags|imagestreamimports|routes)(/|$)\
     |/(projects|projectrequests|users|tokenreviews|selfsubjectaccessreviews|clusterroles)(/|$)";

const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// One document with the paths and schemas of all groups.
async fn document(admin: &Actor) -> Result<Value> {
    let raw = async |path: &str| -> Result<Value> {
        Ok(serde_json::from_str(&admin.oc(["get", "--raw", path]).await.succeeds())?)
    };
    let groups = raw("/openapi/v3").await?;
    let (mut whole, mut paths, mut components) = (Value::Null, Map::new(), Map::new());
    for group in groups["paths"].as_object().context("a list of documents")?.values() {
        let mut part = raw(group["serverRelativeURL"].as_str().context("a URL")?).await?;
        if let Some(Value::Object(some)) = part.get_mut("paths").map(Value::take) {
            paths.extend(some);
        }
        for (kind, some) in part["components"].as_object().into_iter().flatten() {
            let all = components.entry(kind.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let (Value::Object(all), Value::Object(some)) = (all, some.clone()) {
                all.extend(some);
            }
        }
        whole = part;
    }
    ensure!(paths.len() > 100, "only {} paths are described", paths.len());
    whole["paths"] = paths.into();
    whole["components"] = components.into();
    Ok(whole)
}

/// A token that may do everything, of an account that no request finds.
async fn token(admin: &Actor) -> String {
    admin.oc(["create", "serviceaccount", "fuzz", "-n", "default"]).await.succeeds();
    let role = ["adm", "policy", "add-cluster-role-to-user", "cluster-admin", "-z", "fuzz", "-n", "default"];
    admin.oc(role).await.succeeds();
    let token = ["create", "token", "fuzz", "-n", "default", "--duration=48h"];
    admin.oc(token).await.succeeds().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_random_are_answered_as_described() -> Result<()> {
    let given = |variable| std::env::var_os(variable).and_then(|text| text.into_string().ok());
    let examples = given("PIERHEAD_FUZZ_EXAMPLES");
    let paths = given("PIERHEAD_FUZZ_PATHS").unwrap_or_else(|| FEW.to_owned());
    let site = Site::start().await?;
    let admin = site.admin()?;
    let description = admin.home().join("openapi.json");
    std::fs::write(&description, document(&admin).await?.to_string())?;
    let authority = site.authority();
    let authorization = format!("Authorization: Bearer {}", token(&admin).await);
    let url = site.api_url();
    let mut arguments = vec!["-m", "schemathesis.cli", "run", "openapi.json", "--url", &url];
    arguments.extend(["--tls-verify", authority.to_str().context("a path")?, "--header", &authorization]);
    arguments.extend([
        "--phases",
        "fuzzing",
        "--checks",
        CHECKS,
        "--request-timeout",
        "20",
        "--request-retries",
        "2",
        "--no-color",
    ]);
    arguments.extend(["--include-path-regex", &paths]);
    // The same few every time: what many more of them find is fixed first, and then stays fixed.
    let few = [
        "--max-time",
        "60",
        "--max-examples",
        "2",
        "--seed",
        "1",
        "--generation-deterministic",
        "--no-shrink",
    ];
    match &examples {
        Some(examples) => {
            arguments.extend([
                "--max-examples",
                examples,
                "--continue-on-failure",
                "--generation-database",
                "none",
            ]);
        }
        None => arguments.extend(few),
    }
    let hooks = program("schemathesis/hooks.py");
    let python =
        Tool::new(tool("PIERHEAD_SCHEMATHESIS")?, admin.home()).variable("SCHEMATHESIS_HOOKS", hooks);
    let limit = if examples.is_some() { Duration::from_secs(48 * 3600) } else { Duration::from_secs(170) };
    let outcome = python.limit(limit).run(&arguments).await;
    println!("{outcome}");
    ensure!(outcome.code == Some(0), "{}", outcome.stdout);
    ensure!(outcome.said("Test cases:"), "nothing was asked");
    site.stop()
}
