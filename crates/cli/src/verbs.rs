//! The verbs, a file each, and the grammar that holds them together.

mod adm;
mod api_resources;
mod api_versions;
mod apply;
mod auth;
mod cluster_info;
mod completion;
mod concepts;
mod config;
mod create;
mod delete;
mod deploy;
mod describe;
mod diff;
mod edit;
mod events;
mod explain;
mod export;
mod expose;
mod extract;
pub(crate) mod get;
mod image;
mod import_image;
mod label;
mod login;
mod logout;
mod logs;
mod man;
mod new_project;
mod options;
mod patch;
mod plugin;
mod policy;
mod project;
mod registry;
mod replace;
mod rollback;
mod rollout;
pub(crate) mod run;
pub(crate) mod sa;
mod scale;
mod secrets;
mod set;
mod status;
mod tag;
mod version;
mod wait;
mod whoami;

use clap::{Parser, Subcommand};

use crate::{environment::ExitStatus, globals::Globals, session::Session};

/// Work with projects, images and routes
#[derive(Parser, Debug)]
#[command(
    disable_help_subcommand = false,
    max_term_width = 110,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    Login(login::LoginArgs),
    Logout(logout::LogoutArgs),
    Whoami(whoami::WhoamiArgs),
    NewProject(new_project::NewProjectArgs),
    Project(project::ProjectArgs),
    Projects(project::ProjectsArgs),
    Get(get::GetArgs),
    Describe(describe::DescribeArgs),
    Create(Box<create::CreateArgs>),
    Apply(apply::ApplyArgs),
    Replace(replace::ReplaceArgs),
    Patch(patch::PatchArgs),
    Label(label::LabelArgs),
    Annotate(label::AnnotateArgs),
    Diff(diff::DiffArgs),
    Edit(edit::EditArgs),
    Delete(delete::DeleteArgs),
    Wait(wait::WaitArgs),
    Events(events::EventsArgs),
    Extract(extract::ExtractArgs),
    Status(status::StatusArgs),
    Run(run::RunArgs),
    Rollout(rollout::RolloutArgs),
    Rollback(rollback::RollbackArgs),
    Scale(scale::ScaleArgs),
    Deploy(deploy::DeployArgs),
    Logs(logs::LogsArgs),
    Set(set::SetArgs),
    Expose(expose::ExposeArgs),
    Tag(tag::TagArgs),
    ImportImage(import_image::ImportImageArgs),
    Image(image::ImageArgs),
    Registry(registry::RegistryArgs),
    Secrets(secrets::SecretsArgs),
    Sa(sa::SaArgs),
    Policy(policy::PolicyArgs),
    Adm(adm::AdmArgs),
    Auth(auth::AuthArgs),
    Config(config::ConfigArgs),
    Export(export::ExportArgs),
    Explain(explain::ExplainArgs),
    ApiResources(api_resources::ApiResourcesArgs),
    ApiVersions(api_versions::ApiVersionsArgs),
    ClusterInfo(cluster_info::ClusterInfoArgs),
    Types(concepts::TypesArgs),
    Options(options::OptionsArgs),
    Plugin(plugin::PluginArgs),
    Completion(completion::CompletionArgs),
    Man(man::ManArgs),
    #[command(name = "__complete")]
    Complete(completion::CompleteArgs),
    Version(version::VersionArgs),
}

/// Runs a verb.
pub(crate) async fn run(verb: Verb, session: &mut Session) -> anyhow::Result<ExitStatus> {
    match verb {
        Verb::Login(args) => login::run(args, session).await,
        Verb::Logout(args) => logout::run(args, session).await,
        Verb::Whoami(args) => whoami::run(args, session).await,
        Verb::NewProject(args) => new_project::run(args, session).await,
        Verb::Project(args) => project::run(args, session).await,
        Verb::Projects(args) => project::run_list(args, session).await,
        Verb::Get(args) => get::run(args, session).await,
        Verb::Describe(args) => describe::run(args, session).await,
        Verb::Create(args) => create::run(*args, session).await,
        Verb::Apply(args) => apply::run(args, session).await,
        Verb::Replace(args) => replace::run(args, session).await,
        Verb::Patch(args) => patch::run(args, session).await,
        Verb::Label(args) => label::run_label(args, session).await,
        Verb::Annotate(args) => label::run_annotate(args, session).await,
        Verb::Edit(args) => edit::run(args, session).await,
        Verb::Wait(args) => wait::run(args, session).await,
        Verb::Extract(args) => extract::run(args, session).await,
        Verb::Delete(args) => delete::run(args, session).await,
        Verb::Status(args) => status::run(args, session).await,
        Verb::Run(args) => run::run(args, session).await,
        Verb::Rollout(args) => rollout::run(args, session).await,
        Verb::Rollback(args) => rollback::run(args, session).await,
        Verb::Scale(args) => scale::run(args, session).await,
        Verb::Deploy(args) => deploy::run(args, session).await,
        Verb::Logs(args) => logs::run(args, session).await,
        Verb::Set(args) => set::run(args, session).await,
        Verb::Expose(args) => expose::run(args, session).await,
        Verb::Tag(args) => tag::run(args, session).await,
        Verb::ImportImage(args) => import_image::run(args, session).await,
        Verb::Image(args) => image::run(args, session).await,
        Verb::Registry(args) => registry::run(args, session).await,
        Verb::Secrets(args) => secrets::run(args, session).await,
        Verb::Sa(args) => sa::run(args, session).await,
        Verb::Policy(args) => policy::run(args, session).await,
        Verb::Adm(args) => adm::run(args, session).await,
        Verb::Auth(args) => auth::run(args, session).await,
        Verb::Config(args) => config::run(args, session),
        Verb::Export(args) => export::run(args, session).await,
        Verb::Explain(args) => explain::run(args, session).await,
        Verb::ApiResources(args) => api_resources::run(args, session).await,
        Verb::ApiVersions(args) => api_versions::run(args, session).await,
        Verb::ClusterInfo(args) => cluster_info::run(args, session).await,
        Verb::Types(args) => concepts::run(args, session),
        Verb::Options(args) => options::run(args, session),
        Verb::Plugin(args) => plugin::run(args, session),
        Verb::Completion(args) => completion::run(args, session),
        Verb::Man(args) => man::run(args, session),
        Verb::Complete(args) => completion::complete(args, session).await,
        Verb::Diff(args) => diff::run(args, session).await,
        Verb::Events(args) => events::run(args, session).await,
        Verb::Version(args) => version::run(args, session).await,
    }
}
