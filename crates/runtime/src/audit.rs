//! The audit log: a file of lines that is only ever added to, and turned over when it is full.
//!
//! Owns the files, their rights and their rotation, and the thread that writes them. What a line says is its writer's.
//! Refusals of nobody in particular are in a file of their own: they cost their senders nothing, who could push all
//! else out with them. A line is with the kernel when [`AuditLog::record`] returns, so it survives the end of the process,
//! unless the disk stands still; then nobody waits for long. One that cannot be written is counted and told to the log of
//! the server, and what it tells of goes on: a full disk must not keep people from deleting things.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::error;

/// Lines that wait for the disk; further ones are lost.
const QUEUE: usize = 10_000;
/// How long whoever records something waits for the disk.
const PATIENCE: Duration = Duration::from_secs(1);

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

/// Which file a line goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What is done, and refused to somebody.
    Known,
    /// What is refused to nobody in particular: the file beside, with `-refused` in its name.
    Strangers,
}

/// Takes lines for the audit log. Clones write to the same files.
#[derive(Clone, Debug, Default)]
pub struct AuditLog(Option<Queue>);

#[derive(Clone, Debug)]
struct Queue {
    lines: mpsc::Sender<Line>,
    lost: Lost,
}

struct Line {
    text: String,
    part: Part,
    written: oneshot::Sender<()>,
}

/// Lines that could not be written.
#[derive(Clone, Debug, Default)]
struct Lost(Arc<AtomicU64>);

impl Lost {
    fn count(&self, why: &dyn std::fmt::Display) {
        let lost = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        // A disk that is full is so for a while; the log of the server is not to be filled with that.
        if lost.is_power_of_two() {
            error!(error = %why, lost, "The audit log could not be written, {lost} records are lost: {why}");
        }
    }
}

impl AuditLog {
    /// A log that keeps nothing.
    pub fn off() -> Self {
        Self::default()
    }

    /// Opens the log, and makes its folder where there is none. Only its owner may read it.
    ///
    /// # Errors
    /// When the folder or a file cannot be made, or the thread that writes them not be started.
    pub fn open(settings: AuditFile) -> io::Result<Self> {
        if let Some(folder) = settings.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let strangers = AuditFile { path: refused(&settings.path), ..settings.clone() };
        let (mut known, mut strangers) = (Log::open(settings)?, Log::open(strangers)?);
        let (lines, mut queue) = mpsc::channel(QUEUE);
        let lost = Lost::default();
        let counted = lost.clone();
        thread::Builder::new().name("audit".into()).spawn(move || {
            while let Some(Line { text, part, written }) = queue.blocking_recv() {
                let log = match part {
                    Part::Known => &mut known,
                    Part::Strangers => &mut strangers,
                };
                if let Err(error) = log.write(&text) {
                    counted.count(&error);
                }
                // Nobody may be left to be told.
                written.send(()).unwrap_or(());
            }
        })?;
        Ok(Self(Some(Queue { lines, lost })))
    }

    /// Whether lines are kept.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Adds one line; `line` has no line break.
    pub async fn record(&self, line: String, part: Part) {
        let Some(queue) = &self.0 else { return };
        let (written, is_written) = oneshot::channel();
        match queue.lines.try_send(Line { text: line, part, written }) {
            Ok(()) => drop(tokio::time::timeout(PATIENCE, is_written).await),
            Err(error) => queue.lost.count(&error),
        }
    }

    /// Lines that could not be written since the start.
    pub fn lost(&self) -> u64 {
        self.0.as_ref().map_or(0, |queue| queue.lost.0.load(Ordering::Relaxed))
    }
}

/// The name of the file beside `path` for what is refused to nobody in particular.
fn refused(path: &Path) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push("-refused");
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// One file and what it was before.
#[derive(Debug)]
struct Log {
    settings: AuditFile,
    open: Open,
    /// How often a new file could not be begun.
    stuck: u64,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
    /// Whether the file ends within a line.
    torn: bool,
}

impl Log {
    fn open(settings: AuditFile) -> io::Result<Self> {
        let open = open(&settings.path)?;
        Ok(Self { settings, open, stuck: 0 })
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(line.len() + 2);
        if self.open.bytes > 0 && self.open.bytes + line.len() as u64 + 1 > self.settings.max_bytes {
            match turn_over(&self.settings) {
                Ok(new) => self.open = new,
                Err(error) => self.go_on(&error),
            }
        }
        let open = &mut self.open;
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
    fn go_on(&mut self, error: &io::Error) {
        self.stuck += 1;
        let stuck = self.stuck;
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
    use super::{AuditFile, AuditLog, Log, Part, QUEUE, refused};
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

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
        std::fs::create_dir_all(folder.join("log")).unwrap();
        let mut log = Log::open(settings).unwrap();
        for line in ["aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff", "gggg"] {
            log.write(line).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(folder.join("log").join(name)).ok();
        assert_eq!(read("audit.log").as_deref(), Some("gggg\n"));
        assert_eq!(read("audit.log.1").as_deref(), Some("eeee\nffff\n"));
        assert_eq!(read("audit.log.2").as_deref(), Some("cccc\ndddd\n"));
        assert_eq!(read("audit.log.3"), None);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn without_a_new_file_the_old_one_is_written_on_and_nothing_is_moved() {
        let folder = folder("stuck");
        let settings = AuditFile { path: folder.join("audit.log"), max_bytes: 10, keep: 2 };
        std::fs::create_dir_all(&folder).unwrap();
        let mut log = Log::open(settings).unwrap();
        for line in ["aaaa", "bbbb", "cccc", "dddd"] {
            log.write(line).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
        std::fs::create_dir(folder.join("audit.log.new")).unwrap();
        log.write("eeee").unwrap();
        log.write("ffff").unwrap();
        assert_eq!(read("audit.log").as_deref(), Some("cccc\ndddd\neeee\nffff\n"));
        assert_eq!(read("audit.log.1").as_deref(), Some("aaaa\nbbbb\n"));
        std::fs::remove_dir(folder.join("audit.log.new")).unwrap();
        log.write("gggg").unwrap();
        assert_eq!(read("audit.log").as_deref(), Some("gggg\n"));
        assert_eq!(read("audit.log.1").as_deref(), Some("cccc\ndddd\neeee\nffff\n"));
        assert_eq!(read("audit.log.2").as_deref(), Some("aaaa\nbbbb\n"));
        assert_eq!(read("audit.log.new"), None);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn half_a_line_that_was_written_is_ended_by_the_next() {
        let folder = folder("torn");
        let settings = AuditFile { path: folder.join("audit.log"), max_bytes: 1000, keep: 1 };
        std::fs::create_dir_all(&folder).unwrap();
        let mut log = Log::open(settings.clone()).unwrap();
        log.open.file.write_all(b"hal").unwrap();
        log.open.torn = true;
        log.write("next").unwrap();
        log.write("last").unwrap();
        assert_eq!(std::fs::read_to_string(&settings.path).unwrap(), "hal\nnext\nlast\n");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_was_there_stays_and_half_a_line_is_ended() {
        let folder = folder("half");
        let settings = AuditFile { path: folder.join("audit.log"), max_bytes: 1000, keep: 1 };
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&settings.path, "whole\nhal").unwrap();
        let mut log = Log::open(settings.clone()).unwrap();
        log.write("next").unwrap();
        assert_eq!(std::fs::read_to_string(&settings.path).unwrap(), "whole\nhal\nnext\n");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn strangers_push_nothing_out_of_the_log() {
        let folder = folder("strangers");
        let settings = AuditFile { path: folder.join("audit.log"), max_bytes: 30, keep: 1 };
        let log = AuditLog::open(settings.clone()).unwrap();
        log.record("ann wrote".to_owned(), Part::Known).await;
        for number in 0..20 {
            log.record(format!("nobody was refused {number}"), Part::Strangers).await;
        }
        assert_eq!(std::fs::read_to_string(&settings.path).unwrap(), "ann wrote\n");
        let strangers = refused(&settings.path);
        assert_eq!(strangers, folder.join("audit-refused.log"));
        assert_eq!(std::fs::read_to_string(strangers).unwrap(), "nobody was refused 19\n");
        assert_eq!((log.lost(), refused(Path::new("a/log"))), (0, PathBuf::from("a/log-refused")));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_stands_still_holds_up_nobody_for_long() {
        let folder = folder("still");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("audit.log");
        // A pipe that nobody reads is full after 64 KiB.
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let log = AuditLog::open(AuditFile { path, max_bytes: 1 << 30, keep: 1 }).unwrap();
        let line = "x".repeat(70_000);
        let began = tokio::time::Instant::now();
        log.record(line, Part::Known).await;
        assert!(began.elapsed() < Duration::from_secs(2));
        let more = (0..=QUEUE).map(|_| log.record("more".to_owned(), Part::Known));
        futures_util::future::join_all(more).await;
        assert!(began.elapsed() < Duration::from_secs(3));
        assert!(log.lost() > 0, "and what does not fit is told");
    }

    #[tokio::test]
    async fn nothing_is_kept_where_it_is_off() {
        let log = AuditLog::off();
        log.record("line".to_owned(), Part::Known).await;
        assert!(!log.is_on());
    }
}
