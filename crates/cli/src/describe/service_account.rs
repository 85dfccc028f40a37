//! Service accounts with their secrets and tokens (platform 6).

use serde_json::Value;

use super::Context;
use crate::{globals::Era, object, verbs::sa::belongs_to};

pub(super) async fn describe(context: &Context<'_>, account: &Value) -> String {
    let namespace = object::namespace(account).unwrap_or_default();
    let name = object::name(account);
    let secrets = context.related("secrets", namespace, &[]).await;
    let uid = object::text(account, "metadata.uid");
    let mut tokens: Vec<String> = secrets
        .iter()
        .filter(|secret| belongs_to(secret, name, uid))
        .map(|secret| object::name(secret).to_owned())
        .collect();
    tokens.sort();
    let references = |list: &str| -> Vec<String> {
        let names = object::list(account, list).iter().map(|reference| object::text(reference, "name"));
        let exists =
            |name: &str| secrets.is_empty() || secrets.iter().any(|secret| object::name(secret) == name);
        names.map(|name| if exists(name) { name.to_owned() } else { format!("{name} (not found)") }).collect()
    };
    let pull = block("Image pull secrets:", &references("imagePullSecrets"));
    let mount = block("Mountable secrets:", &references("secrets"));
    let tokens = block("Tokens:", &tokens);
    if context.era == Era::V4 {
        return format!("{}{pull}{mount}{tokens}", super::head(account));
    }
    let labels = super::map_line(account, "metadata.labels");
    format!("Name:\t{name}\nNamespace:\t{namespace}\nLabels:\t{labels}\n\n{mount}\n{tokens}\n{pull}")
}

fn block(title: &str, names: &[String]) -> String {
    let empty = " ".repeat(title.len());
    match names.split_first() {
        None => format!("{title}\t<none>\n"),
        Some((first, rest)) => {
            let rest: String = rest.iter().map(|name| format!("{empty}\t{name}\n")).collect();
            format!("{title}\t{first}\n{rest}")
        }
    }
}
