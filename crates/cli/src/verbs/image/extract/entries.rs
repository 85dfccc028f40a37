//! The entries of a layer's archive, with names that are safe to use.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use tar::EntryType;

use super::{super::archive::each_entry, selection::clean};

/// An entry of an archive.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// From the root of the image, without `..`.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) owner: (u64, u64),
    pub(super) modified: u64,
    pub(super) size: u64,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// With what it says, which may be anything.
    Symlink(PathBuf),
    /// Of another entry of the image.
    HardLink(PathBuf),
    /// Device, pipe or socket.
    Special,
}

impl Entry {
    /// A file or a folder.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.kind, Kind::File | Kind::Folder)
    }

    /// The entry as `ls -l` shows it, at that place.
    pub(super) fn row(&self, place: &str) -> String {
        let (letter, more) = match &self.kind {
            Kind::File => ('-', String::new()),
            Kind::Folder => ('d', String::new()),
            Kind::Symlink(target) => ('L', format!(" -> {}", target.display())),
            Kind::HardLink(target) => ('-', format!(" -> {}", target.display())),
            Kind::Special => ('D', String::new()),
        };
        let bits: String = "rwxrwxrwx"
            .chars()
            .enumerate()
            .map(|(position, letter)| if self.mode & (0o400 >> position) != 0 { letter } else { '-' })
            .collect();
        format!("{letter}{bits} {:12} {place}{more}", self.size)
    }
}

/// Reads an archive to its end.
pub(super) fn each(
    archive: impl Read,
    mut take: impl FnMut(Entry, &mut dyn Read) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    each_entry(archive, |entry| {
        let path = entry.path().context("an entry has a name that cannot be used")?.into_owned();
        let Some(clean) = clean(&path) else {
            bail!("the entry {:?} leads out of the image", path.display().to_string());
        };
        let link = entry.link_name().context("a link has a target that cannot be used")?;
        let link = link.map(|link| link.into_owned());
        let header = entry.header();
        let Some(kind) = kind(header.entry_type(), link, &path)? else { return Ok(()) };
        let read = Entry {
            path: clean,
            kind,
            mode: header.mode().unwrap_or(0o644),
            owner: (header.uid().unwrap_or(0), header.gid().unwrap_or(0)),
            modified: header.mtime().unwrap_or(0),
            size: header.size().unwrap_or(0),
        };
        take(read, entry)
    })
}

/// What an entry is; none if it says something about others.
fn kind(entry: EntryType, link: Option<PathBuf>, path: &Path) -> anyhow::Result<Option<Kind>> {
    let target = || link.clone().with_context(|| format!("the link {} says not whereto", path.display()));
    Ok(Some(match entry {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
        EntryType::Directory => Kind::Folder,
        EntryType::Symlink => Kind::Symlink(target()?),
        EntryType::Link => {
            let target = target()?;
            match clean(&target) {
                Some(clean) => Kind::HardLink(clean),
                None => {
                    bail!("the hard link {} leads out of the image, to {}", path.display(), target.display())
                }
            }
        }
        EntryType::Char | EntryType::Block | EntryType::Fifo => Kind::Special,
        _ => return Ok(None),
    }))
}
