//! The cookie that keeps a client at the endpoint it was served by (platform 7.4).
//!
//! Owns taking it out of requests, for backends have cookies of their own, setting it in answers, and that a backend gets
//! all cookies in one field. Which endpoint a
//! value means is `table::backends`' affair.

use http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// Joins the cookies of several fields into one: HTTP/2 may send them apart, HTTP/1.1 must not (RFC 9113 8.2.3).
pub(crate) fn join(headers: &mut HeaderMap) {
    let all = || headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let fields: Vec<&[u8]> = all().filter(|field| pieces(field).next().is_some()).collect();
    if fields.is_empty() {
        headers.remove(COOKIE);
    } else if all().count() > 1 {
        let joined = value_of(&fields);
        headers.insert(COOKIE, joined);
    }
}

/// The value of the cookie `name`, which is removed.
pub(crate) fn take(headers: &mut HeaderMap, name: &str) -> Option<String> {
    join(headers);
    let value_in = |cookie: &[u8]| {
        let value = cookie.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    let field = headers.get(COOKIE)?;
    let cookies = || pieces(field.as_bytes());
    let found = cookies().find_map(value_in)?;
    let others: Vec<&[u8]> = cookies().filter(|cookie| value_in(cookie).is_none()).collect();
    if others.is_empty() {
        headers.remove(COOKIE);
    } else {
        let others = value_of(&others);
        headers.insert(COOKIE, others);
    }
    Some(found)
}

/// What is between the semicolons of a field, without what is nothing.
fn pieces(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let pieces = field.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    pieces.filter(|piece| !piece.is_empty())
}

fn value_of(cookies: &[&[u8]]) -> HeaderValue {
    let joined = cookies.join(b"; ".as_slice());
    HeaderValue::from_bytes(&joined).expect("parts of header values make one")
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
    use http::header::COOKIE;
    use http::{HeaderMap, HeaderValue};

    use super::{set, take};

    #[track_caller]
    fn check(sent: &[&str], value: Option<&str>, left: &[&str]) {
        let mut headers = HeaderMap::new();
        for text in sent {
            headers.append(COOKIE, HeaderValue::from_bytes(text.as_bytes()).unwrap());
        }
        assert_eq!(take(&mut headers, "shop").as_deref(), value);
        let rest: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(rest, left.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
    }

    #[test]
    fn the_cookie_is_taken_out_and_the_others_stay() {
        check(&[], None, &[]);
        check(&["a=1; b=2"], None, &["a=1; b=2"]);
        check(&["shop=x"], Some("x"), &[]);
        check(&["a=1; shop=x;b=2"], Some("x"), &["a=1; b=2"]);
        check(&["a=1", "shop=x", "shopping=y"], Some("x"), &["a=1; shopping=y"]);
        check(&["a=1", "b=2"], None, &["a=1; b=2"]);
        check(&["name=jörg", "shop=x"], Some("x"), &["name=jörg"]);
        check(&["shop=x;"], Some("x"), &[]);
        check(&["; shop=x; ;a=1;"], Some("x"), &["a=1"]);
        check(&["", "shop=x", " ; "], Some("x"), &[]);
        check(&[""], None, &[]);
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
