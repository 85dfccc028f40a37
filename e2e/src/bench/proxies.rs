//! The router beside nginx and HAProxy: the same requests by host name to the same backend over kept connections, with
//! the forwarding headers that each adds.
//!
//! The backend answers from memory and runs in this process; what counts is the proxy's own processor time, that of
//! nginx's workers included.

use super::process::family_time;
use super::servers::Server;
use super::work::Measure;
use crate::wire::Wire;
use anyhow::{Context, Result, bail};
use http::StatusCode;
use pierhead_testkit::Process;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

const HOST: &str = "web.bench.test";
const RUN: Duration = Duration::from_secs(4);
/// Bytes of each answer.
const ANSWER: usize = 1024;

/// A proxy that runs.
pub struct Proxy {
    /// What the table calls it.
    pub name: &'static str,
    address: SocketAddr,
    running: Running,
}

enum Running {
    Ours(Server),
    Peer { process: Process, _folder: TempDir },
}

/// A backend that answers every request with the same bytes. It ends with this value.
pub struct Backend {
    address: SocketAddr,
    _connections: JoinSet<()>,
}

impl Backend {
    /// Listens on an address of this machine that is not loopback: endpoints may not lead there.
    pub async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind((own_address()?, 0)).await?;
        let address = listener.local_addr()?;
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut served = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                served.spawn(async move { drop(serve(stream).await) });
            }
        });
        Ok(Self { address, _connections: connections })
    }
}

/// Requests have no bodies and no pipelining, so a blank line is the end of one.
async fn serve(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {ANSWER}\r\n\r\n");
    let answer = [head.into_bytes(), vec![b'x'; ANSWER]].concat();
    let mut request = Vec::with_capacity(4096);
    while stream.read_buf(&mut request).await? > 0 {
        if request.ends_with(b"\r\n\r\n") {
            stream.write_all(&answer).await?;
            request.clear();
        }
    }
    Ok(())
}

/// The address this machine would send from; nothing is sent.
fn own_address() -> Result<IpAddr> {
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    socket.connect(("192.0.2.1", 9)).context("this machine has no address but loopback")?;
    Ok(socket.local_addr()?.ip())
}

/// All proxies, ours first, each with a way to the backend.
pub async fn start(binary: &Path, backend: &Backend) -> Result<Vec<Proxy>> {
    Ok(vec![
        Proxy::ours(binary, backend.address).await?,
        Proxy::peer("nginx", |folder, at| nginx(folder, at, backend.address)).await?,
        Proxy::peer("HAProxy", |folder, at| haproxy(folder, at, backend.address)).await?,
    ])
}

impl Proxy {
    async fn ours(binary: &Path, backend: SocketAddr) -> Result<Self> {
        let server = Server::ours(binary).await?;
        let (ip, port) = (backend.ip(), backend.port());
        let objects = format!(
            r#"{{"kind": "List", "apiVersion": "v1", "items": [
                {{"kind": "Service", "apiVersion": "v1", "metadata": {{"name": "web"}},
                  "spec": {{"ports": [{{"port": {port}}}]}}}},
                {{"kind": "Endpoints", "apiVersion": "v1", "metadata": {{"name": "web"}},
                  "subsets": [{{"addresses": [{{"ip": "{ip}"}}], "ports": [{{"port": {port}}}]}}]}},
                {{"kind": "Route", "apiVersion": "route.openshift.io/v1", "metadata": {{"name": "web"}},
                  "spec": {{"host": "{HOST}", "to": {{"kind": "Service", "name": "web"}}}}}}
            ]}}"#
        );
        server.create(binary, &objects)?;
        let address = server.router().context("it says where its router listens")?;
        Self { name: "pierhead", address, running: Running::Ours(server) }.ready().await
    }

    async fn peer(
        name: &'static str,
        command: impl FnOnce(&Path, SocketAddr) -> Result<Command>,
    ) -> Result<Self> {
        let folder = TempDir::new()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let process = Process::start(&mut command(folder.path(), address)?, &folder.path().join("log"))?;
        Self { name, address, running: Running::Peer { process, _folder: folder } }.ready().await
    }

    async fn ready(self) -> Result<Self> {
        for _ in 0..1000 {
            if let Ok(mut wire) = Wire::connect(self.address, HOST, None).await
                && wire.get("/").await.is_ok_and(|answer| answer.status == StatusCode::OK)
            {
                return Ok(self);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("{} did not pass a request on within ten seconds", self.name)
    }

    fn pid(&self) -> u32 {
        match &self.running {
            Running::Ours(server) => server.pid(),
            Running::Peer { process, .. } => process.id(),
        }
    }

    /// GET over and over on so many kept connections.
    pub async fn requests(&self, connections: usize) -> Result<Measure> {
        let mut wires = Vec::new();
        for _ in 0..connections {
            let mut wire = Wire::connect(self.address, HOST, None).await?;
            wire.get("/").await?.expect(StatusCode::OK)?;
            wires.push(wire);
        }
        let (before, began) = (family_time(self.pid())?, Instant::now());
        let loops = wires.iter_mut().map(async |wire| -> Result<u64> {
            let mut done = 0;
            while began.elapsed() < RUN {
                wire.get("/").await?.expect(StatusCode::OK)?;
                done += 1;
            }
            Ok(done)
        });
        let operations = futures_util::future::try_join_all(loops).await?.into_iter().sum();
        Ok(Measure { operations, processor: family_time(self.pid())? - before, wall: began.elapsed() })
    }
}

fn nginx(folder: &Path, at: SocketAddr, backend: SocketAddr) -> Result<Command> {
    let place = folder.display();
    let config = format!(
        "daemon off; worker_processes 2; pid {place}/pid; error_log {place}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;
  uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
  keepalive_requests 1000000;
  upstream web {{ server {backend}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen {at}; server_name {HOST};
    location / {{
      proxy_pass http://web; proxy_http_version 1.1; proxy_set_header Connection \"\";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Port $server_port;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Forwarded \"for=$remote_addr;host=$http_host;proto=$scheme\";
    }}
  }}
  server {{ listen {at} default_server; return 503; }}
}}
"
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, config)?;
    let mut command = Command::new("nginx");
    command.arg("-e").arg(folder.join("error.log")).arg("-c").arg(path);
    Ok(command)
}

fn haproxy(folder: &Path, at: SocketAddr, backend: SocketAddr) -> Result<Command> {
    let config = format!(
        "global
  nbthread 2
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  http-reuse always
frontend in
  bind {at}
  use_backend web if {{ hdr(host),field(1,:) -i {HOST} }}
  default_backend none
backend web
  option forwardfor
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Forwarded-Proto http
  http-request set-header Forwarded for=%[src];host=%[req.hdr(host)];proto=http
  server web {backend}
backend none
  http-request deny deny_status 503
"
    );
    let path = folder.join("haproxy.cfg");
    std::fs::write(&path, config)?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(path);
    Ok(command)
}
