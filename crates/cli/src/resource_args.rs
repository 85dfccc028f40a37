//! Which objects are meant by `TYPE NAME…`, `TYPE/NAME…`, `TYPE,TYPE`, `all`, and by the flags that stand for names.

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use crate::{
    discovery::{ApiKind, Discovery},
    object,
    session::Session,
    verbs::get,
};

/// Said when objects are both named and selected: the names would be all that counts.
pub(crate) const NAME_AND_SELECTOR: &str = "name cannot be provided when a selector is specified";

/// What may be said in the place of names.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SelectArgs {
    /// All objects of the type
    #[arg(long)]
    pub(crate) all: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
    /// Only objects with these fields
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) field_selector: Option<String>,
    /// Look into all projects
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
}

/// Objects of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) kind: ApiKind,
    /// None means all of the kind.
    pub(crate) name: Option<String>,
}

/// One object, and where it is; the namespace means nothing for kinds outside of namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) kind: ApiKind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// What the words mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) targets: Vec<Target>,
    /// Several kinds were asked for, so results need their kind's name.
    pub(crate) several_kinds: bool,
}

impl SelectArgs {
    /// The objects that the words and these flags mean, as they are now.
    pub(crate) async fn objects(
        &self,
        words: &[String],
        session: &mut Session,
    ) -> anyhow::Result<Vec<(ApiKind, Value)>> {
        let (client, namespace) = (session.client()?, session.namespace()?);
        let mut found = Vec::new();
        for target in self.targets(words, session).await? {
            match &target.name {
                Some(name) => {
                    let object = get::read(&client, &target.kind, &namespace, name).await?;
                    found.push((target.kind, object));
                }
                None => {
                    let objects = self.read_all(&target.kind, session).await?;
                    found.extend(objects.into_iter().map(|object| (target.kind.clone(), object)));
                }
            }
        }
        Ok(found)
    }

    /// Their names. Those that are in the words are not looked for.
    pub(crate) async fn names(&self, words: &[String], session: &mut Session) -> anyhow::Result<Vec<Named>> {
        let own = session.namespace()?;
        let mut found = Vec::new();
        for Target { kind, name } in self.targets(words, session).await? {
            match name {
                Some(name) => found.push(Named { kind, namespace: own.clone(), name }),
                None => {
                    for object in self.read_all(&kind, session).await? {
                        let namespace = object::namespace(&object).unwrap_or(&own).to_owned();
                        let name = object::name(&object).to_owned();
                        found.push(Named { kind: kind.clone(), namespace, name });
                    }
                }
            }
        }
        Ok(found)
    }

    async fn targets(&self, words: &[String], session: &mut Session) -> anyhow::Result<Vec<Target>> {
        let targets = parse(&*session.discovery().await?, words)?.targets;
        let selects = self.all || self.selector.is_some() || self.field_selector.is_some();
        if selects && targets.iter().any(|target| target.name.is_some()) {
            bail!(NAME_AND_SELECTOR);
        }
        if !selects && targets.iter().any(|target| target.name.is_none()) {
            bail!("resource(s) were provided, but no name, label selector, or --all flag specified");
        }
        Ok(targets)
    }

    async fn read_all(&self, kind: &ApiKind, session: &mut Session) -> anyhow::Result<Vec<Value>> {
        let mut query = Vec::new();
        query.extend(self.selector.as_deref().map(|selector| ("labelSelector", selector)));
        query.extend(self.field_selector.as_deref().map(|selector| ("fieldSelector", selector)));
        let namespace = session.namespace()?;
        let scope = (!self.all_namespaces).then_some(namespace.as_str());
        Ok(get::read_all(&session.client()?, kind, scope, &query).await?)
    }
}

/// Reads the words behind a verb.
pub(crate) fn parse(discovery: &Discovery, words: &[String]) -> anyhow::Result<Selection> {
    let Some((first, names)) = words.split_first() else {
        bail!(
            "You must specify the type of resource to get. Use \"api-resources\" for a complete list of supported resources."
        );
    };
    if words.iter().any(|word| word.contains('/')) {
        return parse_slashed(discovery, words);
    }
    let mut kinds: Vec<ApiKind> = Vec::new();
    let mut several_kinds = first.contains(',');
    for word in first.split(',').filter(|word| !word.is_empty()) {
        match discovery.find(word) {
            Some(kind) => kinds.push(kind.clone()),
            None => {
                let members = discovery.category(word);
                if members.is_empty() {
                    discovery.resolve(word)?;
                }
                several_kinds = true;
                kinds.extend(members.into_iter().cloned());
            }
        }
    }
    let mut targets = Vec::new();
    for kind in kinds {
        if names.is_empty() {
            targets.push(Target { kind, name: None });
        } else {
            targets.extend(names.iter().map(|name| Target { kind: kind.clone(), name: Some(name.clone()) }));
        }
    }
    Ok(Selection { targets, several_kinds })
}

fn parse_slashed(discovery: &Discovery, words: &[String]) -> anyhow::Result<Selection> {
    let mut targets = Vec::new();
    for word in words {
        let Some((kind, name)) = word.split_once('/') else {
            bail!(
                "there is no need to specify a resource type as a separate argument when passing arguments in \
                 resource/name form (e.g. 'get resource/<resource_name>' instead of 'get resource \
                 resource/<resource_name>'"
            );
        };
        if kind.is_empty() || name.is_empty() || name.contains('/') {
            bail!("arguments in resource/name form must have a single resource and name");
        }
        targets.push(Target { kind: discovery.resolve(kind)?.clone(), name: Some(name.to_owned()) });
    }
    let several_kinds = targets.windows(2).any(|pair| pair[0].kind != pair[1].kind);
    Ok(Selection { targets, several_kinds })
}

/// One object, as verbs that take exactly one need it: `TYPE NAME` or `TYPE/NAME`.
pub(crate) fn parse_one(discovery: &Discovery, words: &[String]) -> anyhow::Result<(ApiKind, String)> {
    let selection = parse(discovery, words)?;
    match selection.targets.as_slice() {
        [Target { kind, name: Some(name) }] => Ok((kind.clone(), name.clone())),
        _ => bail!("exactly one object must be named, as TYPE NAME or TYPE/NAME"),
    }
}
