//! What can be done where: every announced resource with its paths, parameters, bodies and answers.
//!
//! Owns what differs from the common pattern: reviews that answer with another kind, logs that are text. How operations
//! are written is `v2` and `v3`.

use serde_json::Value;

use super::{Definitions, STATUS, is_old};

/// A path with all its operations.
pub(super) struct Endpoint {
    pub(super) path: String,
    /// The version it belongs to: `api/v1` or `apis/<group>/<version>`.
    pub(super) place: String,
    pub(super) namespaced: bool,
    pub(super) named: bool,
    pub(super) operations: Vec<Operation>,
}

/// One method of a path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) action: &'static str,
    pub(super) id: String,
    pub(super) description: String,
    pub(super) kind: (String, String, String),
    pub(super) query: Vec<Parameter>,
    pub(super) body: Body,
    pub(super) codes: &'static [&'static str],
    pub(super) answer: Answer,
}

/// What is sent.
#[derive(Clone)]
pub(super) enum Body {
    Nothing,
    /// A document, which must be there.
    Document(String),
    /// Options, which may be there.
    Options(String),
    /// A patch.
    Patch,
}

/// What comes back.
#[derive(Clone)]
pub(super) enum Answer {
    Document(String),
    /// The object, or a Status that says it is gone.
    ObjectOrStatus(String),
    Text,
}

/// What a code of an answer means.
pub(super) fn meaning(code: &str) -> &'static str {
    match code {
        "200" => "OK",
        "201" => "Created",
        "202" => "Accepted",
        _ => "Not supported",
    }
}

/// A parameter of the query: name, type, description.
pub(super) type Parameter = (&'static str, &'static str, &'static str);

const WATCHING: [Parameter; 4] = [
    (
        "allowWatchBookmarks",
        "boolean",
        "Whether a watch may send events of type BOOKMARK, which only tell a version.",
    ),
    (
        "sendInitialEvents",
        "boolean",
        "Whether a watch starts with the objects there are and a bookmark after them.",
    ),
    ("timeoutSeconds", "integer", "Seconds after which a watch ends."),
    ("watch", "boolean", "Whether to send changes as they happen instead of a list."),
];
const SELECTING: [Parameter; 6] = [
    ("continue", "string", "The token of the list whose next page is wanted."),
    ("fieldSelector", "string", "Only objects whose fields are like this, such as `metadata.name=x`."),
    ("labelSelector", "string", "Only objects whose labels are like this, such as `app=web,tier in (a,b)`."),
    ("limit", "integer", "Most items of one page."),
    ("resourceVersion", "string", "The version to list at or to watch from."),
    ("resourceVersionMatch", "string", "How that version binds a list: `Exact` or `NotOlderThan`."),
];
const DRY_RUN: Parameter = ("dryRun", "string", "`All`: check everything, store nothing.");
const WRITING: [Parameter; 3] = [
    DRY_RUN,
    ("fieldManager", "string", "Who writes, for the records of who set which field. An apply must say it."),
    (
        "fieldValidation",
        "string",
        "What to do about unknown and duplicate fields: `Ignore`, `Warn` or `Strict`.",
    ),
];
const FORCE: Parameter = ("force", "boolean", "Whether an apply takes fields from other managers.");
const DELETING: [Parameter; 4] = [
    DRY_RUN,
    ("gracePeriodSeconds", "integer", "Seconds the object gets to end; 0 means at once."),
    ("orphanDependents", "boolean", "Whether objects that it owns stay. Older form of `propagationPolicy`."),
    (
        "propagationPolicy",
        "string",
        "What happens to objects that it owns: `Orphan`, `Background` or `Foreground`.",
    ),
];
const LOG: [Parameter; 9] = [
    ("container", "string", "The container, where there are several."),
    ("follow", "boolean", "Whether to go on with new lines."),
    ("limitBytes", "integer", "Most bytes."),
    ("previous", "boolean", "Whether the log of the container before its last restart is meant."),
    ("sinceSeconds", "integer", "Only lines of the last so many seconds."),
    ("sinceTime", "string", "Only lines since then."),
    ("tailLines", "integer", "Only the last so many lines."),
    ("timestamps", "boolean", "Whether lines start with their time."),
    ("stream", "string", "`All`, `Stdout` or `Stderr`."),
];

/// Calls that answer with another kind than they are sent: resource with its group, kind sent, kind answered.
const CALLS: &[(&str, &str, &str)] = &[
    ("bindings", "Binding", "Status"),
    ("pods/binding", "Binding", "Status"),
    ("pods/eviction", "Eviction", "Status"),
    ("deploymentconfigrollbacks.apps.openshift.io", "DeploymentConfigRollback", "DeploymentConfig"),
    ("deploymentconfigs/instantiate.apps.openshift.io", "DeploymentRequest", "DeploymentConfig"),
    ("deploymentconfigs/rollback.apps.openshift.io", "DeploymentConfigRollback", "DeploymentConfig"),
    (
        "localresourceaccessreviews.authorization.openshift.io",
        "LocalResourceAccessReview",
        "ResourceAccessReviewResponse",
    ),
    (
        "localsubjectaccessreviews.authorization.openshift.io",
        "LocalSubjectAccessReview",
        "SubjectAccessReviewResponse",
    ),
    (
        "resourceaccessreviews.authorization.openshift.io",
        "ResourceAccessReview",
        "ResourceAccessReviewResponse",
    ),
    ("subjectaccessreviews.authorization.openshift.io", "SubjectAccessReview", "SubjectAccessReviewResponse"),
    ("imagestreammappings.image.openshift.io", "ImageStreamMapping", "Status"),
    ("projectrequests.project.openshift.io", "ProjectRequest", "Project"),
];

/// The paths of all resources of a version.
pub(super) fn of_version(place: &str, resources: &[Value], definitions: &Definitions) -> Vec<Endpoint> {
    let group =
        place.strip_prefix("apis/").and_then(|rest| rest.split_once('/')).map_or("", |(group, _)| group);
    let words = |text: &str| text.split(['.', '-']).map(capitalised).collect::<String>();
    // `apps.openshift.io` and `apps` must not make the same names.
    let group_word = if group.is_empty() { "Core".to_owned() } else { words(group) };
    let mut endpoints = Vec::new();
    for resource in resources {
        let of = Resource {
            place,
            group,
            id: format!("{group_word}V1"),
            plural: text(resource, "resource"),
            kind: kind_of(resource),
            namespaced: text(resource, "scope") == "Namespaced",
            definitions,
        };
        endpoints.extend(of.collections(resource));
        endpoints.extend(of.object(resource));
        for sub in resource["subresources"].as_array().into_iter().flatten() {
            endpoints.extend(of.subresource(sub));
        }
    }
    endpoints.retain(|endpoint| !endpoint.operations.is_empty());
    endpoints
}

struct Resource<'a> {
    place: &'a str,
    group: &'a str,
    id: String,
    plural: &'a str,
    kind: (String, String, String),
    namespaced: bool,
    definitions: &'a Definitions,
}

impl Resource<'_> {
    fn path(&self, rest: &str) -> String {
        let scope = if self.namespaced { "namespaces/{namespace}/" } else { "" };
        format!("/{}/{scope}{}{rest}", self.place, self.plural)
    }

    fn endpoint(&self, path: String, named: bool, operations: Vec<Operation>) -> Endpoint {
        let namespaced = path.contains("{namespace}");
        Endpoint { path, place: self.place.to_owned(), namespaced, named, operations }
    }

    /// The definition of a kind; aliases are described where they belong.
    fn definition(&self, (group, version, kind): &(String, String, String)) -> String {
        let own = self.definitions.of_kind(group, version, kind);
        let openshift = |name: &&String| is_old(name) && name.ends_with(&format!(".{kind}"));
        let found = own.map(str::to_owned).or_else(|| self.definitions.0.keys().find(openshift).cloned());
        found.unwrap_or_else(|| panic!("nothing describes {kind} of {group}/{version}"))
    }

    fn named(&self, kind: &str) -> String {
        if kind == "Status" {
            return STATUS.to_owned();
        }
        self.definition(&(self.kind.0.clone(), self.kind.1.clone(), kind.to_owned()))
    }

    fn operation(&self, method: &'static str, action: &'static str, words: &str) -> Operation {
        let scope = if self.namespaced { "Namespaced" } else { "" };
        // Aliases in the core group would have the names of the kinds they stand for.
        let alias = if self.plural.starts_with("legacy") { "Legacy" } else { "" };
        Operation {
            method,
            action,
            id: words.replace("{}", &format!("{}{scope}{alias}{}", self.id, self.kind.2)),
            description: String::new(),
            kind: self.kind.clone(),
            query: Vec::new(),
            body: Body::Nothing,
            codes: &["200"],
            answer: Answer::Document(STATUS.to_owned()),
        }
    }

    /// The list, across namespaces too, and what is created and deleted there.
    fn collections(&self, resource: &Value) -> Vec<Endpoint> {
        let kind = &self.kind.2;
        let mut operations = Vec::new();
        let mut everywhere = Vec::new();
        if has(resource, "list") {
            let list = if self.plural.ends_with("projectrequests") {
                STATUS.to_owned()
            } else {
                format!("{}List", self.definition(&self.kind))
            };
            let watchable = has(resource, "watch");
            let make = |id: &str| {
                let mut query = SELECTING.to_vec();
                query.extend(WATCHING.iter().filter(|_| watchable));
                query.sort_unstable();
                let operation = self.operation("get", "list", id);
                let description = format!("List or watch objects of the kind {kind}.");
                Operation { query, description, answer: Answer::Document(list.clone()), ..operation }
            };
            operations.push(make("list{}"));
            if self.namespaced {
                everywhere.push(make("list{}ForAllNamespaces"));
            }
        }
        if has(resource, "create") {
            let sent = self.definition(&self.kind);
            let name = self.qualified("");
            let answer =
                CALLS.iter().find(|(call, ..)| *call == name).map(|(_, _, answer)| self.named(answer));
            operations.push(Operation {
                description: format!("Create a {kind}."),
                query: WRITING.to_vec(),
                answer: Answer::Document(answer.unwrap_or_else(|| sent.clone())),
                body: Body::Document(sent),
                codes: &["200", "201", "202"],
                ..self.operation("post", "post", "create{}")
            });
        }
        if has(resource, "deletecollection") {
            let mut query = DELETING.to_vec();
            query.extend(SELECTING);
            query.sort_unstable();
            operations.push(Operation {
                description: format!("Delete all objects of the kind {kind} that match."),
                query,
                answer: Answer::Document(format!("{}List", self.definition(&self.kind))),
                body: Body::Options("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions".to_owned()),
                ..self.operation("delete", "deletecollection", "deleteCollection{}")
            });
        }
        vec![
            self.endpoint(self.path(""), false, operations),
            self.endpoint(format!("/{}/{}", self.place, self.plural), false, everywhere),
        ]
    }

    /// One object.
    fn object(&self, resource: &Value) -> Option<Endpoint> {
        let own = self.definition(&self.kind);
        let verbs = self.writes(resource, &own, "", &self.kind.2);
        let mut operations = verbs;
        if has(resource, "delete") {
            operations.push(Operation {
                description: format!("Delete a {}.", self.kind.2),
                query: DELETING.to_vec(),
                answer: Answer::ObjectOrStatus(own),
                body: Body::Options("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions".to_owned()),
                codes: &["200", "202"],
                ..self.operation("delete", "delete", "delete{}")
            });
        }
        if has(resource, "create") && !has(resource, "patch") {
            operations.push(self.refused_patch());
        }
        Some(self.endpoint(self.path("/{name}"), true, operations))
    }

    /// The PATCH of a kind that is only created. Clients look for `fieldValidation` at this method and no other to learn
    /// whether the server checks fields, and ask for custom resources where they find none (platform 1.4).
    fn refused_patch(&self) -> Operation {
        Operation {
            description: format!("A {} cannot be changed.", self.kind.2),
            query: WRITING.to_vec(),
            body: Body::Patch,
            codes: &["405"],
            ..self.operation("patch", "patch", "patch{}")
        }
    }

    /// GET, PUT and PATCH of an object or of a part of it.
    fn writes(&self, resource: &Value, own: &str, part: &str, called: &str) -> Vec<Operation> {
        let mut operations = Vec::new();
        if has(resource, "get") {
            operations.push(Operation {
                description: format!("Read a {called}."),
                answer: Answer::Document(own.to_owned()),
                ..self.operation("get", "get", &format!("read{{}}{part}"))
            });
        }
        if has(resource, "update") {
            operations.push(Operation {
                description: format!("Replace a {called}."),
                query: WRITING.to_vec(),
                body: Body::Document(own.to_owned()),
                answer: Answer::Document(own.to_owned()),
                codes: &["200", "201"],
                ..self.operation("put", "put", &format!("replace{{}}{part}"))
            });
        }
        if has(resource, "patch") {
            let mut query = WRITING.to_vec();
            query.push(FORCE);
            operations.push(Operation {
                description: format!("Change some fields of a {called}."),
                query,
                body: Body::Patch,
                answer: Answer::Document(own.to_owned()),
                codes: &["200", "201"],
                ..self.operation("patch", "patch", &format!("patch{{}}{part}"))
            });
        }
        operations
    }

    fn subresource(&self, sub: &Value) -> Option<Endpoint> {
        let name = text(sub, "subresource");
        let part = capitalised(name);
        let path = self.path(&format!("/{{name}}/{name}"));
        let kind = kind_of(sub);
        let mut operations = match name {
            "log" => vec![Operation {
                description: "Read the log.".to_owned(),
                query: LOG.to_vec(),
                answer: Answer::Text,
                ..self.operation("get", "get", "read{}Log")
            }],
            "attach" | "exec" | "portforward" | "proxy" => return None,
            _ if has(sub, "create") => {
                let qualified = self.qualified(&format!("/{name}"));
                let call = CALLS.iter().find(|(call, ..)| *call == qualified);
                let sent = self.definition(&kind);
                vec![Operation {
                    description: format!("Call {name} with a {}.", kind.2),
                    query: WRITING.to_vec(),
                    answer: Answer::Document(
                        call.map_or_else(|| sent.clone(), |(_, _, answer)| self.named(answer)),
                    ),
                    body: Body::Document(
                        call.map_or(sent, |(_, sent, _)| self.definition_of_call(sent, &kind)),
                    ),
                    codes: &["200", "201", "202"],
                    ..self.operation("post", "post", &format!("create{{}}{part}"))
                }]
            }
            _ => Vec::new(),
        };
        if operations.is_empty() {
            let own = self.definition(&kind);
            operations = self.writes(sub, &own, &part, &format!("{name} of a {}", self.kind.2));
        }
        for operation in &mut operations {
            operation.kind.clone_from(&kind);
        }
        Some(self.endpoint(path, true, operations))
    }

    fn definition_of_call(&self, sent: &str, kind: &(String, String, String)) -> String {
        if sent == kind.2 { self.definition(kind) } else { self.named(sent) }
    }

    /// The resource (aliases as what they stand for) and its part, with the group.
    fn qualified(&self, part: &str) -> String {
        let plural = self.plural.strip_prefix("legacy").unwrap_or(self.plural);
        let own = format!("{plural}{part}");
        if !self.group.is_empty() {
            return format!("{own}.{}", self.group);
        }
        let start = format!("{own}.");
        let alias = CALLS.iter().find(|(call, ..)| plural != self.plural && call.starts_with(&start));
        alias.map_or(own, |(call, ..)| (*call).to_owned())
    }
}

fn has(resource: &Value, verb: &str) -> bool {
    resource["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|known| known == verb))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn kind_of(resource: &Value) -> (String, String, String) {
    let part = |field: &str| resource["responseKind"][field].as_str().unwrap_or_default().to_owned();
    (part("group"), part("version"), part("kind"))
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
