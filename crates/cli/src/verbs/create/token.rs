//! `create token`: a token of a service account that ends by itself (platform 4.3).

use anyhow::{Context as _, bail};
use clap::Args;
use http::Method;
use serde_json::json;

use crate::{
    environment::ExitStatus,
    object,
    print::output::{Form, OutputArgs, print_objects},
    session::{Session, parse_timeout},
    verbs::get,
};

/// Ask for a token of a service account
///
/// Examples:
///   create token pusher
///   create token pusher --duration=1h --audience=https://vault.example.com
///   create token pusher --bound-object-kind=Secret --bound-object-name=build
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct TokenArgs {
    /// Service account
    account: String,
    /// Whom the token is for; the API server unless given
    #[arg(long, value_name = "AUDIENCE")]
    audience: Vec<String>,
    /// How long it is good for, such as 1h; the server decides unless given
    #[arg(long, value_name = "DURATION")]
    duration: Option<String>,
    /// Pod, Secret or Node: the token ends with this object
    #[arg(long, requires = "bound_object_name", value_parser = ["Pod", "Secret", "Node"], value_name = "KIND")]
    bound_object_kind: Option<String>,
    /// Name of that object
    #[arg(long, requires = "bound_object_kind", value_name = "NAME")]
    bound_object_name: Option<String>,
    /// Uid of that object; read from the server unless given
    #[arg(long, requires = "bound_object_kind", value_name = "UID")]
    bound_object_uid: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: TokenArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let form = args.output.form(session)?;
    let discovery = session.discovery().await?;
    let (client, namespace) = (session.client()?, session.namespace()?);
    let mut spec = json!({"audiences": args.audience});
    if let Some(duration) = &args.duration {
        let Some(duration) = parse_timeout(duration)? else {
            bail!("--duration must be greater than or equal to 0")
        };
        spec["expirationSeconds"] = json!(duration.as_secs());
    }
    if let (Some(kind), Some(name)) = (&args.bound_object_kind, &args.bound_object_name) {
        let known = discovery.of_kind("v1", kind)?;
        let uid = match &args.bound_object_uid {
            Some(uid) => uid.clone(),
            None => {
                let bound = get::read(&client, known, &namespace, name).await?;
                object::text(&bound, "metadata.uid").to_owned()
            }
        };
        spec["boundObjectRef"] = json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": uid});
    }
    let accounts = discovery.known("", "serviceaccounts")?.resource();
    let path = accounts.item(Some(&namespace), &args.account, Some("token"));
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let answer = client
        .request(Method::POST, &path, None, Some(&request))
        .await
        .with_context(|| format!("failed to create token for service account {:?}", args.account))?;
    if !matches!(form, Form::Table { .. }) {
        print_objects(session, &form, vec![answer], false, true)?;
        return Ok(ExitStatus::SUCCESS);
    }
    let token = object::text(&answer, "status.token");
    if token.is_empty() {
        bail!("failed to create token: no token in server response");
    }
    session.say(token)?;
    Ok(ExitStatus::SUCCESS)
}
