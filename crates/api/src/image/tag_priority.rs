//! Which tags of a repository matter most: those are imported and shown first (images 5.3).

use std::cmp::Ordering;

/// Sorts tags: `latest`, then minor versions (`3.11`, `v4.2`) from the newest on, then full versions likewise, then the
/// rest by name.
pub fn prioritize_tags(tags: &mut [String]) {
    tags.sort_by_cached_key(|tag| Priority::of(tag));
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Priority {
    Latest,
    Minor(Newest, String),
    Full(Newest, String),
    Other(String),
}

/// A version; the newer comes first.
#[derive(PartialEq, Eq)]
struct Newest {
    numbers: Vec<u64>,
    prerelease: Vec<Identifier>,
}

/// A part of a pre-release: numbers come before words.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Word(String),
}

impl Priority {
    fn of(tag: &str) -> Self {
        if tag == "latest" {
            return Self::Latest;
        }
        let name = || tag.to_owned();
        match Newest::parse(tag.trim_start_matches('v')) {
            Some(version) if version.numbers.len() == 2 => Self::Minor(version, name()),
            Some(version) => Self::Full(version, name()),
            None => Self::Other(name()),
        }
    }
}

impl Newest {
    /// `1.2`, or a full semantic version; what follows a `+` does not count.
    fn parse(text: &str) -> Option<Self> {
        let (text, _) = text.split_once('+').unwrap_or((text, ""));
        let (numbers, prerelease) = match text.split_once('-') {
            Some((numbers, prerelease)) => (numbers, Some(prerelease)),
            None => (text, None),
        };
        let numbers = numbers.split('.').map(number).collect::<Option<Vec<u64>>>()?;
        let complete = numbers.len() == 3;
        if !(complete || numbers.len() == 2 && prerelease.is_none()) {
            return None;
        }
        let identifier = |part: &str| match number(part) {
            Some(number) => Some(Identifier::Number(number)),
            None if part.is_empty() || part.bytes().all(|byte| byte.is_ascii_digit()) => None,
            None => Some(Identifier::Word(part.to_owned())),
        };
        let prerelease = match prerelease {
            Some(text) => text.split('.').map(identifier).collect::<Option<Vec<_>>>()?,
            None => Vec::new(),
        };
        Some(Self { numbers, prerelease })
    }
}

/// A number without leading zeros.
fn number(text: &str) -> Option<u64> {
    let plain = text == "0" || !text.starts_with('0');
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain && digits { text.parse().ok() } else { None }
}

impl Ord for Newest {
    fn cmp(&self, other: &Self) -> Ordering {
        // A pre-release is older than its release.
        let release = |version: &Self| version.prerelease.is_empty();
        let older = self
            .numbers
            .cmp(&other.numbers)
            .then_with(|| release(self).cmp(&release(other)))
            .then_with(|| self.prerelease.cmp(&other.prerelease));
        older.reverse()
    }
}

impl PartialOrd for Newest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::prioritize_tags;

    #[track_caller]
    fn check(tags: &str, expected: &str) {
        let mut tags: Vec<String> = tags.split(' ').map(str::to_owned).collect();
        prioritize_tags(&mut tags);
        assert_eq!(tags.join(" "), expected);
    }

    #[test]
    fn versions_come_newest_first_and_words_last() {
        check("b a latest", "latest a b");
        check("3.1 3.11 3.2 latest", "latest 3.11 3.2 3.1");
        check("3.11.4 v3.11 3.9 3.11.10", "v3.11 3.9 3.11.10 3.11.4");
        check("1.0.0-rc.2 1.0.0 1.0.0-rc.10 1.0.0-alpha", "1.0.0 1.0.0-rc.10 1.0.0-rc.2 1.0.0-alpha");
        check("7 1.02 1.2.3.4 1.2-x", "1.02 1.2-x 1.2.3.4 7");
    }
}
