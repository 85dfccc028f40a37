//! A registry that does as it is told: good, slow, broken or hostile, and with a memory of who asked for what.
//!
//! Speaks HTTP/1.1 byte by byte, one request a connection, so that nothing it sends has to be well-formed. Everything
//! that was not scripted is not found, but `/v2/` is there.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How a path is answered.
#[derive(Clone, Debug)]
pub struct Script {
    status: u16,
    headers: Vec<(String, String)>,
    body: Arc<[u8]>,
    flow: Flow,
}

#[derive(Clone, Copy, Debug)]
enum Flow {
    Whole,
    /// The first so many bytes; the rest when the registry is released.
    Held(usize),
    /// The first so many bytes, and then the connection ends.
    Broken(usize),
    /// So many bytes each time that so many milliseconds have passed.
    Slow(usize, u64),
    /// The body again and again.
    Endless,
    /// Not even a head.
    Silent,
}

impl Script {
    /// This body with 200.
    #[must_use]
    pub fn sends(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into().into(), flow: Flow::Whole }
    }

    /// No body, and this status.
    #[must_use]
    pub fn refuses(status: u16) -> Self {
        Self { status, ..Self::sends("") }
    }

    /// With another status.
    #[must_use]
    pub const fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends only so many bytes until [`ScriptedRegistry::release`].
    #[must_use]
    pub const fn held_after(mut self, bytes: usize) -> Self {
        self.flow = Flow::Held(bytes);
        self
    }

    /// Announces the whole body and sends only so many bytes of it.
    #[must_use]
    pub const fn broken_after(mut self, bytes: usize) -> Self {
        self.flow = Flow::Broken(bytes);
        self
    }

    /// Sends so many bytes every so many milliseconds.
    #[must_use]
    pub const fn slow(mut self, bytes: usize, every_ms: u64) -> Self {
        self.flow = Flow::Slow(bytes, every_ms);
        self
    }

    /// Sends the body for ever, without a length.
    #[must_use]
    pub const fn endless(mut self) -> Self {
        self.flow = Flow::Endless;
        self
    }

    /// Takes the request and says nothing.
    #[must_use]
    pub const fn silent(mut self) -> Self {
        self.flow = Flow::Silent;
        self
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `GET /v2/…`.
    pub what: String,
    /// The header, if there was one.
    pub authorization: Option<String>,
}

/// The registry; it ends when it is dropped.
#[derive(Debug)]
pub struct ScriptedRegistry {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinSet<()>>,
}

#[derive(Debug)]
struct Shared {
    scripts: Mutex<HashMap<String, Script>>,
    asked: Mutex<Vec<Asked>>,
    released: watch::Sender<bool>,
}

impl ScriptedRegistry {
    /// Listens on a port of `address`.
    ///
    /// # Errors
    /// The address is not ours.
    pub async fn start(address: IpAddr) -> Result<Self> {
        let listener = TcpListener::bind((address, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            scripts: Mutex::default(),
            asked: Mutex::default(),
            released: watch::Sender::new(false),
        });
        let mut listening = JoinSet::new();
        let serving = Arc::clone(&shared);
        listening.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                connections.spawn(async move {
                    // A client that leaves is none of a registry's business.
                    shared.serve(stream).await.ok();
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, shared, listening: Some(listening) })
    }

    /// Address and port, as a reference names them.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// From now on a path is answered so; it may have a query.
    pub fn on(&self, path: impl Into<String>, script: Script) {
        self.shared.scripts.lock().unwrap_or_else(PoisonError::into_inner).insert(path.into(), script);
    }

    /// Sends what was held back, now and later.
    pub fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// Everything that was asked.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests began with these words.
    #[must_use]
    pub fn count(&self, what: &str) -> usize {
        self.asked().iter().filter(|asked| asked.what.starts_with(what)).count()
    }

    /// Is gone from here on: connections are refused, running answers break off.
    pub fn end(&mut self) {
        self.listening.take();
    }
}

impl Shared {
    async fn serve(&self, mut stream: TcpStream) -> Result<()> {
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 || head.len() > 64 << 10 {
                return Ok(());
            }
            // Whoever begins with TLS gets what they get from every server that speaks none.
            if head.first() == Some(&0x16) {
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await?;
                return Ok(());
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.lines();
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let authorization = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
            name.eq_ignore_ascii_case("authorization").then(|| value.trim().to_owned())
        });
        let asked = Asked { what: format!("{method} {target}"), authorization };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        let script = self.script(target);
        self.play(&mut stream, method == "HEAD", &script).await?;
        stream.shutdown().await?;
        Ok(())
    }

    fn script(&self, target: &str) -> Script {
        let scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        let path = target.split('?').next().unwrap_or_default();
        let found = scripts.get(target).or_else(|| scripts.get(path)).cloned();
        found.unwrap_or_else(|| if path == "/v2/" { Script::sends("{}") } else { Script::refuses(404) })
    }

    async fn play(&self, stream: &mut TcpStream, is_head: bool, script: &Script) -> Result<()> {
        let body = &script.body;
        let mut head = format!("HTTP/1.1 {} Told\r\nconnection: close\r\n", script.status);
        for (name, value) in &script.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !matches!(script.flow, Flow::Endless) {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        if matches!(script.flow, Flow::Silent) {
            return std::future::pending().await;
        }
        stream.write_all(head.as_bytes()).await?;
        if is_head {
            return Ok(());
        }
        match script.flow {
            Flow::Whole => stream.write_all(body).await?,
            Flow::Broken(after) => stream.write_all(body.split_at(after.min(body.len())).0).await?,
            Flow::Held(after) => {
                let (first, rest) = body.split_at(after.min(body.len()));
                stream.write_all(first).await?;
                self.released.subscribe().wait_for(|released| *released).await?;
                stream.write_all(rest).await?;
            }
            Flow::Slow(bytes, every_ms) => {
                for piece in body.chunks(bytes) {
                    stream.write_all(piece).await?;
                    tokio::time::sleep(Duration::from_millis(every_ms)).await;
                }
            }
            Flow::Endless => loop {
                stream.write_all(body).await?;
            },
            Flow::Silent => {}
        }
        Ok(())
    }
}
