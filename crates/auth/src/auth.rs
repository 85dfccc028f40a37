//! The one place that says who somebody is and what they may do.
//!
//! Owns the caches and the order of checks. Identities come from `identity`, policy from `index`; every answer is
//! computed after catching up with the store, so what was revoked before the question no longer counts.

use std::sync::Arc;

use jiff::Timestamp;
use pierhead_api::rbac::PolicyRule;
use pierhead_runtime::SharedClock;
use pierhead_store::{Store, StoreError};

use crate::attempts::Attempts;
use crate::attributes::Asked;
use crate::cache::Cache;
use crate::config::Config;
use crate::credentials::{Credentials, InvalidCredentials, Unauthenticated};
use crate::decisions::{Decided, Decisions};
use crate::denied::{Decision, Denied, EscalationDenied, GrantDenied};
use crate::federation::Issuers;
use crate::identity::{self, Identified, MAX_TOKEN_BYTES, OAUTH_PREFIX};
use crate::index::Index;
use crate::oauth::{SessionKey, Use, Uses};
use crate::password::Passwords;
use crate::permit::{Api, Catalog, CreateStream, Delete, Permit, Pull, Push};
use crate::rbac::policy::RoleName;
use crate::rbac::{cover, everything};
use crate::service_account::{Expected, TokenSigner, Verified, sha256};
use crate::stored::NamespacePhase;
use crate::subject::{AUTHENTICATED, MASTERS};
use crate::{Attributes, Subject, scope};

/// Verified tokens and decisions kept at a time.
const CACHE_SLOTS: usize = 16 * 1024;
/// The bearer token by which registry clients say that they have none (images 6.2).
const ANONYMOUS_TOKEN: &str = "anonymous";

/// Authentication and authorization over one store. Cheap to clone; all clones share caches.
#[derive(Clone)]
pub struct Auth {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) config: Config,
    pub(crate) clock: SharedClock,
    pub(crate) index: Index,
    pub(crate) passwords: Passwords,
    pub(crate) attempts: Attempts,
    pub(crate) uses: Uses,
    session_key: SessionKey,
    pub(crate) clients_ensured: tokio::sync::OnceCell<()>,
    pub(crate) issuers: Issuers,
    anonymous: Arc<Subject>,
    tokens: Cache<[u8; 32], CachedIdentity>,
    decisions: Decisions,
}

#[derive(Clone)]
struct CachedIdentity {
    subject: Arc<Subject>,
    expires_at: Option<Timestamp>,
    /// For a token that ends when nobody uses it.
    idle: Option<Arc<Use>>,
}

impl Auth {
    /// Reads roles, bindings, namespaces, groups and the counts of wrong passwords into memory. The store was opened
    /// with [`crate::tables`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open(store: Store, config: Config, clock: SharedClock) -> Result<Self, StoreError> {
        let index = Index::open(store.clone())?;
        let passwords = Passwords::new();
        let attempts = store.read(|tx| Attempts::open(tx, clock.now()))?;
        let issuers = Issuers::new(config.fetch.clone());
        let inner = Inner {
            store,
            config,
            clock,
            index,
            passwords,
            attempts,
            uses: Uses::default(),
            session_key: SessionKey::random(),
            clients_ensured: tokio::sync::OnceCell::new(),
            issuers,
            anonymous: Subject::anonymous(),
            tokens: Cache::new(CACHE_SLOTS),
            decisions: Decisions::new(CACHE_SLOTS),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The key that signs service account tokens.
    pub fn signer(&self) -> &TokenSigner {
        &self.inner.config.signer
    }

    /// The key of login sessions, made anew at every start.
    pub fn session_key(&self) -> &SessionKey {
        &self.inner.session_key
    }

    /// The settings it was opened with.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Who presents these credentials. [`Credentials::Basic`] means a token as the password, as at the registry.
    ///
    /// # Errors
    /// Whenever credentials were presented and are not valid: such a caller is refused, not anonymous.
    pub fn authenticate(&self, credentials: Credentials<'_>) -> Result<Arc<Subject>, Unauthenticated> {
        match credentials {
            Credentials::None | Credentials::Bearer(ANONYMOUS_TOKEN) => Ok(Arc::clone(&self.inner.anonymous)),
            Credentials::Bearer(token) => self.bearer(token),
            Credentials::Basic { password, .. } => self.bearer(password),
            Credentials::ClientCertificate { common_name, organizations } => {
                certificate(common_name, organizations)
            }
        }
    }

    fn bearer(&self, token: &str) -> Result<Arc<Subject>, Unauthenticated> {
        if token.is_empty() {
            return Err(InvalidCredentials::Blank.into());
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(InvalidCredentials::TooLong(token.len()).into());
        }
        let Inner { index, tokens, clock, config, .. } = &*self.inner;
        index.catch_up()?;
        // Both only ever grow, so their sum moves on with either.
        let generation = index.identity_generation().wrapping_add(config.signer.generation());
        let key = sha256(token.as_bytes());
        let hash = tokens.hash(key);
        if let Some(found) = tokens.get(hash, generation, |of, _| *of == key)
            && found.expires_at.is_none_or(|end| clock.now() < end)
            && found.idle.as_ref().is_none_or(|of| of.admits(clock.now()))
        {
            return Ok(found.subject);
        }
        let (Identified { subject, expires_at }, idle) = self.identify(token)?;
        if idle.as_ref().is_some_and(|of| !of.admits(clock.now())) {
            return Err(InvalidCredentials::Time.into());
        }
        let subject = Arc::new(subject);
        tokens.put(hash, generation, key, CachedIdentity { subject: Arc::clone(&subject), expires_at, idle });
        Ok(subject)
    }

    fn identify(&self, token: &str) -> Result<(Identified, Option<Arc<Use>>), Unauthenticated> {
        let Inner { store, index, clock, config, uses, .. } = &*self.inner;
        let now = clock.now();
        if token.starts_with(OAUTH_PREFIX) {
            let view = index.view();
            let at = (now, config.access_token_idle);
            let (identified, terms) = store.read(|tx| identity::of_access_token(tx, &view, token, at))?;
            return Ok((identified, terms.map(|terms| uses.of(terms))));
        }
        let expected = Expected { issuer: &config.token_issuer, audiences: &config.token_audiences, now };
        let identified = match config.signer.verify(token, &expected)? {
            Verified::Legacy(claims) => store.read(|tx| identity::of_legacy_token(tx, token, &claims)),
            Verified::Bound(claims) => store.read(|tx| identity::of_bound_token(tx, &claims)),
        };
        Ok((identified?, None))
    }

    /// Whose token this is, for somebody whose audiences these are: the subject, and the audiences that the token is
    /// for as well. Tokens that name no audience are for this server.
    ///
    /// # Errors
    /// As [`Auth::authenticate`]; also for a token that is for none of the audiences.
    pub fn review(
        &self,
        token: &str,
        audiences: &[String],
    ) -> Result<(Arc<Subject>, Vec<String>), Unauthenticated> {
        let Inner { store, clock, config, .. } = &*self.inner;
        let common = |of: &[String]| -> Vec<String> {
            audiences.iter().filter(|audience| of.contains(audience)).cloned().collect()
        };
        let bound = (!token.starts_with(OAUTH_PREFIX)
            && token.len() <= MAX_TOKEN_BYTES
            && !audiences.is_empty())
        .then(|| {
            config
                .signer
                .verify(token, &Expected { issuer: &config.token_issuer, audiences, now: clock.now() })
        });
        match bound {
            Some(Ok(Verified::Bound(claims))) => {
                let Identified { subject, .. } = store.read(|tx| identity::of_bound_token(tx, &claims))?;
                return Ok((Arc::new(subject), common(&claims.audiences)));
            }
            // It may be for another audience of ours; for those who ask it is not.
            Some(Err(other @ InvalidCredentials::Jwt("audience"))) => return Err(other.into()),
            Some(Ok(Verified::Legacy(_)) | Err(_)) | None => {}
        }
        let subject = self.authenticate(Credentials::Bearer(token))?;
        let shared = common(&config.token_audiences);
        if !audiences.is_empty() && shared.is_empty() {
            return Err(InvalidCredentials::Jwt("audience").into());
        }
        Ok((subject, shared))
    }

    /// Whether `subject` may do this, as a permit to do it.
    ///
    /// # Errors
    /// [`Denied`], with the sentence for the caller.
    pub fn authorize(&self, subject: &Arc<Subject>, attributes: &Attributes) -> Result<Permit<Api>, Denied> {
        self.require(subject, attributes.asked())
    }

    /// Whether `subject` may do this, and by which binding.
    pub fn allowed(&self, subject: &Arc<Subject>, attributes: &Attributes) -> Decision {
        let Decided { allowed, reason, .. } = self.decide(subject, attributes.asked());
        Decision { allowed, reason: reason.as_ref().to_owned() }
    }

    /// The right to read `namespace/stream`: `get imagestreams/layers` (images 6.3).
    ///
    /// # Errors
    /// [`Denied`]; the same for a namespace that is not there as for one the subject may not see.
    pub fn permit_pull(
        &self,
        subject: &Arc<Subject>,
        namespace: &str,
        stream: &str,
    ) -> Result<Permit<Pull>, Denied> {
        let asked = Asked::image("get", LAYERS, namespace, stream);
        self.require_active(subject, asked)?;
        self.require(subject, asked)
    }

    /// The right to write `namespace/stream`: `get` and `update imagestreams/layers`.
    ///
    /// # Errors
    /// [`Denied`], as for [`Auth::permit_pull`].
    pub fn permit_push(
        &self,
        subject: &Arc<Subject>,
        namespace: &str,
        stream: &str,
    ) -> Result<Permit<Push>, Denied> {
        self.permit_pull(subject, namespace, stream)?;
        self.require(subject, Asked::image("update", LAYERS, namespace, stream))
    }

    /// The right to delete in `namespace/stream`: `delete images` in the cluster, as the pruner has, or
    /// `delete imagestreamtags` in the namespace, as its editors have.
    ///
    /// # Errors
    /// [`Denied`], as for [`Auth::permit_pull`].
    pub fn permit_delete(
        &self,
        subject: &Arc<Subject>,
        namespace: &str,
        stream: &str,
    ) -> Result<Permit<Delete>, Denied> {
        let in_namespace = Asked::image("delete", ("imagestreamtags", ""), namespace, "");
        self.require_active(subject, in_namespace)?;
        let in_cluster = Asked::image("delete", ("images", ""), "", "");
        if !self.decide(subject, in_cluster).allowed {
            self.require::<Delete>(subject, in_namespace)?;
        }
        let attributes = Asked { name: stream, ..in_namespace }.to_owned();
        Ok(Permit::new(Arc::clone(subject), Arc::new(attributes)))
    }

    /// The right to list the repositories of all namespaces.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn permit_catalog(&self, subject: &Arc<Subject>) -> Result<Permit<Catalog>, Denied> {
        self.require(subject, Asked::image("list", ("imagestreams", ""), "", ""))
    }

    /// The right to create image streams in `namespace`, which a push to a new one needs.
    ///
    /// # Errors
    /// [`Denied`], as for [`Auth::permit_pull`].
    pub fn permit_create_stream(
        &self,
        subject: &Arc<Subject>,
        namespace: &str,
    ) -> Result<Permit<CreateStream>, Denied> {
        let asked = Asked::image("create", ("imagestreams", ""), namespace, "");
        self.require_active(subject, asked)?;
        self.require(subject, asked)
    }

    /// The registry's rights exist only in namespaces that exist and are not ending.
    fn require_active(&self, subject: &Arc<Subject>, asked: Asked<'_>) -> Result<(), Denied> {
        let caught_up = self.inner.index.catch_up().is_ok();
        let view = self.inner.index.view();
        let active = view.namespaces.get(asked.namespace) == Some(&NamespacePhase::Active);
        if caught_up && active { Ok(()) } else { Err(self.denied(subject, asked, "")) }
    }

    fn require<A>(&self, subject: &Arc<Subject>, asked: Asked<'_>) -> Result<Permit<A>, Denied> {
        let decision = self.decide(subject, asked);
        if decision.allowed {
            Ok(Permit::new(Arc::clone(subject), decision.asked))
        } else {
            Err(self.denied(subject, asked, &decision.reason))
        }
    }

    pub(crate) fn denied(&self, subject: &Subject, asked: Asked<'_>, reason: &str) -> Denied {
        Denied::new(&subject.username, asked, reason, self.inner.config.texts)
    }

    pub(crate) fn decide(&self, subject: &Arc<Subject>, asked: Asked<'_>) -> Decided {
        let Inner { index, decisions, .. } = &*self.inner;
        if let Err(error) = index.catch_up() {
            tracing::error!(%error, "Roles and bindings cannot be read; everything is denied");
            return Decided::new(asked, false, "roles and bindings cannot be read");
        }
        let generation = index.policy_generation();
        if let Some(found) = decisions.get(generation, subject, &asked) {
            return found;
        }
        let Decision { allowed, reason } = self.evaluate(subject, asked);
        let decided = Decided::new(asked, allowed, &reason);
        decisions.put(generation, subject, &asked, &decided);
        decided
    }

    fn evaluate(&self, subject: &Subject, asked: Asked<'_>) -> Decision {
        let view = self.inner.index.view();
        if let Some(scopes) = subject.scopes() {
            let rules = scope::rules(scopes, asked.namespace, &view.policy);
            if !rules.iter().any(|rule| crate::rbac::allows(rule, &asked)) {
                let reason = format!("scopes [{}] prevent this action", scopes.join(" "));
                return Decision { allowed: false, reason };
            }
        }
        if subject.is_in(MASTERS) {
            return Decision { allowed: true, reason: String::new() };
        }
        view.policy.decide(subject, &asked)
    }

    /// Every rule that applies to `subject` in `namespace` (empty: cluster-wide ones), what its token's scopes
    /// leave of them: for `SelfSubjectRulesReview`.
    pub fn rules_for(&self, subject: &Subject, namespace: &str) -> Vec<PolicyRule> {
        if let Err(error) = self.inner.index.catch_up() {
            tracing::error!(%error, "Roles and bindings cannot be read; nobody has rules");
            return Vec::new();
        }
        let view = self.inner.index.view();
        let held =
            if subject.is_in(MASTERS) { everything() } else { view.policy.rules_of(subject, namespace) };
        match subject.scopes() {
            Some(scopes) => {
                let limit = scope::rules(scopes, namespace, &view.policy);
                if limit == everything() { held } else { cover::intersection(&held, &limit) }
            }
            None => held,
        }
    }

    /// Users (service accounts among them) and groups that may do this: for `ResourceAccessReview`.
    pub fn who_can(&self, attributes: &Attributes) -> (Vec<String>, Vec<String>) {
        if let Err(error) = self.inner.index.catch_up() {
            tracing::error!(%error, "Roles and bindings cannot be read; nobody is listed");
            return (Vec::new(), Vec::new());
        }
        self.inner.index.view().policy.who_can(&attributes.asked())
    }

    /// Whether `subject` holds every one of `rules`, in `namespace` or cluster-wide (platform 5.5).
    ///
    /// # Errors
    /// [`EscalationDenied`] with what is missing.
    pub fn check_escalation(
        &self,
        subject: &Subject,
        namespace: Option<&str>,
        rules: &[PolicyRule],
    ) -> Result<(), EscalationDenied> {
        let held = self.rules_for(subject, namespace.unwrap_or_default());
        let missing = cover::missing(&held, rules);
        if missing.is_empty() {
            return Ok(());
        }
        let Subject { username, groups, .. } = subject;
        let era = self.inner.config.texts;
        Err(EscalationDenied { username: username.clone(), groups: groups.clone(), missing, held, era })
    }

    /// Whether `subject` may write a role with these rules: it holds them, or the verb `escalate` on the role.
    /// For a cluster role with an aggregation rule pass [`everything`].
    ///
    /// # Errors
    /// [`EscalationDenied`] with what is missing.
    pub fn check_role(
        &self,
        subject: &Arc<Subject>,
        namespace: Option<&str>,
        name: &str,
        rules: &[PolicyRule],
    ) -> Result<(), EscalationDenied> {
        let resource = if namespace.is_some() { "roles" } else { "clusterroles" };
        let attributes = Attributes::new("escalate", RBAC_GROUP, resource).name(name);
        if self.decide(subject, attributes.namespace(namespace.unwrap_or_default()).asked()).allowed {
            return Ok(());
        }
        self.check_escalation(subject, namespace, rules)
    }

    /// Whether `subject` may write a binding to `role` in `namespace` (`None`: a cluster role binding): it holds
    /// the role's rules, or the verb `bind` on the role.
    ///
    /// # Errors
    /// [`GrantDenied`]: the role is not there, or holds more than the subject.
    pub fn check_grant(
        &self,
        subject: &Arc<Subject>,
        namespace: Option<&str>,
        role: &RoleName,
    ) -> Result<(), GrantDenied> {
        let place = namespace.unwrap_or_default();
        let (resource, name) = match role {
            RoleName::Cluster(name) => ("clusterroles", name),
            RoleName::Namespaced(name) => ("roles", name),
        };
        let bind = Attributes::new("bind", RBAC_GROUP, resource).namespace(place).name(name);
        if self.decide(subject, bind.asked()).allowed {
            return Ok(());
        }
        let rules = self.inner.index.view().policy.role_rules(role, place).map(<[PolicyRule]>::to_vec);
        let rules = rules.ok_or_else(|| GrantDenied::RoleNotFound { resource, name: name.clone() })?;
        Ok(self.check_escalation(subject, namespace, &rules)?)
    }
}

const LAYERS: (&str, &str) = ("imagestreams", "layers");
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

fn certificate(common_name: &str, organizations: &[String]) -> Result<Arc<Subject>, Unauthenticated> {
    if common_name.is_empty() {
        return Err(InvalidCredentials::Blank.into());
    }
    let mut groups: Vec<String> = Vec::with_capacity(organizations.len() + 1);
    for group in organizations.iter().map(String::as_str).chain([AUTHENTICATED]) {
        if !groups.iter().any(|of| of == group) {
            groups.push(group.to_owned());
        }
    }
    Ok(Arc::new(Subject { username: common_name.to_owned(), groups, ..Subject::default() }))
}
