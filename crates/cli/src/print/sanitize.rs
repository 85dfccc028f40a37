//! Text of strangers on the user's terminal.
//!
//! Names and messages come from servers and from whoever wrote the objects. Control characters in them could
//! move the cursor or change the title, so they are shown, not sent.

use std::borrow::Cow;

/// The text with control characters (C0 but newline and tab, DEL, C1) made visible.
pub(crate) fn sanitize(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\r' => out.push_str("\\r"),
            character if is_dangerous(character) => match u8::try_from(u32::from(character)) {
                Ok(code @ 0..=0x1f) => {
                    out.push('^');
                    out.push(char::from(code + 0x40));
                }
                Ok(0x7f) => out.push_str("^?"),
                _ => out.push_str(&format!("\\u{{{:x}}}", u32::from(character))),
            },
            character => out.push(character),
        }
    }
    Cow::Owned(out)
}

/// One cell: sanitized, and without the characters that end cells and lines.
pub(crate) fn sanitize_cell(text: &str) -> String {
    sanitize(text).replace('\t', " ").replace('\n', "\\n")
}

fn is_dangerous(character: char) -> bool {
    character.is_control() && !matches!(character, '\n' | '\t')
}

#[cfg(test)]
mod tests {
    use super::sanitize;

    #[test]
    fn control_characters_are_shown() {
        let rows = [
            ("plain é\n\t", "plain é\n\t"),
            ("\u{1b}]0;title\u{7}", "^[]0;title^G"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\rb\u{7f}", "a\\rb^?"),
        ];
        for (text, expected) in rows {
            assert_eq!(sanitize(text), expected);
        }
    }
}
