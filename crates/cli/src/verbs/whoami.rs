//! `whoami`: the user, token, context and server in use (platform 2.8).

use anyhow::bail;
use clap::Args;
use http::Method;
use pierhead_client::{Client, ClientError, Credentials};
use serde_json::json;

use crate::{environment::ExitStatus, error::Usage, object, session::Session};

/// Show who you are
///
/// Examples:
///   whoami
///   whoami -t
///   whoami --show-server
#[derive(Args, Debug)]
#[command(alias = "whoam", verbatim_doc_comment)]
pub(crate) struct WhoamiArgs {
    /// Print the token of the session
    #[arg(short = 't', long)]
    show_token: bool,
    /// Print the name of the context
    #[arg(short = 'c', long)]
    show_context: bool,
    /// Print the address of the server
    #[arg(long)]
    show_server: bool,
    /// Print the address of the web console; that of the server where there is none
    #[arg(long)]
    show_console: bool,
}

pub(crate) async fn run(args: WhoamiArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    if [args.show_token, args.show_context, args.show_server].iter().filter(|one| **one).count() > 1 {
        return Err(
            Usage("--show-token, --show-context and --show-server each stand alone".to_owned()).into()
        );
    }
    if args.show_token {
        let Credentials::Token(token) = session.connect_options()?.credentials else {
            bail!("no token is currently in use for this session");
        };
        session.say(token.expose())?;
    } else if args.show_context {
        let config = &session.kubeconfig()?.config;
        let name = config.current_context.clone();
        if name.is_empty() {
            bail!("no context has been set");
        }
        session.say(&name)?;
    } else if args.show_server {
        let server = session.connect_options()?.server;
        session.say(&server)?;
    } else if args.show_console {
        let path = "/api/v1/namespaces/openshift-config-managed/configmaps/console-public";
        let console = match session.client()?.request(Method::GET, path, None, None).await {
            Ok(found) => object::text(&found, "data.consoleURL").to_owned(),
            Err(error) if error.is_not_found() => String::new(),
            Err(error) => return Err(error.into()),
        };
        let shown = if console.is_empty() { session.server()? } else { console };
        session.say(&shown)?;
    } else {
        let name = user_name(&session.client()?).await?;
        session.say(&name)?;
    }
    Ok(ExitStatus::SUCCESS)
}

/// The name that the server knows the client's user by.
pub(crate) async fn user_name(client: &Client) -> Result<String, ClientError> {
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    match client.request(Method::POST, path, None, Some(&review)).await {
        Ok(answer) => return Ok(object::text(&answer, "status.userInfo.username").to_owned()),
        Err(error @ (ClientError::Api(_) | ClientError::NoSuchResource { .. }))
            if !error.is_unauthorized() => {}
        Err(error) => return Err(error),
    }
    let user = client.request(Method::GET, "/apis/user.openshift.io/v1/users/~", None, None).await?;
    Ok(object::name(&user).to_owned())
}
