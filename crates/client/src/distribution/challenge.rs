//! Reading `WWW-Authenticate`: what a registry wants before it answers.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// Challenges looked at of one answer.
const MAX_CHALLENGES: usize = 16;
/// Longest header that is read, in bytes.
const MAX_HEADER: usize = 8 << 10;

/// One way to show who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A token, to be fetched at the realm.
    Bearer {
        /// A URL, chosen by whoever answered.
        realm: String,
        /// What the token is for, if said.
        service: Option<String>,
    },
    /// User name and password.
    Basic,
}

/// The challenge to answer: the first for a token, else for a password.
pub(crate) fn preferred(headers: &HeaderMap) -> Option<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let mut found: Vec<Challenge> =
        values.filter(|value| value.len() <= MAX_HEADER).flat_map(parse).take(MAX_CHALLENGES).collect();
    let bearer = found.iter().position(|challenge| matches!(challenge, Challenge::Bearer { .. }));
    let chosen = bearer.unwrap_or(0);
    (chosen < found.len()).then(|| found.swap_remove(chosen))
}

/// All challenges of one header that are known here.
fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut parameters: Vec<(String, String)> = Vec::new();
    let mut scheme: Option<String> = None;
    let mut rest = header.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (word, after) = split_token(rest);
        if word.is_empty() {
            break;
        }
        if let Some(value) = after.trim_start().strip_prefix('=').filter(|_| scheme.is_some()) {
            let Some((value, after)) = split_value(value.trim_start()) else { break };
            parameters.push((word.to_ascii_lowercase(), value));
            rest = after;
        } else {
            challenges.extend(scheme.take().and_then(|scheme| known(&scheme, &mut parameters)));
            parameters.clear();
            scheme = Some(word.to_ascii_lowercase());
            rest = after;
        }
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    challenges.extend(scheme.and_then(|scheme| known(&scheme, &mut parameters)));
    challenges
}

fn known(scheme: &str, parameters: &mut Vec<(String, String)>) -> Option<Challenge> {
    let mut take = |name: &str| {
        let position = parameters.iter().position(|(key, _)| key == name)?;
        Some(parameters.swap_remove(position).1)
    };
    match scheme {
        "bearer" => Some(Challenge::Bearer { realm: take("realm")?, service: take("service") }),
        "basic" => Some(Challenge::Basic),
        _ => None,
    }
}

fn split_token(text: &str) -> (&str, &str) {
    let end = text.find(|character: char| {
        !(character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character))
    });
    text.split_at(end.unwrap_or(text.len()))
}

/// A token or a quoted text, and what follows it.
fn split_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        // Some registries leave out the quotes of URLs.
        let (value, rest) = text.split_at(text.find([',', ' ', '\t']).unwrap_or(text.len()));
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            character => value.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::WWW_AUTHENTICATE;
    use proptest::prelude::proptest;

    use super::{Challenge, parse, preferred};

    #[track_caller]
    fn check(headers: &[&str], expected: &str) {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(WWW_AUTHENTICATE, header.parse().unwrap());
        }
        let shown = match preferred(&map) {
            None => "none".to_owned(),
            Some(Challenge::Basic) => "basic".to_owned(),
            Some(Challenge::Bearer { realm, service }) => format!("{realm} {}", service.unwrap_or_default()),
        };
        assert_eq!(shown, expected, "{headers:?}");
    }

    #[test]
    fn finds_what_to_answer() {
        check(&[], "none");
        check(&["Digest realm=\"x\", nonce=\"y\""], "none");
        check(&["Basic realm=openshift,error=\"access denied\""], "basic");
        check(&["Bearer realm=\"https://a/token\",service=\"s, t\",scope=\"x\""], "https://a/token s, t");
        check(&["bearer Realm = \"https://a/token\""], "https://a/token ");
        check(&["Bearer realm=https://a/token, service=s"], "https://a/token s");
        check(&["Basic realm=\"x\"", "Bearer realm=\"https://a/\""], "https://a/ ");
        check(&["Basic realm=\"x\", Bearer realm=\"https://a/\""], "https://a/ ");
        check(&["Bearer realm=\"https://a/\", Basic realm=\"x\""], "https://a/ ");
        check(&["Bearer realm=\"https://a/\", Bearer realm=\"https://b/\""], "https://a/ ");
        check(&["Bearer realm=\"https://a/\\\"b\""], "https://a/\"b ");
        check(&["Bearer service=\"s\""], "none");
        check(&["Bearer realm=\"unfinished"], "none");
        check(&["Bearer"], "none");
        check(&["=", "\"", ",,,"], "none");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            parse(&text);
        }
    }
}
