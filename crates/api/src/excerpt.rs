//! The start of a text that may be long, for messages that repeat what a client sent.

use std::borrow::Cow;

/// The text, or as much of its start as `max` bytes hold and an ellipsis.
pub fn excerpt(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let (start, _) = text.split_at(text.floor_char_boundary(max));
    Cow::Owned(format!("{start}..."))
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn cuts_between_characters() {
        let check = |text: &str, expected: &str| assert_eq!(excerpt(text, 4), expected);
        check("", "");
        check("four", "four");
        check("fives", "five...");
        check("thr\u{e9}e", "thr...");
    }
}
