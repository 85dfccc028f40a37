//! Proxies of the environment and of the kubeconfig, as the verbs meet them.

use std::{
    ffi::OsString,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use pierhead_cli::Environment;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

use crate::api::{Outcome, Shared, now};

/// A proxy that answers every request in plain HTTP itself, whomever it is for, with the heads it was sent.
struct Relay {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Relay {
    async fn start(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://ann:hidden@{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heads);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                log.lock().unwrap().push(String::from_utf8(head).unwrap().to_lowercase());
                let body = r#"{"gitVersion":"v1.0"}"#;
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, heads, _tasks: tasks }
    }

    fn first_lines(&self) -> Vec<String> {
        self.heads.lock().unwrap().drain(..).map(|head| head.lines().next().unwrap().to_owned()).collect()
    }
}

async fn run(home: &Path, vars: &[(&str, &str)], line: &str) -> Outcome {
    let (stdout, stderr) = (Shared::default(), Shared::default());
    let environment = Environment {
        vars: vars.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect(),
        home: Some(home.to_owned()),
        cwd: home.to_owned(),
        stdin: Box::new(std::io::empty()),
        stdin_is_terminal: false,
        stdout: Box::new(stdout.clone()),
        stdout_is_terminal: false,
        stderr: Box::new(stderr.clone()),
        stderr_is_terminal: false,
        now,
        client: None,
    };
    let words = std::iter::once("oc").chain(line.split(' ')).map(OsString::from);
    let status = pierhead_cli::run("oc", words, environment).await;
    Outcome { code: status.0, stdout: stdout.text(), stderr: stderr.text() }
}

const VERSION: &str = "get --raw /version --server=http://api.test:81";
const ASKED: &str = "get http://api.test:81/version http/1.1";

#[tokio::test]
async fn the_environment_names_proxies() {
    let (relay, home) = (Relay::start("200 OK").await, tempfile::tempdir().unwrap());
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let text = run(home.path(), &[(name, &relay.url)], VERSION).await.ok();
        assert!(text.contains("v1.0"), "{text}");
        assert!(
            relay.heads.lock().unwrap()[0].contains("\r\nproxy-authorization: basic yw5uomhpzgrlbg==\r\n")
        );
        assert_eq!(relay.first_lines(), [ASKED]);
    }
    for name in ["NO_PROXY", "no_proxy"] {
        let vars = [("HTTP_PROXY", relay.url.as_str()), (name, "api.test:81")];
        let text = run(home.path(), &vars, VERSION).await.failed();
        assert!(text.contains("lookup api.test: no such host"), "{text}");
    }
    let vars = [("HTTP_PROXY", relay.url.as_str()), ("REQUEST_METHOD", "GET")];
    run(home.path(), &vars, VERSION).await.failed();
    assert!(relay.first_lines().is_empty());

    // Registries are asked through it, and documents that are somewhere else.
    let vars = [("HTTP_PROXY", relay.url.as_str()), ("HTTPS_PROXY", relay.url.as_str())];
    run(home.path(), &vars, "image info registry.test:82/shop/web:1 --insecure").await.failed();
    run(home.path(), &vars, "registry login --registry=registry.test:82 --auth-basic=a:b --insecure").await;
    run(home.path(), &vars, "create -f http://documents.test/a.yaml --server=http://api.test:81").await;
    let asked = relay.first_lines();
    for expected in
        ["connect registry.test:82 ", "get http://registry.test:82/v2/ ", "get http://documents.test/a.yaml "]
    {
        assert!(asked.iter().any(|line| line.starts_with(expected)), "{expected}: {asked:?}");
    }
}

#[tokio::test]
async fn a_cluster_has_a_proxy_of_its_own() {
    let (relay, home) = (Relay::start("200 OK").await, tempfile::tempdir().unwrap());
    let set = format!("config set-cluster far --server=http://127.0.0.1:1 --proxy-url={}", relay.url);
    run(home.path(), &[], &set).await.ok();
    run(home.path(), &[], "config set-context far --cluster=far").await.ok();
    run(home.path(), &[], "config use-context far").await.ok();
    // It wins over the environment, and this machine is no exception.
    let vars = [("HTTP_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "*")];
    run(home.path(), &vars, "get --raw /version").await.ok();
    assert_eq!(relay.first_lines(), ["get http://127.0.0.1:1/version http/1.1"]);
    let shown = run(home.path(), &[], "config view").await.ok();
    assert!(shown.contains("proxy-url: http://127.0.0.1:") && !shown.contains("hidden"), "{shown}");
    assert!(run(home.path(), &[], "config view --raw").await.ok().contains(&relay.url));

    // Who logs in there again goes the same way, and the entry stays.
    run(home.path(), &[], "login http://127.0.0.1:1 --token=t").await;
    let asked = relay.first_lines();
    assert!(asked[0].starts_with("head http://127.0.0.1:1/ "), "{asked:?}");
    assert!(fs::read_to_string(home.path().join(".kube/config")).unwrap().contains(&relay.url));

    let error = run(home.path(), &[], "config set-cluster far --proxy-url=ftp://a:hidden@b").await.failed();
    assert_eq!(
        error,
        "error: \"ftp://b\" is not the URL of a proxy: http, https or socks5://HOST:PORT is expected\n"
    );
}

#[tokio::test]
async fn a_proxy_that_does_not_help_is_named() {
    let (relay, home) = (Relay::start("407 Who Are You").await, tempfile::tempdir().unwrap());
    let bare = relay.url.replace("ann:hidden@", "");
    assert_eq!(
        run(home.path(), &[("HTTP_PROXY", &relay.url)], VERSION).await.failed(),
        format!(
            "Unable to connect to the server: Proxy Authentication Required: the proxy {bare} does not take the \
             credentials in its URL\n"
        )
    );
    let error = run(home.path(), &[("HTTP_PROXY", "http://a:hidden@127.0.0.1:1")], VERSION).await.failed();
    assert_eq!(
        error,
        "Unable to connect to the server: proxyconnect tcp: the proxy http://127.0.0.1:1 cannot be reached: \
         Connection refused (os error 111)\n"
    );
}
