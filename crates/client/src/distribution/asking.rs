//! One question to a registry: as whom it is asked, with what token, and how often.
//!
//! Owns the order in which credentials are tried, and what their failures together mean.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pierhead_oci::RepositoryName;
use tokio::time::Instant;

use super::challenge::Challenge;
use super::known_hosts::Base;
use super::token::{self, Authorization, TokenOutcome, TokenRequest};
use super::{RemoteError, RemoteRepository, Shared, challenge, response_error, too_many};
use crate::egress::{Incomer, Lane, Outgoing, Target};

/// Longest error page that is read before its connection is used again.
pub(super) const MAX_ERROR: usize = 64 << 10;

/// One request of the protocol.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: &'a str,
    pub(super) accept: Option<HeaderValue>,
    /// What of a blob is wanted; all of it without.
    pub(super) range: Option<HeaderValue>,
    /// What is sent, and its type.
    pub(super) body: Option<(HeaderValue, Bytes)>,
    /// Where to instead of `path` at the registry: uploads are told where to go on.
    pub(super) target: Option<Target>,
    pub(super) lane: Lane,
}

impl<'a> Ask<'a> {
    /// Whether it changes something: then people are told what the registry says against it.
    fn is_push(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD)
    }

    /// For an answer that is read as a whole.
    pub(super) const fn small(method: Method, path: &'a str, accept: Option<HeaderValue>) -> Self {
        Self { method, path, accept, range: None, body: None, target: None, lane: Lane::Small }
    }
}

impl RemoteRepository {
    /// A whole small answer.
    pub(super) async fn ask(&self, ask: &Ask<'_>, limit: usize) -> Result<(HeaderMap, Bytes), RemoteError> {
        let budget = self.shared.egress.config().small_timeout;
        let asking = async {
            let Incomer { headers, body, .. } = self.patiently(ask).await?;
            let body = if ask.method == Method::HEAD { Bytes::new() } else { body.gather(limit).await? };
            Ok((headers, body))
        };
        match tokio::time::timeout(budget, asking).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(RemoteError::Timeout { limit: budget }),
        }
    }

    /// Asks, and again when the registry fails or wants a pause that is short.
    pub(super) async fn patiently(&self, ask: &Ask<'_>) -> Result<Incomer, RemoteError> {
        let policy = self.shared.egress.config().retry;
        let mut left = if self.retries { policy.retries } else { 0 };
        loop {
            let outcome = self.try_candidates(ask).await;
            let wait = match &outcome {
                Err(RemoteError::Unavailable { .. }) => policy.after_failure,
                Err(RemoteError::TooManyRequests { retry_after }) => {
                    retry_after.unwrap_or(policy.after_refusal)
                }
                _ => return outcome,
            };
            if left == 0 || wait > policy.longest_wait {
                return outcome;
            }
            left -= 1;
            tokio::time::sleep(wait).await;
        }
    }

    /// Asks as everybody that we can be, the one who was answered last first.
    async fn try_candidates(&self, ask: &Ask<'_>) -> Result<Incomer, RemoteError> {
        if self.shared.path.parse::<RepositoryName>().is_err() {
            return Err(RemoteError::refused("this is not the name of a repository"));
        }
        let base = self.base().await?;
        let count = self.shared.candidates.len();
        let preferred = self.shared.access.lock().await.preferred;
        let order = preferred.into_iter().chain((0..count).filter(|index| Some(*index) != preferred));
        let mut verdict = Verdict::default();
        let mut challenge = base.challenge.clone();
        for index in order {
            match self.try_candidate(ask, &base, &mut challenge, index).await {
                Ok(Attempt::Answered(incomer)) => {
                    let mut access = self.shared.access.lock().await;
                    access.preferred = Some(index);
                    access.challenge = challenge;
                    return Ok(*incomer);
                }
                Ok(Attempt::Withheld { realm }) => verdict.realm = Some(realm),
                Err(error) if error.depends_on_who_asks() => verdict.add(error),
                Err(error) => return Err(error),
            }
        }
        Err(verdict.into_error(count > 1))
    }

    async fn try_candidate(
        &self,
        ask: &Ask<'_>,
        base: &Base,
        challenge: &mut Option<Challenge>,
        index: usize,
    ) -> Result<Attempt, RemoteError> {
        let user = self.shared.candidates[index].as_ref().map_or("", |found| found.username.as_str());
        let Shared { egress, name, .. } = &*self.shared;
        if let Some(rest) = egress.known().rest(&name.host, user) {
            return Err(RemoteError::TooManyRequests { retry_after: Some(rest) });
        }
        let mut refused = None;
        // A second time with a new token, or with the challenge that the first answer brought.
        for fresh in [false, true] {
            let authorization = match self.authorization(base, challenge.as_ref(), index, fresh).await? {
                Some(Permission::Withheld { realm }) => return Ok(Attempt::Withheld { realm }),
                Some(Permission::Header(header)) => Some(header),
                None => None,
            };
            let incomer = egress
                .send(Outgoing {
                    method: ask.method.clone(),
                    target: ask.target.clone().unwrap_or_else(|| Target::at(&base.home.origin, ask.path)),
                    home: &base.home,
                    authorization: authorization.as_ref(),
                    accept: ask.accept.clone(),
                    range: ask.range.clone(),
                    body: ask.body.clone(),
                    lane: ask.lane,
                })
                .await?;
            if incomer.status.is_success() {
                return Ok(Attempt::Answered(Box::new(incomer)));
            }
            let error = self.failure(&incomer, user);
            let at_home = incomer.origin == base.home.origin;
            let asked = challenge::preferred(&incomer.headers).filter(|_| at_home);
            let status = incomer.status;
            // Reading the rest of a short error keeps the connection.
            let error = match incomer.body.gather(MAX_ERROR).await {
                Ok(page) if at_home && ask.is_push() => error.told(status, &page),
                Ok(_) => error,
                Err(unread) => {
                    tracing::trace!(error = %unread, "An error page was not read to its end");
                    error
                }
            };
            if status != StatusCode::UNAUTHORIZED {
                return Err(error);
            }
            let is_new = asked.is_some() && asked != *challenge;
            if is_new {
                challenge.clone_from(&asked);
            }
            let stale = matches!(challenge, Some(Challenge::Bearer { .. })) && authorization.is_some();
            if !(is_new || stale) {
                return Err(error);
            }
            refused = Some(error);
        }
        Err(refused.unwrap_or(RemoteError::Unauthorized { had_credentials: false, wrong_password: false }))
    }

    /// What to send with a request of a candidate. Tokens are fetched once, whoever else waits for them.
    async fn authorization(
        &self,
        base: &Base,
        challenge: Option<&Challenge>,
        index: usize,
        fresh: bool,
    ) -> Result<Option<Permission>, RemoteError> {
        let Shared { egress, keyring, scopes, candidates, access, .. } = &*self.shared;
        let credential = candidates[index].as_ref();
        let (realm, service) = match challenge {
            None => return Ok(None),
            Some(Challenge::Basic) => {
                return Ok(credential.map(token::basic).transpose()?.map(Permission::Header));
            }
            Some(Challenge::Bearer { realm, service }) => (realm, service.as_deref()),
        };
        let mut access = access.lock().await;
        let valid = |found: &&Authorization| found.until.is_none_or(|until| until > Instant::now());
        if let Some(known) = access.authorizations.get(&index).filter(valid).filter(|_| !fresh) {
            return Ok(Some(Permission::Header(known.header.clone())));
        }
        let request = TokenRequest { egress, home: &base.home, keyring, realm, service, scopes, credential };
        Ok(Some(match request.send().await? {
            TokenOutcome::Withheld { realm } => Permission::Withheld { realm },
            TokenOutcome::Token(authorization) => {
                let header = authorization.header.clone();
                access.authorizations.insert(index, authorization);
                Permission::Header(header)
            }
        }))
    }

    /// What to send with a request of the one who was answered last, for content that can be sent once only.
    pub(super) async fn known_authorization(&self) -> Result<Option<HeaderValue>, RemoteError> {
        let base = self.base().await?;
        let (index, challenge) = {
            let access = self.shared.access.lock().await;
            (
                access.preferred.unwrap_or_default(),
                access.challenge.clone().or_else(|| base.challenge.clone()),
            )
        };
        match self.authorization(&base, challenge.as_ref(), index, false).await? {
            Some(Permission::Header(header)) => Ok(Some(header)),
            Some(Permission::Withheld { realm }) => Err(RemoteError::UntrustedRealm { realm }),
            None => Ok(None),
        }
    }

    fn failure(&self, incomer: &Incomer, user: &str) -> RemoteError {
        match incomer.status {
            StatusCode::TOO_MANY_REQUESTS => {
                let error = too_many(&incomer.headers);
                if let RemoteError::TooManyRequests { retry_after: Some(rest) } = error {
                    self.shared.egress.known().let_rest(&self.shared.name.host, user, rest);
                }
                error
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                RemoteError::Unauthorized { had_credentials: !user.is_empty(), wrong_password: false }
            }
            status => response_error(status),
        }
    }
}

enum Attempt {
    Answered(Box<Incomer>),
    /// The credentials may not go where the registry wants them.
    Withheld {
        realm: String,
    },
}

enum Permission {
    Header(HeaderValue),
    Withheld { realm: String },
}

/// What all candidates together came to.
#[derive(Default)]
struct Verdict {
    realm: Option<String>,
    rejected: Option<RemoteError>,
    found_nothing: bool,
    refused: usize,
    wrong_passwords: usize,
    /// The registry had enough of somebody who might have been answered; the shortest wait that anybody
    /// was told, if one was.
    rests: Option<Option<Duration>>,
}

impl Verdict {
    fn add(&mut self, error: RemoteError) {
        match error {
            RemoteError::NotFound => self.found_nothing = true,
            RemoteError::Rejected { .. } => {
                self.rejected.get_or_insert(error);
            }
            RemoteError::Unauthorized { had_credentials, wrong_password } => {
                self.refused += usize::from(had_credentials);
                self.wrong_passwords += usize::from(wrong_password);
            }
            RemoteError::TooManyRequests { retry_after } => {
                self.rests = Some(self.rests.flatten().into_iter().chain(retry_after).min());
            }
            _ => {}
        }
    }

    fn into_error(self, had_credentials: bool) -> RemoteError {
        if let Some(retry_after) = self.rests {
            return RemoteError::TooManyRequests { retry_after };
        }
        if let Some(rejected) = self.rejected {
            return rejected;
        }
        match self.realm {
            _ if self.found_nothing => RemoteError::NotFound,
            Some(realm) => RemoteError::UntrustedRealm { realm },
            None => {
                let wrong_password = self.refused > 0 && self.wrong_passwords == self.refused;
                RemoteError::Unauthorized { had_credentials, wrong_password }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{RemoteError, Verdict};

    #[track_caller]
    fn check(told: &[Option<u64>], expected: Option<u64>) {
        let mut verdict = Verdict::default();
        for seconds in told {
            verdict.add(RemoteError::TooManyRequests { retry_after: seconds.map(Duration::from_secs) });
        }
        let error = verdict.into_error(true);
        let RemoteError::TooManyRequests { retry_after } = error else { panic!("{error}") };
        assert_eq!(retry_after, expected.map(Duration::from_secs), "{told:?}");
    }

    #[test]
    fn the_shortest_wait_that_was_told_counts() {
        check(&[None], None);
        check(&[Some(9), Some(5), Some(7)], Some(5));
        check(&[Some(5), None], Some(5));
        check(&[None, Some(5)], Some(5));
        check(&[None, Some(5), None], Some(5));
    }
}
