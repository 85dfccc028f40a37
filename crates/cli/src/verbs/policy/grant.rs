//! Adding subjects to role bindings and taking them away.

use anyhow::bail;
use bytes::Bytes;
use clap::Args;
use http::Method;
use pierhead_client::{ApiRequest, Client, ClientError};
use serde_json::{Value, json};

use crate::{
    discovery::{ApiKind, Discovery},
    dry_run::{DryRun, DryRunArgs},
    environment::ExitStatus,
    error::{self, Silent},
    globals::Era,
    object,
    print::output::{OutputArgs, print_done},
    session::Session,
    verbs::{
        create::{post, put},
        get,
    },
};

const GROUP: &str = "rbac.authorization.k8s.io";

#[derive(Args, Clone, Debug)]
pub(crate) struct GrantArgs {
    /// Role
    role: String,
    /// Users or groups; service accounts as system:serviceaccount:PROJECT:NAME
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Service account of the project
    #[arg(short = 'z', long = "serviceaccount", value_name = "NAME")]
    service_accounts: Vec<String>,
    /// Project that the role itself lives in; without it the role is a cluster role
    #[arg(long, value_name = "PROJECT")]
    role_namespace: Option<String>,
    /// Name of the binding to change or make
    #[arg(long, value_name = "NAME")]
    rolebinding_name: Option<String>,
    #[command(flatten)]
    dry: DryRunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl GrantArgs {
    /// The same for the role that release 4 has for a security context constraint.
    pub(super) fn of_constraint(mut self) -> Self {
        self.role = format!("system:openshift:scc:{}", self.role);
        self
    }
}

#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    /// Users or groups
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    dry: DryRunArgs,
}

/// What bare names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubjectKind {
    User,
    Group,
}

/// Where the role applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Project,
    Cluster,
}

/// Everything the calls need.
struct Ground {
    client: Client,
    kind: ApiKind,
    namespace: String,
    role_ref: Value,
}

impl Ground {
    fn open(
        client: Client,
        discovery: &Discovery,
        args: &GrantArgs,
        scope: Scope,
        namespace: String,
    ) -> anyhow::Result<Self> {
        let plural = if scope == Scope::Cluster { "clusterrolebindings" } else { "rolebindings" };
        let role_kind = match &args.role_namespace {
            Some(role_namespace) if scope == Scope::Project => {
                if *role_namespace != namespace {
                    bail!(
                        "role binding in namespace {namespace:?} can't reference role in different namespace {role_namespace:?}"
                    );
                }
                "Role"
            }
            _ => "ClusterRole",
        };
        let role_ref = json!({"apiGroup": GROUP, "kind": role_kind, "name": args.role});
        Ok(Self { client, kind: discovery.known(GROUP, plural)?.clone(), namespace, role_ref })
    }

    async fn bindings(&self) -> anyhow::Result<Vec<Value>> {
        Ok(get::read_all(&self.client, &self.kind, self.kind.scope(&self.namespace), &[]).await?)
    }

    /// Makes or changes a binding, as far as that is not only tried.
    async fn store(
        &self,
        binding: Value,
        existing: Option<&Value>,
        args: &GrantArgs,
    ) -> Result<Value, ClientError> {
        let (scope, query) = (self.kind.scope(&self.namespace), args.dry.dry_run.query());
        match (args.dry.dry_run, existing) {
            (DryRun::Client, _) => Ok(binding),
            (_, Some(_)) => put(&self.client, &self.kind, scope, &binding, query).await,
            (_, None) => post(&self.client, &self.kind, scope, &binding, query).await,
        }
    }

    fn is_for_role(&self, binding: &Value) -> bool {
        ["kind", "name"].iter().all(|field| {
            object::text(binding, &format!("roleRef.{field}")) == object::text(&self.role_ref, field)
        })
    }

    fn role_name(&self) -> String {
        let kind = object::text(&self.role_ref, "kind").to_lowercase();
        format!("{kind}.{GROUP}/{}", object::text(&self.role_ref, "name"))
    }
}

/// The subjects that the words name.
fn subjects(args: &GrantArgs, kind: SubjectKind, namespace: &str) -> anyhow::Result<Vec<Value>> {
    let mut subjects: Vec<Value> = args.names.iter().map(|name| subject(kind, name)).collect();
    for account in &args.service_accounts {
        if account.contains(':') {
            bail!("invalid serviceaccount name: {account:?}: -z takes the short name, in the project of -n");
        }
        subjects.push(json!({"kind": "ServiceAccount", "namespace": namespace, "name": account}));
    }
    if subjects.is_empty() {
        match kind {
            SubjectKind::User => bail!("you must specify at least one user or service account"),
            SubjectKind::Group => bail!("you must specify at least one group"),
        }
    }
    Ok(subjects)
}

fn subject(kind: SubjectKind, name: &str) -> Value {
    let account = name.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'));
    match (kind, account) {
        (SubjectKind::User, Some((namespace, account))) => {
            json!({"kind": "ServiceAccount", "namespace": namespace, "name": account})
        }
        (SubjectKind::User, None) => json!({"apiGroup": GROUP, "kind": "User", "name": name}),
        (SubjectKind::Group, _) => json!({"apiGroup": GROUP, "kind": "Group", "name": name}),
    }
}

fn is_same(a: &Value, b: &Value) -> bool {
    ["kind", "name", "namespace"].iter().all(|field| object::text(a, field) == object::text(b, field))
}

fn quoted(subjects: &[Value]) -> String {
    let names: Vec<String> = subjects
        .iter()
        .map(|subject| {
            let name = object::text(subject, "name");
            match object::text(subject, "namespace") {
                "" => format!("{name:?}"),
                namespace => format!("\"system:serviceaccount:{namespace}:{name}\""),
            }
        })
        .collect();
    names.join(" ")
}

pub(super) async fn add(
    args: GrantArgs,
    kind: SubjectKind,
    scope: Scope,
    session: &mut Session,
) -> anyhow::Result<ExitStatus> {
    let namespace = session.namespace()?;
    let wanted = subjects(&args, kind, &namespace)?;
    let discovery = session.discovery().await?;
    let ground = Ground::open(session.client()?, &discovery, &args, scope, namespace)?;
    warn_about_missing(&ground, &discovery, &wanted, session).await?;
    let bindings = ground.bindings().await?;
    let named = args.rolebinding_name.as_deref();
    let is_candidate = |binding: &&Value| {
        ground.is_for_role(binding) && named.is_none_or(|name| object::name(binding) == name)
    };
    let missing: Vec<Value> = wanted
        .iter()
        .filter(|subject| {
            let mut bound =
                bindings.iter().filter(is_candidate).flat_map(|binding| object::list(binding, "subjects"));
            !bound.any(|known| is_same(known, subject))
        })
        .cloned()
        .collect();
    let mut stored = None;
    if !missing.is_empty() {
        let existing = named.and_then(|name| bindings.iter().find(|binding| object::name(binding) == name));
        if let Some(existing) = existing {
            if !ground.is_for_role(existing) {
                bail!(
                    "role binding found for role {:?}, not {:?}",
                    object::text(existing, "roleRef.name"),
                    args.role
                );
            }
            let mut changed = existing.clone();
            let mut all = object::list(existing, "subjects").to_vec();
            all.extend(missing);
            changed["subjects"] = Value::Array(all);
            stored = Some(ground.store(changed, Some(existing), &args).await?);
        } else {
            let name = named.map_or_else(|| free_name(&args.role, &bindings), str::to_owned);
            let binding = json!({
                "apiVersion": ground.kind.api_version(),
                "kind": ground.kind.kind,
                "metadata": {"name": name},
                "subjects": missing,
                "roleRef": ground.role_ref,
            });
            let made = ground.store(binding, None, &args).await;
            if let Err(refusal) = &made
                && refusal.is_forbidden()
                && args.role == "system:image-builder"
            {
                // In 2016 only cluster administrators hold all of this role; the guide tells what to do instead.
                session.remark(&error::render_client(refusal))?;
                session.remark(
                    "hint: a cluster administrator may give this role; role edit lets push and pull as well",
                )?;
                return Err(Silent(ExitStatus::FAILURE).into());
            }
            stored = Some(made?);
        }
    }
    if let (Some(stored), true) = (stored, args.output.output.is_some()) {
        print_done(session, &args.output, &ground.kind, &stored, "")?;
    } else if session.era() != Era::V3_2 || args.dry.dry_run != DryRun::None {
        let done = args.dry.dry_run.done("added");
        session.say(&format!("{} {done}: {}", ground.role_name(), quoted(&wanted)))?;
    }
    Ok(ExitStatus::SUCCESS)
}

/// `edit`, `edit-0`, `edit-1`, …: the first that no binding has.
fn free_name(role: &str, bindings: &[Value]) -> String {
    let taken = |name: &str| bindings.iter().any(|binding| object::name(binding) == name);
    if !taken(role) {
        return role.to_owned();
    }
    let mut number = 0_usize;
    loop {
        let name = format!("{role}-{number}");
        if !taken(&name) {
            return name;
        }
        number += 1;
    }
}

/// Says what the grant refers to and does not exist (yet). Not being allowed to look is no reason to speak.
async fn warn_about_missing(
    ground: &Ground,
    discovery: &Discovery,
    subjects: &[Value],
    session: &mut Session,
) -> anyhow::Result<()> {
    let mut checks = Vec::new();
    let role_name = object::text(&ground.role_ref, "name");
    let roles = if object::text(&ground.role_ref, "kind") == "Role" { "roles" } else { "clusterroles" };
    checks.push((discovery.known(GROUP, roles).ok(), "role", role_name, ground.namespace.as_str()));
    for subject in subjects {
        let name = object::text(subject, "name");
        match object::text(subject, "kind") {
            "ServiceAccount" => {
                let accounts = discovery.known("", "serviceaccounts").ok();
                checks.push((accounts, "ServiceAccount", name, object::text(subject, "namespace")));
            }
            "User" if !name.starts_with("system:") => {
                checks.push((discovery.known("user.openshift.io", "users").ok(), "User", name, ""));
            }
            "Group" if !name.starts_with("system:") => {
                checks.push((discovery.known("user.openshift.io", "groups").ok(), "Group", name, ""));
            }
            _ => {}
        }
    }
    for (kind, word, name, namespace) in checks {
        let Some(kind) = kind else { continue };
        if let Err(error) = get::read(&ground.client, kind, namespace, name).await
            && error.is_not_found()
        {
            session.remark(&format!("Warning: {word} '{name}' not found"))?;
        }
    }
    Ok(())
}

pub(super) async fn remove(
    args: GrantArgs,
    kind: SubjectKind,
    scope: Scope,
    session: &mut Session,
) -> anyhow::Result<ExitStatus> {
    let namespace = session.namespace()?;
    let unwanted = subjects(&args, kind, &namespace)?;
    let discovery = session.discovery().await?;
    let ground = Ground::open(session.client()?, &discovery, &args, scope, namespace)?;
    let bindings = ground.bindings().await?;
    let candidates: Vec<&Value> = bindings
        .iter()
        .filter(|binding| ground.is_for_role(binding))
        .filter(|binding| args.rolebinding_name.as_deref().is_none_or(|name| object::name(binding) == name))
        .collect();
    if candidates.is_empty() {
        bail!(
            "unable to locate any {} for {} {:?}",
            ground.kind.kind,
            object::text(&ground.role_ref, "kind"),
            args.role
        );
    }
    let mut found = false;
    for binding in candidates {
        found |= take_from(&ground, binding, &unwanted, args.dry.dry_run).await?;
    }
    if !found {
        bail!("unable to find target [{}]", quoted(&unwanted).replace('"', ""));
    }
    if session.era() != Era::V3_2 || args.dry.dry_run != DryRun::None {
        let done = args.dry.dry_run.done("removed");
        session.say(&format!("{} {done}: {}", ground.role_name(), quoted(&unwanted)))?;
    }
    Ok(ExitStatus::SUCCESS)
}

/// Takes subjects out of a binding; a binding without subjects goes. Says whether any was in it.
async fn take_from(
    ground: &Ground,
    binding: &Value,
    unwanted: &[Value],
    dry_run: DryRun,
) -> anyhow::Result<bool> {
    let before = object::list(binding, "subjects");
    let rest: Vec<Value> =
        before.iter().filter(|known| !unwanted.iter().any(|gone| is_same(known, gone))).cloned().collect();
    if rest.len() == before.len() {
        return Ok(false);
    }
    let scope = ground.kind.scope(&ground.namespace);
    let query = dry_run.query();
    if dry_run == DryRun::Client {
        return Ok(true);
    }
    if rest.is_empty() {
        let path = ground.kind.resource().item(scope, object::name(binding), None);
        let path = format!("{path}?{query}");
        let request = ApiRequest::new(Method::DELETE, path.trim_end_matches('?'), Bytes::new());
        ground.client.send(request).await?;
    } else {
        let mut changed = binding.clone();
        changed["subjects"] = Value::Array(rest);
        put(&ground.client, &ground.kind, scope, &changed, query).await?;
    }
    Ok(true)
}

pub(super) async fn remove_all(
    args: RemoveArgs,
    kind: SubjectKind,
    session: &mut Session,
) -> anyhow::Result<ExitStatus> {
    let namespace = session.namespace()?;
    let unwanted: Vec<Value> = args.names.iter().map(|name| subject(kind, name)).collect();
    let discovery = session.discovery().await?;
    let ground = Ground {
        client: session.client()?,
        kind: discovery.known(GROUP, "rolebindings")?.clone(),
        namespace: namespace.clone(),
        role_ref: Value::Null,
    };
    let plural = if kind == SubjectKind::User { "users" } else { "groups" };
    let names = args.names.join(" ");
    let mut found = false;
    for binding in ground.bindings().await? {
        if take_from(&ground, &binding, &unwanted, args.dry.dry_run).await? {
            found = true;
            let role = object::text(&binding, "roleRef.name");
            session.say(&format!("Removing {role} from {plural} [{names}] in project {namespace}."))?;
        }
    }
    if !found {
        let plural = if kind == SubjectKind::User { "Users" } else { "Groups" };
        session.say(&format!("{plural} [{names}] were not bound to roles in project {namespace}."))?;
    }
    Ok(ExitStatus::SUCCESS)
}
