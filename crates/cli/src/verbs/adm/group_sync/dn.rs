//! Names of entries (RFC 4514), as far as it takes to see whether one is below another.

/// The name of an entry.
#[derive(Clone, Debug)]
pub(super) struct Dn {
    /// As it was written.
    text: String,
    /// The parts between commas, each in one spelling.
    parts: Vec<Part>,
}

/// Attributes and their values, in order.
type Part = Vec<Pair>;

/// An attribute and its value.
type Pair = (String, String);

/// Why a text names no entry.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DnError {
    #[error("{0:?} is no name of an entry: {1:?} is no attribute with a value")]
    Part(String, String),
    #[error(
        "{0:?} is no name of an entry: a backslash stands before a special character or two hexadecimal digits"
    )]
    Escape(String),
    #[error("{0:?} is no name of an entry: its escapes are not UTF-8")]
    Encoding(String),
}

impl Dn {
    /// Reads a name; the empty one is what is above all others.
    pub(super) fn parse(text: &str) -> Result<Self, DnError> {
        let (mut parts, mut part) = (Vec::new(), Part::new());
        let mut rest = text;
        while !text.trim().is_empty() {
            let (pair, end, behind) = pair(text, rest)?;
            part.push(pair);
            rest = behind;
            if end != Some('+') {
                part.sort_unstable();
                parts.push(std::mem::take(&mut part));
            }
            if end.is_none() {
                break;
            }
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the entry is the base, or below it. Case, escapes, and blanks around the parts count for nothing.
    pub(super) fn is_within(&self, base: &Self) -> bool {
        self.parts.ends_with(&base.parts)
    }

    /// Whether it is the name of the same entry.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

/// An attribute and its value at the beginning of `rest`, what ends them, and what is behind that.
fn pair<'t>(whole: &str, rest: &'t str) -> Result<(Pair, Option<char>, &'t str), DnError> {
    let wrong = || DnError::Part(whole.to_owned(), rest.to_owned());
    let (attribute, rest) = rest.split_once('=').ok_or_else(wrong)?;
    let attribute = attribute.trim();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if attribute.is_empty() || !attribute.bytes().all(is_plain) {
        return Err(wrong());
    }
    let mut value = Vec::new();
    // Blanks at the end count only if they are escaped.
    let mut kept = 0;
    let mut characters = rest.trim_start_matches(' ').chars();
    let end = loop {
        match characters.next() {
            end @ (None | Some(',' | ';' | '+')) => break end,
            Some('\\') => {
                value.push(escaped(&mut characters).ok_or_else(|| DnError::Escape(whole.to_owned()))?);
                kept = value.len();
            }
            Some(character) => {
                value.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
                if character != ' ' {
                    kept = value.len();
                }
            }
        }
    };
    value.truncate(kept);
    let value = match String::from_utf8(value) {
        Ok(value) => value.to_lowercase(),
        Err(_invalid) => return Err(DnError::Encoding(whole.to_owned())),
    };
    Ok(((attribute.to_ascii_lowercase(), value), end, characters.as_str()))
}

/// The byte that is meant by what stands behind a backslash.
fn escaped(characters: &mut std::str::Chars<'_>) -> Option<u8> {
    let first = characters.next()?;
    match u8::try_from(first) {
        Ok(special) if b" \"#+,;<=>\\".contains(&special) => Some(special),
        _ => {
            let byte = first.to_digit(16)? * 16 + characters.next()?.to_digit(16)?;
            u8::try_from(byte).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dn, DnError};

    #[test]
    fn entries_are_within_what_is_above_them() {
        let rows = [
            ("cn=a,ou=b,dc=c", "ou=b,dc=c", true),
            ("CN=A, OU = B , DC=c", "ou=b,dc=c", true),
            ("ou=b,dc=c", "ou=b,dc=c", true),
            ("ou=b,dc=c", "", true),
            ("dc=c", "ou=b,dc=c", false),
            ("cn=a,ou=bb,dc=c", "ou=b,dc=c", false),
            ("cn=x\\,ou=b,dc=c", "ou=b,dc=c", false),
            ("cn=x\\\\,ou=b,dc=c", "ou=b,dc=c", true),
            ("cn=a,ou=B\\C3\\B6rse,dc=c", "ou=b\u{f6}RSE,dc=c", true),
            ("cn=a,ou=b\\2Cd,dc=c", "ou=b\\,d,dc=c", true),
            ("cn=a,ou=b\\20,dc=c", "ou=b,dc=c", false),
            ("cn=a,ou=b\\ ,dc=c", "ou=b\\20 ,dc=c", true),
            ("cn=a,ou=b+l=d,dc=c", "L=d + OU=b,dc=c", true),
            ("cn=a,ou=b+l=d,dc=c", "ou=b,dc=c", false),
        ];
        for (dn, base, expected) in rows {
            let is_within = Dn::parse(dn).unwrap().is_within(&Dn::parse(base).unwrap());
            assert_eq!(is_within, expected, "{dn} in {base}");
        }
    }

    #[test]
    fn what_names_no_entry_is_refused() {
        let part = |text: &str, part: &str| DnError::Part(text.to_owned(), part.to_owned());
        let rows = [
            ("acme", part("acme", "acme")),
            ("ou=b,", part("ou=b,", "")),
            ("ou=b,,dc=c", part("ou=b,,dc=c", ",dc=c")),
            ("=b", part("=b", "=b")),
            ("o u=b", part("o u=b", "o u=b")),
            ("ou=\\x", DnError::Escape("ou=\\x".to_owned())),
            ("ou=b\\", DnError::Escape("ou=b\\".to_owned())),
            ("ou=\\C3,dc=c", DnError::Encoding("ou=\\C3,dc=c".to_owned())),
        ];
        for (text, expected) in rows {
            assert_eq!(Dn::parse(text).unwrap_err(), expected, "{text}");
        }
    }
}
