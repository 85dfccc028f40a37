//! Proxies of the environment and of the kubeconfig, as the verbs meet them.

use std::{
    ffi::OsString,
    fs,
    io::{Read as _, Write as _},
    path::Path,
    sync::{Arc, Mutex},
};

use pierhead_cli::Environment;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

use crate::api::{Api, Outcome, Shared, now};

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
                let head = String::from_utf8(head).unwrap().to_lowercase();
                let sent = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let mut content = vec![0; sent.map_or(0, |length| length.parse().unwrap())];
                stream.read_exact(&mut content).await.unwrap();
                let body = match head.lines().next().unwrap() {
                    line if line.contains("/selfsubjectreviews") => r#"{"status":{"userInfo":{"username":"ed"}}}"#,
                    line if line.contains("/projects") => r#"{"items":[{"metadata":{"name":"alpha"}}]}"#,
                    _ => r#"{"gitVersion":"v1.0"}"#,
                };
                log.lock().unwrap().push(head);
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

fn read(yaml: &str) -> Value {
    pierhead_client::yaml::parse_documents(yaml).unwrap().remove(0)
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
    let text = run(home.path(), &vars, VERSION).await.failed();
    assert!(text.contains("HTTP_PROXY is not used where REQUEST_METHOD is set"), "{text}");
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

    let error = run(home.path(), &[], "config set-cluster far --proxy-url=ftp://a:hidden@b").await.failed();
    assert_eq!(
        error,
        "error: \"ftp://b\" is not the URL of a proxy: http, https or socks5://HOST:PORT is expected\n"
    );
}

#[tokio::test]
async fn a_login_goes_the_way_of_the_cluster_and_says_so_in_its_own() {
    for flags in ["", " --insecure-skip-tls-verify=true"] {
        let (relay, home) = (Relay::start("200 OK").await, tempfile::tempdir().unwrap());
        let file = home.path().join(".kube/config");
        fs::create_dir(home.path().join(".kube")).unwrap();
        let cluster = |proxy: &str| json!({"server": "http://api.test:81", "proxy-url": proxy, "tls-server-name": "inner"});
        // Of several entries of a server, that of the current context counts.
        let config = json!({
            "current-context": "far", "contexts": [{"name": "far", "context": {"cluster": "far", "user": "x"}}],
            "clusters": [
                {"name": "elsewhere", "cluster": cluster("http://127.0.0.1:1")},
                {"name": "far", "cluster": cluster(&relay.url)},
            ],
        });
        fs::write(&file, config.to_string()).unwrap();
        run(home.path(), &[], &format!("login http://api.test:81 --token=t{flags}")).await.ok();
        let asked = relay.first_lines();
        assert!(asked[0].starts_with("head http://api.test:81/ "), "{asked:?}");

        let saved = read(&fs::read_to_string(&file).unwrap());
        assert_eq!(saved["current-context"], "alpha/api-test:81/ed");
        let named = |entry: &&Value| entry["name"] == "api-test:81";
        let entry = &saved["clusters"].as_array().unwrap().iter().find(named).unwrap()["cluster"];
        assert_eq!((&entry["proxy-url"], &entry["tls-server-name"]), (&json!(relay.url), &json!("inner")));
        run(home.path(), &[], "get --raw /version").await.ok();
        assert_eq!(relay.first_lines(), [ASKED]);
    }
}

#[tokio::test]
async fn the_kubeconfig_of_a_service_account_goes_the_same_way() {
    let (api, home) = (Api::default(), tempfile::tempdir().unwrap());
    api.put(
        "/api/v1/namespaces/pushed/serviceaccounts/pusher",
        json!({"kind": "ServiceAccount", "metadata": {"name": "pusher", "uid": "u"}}),
    );
    let annotations = json!({
        "kubernetes.io/service-account.name": "pusher", "kubernetes.io/service-account.uid": "u",
    });
    let token = json!({
        "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "pusher-token", "annotations": annotations}, "data": {"token": "dG9r"},
    });
    api.put("/api/v1/namespaces/pushed/secrets/pusher-token", token);
    let cluster = json!({
        "server": "https://api.test:6443", "proxy-url": "http://proxy.test:3128", "tls-server-name": "inner",
        "certificate-authority": "ca.crt",
    });
    let config = json!({
        "current-context": "far", "contexts": [{"name": "far", "context": {"cluster": "far", "user": ""}}],
        "clusters": [{"name": "far", "cluster": cluster}],
    });
    fs::create_dir(home.path().join(".kube")).unwrap();
    fs::write(home.path().join(".kube/config"), config.to_string()).unwrap();
    fs::write(home.path().join(".kube/ca.crt"), "pem").unwrap();
    let made = async |flags: &str| {
        let line = format!("sa create-kubeconfig pusher -n pushed{flags}");
        let text = api.run_in(home.path(), &line, "").await.ok();
        let made = read(&text);
        assert_eq!(made["users"][0]["user"]["token"], "tok");
        made["clusters"][0].clone()
    };
    let expected = json!({
        "server": "https://api.test:6443", "proxy-url": "http://proxy.test:3128", "tls-server-name": "inner",
        "certificate-authority-data": "cGVt",
    });
    assert_eq!(made("").await, json!({"name": "api-test:6443", "cluster": expected}));
    // The way to another server is another.
    let expected = json!({"name": "other-test:6443", "cluster": {"server": "https://other.test:6443"}});
    assert_eq!(made(" --server=https://other.test:6443").await, expected);
}

/// A registry that speaks TLS, lets everybody in, and lives until the program ends.
fn secure_registry() -> (String, String) {
    let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth().with_single_cert(vec![pair.cert.der().clone()], key);
    let config = Arc::new(config.unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            let mut head = [0; 4096];
            // Who does not like the certificate goes away.
            if stream.read(&mut head).is_ok() {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    .unwrap();
                stream.conn.send_close_notify();
                stream.flush().unwrap();
            }
        }
    });
    (host, pair.cert.pem())
}

#[tokio::test]
async fn the_name_in_the_certificate_of_the_api_server_is_not_that_of_a_registry() {
    let home = tempfile::tempdir().unwrap();
    let (host, authority) = secure_registry();
    fs::write(home.path().join("ca.crt"), authority).unwrap();
    let set = "config set-cluster far --server=https://api.test:6443 --tls-server-name=inner --certificate-authority=ca.crt";
    run(home.path(), &[], set).await.ok();
    run(home.path(), &[], "config set-context far --cluster=far").await.ok();
    run(home.path(), &[], "config use-context far").await.ok();
    let login = format!("registry login --registry={host} --auth-basic=a:b --to=auth.json");
    run(home.path(), &[], &login).await.ok();
    assert!(fs::read_to_string(home.path().join("auth.json")).unwrap().contains(&host));
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
