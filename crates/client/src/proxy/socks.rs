//! SOCKS 5 (RFC 1928, 1929): a way through a proxy that looks names up itself.
//!
//! Owns the handshake on a connection that there already is. Whoever has a password offers to go without as well, as Go's
//! programs and curl do: the proxy chooses, and only among what it was offered.

use std::{fmt, io, net::IpAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

const VERSION: u8 = 5;
/// The version of what is said of user and password, which is its own.
const LOGIN_VERSION: u8 = 1;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Ways to log in.
const NOTHING: u8 = 0;
const PASSWORD: u8 = 2;
const NONE_OF_THEM: u8 = 0xff;

/// Why there is no way through.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocksError {
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// What answers speaks otherwise.
    #[error("what it says is not SOCKS 5")]
    Foreign,
    /// It wants to know more of us than we have to say.
    #[error("it takes none of the ways to log in that it was offered ({offered})")]
    NoMethod {
        /// What it was offered.
        offered: &'static str,
    },
    /// It goes on as if it had been offered something else.
    #[error("it chose a way to log in that it was not offered ({chosen})")]
    NotOffered {
        /// Number of that way.
        chosen: u8,
    },
    /// It does not know that user, or not with that password.
    #[error("it does not take the credentials in its URL")]
    Credentials,
    /// User, password or host do not fit.
    #[error("the {what} is longer than 255 bytes")]
    TooLong {
        /// Which of them.
        what: &'static str,
    },
    /// It does not lead there.
    #[error("{0}")]
    Refused(Reply),
}

/// What a proxy answers to the request for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply(u8);

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            1 => "general SOCKS server failure",
            2 => "connection not allowed by ruleset",
            3 => "network unreachable",
            4 => "host unreachable",
            5 => "connection refused",
            6 => "TTL expired",
            7 => "command not supported",
            8 => "address type not supported",
            other => return write!(f, "SOCKS answer {other}"),
        })
    }
}

/// Asks the proxy at the other end of `stream` for a connection to a host. What follows on `stream` is that connection.
pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    credentials: Option<(&str, &str)>,
    (host, port): (&str, u16),
) -> Result<(), SocksError> {
    let request = request(host, port)?;
    let login = credentials.map(login).transpose()?;
    let offered: &[u8] = if login.is_some() { &[NOTHING, PASSWORD] } else { &[NOTHING] };
    match (choose(stream, offered).await?, login) {
        (NOTHING, _) => {}
        (PASSWORD, Some(login)) => {
            stream.write_all(&login).await?;
            let [version, refused] = read(stream).await?;
            if version != LOGIN_VERSION {
                return Err(SocksError::Foreign);
            }
            if refused != 0 {
                return Err(SocksError::Credentials);
            }
        }
        (NONE_OF_THEM, Some(_)) => return Err(SocksError::NoMethod { offered: "none, password" }),
        (NONE_OF_THEM, None) => return Err(SocksError::NoMethod { offered: "none" }),
        (chosen, _) => return Err(SocksError::NotOffered { chosen }),
    }
    stream.write_all(&request).await?;
    let [version, reply, _reserved, kind] = read(stream).await?;
    if version != VERSION {
        return Err(SocksError::Foreign);
    }
    if reply != 0 {
        return Err(SocksError::Refused(Reply(reply)));
    }
    // The address that it connects from means nothing to us, but stands before what comes from the host.
    let length = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(stream.read_u8().await?),
        _ => return Err(SocksError::Foreign),
    };
    stream.read_exact(&mut vec![0; length + size_of::<u16>()]).await?;
    Ok(())
}

/// The way to log in that the proxy chooses.
async fn choose<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, offered: &[u8]) -> Result<u8, SocksError> {
    let mut greeting = vec![VERSION];
    put_counted(&mut greeting, offered, "list of ways to log in")?;
    stream.write_all(&greeting).await?;
    let [version, chosen] = read(stream).await?;
    if version == VERSION { Ok(chosen) } else { Err(SocksError::Foreign) }
}

fn login((user, password): (&str, &str)) -> Result<Vec<u8>, SocksError> {
    let mut login = vec![LOGIN_VERSION];
    put_counted(&mut login, user.as_bytes(), "user name")?;
    put_counted(&mut login, password.as_bytes(), "password")?;
    Ok(login)
}

/// The request for a connection.
fn request(host: &str, port: u16) -> Result<Vec<u8>, SocksError> {
    let mut request = vec![VERSION, CONNECT, 0];
    let host = host.trim_matches(['[', ']']);
    match host.parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend(address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend(address.octets());
        }
        Err(_no_address) => {
            request.push(NAME);
            put_counted(&mut request, host.as_bytes(), "name of the host")?;
        }
    }
    request.extend(port.to_be_bytes());
    Ok(request)
}

fn put_counted(message: &mut Vec<u8>, bytes: &[u8], what: &'static str) -> Result<(), SocksError> {
    let Ok(count) = u8::try_from(bytes.len()) else { return Err(SocksError::TooLong { what }) };
    message.push(count);
    message.extend(bytes);
    Ok(())
}

async fn read<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::connect;

    const ANN: Option<(&str, &str)> = Some(("ann", "p@s"));

    /// What a proxy is told that says `answers` whatever it is told, and what comes of it.
    async fn told(credentials: Option<(&str, &str)>, host: &str, answers: &[u8]) -> (Vec<u8>, String) {
        let (mut here, mut there) = tokio::io::duplex(4096);
        there.write_all(answers).await.unwrap();
        let ended = match connect(&mut here, credentials, (host, 6443)).await {
            Ok(()) => {
                let mut rest = [0; 3];
                here.read_exact(&mut rest).await.unwrap();
                String::from_utf8(rest.to_vec()).unwrap()
            }
            Err(error) => error.to_string(),
        };
        drop(here);
        let mut told = Vec::new();
        there.read_to_end(&mut told).await.unwrap();
        (told, ended)
    }

    #[tokio::test]
    async fn the_proxy_chooses_among_what_it_is_offered() {
        let rows: [(_, &[u8], &[u8], &str); 9] = [
            (None, b"\x05\x00\x05\x00\x00\x01abcdpphi!", b"\x05\x01\x00", "hi!"),
            (ANN, b"\x05\x00\x05\x00\x00\x03\x02hopphi!", b"\x05\x02\x00\x02", "hi!"),
            (
                ANN,
                b"\x05\x02\x01\x00\x05\x00\x00\x04abcdefghijklmnoppphi!",
                b"\x05\x02\x00\x02\x01\x03ann\x03p@s",
                "hi!",
            ),
            (ANN, b"\x05\x02\x01\x01", b"", "it does not take the credentials in its URL"),
            (
                ANN,
                b"\x05\xff",
                b"",
                "it takes none of the ways to log in that it was offered (none, password)",
            ),
            (None, b"\x05\xff", b"", "it takes none of the ways to log in that it was offered (none)"),
            (None, b"\x05\x02", b"", "it chose a way to log in that it was not offered (2)"),
            (ANN, b"\x05\x01", b"", "it chose a way to log in that it was not offered (1)"),
            (ANN, b"HTTP/1.1 400", b"", "what it says is not SOCKS 5"),
        ];
        for (credentials, answers, greeting, expected) in rows {
            let (told, ended) = told(credentials, "a.test", answers).await;
            assert_eq!(ended, expected);
            if expected == "hi!" {
                assert_eq!(told, [greeting, b"\x05\x01\x00\x03\x06a.test\x19\x2b"].concat());
            }
        }
    }

    #[tokio::test]
    async fn addresses_go_as_such_and_refusals_are_told() {
        let refused = b"\x05\x00\x05\x02\x00\x01abcdpp";
        let (told_v4, ended) = told(None, "10.1.2.3", refused).await;
        assert_eq!(ended, "connection not allowed by ruleset");
        assert_eq!(told_v4, b"\x05\x01\x00\x05\x01\x00\x01\x0a\x01\x02\x03\x19\x2b");
        let (told_v6, _) = told(None, "[::1]", refused).await;
        assert_eq!(told_v6, b"\x05\x01\x00\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x19\x2b");
        // Nothing is sent that the other end would have to misread.
        let long = "x".repeat(256);
        assert_eq!(
            told(None, &long, b"").await,
            (vec![], "the name of the host is longer than 255 bytes".into())
        );
        let login = Some(("ann", long.as_str()));
        assert_eq!(
            told(login, "a.test", b"").await,
            (vec![], "the password is longer than 255 bytes".into())
        );
    }
}
