//! What the words behind a verb are, as far as a server or a file knows them.

/// Where the words for a place come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// `TYPE` or `TYPE/NAME`, then names of that type.
    Objects,
    /// Types alone.
    Kinds,
    /// Names of one kind: group and plural.
    Of(&'static str, &'static str),
    /// Projects, or namespaces where there are none.
    Projects,
    /// Contexts of the kubeconfig.
    Contexts,
    /// Clusters of the kubeconfig.
    Clusters,
    /// Users of the kubeconfig.
    Users,
    /// Verbs of the API.
    Verbs,
    /// Names of files.
    Files,
    /// Nobody knows.
    Nothing,
}

const STREAMS: Source = Source::Of("image.openshift.io", "imagestreams");
const TAGS: Source = Source::Of("image.openshift.io", "imagestreamtags");
const CONFIGS: Source = Source::Of("apps.openshift.io", "deploymentconfigs");
const PODS: Source = Source::Of("", "pods");
const SECRETS: Source = Source::Of("", "secrets");
const ACCOUNTS: Source = Source::Of("", "serviceaccounts");
const ROLES: Source = Source::Of("rbac.authorization.k8s.io", "clusterroles");
const USERS: Source = Source::Of("user.openshift.io", "users");
const GROUPS: Source = Source::Of("user.openshift.io", "groups");
const ROUTES: Source = Source::Of("route.openshift.io", "routes");

/// Each verb with what stands at its places; the last goes on.
const PLACES: &[(&str, &[Source])] = &[
    ("get", &[Source::Objects]),
    ("describe", &[Source::Objects]),
    ("delete", &[Source::Objects]),
    ("edit", &[Source::Objects]),
    ("patch", &[Source::Objects]),
    ("label", &[Source::Objects]),
    ("annotate", &[Source::Objects]),
    ("wait", &[Source::Objects]),
    ("scale", &[Source::Objects]),
    ("export", &[Source::Objects]),
    ("expose", &[Source::Objects]),
    ("extract", &[Source::Objects]),
    ("apply view-last-applied", &[Source::Objects]),
    ("apply edit-last-applied", &[Source::Objects]),
    ("set image", &[Source::Objects]),
    ("set env", &[Source::Objects]),
    ("set triggers", &[Source::Objects]),
    ("set probe", &[Source::Objects]),
    ("set resources", &[Source::Objects]),
    ("set volumes", &[Source::Objects]),
    ("set serviceaccount", &[Source::Objects]),
    ("set data", &[Source::Objects]),
    ("set image-lookup", &[STREAMS]),
    ("set route-backends", &[ROUTES, Source::Nothing]),
    ("logs", &[PODS, Source::Nothing]),
    ("rollout", &[Source::Objects]),
    ("rollback", &[CONFIGS]),
    ("deploy", &[CONFIGS]),
    ("explain", &[Source::Kinds, Source::Nothing]),
    ("project", &[Source::Projects, Source::Nothing]),
    ("tag", &[TAGS]),
    ("import-image", &[STREAMS, Source::Nothing]),
    ("config use-context", &[Source::Contexts, Source::Nothing]),
    ("config delete-context", &[Source::Contexts, Source::Nothing]),
    ("config rename-context", &[Source::Contexts, Source::Nothing]),
    ("config set-context", &[Source::Contexts, Source::Nothing]),
    ("config delete-cluster", &[Source::Clusters, Source::Nothing]),
    ("config delete-user", &[Source::Users, Source::Nothing]),
    ("sa get-token", &[ACCOUNTS, Source::Nothing]),
    ("sa new-token", &[ACCOUNTS, Source::Nothing]),
    ("sa create-kubeconfig", &[ACCOUNTS, Source::Nothing]),
    ("create token", &[ACCOUNTS, Source::Nothing]),
    ("secrets add", &[ACCOUNTS, SECRETS]),
    ("secrets link", &[ACCOUNTS, SECRETS]),
    ("secrets unlink", &[ACCOUNTS, SECRETS]),
    ("policy add-role-to-user", &[ROLES, USERS]),
    ("policy remove-role-from-user", &[ROLES, USERS]),
    ("policy add-cluster-role-to-user", &[ROLES, USERS]),
    ("policy remove-cluster-role-from-user", &[ROLES, USERS]),
    ("policy add-role-to-group", &[ROLES, GROUPS]),
    ("policy remove-role-from-group", &[ROLES, GROUPS]),
    ("policy add-cluster-role-to-group", &[ROLES, GROUPS]),
    ("policy remove-cluster-role-from-group", &[ROLES, GROUPS]),
    ("policy remove-user", &[USERS]),
    ("policy remove-group", &[GROUPS]),
    ("policy who-can", &[Source::Verbs, Source::Kinds, Source::Nothing]),
    ("policy can-i", &[Source::Verbs, Source::Kinds, Source::Nothing]),
    ("auth can-i", &[Source::Verbs, Source::Kinds, Source::Nothing]),
    ("adm groups add-users", &[GROUPS, USERS]),
    ("adm groups remove-users", &[GROUPS, USERS]),
    ("man", &[Source::Files, Source::Nothing]),
];

/// What stands at a place behind a verb.
pub(super) fn of_word(path: &str, place: usize) -> Source {
    let path = path.strip_prefix("adm ").filter(|rest| rest.starts_with("policy")).unwrap_or(path);
    let known =
        PLACES.iter().find(|(verb, _)| *verb == path || (*verb == "rollout" && path.starts_with("rollout ")));
    let Some((_, sources)) = known else { return Source::Nothing };
    sources.get(place).or(sources.last()).copied().unwrap_or(Source::Nothing)
}

/// What stands behind a flag.
pub(super) fn of_flag(flag: &str) -> Source {
    match flag {
        "namespace" | "role-namespace" => Source::Projects,
        "context" => Source::Contexts,
        "cluster" => Source::Clusters,
        "user" => Source::Users,
        "serviceaccount" => ACCOUNTS,
        "clusterrole" => ROLES,
        "service" => Source::Of("", "services"),
        "filename"
        | "kubeconfig"
        | "certificate-authority"
        | "client-certificate"
        | "client-key"
        | "to"
        | "dir"
        | "cert"
        | "key"
        | "ca-cert"
        | "dest-ca-cert"
        | "patch-file"
        | "registry-config" => Source::Files,
        flag if flag.starts_with("from-") && flag.ends_with("file") => Source::Files,
        _ => Source::Nothing,
    }
}
