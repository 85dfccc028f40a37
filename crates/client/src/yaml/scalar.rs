//! Strings in YAML: plain, quoted or as a block.
//!
//! The rules are those of Go's YAML emitter for YAML 1.1 readers, which is what every Kubernetes tool writes.

/// A mapping key.
pub(super) fn key(text: &str) -> String {
    if text.contains('\n') { double_quoted(text) } else { inline(text) }
}

/// A string on one line.
pub(super) fn inline(text: &str) -> String {
    if has_special(text) {
        double_quoted(text)
    } else if means_something_else(text) {
        format!("\"{text}\"")
    } else if plain_allowed(text) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// A string of several lines as a literal block, if a block can hold it; ends with a newline.
pub(super) fn block(text: &str, depth: usize) -> Option<String> {
    let fits = text.contains('\n')
        && !text.starts_with(['\n', ' '])
        && text.split('\n').all(|line| !line.ends_with(' ') && !has_special(line))
        && !text.trim_end_matches('\n').is_empty();
    if !fits {
        return None;
    }
    let chomping = match text.strip_suffix('\n') {
        None => "-",
        Some(rest) if rest.ends_with('\n') => "+",
        Some(_) => "",
    };
    let mut out = format!("|{chomping}\n");
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if !line.is_empty() {
            for _ in 0..depth {
                out.push_str("  ");
            }
            out.push_str(line);
        }
        out.push('\n');
    }
    Some(out)
}

fn double_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0' => out.push_str("\\0"),
            '\u{1b}' => out.push_str("\\e"),
            other if is_special(other) => {
                let code = u32::from(other);
                match code {
                    0..=0xff => out.push_str(&format!("\\x{code:02X}")),
                    0x100..=0xffff => out.push_str(&format!("\\u{code:04X}")),
                    _ => out.push_str(&format!("\\U{code:08X}")),
                }
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn is_special(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

fn has_special(text: &str) -> bool {
    text.chars().any(is_special)
}

/// Whether a reader would take the plain string as something that is not a string.
fn means_something_else(text: &str) -> bool {
    const WORDS: [&str; 15] = [
        "", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", ".nan", ".inf", "-.inf",
        "+.inf",
    ];
    WORDS.contains(&text.to_ascii_lowercase().as_str())
        || matches!(text, "<<" | "=")
        || is_number(text)
        || is_base_60(text)
        || is_timestamp(text)
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text).replace('_', "");
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = unsigned.strip_prefix(prefix) {
            return !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        }
    }
    unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && unsigned.chars().any(|digit| digit.is_ascii_digit())
        && unsigned.parse::<f64>().is_ok()
}

/// `12:30:45` is a number to YAML 1.1.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = unsigned.split(':');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    !first.is_empty()
        && first.chars().all(|digit| digit.is_ascii_digit())
        && !rest.is_empty()
        && rest.iter().all(|part| {
            (1..=2).contains(&part.len())
                && part.chars().all(|digit| digit.is_ascii_digit())
                && part.parse::<u8>().is_ok_and(|value| value < 60)
        })
}

fn is_timestamp(text: &str) -> bool {
    let shape: String =
        text.chars().take(10).map(|digit| if digit.is_ascii_digit() { '9' } else { digit }).collect();
    if shape != "9999-99-99" {
        return false;
    }
    match text.chars().nth(10) {
        None => true,
        Some('T' | 't' | ' ') => text.chars().nth(11).is_some_and(|digit| digit.is_ascii_digit()),
        Some(_) => false,
    }
}

fn plain_allowed(text: &str) -> bool {
    let mut characters = text.chars();
    let first = characters.next().unwrap_or(' ');
    let second = characters.next();
    let starts_badly = match first {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
            true
        }
        '-' | '?' | ':' => second.is_none_or(|second| second == ' '),
        _ => false,
    };
    !(starts_badly
        || text.starts_with("---")
        || text.starts_with("...")
        || text.starts_with(' ')
        || text.ends_with(' ')
        || text.ends_with(':')
        || text.contains(": ")
        || text.contains(" #"))
}
