//! Questions to a running container, for probes and hooks: a command, a request, a connection.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use pierhead_api::IntOrString;
use pierhead_api::core::{Container, ExecAction, HttpGetAction, LifecycleHandler, Probe, TcpSocketAction};
use pierhead_client::{ClientError, HttpClient, Trust};
use tokio::net::TcpStream;

use crate::engine::{Engine, EngineError, ExecId, ExecOutcome};

/// As kubelets name themselves.
const USER_AGENT: &str = "kube-probe/1.29";

/// How many of a probe's commands may be left running: one that hangs shall not decide for those after it, and yet they
/// must not fill the machine.
const MOST_LEFT: usize = 3;

/// What came of a question.
#[derive(Debug)]
pub(crate) enum Answer {
    Good,
    /// The container said no, or nothing; the text is for people.
    Bad(String),
    /// It could not be asked, which says nothing about it.
    Unknown,
}

/// Asks one container.
#[derive(Clone)]
pub(crate) struct Asker {
    engine: Engine,
    http: HttpClient,
    /// The engine's id.
    container_id: String,
    container: Container,
    pod_ip: String,
}

impl Asker {
    pub(crate) fn new(
        engine: Engine,
        container_id: &str,
        container: &Container,
        pod_ip: &str,
    ) -> Result<Self, ClientError> {
        // As everywhere, probes do not look at certificates.
        let http = HttpClient::new(&Trust { insecure_skip_tls_verify: true, ..Trust::default() })?;
        let (container_id, pod_ip) = (container_id.to_owned(), pod_ip.to_owned());
        Ok(Self { engine, http, container_id, container: container.clone(), pod_ip })
    }

    /// Asks what a probe asks. `left` is what earlier questions left running: when that is much, and all of it still
    /// runs, no more is begun.
    pub(crate) async fn probe(&self, probe: &Probe, left: &mut Vec<ExecId>) -> Answer {
        let limit = Duration::from_secs(u64::try_from(probe.timeout_seconds).unwrap_or_default().max(1));
        if let Some(exec) = &probe.exec {
            if left.len() >= MOST_LEFT
                && let Err(error) = self.forget_ended(left).await
            {
                return failed(&error);
            }
            if left.len() >= MOST_LEFT {
                return timed_out(exec, limit);
            }
            self.exec(exec, limit, left).await
        } else if let Some(get) = &probe.http_get {
            self.in_time(limit, self.http_get(get)).await
        } else if let Some(socket) = &probe.tcp_socket {
            self.in_time(limit, self.connect(socket)).await
        } else {
            Answer::Unknown
        }
    }

    /// Keeps those commands that still run.
    async fn forget_ended(&self, left: &mut Vec<ExecId>) -> Result<(), EngineError> {
        let mut running = Vec::new();
        for id in left.iter() {
            if self.engine.runs_exec(id).await? {
                running.push(id.clone());
            }
        }
        *left = running;
        Ok(())
    }

    /// Does what a hook does.
    pub(crate) async fn hook(&self, hook: &LifecycleHandler, limit: Duration) -> Answer {
        if let Some(exec) = &hook.exec {
            self.exec(exec, limit, &mut Vec::new()).await
        } else if let Some(get) = &hook.http_get {
            self.in_time(limit, self.http_get(get)).await
        } else if let Some(socket) = &hook.tcp_socket {
            self.in_time(limit, self.connect(socket)).await
        } else {
            let seconds = hook.sleep.as_ref().map(|sleep| sleep.seconds).unwrap_or_default();
            let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
            tokio::time::sleep(seconds.min(limit)).await;
            Answer::Good
        }
    }

    async fn in_time(&self, limit: Duration, answer: impl Future<Output = Answer>) -> Answer {
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer,
            Err(_elapsed) => Answer::Bad(format!("no answer within {} s", limit.as_secs())),
        }
    }

    async fn exec(&self, exec: &ExecAction, limit: Duration, left: &mut Vec<ExecId>) -> Answer {
        match self.engine.exec(&self.container_id, &exec.command, limit).await {
            Ok(ExecOutcome::Ended { code: 0, .. }) => Answer::Good,
            Ok(ExecOutcome::Ended { code, output }) => match output.trim() {
                "" => Answer::Bad(format!("the command exited with {code}")),
                output => Answer::Bad(output.to_owned()),
            },
            Ok(ExecOutcome::TimedOut { left: running }) => {
                left.extend(running);
                timed_out(exec, limit)
            }
            Err(error) => failed(&error),
        }
    }

    fn port(&self, port: &IntOrString) -> Option<u16> {
        match port {
            IntOrString::Int(number) => u16::try_from(*number).ok(),
            IntOrString::String(name) => {
                let named = self.container.ports.iter().find(|port| port.name == *name);
                named.and_then(|port| u16::try_from(port.container_port).ok()).or_else(|| name.parse().ok())
            }
        }
    }

    /// Whom to ask; nobody while the pod has no address.
    fn host<'a>(&'a self, named: &'a str) -> Option<&'a str> {
        let host = if named.is_empty() { self.pod_ip.as_str() } else { named };
        Some(host).filter(|host| !host.is_empty())
    }

    async fn connect(&self, socket: &TcpSocketAction) -> Answer {
        let Some(port) = self.port(&socket.port) else {
            return Answer::Bad(format!("there is no port {}", socket.port));
        };
        let Some(host) = self.host(&socket.host) else { return Answer::Unknown };
        match TcpStream::connect((host, port)).await {
            Ok(_) => Answer::Good,
            Err(error) => Answer::Bad(format!("dial tcp {host}:{port}: {error}")),
        }
    }

    async fn http_get(&self, get: &HttpGetAction) -> Answer {
        let Some(port) = self.port(&get.port) else {
            return Answer::Bad(format!("there is no port {}", get.port));
        };
        let Some(host) = self.host(&get.host) else { return Answer::Unknown };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let scheme = if get.scheme.eq_ignore_ascii_case("https") { "https" } else { "http" };
        let slash = if get.path.starts_with('/') { "" } else { "/" };
        let url = format!("{scheme}://{host}:{port}{slash}{}", get.path);
        let mut request = match Request::builder().method(Method::GET).uri(&url).body(Bytes::new().into()) {
            Ok(request) => request,
            Err(error) => return Answer::Bad(format!("{url}: {error}")),
        };
        *request.headers_mut() = headers(get);
        match self.http.send(request).await {
            Ok(answer) if (200..400).contains(&answer.status().as_u16()) => Answer::Good,
            Ok(answer) => {
                Answer::Bad(format!("HTTP probe failed with statuscode: {}", answer.status().as_u16()))
            }
            Err(error) => Answer::Bad(format!("Get {url:?}: {error}")),
        }
    }
}

fn timed_out(exec: &ExecAction, limit: Duration) -> Answer {
    let command = exec.command.join(" ");
    Answer::Bad(format!("command {command:?} timed out after {} s", limit.as_secs()))
}

fn failed(error: &EngineError) -> Answer {
    match error {
        EngineError::Unreachable(_) | EngineError::NotFound { .. } => Answer::Unknown,
        error => Answer::Bad(error.to_string()),
    }
}

/// The probe's headers; those that cannot be sent are left out.
fn headers(get: &HttpGetAction) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    for given in &get.http_headers {
        let name = HeaderName::try_from(given.name.as_str());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(given.value.as_str())) {
            headers.insert(name, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use pierhead_api::core::{Container, Probe};
    use serde_json::json;

    use super::{Answer, Asker};
    use crate::engine::fake::FakeEngine;

    #[tokio::test]
    async fn some_commands_that_hang_do_not_keep_others_from_being_begun() {
        let runs = Arc::new(AtomicBool::new(true));
        let still = Arc::clone(&runs);
        let fake = FakeEngine::start(move |line, _| match line {
            "POST /containers/c/exec" => Some((201, json!({"Id": "e"}))),
            "GET /exec/e/json" => Some((200, json!({"ID": "e", "Running": still.load(Ordering::SeqCst)}))),
            _ => None,
        });
        let asker = Asker::new(fake.engine.clone(), "c", &Container::default(), "").unwrap();
        let probe: Probe =
            serde_json::from_value(json!({"timeoutSeconds": 1, "exec": {"command": ["sleep", "9"]}}))
                .unwrap();
        let mut left = Vec::new();
        let mut ask = async |expected: &[&str]| {
            let answer = asker.probe(&probe, &mut left).await;
            let Answer::Bad(why) = answer else { panic!("{answer:?}") };
            assert_eq!(why, "command \"sleep 9\" timed out after 1 s");
            assert_eq!(fake.asked(), expected);
        };
        let begun = ["POST /containers/c/exec", "POST /exec/e/start"];
        for _ in 0..3 {
            ask(&begun).await;
        }
        let looked_at = ["GET /exec/e/json"; 3];
        ask(&looked_at).await;
        runs.store(false, Ordering::SeqCst);
        ask(&[looked_at.as_slice(), &begun].concat()).await;
    }

    #[tokio::test]
    async fn who_has_no_address_is_not_asked_elsewhere() {
        let fake = FakeEngine::start(|_, _| None);
        let asker = Asker::new(fake.engine.clone(), "c", &Container::default(), "").unwrap();
        for question in [json!({"tcpSocket": {"port": 1}}), json!({"httpGet": {"port": 1}})] {
            let probe: Probe = serde_json::from_value(question).unwrap();
            assert!(matches!(asker.probe(&probe, &mut Vec::new()).await, Answer::Unknown));
        }
    }
}
