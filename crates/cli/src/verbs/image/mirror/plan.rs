//! What is to be sent, and in what order.
//!
//! Owns the counts that people read before they say yes. Knows nothing of how it is sent.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use pierhead_oci::{Digest, Tag};

use crate::{
    print::tabwriter,
    registries::{repository::Repository, size, source::Place},
};

/// Everything that is to be done.
#[derive(Default)]
pub(super) struct Plan {
    /// By registry and repository.
    pub(super) registries: BTreeMap<String, BTreeMap<String, Work>>,
    /// How long blobs are.
    pub(super) sizes: BTreeMap<Digest, u64>,
    /// The manifests that are sent.
    pub(super) manifests: BTreeMap<Digest, Sent>,
    /// What cannot be copied, whatever the destination.
    pub(super) errors: Vec<String>,
}

/// A manifest to send.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) media_type: String,
    pub(super) bytes: Bytes,
    /// Those that it lists: they must be there before it.
    pub(super) children: Vec<Digest>,
}

/// What one repository gets.
pub(super) struct Work {
    pub(super) place: Place,
    pub(super) to: Repository,
    /// Blobs by the repository that they come from.
    pub(super) blobs: BTreeMap<Place, (Repository, BTreeSet<Digest>)>,
    /// Manifests that are stored by their digest only.
    pub(super) by_digest: BTreeSet<Digest>,
    pub(super) by_tag: BTreeMap<Digest, BTreeSet<Tag>>,
    pub(super) errors: Vec<String>,
}

/// Which repositories are worked on at a time: registry and repository.
pub(super) type Phase = Vec<(String, String)>;

impl Work {
    pub(super) fn new(place: Place, to: Repository) -> Self {
        Self {
            place,
            to,
            blobs: BTreeMap::new(),
            by_digest: BTreeSet::new(),
            by_tag: BTreeMap::new(),
            errors: Vec::new(),
        }
    }

    /// All blobs that it gets.
    pub(super) fn all_blobs(&self) -> BTreeSet<&Digest> {
        self.blobs.values().flat_map(|(_, blobs)| blobs).collect()
    }

    fn manifest_count(&self) -> usize {
        self.by_digest.len() + self.by_tag.values().map(BTreeSet::len).sum::<usize>()
    }

    fn is_empty(&self) -> bool {
        self.blobs.is_empty() && self.manifest_count() == 0 && self.errors.is_empty()
    }
}

impl Plan {
    /// Leaves out repositories that need nothing.
    pub(super) fn trim(&mut self) {
        for works in self.registries.values_mut() {
            for work in works.values_mut() {
                work.blobs.retain(|_, (_, blobs)| !blobs.is_empty());
                let tagged: BTreeSet<Digest> = work.by_tag.keys().cloned().collect();
                work.by_digest.retain(|digest| !tagged.contains(digest));
            }
            works.retain(|_, work| !work.is_empty());
        }
        self.registries.retain(|_, works| !works.is_empty());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.works().all(|(_, _, work)| work.manifest_count() == 0)
    }

    pub(super) fn works(&self) -> impl Iterator<Item = (&String, &String, &Work)> {
        self.registries
            .iter()
            .flat_map(|(registry, works)| works.iter().map(move |(path, work)| (registry, path, work)))
    }

    pub(super) fn work(&self, registry: &str, path: &str) -> Option<&Work> {
        self.registries.get(registry)?.get(path)
    }

    pub(super) fn errors(&self) -> Vec<String> {
        let of_works = self.works().flat_map(|(_, _, work)| work.errors.iter().cloned());
        of_works.chain(self.errors.iter().cloned()).collect()
    }

    /// All bytes that are sent if no registry takes a blob from a neighbour.
    pub(super) fn bytes(&self) -> u64 {
        self.works().flat_map(|(_, _, work)| work.all_blobs()).map(|digest| self.size(digest)).sum()
    }

    pub(super) fn size(&self, digest: &Digest) -> u64 {
        self.sizes.get(digest).copied().unwrap_or_default()
    }

    /// The plan as people read it.
    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for (registry, works) in &self.registries {
            text.push_str(&format!("{registry}/\n"));
            for (path, work) in works {
                self.describe_work(path, work, &mut text);
            }
            let (shared, unique) = stats(works);
            let total = |digests: &[&Digest]| digests.iter().map(|digest| self.size(digest)).sum::<u64>();
            let alone = total(&unique);
            let all = total(&shared) + alone;
            let ratio =
                if all > 0 { format!(" ratio={:.2}", alone as f64 / all as f64) } else { String::new() };
            text.push_str(&format!(
                "  stats: shared={} unique={} size={}{ratio}\n",
                shared.len(),
                unique.len(),
                size::binary(all as f64),
            ));
        }
        text
    }

    fn describe_work(&self, path: &str, work: &Work, text: &mut String) {
        text.push_str(&format!("  {path}\n"));
        for error in &work.errors {
            text.push_str(&format!("    error: {error}\n"));
        }
        for (from, (_, blobs)) in &work.blobs {
            text.push_str("    blobs:\n");
            let mut rows: Vec<(u64, &Digest)> =
                blobs.iter().map(|digest| (self.size(digest), digest)).collect();
            rows.sort();
            for (length, digest) in rows {
                let length =
                    if length > 0 { format!(" {}", size::binary(length as f64)) } else { String::new() };
                text.push_str(&format!("      {from} {digest}{length}\n"));
            }
        }
        text.push_str("    manifests:\n");
        for digest in &work.by_digest {
            text.push_str(&format!("      {digest}\n"));
        }
        for (digest, tags) in &work.by_tag {
            for tag in tags {
                text.push_str(&format!("      {digest} -> {tag}\n"));
            }
        }
    }

    /// Repositories that get the same blob of one registry do so one after another: the later ones can take it from
    /// the first. A repository comes into the first phase in which it meets none of the kind.
    pub(super) fn phases(&self) -> Vec<Phase> {
        let mut phases: Vec<(Phase, BTreeMap<&str, BTreeSet<&Digest>>)> = Vec::new();
        for (registry, path, work) in self.works() {
            if work.manifest_count() == 0 && work.blobs.is_empty() {
                continue;
            }
            let blobs = work.all_blobs();
            let free = phases.iter().position(|(_, busy)| {
                busy.get(registry.as_str()).is_none_or(|busy| busy.is_disjoint(&blobs))
            });
            let position = free.unwrap_or_else(|| {
                phases.push((Vec::new(), BTreeMap::new()));
                phases.len() - 1
            });
            let (phase, busy) = &mut phases[position];
            phase.push((registry.clone(), path.clone()));
            busy.entry(registry).or_default().extend(&blobs);
        }
        phases.into_iter().map(|(phase, _)| phase).collect()
    }

    /// The phases as people read them.
    pub(super) fn describe_phases(&self, phases: &[Phase]) -> String {
        let mut text = String::new();
        let mut known: BTreeMap<&str, BTreeSet<&Digest>> = BTreeMap::new();
        for (number, phase) in phases.iter().enumerate() {
            text.push_str(&format!("phase {number}:\n"));
            let mut rows = String::new();
            for (registry, path) in phase {
                let Some(work) = self.work(registry, path) else { continue };
                let blobs = work.all_blobs();
                let earlier = known.get(registry.as_str());
                let mounts = blobs.iter().filter(|blob| earlier.is_some_and(|known| known.contains(*blob)));
                let (several, _) = self.registries.get(registry).map(stats).unwrap_or_default();
                let shared = several.iter().filter(|digest| blobs.contains(*digest)).count();
                rows.push_str(&format!(
                    "  {registry}\t{path}\tblobs={}\tmounts={}\tmanifests={}\tshared={shared}\n",
                    blobs.len(),
                    mounts.count(),
                    work.manifest_count(),
                ));
            }
            for (registry, path) in phase {
                if let Some(work) = self.work(registry, path) {
                    known.entry(registry).or_default().extend(work.all_blobs());
                }
            }
            text.push_str(&tabwriter::align(&rows, tabwriter::Layout { min_width: 0, padding: 1 }));
        }
        text
    }
}

/// The blobs that several repositories of a registry get, and those that one does.
fn stats(works: &BTreeMap<String, Work>) -> (Vec<&Digest>, Vec<&Digest>) {
    let mut counts: BTreeMap<&Digest, usize> = BTreeMap::new();
    for digest in works.values().flat_map(Work::all_blobs) {
        *counts.entry(digest).or_default() += 1;
    }
    let (several, one): (Vec<_>, Vec<_>) = counts.into_iter().partition(|(_, count)| *count > 1);
    let bare = |counted: Vec<(_, usize)>| counted.into_iter().map(|(digest, _)| digest).collect();
    (bare(several), bare(one))
}
