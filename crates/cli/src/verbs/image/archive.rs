//! Reading tar archives that anybody may have made: names are read whole, so they may not be long.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

use anyhow::Context as _;

/// What comes between the content of two entries: headers, long names, attributes.
const MOST_BETWEEN: u64 = 1 << 20;

/// Reads an archive to its end, entry by entry.
pub(super) fn each_entry<R: Read>(
    archive: R,
    mut take: impl FnMut(&mut tar::Entry<'_, Rationed<R>>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let ration = Rc::new(Cell::new(MOST_BETWEEN));
    let mut archive = tar::Archive::new(Rationed { from: archive, ration: Rc::clone(&ration) });
    for entry in archive.entries().context("the layer is no tar archive")? {
        let mut entry = entry.context("the layer is no tar archive, or cut off")?;
        // The content as it is in the archive: that of sparse files is what they have, not how large they seem.
        let is_sparse = entry.header().entry_type().is_gnu_sparse();
        let size = if is_sparse { entry.header().entry_size().unwrap_or(0) } else { entry.size() };
        ration.set(size.saturating_add(MOST_BETWEEN));
        take(&mut entry)?;
    }
    Ok(())
}

/// Reads no more than the ration allows.
pub(super) struct Rationed<R> {
    from: R,
    ration: Rc<Cell<u64>>,
}

impl<R: Read> Read for Rationed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer)?;
        let left = self.ration.get().checked_sub(length as u64);
        self.ration.set(left.ok_or_else(|| {
            let text = format!("an entry has a name or attributes of more than {MOST_BETWEEN} bytes");
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::each_entry;

    fn archive(name: usize, content: usize) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for _ in 0..2 {
            let mut header = tar::Header::new_gnu();
            header.set_size(content as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, "n".repeat(name), vec![0; content].as_slice()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn names_may_not_be_longer_than_anybody_needs() {
        let count = |archive: Vec<u8>| {
            let mut count = 0;
            each_entry(archive.as_slice(), |_| {
                count += 1;
                Ok(())
            })?;
            anyhow::Ok(count)
        };
        // Content does not count, read or not.
        assert_eq!(count(archive(5000, 3 << 20)).unwrap(), 2);
        let refused = count(archive(2 << 20, 1)).unwrap_err();
        assert!(format!("{refused:#}").contains("a name or attributes"), "{refused:#}");
    }
}
