//! Placing files in a folder, whatever an archive says: nothing outside of it is touched.
//!
//! Owns the safety of it. Folders are opened from the root down by the kernel with links that cannot lead out of it
//! (`openat2` with `RESOLVE_IN_ROOT`), files are never written through a link but put in its place, and what layers take
//! away again is taken away only if a layer put it there.

use std::{
    collections::{BTreeSet, HashSet},
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use rustix::{
    fs::{
        AtFlags, CWD, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, chownat, fchmod, futimens,
        linkat, mkdirat, openat, openat2, symlinkat, unlinkat,
    },
    io::Errno,
};

use super::{
    entries::{Entry, Kind},
    selection::Wanted,
};

/// What the name of a file begins with that takes another away.
const WHITEOUT: &[u8] = b".wh.";
/// The file that takes away everything lower layers put into its folder.
const OPAQUE: &[u8] = b".wh..wh..opq";
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::RDONLY);

/// Files on their way into a folder.
pub(super) struct Placing {
    root: OwnedFd,
    wanted: Wanted,
    only_files: bool,
    preserve: bool,
    /// What layers have put here, from the folder.
    placed: BTreeSet<PathBuf>,
    /// The same of the layer that is read.
    fresh: HashSet<PathBuf>,
    /// Permissions of folders, which are set when nothing more goes into them.
    folders: Vec<(PathBuf, u32)>,
    warnings: Vec<String>,
    skipped_specials: bool,
}

impl Placing {
    pub(super) fn new(
        wanted: Wanted,
        folder: &Path,
        only_files: bool,
        preserve: bool,
    ) -> anyhow::Result<Self> {
        let root = openat(CWD, folder, FOLDER, Mode::empty())
            .with_context(|| format!("unable to open {}", folder.display()))?;
        Ok(Self {
            root,
            wanted,
            only_files,
            preserve,
            placed: BTreeSet::new(),
            fresh: HashSet::new(),
            folders: Vec::new(),
            warnings: Vec::new(),
            skipped_specials: false,
        })
    }

    /// What the user should know.
    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// The next entry is of the layer above.
    pub(super) fn next_layer(&mut self) {
        self.fresh.clear();
    }

    /// Whether there was anything to place.
    pub(super) fn has_placed(&self) -> bool {
        !self.placed.is_empty()
    }

    /// Sets what can only be set at the end.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        for (path, mode) in std::mem::take(&mut self.folders).into_iter().rev() {
            if !self.placed.contains(&path) {
                continue;
            }
            match self.open_folder(&path) {
                Ok(folder) => fchmod(&folder, Mode::from_raw_mode(mode))
                    .with_context(|| format!("unable to set the permissions of {}", path.display()))?,
                // A higher layer has put something else there.
                Err(Errno::NOTDIR | Errno::NOENT) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("unable to open {}", path.display()));
                }
            }
        }
        Ok(())
    }

    /// Places one entry.
    pub(super) fn take(&mut self, entry: Entry, content: &mut dyn Read) -> anyhow::Result<()> {
        let name = entry.path.file_name().map(OsStr::as_bytes).unwrap_or_default();
        if name == OPAQUE {
            let folder = entry.path.parent().unwrap_or(Path::new("")).to_owned();
            return self.hide_below(&folder);
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            // Names of the kind `.wh..wh.` are notes of old engines to themselves.
            if hidden.starts_with(WHITEOUT) || hidden.is_empty() || matches!(hidden, b"." | b"..") {
                return Ok(());
            }
            let path = entry.path.with_file_name(OsStr::from_bytes(hidden));
            return self.hide(&path);
        }
        let Some(place) = self.wanted.place(&entry.path) else { return Ok(()) };
        if place.as_os_str().is_empty() || (self.only_files && !entry.is_plain()) {
            return Ok(());
        }
        let placed = match &entry.kind {
            Kind::Folder => self.place_folder(&entry, &place),
            Kind::File => self.place_file(&entry, &place, content),
            Kind::Symlink(target) => self.place_symlink(&entry, &place, target),
            Kind::HardLink(target) => self.place_hard_link(&place, target),
            Kind::Special => {
                if !std::mem::replace(&mut self.skipped_specials, true) {
                    let shown = entry.path.display();
                    self.warnings.push(format!("devices, pipes and sockets are left out, such as /{shown}"));
                }
                Ok(false)
            }
        };
        if placed.with_context(|| format!("unable to write {}", place.display()))? {
            self.fresh.insert(place.clone());
            self.placed.insert(place);
        }
        Ok(())
    }

    /// Opens a folder below the root; links in the path cannot lead out of it.
    fn open_folder(&self, path: &Path) -> Result<OwnedFd, Errno> {
        if path.as_os_str().is_empty() {
            return openat(&self.root, ".", FOLDER, Mode::empty());
        }
        openat2(&self.root, path, FOLDER, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
    }

    /// Opens the folder of a path, making those that are missing, and gives the name within it.
    fn open_parent<'p>(&mut self, path: &'p Path) -> anyhow::Result<(OwnedFd, &'p OsStr)> {
        let Some(name) = path.file_name() else { bail!("there is no name in {}", path.display()) };
        let parent = path.parent().unwrap_or(Path::new(""));
        match self.open_folder(parent) {
            Ok(folder) => Ok((folder, name)),
            Err(Errno::NOENT) => {
                let (above, missing) = self.open_parent(parent)?;
                mkdirat(&above, missing, Mode::from_raw_mode(0o755))?;
                self.fresh.insert(parent.to_owned());
                self.placed.insert(parent.to_owned());
                Ok((self.open_folder(parent)?, name))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn place_folder(&mut self, entry: &Entry, path: &Path) -> anyhow::Result<bool> {
        let (parent, name) = self.open_parent(path)?;
        match mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let there = openat(&parent, name, FOLDER | OFlags::NOFOLLOW, Mode::empty());
                if there.is_err() {
                    self.clear(&parent, name, path)?;
                    mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
                }
            }
            Err(error) => return Err(error.into()),
        }
        self.set_owner(&parent, name, entry)?;
        // Those who write into it must be able to until the end.
        self.folders.push((path.to_owned(), self.permissions(entry, 0o700)));
        Ok(true)
    }

    fn place_file(&mut self, entry: &Entry, path: &Path, content: &mut dyn Read) -> anyhow::Result<bool> {
        let (parent, name) = self.open_parent(path)?;
        self.clear(&parent, name, path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&parent, name, flags, Mode::from_raw_mode(0o600))?;
        let mut file = File::from(file);
        io::copy(content, &mut file)?;
        file.flush()?;
        self.set_owner(&parent, name, entry)?;
        // After the owner, whose change takes the special permissions away.
        fchmod(&file, Mode::from_raw_mode(self.permissions(entry, 0o600)))?;
        let time = Timespec { tv_sec: i64::try_from(entry.modified).unwrap_or(0), tv_nsec: 0 };
        futimens(&file, &Timestamps { last_access: time, last_modification: time })?;
        Ok(true)
    }

    fn place_symlink(&mut self, entry: &Entry, path: &Path, target: &Path) -> anyhow::Result<bool> {
        let (parent, name) = self.open_parent(path)?;
        self.clear(&parent, name, path)?;
        symlinkat(target, &parent, name)?;
        self.set_owner(&parent, name, entry)?;
        Ok(true)
    }

    /// A hard link, to what an entry of the image has put here and to nothing else.
    fn place_hard_link(&mut self, path: &Path, target: &Path) -> anyhow::Result<bool> {
        let source = self.wanted.place(target).filter(|source| self.placed.contains(source));
        let Some(source) = source else {
            self.warnings.push(format!(
                "{} is left out: it is a hard link of /{}, which was not extracted",
                path.display(),
                target.display()
            ));
            return Ok(false);
        };
        if source == path {
            return Ok(true);
        }
        let (from, from_name) = self.open_parent(&source)?;
        let (parent, name) = self.open_parent(path)?;
        self.clear(&parent, name, path)?;
        linkat(&from, from_name, &parent, name, AtFlags::empty())?;
        Ok(true)
    }

    /// Takes away what is at a path, so that something else can be put there.
    fn clear(&mut self, parent: &OwnedFd, name: &OsStr, path: &Path) -> anyhow::Result<()> {
        match unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            // Linux says the first, others the second.
            Err(Errno::ISDIR | Errno::PERM) => {
                self.remove_placed_below(path);
                match unlinkat(parent, name, AtFlags::REMOVEDIR) {
                    Ok(()) | Err(Errno::NOENT) => Ok(()),
                    Err(error) => Err(error).context("there is a folder, with something in it"),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes away a file or folder of a lower layer.
    fn hide(&mut self, hidden: &Path) -> anyhow::Result<()> {
        let Some(place) = self.wanted.place(hidden) else {
            // A folder above all that is wanted takes all of it along.
            if self.wanted.is_within(hidden) {
                self.remove_placed(|_| true);
            }
            return Ok(());
        };
        self.remove_placed(|path| path.starts_with(&place));
        Ok(())
    }

    /// Takes away everything that lower layers put below a folder.
    fn hide_below(&mut self, folder: &Path) -> anyhow::Result<()> {
        match self.wanted.place(folder) {
            Some(place) => self.remove_placed(|path| path != place && path.starts_with(&place)),
            None if self.wanted.is_within(folder) => self.remove_placed(|_| true),
            None => {}
        }
        Ok(())
    }

    /// Removes what lower layers have placed, the deepest first.
    fn remove_placed(&mut self, goes: impl Fn(&Path) -> bool) {
        let gone: Vec<PathBuf> = self
            .placed
            .iter()
            .rev()
            .filter(|path| goes(path) && !self.fresh.contains(*path))
            .cloned()
            .collect();
        for path in gone {
            self.remove(&path);
        }
    }

    fn remove_placed_below(&mut self, folder: &Path) {
        let gone: Vec<PathBuf> = self
            .placed
            .iter()
            .rev()
            .filter(|path| path.starts_with(folder) && path.as_path() != folder)
            .cloned()
            .collect();
        for path in gone {
            self.remove(&path);
        }
    }

    fn remove(&mut self, path: &Path) {
        let Some(name) = path.file_name().map(OsString::from) else { return };
        let Ok(parent) = self.open_folder(path.parent().unwrap_or(Path::new(""))) else { return };
        let removed = match unlinkat(&parent, &name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => unlinkat(&parent, &name, AtFlags::REMOVEDIR),
            removed => removed,
        };
        match removed {
            Ok(()) | Err(Errno::NOENT) => {
                self.placed.remove(path);
            }
            // Something in it was there before, or is of this layer.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(error) => {
                self.warnings.push(format!("{} could not be removed: {error}", path.display()));
            }
        }
    }

    /// Permissions as they are to be; whoever asks for nothing special gets what is harmless and usable.
    fn permissions(&self, entry: &Entry, least: u32) -> u32 {
        if self.preserve { entry.mode & 0o7777 } else { entry.mode & 0o755 | least }
    }

    fn set_owner(&mut self, parent: &OwnedFd, name: &OsStr, entry: &Entry) -> anyhow::Result<()> {
        if !self.preserve {
            return Ok(());
        }
        let (user, group) = (u32::try_from(entry.owner.0)?, u32::try_from(entry.owner.1)?);
        let owner = (Uid::from_raw(user), Gid::from_raw(group));
        match chownat(parent.as_fd(), name, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::PERM) if !rustix::process::geteuid().is_root() => {
                if self.warnings.is_empty() {
                    self.warnings.push("owners are not kept: that takes root".to_owned());
                }
                Ok(())
            }
            changed => Ok(changed?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

    use super::{super::entries, Placing, Wanted};

    /// An archive made of rows: `d NAME`, `f NAME CONTENT`, `l NAME TARGET`, `h NAME TARGET`, `c NAME`.
    fn archive(rows: &[&str]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for row in rows {
            let mut words = row.split(' ');
            let (kind, name) = (words.next().unwrap(), words.next().unwrap());
            let rest = words.next().unwrap_or_default();
            let mut header = tar::Header::new_gnu();
            header.set_mode(if kind == "d" { 0o755 } else { 0o4666 });
            header.set_mtime(1_000_000_000);
            let content = if kind == "f" { rest.as_bytes() } else { b"" };
            header.set_size(content.len() as u64);
            header.set_entry_type(match kind {
                "d" => tar::EntryType::Directory,
                "f" => tar::EntryType::Regular,
                "l" => tar::EntryType::Symlink,
                "h" => tar::EntryType::Link,
                _ => tar::EntryType::Char,
            });
            // By hand: the builder refuses the names that are tried here.
            let bytes = header.as_gnu_mut().unwrap();
            bytes.name[..name.len()].copy_from_slice(name.as_bytes());
            if matches!(kind, "l" | "h") {
                bytes.linkname[..rest.len()].copy_from_slice(rest.as_bytes());
            }
            header.set_cksum();
            builder.append(&header, content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    struct Ground {
        folder: tempfile::TempDir,
    }

    impl Ground {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("to")).unwrap();
            fs::write(folder.path().join("outside"), "mine").unwrap();
            Self { folder }
        }

        fn to(&self) -> std::path::PathBuf {
            self.folder.path().join("to")
        }

        fn extract(&self, wanted: &str, layers: &[&[&str]]) -> anyhow::Result<Vec<String>> {
            let mut placing = Placing::new(Wanted::parse(wanted)?, &self.to(), false, false)?;
            let mut warnings = Vec::new();
            for rows in layers {
                entries::each(archive(rows).as_slice(), |entry, content| placing.take(entry, content))?;
                warnings.extend(placing.take_warnings());
                placing.next_layer();
            }
            placing.finish()?;
            assert_eq!(fs::read_to_string(self.folder.path().join("outside")).unwrap(), "mine");
            assert_eq!(fs::read_dir(self.folder.path()).unwrap().count(), 2);
            Ok(warnings)
        }

        #[track_caller]
        fn has(&self, path: &str, content: &str) {
            assert_eq!(fs::read_to_string(self.to().join(path)).unwrap(), content, "{path}");
        }

        #[track_caller]
        fn lacks(&self, path: &str) {
            assert!(fs::symlink_metadata(self.to().join(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn layers_lie_over_each_other() {
        let ground = Ground::new();
        let lower: &[&str] =
            &["d a", "f a/one 1", "f a/two 2", "d b", "f b/three 3", "f c 4", "d d", "f d/x 5"];
        let upper: &[&str] = &["f a/.wh.one", "f b/new 6", "f b/.wh..wh..opq", "d c", "f c/y 7", "f d 8"];
        ground.extract("/", &[lower, upper]).unwrap();
        ground.lacks("a/one");
        ground.has("a/two", "2");
        ground.lacks("b/three");
        ground.has("b/new", "6");
        ground.has("c/y", "7");
        ground.has("d", "8");
        let two = fs::metadata(ground.to().join("a/two")).unwrap();
        assert_eq!(two.permissions().mode() & 0o7777, 0o644, "no special permissions, none to write for all");
        assert_eq!(
            two.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(),
            1_000_000_000
        );
    }

    #[test]
    fn nothing_outside_is_touched() {
        for rows in [&["f ../outside bad"][..], &["f a/../../outside bad"], &["h x ../outside"]] {
            let error = Ground::new().extract("/", &[rows]).unwrap_err();
            assert!(format!("{error:#}").contains("leads out of the image"), "{error:#}");
        }
        let ground = Ground::new();
        let up = ground.folder.path().display().to_string();
        // A link out of the folder, and something written through it: it lands inside, or not at all.
        ground.extract("/", &[&["l up ..", "f up/outside bad"]]).unwrap();
        ground.has("outside", "bad");
        let ground = Ground::new();
        ground.extract("/", &[&["l abs /", &format!("f abs/{up}/outside bad")]]).unwrap();
        let ground = Ground::new();
        ground.extract("/", &[&["l f ../outside", "f f bad"]]).unwrap();
        assert!(!fs::symlink_metadata(ground.to().join("f")).unwrap().is_symlink());
        ground.has("f", "bad");
        let ground = Ground::new();
        ground.extract("/", &[&["l l ../outside", "h h l"]]).unwrap();
        assert!(
            fs::symlink_metadata(ground.to().join("h")).unwrap().is_symlink(),
            "the link, not what it names"
        );
        let ground = Ground::new();
        ground.extract("/", &[&["f /abs 1"]]).expect("a path from the root is one from the folder");
        ground.has("abs", "1");
    }

    #[test]
    fn what_was_there_before_stays() {
        let ground = Ground::new();
        fs::write(ground.to().join("mine"), "mine").unwrap();
        fs::create_dir(ground.to().join("dir")).unwrap();
        fs::write(ground.to().join("dir/mine"), "mine").unwrap();
        ground.extract("/", &[&["f a 1"], &["f .wh.mine", "f dir/.wh..wh..opq", "f .wh.a"]]).unwrap();
        ground.has("mine", "mine");
        ground.has("dir/mine", "mine");
        ground.lacks("a");
        let warnings = ground.extract("/", &[&["h x mine", "c dev"]]).unwrap();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        ground.lacks("x");
        ground.lacks("dev");
        let error = ground.extract("/", &[&["f dir 1"]]).unwrap_err();
        assert!(format!("{error:#}").contains("there is a folder, with something in it"), "{error:#}");
    }

    #[test]
    fn parts_of_an_image() {
        let ground = Ground::new();
        let layer: &[&str] = &[
            "d etc",
            "f etc/a.conf 1",
            "f etc/b.txt 2",
            "d etc/d",
            "f etc/d/c.conf 3",
            "h etc/e.conf etc/a.conf",
            "h etc/f.conf etc/b.txt",
        ];
        let warnings = ground.extract("/etc/*.conf", &[layer]).unwrap();
        ground.has("a.conf", "1");
        ground.has("e.conf", "1");
        ground.lacks("f.conf");
        ground.lacks("b.txt");
        ground.lacks("d");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let ground = Ground::new();
        ground.extract("/etc/", &[layer, &["f .wh.etc"], &["f etc/z 9"]]).unwrap();
        ground.lacks("a.conf");
        ground.has("z", "9");
        assert!(Path::new(&ground.to()).is_dir());
    }
}
