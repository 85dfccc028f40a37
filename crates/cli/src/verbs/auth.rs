//! `auth`: questions about oneself in kubectl's grammar.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::policy::{CanIArgs, can_i};
use crate::{environment::ExitStatus, object, print::tabwriter, session::Session};

/// Look at your own rights
#[derive(Args, Debug)]
pub(crate) struct AuthArgs {
    #[command(subcommand)]
    verb: AuthVerb,
}

#[derive(Subcommand, Debug)]
enum AuthVerb {
    CanI(CanIArgs),
    /// Show who the server says you are
    Whoami,
}

pub(crate) async fn run(args: AuthArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    match args.verb {
        AuthVerb::CanI(args) => can_i(args, session).await,
        AuthVerb::Whoami => whoami(session).await,
    }
}

async fn whoami(session: &mut Session) -> anyhow::Result<ExitStatus> {
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer = session.client()?.request(Method::POST, path, None, Some(&review)).await?;
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
