//! Colours: whether, and of what.
//!
//! Only the first word of a remark and headings are coloured: what programs read has none (demand 3.1).

use std::borrow::Cow;

use crate::{environment::Environment, globals::ColourChoice};

/// Whether a stream takes colours: the flag, then `NO_COLOR`, `CLICOLOR_FORCE`, `TERM=dumb`, then whether a person
/// reads there.
pub(crate) fn wanted(choice: Option<ColourChoice>, environment: &Environment, is_terminal: bool) -> bool {
    match choice {
        Some(ColourChoice::Always) => true,
        Some(ColourChoice::Never) => false,
        Some(ColourChoice::Auto) | None => {
            let is_forced = environment.var("CLICOLOR_FORCE").is_some_and(|value| value != "0");
            let is_dumb = environment.var("TERM") == Some("dumb");
            environment.var("NO_COLOR").is_none() && (is_forced || (is_terminal && !is_dumb))
        }
    }
}

/// A line of stderr with its first word in the colour of its weight.
pub(crate) fn remark(line: &str) -> Cow<'_, str> {
    let colours = [("error:", 31), ("Error from server", 31), ("Warning:", 33), ("hint:", 36)];
    for (word, colour) in colours {
        if let Some(rest) = line.strip_prefix(word) {
            return Cow::Owned(format!("\u{1b}[{colour}m{word}\u{1b}[0m{rest}"));
        }
    }
    Cow::Borrowed(line)
}

/// Bold, for headings.
pub(crate) fn heading(line: &str) -> String {
    format!("\u{1b}[1m{line}\u{1b}[0m")
}
