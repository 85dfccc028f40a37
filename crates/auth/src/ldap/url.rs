//! The address of a directory and what is searched there (RFC 2255): `ldap://host:port/base?attribute?scope?filter`.
//!
//! Pure. Reads it as OpenShift does: what is left out has a usual value, further attributes and extensions that are not
//! critical count for nothing.

use std::fmt;
use std::str::FromStr;

use ldap3::Scope;
use percent_encoding::percent_decode_str;

/// Attribute that names are looked for in where the address names none.
const USUAL_ATTRIBUTE: &str = "uid";
/// Matches every entry.
const USUAL_FILTER: &str = "(objectClass=*)";

/// Whether the connection begins with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear, or with TLS from a certain point on (StartTLS).
    Ldap,
    /// TLS from the beginning.
    Ldaps,
}

/// Where a directory is, and which of its entries are people.
#[derive(Clone, Debug, PartialEq)]
pub struct LdapUrl {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Host and port.
    pub(super) place: String,
    /// The entry below which is searched.
    pub(super) base: String,
    /// What holds the name that people log in with.
    pub(super) attribute: String,
    /// How far below.
    pub(super) scope: Scope,
    /// What all of them match, in parentheses (RFC 4515).
    pub(super) filter: String,
}

/// Why an address is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LdapUrlError {
    /// Neither `ldap://` nor `ldaps://`.
    #[error("`{0}` is neither an ldap nor an ldaps URL")]
    Scheme(String),
    /// Host and port are not readable.
    #[error("`{0}` is no host with or without a port")]
    Place(String),
    /// A part has escapes that are not UTF-8, or there are more than five parts.
    #[error("`{0}` cannot be read as base?attribute?scope?filter?extensions")]
    Parts(String),
    /// Not the name of an attribute.
    #[error("`{0}` is no name of an attribute")]
    Attribute(String),
    /// None of the three.
    #[error("the scope is sub, one or base, and not `{0}`")]
    Scope(String),
    /// Not one filter in parentheses.
    #[error("`{0}` is no filter in parentheses (RFC 4515)")]
    Filter(String),
    /// It asks for something that we do not do.
    #[error("the critical extension `{0}` is not known")]
    Extension(String),
}

impl FromStr for LdapUrl {
    type Err = LdapUrlError;

    fn from_str(text: &str) -> Result<Self, LdapUrlError> {
        let (scheme, rest, port) = if let Some(rest) = text.strip_prefix("ldap://") {
            (Scheme::Ldap, rest, 389)
        } else if let Some(rest) = text.strip_prefix("ldaps://") {
            (Scheme::Ldaps, rest, 636)
        } else {
            return Err(LdapUrlError::Scheme(text.to_owned()));
        };
        let (place, parts) = rest.split_once('/').unwrap_or((rest, ""));
        let mut parts = parts.split('?');
        let mut part = || {
            let part = parts.next().unwrap_or_default();
            let decoded = percent_decode_str(part).decode_utf8().ok();
            decoded.map(String::from).ok_or_else(|| LdapUrlError::Parts(text.to_owned()))
        };
        let (base, attributes, scope, filter, extensions) = (part()?, part()?, part()?, part()?, part()?);
        if parts.next().is_some() {
            return Err(LdapUrlError::Parts(text.to_owned()));
        }
        if let Some(critical) = extensions.split(',').find(|extension| extension.starts_with('!')) {
            return Err(LdapUrlError::Extension(critical.to_owned()));
        }
        let attribute = attributes.split(',').next().filter(|name| !name.is_empty());
        Ok(Self {
            scheme,
            place: checked_place(place, port)?,
            base,
            attribute: checked_attribute(attribute.unwrap_or(USUAL_ATTRIBUTE))?,
            scope: match scope.as_str() {
                "" | "sub" => Scope::Subtree,
                "one" => Scope::OneLevel,
                "base" => Scope::Base,
                _ => return Err(LdapUrlError::Scope(scope)),
            },
            filter: checked_filter(filter)?,
        })
    }
}

fn checked_place(place: &str, usual_port: u16) -> Result<String, LdapUrlError> {
    let wrong = || LdapUrlError::Place(place.to_owned());
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_address = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let (host, port) = match place.rsplit_once(':') {
        // The last colon of an IPv6 address without a port is one within its brackets.
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong)?)
        }
        _ => (place, usual_port),
    };
    let is_right = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => !address.is_empty() && address.bytes().all(is_address),
        None => host.bytes().all(is_host),
    };
    match host {
        "" => Ok(format!("localhost:{port}")),
        host if is_right => Ok(format!("{host}:{port}")),
        _ => Err(wrong()),
    }
}

/// A name of an attribute: letters, digits, hyphens, dots, and options behind semicolons (RFC 4512, 2.5).
pub(super) fn checked_attribute(name: &str) -> Result<String, LdapUrlError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b';' | b'_');
    if name.is_empty() || !name.bytes().all(is_plain) {
        return Err(LdapUrlError::Attribute(name.to_owned()));
    }
    Ok(name.to_owned())
}

fn checked_filter(filter: String) -> Result<String, LdapUrlError> {
    if filter.is_empty() {
        return Ok(USUAL_FILTER.to_owned());
    }
    if filter.starts_with('(') && ldap3::parse_filter(&filter).is_ok() {
        Ok(filter)
    } else {
        Err(LdapUrlError::Filter(filter))
    }
}

/// Scheme and place, as it is connected to.
impl fmt::Display for LdapUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Ldap => "ldap",
            Scheme::Ldaps => "ldaps",
        };
        write!(f, "{scheme}://{}", self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::LdapUrl;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let read = text.parse::<LdapUrl>().map(|url| {
            let LdapUrl { base, attribute, scope, filter, .. } = &url;
            format!("{url} {base} {attribute} {scope:?} {filter}")
        });
        let read = read.map_err(|error| error.to_string());
        assert_eq!(read.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn what_is_left_out_has_a_usual_value() {
        check("ldap://ds.acme.com", Ok("ldap://ds.acme.com:389  uid Subtree (objectClass=*)"));
        check("ldaps:///dc=acme", Ok("ldaps://localhost:636 dc=acme uid Subtree (objectClass=*)"));
        check(
            "ldap://ds.acme.com:1389/ou=people,dc=acme,dc=com?mail,cn?one?(&(objectClass=person)(!(cn=x)))",
            Ok(
                "ldap://ds.acme.com:1389 ou=people,dc=acme,dc=com mail OneLevel (&(objectClass=person)(!(cn=x)))",
            ),
        );
        check(
            "ldap://[::1]/ou=A%20%C3%A4%3F??base?(a=%28b%29)?bindname=x",
            Err("`(a=(b))` is no filter in parentheses (RFC 4515)"),
        );
        check(
            "ldap://[::1]/ou=A%20%C3%A4%3F??base?(a=%5C28b)?bindname=x",
            Ok(r"ldap://[::1]:389 ou=A ä? uid Base (a=\28b)"),
        );
        check("ldap://[fe80::1]:1389", Ok("ldap://[fe80::1]:1389  uid Subtree (objectClass=*)"));
    }

    #[test]
    fn what_is_not_meant_is_refused() {
        check("https://ds", Err("`https://ds` is neither an ldap nor an ldaps URL"));
        check("ldapi:///run/ldapi", Err("`ldapi:///run/ldapi` is neither an ldap nor an ldaps URL"));
        for place in ["a b", "user@ds", "ds:0", "ds:70000", "ds:x", "[::1", "::1", "[]"] {
            check(&format!("ldap://{place}"), Err(&format!("`{place}` is no host with or without a port")));
        }
        check("ldap://ds/x?a(b", Err("`a(b` is no name of an attribute"));
        check("ldap://ds/x??children", Err("the scope is sub, one or base, and not `children`"));
        for filter in ["cn=x", "(cn=x)(cn=y)", "(cn=x", "cn=x)", "(&(cn=x)"] {
            check(
                &format!("ldap://ds/x???{filter}"),
                Err(&format!("`{filter}` is no filter in parentheses (RFC 4515)")),
            );
        }
        check("ldap://ds/x????!starttls", Err("the critical extension `!starttls` is not known"));
        let odd = "ldap://ds/x?????";
        check(odd, Err(&format!("`{odd}` cannot be read as base?attribute?scope?filter?extensions")));
        let odd = "ldap://ds/%ff";
        check(odd, Err(&format!("`{odd}` cannot be read as base?attribute?scope?filter?extensions")));
    }
}
