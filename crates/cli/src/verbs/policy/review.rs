//! Questions about rights: `who-can`, `can-i`.

use anyhow::bail;
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use crate::{
    discovery::Discovery, environment::ExitStatus, error::Silent, globals::Era, object, print::tabwriter,
    session::Session,
};

#[derive(Args, Debug)]
pub(crate) struct WhoCanArgs {
    /// Verb, such as get
    verb: String,
    /// Resource, such as imagestreams/layers
    resource: String,
    /// Name of an object
    name: Option<String>,
    /// In all projects
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

/// Say whether you may do something
///
/// Examples:
///   can-i create imagestreams
///   can-i get secrets/pusher-dockercfg-x7k2p
///   can-i update imagestreams --subresource=layers -q && echo yes
///   can-i --list -n pushed
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct CanIArgs {
    /// Verb, such as get
    verb: Option<String>,
    /// Resource[/NAME], or a path such as /healthz
    resource: Option<String>,
    /// Name of an object
    name: Option<String>,
    /// Subresource, such as layers
    #[arg(long, value_name = "NAME")]
    subresource: Option<String>,
    /// List everything you may do
    #[arg(long)]
    list: bool,
    /// In all projects
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Answer by the exit code only
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Leave out the header line of --list
    #[arg(long)]
    no_headers: bool,
    /// What the user could do whatever the scopes of the token are
    #[arg(long, conflicts_with = "scopes")]
    ignore_scopes: bool,
    /// What a token with these scopes could do
    #[arg(long, value_delimiter = ',', value_name = "SCOPE")]
    scopes: Vec<String>,
}

impl CanIArgs {
    /// What `policy` has always meant by a slash, as in `imagestreams/layers`; to `auth` a name follows it.
    pub(super) fn with_subresource(mut self) -> Self {
        if let Some((resource, subresource)) = self.resource.as_deref().and_then(|word| word.split_once('/'))
            && !resource.is_empty()
        {
            self.subresource = Some(subresource.to_owned());
            self.resource = Some(resource.to_owned());
        }
        self
    }
}

/// Group and plural of a resource; what the server does not know is asked for as typed.
fn resolve(discovery: &Discovery, word: &str) -> (String, String) {
    if word == "*" {
        return ("*".to_owned(), "*".to_owned());
    }
    let (name, subresource) = word.split_once('/').map_or((word, None), |(name, sub)| (name, Some(sub)));
    let (group, plural) = match discovery.find(name) {
        Some(kind) => (kind.group.clone(), kind.plural.clone()),
        None => match name.split_once('.') {
            Some((plural, group)) => (group.to_owned(), plural.to_owned()),
            None => (String::new(), name.to_owned()),
        },
    };
    match subresource {
        Some(subresource) => (group, format!("{plural}/{subresource}")),
        None => (group, plural),
    }
}

pub(super) async fn who_can(args: WhoCanArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let client = session.client()?;
    let namespace = session.namespace()?;
    let (group, resource) = resolve(&discovery, &args.resource);
    let (kind, path) = if args.all_namespaces {
        ("ResourceAccessReview", "/apis/authorization.openshift.io/v1/resourceaccessreviews".to_owned())
    } else {
        let path = format!(
            "/apis/authorization.openshift.io/v1/namespaces/{}/localresourceaccessreviews",
            pierhead_client::escape(&namespace)
        );
        ("LocalResourceAccessReview", path)
    };
    let review = json!({
        "apiVersion": "authorization.openshift.io/v1", "kind": kind,
        "namespace": if args.all_namespaces { "" } else { namespace.as_str() },
        "verb": args.verb, "resourceAPIGroup": group, "resourceAPIVersion": "", "resource": resource,
        "resourceName": args.name.as_deref().unwrap_or_default(), "path": "", "isNonResourceURL": false, "content": null,
    });
    let answer = match client.request(Method::POST, &path, None, Some(&review)).await {
        Err(error) if error.is_not_found() => {
            bail!("the server cannot say who can do something: it has no authorization.openshift.io")
        }
        answered => answered?,
    };
    let names = |field: &str| {
        let mut names: Vec<&str> = object::list(&answer, field).iter().filter_map(Value::as_str).collect();
        names.sort_unstable();
        if names.is_empty() { "none".to_owned() } else { names.join("\n\t") }
    };
    let place = if args.all_namespaces { "<all>" } else { namespace.as_str() };
    let dot = if group.is_empty() { "" } else { "." };
    let shown = match resource.split_once('/') {
        Some((plural, subresource)) => format!("{plural}{dot}{group}/{subresource}"),
        None => format!("{resource}{dot}{group}"),
    };
    let mut text = match session.era() {
        Era::V3_2 => String::new(),
        Era::V4 => "resourceaccessreviewresponse.authorization.openshift.io/<unknown>\n\n".to_owned(),
    };
    text.push_str(&format!("Namespace:\t{place}\n"));
    text.push_str(&format!("Verb:\t{}\nResource:\t{shown}\n", args.verb));
    if let Some(name) = &args.name {
        text.push_str(&format!("ResourceName:\t{name}\n"));
    }
    text.push_str(&format!("\nUsers:\t{}\nGroups:\t{}\n", names("users"), names("groups")));
    let evaluation = object::text(&answer, "evalutionError");
    if !evaluation.is_empty() {
        text.push_str(&format!("\nError during evaluation, results may not be complete: {evaluation}\n"));
    }
    session.print(&tabwriter::align(&text, tabwriter::DESCRIPTION))?;
    Ok(ExitStatus::SUCCESS)
}

pub(crate) async fn can_i(args: CanIArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let scopes = (args.ignore_scopes || !args.scopes.is_empty()).then_some(args.scopes.as_slice());
    if args.list {
        return list_rules(scopes, args.no_headers, session).await;
    }
    let (Some(verb), Some(resource)) = (&args.verb, &args.resource) else {
        bail!("you must specify two arguments: verb resource or verb resource/resourceName");
    };
    let client = session.client()?;
    if let Some(scopes) = scopes {
        return with_scopes(&args, (verb, resource), scopes, session).await;
    }
    let spec = if resource.starts_with('/') {
        json!({"nonResourceAttributes": {"path": resource, "verb": verb}})
    } else {
        let discovery = session.discovery().await?;
        let namespace = if args.all_namespaces { String::new() } else { session.namespace()? };
        let (resource, name) = match resource.split_once('/') {
            Some((resource, name)) => (resource, name.to_owned()),
            None => (resource.as_str(), args.name.clone().unwrap_or_default()),
        };
        if !args.quiet {
            warn_of(&discovery, resource, &namespace, session)?;
        }
        let (group, resource) = resolve(&discovery, resource);
        let attributes = json!({
            "namespace": namespace, "verb": verb, "group": group, "resource": resource,
            "subresource": args.subresource.as_deref().unwrap_or_default(), "name": name,
        });
        json!({"resourceAttributes": attributes})
    };
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let review =
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec});
    let answer = client.request(Method::POST, path, None, Some(&review)).await?;
    let allowed = object::at(&answer, "status.allowed").and_then(Value::as_bool).unwrap_or(false);
    say_answer(allowed, object::text(&answer, "status.reason"), args.quiet, session)
}

/// Says what makes the question an odd one.
fn warn_of(discovery: &Discovery, word: &str, namespace: &str, session: &mut Session) -> std::io::Result<()> {
    let warning = match discovery.find(word) {
        None if word != "*" => format!("the server doesn't have a resource type '{word}'"),
        Some(kind) if !kind.namespaced && !namespace.is_empty() => {
            format!("resource '{}' is not namespace scoped", kind.qualified_plural())
        }
        _ => return Ok(()),
    };
    session.remark(&format!("Warning: {warning}"))
}

/// The same question in OpenShift's words, which can tell scopes from roles.
async fn with_scopes(
    args: &CanIArgs,
    (verb, resource): (&str, &str),
    scopes: &[String],
    session: &mut Session,
) -> anyhow::Result<ExitStatus> {
    let discovery = session.discovery().await?;
    let namespace = if args.all_namespaces { String::new() } else { session.namespace()? };
    let (group, mut resource) = resolve(&discovery, resource);
    if let Some(subresource) = &args.subresource {
        resource = format!("{resource}/{subresource}");
    }
    let (kind, path) = if args.all_namespaces {
        ("SubjectAccessReview", "/apis/authorization.openshift.io/v1/subjectaccessreviews".to_owned())
    } else {
        let path = format!(
            "/apis/authorization.openshift.io/v1/namespaces/{}/localsubjectaccessreviews",
            pierhead_client::escape(&namespace)
        );
        ("LocalSubjectAccessReview", path)
    };
    let review = json!({
        "apiVersion": "authorization.openshift.io/v1", "kind": kind, "namespace": namespace, "verb": verb,
        "resourceAPIGroup": group, "resourceAPIVersion": "", "resource": resource,
        "resourceName": args.name.as_deref().unwrap_or_default(), "path": "", "isNonResourceURL": false,
        "content": null, "user": "", "groups": null, "scopes": scopes,
    });
    let answer = session.client()?.request(Method::POST, &path, None, Some(&review)).await?;
    let allowed = answer.get("allowed").and_then(Value::as_bool).unwrap_or(false);
    say_answer(allowed, object::text(&answer, "reason"), args.quiet, session)
}

fn say_answer(allowed: bool, reason: &str, quiet: bool, session: &mut Session) -> anyhow::Result<ExitStatus> {
    if !quiet {
        let text = match (allowed, reason) {
            (true, _) => "yes".to_owned(),
            (false, "") => "no".to_owned(),
            (false, reason) => format!("no - {reason}"),
        };
        session.say(&text)?;
    }
    if allowed { Ok(ExitStatus::SUCCESS) } else { Err(Silent(ExitStatus::FAILURE).into()) }
}

async fn list_rules(
    scopes: Option<&[String]>,
    no_headers: bool,
    session: &mut Session,
) -> anyhow::Result<ExitStatus> {
    let namespace = session.namespace()?;
    let (path, review) = match scopes {
        None => (
            "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews".to_owned(),
            json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
                "spec": {"namespace": namespace},
            }),
        ),
        Some(scopes) => (
            format!(
                "/apis/authorization.openshift.io/v1/namespaces/{}/selfsubjectrulesreviews",
                pierhead_client::escape(&namespace)
            ),
            json!({
                "apiVersion": "authorization.openshift.io/v1", "kind": "SelfSubjectRulesReview",
                "spec": {"scopes": scopes},
            }),
        ),
    };
    let answer = session.client()?.request(Method::POST, &path, None, Some(&review)).await?;
    let join = |rule: &Value, field: &str| {
        let words: Vec<&str> = object::list(rule, field).iter().filter_map(Value::as_str).collect();
        words.join(" ")
    };
    let mut text = String::new();
    if !no_headers {
        text.push_str("Resources\tNon-Resource URLs\tResource Names\tVerbs\n");
    }
    let of_openshift = object::list(&answer, "status.rules");
    let is_path = |rule: &&Value| !object::list(rule, "nonResourceURLs").is_empty();
    let resources = object::list(&answer, "status.resourceRules").iter();
    for rule in resources.chain(of_openshift.iter().filter(|rule| !is_path(rule))) {
        let groups = object::list(rule, "apiGroups");
        for resource in object::list(rule, "resources").iter().filter_map(Value::as_str) {
            for group in groups.iter().filter_map(Value::as_str) {
                let dot = if group.is_empty() { "" } else { "." };
                let (names, verbs) = (join(rule, "resourceNames"), join(rule, "verbs"));
                text.push_str(&format!("{resource}{dot}{group}\t[]\t[{names}]\t[{verbs}]\n"));
            }
        }
    }
    let paths = object::list(&answer, "status.nonResourceRules").iter();
    for rule in paths.chain(of_openshift.iter().filter(is_path)) {
        text.push_str(&format!("\t[{}]\t[]\t[{}]\n", join(rule, "nonResourceURLs"), join(rule, "verbs")));
    }
    session.print(&tabwriter::align(&text, tabwriter::TABLE))?;
    Ok(ExitStatus::SUCCESS)
}
