//! Parameters of a request's query.

use std::borrow::Cow;

/// The query of one request. Repeated parameters keep their order.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// The query of `uri`; absent and empty queries are the same.
    pub(crate) fn of(uri: &'a http::Uri) -> Self {
        Self(uri.query().unwrap_or_default())
    }

    /// The first value of the parameter `name`.
    pub(crate) fn first(self, name: &str) -> Option<Cow<'a, str>> {
        self.all(name).next()
    }

    /// Every value of the parameter `name`.
    pub(crate) fn all(self, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
        form_urlencoded::parse(self.0.as_bytes()).filter(move |(key, _)| key == name).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn values_are_decoded_and_may_repeat() {
        let uri = "/x?tag=a&tag=b%2Fc&n=".parse().unwrap();
        let query = Query::of(&uri);
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["a", "b/c"]);
        assert_eq!(query.first("n").as_deref(), Some(""));
        assert_eq!(query.first("last"), None);
    }
}
