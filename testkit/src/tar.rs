//! Writes tar archives (POSIX ustar), as layers of images need them: the same input gives the same bytes.

const BLOCK: usize = 512;

/// An archive in the making.
#[derive(Debug, Default)]
pub(crate) struct Tar {
    bytes: Vec<u8>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry<'a> {
    Folder,
    File(&'a [u8]),
    Link(&'a str),
}

impl Tar {
    /// Appends an entry owned by root. `path` is relative and at most 99 bytes long.
    pub(crate) fn add(&mut self, path: &str, mode: u32, entry: Entry<'_>) {
        assert!(path.len() < 100, "{path} does not fit into a ustar header");
        let (kind, content, link): (u8, &[u8], &str) = match entry {
            Entry::Folder => (b'5', &[], ""),
            Entry::File(content) => (b'0', content, ""),
            Entry::Link(target) => (b'2', &[], target),
        };
        let mut header = [0; BLOCK];
        let mut put = |offset: usize, text: &str| {
            for (place, byte) in header.iter_mut().skip(offset).zip(text.bytes()) {
                *place = byte;
            }
        };
        put(0, path);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{:011o}", content.len()));
        put(136, "00000000000");
        put(148, "        ");
        put(157, link);
        put(257, "ustar");
        put(263, "00");
        put(265, "root");
        put(297, "root");
        header[156] = kind;
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        for (place, byte) in header.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
            *place = byte;
        }
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }

    /// The archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }
}
