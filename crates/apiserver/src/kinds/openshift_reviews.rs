//! Questions about permissions in OpenShift's form, `authorization.openshift.io/v1` and `/oapi/v1` (platform 5.2).
//!
//! Owns the translation; answers are kinds of their own. A question without user and groups is about the caller.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::authorization::{
    Action, LocalResourceAccessReview, LocalSubjectAccessReview, PolicyRule, ResourceAccessReview,
    ResourceAccessReviewResponse, SelfSubjectRulesReview, SubjectAccessReview, SubjectAccessReviewResponse,
    SubjectRulesReview, SubjectRulesReviewStatus,
};
use pierhead_api::to_value;
use pierhead_auth::subject::SCOPES_KEY;
use pierhead_auth::{Attributes, Subject};
use serde_json::Value;

use super::access_reviews::read;
use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::kind::{Connect, Kind, Verb};

/// The six kinds.
pub(crate) fn kinds() -> Vec<Kind> {
    vec![
        Kind::calls::<LocalResourceAccessReview>(&[Verb::Create], Question::WhoHere).openshift(),
        Kind::calls::<LocalSubjectAccessReview>(&[Verb::Create], Question::MayHere).openshift(),
        Kind::calls::<ResourceAccessReview>(&[Verb::Create], Question::Who).openshift(),
        Kind::calls::<SelfSubjectRulesReview>(&[Verb::Create], Question::OwnRules).openshift(),
        Kind::calls::<SubjectAccessReview>(&[Verb::Create], Question::May).openshift(),
        Kind::calls::<SubjectRulesReview>(&[Verb::Create], Question::Rules).openshift(),
    ]
}

#[derive(Clone, Copy)]
enum Question {
    WhoHere,
    MayHere,
    Who,
    OwnRules,
    May,
    Rules,
}

impl Connect for Question {
    fn call<'a>(&'a self, call: &'a Call, body: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        let document = body.unwrap_or_default();
        std::future::ready(self.answer(call, &document).map(Answer::created)).boxed()
    }
}

impl Question {
    fn answer(self, call: &Call, document: &Value) -> Result<Value, ApiError> {
        match self {
            Self::Who => {
                let review: ResourceAccessReview = read(document)?;
                Ok(who(call, &review.action()))
            }
            Self::WhoHere => {
                let review: LocalResourceAccessReview = read(document)?;
                Ok(who(call, &here(call, review.action())))
            }
            Self::May => {
                let review: SubjectAccessReview = read(document)?;
                let subject = subject(call, &review.user, &review.groups, review.scopes.as_deref());
                Ok(may(call, &subject, &review.action()))
            }
            Self::MayHere => {
                let review: LocalSubjectAccessReview = read(document)?;
                let subject = subject(call, &review.user, &review.groups, review.scopes.as_deref());
                Ok(may(call, &subject, &here(call, review.action())))
            }
            Self::OwnRules => {
                let mut review: SelfSubjectRulesReview = read(document)?;
                let subject = subject(call, "", &[], review.spec.scopes.as_deref());
                review.status = rules(call, &subject);
                Ok(to_value(&review))
            }
            Self::Rules => {
                let mut review: SubjectRulesReview = read(document)?;
                let scopes = review.spec.scopes.clone();
                let subject = subject(call, &review.spec.user, &review.spec.groups, scopes.as_deref());
                review.status = rules(call, &subject);
                Ok(to_value(&review))
            }
        }
    }
}

/// The namespace of the path is the one asked about.
fn here(call: &Call, action: Action) -> Action {
    Action { namespace: call.namespace().to_owned(), ..action }
}

/// Whom the question is about, limited by the scopes it names.
fn subject(call: &Call, user: &str, groups: &[String], scopes: Option<&[String]>) -> Arc<Subject> {
    let own = user.is_empty() && groups.is_empty();
    let mut subject = if own {
        Subject::clone(&call.subject)
    } else {
        Subject { username: user.to_owned(), groups: groups.to_vec(), ..Subject::default() }
    };
    if let Some(scopes) = scopes {
        if scopes.is_empty() {
            subject.extra.remove(SCOPES_KEY);
        } else {
            subject.extra.insert(SCOPES_KEY.to_owned(), scopes.to_vec());
        }
    }
    Arc::new(subject)
}

fn attributes(action: &Action) -> Attributes {
    match &action.path {
        Some(path) => Attributes::path(&action.verb, path),
        None => Attributes::new(&action.verb, &action.group, &action.resource)
            .namespace(&action.namespace)
            .name(&action.name),
    }
}

fn who(call: &Call, action: &Action) -> Value {
    let (users, groups) = call.server.auth.who_can(&attributes(action));
    to_value(&ResourceAccessReviewResponse {
        namespace: action.namespace.clone(),
        users,
        groups,
        ..ResourceAccessReviewResponse::default()
    })
}

fn may(call: &Call, subject: &Arc<Subject>, action: &Action) -> Value {
    let decision = call.server.auth.allowed(subject, &attributes(action));
    to_value(&SubjectAccessReviewResponse {
        namespace: action.namespace.clone(),
        allowed: decision.allowed,
        reason: decision.reason,
        ..SubjectAccessReviewResponse::default()
    })
}

fn rules(call: &Call, subject: &Subject) -> SubjectRulesReviewStatus {
    let rules = call.server.auth.rules_for(subject, call.namespace());
    SubjectRulesReviewStatus {
        rules: rules.iter().map(PolicyRule::from).collect(),
        evaluation_error: String::new(),
    }
}
