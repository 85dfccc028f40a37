//! Pages of long lists: `n` and `last` in, a `Link` header out.
//!
//! Lists are ordered and a page continues after a name, not at a number, so that concurrent changes neither repeat
//! nor skip other names (distribution specification 1.1, "Listing Tags").

use http::HeaderValue;

use crate::error::RegistryError;
use crate::query::Query;

/// Most names of a page; a larger `n` is taken as this.
pub(crate) const MAX_PAGE: usize = 1_000;

/// Which part of a list a caller asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// At most so many names.
    pub(crate) limit: usize,
    /// Only names after this one.
    pub(crate) last: Option<String>,
}

impl Page {
    /// Reads `n` and `last`; without `n`, pages have `default` names.
    pub(crate) fn parse(query: Query<'_>, default: usize) -> Result<Self, RegistryError> {
        let limit = match query.first("n") {
            None => default,
            Some(text) => parse_limit(&text).ok_or_else(|| RegistryError::page_number(&text))?,
        };
        let last = query.first("last").filter(|last| !last.is_empty()).map(Into::into);
        Ok(Self { limit, last })
    }
}

/// Digits only: no sign, no exponent. Numbers beyond any page are the largest page.
fn parse_limit(text: &str) -> Option<usize> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().map_or(MAX_PAGE, |limit: usize| limit.min(MAX_PAGE)))
}

/// The `Link` header that leads from a page to the next one.
pub(crate) fn next_link(path: &str, parameters: &[(&str, &str)]) -> HeaderValue {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    HeaderValue::from_str(&format!("<{path}?{query}>; rel=\"next\""))
        .expect("paths are made of repository names, and queries are escaped")
}

#[cfg(test)]
mod tests {
    use super::{Page, Query, next_link};

    fn check(query: &str, expected: Option<(usize, Option<&str>)>) {
        let uri = format!("/x?{query}").parse().unwrap();
        let page = Page::parse(Query::of(&uri), 100).ok();
        let expected = expected.map(|(limit, last)| Page { limit, last: last.map(Into::into) });
        assert_eq!(page, expected, "{query}");
    }

    #[test]
    fn limits_are_digits_and_never_large() {
        check("", Some((100, None)));
        check("n=0", Some((0, None)));
        check("n=7&last=a", Some((7, Some("a"))));
        check("n=1000&last=", Some((1000, None)));
        check("n=1001", Some((1000, None)));
        check("n=9223372036854775808", Some((1000, None)));
        check("n=99999999999999999999999999", Some((1000, None)));
        for bad in ["n=", "n=-1", "n=%2B1", "n=+1", "n=1e9", "n=0x1", "n=a", "n=1.0", "n=%201"] {
            check(bad, None);
        }
    }

    #[test]
    fn links_are_relative_and_escaped() {
        let link = next_link("/v2/shop/front/tags/list", &[("n", "2"), ("last", "a&b")]);
        assert_eq!(link, "</v2/shop/front/tags/list?n=2&last=a%26b>; rel=\"next\"");
    }
}
