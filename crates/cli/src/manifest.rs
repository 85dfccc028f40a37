//! Documents given with `-f`: files, directories, URLs, standard input; YAML or JSON; several in one; lists. With `-k`
//! those that the program `kustomize` makes.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::Stdio,
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, Method, Uri, header};
use pierhead_api::selector::LabelSelector;
use pierhead_client::{HttpClient, Proxies, Trust, yaml};
use serde_json::Value;

use crate::{
    discovery::ApiKind,
    environment::{ExitStatus, find_program},
    object,
    print::output::{Form, OutputArgs, print_objects},
    session::Session,
};

/// Where documents come from.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FileArgs {
    /// File, directory, URL or - for standard input; may be repeated
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub(crate) filenames: Vec<OsString>,
    /// Directory with a kustomization, instead of -f; the program kustomize makes the documents
    #[arg(short = 'k', long, value_name = "DIR", conflicts_with = "filenames")]
    kustomize: Option<OsString>,
    /// Also read the directories within directories
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
}

impl FileArgs {
    pub(crate) fn is_empty(&self) -> bool {
        self.filenames.is_empty() && self.kustomize.is_none()
    }

    /// All documents; lists are taken apart.
    pub(crate) async fn read(&self, session: &mut Session) -> anyhow::Result<Vec<Value>> {
        let mut documents = Vec::new();
        if let Some(folder) = &self.kustomize {
            take(folder, kustomized(folder, session).await?, &mut documents)?;
        }
        for name in &self.filenames {
            for file in self.expand(session, name)? {
                let content = match url_of(&file) {
                    Some(url) => download(url, &session.environment.proxies()).await?,
                    None => session.read_file(&file)?,
                };
                take(&file, content, &mut documents)?;
            }
        }
        if documents.is_empty() {
            let names: Vec<_> =
                self.filenames.iter().chain(&self.kustomize).map(|name| name.display()).collect();
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            bail!("no objects passed to {}", names.join(","));
        }
        Ok(documents)
    }

    /// `--local`: prints each document as it is after a change, and asks no server.
    pub(crate) async fn print_changed(
        &self,
        output: &OutputArgs,
        change: impl Fn(Value) -> anyhow::Result<Value>,
        session: &mut Session,
    ) -> anyhow::Result<ExitStatus> {
        if self.is_empty() {
            bail!("one or more files must be specified as -f when --local is set");
        }
        let form = match output.form(session)? {
            Form::Table { .. } => Form::Yaml,
            form => form,
        };
        for document in self.read(session).await? {
            print_objects(session, &form, vec![change(document)?], false, output.show_managed_fields)?;
        }
        Ok(ExitStatus::SUCCESS)
    }

    fn expand(&self, session: &Session, name: &OsStr) -> anyhow::Result<Vec<OsString>> {
        if name == "-" || url_of(name).is_some() {
            return Ok(vec![name.to_owned()]);
        }
        let path = session.path(name);
        if !path.is_dir() {
            if !path.exists() {
                bail!("the path {name:?} does not exist");
            }
            return Ok(vec![name.to_owned()]);
        }
        let mut files = Vec::new();
        collect(&path, self.recursive, &mut files).with_context(|| format!("unable to read {name:?}"))?;
        files.sort();
        if files.is_empty() {
            bail!("error reading [{}]: recognized file extensions are [.json .yaml .yml]", name.display());
        }
        Ok(files)
    }
}

/// The documents of a file.
fn take(file: &OsStr, content: Vec<u8>, documents: &mut Vec<Value>) -> anyhow::Result<()> {
    let text = String::from_utf8(content).with_context(|| format!("{} is not text", file.display()))?;
    let parsed = yaml::parse_documents(&text).with_context(|| format!("unable to read {file:?}"))?;
    for document in parsed {
        flatten(document, documents);
    }
    Ok(())
}

/// What `kustomize` makes of a folder. It is a program of its own: what it may be told changes with its releases.
async fn kustomized(folder: &OsStr, session: &Session) -> anyhow::Result<Vec<u8>> {
    let program = find_program(session.environment.search(), "kustomize");
    let Some(program) = program else {
        bail!(
            "-k needs the program kustomize, which is not on the path; where there is another that builds \
             kustomizations, pass on what it prints: kubectl kustomize {} | {} apply -f -",
            folder.display(),
            session.name
        );
    };
    let output = tokio::process::Command::new(program)
        .arg("build")
        .arg(session.path(folder))
        .envs(&session.environment.vars)
        .current_dir(&session.environment.cwd)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .context("kustomize cannot be run")?;
    if !output.status.success() {
        bail!("kustomize build {} failed with {}", folder.display(), output.status);
    }
    Ok(output.stdout)
}

/// A name that is an address.
fn url_of(name: &OsStr) -> Option<&str> {
    name.to_str().filter(|name| is_url(name))
}

fn is_url(name: &str) -> bool {
    name.starts_with("http://") || name.starts_with("https://")
}

/// How often the place of a document may point to another one.
const MOST_REDIRECTS: usize = 5;

/// The body behind a URL. No credentials are sent there.
async fn download(url: &str, proxies: &Proxies) -> anyhow::Result<Vec<u8>> {
    let http = HttpClient::through(&Trust::default(), proxies)?;
    let mut place = url.to_owned();
    for _ in 0..=MOST_REDIRECTS {
        let answer = http
            .fetch(Method::GET, &place, HeaderMap::new(), Bytes::new())
            .await
            .with_context(|| format!("unable to read URL {url:?}"))?;
        if answer.status.is_success() {
            return Ok(answer.body.to_vec());
        }
        let location = answer.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
        let Some(location) = location.filter(|_| answer.status.is_redirection()) else {
            bail!("unable to read URL {url:?}, server reported {}", answer.status);
        };
        place = if is_url(location) { location.to_owned() } else { beside(&place, location)? };
    }
    bail!("unable to read URL {url:?}: it is somewhere else more than {MOST_REDIRECTS} times")
}

/// A path on the host of a URL.
fn beside(url: &str, path: &str) -> anyhow::Result<String> {
    let mut parts = url.parse::<Uri>().with_context(|| format!("{url:?} is not a URL"))?.into_parts();
    parts.path_and_query = Some(path.parse().with_context(|| format!("{path:?} is not a path"))?);
    Ok(Uri::from_parts(parts)?.to_string())
}

fn collect(folder: &Path, recursive: bool, files: &mut Vec<OsString>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() && recursive {
            collect(&path, recursive, files)?;
        } else if matches!(extension, Some("json" | "yaml" | "yml")) {
            files.push(path.into_os_string());
        }
    }
    Ok(())
}

fn flatten(mut document: Value, documents: &mut Vec<Value>) {
    if !object::is_list(&document) {
        documents.push(document);
        return;
    }
    if let Some(Value::Array(items)) = document.get_mut("items").map(Value::take) {
        for item in items {
            flatten(item, documents);
        }
    }
}

/// Whether the labels in a document are those that a selector asks for.
pub(crate) fn is_selected(selector: &LabelSelector, document: &Value) -> bool {
    let labels = object::string_map(document, "metadata.labels").into_iter();
    selector.matches(&labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

/// The name of the object that a document is about. Without one, a request for it would be for all of its kind.
pub(crate) fn name_of(document: &Value) -> anyhow::Result<&str> {
    match object::name(document) {
        "" => bail!("resource name may not be empty"),
        name => Ok(name),
    }
}

/// Makes a document ready to be sent: the group of its kind in `apiVersion`, a namespace where it needs one.
/// Gives the namespace of the request.
pub(crate) fn prepare(
    session: &mut Session,
    kind: &ApiKind,
    document: &mut Value,
) -> anyhow::Result<Option<String>> {
    object::set_text(document, "apiVersion", &kind.api_version());
    if !kind.namespaced {
        return Ok(None);
    }
    match object::namespace(document).map(str::to_owned) {
        Some(own) => {
            if let Some(wanted) = session.globals.namespace.as_ref().filter(|wanted| **wanted != own) {
                bail!(
                    "the namespace from the provided object {own:?} does not match the namespace {wanted:?}. \
                     You must pass '--namespace={own}' to perform this operation."
                );
            }
            Ok(Some(own))
        }
        None => {
            let namespace = session.namespace()?;
            object::set_text(document, "metadata.namespace", &namespace);
            Ok(Some(namespace))
        }
    }
}
