//! What the server knows of one kind: its names, its verbs, and the code behind it.
//!
//! Owns the description ([`Kind`]) and its builder, which is how a file of `kinds/` says what is special. Discovery,
//! OpenAPI, tables and the verbs read it; none of them names a kind. The list of kinds is `kinds.rs`.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use pierhead_api::Object;
use pierhead_api::field::FieldErrors;
use pierhead_api::patch::PatchSchema;
use pierhead_auth::{Auth, Subject};
use serde_json::Value;

use crate::admission::Admit;
use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::storage::Storage;
use crate::strategy::{Hooks, Strategy, Typed};

/// What can be done with a resource; the names RBAC rules use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Verb {
    /// POST
    Create,
    /// DELETE of one
    Delete,
    /// DELETE of a collection
    DeleteCollection,
    /// GET of one
    Get,
    /// GET of a collection
    List,
    /// PATCH
    Patch,
    /// PUT
    Update,
    /// GET with `watch=true`
    Watch,
}

impl Verb {
    /// All of them, sorted as discovery shows them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Create,
        Self::Delete,
        Self::DeleteCollection,
        Self::Get,
        Self::List,
        Self::Patch,
        Self::Update,
        Self::Watch,
    ];

    /// The name in rules and discovery.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A group, version and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GroupVersionKind {
    /// Group; empty for the core group.
    pub(crate) group: &'static str,
    /// Version.
    pub(crate) version: &'static str,
    /// Kind.
    pub(crate) kind: &'static str,
}

impl GroupVersionKind {
    /// `group/version`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// Something below an object: `status`, `scale`, `token`.
pub(crate) struct Subresource {
    /// The last segment of the path.
    pub(crate) name: &'static str,
    /// The kind of the body.
    pub(crate) kind: GroupVersionKind,
    /// What can be done with it.
    pub(crate) verbs: &'static [Verb],
    /// The code.
    pub(crate) behaviour: SubBehaviour,
}

/// How a subresource works.
pub(crate) enum SubBehaviour {
    /// It replaces the status of the object.
    Status,
    /// It replaces the finalizers of a namespace.
    Finalize,
    /// It shows and changes a part of the object as another kind, as `scale` does.
    Facet(Arc<dyn Facet>),
    /// It does something of its own.
    Connect(Arc<dyn Connect>),
}

/// A part of an object that is read and written as another kind.
pub(crate) trait Facet: Send + Sync + 'static {
    /// The part, as a document of the facet's kind.
    fn show(&self, object: &Value) -> Value;
    /// Writes the facet `changed` back into `object`; says what is wrong with it.
    fn write(&self, object: &mut Value, changed: &Value) -> FieldErrors;
}

/// A resource or subresource that is not a stored object: reviews, requests, tokens.
pub(crate) trait Connect: Send + Sync + 'static {
    /// Answers one authorized call. `body` is the document of a POST, PUT or PATCH.
    fn call<'a>(&'a self, call: &'a Call, body: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>>;
}

/// A second form of stored objects: projects over namespaces, OpenShift's role bindings over RBAC's.
pub(crate) trait View: Send + Sync + 'static {
    /// From the stored form to this one.
    fn shown(&self, stored: Value) -> Value;
    /// From this form to the stored one.
    fn stored(&self, shown: Value) -> Value;
}

/// Decides which objects of a list a subject sees (`name` is the object's).
pub(crate) type Visible = fn(auth: &Auth, subject: &Arc<Subject>, name: &str) -> bool;

/// The name under which an object is stored that clients may also name otherwise; `None` for no such name.
pub(crate) type StoredName = fn(name: &str) -> Option<String>;

/// Puts into `document`, which has the status as stored, what a client may change of it by writing the object; `sent` is
/// the status the client wrote.
pub(crate) type TakesStatus = fn(document: &mut Value, sent: &Value);

/// How many seconds an object that is to be deleted gets to end; 0: none. `asked` is what the deletion asks for.
pub(crate) type Grace = fn(object: &Value, asked: Option<i64>) -> i64;

/// Whether an object can be created in the namespace already, or should wait for others to be made; see
/// [`Kind::waits_until`].
pub(crate) type Ready = fn(call: &Call, namespace: &str, object: &Value) -> Result<bool, ApiError>;

/// Answers a GET, or leaves it to the collection.
pub(crate) type AnswersGet = fn(call: &Call) -> Result<Option<Value>, ApiError>;

/// A field that field selectors may name, and where it is: a JSON pointer.
pub(crate) type FieldLabel = (&'static str, &'static str);

/// The code behind a kind.
pub(crate) enum Backing {
    /// Stored objects with the verbs of the collection.
    Stored {
        /// The typed hooks.
        hooks: Arc<dyn Hooks>,
        /// Where objects are kept; `None`: in the table of objects.
        storage: Option<Arc<dyn Storage>>,
        /// The `plural.group` objects are stored under.
        stored_as: String,
        /// How stored objects become those of this kind, when the two differ.
        view: Option<Arc<dyn View>>,
    },
    /// Calls.
    Virtual(Arc<dyn Connect>),
}

/// How a kind of calls is watched: as objects that are stored as another kind.
pub(crate) struct Watched {
    /// The `plural.group` they are stored under.
    pub(crate) stored_as: String,
    /// How they become those of this kind.
    pub(crate) view: Arc<dyn View>,
    /// What tells the caller's own: JSON pointers, and what must be there.
    pub(crate) own: Own,
}

/// What tells a caller's own objects.
pub(crate) type Own = fn(subject: &Subject) -> Vec<(&'static str, String)>;

/// One kind.
pub(crate) struct Kind {
    /// Group, version and kind.
    pub(crate) gvk: GroupVersionKind,
    /// The segment of paths.
    pub(crate) plural: &'static str,
    /// The singular clients may type.
    pub(crate) singular: &'static str,
    /// Whether objects live in namespaces.
    pub(crate) namespaced: bool,
    /// What clients may type instead.
    pub(crate) short_names: &'static [&'static str],
    /// The groups of kinds it belongs to, such as `all`.
    pub(crate) categories: &'static [&'static str],
    /// What can be done with it.
    pub(crate) verbs: Vec<Verb>,
    /// What lies below its objects.
    pub(crate) subresources: Vec<Subresource>,
    /// Whether it is also served under `/oapi/v1`.
    pub(crate) legacy: bool,
    /// Whether it is also announced in `/api/v1`, for manifests that say `apiVersion: v1` (platform 11.48).
    pub(crate) core_alias: bool,
    /// Whether PUT works without a resourceVersion.
    pub(crate) unconditional_update: bool,
    /// Whether `metadata.generation` counts changes of anything but status and metadata.
    pub(crate) has_generation: bool,
    /// Fields of the status whose changes `metadata.generation` counts too, as JSON pointers.
    pub(crate) also_counted: &'static [&'static str],
    /// What of a status a client may set by writing the object.
    pub(crate) takes_status: Option<TakesStatus>,
    /// Whether a DELETE under `/oapi/v1` leaves dependents where it does not say otherwise.
    pub(crate) old_delete_orphans: bool,
    /// Whether `metadata.managedFields` tells who wrote what, besides applies.
    pub(crate) records_writes: bool,
    /// Whether discovery shows it.
    pub(crate) announced: bool,
    /// What field selectors may name besides name and namespace.
    pub(crate) fields: &'static [FieldLabel],
    /// How strategic merge patches treat its lists.
    pub(crate) patch: PatchSchema,
    /// Filters lists and watches by subject.
    pub(crate) visible: Option<Visible>,
    /// Checks that need look-ups, in order.
    pub(crate) admission: Vec<Admit>,
    /// Called with an object whose deletion was asked for: true keeps it until something finishes it.
    pub(crate) holds_deletion: Option<fn(&mut Value) -> bool>,
    /// How long objects get to end; whoever ends them deletes them again, with no grace.
    pub(crate) grace: Option<Grace>,
    /// What a create waits for, a few seconds at most.
    pub(crate) ready: Option<Ready>,
    /// Answers a GET of a name that means something else than an object.
    pub(crate) answers_get: Option<AnswersGet>,
    /// Turns the name of a DELETE that finds nothing into the one the object is stored under.
    pub(crate) deleted_as: Option<StoredName>,
    /// How it is watched, where its other verbs are calls.
    pub(crate) watched: Option<Watched>,
    /// The code.
    pub(crate) backing: Backing,
}

impl Kind {
    /// A kind of stored objects with all verbs.
    pub(crate) fn stored<S: Strategy>(strategy: S) -> Self {
        let stored_as = S::Object::qualified_resource();
        let backing =
            Backing::Stored { hooks: Arc::new(Typed(strategy)), storage: None, stored_as, view: None };
        Self::describe::<S::Object>(backing, Verb::ALL.to_vec())
    }

    /// A kind whose verbs are calls.
    pub(crate) fn calls<O: Object>(verbs: &[Verb], connect: impl Connect) -> Self {
        Self::describe::<O>(Backing::Virtual(Arc::new(connect)), verbs.to_vec())
    }

    fn describe<O: Object>(backing: Backing, verbs: Vec<Verb>) -> Self {
        Self {
            gvk: GroupVersionKind { group: O::GROUP, version: O::VERSION, kind: O::KIND },
            plural: O::PLURAL,
            singular: O::SINGULAR,
            namespaced: O::NAMESPACED,
            short_names: O::SHORT_NAMES,
            categories: O::CATEGORIES,
            verbs,
            subresources: Vec::new(),
            legacy: false,
            core_alias: false,
            unconditional_update: false,
            has_generation: false,
            also_counted: &[],
            takes_status: None,
            old_delete_orphans: false,
            records_writes: true,
            announced: true,
            fields: &[],
            patch: PatchSchema::of(O::GROUP, O::KIND),
            visible: None,
            admission: Vec::new(),
            holds_deletion: None,
            grace: None,
            ready: None,
            answers_get: None,
            deleted_as: None,
            watched: None,
            backing,
        }
    }

    /// Watched as the objects that are stored as `O`, those of the caller.
    pub(crate) fn watched_in<O: Object>(mut self, view: impl View, own: Own) -> Self {
        self.watched = Some(Watched { stored_as: O::qualified_resource(), view: Arc::new(view), own });
        self.verbs.push(Verb::Watch);
        self
    }

    /// Only these verbs.
    pub(crate) fn verbs(mut self, verbs: &[Verb]) -> Self {
        self.verbs = verbs.to_vec();
        self
    }

    /// Also under `/oapi/v1`, and announced in `/api/v1` without short names: for OpenShift's kinds.
    pub(crate) fn openshift(mut self) -> Self {
        self.legacy = true;
        self.core_alias = true;
        self
    }

    /// Also under `/oapi/v1`, but not announced in `/api/v1`.
    pub(crate) fn legacy(mut self) -> Self {
        self.legacy = true;
        self
    }

    /// PUT works without a resourceVersion: for kube's kinds.
    pub(crate) fn unconditional_update(mut self) -> Self {
        self.unconditional_update = true;
        self
    }

    /// `metadata.generation` counts changes of the spec.
    pub(crate) fn generation(mut self) -> Self {
        self.has_generation = true;
        self
    }

    /// `metadata.generation` counts changes of this field of the status too, given as a JSON pointer.
    pub(crate) fn also_counts(mut self, fields: &'static [&'static str]) -> Self {
        self.also_counted = fields;
        self
    }

    /// Writing the object may change some of its status.
    pub(crate) fn takes_status(mut self, takes: TakesStatus) -> Self {
        self.takes_status = Some(takes);
        self
    }

    /// A DELETE under `/oapi/v1` leaves dependents where it does not say otherwise.
    pub(crate) fn old_delete_orphans(mut self) -> Self {
        self.old_delete_orphans = true;
        self
    }

    /// Served, but not announced: its clients know the path, and its kind is another resource's.
    pub(crate) fn unannounced(mut self) -> Self {
        self.announced = false;
        self
    }

    /// Ordinary writes are not recorded: there are many of them, and nobody applies such objects.
    pub(crate) fn unrecorded(mut self) -> Self {
        self.records_writes = false;
        self
    }

    /// Field selectors may name these.
    pub(crate) fn fields(mut self, fields: &'static [FieldLabel]) -> Self {
        self.fields = fields;
        self
    }

    /// Lists and watches show only what `visible` says.
    pub(crate) fn visible(mut self, visible: Visible) -> Self {
        self.visible = Some(visible);
        self
    }

    /// Adds a check that needs look-ups.
    pub(crate) fn admit(mut self, admit: Admit) -> Self {
        self.admission.push(admit);
        self
    }

    /// Objects to be deleted stay until something finishes them.
    pub(crate) fn holds_deletion(mut self, holds: fn(&mut Value) -> bool) -> Self {
        self.holds_deletion = Some(holds);
        self
    }

    /// Objects to be deleted are marked and get the time that `grace` says to end.
    pub(crate) fn graceful(mut self, grace: Grace) -> Self {
        self.grace = Some(grace);
        self
    }

    /// A create waits until `ready`, a few seconds at most: what is not there then is for admission to refuse.
    pub(crate) fn waits_until(mut self, ready: Ready) -> Self {
        self.ready = Some(ready);
        self
    }

    /// `answer` comes first at GET, for names that mean something else than an object.
    pub(crate) fn answers_get(mut self, answer: AnswersGet) -> Self {
        self.answers_get = Some(answer);
        self
    }

    /// A DELETE may also name the object by what `stored_name` turns into its name.
    pub(crate) fn deleted_as(mut self, stored_name: StoredName) -> Self {
        self.deleted_as = Some(stored_name);
        self
    }

    /// The status is written on its own path, and cannot be set by creating or updating the object.
    pub(crate) fn status(self) -> Self {
        let kind = self.gvk;
        self.subresource(Subresource {
            name: "status",
            kind,
            verbs: &[Verb::Get, Verb::Patch, Verb::Update],
            behaviour: SubBehaviour::Status,
        })
    }

    /// Adds something below objects.
    pub(crate) fn subresource(mut self, subresource: Subresource) -> Self {
        self.subresources.push(subresource);
        self
    }

    /// Objects are kept elsewhere.
    pub(crate) fn kept_in(mut self, elsewhere: impl Storage) -> Self {
        if let Backing::Stored { storage, .. } = &mut self.backing {
            *storage = Some(Arc::new(elsewhere));
        }
        self
    }

    /// Objects are stored as those of another kind.
    pub(crate) fn view_of<O: Object>(mut self, of: impl View) -> Self {
        if let Backing::Stored { stored_as, view, .. } = &mut self.backing {
            *stored_as = O::qualified_resource();
            *view = Some(Arc::new(of));
        }
        self
    }

    /// Whether there is a status subresource.
    pub(crate) fn has_status(&self) -> bool {
        self.subresources.iter().any(|sub| matches!(sub.behaviour, SubBehaviour::Status))
    }

    /// `group/version`.
    pub(crate) fn api_version(&self) -> String {
        self.gvk.api_version()
    }

    /// `plural.group`.
    pub(crate) fn qualified(&self) -> String {
        if self.gvk.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.gvk.group)
        }
    }
}
