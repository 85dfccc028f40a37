//! What the audit log is told of a request.
//!
//! Owns which requests are recorded and the form of a record: one line of JSON, an Event of audit.k8s.io/v1 at the level
//! Metadata. Recorded is every request that writes, every login that ended in
//! a session, a code or a token, and every refusal (401, 403, 429) of any. What parts of this server
//! do is not: they do as told by what others wrote. Nothing in a record lets anybody in: no bodies, no headers but the
//! user agent, only values of the query that are known to be harmless, and no names of tokens, which may be tokens.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::USER_AGENT;
use http::request::Parts as Head;
use http::{Method, StatusCode};
use jiff::Timestamp;
use pierhead_api::excerpt;
use pierhead_api::meta::MicroTime;
use pierhead_auth::Subject;
use pierhead_runtime::audit::Part;
use pierhead_runtime::listen::ConnectionInfo;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::path::ResourcePath;
use crate::server::Parts;

/// Bytes of a user agent, a path or a value of the query that a record repeats.
const MAX_TEXT: usize = 1024;
/// What stands where something is left out.
const HIDDEN: &str = "HIDDEN";

/// Parameters of the query whose values hold no secrets.
const HARMLESS: [&str; 21] = [
    "allowWatchBookmarks",
    "dryRun",
    "fieldManager",
    "fieldSelector",
    "fieldValidation",
    "follow",
    "force",
    "gracePeriodSeconds",
    "includeObject",
    "labelSelector",
    "limit",
    "orphanDependents",
    "pretty",
    "propagationPolicy",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeout",
    "timeoutSeconds",
    "watch",
    "container",
];

/// Resources whose objects are named after tokens, or by them.
const TOKENS: [&str; 3] = ["oauthaccesstokens", "oauthauthorizetokens", "useroauthaccesstokens"];

/// The object an answer is about: what a create was given, or named itself. Handlers put it into the extensions of the
/// response.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// Its name.
    pub(crate) name: String,
    /// Its uid; empty where it has none.
    pub(crate) uid: String,
}

/// Who sent a request of OAuth, which has no credentials of the API, and what became of it where the answer's code does
/// not say so. OAuth puts it into the extensions of the response.
#[derive(Clone, Debug)]
pub(crate) enum Login {
    /// Nobody has said who they are; the answer says how to.
    Asked,
    /// Somebody gave this name, and was let in or not.
    Tried {
        /// Who they are if they were let in, the name they gave if not.
        username: String,
        /// What became of it.
        decision: Decision,
    },
    /// Somebody who had logged in before.
    Known {
        /// Who.
        username: String,
    },
}

/// What became of a login, in the words of `authentication.openshift.io/decision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// They have a session, a code or a token.
    Allow,
    /// Their credentials were refused.
    Deny,
    /// Nobody could say who they are, or they cannot be a user.
    Error,
}

impl Decision {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Error => "error",
        }
    }
}

/// One request, as far as it is known.
#[derive(Debug)]
pub(crate) struct Note {
    id: Uuid,
    received: Timestamp,
    method: Method,
    path: String,
    query: Option<String>,
    agent: String,
    source: Option<IpAddr>,
    /// Who sent it.
    pub(crate) caller: Option<Arc<Subject>>,
    /// As whom they acted, where that is another.
    pub(crate) acted_as: Option<Arc<Subject>>,
    /// What it was about.
    target: Option<(&'static str, ResourcePath)>,
    /// The version of the kind, where the path is the old one.
    group: String,
}

impl Note {
    /// Begins the record of a request.
    pub(crate) fn begin(head: &Head, now: Timestamp) -> Self {
        let agent = head.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self {
            id: Uuid::new_v4(),
            received: now,
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(str::to_owned),
            agent: excerpt(agent, MAX_TEXT).into_owned(),
            source: head.extensions.get::<ConnectionInfo>().map(|connection| connection.peer.ip()),
            caller: None,
            acted_as: None,
            target: None,
            group: String::new(),
        }
    }

    /// What the answer calls the request, and the record too.
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// Says what the request is about, in the words of rules.
    pub(crate) fn about(&mut self, verb: &'static str, group: &str, path: &ResourcePath) {
        group.clone_into(&mut self.group);
        self.target = Some((verb, path.clone()));
    }

    /// Whether the request writes, as far as its form says so.
    pub(crate) fn writes(&self) -> bool {
        match &self.target {
            Some((verb, _)) => matches!(*verb, "create" | "update" | "patch" | "delete" | "deletecollection"),
            None => !matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS),
        }
    }

    /// The record and where it belongs, if the request is one of those that are recorded.
    pub(crate) fn finished<B>(&self, server: &Parts, response: &http::Response<B>) -> Option<(String, Part)> {
        if !server.config.audit.is_on() {
            return None;
        }
        let login = response.extensions().get::<Login>();
        let code = response.status();
        let is_refused = match login {
            Some(Login::Tried { decision, .. }) => *decision != Decision::Allow,
            Some(Login::Asked | Login::Known { .. }) => false,
            None => matches!(
                code,
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
            ),
        };
        // A login writes whatever its method: it ends in a session, a code or a token.
        let writes = self.writes() || matches!(login, Some(Login::Tried { .. }));
        let is_own = self.caller.as_ref().is_some_and(|subject| crate::call::is_own_part(subject));
        if !is_refused && (!writes || is_own) {
            return None;
        }
        let named = response.extensions().get::<Named>();
        let record = self.record(server.clock.now(), code, named, login);
        let is_known = self.caller.as_ref().is_some_and(|subject| !subject.is_anonymous());
        let part = if is_refused && !is_known { Part::Strangers } else { Part::Known };
        Some((record.to_string(), part))
    }

    fn record(
        &self,
        now: Timestamp,
        code: StatusCode,
        named: Option<&Named>,
        login: Option<&Login>,
    ) -> Value {
        let verb = self
            .target
            .as_ref()
            .map_or_else(|| self.method.as_str().to_lowercase(), |(verb, _)| (*verb).into());
        let mut record = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": self.id.to_string(),
            "stage": "ResponseComplete", "requestURI": self.uri(), "verb": verb,
            "user": self.caller.as_deref().map_or_else(|| json!({}), user),
        });
        if let Some(subject) = &self.acted_as {
            record["impersonatedUser"] = user(subject);
        }
        record["sourceIPs"] = self.source.iter().map(|address| json!(address.to_string())).collect();
        if !self.agent.is_empty() {
            record["userAgent"] = self.agent.as_str().into();
        }
        if let Some((_, path)) = &self.target {
            record["objectRef"] = self.object(path, named);
        }
        record["responseStatus"] = json!({"metadata": {}, "code": code.as_u16()});
        record["requestReceivedTimestamp"] = MicroTime(self.received).to_string().into();
        record["stageTimestamp"] = MicroTime(now).to_string().into();
        if let Some(Login::Tried { username, decision }) = login {
            record["annotations"] = json!({
                "authentication.openshift.io/decision": decision.as_str(),
                "authentication.openshift.io/username": excerpt(username, MAX_TEXT),
            });
        }
        if let Some(Login::Known { username } | Login::Tried { username, decision: Decision::Allow }) = login
        {
            record["user"] = json!({"username": username});
        }
        record
    }

    fn names_tokens(&self) -> bool {
        self.target.as_ref().is_some_and(|(_, path)| TOKENS.contains(&path.resource.as_str()))
            || TOKENS.iter().any(|resource| self.path.contains(resource))
    }

    fn uri(&self) -> String {
        let hides = self.names_tokens();
        let path = match &self.target {
            Some((_, ResourcePath { name: Some(_), subresource, .. })) if hides => {
                // Whole, before it is cut: behind the name there may be a subresource, and nothing else.
                let segments = 1 + usize::from(subresource.is_some());
                let start = self.path.rsplitn(segments + 1, '/').last().unwrap_or_default();
                format!("{start}/{HIDDEN}")
            }
            None if hides => HIDDEN.to_owned(),
            Some(_) | None => self.path.clone(),
        };
        let path = excerpt(&path, MAX_TEXT).into_owned();
        let Some(query) = &self.query else { return path };
        let pairs: Vec<String> = query
            .split('&')
            .take(50)
            .map(|pair| {
                let (name, _) = pair.split_once('=').unwrap_or((pair, ""));
                let shown = !hides && HARMLESS.contains(&name);
                match shown {
                    true => excerpt(pair, MAX_TEXT).into_owned(),
                    false => format!("{}={HIDDEN}", excerpt(name, 64)),
                }
            })
            .collect();
        format!("{path}?{}", pairs.join("&"))
    }

    fn object(&self, path: &ResourcePath, named: Option<&Named>) -> Value {
        let mut object = Map::new();
        let name = path.name.as_deref().or(named.map(|named| named.name.as_str())).unwrap_or_default();
        let name = if self.names_tokens() && !name.is_empty() { HIDDEN } else { name };
        let version = path.prefix.api_version();
        let uid = named.map_or("", |named| named.uid.as_str());
        let fields = [
            ("resource", path.resource.as_str()),
            ("namespace", path.namespace.as_deref().unwrap_or_default()),
            ("name", name),
            ("uid", uid),
            ("apiGroup", self.group.as_str()),
            ("apiVersion", version.rsplit('/').next().unwrap_or_default()),
            ("subresource", path.subresource.as_deref().unwrap_or_default()),
        ];
        for (field, text) in fields.into_iter().filter(|(_, text)| !text.is_empty()) {
            object.insert(field.to_owned(), excerpt(text, MAX_TEXT).into());
        }
        object.into()
    }
}

fn user(subject: &Subject) -> Value {
    let mut user = json!({"username": subject.username, "groups": subject.groups});
    if !subject.uid.is_empty() {
        user["uid"] = subject.uid.as_str().into();
    }
    user
}
