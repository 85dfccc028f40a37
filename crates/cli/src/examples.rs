//! Examples in the help of verbs whose own file holds several, and so has no room for them.
//!
//! A verb with `Examples:` in its doc comment is not in here. `adm policy` has those of `policy`.

use clap::Command;

const EXAMPLES: &[(&str, &[&str])] = &[
    ("adm groups add-users", &["adm groups add-users shop ed ann"]),
    ("adm groups new", &["adm groups new shop ed ann"]),
    ("adm groups remove-users", &["adm groups remove-users shop ann"]),
    ("adm new-project", &["adm new-project shop --admin=ed --display-name='The shop'"]),
    ("adm policy add-scc-to-group", &["adm policy add-scc-to-group anyuid system:serviceaccounts:shop"]),
    ("adm policy add-scc-to-user", &["adm policy add-scc-to-user anyuid -z runner -n shop"]),
    ("adm policy remove-scc-from-group", &["adm policy remove-scc-from-group anyuid testers"]),
    ("adm policy remove-scc-from-user", &["adm policy remove-scc-from-user anyuid -z runner -n shop"]),
    ("config current-context", &["config current-context"]),
    ("config delete-context", &["config delete-context pushed/api-example-com:8443/ed"]),
    ("config get-contexts", &["config get-contexts", "config get-contexts -o name"]),
    ("config use-context", &["config use-context pushed/api-example-com:8443/ed"]),
    ("config get-clusters", &["config get-clusters"]),
    ("config get-users", &["config get-users"]),
    ("config view", &["config view", "config view --minify --raw -o json"]),
    (
        "create clusterrole",
        &[
            "create clusterrole stream-reader --verb=get,list,watch --resource=imagestreams.image.openshift.io",
            "create clusterrole metrics --verb=get --non-resource-url=/metrics",
        ],
    ),
    (
        "create clusterrolebinding",
        &["create clusterrolebinding readers --clusterrole=cluster-reader --group=auditors"],
    ),
    (
        "create configmap",
        &[
            "create configmap settings --from-literal=level=debug",
            "create configmap settings --from-file=app.conf --from-env-file=app.env",
        ],
    ),
    ("create deploymentconfig", &["create deploymentconfig web --image=registry.example.com/pushed/web:1"]),
    ("create imagestream", &["create imagestream myimage", "create imagestream base --lookup-local"]),
    (
        "create imagestreamtag",
        &[
            "create imagestreamtag app:prod --from=app:v1",
            "create imagestreamtag base:9 --from-image=registry.example.com/base:9 --scheduled",
        ],
    ),
    ("create namespace", &["create namespace pushed"]),
    ("create role", &["create role puller --verb=get --resource=imagestreams/layers"]),
    (
        "create rolebinding",
        &["create rolebinding pushers --clusterrole=system:image-pusher --serviceaccount=pushed:pusher"],
    ),
    ("create route edge", &["create route edge --service=web --hostname=www.example.com"]),
    ("create route passthrough", &["create route passthrough --service=web --port=8443"]),
    ("create route reencrypt", &["create route reencrypt --service=web --dest-ca-cert=service-ca.crt"]),
    (
        "create secret docker-registry",
        &[
            "create secret docker-registry pull --docker-server=HOST --docker-username=ci --docker-password=TOKEN",
        ],
    ),
    (
        "create secret generic",
        &["create secret generic keys --from-literal=api=abc --from-file=id=id_ed25519"],
    ),
    ("create secret tls", &["create secret tls web --cert=web.crt --key=web.key"]),
    ("create service clusterip", &["create service clusterip web --tcp=80:8080"]),
    ("create service externalname", &["create service externalname db --external-name=db.example.com"]),
    ("create service loadbalancer", &["create service loadbalancer web --tcp=80:8080"]),
    ("create service nodeport", &["create service nodeport web --tcp=80:8080 --node-port=30080"]),
    ("create serviceaccount", &["create serviceaccount pusher"]),
    ("logout", &["logout"]),
    ("plugin list", &["plugin list", "plugin list --name-only"]),
    ("policy add-cluster-role-to-group", &["policy add-cluster-role-to-group cluster-reader auditors"]),
    ("policy add-cluster-role-to-user", &["policy add-cluster-role-to-user cluster-reader ann"]),
    ("policy add-role-to-group", &["policy add-role-to-group view testers -n pushed"]),
    (
        "policy add-role-to-user",
        &[
            "policy add-role-to-user edit ed",
            "policy add-role-to-user system:image-puller -z default",
            "policy add-role-to-user edit system:serviceaccount:pushed:pusher",
        ],
    ),
    ("policy can-i", &["policy can-i update imagestreams/layers", "policy can-i --list --scopes=user:info"]),
    (
        "policy remove-cluster-role-from-group",
        &["policy remove-cluster-role-from-group cluster-reader auditors"],
    ),
    ("policy remove-cluster-role-from-user", &["policy remove-cluster-role-from-user cluster-reader ann"]),
    ("policy remove-group", &["policy remove-group testers -n pushed"]),
    ("policy remove-role-from-group", &["policy remove-role-from-group view testers -n pushed"]),
    (
        "policy remove-role-from-user",
        &["policy remove-role-from-user edit ed", "policy remove-role-from-user edit -z pusher"],
    ),
    ("policy remove-user", &["policy remove-user ed -n pushed"]),
    ("policy who-can", &["policy who-can update imagestreams/layers", "policy who-can get secrets -A"]),
    ("rollout cancel", &["rollout cancel dc/web"]),
    ("rollout history", &["rollout history dc/web", "rollout history dc/web --revision=2"]),
    ("rollout latest", &["rollout latest dc/web"]),
    ("rollout pause", &["rollout pause dc/web"]),
    ("rollout restart", &["rollout restart deployment/web"]),
    ("rollout resume", &["rollout resume dc/web"]),
    ("rollout retry", &["rollout retry dc/web"]),
    ("rollout status", &["rollout status dc/web", "rollout status dc/web --timeout=5m"]),
    ("rollout undo", &["rollout undo dc/web", "rollout undo dc/web --to-revision=3 --dry-run"]),
    ("sa create-kubeconfig", &["sa create-kubeconfig robot > robot.kubeconfig"]),
    ("sa get-token", &["sa get-token pusher | docker login -u any --password-stdin HOST"]),
    ("sa new-token", &["sa new-token pusher --labels=used-by=ci"]),
    (
        "secrets link",
        &["secrets link default pull --for=pull", "secrets add sa/builder secrets/key --for=mount"],
    ),
    ("secrets new", &["secrets new keys id_ed25519 settings=app.conf"]),
    ("secrets new-basicauth", &["secrets new-basicauth git --username=ed --password=TOKEN"]),
    (
        "secrets new-dockercfg",
        &[
            "secrets new-dockercfg pull --docker-server=HOST --docker-username=ci --docker-password=TOKEN --docker-email=ci@example.com",
        ],
    ),
    ("secrets new-sshauth", &["secrets new-sshauth git --ssh-privatekey=id_ed25519"]),
    ("secrets unlink", &["secrets unlink default pull"]),
    (
        "set env",
        &[
            "set env dc/web LEVEL=debug OLD-",
            "set env dc/web --list",
            "set env dc/web --from=configmap/settings",
        ],
    ),
    (
        "set image",
        &[
            "set image dc/web web=registry.example.com/pushed/web:2",
            "set image dc/web web=web:2 --source=istag",
        ],
    ),
    (
        "set image-lookup",
        &[
            "set image-lookup myimage",
            "set image-lookup --list",
            "set image-lookup deploy/web --enabled=false",
        ],
    ),
    ("set resources", &["set resources dc/web --limits=cpu=200m,memory=512Mi"]),
    ("set serviceaccount", &["set serviceaccount dc/web robot"]),
    ("set triggers", &["set triggers dc/web --from-image=web:latest -c web", "set triggers dc/web --manual"]),
];

/// The command and all below it, each with its examples.
pub(crate) fn add(command: Command) -> Command {
    add_below(command, "")
}

fn add_below(mut command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
        command = command.mut_subcommand(name, |verb| add_below(with_examples(verb, &path), &path));
    }
    command
}

fn with_examples(command: Command, path: &str) -> Command {
    let of = |path: &str| EXAMPLES.iter().find(|(verb, _)| *verb == path);
    let Some((_, lines)) = of(path).or_else(|| of(path.strip_prefix("adm ")?)) else { return command };
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let lines: Vec<String> = lines.iter().map(|line| format!("  {line}")).collect();
    command.long_about(format!("{about}\n\nExamples:\n{}", lines.join("\n")))
}
