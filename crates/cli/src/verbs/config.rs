//! `config`: look at and change the kubeconfig.
//!
//! Owns what is said of it. Which of several files an entry is in is `client::kubeconfig`'s business.

mod entries;
mod property;

use anyhow::bail;
use clap::{Args, Subcommand};
use pierhead_client::{kubeconfig::Kubeconfig, yaml};
use serde_json::Value;

use crate::{
    environment::ExitStatus,
    print::{
        output::{Form, OutputArgs},
        tabwriter,
    },
    session::Session,
};

/// Look at and change the kubeconfig
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Subcommand, Debug)]
enum ConfigVerb {
    /// Show the merged kubeconfig, secrets left out
    View(ViewArgs),
    /// List the contexts
    GetContexts(GetContextsArgs),
    /// List the clusters
    GetClusters,
    /// List the users
    GetUsers,
    /// Print the name of the current context
    CurrentContext,
    /// Make a context the current one
    #[command(visible_alias = "use")]
    UseContext(NameArgs),
    SetContext(entries::SetContextArgs),
    SetCluster(entries::SetClusterArgs),
    SetCredentials(Box<entries::SetCredentialsArgs>),
    RenameContext(entries::RenameContextArgs),
    Set(property::SetArgs),
    Unset(property::UnsetArgs),
    /// Forget a context
    DeleteContext(NameArgs),
    /// Forget a cluster
    ///
    /// Examples:
    ///   config delete-cluster api-example-com:8443
    #[command(verbatim_doc_comment)]
    DeleteCluster(NameArgs),
    /// Forget a user
    ///
    /// Examples:
    ///   config delete-user ed/api-example-com:8443
    #[command(verbatim_doc_comment)]
    DeleteUser(NameArgs),
}

#[derive(Args, Debug)]
struct ViewArgs {
    /// Show secrets too
    #[arg(long)]
    raw: bool,
    /// Only what the current context uses
    #[arg(long)]
    minify: bool,
    /// Put the contents of files in the place of their names
    #[arg(long)]
    flatten: bool,
    /// Accepted for old scripts: files are always merged
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    merge: Option<bool>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Debug)]
struct GetContextsArgs {
    /// Only this one
    name: Option<String>,
    /// name: print only names
    #[arg(short = 'o', long, value_name = "FORM", value_parser = ["name"])]
    output: Option<String>,
    /// Leave out the header
    #[arg(long)]
    no_headers: bool,
}

#[derive(Args, Debug)]
struct NameArgs {
    /// Name of the entry
    name: String,
}

pub(crate) fn run(args: ConfigArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    match args.verb {
        ConfigVerb::View(args) => view(&args, session)?,
        ConfigVerb::GetContexts(args) => get_contexts(&args, session)?,
        ConfigVerb::GetClusters => {
            let names: Vec<String> = session.kubeconfig()?.config.clusters.keys().cloned().collect();
            list("NAME", &names, session)?;
        }
        ConfigVerb::GetUsers => {
            let names: Vec<String> = session.kubeconfig()?.config.users.keys().cloned().collect();
            list("NAME", &names, session)?;
        }
        ConfigVerb::CurrentContext => {
            let current = session.kubeconfig()?.config.current_context.clone();
            if current.is_empty() {
                bail!("current-context is not set");
            }
            session.say(&current)?;
        }
        ConfigVerb::UseContext(NameArgs { name }) => {
            let kubeconfig = session.kubeconfig()?;
            if !kubeconfig.config.contexts.contains_key(&name) {
                bail!("no context exists with the name: {name:?}");
            }
            kubeconfig.config.current_context.clone_from(&name);
            kubeconfig.save()?;
            session.say(&format!("Switched to context {name:?}."))?;
        }
        ConfigVerb::SetContext(args) => entries::set_context(args, session)?,
        ConfigVerb::SetCluster(args) => entries::set_cluster(args, session)?,
        ConfigVerb::SetCredentials(args) => entries::set_credentials(*args, session)?,
        ConfigVerb::RenameContext(args) => entries::rename_context(&args, session)?,
        ConfigVerb::Set(args) => property::set(&args, session)?,
        ConfigVerb::Unset(args) => property::unset(&args, session)?,
        ConfigVerb::DeleteContext(NameArgs { name }) => {
            let kubeconfig = session.kubeconfig()?;
            if kubeconfig.config.contexts.remove(&name).is_none() {
                bail!("cannot delete context {name}, not in {}", place(kubeconfig));
            }
            let was_current = kubeconfig.config.current_context == name;
            kubeconfig.save()?;
            if was_current {
                session.remark(
                    "warning: this removed your active context, use \"config use-context\" to select a different one",
                )?;
            }
            let text = format!("deleted context {name} from {}", place(session.kubeconfig()?));
            session.say(&text)?;
        }
        ConfigVerb::DeleteCluster(NameArgs { name }) => {
            let kubeconfig = session.kubeconfig()?;
            if kubeconfig.config.clusters.remove(&name).is_none() {
                bail!("cannot delete cluster {name}, not in {}", place(kubeconfig));
            }
            kubeconfig.save()?;
            let text = format!("deleted cluster {name} from {}", place(kubeconfig));
            session.say(&text)?;
        }
        ConfigVerb::DeleteUser(NameArgs { name }) => {
            let kubeconfig = session.kubeconfig()?;
            if kubeconfig.config.users.remove(&name).is_none() {
                bail!("cannot delete user {name}, not in {}", place(kubeconfig));
            }
            kubeconfig.save()?;
            let text = format!("deleted user {name} from {}", place(kubeconfig));
            session.say(&text)?;
        }
    }
    Ok(ExitStatus::SUCCESS)
}

/// Where new entries would go, for messages.
fn place(kubeconfig: &Kubeconfig) -> String {
    kubeconfig.default_file().map_or_else(|| "the kubeconfig".to_owned(), |file| file.display().to_string())
}

fn list(title: &str, names: &[String], session: &mut Session) -> anyhow::Result<()> {
    session.say(title)?;
    for name in names {
        session.say(name)?;
    }
    Ok(())
}

fn view(args: &ViewArgs, session: &mut Session) -> anyhow::Result<()> {
    let form = match &args.output.output {
        None => Form::Yaml,
        Some(_) => args.output.form(session)?,
    };
    let wanted = session.globals.context.clone();
    let mut config = session.kubeconfig()?.config.clone();
    if args.minify {
        let name = wanted.unwrap_or_else(|| config.current_context.clone());
        let Some(current) = config.contexts.get(&name).cloned() else {
            bail!("cannot locate context {name:?}: a current context must exist in order to minify")
        };
        config.current_context.clone_from(&name);
        config.contexts.retain(|known, _| *known == name);
        config.clusters.retain(|known, _| *known == current.cluster);
        config.users.retain(|known, _| *known == current.user);
    }
    if args.flatten {
        entries::flatten(&mut config)?;
    }
    let mut document = config.to_value();
    if !args.raw {
        redact(&mut document);
    }
    let text = match form {
        Form::Yaml => yaml::to_string(&document),
        Form::Json => format!("{document:#}\n"),
        Form::JsonPath(path) => path.render(&document)?,
        Form::Template(template) => template.render(&document)?,
        _ => bail!("this output form is not for the kubeconfig: use json, yaml, jsonpath=… or go-template=…"),
    };
    session.print_data(&text)?;
    Ok(())
}

fn redact(document: &mut Value) {
    match document {
        Value::Object(fields) => {
            for (key, value) in fields {
                match key.as_str() {
                    "token" | "password" => *value = Value::from("REDACTED"),
                    "client-certificate-data" | "client-key-data" => *value = Value::from("DATA+OMITTED"),
                    "certificate-authority-data" => *value = Value::from("DATA+OMITTED"),
                    "proxy-url" => {
                        if let Some(url) = value.as_str() {
                            *value = Value::from(pierhead_client::without_credentials(url));
                        }
                    }
                    _ => redact(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

fn get_contexts(args: &GetContextsArgs, session: &mut Session) -> anyhow::Result<()> {
    let mut config = session.kubeconfig()?.config.clone();
    if let Some(name) = &args.name {
        if !config.contexts.contains_key(name) {
            bail!("context {name} not found");
        }
        config.contexts.retain(|known, _| known == name);
    }
    if args.output.is_some() {
        for name in config.contexts.keys() {
            session.say(name)?;
        }
        return Ok(());
    }
    let header = "CURRENT\tNAME\tCLUSTER\tAUTHINFO\tNAMESPACE\n";
    let mut text = if args.no_headers { String::new() } else { header.to_owned() };
    for (name, context) in &config.contexts {
        let mark = if *name == config.current_context { "*" } else { "" };
        let namespace = context.namespace.as_deref().unwrap_or_default();
        text.push_str(&format!("{mark}\t{name}\t{}\t{}\t{namespace}\n", context.cluster, context.user));
    }
    session.print(&tabwriter::align(&text, tabwriter::TABLE))?;
    Ok(())
}
