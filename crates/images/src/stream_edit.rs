//! One stream in one transaction: moving tags, changing what is wanted, and telling watchers once, at the end.
//!
//! Owns the rules by which a tag's history grows (images 3.4). The head of the stream gets one new revision however
//! much changed; if nothing did, nothing is written.

use std::collections::BTreeSet;

use jiff::Timestamp;
use pierhead_api::image::{TagEventCondition, TagReference};
use pierhead_api::meta::ObjectMeta;
use pierhead_oci::Digest;
use pierhead_quota::{ImageLimits, Mode, charge_stream};
use pierhead_store::{KeyRange, StoreError, WriteTx};

use crate::error::NotMade;
use crate::limits::{Counts, image_limits};
use crate::links::{Giver, adopt};
use crate::rows::{ALL, Rows, obtain_repository, stream_key, takes_streams};
use crate::tables::{
    FOLLOWERS, HEADS, HeadRecord, Item, RepositoryId, SPEC_TAGS, STREAMS, SpecTagRecord, StreamRecord,
    TAG_EVENTS, TAG_IMAGES, TAGS, TagEventRecord, TagRecord,
};

/// Who writes, and when.
#[derive(Clone, Debug)]
pub(crate) struct Authorship {
    pub(crate) actor: String,
    pub(crate) now: Timestamp,
}

/// A stream that is being changed.
pub(crate) struct StreamEdit<'t, 'a> {
    pub(crate) tx: &'t mut WriteTx<'a>,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) head: HeadRecord,
    by: Authorship,
    changed_tags: BTreeSet<String>,
    /// Whether anything of the stream itself changed.
    spec_changed: bool,
    /// Whether something changed that no API object shows.
    touched: bool,
    /// What the namespace allows.
    pub(crate) limits: ImageLimits,
    /// What the stream had before, where that is limited.
    before: Option<Counts>,
}

impl<'t, 'a> StreamEdit<'t, 'a> {
    /// `None` when there is no such stream.
    pub(crate) fn open(
        tx: &'t mut WriteTx<'a>,
        namespace: &str,
        name: &str,
        by: &Authorship,
    ) -> Result<Option<Self>, StoreError> {
        let head = tx.head(namespace, name)?;
        head.map(|head| Self::of(tx, namespace, name, head, by)).transpose()
    }

    /// Edits the stream whose head was read in this transaction.
    pub(crate) fn of(
        tx: &'t mut WriteTx<'a>,
        namespace: &str,
        name: &str,
        head: HeadRecord,
        by: &Authorship,
    ) -> Result<Self, StoreError> {
        let limits = image_limits(tx, namespace)?;
        let limited = limits.limits_streams();
        let before = limited.then(|| Counts::of(tx, (namespace, name), head.repository)).transpose()?;
        Ok(Self {
            tx,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            head,
            by: by.clone(),
            changed_tags: BTreeSet::new(),
            spec_changed: false,
            touched: false,
            limits,
            before,
        })
    }

    /// Makes a stream, unless its namespace ended meanwhile. The caller has seen that there is none.
    pub(crate) fn create(
        tx: &'t mut WriteTx<'a>,
        namespace: &str,
        name: &str,
        mut record: StreamRecord,
        by: &Authorship,
    ) -> Result<Self, NotMade> {
        if !takes_streams(tx, namespace)? {
            let (namespace, name) = stream_key(namespace, name);
            return Err(NotMade::NoNamespace { namespace, name });
        }
        charge_stream(tx, namespace, Mode::Enforce)
            .map_err(|error| NotMade::Charged { name: name.to_owned(), error })?;
        let limits = image_limits(tx, namespace)?;
        let repository = obtain_repository(tx, namespace, name)?;
        let uid = uuid::Uuid::new_v4().to_string();
        record.metadata = ObjectMeta {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            uid: uid.clone(),
            creation_timestamp: Some(by.now.into()),
            resource_version: String::new(),
            generation: None,
            ..record.metadata
        };
        let head = HeadRecord {
            repository,
            revision: 0,
            spec_revision: 0,
            generation: 1,
            uid,
            created: by.now,
            labels: record.metadata.labels.clone(),
            has_trackers: false,
            followers_listed: true,
            changed: Vec::new(),
        };
        tx.put(&STREAMS, &stream_key(namespace, name), &record)?;
        Ok(Self {
            tx,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            head,
            by: by.clone(),
            changed_tags: BTreeSet::new(),
            spec_changed: true,
            touched: false,
            limits,
            before: limits.limits_streams().then(Counts::default),
        })
    }

    pub(crate) const fn repository(&self) -> RepositoryId {
        self.head.repository
    }

    pub(crate) const fn now(&self) -> Timestamp {
        self.by.now
    }

    pub(crate) fn tag(&self, tag: &str) -> Result<Option<TagRecord>, StoreError> {
        self.tx.row(&TAGS, &self.tag_key(tag))
    }

    pub(crate) fn spec_tag(&self, tag: &str) -> Result<Option<TagReference>, StoreError> {
        Ok(self.tx.row(&SPEC_TAGS, &self.tag_key(tag))?.map(|record| record.tag))
    }

    /// Points `tag` and the tags that follow it at `item`. False when it pointed there already. What the image consists
    /// of comes from `giver`; without one it is in the repository already, or not here at all.
    pub(crate) fn add_item(
        &mut self,
        tag: &str,
        item: &Item,
        giver: Option<Giver>,
    ) -> Result<bool, StoreError> {
        let mut pending = vec![(tag.to_owned(), item.clone())];
        let mut seen = BTreeSet::new();
        let mut changed = false;
        while let Some((tag, item)) = pending.pop() {
            if !seen.insert(tag.clone()) || !self.add_one(&tag, &item, giver)? {
                continue;
            }
            changed = true;
            if self.head.has_trackers {
                pending.extend(self.followers(&tag, &item)?);
            }
        }
        Ok(changed)
    }

    fn add_one(&mut self, tag: &str, item: &Item, giver: Option<Giver>) -> Result<bool, StoreError> {
        let record = self.tag(tag)?.unwrap_or_default();
        let Some((newest, step)) = grow(record.item.as_ref(), item) else { return Ok(false) };
        let seq = match step {
            Step::InFront => record.seq + 1,
            Step::InPlace => record.seq,
        };
        let event = TagEventRecord { item: newest.clone(), actor: self.by.actor.clone(), at: self.by.now };
        self.tx.put(&TAG_EVENTS, &(self.repository(), tag.to_owned(), seq), &event)?;
        if let Ok(digest) = newest.image.parse::<Digest>() {
            let key = (self.repository(), digest.to_key(), tag.to_owned());
            if !self.tx.has(&TAG_IMAGES, &key)? {
                self.tx.put(&TAG_IMAGES, &key, &())?;
            }
            if let Some(giver) = giver {
                adopt(self.tx, self.head.repository, &digest, giver, self.by.now.as_second())?;
            }
        }
        if let Some(replaced) = record.item.filter(|old| step == Step::InPlace && old.image != newest.image) {
            self.drop_image(tag, &replaced.image)?;
        }
        let record = TagRecord { item: Some(newest), seq, conditions: Vec::new() };
        self.tx.put(&TAGS, &self.tag_key(tag), &record)?;
        self.changed_tags.insert(tag.to_owned());
        Ok(true)
    }

    /// An item of a tag's history was replaced: its image is the tag's no longer, unless another item has it.
    fn drop_image(&mut self, tag: &str, image: &str) -> Result<(), StoreError> {
        let Ok(digest) = image.parse::<Digest>() else { return Ok(()) };
        let events = self.tx.rows(&TAG_EVENTS, &KeyRange::prefix(&(self.repository(), tag)), ALL)?;
        if events.iter().all(|(_, event)| event.item.image != image) {
            self.tx.delete(&TAG_IMAGES, &(self.repository(), digest.to_key(), tag.to_owned()))?;
        }
        Ok(())
    }

    /// The other tags of this stream that want what `tag` has.
    fn followers(&mut self, tag: &str, item: &Item) -> Result<Vec<(String, Item)>, StoreError> {
        self.list_followers()?;
        let range = KeyRange::prefix(&(self.repository(), tag));
        let mut followers = Vec::new();
        for ((_, _, follower), ()) in self.tx.rows(&FOLLOWERS, &range, ALL)? {
            if let Some(spec) = self.spec_tag(&follower)?.filter(|spec| spec.name != tag) {
                let generation = spec.generation.unwrap_or(self.head.generation);
                followers.push((spec.name, Item { generation, ..item.clone() }));
            }
        }
        Ok(followers)
    }

    /// Streams of earlier versions have no list of who follows whom: it is made when it is first needed.
    fn list_followers(&mut self) -> Result<(), StoreError> {
        if self.head.followers_listed {
            return Ok(());
        }
        for (_, record) in self.tx.rows(&SPEC_TAGS, &KeyRange::prefix(&self.repository()), ALL)? {
            self.list_follower(&record.tag)?;
        }
        self.head.followers_listed = true;
        Ok(())
    }

    fn list_follower(&mut self, spec: &TagReference) -> Result<(), StoreError> {
        if let Some(source) = followed_tag(spec, &self.namespace, &self.name) {
            self.tx.put(&FOLLOWERS, &(self.repository(), source.to_owned(), spec.name.clone()), &())?;
        }
        Ok(())
    }

    /// A tag is about to want something else: whom it followed, it does no longer.
    fn unlist_follower(&mut self, tag: &str) -> Result<(), StoreError> {
        if !self.head.has_trackers {
            return Ok(());
        }
        self.list_followers()?;
        let Some(spec) = self.spec_tag(tag)? else { return Ok(()) };
        if let Some(source) = followed_tag(&spec, &self.namespace, &self.name) {
            self.tx.delete(&FOLLOWERS, &(self.repository(), source.to_owned(), tag.to_owned()))?;
            let range = KeyRange::prefix(&self.repository());
            self.head.has_trackers = !self.tx.rows(&FOLLOWERS, &range, 1)?.is_empty();
        }
        Ok(())
    }

    /// Replaces the whole history of a tag, newest first, as an update of the status does.
    pub(crate) fn replace_items(&mut self, tag: &str, items: &[Item]) -> Result<(), StoreError> {
        let conditions = self.tag(tag)?.map(|record| record.conditions).unwrap_or_default();
        let last = self.tag(tag)?.map_or(0, |record| record.seq);
        self.drop_items(tag)?;
        let mut seq = last;
        for item in items.iter().rev() {
            seq += 1;
            let event = TagEventRecord { item: item.clone(), actor: self.by.actor.clone(), at: self.by.now };
            self.tx.put(&TAG_EVENTS, &(self.repository(), tag.to_owned(), seq), &event)?;
            if let Ok(digest) = item.image.parse::<Digest>() {
                self.tx.put(&TAG_IMAGES, &(self.repository(), digest.to_key(), tag.to_owned()), &())?;
                adopt(self.tx, self.head.repository, &digest, Giver::Anywhere, self.by.now.as_second())?;
            }
        }
        let record = TagRecord { item: items.first().cloned(), seq, conditions };
        self.tx.put(&TAGS, &self.tag_key(tag), &record)?;
        self.changed_tags.insert(tag.to_owned());
        Ok(())
    }

    /// Sets how the last import of a tag went; a tag without items and conditions is no tag.
    pub(crate) fn set_conditions(
        &mut self,
        tag: &str,
        conditions: &[TagEventCondition],
    ) -> Result<(), StoreError> {
        let before = self.tag(tag)?;
        let mut record = before.clone().unwrap_or_default();
        record.conditions = conditions.to_vec();
        if record.item.is_none() && record.conditions.is_empty() {
            if before.is_some() {
                self.remove_tag(tag)?;
            }
        } else if before.as_ref() != Some(&record) {
            self.tx.put(&TAGS, &self.tag_key(tag), &record)?;
            self.changed_tags.insert(tag.to_owned());
        }
        Ok(())
    }

    /// Forgets a tag and its history; false when there was none.
    pub(crate) fn remove_tag(&mut self, tag: &str) -> Result<bool, StoreError> {
        self.drop_items(tag)?;
        let was_there = self.tx.delete(&TAGS, &self.tag_key(tag))?;
        if was_there {
            self.changed_tags.insert(tag.to_owned());
        }
        Ok(was_there)
    }

    fn drop_items(&mut self, tag: &str) -> Result<(), StoreError> {
        let range = KeyRange::prefix(&(self.repository(), tag));
        for (key, event) in self.tx.rows(&TAG_EVENTS, &range, ALL)? {
            self.tx.delete(&TAG_EVENTS, &key)?;
            if let Ok(digest) = event.item.image.parse::<Digest>() {
                self.tx.delete(&TAG_IMAGES, &(self.repository(), digest.to_key(), tag.to_owned()))?;
            }
        }
        Ok(())
    }

    pub(crate) fn put_spec_tag(&mut self, tag: TagReference) -> Result<(), StoreError> {
        let key = self.tag_key(&tag.name);
        self.unlist_follower(&tag.name)?;
        if followed_tag(&tag, &self.namespace, &self.name).is_some() {
            // Without any follower so far, the list is complete as it is.
            self.head.followers_listed |= !self.head.has_trackers;
            self.head.has_trackers = true;
            self.list_follower(&tag)?;
        }
        self.changed_tags.insert(tag.name.clone());
        self.tx.put(&SPEC_TAGS, &key, &SpecTagRecord { tag })?;
        self.spec_changed = true;
        Ok(())
    }

    /// Forgets a wanted tag; false when there was none.
    pub(crate) fn delete_spec_tag(&mut self, tag: &str) -> Result<bool, StoreError> {
        self.unlist_follower(tag)?;
        let was_there = self.tx.delete(&SPEC_TAGS, &self.tag_key(tag))?;
        if was_there {
            self.spec_changed = true;
            self.changed_tags.insert(tag.to_owned());
        }
        Ok(was_there)
    }

    /// Stores what the stream is besides its tags.
    pub(crate) fn put_record(&mut self, record: &StreamRecord) -> Result<(), StoreError> {
        self.head.labels.clone_from(&record.metadata.labels);
        self.spec_changed = true;
        self.tx.put(&STREAMS, &stream_key(&self.namespace, &self.name), record)?;
        Ok(())
    }

    /// Makes a change visible that is no change of tags: a manifest that went.
    pub(crate) fn mark(&mut self) {
        self.touched = true;
    }

    /// Tells watchers, if there is anything to tell, unless the stream grew beyond what its namespace allows.
    pub(crate) fn finish(self) -> Result<HeadRecord, NotMade> {
        if let Some(before) = &self.before {
            let after = Counts::of(self.tx, (&self.namespace, &self.name), self.head.repository)?;
            after
                .check(before, &self.limits)
                .map_err(|exceeded| NotMade::Limited { name: self.name.clone(), exceeded })?;
        }
        Ok(self.finish_smaller()?)
    }

    /// Tells watchers of a change that adds nothing.
    pub(crate) fn finish_smaller(mut self) -> Result<HeadRecord, StoreError> {
        if self.changed_tags.is_empty() && !self.spec_changed && !self.touched {
            return Ok(self.head);
        }
        let revision = self.tx.next_revision().number();
        self.head.revision = revision;
        if self.spec_changed {
            self.head.spec_revision = revision;
        }
        self.head.changed = self.changed_tags.into_iter().collect();
        self.tx.put(&HEADS, &stream_key(&self.namespace, &self.name), &self.head)?;
        Ok(self.head)
    }

    fn tag_key(&self, tag: &str) -> (RepositoryId, String) {
        (self.head.repository, tag.to_owned())
    }
}

/// The tag of the same stream that `spec` follows.
pub(crate) fn followed_tag<'a>(spec: &'a TagReference, namespace: &str, stream: &str) -> Option<&'a str> {
    let from = spec.from.as_ref()?;
    let same_namespace = from.namespace.is_empty() || from.namespace == namespace;
    if spec.reference || from.kind != "ImageStreamTag" || !same_namespace {
        return None;
    }
    match from.name.split_once(':') {
        Some((source, tag)) => (source == stream).then_some(tag),
        None => Some(&from.name),
    }
}

/// Where the newest item of a history goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    InFront,
    InPlace,
}

/// The five cases of adding an item (images 3.4). `None` when nothing changes.
fn grow(newest: Option<&Item>, item: &Item) -> Option<(Item, Step)> {
    let Some(newest) = newest else { return Some((item.clone(), Step::InFront)) };
    let same_reference = newest.reference == item.reference;
    let same_image = newest.image == item.image;
    if same_reference && same_image && newest.generation == item.generation {
        return None;
    }
    if same_reference || same_image {
        // The time stays: it is the same thing, seen more clearly.
        return Some((Item { created: newest.created, ..item.clone() }, Step::InPlace));
    }
    Some((item.clone(), Step::InFront))
}

#[cfg(test)]
mod tests {
    use super::{Item, Step, grow};

    fn item(created: i64, reference: &str, image: &str, generation: i64) -> Item {
        let created = jiff::Timestamp::from_second(created).unwrap();
        Item { created, reference: reference.into(), image: image.into(), generation }
    }

    #[track_caller]
    fn check(newest: Option<Item>, added: &Item, expected: Option<(Item, Step)>) {
        assert_eq!(grow(newest.as_ref(), added), expected);
    }

    #[test]
    fn a_history_grows_by_what_is_new() {
        let first = item(10, "r/a@1", "1", 1);
        check(None, &first, Some((first.clone(), Step::InFront)));
        check(Some(first.clone()), &item(20, "r/a@1", "1", 1), None);
        let raised = item(20, "r/a@1", "1", 2);
        check(Some(first.clone()), &raised, Some((item(10, "r/a@1", "1", 2), Step::InPlace)));
        let resolved = item(20, "r/a:t", "1", 1);
        check(Some(item(10, "r/a:t", "", 1)), &resolved, Some((item(10, "r/a:t", "1", 1), Step::InPlace)));
        let moved = item(20, "r/b@1", "1", 1);
        check(Some(first.clone()), &moved, Some((item(10, "r/b@1", "1", 1), Step::InPlace)));
        let other = item(20, "r/a@2", "2", 1);
        check(Some(first), &other, Some((other.clone(), Step::InFront)));
        let reference_only = item(20, "docker.io/x:2", "", 2);
        let before = item(10, "docker.io/x:1", "", 1);
        check(Some(before), &reference_only, Some((item(10, "docker.io/x:2", "", 2), Step::InPlace)));
    }
}
