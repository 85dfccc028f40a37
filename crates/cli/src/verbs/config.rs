//! `config`: look at and change the kubeconfig.

use anyhow::bail;
use clap::{Args, Subcommand};
use pierhead_client::yaml;
use serde_json::Value;

use crate::{environment::ExitStatus, print::tabwriter, session::Session};

/// Look at and change the kubeconfig
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Subcommand, Debug)]
enum ConfigVerb {
    /// Show the merged kubeconfig, secrets left out
    View {
        /// Show secrets too
        #[arg(long)]
        raw: bool,
        /// Only what the current context uses
        #[arg(long)]
        minify: bool,
        /// yaml or json
        #[arg(short = 'o', long, default_value = "yaml", value_name = "FORM")]
        output: String,
    },
    /// List the contexts
    GetContexts {
        /// name: print only names
        #[arg(short = 'o', long, value_name = "FORM")]
        output: Option<String>,
    },
    /// Print the name of the current context
    CurrentContext,
    /// Make a context the current one
    #[command(visible_alias = "use")]
    UseContext {
        /// Name of the context
        name: String,
    },
    /// Forget a context
    DeleteContext {
        /// Name of the context
        name: String,
    },
}

pub(crate) fn run(args: ConfigArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    match args.verb {
        ConfigVerb::View { raw, minify, output } => view(raw, minify, &output, session)?,
        ConfigVerb::GetContexts { output } => get_contexts(output.as_deref() == Some("name"), session)?,
        ConfigVerb::CurrentContext => {
            let current = session.kubeconfig()?.config.current_context.clone();
            if current.is_empty() {
                bail!("current-context is not set");
            }
            session.say(&current)?;
        }
        ConfigVerb::UseContext { name } => {
            let kubeconfig = session.kubeconfig()?;
            if !kubeconfig.config.contexts.contains_key(&name) {
                bail!("no context exists with the name: {name:?}");
            }
            kubeconfig.config.current_context.clone_from(&name);
            kubeconfig.save()?;
            session.say(&format!("Switched to context {name:?}."))?;
        }
        ConfigVerb::DeleteContext { name } => {
            let kubeconfig = session.kubeconfig()?;
            if kubeconfig.config.contexts.remove(&name).is_none() {
                bail!("cannot delete context {name}, not in the kubeconfig");
            }
            kubeconfig.save()?;
            session.say(&format!("deleted context {name}"))?;
        }
    }
    Ok(ExitStatus::SUCCESS)
}

fn view(raw: bool, minify: bool, output: &str, session: &mut Session) -> anyhow::Result<()> {
    let mut config = session.kubeconfig()?.config.clone();
    if minify {
        let Some(current) = config.current().cloned() else {
            bail!("current-context must exist in order to minify")
        };
        let name = config.current_context.clone();
        config.contexts.retain(|known, _| *known == name);
        config.clusters.retain(|known, _| *known == current.cluster);
        config.users.retain(|known, _| *known == current.user);
    }
    let mut document = config.to_value();
    if !raw {
        redact(&mut document);
    }
    match output {
        "yaml" => session.print_data(&yaml::to_string(&document))?,
        "json" => session.print_data(&format!("{document:#}\n"))?,
        other => bail!(
            "unable to match a printer suitable for the output format {other:?}, allowed formats are: json,yaml"
        ),
    }
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
                    _ => redact(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

fn get_contexts(names_only: bool, session: &mut Session) -> anyhow::Result<()> {
    let config = session.kubeconfig()?.config.clone();
    if names_only {
        for name in config.contexts.keys() {
            session.say(name)?;
        }
        return Ok(());
    }
    let mut text = "CURRENT\tNAME\tCLUSTER\tAUTHINFO\tNAMESPACE\n".to_owned();
    for (name, context) in &config.contexts {
        let mark = if *name == config.current_context { "*" } else { "" };
        let namespace = context.namespace.as_deref().unwrap_or_default();
        text.push_str(&format!("{mark}\t{name}\t{}\t{}\t{namespace}\n", context.cluster, context.user));
    }
    session.print(&tabwriter::align(&text, tabwriter::TABLE))?;
    Ok(())
}
