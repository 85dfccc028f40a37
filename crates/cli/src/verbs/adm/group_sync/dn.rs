//! Names of entries (RFC 4514), as far as it takes to see whether one is below another.

/// Whether the entry is the base, or below it. Case and blanks around the parts count for nothing.
pub(super) fn is_within(dn: &str, base: &str) -> bool {
    let (dn, base) = (parts(dn), parts(base));
    dn.ends_with(&base)
}

/// The parts of a name between commas, each in one spelling.
fn parts(dn: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = dn.chars();
    while let Some(character) = characters.next() {
        let last = parts.last_mut().expect("there is a part from the beginning, and none is taken away");
        match character {
            ',' => parts.push(String::new()),
            '\\' => last.extend(['\\'].into_iter().chain(characters.next())),
            ' ' if last.is_empty() || last.ends_with('=') => {}
            '=' => {
                last.truncate(last.trim_end().len());
                last.push('=');
            }
            other => last.extend(other.to_lowercase()),
        }
    }
    let trim = |part: String| part.trim_end().to_owned();
    parts.into_iter().map(trim).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::is_within;

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
        ];
        for (dn, base, expected) in rows {
            assert_eq!(is_within(dn, base), expected, "{dn} in {base}");
        }
    }
}
