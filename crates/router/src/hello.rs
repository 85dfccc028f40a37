//! Reads the host name out of a TLS ClientHello without ending TLS.
//!
//! Owns the parse of the first bytes of a connection (RFC 8446 4.1.2, RFC 6066 3). It answers the same for any way
//! the bytes are split into records and segments, and never panics: `reliability-and-security.md` 7-J J4.
//! Says nothing about whether the handshake would succeed: TLS itself decides that later, from the same bytes.

/// The most bytes a ClientHello may take before we stop listening to it, record headers included.
pub(crate) const LONGEST_HELLO: usize = 18 * 1024;

const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME_EXTENSION: u16 = 0;
const HOST_NAME: u8 = 0;
const RECORD_HEADER: usize = 5;

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hello {
    /// More bytes are needed to tell.
    Incomplete,
    /// A complete ClientHello, with the host name it asks for in lower case.
    Complete {
        /// Absent when the client did not say.
        server_name: Option<String>,
    },
    /// These bytes cannot become a ClientHello.
    NotTls,
}

/// Looks at everything that was received so far.
pub(crate) fn parse(received: &[u8]) -> Hello {
    match message(received) {
        Ok(Some(body)) => match server_name(&body) {
            Some(server_name) => Hello::Complete { server_name },
            None => Hello::NotTls,
        },
        Ok(None) if received.len() >= LONGEST_HELLO => Hello::NotTls,
        Ok(None) => Hello::Incomplete,
        Err(NotAHello) => Hello::NotTls,
    }
}

struct NotAHello;

/// The body of the handshake message, put together from its records; `None` while bytes are missing.
fn message(received: &[u8]) -> Result<Option<Vec<u8>>, NotAHello> {
    let mut records = Reader { rest: received };
    let mut handshake = Vec::new();
    loop {
        if let Some(&kind) = handshake.first() {
            if kind != CLIENT_HELLO {
                return Err(NotAHello);
            }
            let mut reader = Reader { rest: handshake.get(1..).unwrap_or_default() };
            if let Some(length) = reader.u24() {
                if length > LONGEST_HELLO {
                    return Err(NotAHello);
                }
                if let Some(body) = reader.take(length) {
                    return Ok(Some(body.to_vec()));
                }
            }
        }
        let Some(&kind) = records.rest.first() else { return Ok(None) };
        if kind != HANDSHAKE_RECORD || records.rest.get(1).is_some_and(|&major| major != 3) {
            return Err(NotAHello);
        }
        if records.rest.len() < RECORD_HEADER {
            return Ok(None);
        }
        let length = records.take(3).and_then(|_| records.u16());
        match length.map(usize::from) {
            None | Some(0) => return Err(NotAHello),
            Some(length) => {
                let available = length.min(records.rest.len());
                handshake.extend_from_slice(records.take(available).unwrap_or_default());
                if available < length {
                    return Ok(complete_body(&handshake));
                }
            }
        }
    }
}

/// The message body when the last, unfinished record already holds all of it.
fn complete_body(handshake: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader { rest: handshake };
    if reader.u8()? != CLIENT_HELLO {
        return None;
    }
    let length = reader.u24()?;
    reader.take(length).map(<[u8]>::to_vec)
}

/// The host name in a ClientHello body. The outer `None` means that the body is malformed.
#[expect(clippy::option_option, reason = "malformed and nameless are different answers")]
fn server_name(body: &[u8]) -> Option<Option<String>> {
    let mut reader = Reader { rest: body };
    reader.take(2 + 32)?; // version, random
    let session = reader.u8()?;
    reader.take(usize::from(session))?;
    let suites = reader.u16()?;
    reader.take(usize::from(suites))?;
    let compressions = reader.u8()?;
    reader.take(usize::from(compressions))?;
    if reader.rest.is_empty() {
        return Some(None);
    }
    let length = reader.u16()?;
    let mut extensions = Reader { rest: reader.take(usize::from(length))? };
    while !extensions.rest.is_empty() {
        let kind = extensions.u16()?;
        let length = extensions.u16()?;
        let content = extensions.take(usize::from(length))?;
        if kind == SERVER_NAME_EXTENSION {
            return host_name(content).map(Some);
        }
    }
    Some(None)
}

fn host_name(extension: &[u8]) -> Option<String> {
    let mut reader = Reader { rest: extension };
    let length = reader.u16()?;
    let mut names = Reader { rest: reader.take(usize::from(length))? };
    let kind = names.u8()?;
    let length = names.u16()?;
    let name = names.take(usize::from(length))?;
    if kind != HOST_NAME || name.is_empty() || !name.is_ascii() {
        return None;
    }
    std::str::from_utf8(name).ok().map(str::to_ascii_lowercase)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn u24(&mut self) -> Option<usize> {
        self.take(3).map(|bytes| bytes.iter().fold(0, |sum, &byte| (sum << 8) | usize::from(byte)))
    }
}

#[cfg(test)]
mod tests {
    use pierhead_runtime::tls::{self, Alpn};

    use super::{Hello, LONGEST_HELLO, parse};

    /// A ClientHello as rustls makes it.
    fn hello(name: &str) -> Vec<u8> {
        let config = tls::client_config(rustls::RootCertStore::empty(), Alpn::Http2AndHttp1).unwrap();
        let name = name.to_owned().try_into().unwrap();
        let mut connection = rustls::ClientConnection::new(config, name).unwrap();
        let mut bytes = Vec::new();
        connection.write_tls(&mut bytes).unwrap();
        bytes
    }

    fn named(name: &str) -> Hello {
        Hello::Complete { server_name: Some(name.to_owned()) }
    }

    #[test]
    fn gives_the_same_name_for_every_split() {
        let whole = hello("Shop.Example.com");
        assert_eq!(parse(&whole), named("shop.example.com"));
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), Hello::Incomplete, "after {end} bytes");
        }
        let mut with_more = whole.clone();
        with_more.extend([1, 2, 3]);
        assert_eq!(parse(&with_more), named("shop.example.com"));
    }

    #[test]
    fn puts_fragmented_records_together() {
        let whole = hello("shop.example.com");
        for size in [1, 2, 3, 7, 100] {
            let mut fragmented = Vec::new();
            for piece in whole[5..].chunks(size) {
                fragmented.extend([22, 3, 1]);
                fragmented.extend(u16::try_from(piece.len()).unwrap().to_be_bytes());
                fragmented.extend(piece);
            }
            if fragmented.len() < LONGEST_HELLO {
                assert_eq!(parse(&fragmented), named("shop.example.com"), "records of {size}");
            }
        }
    }

    #[test]
    fn an_address_is_no_name() {
        assert_eq!(parse(&hello("127.0.0.1")), Hello::Complete { server_name: None });
    }

    #[test]
    fn refuses_what_is_not_a_hello() {
        assert_eq!(parse(b"GET / HTTP/1.1\r\n"), Hello::NotTls);
        assert_eq!(parse(&[22, 2]), Hello::NotTls);
        assert_eq!(parse(&[22, 3, 1, 0, 0]), Hello::NotTls);
        assert_eq!(parse(&[22, 3, 1, 0, 4, 2, 0, 0, 0]), Hello::NotTls);
        assert_eq!(parse(&[22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff]), Hello::NotTls);
        assert_eq!(parse(&[22, 3, 1, 0, 4, 1, 0, 0, 0]), Hello::NotTls);
    }

    #[test]
    fn no_damage_makes_it_panic() {
        let whole = hello("shop.example.com");
        for position in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[position] = value;
                parse(&damaged);
                parse(&damaged[..position]);
            }
        }
    }
}
