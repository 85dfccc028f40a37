//! Days with Python: the client of Kubernetes, and OpenShift's as Ansible uses it. The programs are in `e2e/clients`.

use anyhow::{Context as _, Result, ensure};
use pierhead_testkit::{Site, Tool};

use super::{program, tool};

#[tokio::test(flavor = "multi_thread")]
async fn a_day_with_python_and_kubernetes() -> Result<()> {
    let site = Site::start().await?;
    let ed = site.user("ed").await?;
    ed.oc(["new-project", "day"]).await.succeeds();
    let python = Tool::new(tool("PIERHEAD_PYTHON_KUBERNETES")?, ed.home());
    let kubeconfig = ed.kubeconfig();
    let day =
        python.run([program("python/day.py").as_os_str(), kubeconfig.as_os_str(), "day".as_ref()]).await;
    ensure!(day.code == Some(0) && day.stdout == "fine\n", "{day}");
    site.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_with_python_and_openshift() -> Result<()> {
    let site = Site::start().await?;
    let ann = site.stranger("ann")?;
    // The client keeps what it discovered there, by the server's address.
    let python = Tool::new(tool("PIERHEAD_PYTHON_OPENSHIFT")?, ann.home()).variable("TMPDIR", ann.home());
    let (day, authority) = (program("openshift/day.py"), site.authority());
    let [day, authority] = [&day, &authority].map(|path| path.to_str());
    let (day, authority) = (day.context("a path")?, authority.context("a path")?);
    let day = python.run([day, &site.api_url(), authority, "ann", "secret"]).await;
    ensure!(day.code == Some(0) && day.stdout == "fine\n", "{day}");
    site.stop()
}
