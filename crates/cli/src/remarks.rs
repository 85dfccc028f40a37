//! What requests leave behind for stderr: the server's warnings, and lines about requests at `-v 6` and above.
//!
//! Collected while requests run and written by the session before its next output, so that remarks stand where they
//! belong. Neither credentials nor the bodies of secrets and tokens are ever in them.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use pierhead_client::{Exchange, Observer};

/// From this level on each request has a line; headers, bodies and whole bodies follow one by one.
const LINES: u8 = 6;
const HEADERS: u8 = 7;
const BODIES: u8 = 8;
const WHOLE_BODIES: u8 = 9;

/// So much of a body is shown at level 8, in characters.
const SHOWN: usize = 1024;

/// Paths with one of these in them carry what nobody should find in a log.
const CONFIDENTIAL: [&str; 4] = ["/secrets", "/token", "tokens", "/oauth"];

/// What is still to be written. Cheap to clone; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Remarks {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    pending: Vec<String>,
    warnings: Vec<String>,
}

impl Remarks {
    /// Notes what a client of `server` does.
    pub(crate) fn observer(&self, level: u8, server: &str) -> Observer {
        let (state, server) = (Arc::clone(&self.state), server.to_owned());
        Arc::new(move |exchange| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Exchange::Answered { headers, .. } = exchange {
                for text in warnings_of(headers) {
                    if !state.warnings.contains(&text) {
                        state.pending.push(format!("Warning: {text}"));
                        state.warnings.push(text);
                    }
                }
            }
            if level >= LINES {
                write(&mut state.pending, level, &server, exchange);
            }
        })
    }

    /// What is to be written now.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).pending)
    }

    /// How many different warnings the server sent so far.
    pub(crate) fn warnings(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).warnings.len()
    }
}

/// The texts of `Warning: 299 - "text"`.
fn warnings_of(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all("warning").into_iter().filter_map(|value| value.to_str().ok());
    values.filter_map(warning_text).collect()
}

fn warning_text(value: &str) -> Option<String> {
    let (_, quoted) = value.split_once('"')?;
    let mut text = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => text.push(characters.next()?),
            character => text.push(character),
        }
    }
}

fn write(lines: &mut Vec<String>, level: u8, server: &str, exchange: &Exchange<'_>) {
    match exchange {
        Exchange::Sending { request } if level >= HEADERS => {
            lines.push(format!("{} {server}{}", request.method, request.path));
            lines.push("Request Headers:".to_owned());
            let json = || "application/json".to_owned();
            lines.push(format!("    Accept: {}", request.accept.clone().unwrap_or_else(json)));
            if !request.body.is_empty() {
                let content_type = request.content_type.clone().unwrap_or_else(json);
                lines.push(format!("    Content-Type: {content_type}"));
                if level >= BODIES {
                    lines.push(format!("Request Body: {}", shown(level, &request.path, &request.body)));
                }
            }
        }
        Exchange::Sending { .. } => {}
        Exchange::Answered { method, path, status, headers, took } => {
            let took = took.as_millis();
            lines.push(format!("{method} {server}{path} {status} in {took} milliseconds"));
            if level >= HEADERS {
                lines.push("Response Headers:".to_owned());
                let is_shown = |name: &str| !matches!(name, "set-cookie" | "location");
                for (name, value) in headers.iter().filter(|(name, _)| is_shown(name.as_str())) {
                    lines.push(format!("    {name}: {}", String::from_utf8_lossy(value.as_bytes())));
                }
            }
        }
        Exchange::Failed { method, path, error } => {
            lines.push(format!("{method} {server}{path} failed: {error}"));
        }
        Exchange::Body { path, body } if level >= BODIES => {
            lines.push(format!("Response Body: {}", shown(level, path, body)));
        }
        Exchange::Body { .. } => {}
    }
}

fn shown(level: u8, path: &str, body: &[u8]) -> String {
    if CONFIDENTIAL.iter().any(|word| path.contains(word)) {
        return format!("[{} bytes are not shown]", body.len());
    }
    let text = String::from_utf8_lossy(body);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) if level < WHOLE_BODIES => {
            let (start, rest) = text.split_at(end);
            format!("{start} [truncated {} chars]", rest.chars().count())
        }
        _ => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{shown, warning_text};

    #[test]
    fn warnings_and_bodies() {
        assert_eq!(warning_text(r#"299 - "a \"b\" c""#).as_deref(), Some(r#"a "b" c"#));
        assert_eq!(warning_text("299 - a"), None);
        assert_eq!(shown(8, "/api/v1/namespaces/p/secrets/s", b"abc"), "[3 bytes are not shown]");
        let long = "x".repeat(1030);
        assert!(shown(8, "/api/v1/pods", long.as_bytes()).ends_with("x [truncated 6 chars]"));
        assert_eq!(shown(9, "/api/v1/pods", long.as_bytes()), long);
    }
}
