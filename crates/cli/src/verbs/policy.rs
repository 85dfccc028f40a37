//! `policy`: who may do what (platform 5.1).

mod grant;
mod review;

use clap::{Args, Subcommand};

use crate::{environment::ExitStatus, session::Session};

use grant::{GrantArgs, Scope, SubjectKind};
pub(crate) use review::{CanIArgs, can_i};

/// Grant, withdraw and look up roles in the project
///
/// Examples:
///   policy add-role-to-user edit system:serviceaccount:pushed:pusher
///   policy add-role-to-user system:image-puller -z pusher
///   policy who-can update imagestreams/layers
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    verb: PolicyVerb,
}

/// The verbs that `policy` and `adm policy` share.
#[derive(Subcommand, Debug)]
pub(crate) enum PolicyVerb {
    /// Grant a role in the project to users or service accounts
    AddRoleToUser(GrantArgs),
    /// Withdraw a role in the project from users or service accounts
    RemoveRoleFromUser(GrantArgs),
    /// Grant a role in the project to groups
    AddRoleToGroup(GrantArgs),
    /// Withdraw a role in the project from groups
    RemoveRoleFromGroup(GrantArgs),
    /// Withdraw all roles in the project from users
    RemoveUser(grant::RemoveArgs),
    /// Withdraw all roles in the project from groups
    RemoveGroup(grant::RemoveArgs),
    /// List who may do something
    WhoCan(review::WhoCanArgs),
    /// Say whether you may do something
    CanI(review::CanIArgs),
    /// Grant a cluster role everywhere to users or service accounts
    AddClusterRoleToUser(GrantArgs),
    /// Withdraw a cluster role from users or service accounts
    RemoveClusterRoleFromUser(GrantArgs),
    /// Grant a cluster role everywhere to groups
    AddClusterRoleToGroup(GrantArgs),
    /// Withdraw a cluster role from groups
    RemoveClusterRoleFromGroup(GrantArgs),
}

pub(crate) async fn run(args: PolicyArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    run_verb(args.verb, session).await
}

/// `adm policy` knows of constraints as well.
#[derive(Subcommand, Debug)]
pub(crate) enum AdmPolicyVerb {
    #[command(flatten)]
    Common(PolicyVerb),
    /// Let the pods of users or service accounts run as a security context constraint permits
    AddSccToUser(GrantArgs),
    /// Let the pods of groups run as a security context constraint permits
    AddSccToGroup(GrantArgs),
    /// Withdraw a security context constraint from users or service accounts
    RemoveSccFromUser(GrantArgs),
    /// Withdraw a security context constraint from groups
    RemoveSccFromGroup(GrantArgs),
}

pub(crate) async fn run_adm(verb: AdmPolicyVerb, session: &mut Session) -> anyhow::Result<ExitStatus> {
    use AdmPolicyVerb as Verb;
    let project = Scope::Project;
    match verb {
        Verb::Common(verb) => run_verb(verb, session).await,
        Verb::AddSccToUser(args) => {
            grant::add(args.of_constraint(), SubjectKind::User, project, session).await
        }
        Verb::AddSccToGroup(args) => {
            grant::add(args.of_constraint(), SubjectKind::Group, project, session).await
        }
        Verb::RemoveSccFromUser(args) => {
            grant::remove(args.of_constraint(), SubjectKind::User, project, session).await
        }
        Verb::RemoveSccFromGroup(args) => {
            grant::remove(args.of_constraint(), SubjectKind::Group, project, session).await
        }
    }
}

pub(crate) async fn run_verb(verb: PolicyVerb, session: &mut Session) -> anyhow::Result<ExitStatus> {
    use PolicyVerb as Verb;
    match verb {
        Verb::AddRoleToUser(args) => grant::add(args, SubjectKind::User, Scope::Project, session).await,
        Verb::AddRoleToGroup(args) => grant::add(args, SubjectKind::Group, Scope::Project, session).await,
        Verb::AddClusterRoleToUser(args) => {
            grant::add(args, SubjectKind::User, Scope::Cluster, session).await
        }
        Verb::AddClusterRoleToGroup(args) => {
            grant::add(args, SubjectKind::Group, Scope::Cluster, session).await
        }
        Verb::RemoveRoleFromUser(args) => {
            grant::remove(args, SubjectKind::User, Scope::Project, session).await
        }
        Verb::RemoveRoleFromGroup(args) => {
            grant::remove(args, SubjectKind::Group, Scope::Project, session).await
        }
        Verb::RemoveClusterRoleFromUser(args) => {
            grant::remove(args, SubjectKind::User, Scope::Cluster, session).await
        }
        Verb::RemoveClusterRoleFromGroup(args) => {
            grant::remove(args, SubjectKind::Group, Scope::Cluster, session).await
        }
        Verb::RemoveUser(args) => grant::remove_all(args, SubjectKind::User, session).await,
        Verb::RemoveGroup(args) => grant::remove_all(args, SubjectKind::Group, session).await,
        Verb::WhoCan(args) => review::who_can(args, session).await,
        Verb::CanI(args) => review::can_i(args.with_subresource(), session).await,
    }
}
