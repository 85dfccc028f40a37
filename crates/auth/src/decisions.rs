//! Decisions that were made, to be made once.
//!
//! Owns what is worth keeping: questions come from anybody, and nobody may fill the memory with long ones. What is not
//! kept is decided again, with the same answer.

use std::sync::Arc;

use crate::attributes::Asked;
use crate::cache::Cache;
use crate::{Attributes, Subject};

/// Longest question with its reason that is kept, in bytes: anybody without credentials may ask.
const MAX_QUESTION: usize = 1 << 10;
/// Largest subject that is kept, in bytes; whoever may write access reviews invents them.
const MAX_SUBJECT: usize = 8 << 10;

/// An answer.
#[derive(Clone)]
pub(crate) struct Decided {
    pub(crate) allowed: bool,
    pub(crate) reason: Arc<str>,
    /// What was asked; permits share it.
    pub(crate) asked: Arc<Attributes>,
}

impl Decided {
    pub(crate) fn new(asked: Asked<'_>, allowed: bool, reason: &str) -> Self {
        Self { allowed, reason: reason.into(), asked: Arc::new(asked.to_owned()) }
    }

    fn is_short(&self) -> bool {
        self.asked.text_bytes() + self.reason.len() <= MAX_QUESTION
    }
}

/// The newest decisions, by who asked what.
pub(crate) struct Decisions(Cache<Arc<Subject>, Decided>);

impl Decisions {
    pub(crate) fn new(slots: usize) -> Self {
        Self(Cache::new(slots))
    }

    /// The answer to this question, made in this generation of roles and bindings.
    pub(crate) fn get(&self, generation: u64, subject: &Arc<Subject>, asked: &Asked<'_>) -> Option<Decided> {
        self.0.get(self.hash(subject, asked), generation, |of, found| {
            (Arc::ptr_eq(of, subject) || **of == **subject) && found.asked.is(asked)
        })
    }

    /// Keeps an answer, if it is short.
    pub(crate) fn put(&self, generation: u64, subject: &Arc<Subject>, asked: &Asked<'_>, decided: &Decided) {
        if decided.is_short() && subject.bytes() <= MAX_SUBJECT {
            self.0.put(self.hash(subject, asked), generation, Arc::clone(subject), decided.clone());
        }
    }

    fn hash(&self, subject: &Subject, asked: &Asked<'_>) -> u64 {
        self.0.hash((subject.username.as_str(), &subject.uid, asked))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Decided, Decisions};
    use crate::{Attributes, Subject};

    #[test]
    fn nobody_fills_the_memory_with_long_questions() {
        let decisions = Decisions::new(16);
        let check = |subject: &Arc<Subject>, attributes: &Attributes, expected: bool| {
            let asked = attributes.asked();
            decisions.put(1, subject, &asked, &Decided::new(asked, false, "no"));
            assert_eq!(decisions.get(1, subject, &asked).is_some(), expected, "{subject:?} {attributes:?}");
        };
        let (anonymous, long, group) = (Subject::anonymous(), "x".repeat(1_100), "x".repeat(60));
        let pods = || Attributes::new("get", "", "pods");
        check(&anonymous, &Attributes::path("get", "/healthz"), true);
        check(&anonymous, &pods().namespace("shop").name(&"x".repeat(253)), true);
        check(&anonymous, &Attributes::path("get", &long), false);
        check(&anonymous, &Attributes::new(&long, "", "pods"), false);
        check(&anonymous, &Attributes::new("get", &long, "pods"), false);
        check(&anonymous, &Attributes::new("get", "", &long), false);
        check(&anonymous, &pods().subresource(&long), false);
        check(&anonymous, &pods().namespace(&long), false);
        check(&anonymous, &pods().name(&long), false);
        check(&Subject::system("ann", &[group.as_str(); 60]), &pods(), true);
        check(&Subject::system("ann", &[group.as_str(); 100]), &pods(), false);
        check(&Subject::system("ann", &[""; 400]), &pods(), false);
        check(&Subject::system(&"x".repeat(9_000), &[]), &pods(), false);
    }
}
