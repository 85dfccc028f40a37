//! `set route-backends`: which services a route leads to, with which weights (platform 7.2).

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::SetOptions;
use crate::{environment::ExitStatus, object, print::tabwriter, session::Session};

/// How many services a route can have besides its first.
const MOST_ALTERNATES: usize = 3;

/// Show or change the services that a route leads to
///
/// Examples:
///   set route-backends web
///   set route-backends web blue=80 green=20
///   set route-backends web --adjust green=+10%
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct RouteBackendsArgs {
    /// ROUTE SERVICE=WEIGHT…
    #[arg(value_name = "WORD", required = true)]
    words: Vec<String>,
    /// Change the weight of the one service named, and of the first against it
    #[arg(long)]
    adjust: bool,
    /// All weights 0: nothing gets requests
    #[arg(long, conflicts_with_all = ["equal", "adjust"])]
    zero: bool,
    /// All weights 100
    #[arg(long, conflicts_with = "adjust")]
    equal: bool,
    #[command(flatten)]
    options: SetOptions,
}

pub(super) async fn run(args: RouteBackendsArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let Some((route, changes)) = args.words.split_first() else { bail!("a route must be named") };
    let word = if route.contains('/') { route.clone() } else { format!("routes.route.openshift.io/{route}") };
    let objects = args.options.objects(&[word], session).await?;
    if changes.is_empty() && !args.zero && !args.equal {
        let mut text = "NAME\tKIND\tTO\tWEIGHT\n".to_owned();
        for (_, route) in &objects {
            text.push_str(&rows(route));
        }
        session.print(&tabwriter::align(&text, tabwriter::TABLE))?;
        return Ok(ExitStatus::SUCCESS);
    }
    args.options
        .change(objects, "backends updated", session, |route| {
            let mut backends = backends(route);
            if args.adjust {
                adjust(&mut backends, changes)?;
            } else if args.zero || args.equal {
                for (_, weight) in &mut backends {
                    *weight = if args.zero { 0 } else { 100 };
                }
            } else {
                backends = parse(changes)?;
            }
            write(route, &backends)
        })
        .await
}

/// Service and weight, the first one first.
fn backends(route: &Value) -> Vec<(String, u64)> {
    let weight = |backend: &Value| backend.get("weight").and_then(Value::as_u64).unwrap_or(100);
    let first = route.pointer("/spec/to");
    first
        .into_iter()
        .chain(object::list(route, "spec.alternateBackends"))
        .map(|backend| (object::text(backend, "name").to_owned(), weight(backend)))
        .collect()
}

fn parse(changes: &[String]) -> anyhow::Result<Vec<(String, u64)>> {
    let mut backends = Vec::new();
    for change in changes {
        match change.split_once('=').map(|(name, weight)| (name, weight.parse::<u64>())) {
            Some((name, Ok(weight))) if !name.is_empty() && weight <= 256 => {
                backends.push((name.to_owned(), weight));
            }
            _ => bail!("expected NAME=WEIGHT with a weight between 0 and 256: {change}"),
        }
    }
    Ok(backends)
}

/// `name=40`, `name=40%`, `name=+10%`: the share of one service, at the cost of the first (or second).
fn adjust(backends: &mut [(String, u64)], changes: &[String]) -> anyhow::Result<()> {
    let [change] = changes else { bail!("only one backend can be adjusted at a time") };
    let Some((name, value)) = change.split_once('=') else { bail!("expected NAME=WEIGHT: {change}") };
    let Some(position) = backends.iter().position(|(known, _)| known == name) else {
        bail!("backend {name} is not in the list of backends");
    };
    let number = value.trim_end_matches('%');
    let is_relative = number.starts_with(['+', '-']);
    let Ok(number) = number.parse::<i64>() else { bail!("{value:?} is not a weight") };
    if !value.ends_with('%') {
        let old = i64::try_from(backends[position].1).unwrap_or(i64::MAX);
        let new = if is_relative { old.saturating_add(number) } else { number };
        backends[position].1 = u64::try_from(new.clamp(0, 256)).unwrap_or(0);
        return Ok(());
    }
    let other = usize::from(position == 0);
    let Some(other_weight) = backends.get(other).map(|(_, weight)| *weight) else {
        bail!("a share needs a second backend");
    };
    let total = other_weight + backends[position].1;
    let total = if total == 0 { 100 } else { total };
    let old = i64::try_from(backends[position].1 * 100 / total).unwrap_or(0);
    let share = if is_relative { old.saturating_add(number) } else { number }.clamp(0, 100);
    let new = total * u64::try_from(share).unwrap_or(0) / 100;
    backends[position].1 = new;
    backends[other].1 = total - new;
    Ok(())
}

fn write(route: &mut Value, backends: &[(String, u64)]) -> anyhow::Result<()> {
    let Some(((first, weight), others)) = backends.split_first() else {
        bail!("a route must have a backend");
    };
    if others.len() > MOST_ALTERNATES {
        bail!("a route can have at most {} backends", MOST_ALTERNATES + 1);
    }
    let backend = |name: &str, weight: u64| json!({"kind": "Service", "name": name, "weight": weight});
    let spec = object::object_mut(route, "spec");
    spec.insert("to".to_owned(), backend(first, *weight));
    if others.is_empty() {
        spec.remove("alternateBackends");
    } else {
        let others: Vec<Value> = others.iter().map(|(name, weight)| backend(name, *weight)).collect();
        spec.insert("alternateBackends".to_owned(), Value::Array(others));
    }
    Ok(())
}

fn rows(route: &Value) -> String {
    let backends = backends(route);
    let total: u64 = backends.iter().map(|(_, weight)| weight).sum();
    backends
        .iter()
        .map(|(name, weight)| {
            let share = (weight * 100).checked_div(total).unwrap_or(0);
            format!("routes/{}\tService\t{name}\t{weight} ({share}%)\n", object::name(route))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::adjust;

    #[track_caller]
    fn check(change: &str, expected: [u64; 2]) {
        let mut backends = vec![("blue".to_owned(), 80), ("green".to_owned(), 20)];
        adjust(&mut backends, &[change.to_owned()]).unwrap();
        assert_eq!([backends[0].1, backends[1].1], expected, "{change}");
    }

    #[test]
    fn weights_and_shares() {
        check("green=30", [80, 30]);
        check("green=+5", [80, 25]);
        check("green=50%", [50, 50]);
        check("green=+10%", [70, 30]);
        check("blue=-10%", [70, 30]);
    }
}
