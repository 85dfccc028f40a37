//! What deployers said: one file for each deployer pod, named by its uid.
//!
//! A file outlives a restart and goes with its pod. Each line begins with the time it was said; the line `end`
//! alone says that nothing will follow. Logs are told from memory of nobody: they are not synced to disk.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, future};
use jiff::Timestamp;
use pierhead_runtime::SharedClock;
use tokio::sync::watch;

/// Longest log, in bytes; what comes after is dropped.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
const END: &str = "end";

/// Logs of deployer pods. Clones are the same logs.
#[derive(Clone)]
pub struct DeployerLogs {
    folder: Arc<PathBuf>,
    clock: SharedClock,
    /// Told at every change of any log.
    changes: watch::Sender<u64>,
}

/// Which part of a log to read, and how.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Go on until the deployer ends or the pod is removed.
    pub follow: bool,
    /// Only what was said at or after this time.
    pub since: Option<Timestamp>,
    /// Only the last so many of the lines that are there already.
    pub tail_lines: Option<usize>,
    /// Begin each line with the time it was said.
    pub timestamps: bool,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
}

impl DeployerLogs {
    /// Logs in `folder`, which is created.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn open(folder: impl Into<PathBuf>, clock: SharedClock) -> io::Result<Self> {
        let folder = Arc::new(folder.into());
        fs::create_dir_all(folder.as_path())?;
        Ok(Self { folder, clock, changes: watch::Sender::new(0) })
    }

    /// What the pod of a uid said, piece by piece; none if it said nothing yet.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn read(
        &self,
        uid: &str,
        query: LogQuery,
    ) -> io::Result<Option<BoxStream<'static, io::Result<Bytes>>>> {
        let Some(path) = self.path(uid) else { return Ok(None) };
        // Whatever is said after this is seen as a change.
        let changes = self.changes.subscribe();
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut reader = Reader { file, offset: 0, ended: false, left: query.limit_bytes, query };
        let first = reader.first()?;
        if !reader.query.follow {
            return Ok(Some(stream::once(future::ready(Ok(first))).boxed()));
        }
        let rest = stream::unfold((reader, changes), |(mut reader, mut changes)| async move {
            loop {
                if reader.ended || changes.changed().await.is_err() {
                    return None;
                }
                match reader.next() {
                    Ok(piece) if piece.is_empty() => {}
                    piece => return Some((piece, (reader, changes))),
                }
            }
        });
        let first = stream::once(future::ready(Ok(first)));
        Ok(Some(
            first.filter(|piece| future::ready(!matches!(piece, Ok(b) if b.is_empty()))).chain(rest).boxed(),
        ))
    }

    /// Makes an empty log, if there is none.
    pub(crate) fn begin(&self, uid: &str) -> io::Result<()> {
        self.write(uid, "")
    }

    /// Adds a line.
    pub(crate) fn append(&self, uid: &str, line: &str) -> io::Result<()> {
        let now = self.clock.now();
        for line in line.lines() {
            self.write(uid, &format!("{now:.9} {line}\n"))?;
        }
        Ok(())
    }

    /// Nothing will be added; those who follow are done.
    pub(crate) fn end(&self, uid: &str) -> io::Result<()> {
        self.write(uid, &format!("{END}\n"))
    }

    /// Removes the logs of all pods but these.
    pub(crate) fn keep_only(&self, uids: &BTreeSet<String>) -> io::Result<()> {
        for entry in fs::read_dir(self.folder.as_path())? {
            let entry = entry?;
            let is_kept = entry.file_name().to_str().is_some_and(|uid| uids.contains(uid));
            if !is_kept && entry.file_type()?.is_file() {
                fs::remove_file(entry.path())?;
                self.tell();
            }
        }
        Ok(())
    }

    fn write(&self, uid: &str, line: &str) -> io::Result<()> {
        let Some(path) = self.path(uid) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{uid}` is not a uid")));
        };
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        if file.metadata()?.len() < MOST_BYTES || line.trim_end() == END {
            file.write_all(line.as_bytes())?;
        }
        self.tell();
        Ok(())
    }

    fn tell(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// The file of a pod; uids come from objects, and an object could say anything.
    fn path(&self, uid: &str) -> Option<PathBuf> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_uid = !uid.is_empty() && uid.len() <= 64 && uid.bytes().all(plain);
        is_uid.then(|| self.folder.join(uid))
    }
}

/// A reader of one log, and how far it is. Its file stays open, so that the end is heard although the pod is gone.
struct Reader {
    file: File,
    offset: u64,
    ended: bool,
    left: Option<u64>,
    query: LogQuery,
}

impl Reader {
    /// What is there already.
    fn first(&mut self) -> io::Result<Bytes> {
        let mut lines = self.new_lines()?;
        if let Some(most) = self.query.tail_lines {
            lines.drain(..lines.len().saturating_sub(most));
        }
        Ok(self.shown(&lines))
    }

    /// What was added since.
    fn next(&mut self) -> io::Result<Bytes> {
        let lines = self.new_lines()?;
        Ok(self.shown(&lines))
    }

    /// Whole lines from where the last reading ended; only those said late enough.
    fn new_lines(&mut self) -> io::Result<Vec<String>> {
        let was_removed = self.file.metadata()?.nlink() == 0;
        self.file.seek(SeekFrom::Start(self.offset))?;
        let mut added = String::new();
        (&mut self.file).take(MOST_BYTES + 1024).read_to_string(&mut added)?;
        let mut lines = Vec::new();
        for line in added.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            self.offset += line.len() as u64;
            let line = line.trim_end_matches('\n');
            if line == END {
                self.ended = true;
            } else if self.is_late_enough(line) {
                lines.push(line.to_owned());
            }
        }
        self.ended |= was_removed;
        Ok(lines)
    }

    fn is_late_enough(&self, line: &str) -> bool {
        let Some(since) = self.query.since else { return true };
        let said = line.split_once(' ').map_or(line, |(said, _)| said).parse::<Timestamp>();
        said.is_ok_and(|said| said >= since)
    }

    fn shown(&mut self, lines: &[String]) -> Bytes {
        let mut shown = String::new();
        for line in lines {
            let text = line.split_once(' ').map_or("", |(_, text)| text);
            shown.push_str(if self.query.timestamps { line } else { text });
            shown.push('\n');
        }
        let mut shown = Bytes::from(shown);
        if let Some(left) = &mut self.left {
            shown.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= shown.len() as u64;
            self.ended |= *left == 0;
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::StreamExt as _;
    use pierhead_runtime::ManualClock;

    use super::{DeployerLogs, LogQuery};

    struct World {
        clock: ManualClock,
        logs: DeployerLogs,
        _folder: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let clock = ManualClock::default();
            let logs = DeployerLogs::open(folder.path().join("logs"), clock.shared()).unwrap();
            Self { clock, logs, _folder: folder }
        }

        fn say(&self, line: &str) {
            self.logs.append("uid", line).unwrap();
            self.clock.advance(Duration::from_secs(1));
        }

        async fn read(&self, query: LogQuery) -> Option<String> {
            let pieces: Vec<_> = self.logs.read("uid", query).unwrap()?.collect().await;
            Some(
                pieces.into_iter().map(|piece| String::from_utf8(piece.unwrap().to_vec()).unwrap()).collect(),
            )
        }
    }

    #[tokio::test]
    async fn reads_the_part_that_was_asked_for() {
        let world = World::new();
        let all = LogQuery::default();
        assert_eq!(world.read(all.clone()).await, None);
        world.say("--> one");
        world.say("two\n three");
        let check = async |query: LogQuery, expected: &str| {
            assert_eq!(world.read(query.clone()).await.unwrap(), expected, "{query:?}");
        };
        check(all.clone(), "--> one\ntwo\n three\n").await;
        check(LogQuery { tail_lines: Some(1), ..all.clone() }, " three\n").await;
        check(LogQuery { limit_bytes: Some(5), ..all.clone() }, "--> o").await;
        let since = Some("2026-01-01T00:00:01Z".parse().unwrap());
        let late = "2026-01-01T00:00:01.000000000Z two\n2026-01-01T00:00:01.000000000Z  three\n";
        check(LogQuery { since, timestamps: true, ..all }, late).await;
    }

    #[tokio::test]
    async fn followers_hear_everything_until_the_end() {
        let world = World::new();
        world.say("one");
        let follow = || LogQuery { follow: true, tail_lines: Some(0), ..LogQuery::default() };
        let mut log = world.logs.read("uid", follow()).unwrap().unwrap();
        world.say("two");
        assert_eq!(log.next().await.unwrap().unwrap(), "two\n");
        world.say("three");
        world.logs.end("uid").unwrap();
        assert_eq!(log.next().await.unwrap().unwrap(), "three\n");
        assert!(log.next().await.is_none());
        // After the end there is nothing to wait for, after a restart neither.
        assert_eq!(world.read(follow()).await.unwrap(), "");
    }

    #[tokio::test]
    async fn logs_go_with_their_pods() {
        let world = World::new();
        world.say("one");
        let follow = LogQuery { follow: true, ..LogQuery::default() };
        let mut log = world.logs.read("uid", follow).unwrap().unwrap();
        assert_eq!(log.next().await.unwrap().unwrap(), "one\n");
        world.logs.keep_only(&["uid".to_owned()].into()).unwrap();
        assert!(world.read(LogQuery::default()).await.is_some());
        world.say("two");
        world.logs.keep_only(&["other".to_owned()].into()).unwrap();
        assert_eq!(log.next().await.unwrap().unwrap(), "two\n");
        assert!(log.next().await.is_none());
        assert_eq!(world.read(LogQuery::default()).await, None);
        assert!(world.logs.read("../logs/uid", LogQuery::default()).unwrap().is_none());
    }
}
