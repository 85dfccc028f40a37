//! The cookie that keeps a client at the endpoint it was served by (platform 7.4).
//!
//! Owns taking it out of requests, for backends have cookies of their own, and setting it in answers. Which endpoint a
//! value means is `table::backends`' affair.

use http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// The value of the cookie `name`, which is removed.
pub(crate) fn take(headers: &mut HeaderMap, name: &str) -> Option<String> {
    let value_in = |cookie: &str| Some(cookie.trim().strip_prefix(name)?.strip_prefix('=')?.to_owned());
    let texts = || headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let found = texts().flat_map(|text| text.split(';')).find_map(value_in)?;
    let others: Vec<String> = texts()
        .map(|text| {
            let rest = text.split(';').filter(|cookie| value_in(cookie).is_none()).map(str::trim);
            rest.collect::<Vec<_>>().join("; ")
        })
        .filter(|text| !text.is_empty())
        .collect();
    headers.remove(COOKIE);
    for other in others {
        headers.append(COOKIE, HeaderValue::try_from(other).expect("a part of a header value is one"));
    }
    Some(found)
}

/// Makes the client send `value` from now on. Nobody else may be given an answer that does so.
pub(crate) fn set(headers: &mut HeaderMap, name: &str, value: &str, encrypted: bool) {
    let secure = if encrypted { "; Secure; SameSite=None" } else { "" };
    let cookie = format!("{name}={value}; path=/; HttpOnly{secure}");
    headers.append(SET_COOKIE, HeaderValue::try_from(cookie).expect("names and marks are checked words"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private"));
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::COOKIE;

    use super::{set, take};

    #[track_caller]
    fn check(sent: &[&str], value: Option<&str>, left: &[&str]) {
        let mut headers = HeaderMap::new();
        for text in sent {
            headers.append(COOKIE, text.parse().unwrap());
        }
        assert_eq!(take(&mut headers, "shop").as_deref(), value);
        let rest: Vec<&str> = headers.get_all(COOKIE).iter().map(|text| text.to_str().unwrap()).collect();
        assert_eq!(rest, left);
    }

    #[test]
    fn the_cookie_is_taken_out_and_the_others_stay() {
        check(&[], None, &[]);
        check(&["a=1; b=2"], None, &["a=1; b=2"]);
        check(&["shop=x"], Some("x"), &[]);
        check(&["a=1; shop=x;b=2"], Some("x"), &["a=1; b=2"]);
        check(&["a=1", "shop=x", "shopping=y"], Some("x"), &["a=1", "shopping=y"]);
    }

    #[test]
    fn answers_that_set_it_are_private() {
        let mut headers = HeaderMap::new();
        set(&mut headers, "shop", "x", true);
        assert_eq!(headers["set-cookie"], "shop=x; path=/; HttpOnly; Secure; SameSite=None");
        assert_eq!(headers["cache-control"], "private");
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", "no-store".parse().unwrap());
        set(&mut headers, "shop", "x", false);
        assert_eq!(headers["set-cookie"], "shop=x; path=/; HttpOnly");
        assert_eq!(headers["cache-control"], "no-store");
    }
}
