//! Questions about permissions in kube's form, `authorization.k8s.io/v1` (platform 5.2).
//!
//! Owns the translation of questions and answers. The decisions are `auth`'s; that asking about others needs a right
//! of its own is decided before the call gets here.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::authz::{
    LocalSubjectAccessReview, NonResourceRule, ResourceRule, SelfSubjectAccessReview, SelfSubjectRulesReview,
    SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus, SubjectRulesReviewStatus,
};
use pierhead_api::field::FieldErrors;
use pierhead_api::meta::Status;
use pierhead_api::{Object, from_value, to_value};
use pierhead_auth::{Attributes, Subject};
use serde_json::Value;

use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::kind::{Connect, Kind, Verb};

const GROUP: &str = "authorization.k8s.io";

/// The four kinds.
pub(crate) fn kinds() -> Vec<Kind> {
    vec![
        Kind::calls::<SelfSubjectAccessReview>(&[Verb::Create], Question::Own),
        Kind::calls::<SelfSubjectRulesReview>(&[Verb::Create], Question::Rules),
        Kind::calls::<SubjectAccessReview>(&[Verb::Create], Question::Anyone),
        Kind::calls::<LocalSubjectAccessReview>(&[Verb::Create], Question::Local),
    ]
}

#[derive(Clone, Copy)]
enum Question {
    Own,
    Rules,
    Anyone,
    Local,
}

impl Connect for Question {
    fn call<'a>(&'a self, call: &'a Call, body: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        let document = body.unwrap_or_default();
        let answered = match self {
            Self::Own => own(call, &document),
            Self::Rules => rules(call, &document),
            Self::Anyone => anyone(call, &document),
            Self::Local => local(call, &document),
        };
        std::future::ready(answered.map(Answer::created)).boxed()
    }
}

/// Reads the question; 400 where it is none.
pub(super) fn read<T: Object>(document: &Value) -> Result<T, ApiError> {
    from_value(document).map_err(|error| {
        Status::bad_request(format!("{kind} cannot be handled as a {kind}: {error}", kind = T::KIND)).into()
    })
}

fn check<T: Object>(errors: &FieldErrors) -> Result<(), ApiError> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(T::KIND, GROUP, "", errors).into())
}

fn own(call: &Call, document: &Value) -> Result<Value, ApiError> {
    let mut review: SelfSubjectAccessReview = read(document)?;
    check::<SelfSubjectAccessReview>(&review.spec.validate_action())?;
    review.status = decide(call, &call.subject, &review.spec);
    Ok(to_value(&review))
}

fn anyone(call: &Call, document: &Value) -> Result<Value, ApiError> {
    let mut review: SubjectAccessReview = read(document)?;
    check::<SubjectAccessReview>(&review.spec.validate_subject())?;
    review.status = decide(call, &subject_of(&review.spec), &review.spec);
    Ok(to_value(&review))
}

fn local(call: &Call, document: &Value) -> Result<Value, ApiError> {
    let mut review: LocalSubjectAccessReview = read(document)?;
    let mut errors = review.spec.validate_subject();
    match &mut review.spec.resource_attributes {
        Some(attributes) if attributes.namespace.is_empty() => {
            call.namespace().clone_into(&mut attributes.namespace);
        }
        Some(attributes) if attributes.namespace != call.namespace() => {
            let detail = "must match metadata.namespace";
            errors.invalid("spec.resourceAttributes.namespace", attributes.namespace.as_str(), detail);
        }
        Some(_) => {}
        None => {
            errors.invalid("spec.nonResourceAttributes", Value::Null, "disallowed on this kind of request")
        }
    }
    check::<LocalSubjectAccessReview>(&errors)?;
    review.status = decide(call, &subject_of(&review.spec), &review.spec);
    Ok(to_value(&review))
}

fn subject_of(spec: &SubjectAccessReviewSpec) -> Arc<Subject> {
    let SubjectAccessReviewSpec { user, groups, extra, uid, .. } = spec;
    let extra: BTreeMap<_, _> =
        extra.iter().map(|(key, values)| (key.to_lowercase(), values.clone())).collect();
    Arc::new(Subject { username: user.clone(), uid: uid.clone(), groups: groups.clone(), extra })
}

fn decide(call: &Call, subject: &Arc<Subject>, spec: &SubjectAccessReviewSpec) -> SubjectAccessReviewStatus {
    let attributes = match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (Some(asked), _) => Attributes::new(&asked.verb, &asked.group, &asked.resource)
            .subresource(&asked.subresource)
            .namespace(&asked.namespace)
            .name(&asked.name),
        (None, Some(asked)) => Attributes::path(&asked.verb, &asked.path),
        (None, None) => Attributes::default(),
    };
    let decision = call.server.auth.allowed(subject, &attributes);
    SubjectAccessReviewStatus {
        allowed: decision.allowed,
        reason: decision.reason,
        ..SubjectAccessReviewStatus::default()
    }
}

fn rules(call: &Call, document: &Value) -> Result<Value, ApiError> {
    let mut review: SelfSubjectRulesReview = read(document)?;
    if review.spec.namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request").into());
    }
    let mut status = SubjectRulesReviewStatus::default();
    for rule in call.server.auth.rules_for(&call.subject, &review.spec.namespace) {
        if !rule.resources.is_empty() {
            status.resource_rules.push(ResourceRule {
                verbs: rule.verbs.clone(),
                api_groups: rule.api_groups,
                resources: rule.resources,
                resource_names: rule.resource_names,
            });
        }
        if !rule.non_resource_urls.is_empty() {
            status
                .non_resource_rules
                .push(NonResourceRule { verbs: rule.verbs, non_resource_urls: rule.non_resource_urls });
        }
    }
    review.status = status;
    Ok(to_value(&review))
}
