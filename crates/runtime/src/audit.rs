//! The audit log: a file of lines that is only ever added to, and turned over when it is full.
//!
//! Owns the file, its rights and its rotation. What a line says is its writer's. A line is with the kernel when
//! [`AuditLog::record`] returns, so it survives the end of the process; one that cannot be written is counted and told
//! to the log of the server, and what it tells of goes on: a full disk must not keep people from deleting things.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tracing::error;

/// Where the log is and how large it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFile {
    /// The file that is written; older ones have `.1`, `.2` and so on behind its name.
    pub path: PathBuf,
    /// Bytes after which a new file is begun.
    pub max_bytes: u64,
    /// Older files that are kept.
    pub keep: usize,
}

/// Who sent a request, for whoever records it: handlers put it into the extensions of their response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(pub String);

/// Takes lines for the audit log. Clones write to the same file.
#[derive(Clone, Debug, Default)]
pub struct AuditLog(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    settings: AuditFile,
    open: Mutex<Open>,
    lost: AtomicU64,
    /// How often a new file could not be begun.
    stuck: AtomicU64,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
    /// Whether the file ends within a line.
    torn: bool,
}

impl AuditLog {
    /// A log that keeps nothing.
    pub fn off() -> Self {
        Self::default()
    }

    /// Opens the log, and makes its folder where there is none. Only its owner may read it.
    ///
    /// # Errors
    /// When the folder or the file cannot be made.
    pub fn open(settings: AuditFile) -> io::Result<Self> {
        if let Some(folder) = settings.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let open = Mutex::new(open(&settings.path)?);
        Ok(Self(Some(Arc::new(Inner { settings, open, lost: AtomicU64::new(0), stuck: AtomicU64::new(0) }))))
    }

    /// Whether lines are kept.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Adds one line; `line` has no line break.
    pub fn record(&self, line: &str) {
        let Some(inner) = &self.0 else { return };
        let written = inner.write(line);
        if let Err(error) = written {
            let lost = inner.lost.fetch_add(1, Ordering::Relaxed) + 1;
            // A disk that is full is so for a while; the log of the server is not to be filled with that.
            if lost.is_power_of_two() {
                error!(%error, lost, "The audit log could not be written, {lost} records are lost: {error}");
            }
        }
    }

    /// Lines that could not be written since the start.
    pub fn lost(&self) -> u64 {
        self.0.as_ref().map_or(0, |inner| inner.lost.load(Ordering::Relaxed))
    }
}

impl Inner {
    fn write(&self, line: &str) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(line.len() + 2);
        let mut open = self.open.lock();
        if open.bytes > 0 && open.bytes + line.len() as u64 + 1 > self.settings.max_bytes {
            match turn_over(&self.settings) {
                Ok(new) => *open = new,
                Err(error) => self.go_on(&error),
            }
        }
        if open.torn {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        if let Err(error) = open.file.write_all(&bytes) {
            // A full disk may take half a line: the next one must not be read as its end.
            open.bytes = open.file.metadata()?.len();
            open.torn = open.bytes > 0 && !ends_a_line(&open.file, open.bytes)?;
            return Err(error);
        }
        open.bytes += bytes.len() as u64;
        open.torn = false;
        Ok(())
    }

    /// Says that the file is written on although it is full; rarely, as every record tries again.
    fn go_on(&self, error: &io::Error) {
        let stuck = self.stuck.fetch_add(1, Ordering::Relaxed) + 1;
        if stuck.is_power_of_two() {
            error!(%error, stuck, "The audit log is full and no new file can be begun, it grows on: {error}");
        }
    }
}

fn open(path: &Path) -> io::Result<Open> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let mut bytes = file.metadata()?.len();
    if bytes > 0 && !ends_a_line(&file, bytes)? {
        // The machine went down within a line: what is added must not be read as its end.
        file.write_all(b"\n")?;
        bytes += 1;
    }
    Ok(Open { file, bytes, torn: false })
}

fn ends_a_line(file: &File, bytes: u64) -> io::Result<bool> {
    use std::os::unix::fs::FileExt as _;
    let mut last = [0];
    file.read_exact_at(&mut last, bytes - 1)?;
    Ok(last == *b"\n")
}

/// Begins a new file, under another name until the old one is out of the way: whoever has no descriptors left must not
/// lose the older files, one with each try.
fn turn_over(settings: &AuditFile) -> io::Result<Open> {
    let fresh = beside(&settings.path, "new");
    let opened = open(&fresh)?;
    // Where the last try ended between the renames, the older ones have moved already.
    let ages = if settings.path.try_exists()? { settings.keep } else { 0 };
    for age in (1..=ages).rev() {
        let from = if age == 1 { settings.path.clone() } else { aged(&settings.path, age - 1) };
        match std::fs::rename(&from, aged(&settings.path, age)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    std::fs::rename(&fresh, &settings.path)?;
    Ok(opened)
}

fn aged(path: &Path, age: usize) -> PathBuf {
    beside(path, &age.to_string())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(format!(".{ending}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::{AuditFile, AuditLog};
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("audit-{name}-{}", std::process::id()));
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        folder
    }

    #[test]
    fn a_full_file_is_turned_over_and_the_oldest_go() {
        let folder = folder("turn");
        let path = folder.join("log/audit.log");
        let settings = AuditFile { path: path.clone(), max_bytes: 10, keep: 2 };
        let log = AuditLog::open(settings).unwrap();
        for line in ["aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff", "gggg"] {
            log.record(line);
        }
        let read = |name: &str| std::fs::read_to_string(folder.join("log").join(name)).ok();
        assert_eq!(read("audit.log").as_deref(), Some("gggg\n"));
        assert_eq!(read("audit.log.1").as_deref(), Some("eeee\nffff\n"));
        assert_eq!(read("audit.log.2").as_deref(), Some("cccc\ndddd\n"));
        assert_eq!(read("audit.log.3"), None);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(log.lost(), 0);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn without_a_new_file_the_old_one_is_written_on_and_nothing_is_moved() {
        let folder = folder("stuck");
        let settings = AuditFile { path: folder.join("audit.log"), max_bytes: 10, keep: 2 };
        let log = AuditLog::open(settings).unwrap();
        for line in ["aaaa", "bbbb", "cccc", "dddd"] {
            log.record(line);
        }
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
        std::fs::create_dir(folder.join("audit.log.new")).unwrap();
        log.record("eeee");
        log.record("ffff");
        assert_eq!(read("audit.log").as_deref(), Some("cccc\ndddd\neeee\nffff\n"));
        assert_eq!(read("audit.log.1").as_deref(), Some("aaaa\nbbbb\n"));
        std::fs::remove_dir(folder.join("audit.log.new")).unwrap();
        log.record("gggg");
        assert_eq!(read("audit.log").as_deref(), Some("gggg\n"));
        assert_eq!(read("audit.log.1").as_deref(), Some("cccc\ndddd\neeee\nffff\n"));
        assert_eq!(read("audit.log.2").as_deref(), Some("aaaa\nbbbb\n"));
        assert_eq!((read("audit.log.new"), log.lost()), (None, 0));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn half_a_line_that_was_written_is_ended_by_the_next() {
        let folder = folder("torn");
        let settings = AuditFile { path: folder.join("audit.log"), max_bytes: 1000, keep: 1 };
        let log = AuditLog::open(settings.clone()).unwrap();
        {
            let mut open = log.0.as_ref().unwrap().open.lock();
            open.file.write_all(b"hal").unwrap();
            open.torn = true;
        }
        log.record("next");
        log.record("last");
        assert_eq!(std::fs::read_to_string(&settings.path).unwrap(), "hal\nnext\nlast\n");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_was_there_stays_and_half_a_line_is_ended() {
        let folder = folder("half");
        let settings = AuditFile { path: folder.join("audit.log"), max_bytes: 1000, keep: 1 };
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&settings.path, "whole\nhal").unwrap();
        let log = AuditLog::open(settings.clone()).unwrap();
        log.record("next");
        assert_eq!(std::fs::read_to_string(&settings.path).unwrap(), "whole\nhal\nnext\n");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn nothing_is_kept_where_it_is_off() {
        let log = AuditLog::off();
        log.record("line");
        assert!(!log.is_on());
    }
}
