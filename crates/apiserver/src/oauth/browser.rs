//! What a browser brings along: cookies, the proof that a form is ours, and where to go on.

use pierhead_auth::oauth::User;

use super::{Exchange, OAuthFailure};

/// The session cookie.
pub(super) const SESSION_COOKIE: &str = "ssn";
/// The cookie a form must repeat.
pub(super) const CSRF_COOKIE: &str = "csrf";

impl Exchange<'_> {
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        let headers = self.head.headers.get_all("cookie").into_iter();
        let pairs = headers.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
        pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(of, _)| *of == name)
            .map(|(_, value)| value)
    }

    /// Who logged in to the pages, if that still counts.
    pub(super) fn session_user(&self) -> Result<Option<User>, OAuthFailure> {
        let now = self.server.clock.now();
        let session =
            self.cookie(SESSION_COOKIE).and_then(|value| self.server.auth.session_key().open(value, now));
        match session {
            Some(session) => Ok(self.server.auth.current_user(&session.user)?),
            None => Ok(None),
        }
    }

    /// The value forms must repeat: the cookie's, or a new one.
    pub(super) fn csrf(&self) -> String {
        match self.cookie(CSRF_COOKIE) {
            Some(value) if is_csrf_value(value) => value.to_owned(),
            _ => uuid::Uuid::new_v4().simple().to_string() + &uuid::Uuid::new_v4().simple().to_string(),
        }
    }

    /// Whether the posted form repeats the cookie.
    pub(super) fn is_own_form(&self) -> bool {
        let (Some(cookie), Some(field)) = (self.cookie(CSRF_COOKIE), self.form.get("csrf")) else {
            return false;
        };
        // Compared in constant time; both have one length.
        is_csrf_value(cookie)
            && cookie.len() == field.len()
            && cookie.bytes().zip(field.bytes()).fold(0, |odd, (a, b)| odd | (a ^ b)) == 0
    }
}

fn is_csrf_value(value: &str) -> bool {
    value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `then` if it is a path of this server and nothing else, `/` otherwise.
pub(super) fn own_path(then: Option<&str>) -> &str {
    let is_path = |then: &&str| {
        let mut bytes = then.bytes();
        let plain = then.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        bytes.next() == Some(b'/') && bytes.next() != Some(b'/') && plain
    };
    then.filter(is_path).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn forms_go_on_to_paths_of_this_server_only() {
        let check = |then: &str, expected: &str| assert_eq!(own_path(Some(then)), expected, "{then:?}");
        check(
            "/oauth/authorize?client_id=a&redirect_uri=https%3A%2F%2Fx",
            "/oauth/authorize?client_id=a&redirect_uri=https%3A%2F%2Fx",
        );
        check("/", "/");
        for payload in [
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "https:evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\r\nSet-Cookie: a=b",
            " /x",
            "",
            "evil.example",
            "/é",
            "\t//evil.example",
        ] {
            check(payload, "/");
        }
        assert_eq!(own_path(None), "/");
    }
}
