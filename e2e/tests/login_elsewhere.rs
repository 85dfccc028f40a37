//! People who log in at a real OpenID provider, or through a proxy that vouches for them, with a browser's cookies.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use pierhead_testkit::{Actor, Process, Site, SiteOptions, Tool, eventually};
use serde_json::{Value, json};

/// `{SHA}` of `password`.
const PASSWORD: &str = "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=";

pub(crate) const NO_AUTHORITY: [&str; 2] = ["-addext", "basicConstraints=critical,CA:FALSE"];

/// Makes keys and certificates: an authority, or one that it issued.
pub(crate) fn certificate(folder: &Path, name: &str, more: &[&str]) -> Result<()> {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
    ]);
    command.args(["-nodes", "-days", "2", "-subj", &format!("/CN={name}")]);
    command.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.crt")]).args(more);
    let made = command.output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

/// The npm package `oidc-provider`, on a port of its own.
struct Provider {
    process: Process,
    issuer: String,
    folder: PathBuf,
}

impl Provider {
    async fn start(folder: &Path) -> Result<Self> {
        let packages =
            std::env::var_os("PIERHEAD_OIDC_PROVIDER").context("cargo xtask test installs oidc-provider")?;
        certificate(
            folder,
            "tls",
            &[&NO_AUTHORITY[..], &["-addext", "subjectAltName=IP:127.0.0.1"]].concat(),
        )?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/oidc-provider/server.mjs");
        let log = folder.join("log");
        let mut command = Command::new("node");
        command.arg(script).arg(folder).env("PIERHEAD_OIDC_PROVIDER", packages);
        let process = Process::start(&mut command, &log)?;
        let issuer = eventually("the provider listens", async || {
            let said = std::fs::read_to_string(&log).ok()?;
            said.lines().find(|line| line.starts_with("https://")).map(str::to_owned)
        })
        .await?;
        Ok(Self { process, issuer, folder: folder.to_path_buf() })
    }

    fn accounts(&self, accounts: &Value) -> Result<()> {
        Ok(std::fs::write(self.folder.join("accounts.json"), accounts.to_string())?)
    }
}

/// Somebody's browser: curl with its cookies.
struct Browser {
    curl: Tool,
    arguments: Vec<String>,
}

impl Browser {
    fn new(owner: &Actor, authorities: &Path) -> Self {
        let jar = owner.home().join("jar").display().to_string();
        let authorities = authorities.display().to_string();
        let arguments = ["-sS", "--cacert", &authorities, "-c", &jar, "-b", &jar].map(str::to_owned).to_vec();
        Self { curl: Tool::new("curl", owner.home()), arguments }
    }

    async fn run(&self, more: &[&str]) -> String {
        self.curl.run(self.arguments.iter().map(String::as_str).chain(more.iter().copied())).await.succeeds()
    }

    /// Goes to a place and wherever it leads; the page there.
    async fn visit(&self, url: &str) -> String {
        self.run(&["-L", url]).await
    }

    async fn post(&self, url: &str, fields: &[(&str, &str)]) -> String {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let pairs = fields.iter().flat_map(|field| ["--data-urlencode", field.as_str()]);
        self.run(&pairs.chain(["-L", url]).collect::<Vec<_>>()).await
    }

    /// Status, head and body of one request, going nowhere.
    async fn look(&self, url: &str, more: &[&str]) -> String {
        self.run(&[&["-i", url], more].concat()).await
    }

    /// Logs in at the provider as this account; the page on which it ends.
    async fn log_in(&self, start: &str, account: &str) -> Result<String> {
        let page = self.visit(start).await;
        let action = attribute(&page, "<form", "action").with_context(|| page.clone())?;
        Ok(self.post(&action, &[("prompt", "login"), ("login", account), ("password", "x")]).await)
    }
}

/// The value of an attribute behind `mark`.
fn attribute(page: &str, mark: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(mark)?;
    let (_, rest) = rest.split_once(&format!("{name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(value.replace("&amp;", "&"))
}

fn field(page: &str, name: &str) -> Option<String> {
    attribute(page, &format!("name=\"{name}\""), "value")
}

struct Story {
    site: Site,
    provider: Provider,
    authorities: PathBuf,
    folder: tempfile::TempDir,
}

impl Story {
    async fn begin() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let place = folder.path();
        let provider = Provider::start(place).await?;
        certificate(place, "proxies", &[])?;
        for name in ["proxy", "stranger"] {
            certificate(
                place,
                name,
                &[&NO_AUTHORITY[..], &["-CA", "proxies.crt", "-CAkey", "proxies.key"]].concat(),
            )?;
        }
        std::fs::write(place.join("users"), format!("ed:{PASSWORD}\n"))?;
        let at = |name: &str| place.join(name).display().to_string();
        let config = format!(
            r#"
[egress]
allow = ["127.0.0.0/8"]

[[identity-providers]]
name = "corp"
type = "OpenID"
[identity-providers.openID]
issuer = "{issuer}"
clientID = "pierhead"
clientSecret = "a secret: with % and +"
ca = "{ca}"
extraScopes = ["profile", "email"]
claims = {{ groups = ["groups"] }}

[[identity-providers]]
name = "sso"
type = "RequestHeader"
[identity-providers.requestHeader]
loginURL = "https://sso.example.com/oauth/authorize?${{query}}"
challengeURL = "https://sso.example.com/challenge?then=${{url}}"
ca = "{proxies}"
clientCommonNames = ["proxy"]
headers = ["X-Remote-User"]
nameHeaders = ["X-Remote-Name"]

[[identity-providers]]
name = "files"
type = "HTPasswd"
htpasswd = {{ file = "{users}" }}
"#,
            issuer = provider.issuer,
            ca = at("tls.crt"),
            proxies = at("proxies.crt"),
            users = at("users"),
        );
        let htpasswd = Some(format!("flo:{PASSWORD}\n"));
        let site = Site::start_with(SiteOptions { config: Some(config), htpasswd, ..SiteOptions::default() })
            .await?;
        std::fs::write(place.join("callback"), format!("{}/oauth2callback/corp\n", site.api_url()))?;
        let authorities = place.join("authorities.pem");
        let both = [std::fs::read(site.authority())?, std::fs::read(place.join("tls.crt"))?].concat();
        std::fs::write(&authorities, both)?;
        Ok(Self { site, provider, authorities, folder })
    }

    /// Where a browser begins that wants a token from this provider.
    fn start(&self) -> String {
        let client = "client_id=openshift-browser-client&response_type=code";
        format!("{}/oauth/authorize?{client}&idp=corp", self.site.api_url())
    }

    async fn object(&self, what: &[&str]) -> Result<Value> {
        let arguments = [&["get"], what, &["-o", "json"]].concat();
        Ok(serde_json::from_str(&self.site.admin()?.oc(arguments).await.succeeds())?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_elsewhere_says_who_people_are() -> Result<()> {
    let mut story = Story::begin().await?;
    let ann_says = |groups: Value| {
        json!({
            "7": {"preferred_username": "ann", "name": "Ann Archer", "email": "ann@example.com", "groups": groups},
            "8": {"preferred_username": "ann", "name": "Another Ann", "email": "a2@example.com", "groups": []},
        })
    };
    story.provider.accounts(&ann_says(json!(["dev", "ops"])))?;
    let api = story.site.api_url();
    let ann = story.site.stranger("ann")?;
    let browser = Browser::new(&ann, &story.authorities);

    let choice = browser.visit(&format!("{api}/oauth/token/request")).await;
    for provider in ["corp", "sso", "files", "htpasswd"] {
        ensure!(choice.contains(&format!("idp={provider}\"")), "{choice}");
    }
    let page = browser.log_in(&story.start(), "7").await?;
    let (code, csrf) = (field(&page, "code"), field(&page, "csrf"));
    let (code, csrf) = code.zip(csrf).with_context(|| page.clone())?;
    let shown =
        browser.post(&format!("{api}/oauth/token/display"), &[("code", &code), ("csrf", &csrf)]).await;
    let token = shown
        .split_once("--token=")
        .and_then(|(_, rest)| rest.split(' ').next())
        .with_context(|| shown.clone())?;
    let authority = story.site.authority().display().to_string();
    let login = ["login", &api, "--token", token, "--certificate-authority", &authority];
    ann.oc(login).await.succeeds();
    assert_eq!(ann.oc(["whoami"]).await.succeeds().trim(), "ann");

    let user = story.object(&["user", "ann"]).await?;
    assert_eq!((&user["fullName"], &user["identities"]), (&json!("Ann Archer"), &json!(["corp:7"])));
    let identity = story.object(&["identity", "corp:7"]).await?;
    assert_eq!(identity["user"]["uid"], user["metadata"]["uid"]);
    let extra = json!({"email": "ann@example.com", "name": "Ann Archer", "preferred_username": "ann"});
    assert_eq!(identity["extra"], extra);
    for group in ["dev", "ops"] {
        assert_eq!(story.object(&["group", group]).await?["users"], json!(["ann"]), "{group}");
    }

    // A second login, with other groups: from the command line, by a browser that has no session here any more.
    story.provider.accounts(&ann_says(json!(["ops"])))?;
    browser.run(&["-X", "POST", &format!("{api}/logout")]).await;
    let page = browser.visit(&story.start()).await;
    ensure!(field(&page, "code").is_some(), "the provider still knows her: {page}");
    assert_eq!(story.object(&["group", "dev"]).await?["users"], Value::Null);
    let script = ann.home().join("browser");
    let (jar, authorities) = (ann.home().join("jar"), story.authorities.display());
    let jar = jar.display();
    std::fs::write(
        &script,
        format!("#!/bin/sh\nexec curl -sS -L --cacert {authorities} -c {jar} -b {jar} \"$1\"\n"),
    )?;
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let oc = Tool::new(story.site.binaries().join("oc"), ann.home())
        .variable("BROWSER", &script)
        .variable("KUBECONFIG", ann.home().join("by-web"));
    let web = oc.run(["login", &api, "--web", "--certificate-authority", &authority]).await;
    ensure!(web.said("Login successful."), "{web}");
    assert_eq!(oc.run(["whoami"]).await.succeeds().trim(), "ann");

    let eve = Browser::new(&story.site.stranger("eve")?, &story.authorities);
    let clash = eve.log_in(&story.start(), "8").await?;
    ensure!(clash.contains("the name belongs to another identity"), "{clash}");
    let callback = format!("{api}/oauth2callback/corp");
    let stray = eve.look(&format!("{callback}?code=c&state=s&iss={}", story.provider.issuer), &[]).await;
    ensure!(stray.starts_with("HTTP/2 403") && stray.contains("not begun in this browser"), "{stray}");
    for header in [
        "x-frame-options: DENY",
        "content-security-policy: default-src 'none'",
        "cache-control: no-cache, no-store",
    ] {
        ensure!(stray.contains(header), "{header}: {stray}");
    }

    story.provider.process.stop()?;
    story.site.kill_and_start_again().await?;
    let away =
        Browser::new(&story.site.stranger("late")?, &story.authorities).look(&story.start(), &[]).await;
    ensure!(away.starts_with("HTTP/2 503") && away.contains("corp does not answer"), "{away}");
    assert_eq!(ann.oc(["whoami"]).await.succeeds().trim(), "ann", "tokens do not depend on the provider");
    story.site.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_with_its_certificate_vouches_for_people() -> Result<()> {
    let story = Story::begin().await?;
    let api = story.site.api_url();
    let place = |name: &str| story.folder.path().join(name).display().to_string();
    let browser = Browser::new(&story.site.stranger("proxy")?, &story.authorities);
    let authorize = format!("{api}/oauth/authorize?client_id=openshift-browser-client&response_type=code");
    let headers = ["-H", "X-Remote-User: pat", "-H", "X-Remote-Name: Pat P."];
    let as_whom = |name: &str| {
        [
            "--cert".to_owned(),
            place(&format!("{name}.crt")),
            "--key".to_owned(),
            place(&format!("{name}.key")),
        ]
    };
    let look = async |url: &str, certificate: Option<&str>, more: &[&str]| {
        let certificate: Vec<String> = certificate.map(|name| as_whom(name).to_vec()).unwrap_or_default();
        let certificate: Vec<&str> = certificate.iter().map(String::as_str).collect();
        browser.look(url, &[&headers[..], &certificate, more].concat()).await
    };
    let vouched = look(&authorize, Some("proxy"), &[]).await;
    ensure!(vouched.starts_with("HTTP/2 302") && vouched.contains("/oauth/token/display?code="), "{vouched}");
    let user = story.object(&["user", "pat"]).await?;
    assert_eq!((&user["fullName"], &user["identities"]), (&json!("Pat P."), &json!(["sso:pat"])));
    for certificate in [None, Some("stranger")] {
        let not = look(&authorize, certificate, &[]).await;
        ensure!(not.starts_with("HTTP/2 200") && not.contains("idp=sso"), "{certificate:?}: {not}");
    }
    let twice = look(&authorize, Some("proxy"), &["-H", "X-Remote-User: system:admin"]).await;
    ensure!(twice.starts_with("HTTP/2 200"), "two values are no value: {twice}");
    let api_call = look(&format!("{api}/apis/user.openshift.io/v1/users/~"), Some("proxy"), &[]).await;
    ensure!(api_call.starts_with("HTTP/2 403") && api_call.contains("system:anonymous"), "{api_call}");
    let elsewhere = look(&format!("{authorize}&idp=sso"), None, &[]).await;
    let expected = "location: https://sso.example.com/oauth/authorize?client_id=openshift-browser-client&response_type=code";
    ensure!(elsewhere.contains(expected), "{elsewhere}");

    // The users of a file are read again.
    let login = |name: &str| {
        let authority = story.site.authority().display().to_string();
        ["login", &api, "-u", name, "-p", "password", "--certificate-authority", &authority]
            .map(str::to_owned)
    };
    let zoe = story.site.stranger("zoe")?;
    zoe.oc(login("zoe")).await.fails_with("Login failed");
    std::fs::write(place("users"), format!("ed:{PASSWORD}\nzoe:{PASSWORD}\n"))?;
    eventually("the file is read again", async || {
        zoe.oc(login("zoe")).await.said("Login successful.").then_some(())
    })
    .await?;
    assert_eq!(story.object(&["user", "zoe"]).await?["identities"], json!(["files:zoe"]));
    story.site.stop()
}
