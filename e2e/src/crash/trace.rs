//! The automaton that holds a trace of system calls to the order in which things must reach the disk
//! (`reliability-and-security.md` 6-D D3): data before its name, the name before the metadata that tells of it, the
//! metadata before the answer.
//!
//! ext4 hides a missing sync of a folder behind the next sync of anything; the trace does not. Made for one client that
//! sends one request after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What strace must be told for its output to be understood, before the `-o`.
pub const STRACE: [&str; 9] = [
    "strace",
    "-D",
    "-f",
    "-y",
    "--seccomp-bpf",
    "-s",
    "24",
    "-e",
    "trace=fsync,fdatasync,rename,renameat,renameat2,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,recvfrom,read,\
     openat,mkdir,mkdirat,unlink,unlinkat",
];

/// One thing that happened, in the order of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A file was written to; counts from the beginning of the call.
    Written(PathBuf),
    /// A sync of a file or folder returned; what was written after this place in the trace is not part of it.
    Synced(PathBuf, usize),
    /// A folder or a file came to be.
    Made(PathBuf),
    /// A file got another name.
    Renamed(PathBuf, PathBuf),
    /// A file or name went away.
    Removed(PathBuf),
    /// A `PUT` began to arrive.
    Put,
    /// A `201` began to leave.
    Created,
}

/// The events of a trace below `data`, each with its place in the trace.
#[must_use]
pub fn events(trace: &str, data: &Path) -> Vec<(usize, Event)> {
    let mut begun: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    let mut events = Vec::new();
    for (place, line) in trace.lines().enumerate() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        let returned = call.starts_with("<...");
        let (from, call) = match begun.remove(thread) {
            Some(beginning) if returned => beginning,
            _ => (place, call),
        };
        let end = line.rsplit_once(" = ").map_or("", |(_, end)| end);
        let failed = end.starts_with('-');
        let open = line.ends_with("<unfinished ...>");
        if open {
            begun.insert(thread, (place, call));
        }
        // Counts when it begins: writes and answers. When it has returned: everything else.
        let event = if open {
            None
        } else if is_read(call) {
            // What was read shows where the call returned, which need not be where it began.
            line.contains("\"PUT /v2/").then_some(Event::Put)
        } else {
            after(call, from, end, data)
        };
        let event = event.or_else(|| if returned { None } else { before(call, data) });
        if let Some(event) = event.filter(|_| !failed) {
            events.push((place, event));
        }
    }
    events
}

fn is_read(call: &str) -> bool {
    call.starts_with("recvfrom(") || call.starts_with("read(")
}

fn before(call: &str, data: &Path) -> Option<Event> {
    let (name, arguments) = call.split_once('(')?;
    if call.contains("\"HTTP/1.1 201") {
        return Some(Event::Created);
    }
    match name {
        "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" => {
            opened(arguments).filter(|path| path.starts_with(data)).map(Event::Written)
        }
        _ => None,
    }
}

fn after(call: &str, from: usize, end: &str, data: &Path) -> Option<Event> {
    let (name, arguments) = call.split_once('(')?;
    let quoted = quoted(arguments);
    let first = quoted.first().copied();
    let ours = |path: &&str| Path::new(path).starts_with(data);
    match name {
        "fsync" | "fdatasync" => opened(arguments)
            .filter(|path| path.starts_with(data) || data.parent() == Some(path))
            .map(|path| Event::Synced(path, from)),
        "mkdir" | "mkdirat" => first.filter(ours).map(|path| Event::Made(path.into())),
        // The file of a descriptor shows in what the call returned.
        "openat" if arguments.contains("O_CREAT") && !end.is_empty() => {
            first.filter(ours).map(|path| Event::Made(path.into()))
        }
        "unlink" | "unlinkat" => first.filter(ours).map(|path| Event::Removed(path.into())),
        "rename" | "renameat" | "renameat2" => match quoted[..] {
            [from, to, ..] if ours(&to) => Some(Event::Renamed(from.into(), to.into())),
            _ => None,
        },
        _ => None,
    }
}

/// The path strace shows for the first descriptor.
fn opened(arguments: &str) -> Option<PathBuf> {
    let (_, path) = arguments.split_once('<')?;
    path.split_once('>').map(|(path, _)| path.into())
}

fn quoted(arguments: &str) -> Vec<&str> {
    arguments.split('"').skip(1).step_by(2).collect()
}

/// What of the server's folders a rule is about.
#[derive(Clone, Debug)]
pub struct Rules {
    data: PathBuf,
    known: BTreeSet<PathBuf>,
    unsynced: BTreeMap<PathBuf, usize>,
    /// Folders with names that may not be on the disk.
    unnamed: BTreeMap<PathBuf, usize>,
    log_written: bool,
}

impl Rules {
    /// Nothing happened yet, and `data` is not there.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self {
            data: data.to_owned(),
            known: BTreeSet::new(),
            unsynced: BTreeMap::new(),
            unnamed: BTreeMap::new(),
            log_written: false,
        }
    }

    /// Goes on by these events, up to the first that must not happen.
    pub fn hold(&mut self, events: &[(usize, Event)]) -> Result<(), String> {
        events.iter().try_for_each(|(place, event)| self.step(*place, event))
    }

    fn step(&mut self, place: usize, event: &Event) -> Result<(), String> {
        match event {
            Event::Written(path) => {
                if path.to_string_lossy().ends_with("-wal") {
                    self.named(&self.data.join("blobs"), "metadata were written")?;
                    self.log_written = true;
                }
                if !is_passing(path) {
                    self.unsynced.insert(path.clone(), place);
                }
            }
            Event::Synced(path, from) => {
                self.unsynced.retain(|written, at| written != path || *at > *from);
                self.unnamed.retain(|folder, at| folder != path || *at > *from);
            }
            Event::Made(path) => {
                let is_new = self.known.insert(path.clone());
                // The name of an upload's file is promised when it is that of a blob.
                if is_new && !is_passing(path) && !is_new_file(path) && !self.is_upload(path) {
                    self.unname(path, place);
                }
            }
            Event::Renamed(from, to) => {
                if self.unsynced.contains_key(from) {
                    return Err(format!("{} got its name before its data was synced", to.display()));
                }
                if !is_passing(to) {
                    self.unname(to, place);
                }
            }
            Event::Removed(path) => {
                self.known.remove(path);
                self.unsynced.remove(path);
            }
            Event::Put => self.log_written = false,
            Event::Created => self.may_answer()?,
        }
        Ok(())
    }

    fn may_answer(&self) -> Result<(), String> {
        if !self.log_written {
            return Err("201 was sent and no metadata were written since the request".to_owned());
        }
        self.named(&self.data, "201 was sent")?;
        // Not what is being received, and not the database: what is not in it is in its log.
        match self.unsynced.keys().find(|path| !self.is_upload(path) && !is_database(path)) {
            Some(path) => Err(format!("201 was sent before {} was synced", path.display())),
            None => Ok(()),
        }
    }

    fn named(&self, below: &Path, what: &str) -> Result<(), String> {
        let ours = |folder: &&PathBuf| folder.starts_with(below) || below == self.data;
        match self.unnamed.keys().find(ours) {
            Some(folder) => Err(format!("{what} before the names in {} were synced", folder.display())),
            None => Ok(()),
        }
    }

    fn unname(&mut self, path: &Path, place: usize) {
        if let Some(folder) = path.parent() {
            self.unnamed.insert(folder.to_owned(), place);
        }
    }

    fn is_upload(&self, path: &Path) -> bool {
        path.starts_with(self.data.join("blobs/uploads")) && path.extension().is_some()
    }
}

/// Locks, shared memory, where the server listens and the audit logs, which are written beside what they tell of, may be
/// gone after a power cut; a rollback journal, only written when the database is made, is synced by its own rules.
fn is_passing(path: &Path) -> bool {
    let name = path.to_string_lossy();
    let passing = ["-shm", "-journal", ".lock", "/addresses.new", "/addresses.json", "/audit"];
    passing.iter().any(|end| name.ends_with(end))
        || path.parent().is_some_and(|folder| folder.ends_with("audit"))
}

/// Written under this name, synced, and then renamed.
fn is_new_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "new")
}

fn is_database(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "db")
}

#[cfg(test)]
mod tests {
    use super::{Event, Rules, events};
    use std::path::Path;

    const PUSH: &str = r#"7 recvfrom(9<socket:[1]>, "PUT /v2/crash/a/blobs/up", 24, 0, NULL, NULL) = 24
8 pwritev(5</d/blobs/uploads/u.o.part>, [{iov_base="", iov_len=3}], 1, 0) = 3
8 fdatasync(5</d/blobs/uploads/u.o.part> <unfinished ...>
7 write(2</log>, "", 1) = 1
8 <... fdatasync resumed>)              = 0
8 renameat2(AT_FDCWD</>, "/d/blobs/uploads/u.o.part", AT_FDCWD</>, "/d/blobs/blobs/sha256/aa/aabb", RENAME_NOREPLACE) = 0
8 fsync(6</d/blobs/blobs/sha256/aa>) = 0
9 pwrite64(4</d/metadata/metadata.db-wal>, "", 4096, 32) = 4096
9 fsync(4</d/metadata/metadata.db-wal>) = 0
7 writev(9<socket:[1]>, [{iov_base="HTTP/1.1 201 Created", iov_len=20}], 1) = 20
"#;

    fn outcome(trace: &str) -> Result<(), String> {
        Rules::new(Path::new("/d")).hold(&events(trace, Path::new("/d")))
    }

    #[test]
    fn a_push_passes_and_without_any_of_its_steps_it_does_not() {
        assert_eq!(outcome(PUSH), Ok(()));
        for dropped in ["8 fdatasync", "8 fsync", "9 pwrite64", "9 fsync"] {
            let lines = PUSH.lines().filter(|line| !line.starts_with(dropped));
            let resumed = |line: &&str| !(dropped == "8 fdatasync" && line.contains("resumed"));
            let trace: Vec<&str> = lines.filter(resumed).collect();
            assert!(outcome(&trace.join("\n")).is_err(), "without {dropped}");
        }
    }

    #[test]
    fn a_request_whose_reading_is_shown_in_two_parts_is_one() {
        let trace = "7 read(9<socket:[1]>,  <unfinished ...>\n8 write(2</log>, \"\", 1) = 1\n\
                     7 <... read resumed>\"PUT /v2/crash/a/blobs/up\"..., 8192) = 24\n";
        assert_eq!(events(trace, Path::new("/d")), [(2, Event::Put)]);
    }

    #[test]
    fn the_order_counts_and_not_only_the_steps() {
        let swapped = |first: usize, second: usize| {
            let mut lines: Vec<&str> = PUSH.lines().collect();
            lines.swap(first, second);
            outcome(&lines.join("\n")).unwrap_err()
        };
        let rename_too_early = swapped(4, 5);
        assert!(rename_too_early.contains("before its data was synced"), "{rename_too_early}");
        let metadata_too_early = swapped(6, 7);
        assert!(metadata_too_early.contains("metadata were written before"), "{metadata_too_early}");
        let answer_too_early = swapped(8, 9);
        assert!(answer_too_early.contains("metadata.db-wal was synced"), "{answer_too_early}");
    }
}
