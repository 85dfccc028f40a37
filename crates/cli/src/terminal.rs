//! Asking a person: lines, and passwords that are not shown.

use std::io::{self, Read};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

/// Reads one line, without its newline; none at the end of the input.
pub(crate) fn read_line(input: &mut dyn Read) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let mut byte = [0_u8];
    loop {
        match input.read(&mut byte) {
            Ok(0) if line.is_empty() => return Ok(None),
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

/// Reads one line while the process's terminal, if there is one, does not show what is typed.
///
/// The keys come as they are, Ctrl-C among them: a signal would end the process before the terminal is as it was.
pub(crate) fn read_hidden(input: &mut dyn Read) -> io::Result<Option<String>> {
    let terminal = io::stdin();
    let Ok(shown) = tcgetattr(&terminal) else { return read_line(input) };
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
    hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(&terminal, OptionalActions::Now, &hidden)?;
    let line = read_keys(input);
    tcsetattr(&terminal, OptionalActions::Now, &shown)?;
    line
}

/// Reads a line key by key, with those that take back. Ctrl-C, Ctrl-Z and Ctrl-\ are errors; Ctrl-D at the beginning, the
/// end. Other keys that stand for no character but the tab mean nothing here.
fn read_keys(input: &mut dyn Read) -> io::Result<Option<String>> {
    const INTERRUPT: [u8; 3] = [0x03, 0x1a, 0x1c];
    const END: u8 = 0x04;
    const ERASE: [u8; 2] = [0x08, 0x7f];
    const ERASE_WORD: u8 = 0x17;
    const KILL: u8 = 0x15;
    let mut line = Vec::new();
    let mut key = [0_u8];
    loop {
        match input.read(&mut key) {
            Ok(0) if line.is_empty() => return Ok(None),
            Ok(0) => break,
            Ok(_) => match key[0] {
                b'\r' | b'\n' => break,
                key if INTERRUPT.contains(&key) => return Err(io::Error::other("interrupted")),
                END if line.is_empty() => return Ok(None),
                END => break,
                KILL => line.clear(),
                key if ERASE.contains(&key) => {
                    // A character may be of several bytes: all that continue one go with it.
                    while line.pop().is_some_and(|byte: u8| byte & 0xc0 == 0x80) {}
                }
                ERASE_WORD => {
                    let is_blank = |byte: &u8| byte.is_ascii_whitespace();
                    let word = line.iter().rposition(|byte| !is_blank(byte)).unwrap_or_default();
                    let before = line.iter().take(word).rposition(is_blank).map_or(0, |blank| blank + 1);
                    line.truncate(before);
                }
                key if key.is_ascii_control() && key != b'\t' => {}
                key => line.push(key),
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::read_keys;

    #[track_caller]
    fn check(mut keys: &[u8], expected: Option<&str>) {
        assert_eq!(read_keys(&mut keys).unwrap().as_deref(), expected);
    }

    #[test]
    fn keys_make_a_line() {
        check(b"secret\rmore", Some("secret"));
        check("gr\u{fc}\u{7f}un\n".as_bytes(), Some("grun"));
        check(b"\x7fwrong\x15right\n", Some("right"));
        check(b"one two  \x17\x17three four\x17five\n", Some("three five"));
        check(b"\x17a\x01\tb\x1b\x00\n", Some("a\tb"));
        check(b"\x04", None);
        check(b"", None);
        check(b"cut off", Some("cut off"));
        for mut keys in [b"se\x03cret\n".as_slice(), b"se\x1acret\n", b"se\x1ccret\n"] {
            assert!(read_keys(&mut keys).is_err(), "these keys end the question");
        }
    }
}
