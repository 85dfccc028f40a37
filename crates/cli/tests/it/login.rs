//! `login` against a server on a real socket: metadata, challenge, code, token.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    path::Path,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use pierhead_cli::Environment;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use crate::api::{Outcome, Shared, now};

type Answer = Response<Full<bytes::Bytes>>;

/// An OAuth and API server that knows one user.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
    /// Aborted when the server is dropped.
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start(pkce: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (base, log) = (url.clone(), Arc::clone(&seen));
        let accept = async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (base, log) = (base.clone(), Arc::clone(&log));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (base, log) = (base.clone(), Arc::clone(&log));
                    async move {
                        let (parts, body) = request.into_parts();
                        let body =
                            String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
                        log.lock().unwrap().push(format!("{} {}", parts.method, parts.uri.path()));
                        let header = |name: &str| {
                            parts.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
                        };
                        let query = parts.uri.query().unwrap_or_default().to_owned();
                        Ok::<_, Infallible>(respond(
                            &base,
                            parts.uri.path(),
                            &query,
                            &body,
                            &(header("authorization"), header("x-csrf-token"), pkce),
                        ))
                    }
                });
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connections.spawn(async move { connection.await.ok() });
            }
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(accept);
        Self { url, seen, _tasks: tasks }
    }

    async fn run(&self, home: &Path, arguments: &[&str]) -> Outcome {
        let (stdout, stderr) = (Shared::default(), Shared::default());
        let environment = Environment {
            vars: BTreeMap::new(),
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
        let words = std::iter::once("oc").chain(arguments.iter().copied()).map(Into::into);
        let status = pierhead_cli::run("oc", words, environment).await;
        let hide = |text: String| text.replace(&self.url, "URL");
        Outcome { code: status.0, stdout: hide(stdout.text()), stderr: hide(stderr.text()) }
    }
}

fn json_answer(code: u16, value: &Value) -> Answer {
    let body = Full::new(bytes::Bytes::from(value.to_string()));
    Response::builder().status(code).header("content-type", "application/json").body(body).unwrap()
}

fn redirect(location: &str) -> Answer {
    Response::builder().status(302).header("location", location).body(Full::default()).unwrap()
}

fn respond(
    base: &str,
    path: &str,
    query: &str,
    body: &str,
    (authorization, csrf, pkce): &(String, String, bool),
) -> Answer {
    // ed:secret
    let knows = authorization == "Basic ZWQ6c2VjcmV0";
    match path {
        "/.well-known/oauth-authorization-server" if *pkce => json_answer(
            200,
            &json!({
                "issuer": base, "authorization_endpoint": format!("{base}/oauth/authorize"),
                "token_endpoint": format!("{base}/oauth/token"), "code_challenge_methods_supported": ["plain", "S256"],
            }),
        ),
        "/oauth/authorize" if csrf.is_empty() || !knows => Response::builder()
            .status(401)
            .header("www-authenticate", "Basic realm=\"openshift\"")
            .body(Full::default())
            .unwrap(),
        "/oauth/authorize" if *pkce => {
            assert!(
                query.contains("code_challenge_method=S256") && query.contains("response_type=code"),
                "{query}"
            );
            redirect(&format!("{base}/oauth/token/implicit?code=c1&state="))
        }
        "/oauth/authorize" => {
            redirect(&format!("{base}/oauth/token/implicit#access_token=sha256~tok&token_type=Bearer"))
        }
        "/oauth/token" => {
            assert!(body.contains("code=c1") && body.contains("code_verifier="), "{body}");
            json_answer(200, &json!({"access_token": "sha256~tok", "token_type": "Bearer"}))
        }
        "/apis/authentication.k8s.io/v1/selfsubjectreviews" if authorization == "Bearer sha256~tok" => {
            json_answer(201, &json!({"status": {"userInfo": {"username": "ed"}}}))
        }
        "/apis/project.openshift.io/v1/projects" if authorization == "Bearer sha256~tok" => json_answer(
            200,
            &json!({"items": [{"metadata": {"name": "pushed"}}, {"metadata": {"name": "alpha"}}]}),
        ),
        "/" => json_answer(200, &json!({"paths": []})),
        _ => json_answer(
            401,
            &json!({"kind": "Status", "status": "Failure", "reason": "Unauthorized", "message": "Unauthorized", "code": 401}),
        ),
    }
}

const PROJECTS: &str = "You have access to the following projects and can switch between them with 'oc project <projectname>':\n\n  * alpha (current)\n  * pushed\n\nUsing project \"alpha\".\n";

#[tokio::test]
async fn a_password_becomes_a_saved_token() {
    for pkce in [true, false] {
        let server = Server::start(pkce).await;
        let home = tempfile::tempdir().unwrap();
        let said = server.run(home.path(), &["login", &server.url, "-u", "ed", "-p", "secret"]).await.ok();
        assert_eq!(said, format!("Login successful.\n\n{PROJECTS}Welcome! See 'oc help' to get started.\n"));
        assert_eq!(server.run(home.path(), &["whoami", "-t"]).await.ok(), "sha256~tok\n");
        let refused = server.run(home.path(), &["login", &server.url, "-u", "system:admin", "-p", "x"]).await;
        assert!(refused.failed().starts_with("error: username system:admin is invalid for basic auth\n"));
        let cluster = server.url.replace("http://", "").replace('.', "-");
        assert_eq!(server.run(home.path(), &["whoami", "-c"]).await.ok(), format!("alpha/{cluster}/ed\n"));

        server.seen.lock().unwrap().clear();
        let said = server.run(home.path(), &["login", &server.url, "-u", "ed"]).await.ok();
        assert_eq!(said, format!("Logged into \"URL\" as \"ed\" using existing credentials.\n\n{PROJECTS}"));
        let asked = server.seen.lock().unwrap().iter().any(|line| line.contains("/oauth/"));
        assert!(!asked, "the saved token is enough");
    }
}

#[tokio::test]
async fn wrong_passwords_and_tokens_are_refused_and_nothing_is_saved() {
    let server = Server::start(true).await;
    let home = tempfile::tempdir().unwrap();
    let outcome = server.run(home.path(), &["login", &server.url, "-u", "ed", "-p", "wrong"]).await;
    assert_eq!(outcome.code, 1);
    assert_eq!(
        outcome.stdout,
        "Login failed (401 Unauthorized)\nVerify you have provided the correct credentials.\n"
    );
    let token = ["login", "--token=bad", "--server", &server.url];
    let error = server.run(home.path(), &token).await.failed();
    assert_eq!(error, "error: The token provided is invalid or expired.\n");
    assert!(!home.path().join(".kube").exists());
    let token = ["login", "--token=sha256~tok", "--server", &server.url];
    let said = server.run(home.path(), &token).await.ok();
    assert!(said.starts_with("Logged into \"URL\" as \"ed\" using the token provided.\n\n"), "{said}");
}

#[tokio::test]
async fn flags_that_say_half_of_who_one_is_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(true).await;
    for half in ["--as-group=readers", "--client-certificate=c", "--client-key=k"] {
        let line = ["delete", "is/app", "--token=sha256~tok", "--server", &server.url, half];
        let error = server.run(home.path(), &line).await.failed();
        let flag = half.split('=').next().unwrap();
        assert!(error.contains(flag), "{half}: {error}");
    }
    assert!(server.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(true).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = server.run(home.path(), &["get", "is", "--server", &address, "--token=t"]).await.failed();
    assert_eq!(
        error,
        format!(
            "The connection to the server {address} was refused - did you specify the right host or port?\n"
        )
    );
    // Completion says nothing, and runs no program of the kubeconfig, which might ask or take its time.
    let noted = home.path().join("noted");
    let program = home.path().join("give");
    std::fs::write(&program, format!("#!/bin/sh\ntouch {}\n", noted.display())).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let config = json!({
        "current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "h", "user": "bot"}}],
        "clusters": [{"name": "h", "cluster": {"server": format!("https://{address}")}}],
        "users": [{"name": "bot", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": program}}}],
    });
    let own = home.path().join("own.json");
    std::fs::write(&own, config.to_string()).unwrap();
    let flag = format!("--kubeconfig={}", own.display());
    let words = ["__complete", "--", &flag, "get", "is", ""];
    assert_eq!(server.run(home.path(), &words).await.ok(), "");
    assert!(!noted.exists());
    server.run(home.path(), &[&flag, "get", "is"]).await.failed();
    assert!(noted.exists(), "the program is the one that is run elsewhere");
    let error = server.run(home.path(), &["get", "is"]).await.ended_with(4);
    assert!(error.starts_with("error: Missing or incomplete configuration info."), "{error}");
}
