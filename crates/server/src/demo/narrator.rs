//! How the story is shown: titles, explanations, commands with what they print, and a pause after each part.
//!
//! Owns the looks and the waiting; knows nothing of clusters.

use anyhow::{Result, bail};
use std::io::{BufRead, Write};

/// Columns of an explanation.
const WIDTH: usize = 88;

/// Prints the story and waits for the Enter key where somebody is there to press it.
pub(super) struct Narrator<'a> {
    input: &'a mut dyn BufRead,
    out: &'a mut dyn Write,
    pauses: bool,
    told: bool,
}

/// A command that ran.
pub(super) struct Ran {
    /// As it is typed, with the program's name first.
    pub(super) typed: String,
    /// Both streams, in order as far as is known.
    pub(super) output: String,
    /// Whether it ended well.
    pub(super) succeeded: bool,
}

impl<'a> Narrator<'a> {
    /// Tells on `out`; waits for lines of `input` when `pauses`.
    pub(super) fn new(input: &'a mut dyn BufRead, out: &'a mut dyn Write, pauses: bool) -> Self {
        Self { input, out, pauses, told: false }
    }

    /// Starts a part of the story, after a pause if there was one before.
    pub(super) fn title(&mut self, title: &str) -> Result<()> {
        if self.told {
            self.pause()?;
        }
        self.told = true;
        writeln!(self.out, "\n{title}\n{}\n", "-".repeat(title.chars().count()))?;
        Ok(self.out.flush()?)
    }

    /// Explains, in lines of a readable length.
    pub(super) fn say(&mut self, text: &str) -> Result<()> {
        for line in wrapped(text) {
            writeln!(self.out, "{line}")?;
        }
        writeln!(self.out)?;
        Ok(self.out.flush()?)
    }

    /// One line that is no explanation: a fact to remember.
    pub(super) fn note(&mut self, line: &str) -> Result<()> {
        writeln!(self.out, "  {line}")?;
        Ok(self.out.flush()?)
    }

    /// Shows a command and what it printed. One that failed although it should not ends the story.
    pub(super) fn show(&mut self, ran: &Ran) -> Result<()> {
        self.print(ran)?;
        if !ran.succeeded {
            bail!("`{}` failed; the story ends here", ran.typed);
        }
        Ok(())
    }

    /// Shows a command that was meant to be refused, and was.
    pub(super) fn show_refusal(&mut self, ran: &Ran) -> Result<()> {
        self.print(ran)?;
        if ran.succeeded {
            bail!("`{}` was to be refused, and was not", ran.typed);
        }
        Ok(())
    }

    fn print(&mut self, ran: &Ran) -> Result<()> {
        writeln!(self.out, "$ {}", ran.typed)?;
        let output = ran.output.trim_end();
        if !output.is_empty() {
            writeln!(self.out, "{output}")?;
        }
        writeln!(self.out)?;
        Ok(self.out.flush()?)
    }

    fn pause(&mut self) -> Result<()> {
        if self.pauses {
            write!(self.out, "[Enter] ")?;
            self.out.flush()?;
            let mut line = String::new();
            // At the end of input nobody waits any more.
            self.pauses = self.input.read_line(&mut line)? > 0;
        }
        Ok(())
    }
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{Narrator, Ran, WIDTH, wrapped};

    #[test]
    fn explanations_are_wrapped_between_words() {
        let text = "word ".repeat(60);
        let lines = wrapped(&text);
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{lines:?}");
        assert_eq!(lines.join(" "), text.trim());
    }

    #[test]
    fn it_waits_between_parts_until_input_ends() {
        let (mut input, mut out) = (&b"\n"[..], Vec::new());
        let mut tell = Narrator::new(&mut input, &mut out, true);
        for title in ["one", "two", "three", "four"] {
            tell.title(title).unwrap();
        }
        let shown = String::from_utf8(out).unwrap();
        assert_eq!(shown.matches("[Enter]").count(), 2, "{shown}");
    }

    #[test]
    fn a_command_that_fails_ends_the_story() {
        let (mut input, mut out) = (&b""[..], Vec::new());
        let mut tell = Narrator::new(&mut input, &mut out, false);
        let ran = Ran { typed: "oc whoami".to_owned(), output: "no".to_owned(), succeeded: false };
        let error = tell.show(&ran).unwrap_err();
        assert_eq!(error.to_string(), "`oc whoami` failed; the story ends here");
        tell.show_refusal(&ran).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("$ oc whoami\nno\n"));
    }
}
