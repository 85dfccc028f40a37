//! The conformance suite of the OCI distribution specification, against the real binary, as a project's editor: no
//! failure and no skip in version `dev` with its optional parts switched on. Sparse manifests stay off, since a manifest
//! whose parts are missing is refused.

use anyhow::{Context as _, Result, ensure};
use pierhead_testkit::{Site, Tool};

const SETTINGS: [(&str, &str); 12] = [
    ("OCI_TLS", "disabled"),
    ("OCI_REPO1", "conformance/repo1"),
    ("OCI_REPO2", "conformance/repo2"),
    ("OCI_VERSION", "dev"),
    ("OCI_API_BLOBS_UPLOAD_CANCEL", "true"),
    ("OCI_API_BLOBS_DIGEST_HEADER", "true"),
    ("OCI_API_BLOBS_MOUNT_ANONYMOUS", "true"),
    ("OCI_API_MANIFESTS_DIGEST_HEADER", "true"),
    ("OCI_API_MANIFESTS_TAG_PARAM", "true"),
    ("OCI_API_REFERRER", "true"),
    ("OCI_DATA_SHA512", "true"),
    ("OCI_DATA_SPARSE", "false"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_distribution_specification_is_kept_whole() -> Result<()> {
    let suite = std::env::var_os("PIERHEAD_CONFORMANCE")
        .context("PIERHEAD_CONFORMANCE is set by cargo xtask test")?;
    let site = Site::start().await?;
    let editor = site.user("editor").await?;
    editor.oc(["new-project", "conformance"]).await.succeeds();
    let token = editor.oc(["whoami", "-t"]).await.succeeds();
    let results = tempfile::tempdir()?;
    let variables = SETTINGS.into_iter().map(|(name, value)| (name, value.to_owned()));
    let registry = site.addresses().registry.to_string();
    let suite = variables
        .chain([("OCI_REGISTRY", registry), ("OCI_USERNAME", "anything".to_owned())])
        .fold(Tool::new(suite, results.path()), |suite, (name, value)| suite.variable(name, value))
        .variable("OCI_PASSWORD", token.trim())
        .variable("OCI_RESULTS_DIR", results.path());
    let outcome = suite.run([""; 0]).await;
    let report = std::fs::read_to_string(results.path().join("junit.xml"))
        .with_context(|| format!("the suite left no report:\n{outcome}"))?;
    let [tests, failures, errors] = ["tests", "failures", "errors"].map(|what| count(&report, what));
    let skipped = report.matches("<skipped").count();
    println!("conformance: {tests:?} tests, {failures:?} failures, {errors:?} errors, {skipped} skipped");
    ensure!(tests > Some(900), "the suite ran {tests:?} tests");
    let clean = failures == Some(0) && errors == Some(0) && skipped == 0 && outcome.code == Some(0);
    ensure!(clean, "{}", failed(&report).join("\n"));
    site.stop()
}

/// An attribute of the report's first element that has it.
fn count(report: &str, what: &str) -> Option<u32> {
    let (_, rest) = report.split_once(&format!(" {what}=\""))?;
    rest.split('"').next()?.parse().ok()
}

/// The names of cases that hold a failure or were skipped.
fn failed(report: &str) -> Vec<&str> {
    let cases = report.split("<testcase ").skip(1);
    let bad = cases
        .filter(|case| case.contains("<failure") || case.contains("<skipped") || case.contains("<error"));
    bad.filter_map(|case| case.split_once("name=\"")?.1.split('"').next()).collect()
}
