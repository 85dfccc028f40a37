//! An authority that issues certificates: ours for the API, the router's default, service certificates, client
//! certificates of administrators.
//!
//! Owns what the certificates say. Does not store them: the caller keeps the PEM.

use std::net::IpAddr;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

use super::TlsError;
use crate::Secret;

/// Clocks of clients may be behind ours by up to this.
const VALID_SINCE: SignedDuration = SignedDuration::from_hours(24);
const AUTHORITY_VALID_FOR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub struct PemPair {
    /// The certificate, without the chain above it.
    pub certificate: String,
    /// The private key, PKCS #8.
    pub key: Secret<String>,
}

/// What a certificate may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To answer under the names it holds.
    Server,
    /// To say who its owner is: the common name is the user, organizations are groups.
    Client,
}

/// What to issue.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The subject's common name.
    pub common_name: String,
    /// The subject's organizations, in order.
    pub organizations: Vec<String>,
    /// Host names (also `*.example.com`) and IP addresses it is valid for.
    pub names: Vec<String>,
    /// Server or client.
    pub purpose: Purpose,
    /// From now; rounded up to the end of that day.
    pub valid_for: Duration,
}

/// A certificate authority with its key.
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Authority {
    /// A new self-signed authority, valid for ten years. ECDSA P-256.
    ///
    /// # Errors
    /// The name cannot be put into a certificate.
    pub fn create(common_name: &str, now: Timestamp) -> Result<Self, TlsError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        set_validity(&mut params, now, AUTHORITY_VALID_FOR);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// The authority that [`Authority::certificate`] and [`Authority::key`] once gave out.
    ///
    /// # Errors
    /// The PEM is not a certificate or not a key that can sign.
    pub fn load(certificate: &str, key: &Secret<String>) -> Result<Self, TlsError> {
        let issuer = Issuer::from_ca_cert_pem(certificate, KeyPair::from_pem(key.expose())?)?;
        Ok(Self { certificate: certificate.to_owned(), issuer })
    }

    /// The authority's certificate as PEM: what others are told to trust.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The authority's key as PEM.
    pub fn key(&self) -> Secret<String> {
        Secret::new(self.issuer.key().serialize_pem())
    }

    /// A fresh key and a certificate for it.
    ///
    /// # Errors
    /// A name that cannot be put into a certificate.
    pub fn issue(&self, leaf: &Leaf, now: Timestamp) -> Result<PemPair, TlsError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for organization in &leaf.organizations {
            params.distinguished_name.push(DnType::OrganizationName, organization.as_str());
        }
        params.distinguished_name.push(DnType::CommonName, leaf.common_name.as_str());
        for name in &leaf.names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into()?),
            });
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match leaf.purpose {
            Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, leaf.valid_for);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(PemPair { certificate, key: Secret::new(key.serialize_pem()) })
    }
}

fn set_validity(params: &mut CertificateParams, now: Timestamp, valid_for: Duration) {
    let valid_for = SignedDuration::try_from(valid_for).unwrap_or(SignedDuration::MAX);
    let (year, month, day) = date(now.saturating_sub(VALID_SINCE).unwrap_or(now));
    params.not_before = date_time_ymd(year, month, day);
    let end = now.saturating_add(valid_for.saturating_add(SignedDuration::from_hours(24)));
    let (year, month, day) = date(end.unwrap_or(Timestamp::MAX));
    params.not_after = date_time_ymd(year, month, day);
}

fn date(at: Timestamp) -> (i32, u8, u8) {
    let date = at.to_zoned(TimeZone::UTC).date();
    let month = u8::try_from(date.month()).expect("months are 1 to 12");
    let day = u8::try_from(date.day()).expect("days are 1 to 31");
    (i32::from(date.year()), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Authority, Leaf, Purpose};
    use crate::{Clock as _, SystemClock, tls};

    #[test]
    fn a_reloaded_authority_issues_certificates_that_the_first_one_vouches_for() {
        let now = SystemClock.now();
        let authority = Authority::create("pierhead", now).unwrap();
        let again = Authority::load(authority.certificate(), &authority.key()).unwrap();
        let leaf = Leaf {
            common_name: "registry".into(),
            organizations: vec![],
            names: vec!["registry.example.com".into(), "127.0.0.1".into()],
            purpose: Purpose::Server,
            valid_for: Duration::from_secs(3600),
        };
        let pair = again.issue(&leaf, now).unwrap();
        tls::certified_key(pair.certificate.as_bytes(), pair.key.expose().as_bytes()).unwrap();
        let other = again.issue(&leaf, now).unwrap();
        let mixed = tls::certified_key(pair.certificate.as_bytes(), other.key.expose().as_bytes());
        assert_eq!(mixed.unwrap_err().to_string(), "certificate or key refused");
    }

    #[test]
    fn what_is_not_pem_is_named() {
        assert_eq!(tls::roots(b"hello").unwrap_err().to_string(), "no certificate found in authority");
    }
}
