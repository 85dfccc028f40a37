//! `auth`: questions about oneself in kubectl's grammar.

mod reconcile;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::policy::{CanIArgs, can_i};
use crate::{
    environment::ExitStatus,
    object,
    print::{
        output::{Form, OutputArgs, print_objects},
        tabwriter,
    },
    session::Session,
};

/// Look at your own rights, and put roles in order
///
/// Examples:
///   auth can-i create imagestreams
///   auth can-i --list
///   auth whoami
///   auth reconcile -f roles.yaml
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct AuthArgs {
    #[command(subcommand)]
    verb: AuthVerb,
}

#[derive(Subcommand, Debug)]
enum AuthVerb {
    CanI(CanIArgs),
    Whoami(WhoamiArgs),
    Reconcile(reconcile::ReconcileArgs),
}

/// Show who the server says you are
///
/// Examples:
///   auth whoami
///   auth whoami -o json
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
struct WhoamiArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: AuthArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    match args.verb {
        AuthVerb::CanI(args) => can_i(args, session).await,
        AuthVerb::Whoami(args) => whoami(args, session).await,
        AuthVerb::Reconcile(args) => reconcile::run(args, session).await,
    }
}

async fn whoami(args: WhoamiArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer = session.client()?.request(Method::POST, path, None, Some(&review)).await?;
    let form = args.output.form(session)?;
    if !matches!(form, Form::Table { .. }) {
        print_objects(session, &form, vec![answer], false, true)?;
        return Ok(ExitStatus::SUCCESS);
    }
    let user = object::at(&answer, "status.userInfo").cloned().unwrap_or(Value::Null);
    let mut text = format!("ATTRIBUTE\tVALUE\nUsername\t{}\n", object::text(&user, "username"));
    if !object::text(&user, "uid").is_empty() {
        text.push_str(&format!("UID\t{}\n", object::text(&user, "uid")));
    }
    let words = |values: &[Value]| values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
    let groups = object::list(&user, "groups");
    if !groups.is_empty() {
        text.push_str(&format!("Groups\t[{}]\n", words(groups)));
    }
    for (key, values) in object::at(&user, "extra").and_then(Value::as_object).into_iter().flatten() {
        let values = values.as_array().map_or(&[] as &[Value], Vec::as_slice);
        text.push_str(&format!("Extra: {key}\t[{}]\n", words(values)));
    }
    session.print(&tabwriter::align(&text, tabwriter::TABLE))?;
    Ok(ExitStatus::SUCCESS)
}
