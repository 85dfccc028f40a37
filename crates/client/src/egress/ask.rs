//! Small questions to servers that are no registries: issuers of tokens, identity providers.
//!
//! Owns their rules: TLS always, no redirect is followed (an answer from elsewhere is not the answer of who was asked,
//! reliability 7-B B5), both sides small. Authorities that are trusted for one server only make a way out of its own.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::Full;

use super::error::EgressError;
use super::target::{Scheme, Target};
use super::{Egress, EgressConfig, Lane, Mode, new_request};

/// Ways out with authorities of their own that are remembered.
const MOST_AUTHORITIES: usize = 64;

/// A question.
#[derive(Clone)]
pub struct Ask {
    /// An `https` URL.
    pub url: String,
    /// A form to post; a GET without one.
    pub form: Option<String>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// Certificate authorities, PEM, to trust besides the usual ones.
    pub authority: Option<Arc<str>>,
    /// Most bytes of the answer.
    pub limit: usize,
}

/// An answer, whole, whatever its status.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
}

impl Egress {
    /// Asks, and waits for all of the answer within the time for small ones.
    ///
    /// # Errors
    /// No `https` URL, an authority that is none, or no answer.
    pub async fn ask(&self, ask: Ask) -> Result<Asked, EgressError> {
        let Ask { url, form, authorization, authority, limit } = ask;
        let Some(target) = Target::parse(&url).filter(|target| target.origin.scheme == Scheme::Https) else {
            return Err(EgressError::NotHttps { url });
        };
        let way = match authority {
            Some(authority) => self.trusting(&target, &authority)?,
            None => self.clone(),
        };
        let refused = |error: http::header::InvalidHeaderValue| EgressError::classify(&target, error);
        let authorization = authorization.map(HeaderValue::try_from).transpose().map_err(refused)?;
        let method = if form.is_some() { Method::POST } else { Method::GET };
        let is_form = form.is_some();
        let content = Full::from(Bytes::from(form.unwrap_or_default()));
        let mut request = new_request(&method, authorization.as_ref(), content);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if is_form {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        }
        let EgressConfig { head_timeout, small_timeout, .. } = *way.config();
        let exchange = async {
            let answer = way.exchange(Mode::Verified, &target, request, (Lane::Small, head_timeout)).await?;
            Ok(Asked { status: answer.status, body: answer.body.gather(limit).await? })
        };
        match tokio::time::timeout(small_timeout, exchange).await {
            Ok(asked) => asked,
            Err(_elapsed) => Err(EgressError::timeout(&target, small_timeout)),
        }
    }

    /// The same way out, trusting more authorities.
    fn trusting(&self, target: &Target, pem: &Arc<str>) -> Result<Self, EgressError> {
        let mut ways = self.0.trusting.lock();
        if let Some(way) = ways.get(pem) {
            return Ok(way.clone());
        }
        let config = self.config().clone();
        let authorities = config.authorities.clone().with_extra(pem.as_bytes());
        let authorities = authorities.map_err(|error| EgressError::classify(target, error))?;
        let way = Self::new(EgressConfig { authorities, ..config });
        if ways.len() >= MOST_AUTHORITIES {
            ways.clear();
        }
        ways.insert(Arc::clone(pem), way.clone());
        Ok(way)
    }
}
