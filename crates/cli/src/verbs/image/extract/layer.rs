//! Reading a layer as it comes: the bytes are hashed, unpacked and taken apart on a thread of their own.

use std::{
    collections::HashSet,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use bytes::{Buf as _, Bytes};
use flate2::bufread::MultiGzDecoder;
use pierhead_oci::{Descriptor, Digest, Hasher};
use ruzstd::decoding::StreamingDecoder;
use tokio::sync::mpsc;

use super::{
    entries::{self, Entry},
    place::Placing,
    selection::Wanted,
};
use crate::registries::repository::Repository;

/// Pieces that wait to be unpacked.
const QUEUE: usize = 16;

/// What becomes of a layer.
pub(super) enum Goal {
    List(Listing),
    Place(Placing),
}

impl Goal {
    fn take(&mut self, entry: Entry, content: &mut dyn Read) -> anyhow::Result<()> {
        match self {
            Self::List(listing) => {
                listing.take(&entry);
                Ok(())
            }
            Self::Place(placing) => placing.take(entry, content),
        }
    }
}

/// Reads a layer to its end and checks that it is what its digest says.
pub(super) async fn read(
    repository: &Repository,
    descriptor: &Descriptor,
    goal: Goal,
) -> anyhow::Result<Goal> {
    let digest = &descriptor.digest;
    let mut blob = repository
        .blob(digest)
        .await
        .with_context(|| format!("unable to access the source layer {digest}"))?;
    let (sender, receiver) = mpsc::channel(QUEUE);
    let expected = digest.clone();
    let unpacking = tokio::task::spawn_blocking(move || unpack(receiver, &expected, goal));
    let mut broken = None;
    loop {
        let piece = match blob.next().await {
            Ok(Some(piece)) => Ok(piece),
            Ok(None) => break,
            Err(error) => Err(broken.insert(error).to_string()),
        };
        let ended = piece.is_err();
        // Whoever unpacks has had enough, or has failed and says why below.
        if sender.send(piece).await.is_err() || ended {
            break;
        }
    }
    drop(sender);
    let goal = unpacking.await.context("the thread that unpacks has ended")?;
    match broken {
        Some(error) => Err(error).with_context(|| format!("unable to read the layer {digest}")),
        None => goal.with_context(|| format!("unable to extract layer {digest}")),
    }
}

type Pieces = mpsc::Receiver<Result<Bytes, String>>;

fn unpack(pieces: Pieces, expected: &Digest, mut goal: Goal) -> anyhow::Result<Goal> {
    let mut incoming = Incoming { pieces, current: Bytes::new(), hasher: Hasher::new(expected.algorithm()) };
    let head = incoming.peek(4)?;
    {
        let unpacked: Box<dyn Read + '_> = if head.starts_with(&[0x1f, 0x8b]) {
            Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(64 << 10, &mut incoming)))
        } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Box::new(Frames {
                input: Some(io::BufReader::with_capacity(64 << 10, &mut incoming)),
                frame: None,
            })
        } else {
            Box::new(&mut incoming)
        };
        entries::each(unpacked, |entry, content| goal.take(entry, content))?;
    }
    io::copy(&mut incoming, &mut io::sink())?;
    let actual = incoming.hasher.finish();
    if actual != *expected {
        bail!("its content is {actual}: what was written of it cannot be trusted");
    }
    Ok(goal)
}

/// The pieces of a blob as something to read, hashed on the way.
struct Incoming {
    pieces: Pieces,
    current: Bytes,
    hasher: Hasher,
}

impl Incoming {
    fn more(&mut self) -> io::Result<bool> {
        match self.pieces.blocking_recv() {
            None => Ok(false),
            Some(Ok(piece)) => {
                self.hasher.update(&piece);
                self.current =
                    if self.current.is_empty() { piece } else { [&*self.current, &*piece].concat().into() };
                Ok(true)
            }
            Some(Err(message)) => Err(io::Error::other(message)),
        }
    }

    /// The first bytes, which are read again later.
    fn peek(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.current.len() < length && self.more()? {}
        Ok(self.current.iter().take(length).copied().collect())
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            if !self.more()? {
                return Ok(0);
            }
        }
        let length = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// The frames of zstd, one after another: parallel compressors write several.
struct Frames<R: io::BufRead> {
    input: Option<R>,
    frame: Option<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>,
}

impl<R: io::BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let length = frame.read(buffer)?;
                if length > 0 || buffer.is_empty() {
                    return Ok(length);
                }
                self.input = self.frame.take().map(StreamingDecoder::into_inner);
            }
            let Some(mut input) = self.input.take() else { return Ok(0) };
            if input.fill_buf()?.is_empty() {
                self.input = Some(input);
                return Ok(0);
            }
            self.frame = Some(StreamingDecoder::new(input).map_err(io::Error::other)?);
        }
    }
}

/// What there is, for people to look at.
pub(super) struct Listing {
    /// Which layer it is.
    pub(super) index: usize,
    pub(super) rows: Vec<String>,
    wanted: Wanted,
    folder: PathBuf,
    only_files: bool,
    all: bool,
    seen: HashSet<PathBuf>,
}

impl Listing {
    pub(super) fn new(wanted: Wanted, folder: PathBuf, only_files: bool, all: bool) -> Self {
        Self { index: 0, rows: Vec::new(), wanted, folder, only_files, all, seen: HashSet::new() }
    }

    fn take(&mut self, entry: &Entry) {
        let Some(place) = self.wanted.place(&entry.path) else { return };
        if (self.only_files && !entry.is_plain()) || place.as_os_str().is_empty() {
            return;
        }
        if !self.all && !self.seen.insert(entry.path.clone()) {
            return;
        }
        let shown = |place: &Path| self.folder.join(place).display().to_string();
        let row = entry.row(&shown(&place));
        self.rows.push(format!("{:2} {row}", self.index));
    }
}
