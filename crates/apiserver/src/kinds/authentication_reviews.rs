//! Questions about identity, `authentication.k8s.io/v1`: who am I, and whose token is this.
//!
//! Owns the form of the answers. Whether a token is good is `auth`'s decision.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::authn::{
    SelfSubjectReview, SelfSubjectReviewStatus, TokenReview, TokenReviewStatus, UserInfo,
};
use pierhead_api::meta::Status;
use pierhead_api::to_value;
use pierhead_auth::{Subject, Unauthenticated};
use serde_json::Value;

use super::access_reviews::read;
use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::kind::{Connect, Kind, Verb};

/// The two kinds.
pub(crate) fn kinds() -> Vec<Kind> {
    vec![
        Kind::calls::<SelfSubjectReview>(&[Verb::Create], Question::WhoAmI),
        Kind::calls::<TokenReview>(&[Verb::Create], Question::WhoseToken),
    ]
}

#[derive(Clone, Copy)]
enum Question {
    WhoAmI,
    WhoseToken,
}

impl Connect for Question {
    fn call<'a>(&'a self, call: &'a Call, body: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        let document = body.unwrap_or_default();
        let answered = match self {
            Self::WhoAmI => who_am_i(call, &document),
            Self::WhoseToken => whose_token(call, &document),
        };
        std::future::ready(answered.map(Answer::created)).boxed()
    }
}

fn user_info(subject: &Subject) -> UserInfo {
    let Subject { username, uid, groups, extra } = subject.clone();
    UserInfo { username, uid, groups, extra }
}

fn who_am_i(call: &Call, document: &Value) -> Result<Value, ApiError> {
    let mut review: SelfSubjectReview = read(document)?;
    review.status = SelfSubjectReviewStatus { user_info: user_info(&call.subject) };
    Ok(to_value(&review))
}

fn whose_token(call: &Call, document: &Value) -> Result<Value, ApiError> {
    let mut review: TokenReview = read(document)?;
    if review.spec.token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication").into());
    }
    review.status = match call.server.auth.review(&review.spec.token, &review.spec.audiences) {
        Ok((subject, audiences)) if !subject.is_anonymous() => {
            let user = user_info(&subject);
            TokenReviewStatus { authenticated: true, user, audiences, error: String::new() }
        }
        Ok(_) => TokenReviewStatus::default(),
        Err(Unauthenticated::Invalid(_)) => {
            TokenReviewStatus { error: "invalid bearer token".to_owned(), ..TokenReviewStatus::default() }
        }
        Err(Unauthenticated::Store(error)) => return Err(error.into()),
    };
    review.spec.token.clear();
    Ok(to_value(&review))
}
