//! The provider `RequestHeader`: a proxy in front has authenticated somebody and says so by headers (platform 2.9).
//!
//! Owns which proxy is believed: one whose client certificate an authority of its own issued, with one of the common
//! names where these are named. Headers from anybody else are nothing (reliability 7-F F4).

use form_urlencoded::byte_serialize;

use crate::password::{ProviderUser, Said};

/// How a proxy says who somebody is.
#[derive(Clone, Debug, Default)]
pub struct RequestHeader {
    /// Headers that may hold the user, in this order.
    pub headers: Vec<String>,
    /// Headers that may hold the preferred name of the User.
    pub preferred_username_headers: Vec<String>,
    /// Headers that may hold the name that people read.
    pub name_headers: Vec<String>,
    /// Headers that may hold the address for mail.
    pub email_headers: Vec<String>,
    /// Common names of certificates that are believed; none means all of the authority.
    pub common_names: Vec<String>,
    /// Where clients that answer challenges are sent; `${url}` and `${query}` are replaced.
    pub challenge_url: Option<String>,
    /// Where browsers are sent.
    pub login_url: Option<String>,
}

impl RequestHeader {
    /// Whom the proxy with a certificate of this name means; `header` gives the value of a header that came once.
    pub fn user<'h>(
        &self,
        provider: &str,
        common_name: &str,
        header: impl Fn(&str) -> Option<&'h str>,
    ) -> Option<ProviderUser> {
        if !self.common_names.is_empty() && !self.common_names.iter().any(|of| of == common_name) {
            tracing::warn!(
                provider,
                common_name,
                "A proxy whose name is not configured says who somebody is"
            );
            return None;
        }
        let first = |names: &[String]| {
            names.iter().find_map(|name| header(name).map(str::trim).filter(|value| !value.is_empty()))
        };
        let text = |names: &[String]| first(names).map(str::to_owned);
        let said = Said {
            name: text(&self.name_headers),
            email: text(&self.email_headers),
            preferred_username: text(&self.preferred_username_headers),
        };
        Some(ProviderUser::known(provider, first(&self.headers)?, said))
    }
}

/// `template` with the address of the request in it: `${url}` whole, as a value of a query; `${query}` its query.
pub fn filled(template: &str, url: &str) -> String {
    let (_, query) = url.split_once('?').unwrap_or((url, ""));
    let escaped: String = byte_serialize(url.as_bytes()).collect();
    template.replace("${url}", &escaped).replace("${query}", query)
}

#[cfg(test)]
mod tests {
    use super::{RequestHeader, filled};

    #[test]
    fn a_proxy_says_who_it_is() {
        let provider = RequestHeader {
            headers: vec!["X-Remote-User".into(), "SSO-User".into()],
            preferred_username_headers: vec!["X-Remote-Login".into()],
            name_headers: vec!["X-Remote-Name".into()],
            common_names: vec!["proxy".into()],
            ..RequestHeader::default()
        };
        let user = |common_name: &str, headers: &'static [(&'static str, &'static str)]| {
            let header = |name: &str| headers.iter().find(|(of, _)| *of == name).map(|(_, value)| *value);
            let user = provider.user("sso", common_name, header)?;
            Some(format!("{} {} {:?} {:?}", user.id, user.name, user.full_name, user.extra.keys()))
        };
        assert_eq!(user("proxy", &[("SSO-User", "ann")]).as_deref(), Some("ann ann \"\" []"));
        let all: &[_] = &[
            ("X-Remote-User", "7"),
            ("X-Remote-Login", "ann"),
            ("X-Remote-Name", "Ann A."),
            ("SSO-User", "x"),
        ];
        let expected = "7 ann \"Ann A.\" [\"name\", \"preferred_username\"]";
        assert_eq!(user("proxy", all).as_deref(), Some(expected));
        assert_eq!(user("other", all), None);
        assert_eq!(user("proxy", &[("X-Remote-User", " "), ("X-Remote-Login", "ann")]), None);
    }

    #[test]
    fn the_way_back_is_in_the_address() {
        let check = |template: &str, expected: &str| {
            assert_eq!(filled(template, "https://ph:8443/oauth/authorize?a=b&c=d"), expected);
        };
        check(
            "https://sso/?then=${url}",
            "https://sso/?then=https%3A%2F%2Fph%3A8443%2Foauth%2Fauthorize%3Fa%3Db%26c%3Dd",
        );
        check("https://sso/oauth/authorize?${query}", "https://sso/oauth/authorize?a=b&c=d");
    }
}
