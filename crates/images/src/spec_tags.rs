//! What is wanted of tags, and what follows from it at once (images 3.3, 3.4).
//!
//! Owns generations of spec tags and copying from other tags and streams. Importing from other registries is not here:
//! a tag that wants that only gets a generation, and whoever imports sees it.

use pierhead_api::field::FieldErrors;
use pierhead_api::image::{TagReference, is_insecure};
use pierhead_oci::{Algorithm, Digest};
use pierhead_store::{KeyRange, StoreError};

use crate::error::StreamError;
use crate::images::Config;
use crate::links::{Giver, taking_refusal};
use crate::push::created_now;
use crate::rows::{ALL, Rows, stream_key};
use crate::source_permission::Permissions;
use crate::stream_edit::StreamEdit;
use crate::tables::{HeadRecord, Item, RepositoryId, STREAMS, TAG_EVENTS, TAG_IMAGES, TAGS};

/// What a bad `from.name` is told.
const FORMS: &str = "must be of the form <tag>, <repo>:<tag>, <id>, or <repo>@<id>";

/// A tag that should become `new`.
#[derive(Clone, Debug)]
pub(crate) struct TagWish {
    pub(crate) old: Option<TagReference>,
    pub(crate) new: TagReference,
}

/// Another tag or image that a spec tag follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    pub(crate) namespace: String,
    pub(crate) stream: String,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum What {
    /// What the tag points at.
    Tag(String),
    /// The image of the history whose id begins so.
    Image(String),
}

impl Source {
    /// `None` for tags that follow no stream; an error for names that are none. `namespace` and `stream` are those of
    /// the tag itself.
    pub(crate) fn of(
        tag: &TagReference,
        namespace: &str,
        stream: &str,
    ) -> Option<Result<Self, &'static str>> {
        let from = tag.from.as_ref()?;
        let separator = match from.kind.as_str() {
            "ImageStreamTag" => ':',
            "ImageStreamImage" => '@',
            _ => return None,
        };
        let (source, rest) = from.name.split_once(separator).unwrap_or((stream, &from.name));
        let stray = match separator {
            ':' => rest.contains([':', '@']) || source.contains('@'),
            _ => rest.contains('@') || source.contains(':'),
        };
        if stray || rest.is_empty() {
            return Some(Err(FORMS));
        }
        let what = if separator == ':' { What::Tag(rest.to_owned()) } else { What::Image(rest.to_owned()) };
        let namespace = if from.namespace.is_empty() { namespace } else { &from.namespace };
        Some(Ok(Self { namespace: namespace.to_owned(), stream: source.to_owned(), what }))
    }
}

/// Whether a spec tag wants something else than before. Its kind is not looked at (images 11, 14).
pub(crate) fn differs(old: &TagReference, new: &TagReference, namespace: &str) -> bool {
    let wanted = |tag: &TagReference| {
        tag.from.as_ref().map(|from| {
            let namespace = if from.namespace.is_empty() { namespace } else { &from.namespace };
            (namespace.to_owned(), from.name.clone())
        })
    };
    wanted(old) != wanted(new)
        || old.reference != new.reference
        || old.import_policy.import_mode != new.import_policy.import_mode
        || new.generation == Some(0)
}

/// Spec tags of one stream being written.
pub(crate) struct SpecEdit<'e, 't, 'a> {
    pub(crate) edit: &'e mut StreamEdit<'t, 'a>,
    pub(crate) config: &'e Config,
    pub(crate) permissions: &'e Permissions,
}

impl SpecEdit<'_, '_, '_> {
    /// Writes tags of a stream that is being made: its generation is one already.
    pub(crate) fn put(self, wishes: Vec<TagWish>) -> Result<(), StreamError> {
        self.put_after(wishes, true)
    }

    /// Writes tags. `bumped` says whether the stream's generation was raised for this write already.
    pub(crate) fn put_after(mut self, wishes: Vec<TagWish>, bumped: bool) -> Result<(), StreamError> {
        let namespace = self.edit.namespace.clone();
        let mut changed = Vec::new();
        let mut writes = Vec::new();
        for TagWish { old, mut new } in wishes {
            if let Some(old) = &old
                && new.generation.is_some_and(|generation| generation != 0)
            {
                new.generation = old.generation;
            }
            let is_changed = old.as_ref().is_none_or(|old| differs(old, &new, &namespace));
            if is_changed {
                new.generation = None;
            }
            if old.as_ref() != Some(&new) {
                writes.push((new, is_changed));
            }
        }
        if !writes.is_empty() && !bumped {
            self.edit.head.generation += 1;
        }
        for (mut tag, is_changed) in writes {
            tag.generation = tag.generation.or(Some(self.edit.head.generation));
            self.edit.put_spec_tag(tag.clone())?;
            if is_changed {
                changed.push(tag);
            }
        }
        let mut errors = FieldErrors::new();
        for tag in &changed {
            self.follow(tag, &mut errors)?;
        }
        StreamError::invalid_if("ImageStream", &self.edit.name, errors)
    }

    /// Does for a changed tag what can be done at once.
    fn follow(&mut self, tag: &TagReference, errors: &mut FieldErrors) -> Result<(), StreamError> {
        let field = format!("spec.tags[{}].from", tag.name);
        let Some(from) = &tag.from else { return Ok(()) };
        let generation = tag.generation.unwrap_or(self.edit.head.generation);
        let now = created_now(self.edit.now());
        let source = match Source::of(tag, &self.edit.namespace, &self.edit.name) {
            Some(Ok(source)) => source,
            Some(Err(hint)) => {
                errors.invalid(format!("{field}.name"), from.name.as_str(), hint);
                return Ok(());
            }
            None => {
                if let Some(refusal) = self.refusal(tag)? {
                    errors.forbidden(format!("{field}.name"), refusal);
                    return Ok(());
                }
                if tag.reference && from.kind == "DockerImage" {
                    let item =
                        Item { created: now, reference: from.name.clone(), image: String::new(), generation };
                    self.edit.add_item(&tag.name, &item, None)?;
                }
                return Ok(());
            }
        };
        if source.namespace != self.edit.namespace && !self.is_allowed(&source, &field, errors)? {
            return Ok(());
        }
        let Some(head) = self.source_head(&source)? else {
            errors.not_found(format!("{field}.name"), format!("{}/{}", source.namespace, source.stream));
            return Ok(());
        };
        let found = match &source.what {
            What::Tag(name) => {
                let record = self.edit.tx.row(&TAGS, &(head.repository, name.clone()))?;
                record.and_then(|record| record.item)
            }
            What::Image(id) => match find_image(self.edit.tx, head.repository, id)? {
                Match::One(item) => Some(Item { created: now, ..item }),
                Match::None => {
                    errors.not_found(format!("{field}.name"), from.name.as_str());
                    return Ok(());
                }
                Match::Many(names) => {
                    let detail = format!("multiple images match the prefix: {}", names.join(", "));
                    errors.invalid(format!("{field}.name"), from.name.as_str(), detail);
                    return Ok(());
                }
            },
        };
        if let Some(found) = found {
            if let Ok(digest) = found.image.parse::<Digest>()
                && let Some(detail) = taking_refusal(self.edit.tx, self.edit.repository(), &digest)?
            {
                errors.invalid(format!("{field}.name"), from.name.as_str(), detail);
                return Ok(());
            }
            let reference = self.localized(tag, &source, &found);
            let giver = Giver::Repository(head.repository);
            self.edit.add_item(&tag.name, &Item { reference, generation, ..found }, Some(giver))?;
        }
        Ok(())
    }

    /// Why the image of a tag may not come from where it is (images 3.9).
    fn refusal(&self, tag: &TagReference) -> Result<Option<String>, StoreError> {
        let from = tag.from.as_ref().filter(|from| from.kind == "DockerImage");
        let reference = from.and_then(|from| from.name.parse().ok());
        let Some(reference) = reference.filter(|_| self.config.allowed_registries.is_some()) else {
            return Ok(None);
        };
        let stream = self.edit.tx.row(&STREAMS, &stream_key(&self.edit.namespace, &self.edit.name))?;
        let insecure = stream.is_some_and(|stream| is_insecure(&stream.metadata));
        Ok(self.config.refuses(&reference, tag.import_policy.insecure || insecure))
    }

    /// The head of the stream a tag follows; a stream that is being made is in no table yet.
    fn source_head(&self, source: &Source) -> Result<Option<HeadRecord>, StoreError> {
        if (&source.namespace, &source.stream) == (&self.edit.namespace, &self.edit.name) {
            return Ok(Some(self.edit.head.clone()));
        }
        self.edit.tx.head(&source.namespace, &source.stream)
    }

    fn is_allowed(
        &self,
        source: &Source,
        field: &str,
        errors: &mut FieldErrors,
    ) -> Result<bool, StreamError> {
        match self.permissions.about(&source.namespace, &source.stream) {
            Some(Ok(())) => Ok(true),
            Some(Err(reason)) => {
                errors.forbidden(field, format!("{}/{}: {reason}", source.namespace, source.stream));
                Ok(false)
            }
            None => Err(StreamError::Conflict {
                resource: crate::stream::STREAMS_RESOURCE,
                name: self.edit.name.clone(),
                newest: self.edit.head.revision.to_string(),
            }),
        }
    }

    /// A pull spec into our registry at the source stream becomes one of this stream, so that pulls are authorized
    /// against it. Others, and references, stay.
    fn localized(&self, tag: &TagReference, source: &Source, found: &Item) -> String {
        let there = format!("{}/{}/{}@", self.config.internal_registry, source.namespace, source.stream);
        match found.reference.strip_prefix(&there) {
            Some(id) if !tag.reference => {
                let here = (&self.config.internal_registry, &self.edit.namespace, &self.edit.name);
                format!("{}/{}/{}@{id}", here.0, here.1, here.2)
            }
            _ => found.reference.clone(),
        }
    }
}

/// What a shortened id stands for.
#[derive(Debug)]
pub(crate) enum Match {
    None,
    /// The newest history item with that image.
    One(Item),
    Many(Vec<String>),
}

/// The image of a stream's history whose id begins with `prefix`, with or without the name of the algorithm.
pub(crate) fn find_image(
    rows: &impl Rows,
    repository: RepositoryId,
    prefix: &str,
) -> Result<Match, StoreError> {
    let (named, hex) = prefix.split_once(':').map_or((None, prefix), |(name, hex)| (Some(name), hex));
    let mut found: Vec<(Digest, String)> = Vec::new();
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        if named.is_none_or(|name| name == algorithm.as_str()) {
            find_digests(rows, repository, (algorithm, hex), &mut found)?;
        }
    }
    if found.len() > 1 {
        return Ok(Match::Many(found.into_iter().map(|(digest, _)| digest.to_string()).collect()));
    }
    let Some((digest, tag)) = found.pop() else { return Ok(Match::None) };
    let name = digest.to_string();
    let events = rows.rows(&TAG_EVENTS, &KeyRange::prefix(&(repository, tag.as_str())), ALL)?;
    let item = events.into_iter().rev().map(|(_, event)| event.item).find(|item| item.image == name);
    Ok(item.map_or(Match::None, Match::One))
}

/// Adds the digests of a stream's history that begin so, each with a tag that had it.
fn find_digests(
    rows: &impl Rows,
    repository: RepositoryId,
    (algorithm, hex): (Algorithm, &str),
    found: &mut Vec<(Digest, String)>,
) -> Result<(), StoreError> {
    let Some(start) = first_key(algorithm, hex) else { return Ok(()) };
    let mut range = KeyRange::prefix(&repository).from(&(repository, start, String::new()));
    loop {
        let page = rows.rows(&TAG_IMAGES, &range, 100)?;
        let Some((last, ())) = page.last().cloned() else { return Ok(()) };
        for ((_, key, tag), ()) in page {
            let Ok(digest) = Digest::from_key(&key) else { return Ok(()) };
            if digest.algorithm() != algorithm || !digest.hex().starts_with(hex) {
                return Ok(());
            }
            if found.last().is_none_or(|(known, _)| *known != digest) {
                found.push((digest, tag));
            }
            if found.len() > 10 {
                return Ok(());
            }
        }
        range = range.after(&last);
    }
}

/// The smallest key of a digest whose hexadecimal form begins with `hex`; `None` if none does.
fn first_key(algorithm: Algorithm, hex: &str) -> Option<Vec<u8>> {
    let width = algorithm.hash_len() * 2;
    let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if hex.is_empty() || hex.len() > width || !hex.bytes().all(is_hex) {
        return None;
    }
    let digest: Digest = format!("{}:{hex:0<width$}", algorithm.as_str()).parse().ok()?;
    Some(digest.to_key())
}
