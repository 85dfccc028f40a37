//! Requests made at random from our own description of the API, by schemathesis: no answer is an error of ours, and each
//! is as described. A few in every run, many in `cargo xtask fuzz-api`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use parking_lot::Mutex;
use pierhead_testkit::{Actor, Outcome, Site, Tool};
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use super::{program, tool};

/// What every run looks at; `cargo xtask fuzz-api` looks at everything.
const FEW: [&str; 13] = [
    "api/v1/configmaps",
    "api/v1/secrets",
    "apis/authentication.k8s.io/v1/tokenreviews",
    "apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "apis/authorization.openshift.io/v1/clusterroles",
    "apis/image.openshift.io/v1/imagestreamimports",
    "apis/image.openshift.io/v1/imagestreams",
    "apis/image.openshift.io/v1/imagestreamtags",
    "apis/project.openshift.io/v1/projectrequests",
    "apis/project.openshift.io/v1/projects",
    "apis/rbac.authorization.k8s.io/v1/clusterroles",
    "apis/route.openshift.io/v1/routes",
    "apis/user.openshift.io/v1/users",
];

const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// Where the names of schemas in references begin.
const SCHEMAS: &str = "#/components/schemas/";

/// The descriptions of all groups as one.
async fn description(admin: &Actor) -> Result<Value> {
    let raw = async |path: &str| -> Result<Value> {
        Ok(serde_json::from_str(&admin.oc(["get", "--raw", path]).await.succeeds())?)
    };
    let groups = raw("/openapi/v3").await?;
    let (mut whole, mut paths, mut components) = (Value::Null, Map::new(), Map::new());
    for group in groups["paths"].as_object().context("a list of documents")?.values() {
        let mut part = raw(group["serverRelativeURL"].as_str().context("a URL")?).await?;
        if let Some(Value::Object(some)) = part.get_mut("paths").map(Value::take) {
            paths.extend(some);
        }
        for (kind, some) in part["components"].as_object().into_iter().flatten() {
            let all = components.entry(kind.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let (Value::Object(all), Value::Object(some)) = (all, some.clone()) {
                all.extend(some);
            }
        }
        whole = part;
    }
    ensure!(paths.len() > 100, "only {} paths are described", paths.len());
    whole["paths"] = paths.into();
    whole["components"] = components.into();
    Ok(whole)
}

/// The schemas that a description of some paths refers to, and those that they refer to.
fn reached(from: &Value, schemas: &Value, reached_by_now: &mut BTreeSet<String>) {
    match from {
        Value::Object(fields) => {
            let named = fields.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix(SCHEMAS));
            if let Some(name) = named
                && reached_by_now.insert(name.to_owned())
            {
                reached(&schemas[name], schemas, reached_by_now);
            }
            fields.values().for_each(|field| reached(field, schemas, reached_by_now));
        }
        Value::Array(items) => items.iter().for_each(|item| reached(item, schemas, reached_by_now)),
        _ => {}
    }
}

/// What is asked about one resource.
#[derive(Debug)]
struct Part {
    /// The resource's path without projects and names.
    resource: String,
    operations: usize,
    /// How many schemas it refers to, which is how long it takes.
    size: usize,
    description: Value,
}

/// A description for each resource, the small ones first.
fn parts(mut whole: Value) -> Vec<Part> {
    const METHODS: [&str; 7] = ["get", "put", "post", "patch", "delete", "head", "options"];
    let mut by_resource = BTreeMap::<String, Map<String, Value>>::new();
    if let Value::Object(paths) = whole["paths"].take() {
        for (path, operations) in paths {
            let short = path.replace("/namespaces/{namespace}", "");
            let words = short.split('/').filter(|word| !word.is_empty());
            let resource: Vec<&str> = words.take_while(|word| !word.starts_with('{')).collect();
            by_resource.entry(resource.join("/")).or_default().insert(path, operations);
        }
    }
    let part = |(resource, paths): (String, Map<String, Value>)| {
        let operations = paths.values().filter_map(Value::as_object).flat_map(Map::keys);
        let operations = operations.filter(|method| METHODS.contains(&method.as_str())).count();
        let (paths, mut names) = (Value::from(paths), BTreeSet::new());
        reached(&paths, &whole["components"]["schemas"], &mut names);
        let mut description = whole.clone();
        description["paths"] = paths;
        if let Some(schemas) = description["components"]["schemas"].as_object_mut() {
            schemas.retain(|name, _| names.contains(name));
        }
        Part { resource, operations, size: names.len() * operations, description }
    };
    let mut parts: Vec<Part> = by_resource.into_iter().map(part).collect();
    parts.sort_by_key(|part| part.size);
    parts
}

/// A token that may do everything, of an account that no request finds.
async fn token(admin: &Actor) -> String {
    admin.oc(["create", "serviceaccount", "fuzz", "-n", "default"]).await.succeeds();
    let role = ["adm", "policy", "add-cluster-role-to-user", "cluster-admin", "-z", "fuzz", "-n", "default"];
    admin.oc(role).await.succeeds();
    let token = ["create", "token", "fuzz", "-n", "default", "--duration=168h"];
    admin.oc(token).await.succeeds().trim().to_owned()
}

/// Schemathesis, against a site that has an object of every kind.
struct Fuzz {
    site: Site,
    python: Tool,
    /// What every run of it is told.
    arguments: Vec<String>,
    folder: PathBuf,
}

impl Fuzz {
    async fn begin() -> Result<(Self, Vec<Part>)> {
        let site = Site::start().await?;
        let admin = site.admin()?;
        let parts = parts(description(&admin).await?);
        admin.oc(["create", "namespace", "fuzz"]).await.succeeds();
        let objects = program("schemathesis/objects.yaml");
        let objects = objects.to_str().context("a path")?;
        admin.oc(["apply", "--namespace", "fuzz", "--filename", objects]).await.succeeds();
        let authority = site.authority();
        let url = site.api_url();
        let authorization = format!("Authorization: Bearer {}", token(&admin).await);
        let arguments = [
            &["--url", &url, "--tls-verify", authority.to_str().context("a path")?][..],
            &["--header", &authorization],
            &["--phases", "fuzzing", "--checks", CHECKS],
            // Where many other tests run, or many requests are made, some answers take long.
            &["--suppress-health-check", "all", "--request-timeout", "60", "--request-retries", "5"],
            &["--no-color", "--no-shrink"],
        ];
        let arguments = arguments.concat().into_iter().map(str::to_owned).collect();
        let python = Tool::new(tool("PIERHEAD_SCHEMATHESIS")?, admin.home());
        let python = python.variable("SCHEMATHESIS_HOOKS", program("schemathesis/hooks.py"));
        let folder = admin.home().to_path_buf();
        Ok((Self { site, python, arguments, folder }, parts))
    }

    async fn run(&self, part: &Part, more: &[&str]) -> Result<Outcome> {
        let description = self.folder.join(format!("{}.json", file_name(&part.resource)));
        std::fs::write(&description, part.description.to_string())?;
        let mut arguments = vec!["-m", "schemathesis.cli", "run", description.to_str().context("a path")?];
        arguments.extend(self.arguments.iter().map(String::as_str).chain(more.iter().copied()));
        Ok(self.python.run(&arguments).await)
    }
}

fn file_name(resource: &str) -> String {
    resource.replace('/', "_")
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_random_are_answered_as_described() -> Result<()> {
    let (mut fuzz, parts) = Fuzz::begin().await?;
    // However busy the machine is: the requests are few, and the same every time. What many more of them find is mended
    // first, and then stays mended.
    fuzz.python = fuzz.python.limit(Duration::from_secs(900));
    let mut whole: Option<Part> = None;
    for part in parts.into_iter().filter(|part| FEW.contains(&part.resource.as_str())) {
        match &mut whole {
            None => whole = Some(part),
            Some(whole) => whole.add(part),
        }
    }
    let whole = whole.context("these resources are described")?;
    let few = ["--max-examples", "2", "--seed", "1", "--generation-deterministic"];
    let outcome = fuzz.run(&whole, &few).await?;
    println!("{outcome}");
    ensure!(outcome.code == Some(0), "{}", outcome.stdout);
    let tested = format!("Tested: {}", whole.operations);
    ensure!(outcome.said(&tested) && whole.operations > 75, "not {} operations were asked", whole.operations);
    fuzz.site.stop()
}

impl Part {
    /// Asks about the other resource as well.
    fn add(&mut self, other: Self) {
        self.operations += other.operations;
        let (ours, theirs) = (&mut self.description, other.description);
        for pointer in ["/paths", "/components/schemas"] {
            let theirs = theirs.pointer(pointer).and_then(Value::as_object).cloned();
            if let (Some(Value::Object(ours)), Some(theirs)) = (ours.pointer_mut(pointer), theirs) {
                ours.extend(theirs);
            }
        }
    }
}

/// What the many requests need from the environment; without, there are none.
struct Many {
    examples: u32,
    /// Only resources whose path contains this.
    paths: String,
    /// Where what was said about each resource is kept, and which are done.
    folder: PathBuf,
}

impl Many {
    fn wanted() -> Result<Option<Self>> {
        let given = |variable| std::env::var_os(variable).and_then(|text| text.into_string().ok());
        let Some(examples) = given("PIERHEAD_FUZZ_EXAMPLES") else { return Ok(None) };
        let folder =
            given("PIERHEAD_FUZZ_FOLDER").context("PIERHEAD_FUZZ_FOLDER is set by cargo xtask fuzz-api")?;
        let paths = given("PIERHEAD_FUZZ_PATHS").unwrap_or_default();
        Ok(Some(Self { examples: examples.parse()?, paths, folder: folder.into() }))
    }

    fn record(&self) -> PathBuf {
        self.folder.join("done")
    }

    /// Whether a run before did it, with no fewer requests and without finding anything.
    fn is_done(&self, part: &Part) -> bool {
        let record = std::fs::read_to_string(self.record()).unwrap_or_default();
        record.lines().filter_map(|line| line.split_once(' ')).any(|(examples, rest)| {
            examples.parse().is_ok_and(|examples: u32| examples >= self.examples)
                && rest.split_once(' ').is_some_and(|(_, resource)| resource == part.resource)
        })
    }

    fn log(&self, part: &Part) -> PathBuf {
        self.folder.join(format!("{}.log", file_name(&part.resource)))
    }

    fn note(&self, file: &Path, line: &str) -> Result<()> {
        use std::io::Write as _;
        println!("{line}");
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
        Ok(writeln!(file, "{line}")?)
    }
}

/// Each resource by a schemathesis of its own, on every core one, which is what takes the time; what is done is not done
/// again by the next run.
#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_random_are_answered_as_described() -> Result<()> {
    let Some(many) = Many::wanted()? else { return Ok(()) };
    std::fs::create_dir_all(&many.folder)?;
    let (mut fuzz, mut parts) = Fuzz::begin().await?;
    fuzz.python = fuzz.python.limit(Duration::from_secs(48 * 3600));
    parts.retain(|part| part.resource.contains(&many.paths) && !many.is_done(part));
    println!("{} resources to ask about", parts.len());
    let (todo, found) = (Mutex::new(VecDeque::from(parts)), Mutex::new(Vec::new()));
    let all = Arc::new((fuzz, many, todo, found));
    let mut workers = JoinSet::new();
    for _ in 0..std::thread::available_parallelism()?.get() {
        let all = Arc::clone(&all);
        workers.spawn(async move {
            let (fuzz, many, todo, found) = &*all;
            let examples = many.examples.to_string();
            let next = || todo.lock().pop_front();
            while let Some(part) = next() {
                let began = tokio::time::Instant::now();
                let more =
                    ["--max-examples", &examples, "--continue-on-failure", "--generation-database", "none"];
                let outcome = fuzz.run(&part, &more).await?;
                std::fs::write(many.log(&part), outcome.to_string())?;
                let line = format!("{examples} {} {}", part.operations, part.resource);
                if outcome.code == Some(0) {
                    many.note(&many.record(), &line)?;
                } else {
                    many.note(&many.folder.join("found"), &line)?;
                    found.lock().push(part.resource);
                }
                println!("{} s", began.elapsed().as_secs());
            }
            anyhow::Ok(())
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    let (fuzz, many, _, found) = Arc::into_inner(all).context("every worker is done")?;
    let found = found.into_inner();
    ensure!(found.is_empty(), "see {} for {found:?}", many.folder.display());
    if many.paths.is_empty() {
        // The next run is one of another day.
        std::fs::remove_file(many.record())?;
    }
    fuzz.site.stop()
}
