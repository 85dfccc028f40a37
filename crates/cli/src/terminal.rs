//! Asking a person: lines, and passwords that are not shown.

use std::io::{self, Read};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

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
pub(crate) fn read_hidden(input: &mut dyn Read) -> io::Result<Option<String>> {
    let terminal = io::stdin();
    let Ok(shown) = tcgetattr(&terminal) else { return read_line(input) };
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Now, &hidden)?;
    let line = read_line(input);
    tcsetattr(&terminal, OptionalActions::Now, &shown)?;
    line
}
