//! `status`: the project at a glance (platform 9).

use clap::Args;
use jiff::Timestamp;
use pierhead_client::{Client, ClientError};
use serde_json::Value;

use super::{get, project};
use crate::{
    deployments::{self, number},
    describe,
    discovery::Discovery,
    environment::ExitStatus,
    globals::Era,
    object,
    print::age,
    session::Session,
};

/// How many deployments of a config are shown.
const SHOWN_DEPLOYMENTS: usize = 3;

/// Show what the project is made of, and how it is
///
/// Examples:
///   status
///   status --suggest
///   status --all-namespaces
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct StatusArgs {
    /// Say what might be wrong, too
    #[arg(long)]
    suggest: bool,
    /// All projects that you may see
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

/// The objects of a project.
struct Overview {
    services: Vec<Value>,
    routes: Vec<Value>,
    configs: Vec<Value>,
    controllers: Vec<Value>,
    pods: Vec<Value>,
    streams: Vec<Value>,
    now: Timestamp,
}

pub(crate) async fn run(args: StatusArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let (client, namespace, server) = (session.client()?, session.namespace()?, session.server()?);
    let discovery = session.discovery().await?;
    let mut problems = Vec::new();
    let mut is_empty = true;
    if args.all_namespaces {
        session.say(&format!("Showing all projects on server {server}\n"))?;
        for name in project::names(&client).await? {
            let overview = Overview::read(&client, &discovery, &name, session).await?;
            let groups = overview.groups();
            if !groups.is_empty() {
                session.say(&format!("Project {}:\n", project_title(&client, &discovery, &name).await?))?;
                is_empty = false;
            }
            show_groups(&groups, session)?;
            problems.extend(overview.problems());
        }
    } else {
        let title = match project_title(&client, &discovery, &namespace).await {
            Ok(title) => title,
            Err(error) => return without_project(error, &namespace, session).await,
        };
        let overview = Overview::read(&client, &discovery, &namespace, session).await?;
        session.say(&format!("In project {title} on server {server}\n"))?;
        let groups = overview.groups();
        is_empty = groups.is_empty();
        show_groups(&groups, session)?;
        problems = overview.problems();
    }
    finish(is_empty, &problems, args.suggest, session)
}

fn show_groups(groups: &[Vec<String>], session: &mut Session) -> anyhow::Result<()> {
    for group in groups {
        session.say(&group.join("\n"))?;
        session.say("")?;
    }
    Ok(())
}

fn finish(
    is_empty: bool,
    problems: &[String],
    suggest: bool,
    session: &mut Session,
) -> anyhow::Result<ExitStatus> {
    if suggest && !problems.is_empty() {
        session.say("Warnings:")?;
        for problem in problems {
            session.say(&format!("  * {problem}"))?;
        }
        session.say("")?;
    }
    if !suggest && !problems.is_empty() {
        let plural = if problems.len() == 1 { "" } else { "s" };
        session.say(&format!(
            "{} warning{plural} identified, use 'oc status --suggest' to see details.",
            problems.len()
        ))?;
        return Ok(ExitStatus::SUCCESS);
    }
    if is_empty {
        session.say(
            "You have no services, deployment configs, or build configs.\nRun 'oc new-app' to create an application.",
        )?;
        return Ok(ExitStatus::SUCCESS);
    }
    let list = if session.era() == Era::V4 { "list resources" } else { "list everything" };
    session
        .say(&format!("View details with 'oc describe <resource>/<name>' or {list} with 'oc get all'."))?;
    Ok(ExitStatus::SUCCESS)
}

/// The project is not there, or not for this user. Whoever chose none is told which there are.
async fn without_project(
    error: anyhow::Error,
    namespace: &str,
    session: &mut Session,
) -> anyhow::Result<ExitStatus> {
    let is_refused =
        error.downcast_ref::<ClientError>().is_some_and(|error| error.is_forbidden() || error.is_not_found());
    if !is_refused || session.has_chosen_project()? {
        return Err(error);
    }
    let (client, server) = (session.client()?, session.server()?);
    let names = project::names(&client).await?;
    if names.is_empty() {
        session.say(
            "You don't have any projects. You can try to create a new project, by running\n\n    oc new-project <projectname>\n",
        )?;
        return Ok(ExitStatus::SUCCESS);
    }
    session.say(&format!(
        "You have access to the following projects on server {server}, and {namespace} is none of them:\n"
    ))?;
    for name in names {
        session.say(&format!("  * {name}"))?;
    }
    session.say("\nUse 'oc project <projectname>' to choose one.")?;
    Ok(ExitStatus::SUCCESS)
}

/// `Display name (name)`.
async fn project_title(client: &Client, discovery: &Discovery, namespace: &str) -> anyhow::Result<String> {
    let kind = match discovery.known("project.openshift.io", "projects") {
        Ok(kind) => kind,
        Err(_) => discovery.known("", "namespaces")?,
    };
    let project = get::read(client, kind, namespace, namespace).await?;
    Ok(match deployments::annotation(&project, "openshift.io/display-name") {
        "" => namespace.to_owned(),
        name if name == namespace => namespace.to_owned(),
        name => format!("{name} ({namespace})"),
    })
}

/// All objects of a kind; none where the server has no such kind or the user may not see them.
async fn read(
    client: &Client,
    discovery: &Discovery,
    group: &str,
    plural: &str,
    namespace: &str,
) -> anyhow::Result<Vec<Value>> {
    let Ok(kind) = discovery.known(group, plural) else { return Ok(Vec::new()) };
    match get::read_all(client, kind, Some(namespace), &[]).await {
        Ok(found) => Ok(found),
        Err(error) if error.is_forbidden() || error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

impl Overview {
    async fn read(
        client: &Client,
        discovery: &Discovery,
        namespace: &str,
        session: &Session,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            services: read(client, discovery, "", "services", namespace).await?,
            routes: read(client, discovery, "route.openshift.io", "routes", namespace).await?,
            configs: read(client, discovery, deployments::GROUP, "deploymentconfigs", namespace).await?,
            controllers: read(client, discovery, "", "replicationcontrollers", namespace).await?,
            pods: read(client, discovery, "", "pods", namespace).await?,
            streams: read(client, discovery, "image.openshift.io", "imagestreams", namespace).await?,
            now: (session.environment.now)(),
        })
    }

    /// What belongs together, as lines: services with what they lead to, then what no service leads to.
    fn groups(&self) -> Vec<Vec<String>> {
        let mut groups = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for service in &self.services {
            let mut lines = self.service(service);
            let selector = object::string_map(service, "spec.selector");
            for config in self.configs.iter().filter(|config| is_selected(&selector, config)) {
                seen.push(object::text(config, "metadata.uid"));
                lines.extend(indented(self.config(config)));
            }
            for controller in self.loose_controllers().filter(|it| is_selected(&selector, it)) {
                seen.push(object::text(controller, "metadata.uid"));
                lines.extend(indented(self.controller(controller)));
            }
            for pod in self.loose_pods().filter(|pod| has_labels(&selector, pod, "metadata.labels")) {
                seen.push(object::text(pod, "metadata.uid"));
                lines.extend(indented(vec![pod_line(pod)]));
            }
            groups.push(lines);
        }
        let is_new = |found: &&Value| !seen.contains(&object::text(found, "metadata.uid"));
        groups.extend(self.configs.iter().filter(is_new).map(|config| self.config(config)));
        groups.extend(self.loose_controllers().filter(is_new).map(|found| self.controller(found)));
        groups.extend(self.loose_pods().filter(is_new).map(|pod| vec![pod_line(pod)]));
        groups
    }

    fn loose_controllers(&self) -> impl Iterator<Item = &Value> {
        self.controllers.iter().filter(|found| deployments::annotation(found, deployments::CONFIG).is_empty())
    }

    fn loose_pods(&self) -> impl Iterator<Item = &Value> {
        self.pods.iter().filter(|pod| {
            let is_over = matches!(object::text(pod, "status.phase"), "Succeeded" | "Failed");
            let is_deployer = object::string_map(pod, "metadata.labels")
                .iter()
                .any(|(key, _)| *key == deployments::DEPLOYER_POD_FOR);
            object::list(pod, "metadata.ownerReferences").is_empty() && !is_over && !is_deployer
        })
    }

    /// `http://host (svc/web)`, or the service's address where no route leads to it.
    fn service(&self, service: &Value) -> Vec<String> {
        let name = object::name(service);
        let mut exposed: Vec<String> = self
            .routes
            .iter()
            .filter(|route| {
                let backends = object::list(route, "spec.alternateBackends").iter();
                object::at(route, "spec.to")
                    .into_iter()
                    .chain(backends)
                    .any(|to| object::text(to, "name") == name)
            })
            .map(route_line)
            .collect();
        exposed.sort();
        if let Some(first) = exposed.first_mut() {
            first.push_str(&format!(" (svc/{name})"));
            return exposed;
        }
        let ports = ports(service);
        vec![match object::text(service, "spec.clusterIP") {
            "None" => format!("svc/{name} (headless){ports}"),
            "" => format!("svc/{name} <initializing>{ports}"),
            address => format!("svc/{name} - {address}{ports}"),
        }]
    }

    fn config(&self, config: &Value) -> Vec<String> {
        let name = object::name(config);
        let manual = if object::list(config, "spec.triggers").is_empty() { " (manual)" } else { "" };
        let images = images(config);
        let mut lines = match images.as_slice() {
            [image] => vec![format!("dc/{name} deploys {image}{manual}")],
            images => {
                let mut lines = vec![format!("dc/{name} deploys{manual}:")];
                lines.extend(images.iter().map(|image| format!("  {image}")));
                lines
            }
        };
        let mut rollouts: Vec<Value> = self
            .controllers
            .iter()
            .filter(|found| deployments::annotation(found, deployments::CONFIG) == name)
            .cloned()
            .collect();
        rollouts.sort_by_key(|rollout| std::cmp::Reverse(deployments::version(rollout)));
        let shown = describe::rollout_lines(config, &rollouts, SHOWN_DEPLOYMENTS, self.now);
        lines.extend(indented(shown));
        lines
    }

    fn controller(&self, controller: &Value) -> Vec<String> {
        let name = object::name(controller);
        let created = object::text(controller, "metadata.creationTimestamp");
        let since = age::words(Some(created), self.now).to_lowercase();
        let pods =
            describe::pod_count(number(controller, "status.replicas"), number(controller, "spec.replicas"));
        vec![
            format!("rc/{name} runs {}", images(controller).join(", ")),
            format!("  rc/{name} created {since} ago{pods}"),
        ]
    }

    /// What will not work as it stands.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for config in &self.configs {
            for trigger in object::list(config, "spec.triggers") {
                let from = object::text(trigger, "imageChangeParams.from.name");
                let elsewhere = object::text(trigger, "imageChangeParams.from.namespace");
                let is_own = elsewhere.is_empty() || Some(elsewhere) == object::namespace(config);
                let Some((stream, tag)) = from.split_once(':').filter(|_| is_own) else { continue };
                let is_there = self.streams.iter().any(|found| {
                    let tags = object::list(found, "status.tags");
                    object::name(found) == stream
                        && tags.iter().any(|known| object::text(known, "tag") == tag)
                });
                if !is_there {
                    problems.push(format!(
                        "The image trigger for dc/{} will have no effect until istag/{from} is imported or created by a build.",
                        object::name(config)
                    ));
                }
            }
        }
        for route in &self.routes {
            let service = object::text(route, "spec.to.name");
            if !self.services.iter().any(|found| object::name(found) == service) {
                let name = object::name(route);
                problems.push(format!("route/{name} is supposed to route traffic to svc/{service} but svc/{service} doesn't exist."));
            }
        }
        for pod in &self.pods {
            for state in object::list(pod, "status.containerStatuses") {
                let reason = object::text(state, "state.waiting.reason");
                if matches!(reason, "CrashLoopBackOff" | "ImagePullBackOff" | "ErrImagePull") {
                    problems.push(format!(
                        "pod/{} container {:?} is waiting: {reason}",
                        object::name(pod),
                        object::text(state, "name")
                    ));
                }
            }
        }
        problems
    }
}

fn indented(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| format!("  {line}")).collect()
}

/// Whether a selector chooses the pods that an object makes.
fn is_selected(selector: &[(&str, &str)], object: &Value) -> bool {
    has_labels(selector, object, "spec.template.metadata.labels")
}

fn has_labels(selector: &[(&str, &str)], object: &Value, path: &str) -> bool {
    let labels = object::string_map(object, path);
    !selector.is_empty() && selector.iter().all(|pair| labels.contains(pair))
}

fn pod_line(pod: &Value) -> String {
    let containers = object::list(pod, "spec.containers");
    let images: Vec<&str> = containers.iter().map(|container| object::text(container, "image")).collect();
    format!("pod/{} runs {}", object::name(pod), images.join(", "))
}

/// The images of a template: the tag that a trigger follows, or what the container names.
fn images(object: &Value) -> Vec<String> {
    let source = |container: &str| {
        object::list(object, "spec.triggers").iter().find_map(|trigger| {
            let parameters = trigger.get("imageChangeParams")?;
            let names = object::list(parameters, "containerNames");
            if !names.iter().any(|name| name.as_str() == Some(container)) {
                return None;
            }
            let name = object::text(parameters, "from.name");
            Some(match object::text(parameters, "from.namespace") {
                "" => format!("istag/{name}"),
                own if Some(own) == object::namespace(object) => format!("istag/{name}"),
                other => format!("istag/{other}/{name}"),
            })
        })
    };
    object::list(object, "spec.template.spec.containers")
        .iter()
        .map(|container| {
            source(object::text(container, "name"))
                .unwrap_or_else(|| object::text(container, "image").to_owned())
        })
        .collect()
}

/// `:80 -> 8080`, ` ports 80, 443->8443`.
fn ports(service: &Value) -> String {
    let pair = |port: &Value| {
        let target = port.get("targetPort").map(object::plain).unwrap_or_default();
        (port.get("port").map(object::plain).unwrap_or_default(), target)
    };
    match object::list(service, "spec.ports") {
        [] => " no ports".to_owned(),
        [port] => match pair(port) {
            (port, target) if target.is_empty() || target == port || target == "0" => format!(":{port}"),
            (port, target) => format!(":{port} -> {target}"),
        },
        ports => {
            let all: Vec<String> = ports
                .iter()
                .map(|port| match pair(port) {
                    (port, target) if target.is_empty() || target == port => port,
                    (port, target) => format!("{port}->{target}"),
                })
                .collect();
            format!(" ports {}", all.join(", "))
        }
    }
}

fn route_line(route: &Value) -> String {
    let host = object::text(route, "spec.host");
    let path = object::text(route, "spec.path");
    let insecure = object::text(route, "spec.tls.insecureEdgeTerminationPolicy");
    let base = match (object::text(route, "spec.tls.termination"), insecure) {
        ("", _) => format!("http://{host}{path}"),
        ("edge", "Redirect") => format!("https://{host}{path} (redirects)"),
        ("edge", "Allow") => format!("https://{host}{path} (and http)"),
        ("edge", _) => format!("https://{host}{path}"),
        (termination, _) => format!("https://{host}{path} ({termination})"),
    };
    let rejected = object::list(route, "status.ingress")
        .iter()
        .flat_map(|ingress| object::list(ingress, "conditions"))
        .find(|condition| object::text(condition, "status") == "False");
    if let Some(rejected) = rejected {
        return format!("{base} not accepted: {}", object::text(rejected, "reason"));
    }
    match object::at(route, "spec.port.targetPort") {
        Some(port) => format!("{base} to pod port {}", object::plain(port)),
        None => base,
    }
}
