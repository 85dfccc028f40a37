//! What is to be copied where, from the command line and from files.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};

use super::MirrorArgs;
use crate::{
    registries::source::{ImageSource, Which},
    session::Session,
};

/// What is said where there is nothing to do.
const NOTHING: &str = "you must specify at least one source image to pull and the destination to push to as SRC=DST \
                       or SRC DST [DST2 DST3 ...]";

/// An image or several, and where it is to go.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    pub(super) from: ImageSource,
    pub(super) to: ImageSource,
}

/// Reads all of them.
pub(super) fn read(args: &MirrorArgs, session: &mut Session) -> anyhow::Result<Vec<Mapping>> {
    let mut mappings = Vec::new();
    parse_words(&args.images, &mut mappings)?;
    for name in &args.filenames {
        let content = session.read_file(name)?;
        let text = String::from_utf8(content).with_context(|| format!("{name} is not text"))?;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            parse_words(&words, &mut mappings).with_context(|| format!("{name}, line {number}"))?;
        }
    }
    if mappings.is_empty() {
        bail!(NOTHING);
    }
    check(&mappings)?;
    Ok(mappings)
}

fn parse_words(words: &[String], mappings: &mut Vec<Mapping>) -> anyhow::Result<()> {
    if words.iter().any(|word| word.contains('=')) {
        for word in words {
            let Some((from, to)) = word.split_once('=') else {
                bail!("all arguments must be SRC=DST, or the first is SRC and the others DST: {word:?}");
            };
            mappings.push(Mapping { from: ImageSource::parse(from)?, to: ImageSource::parse(to)? });
        }
        return Ok(());
    }
    let [from, to @ ..] = words else { return Ok(()) };
    if to.is_empty() {
        bail!(NOTHING);
    }
    let from = ImageSource::parse(from)?;
    for to in to {
        mappings.push(Mapping { from: from.clone(), to: ImageSource::parse(to)? });
    }
    Ok(())
}

fn check(mappings: &[Mapping]) -> anyhow::Result<()> {
    let mut goals: BTreeMap<String, String> = BTreeMap::new();
    for Mapping { from, to } in mappings {
        if from.which == Which::Unsaid {
            bail!("the source image {:?} must have a tag or a digest", from.text);
        }
        if matches!(to.which, Which::Digest(_)) {
            bail!("you must specify a tag for DST or leave it blank to only push by digest: {:?}", to.text);
        }
        let several = matches!(from.which, Which::Pattern(_));
        if matches!(to.which, Which::Pattern(_)) || (several && to.which != Which::Unsaid) {
            bail!("{:?} must name no tag: the images keep those that they have in the source", to.text);
        }
        if from.place == to.place && (from.which == to.which || several) {
            bail!("SRC and DST may not be the same: {}", from.text);
        }
        if to.which == Which::Unsaid {
            continue;
        }
        if let Some(other) = goals.insert(to.to_string(), from.to_string())
            && other != from.to_string()
        {
            bail!("each destination tag may only be specified once: {}", to.text);
        }
    }
    Ok(())
}
