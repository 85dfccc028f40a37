//! Layers from archives on this machine: checked to be archives, compressed if they are not, and hashed.

use std::{
    fs::File,
    io::{self, Read, Seek as _, Write},
};

use anyhow::{Context as _, bail};
use flate2::{Compression, GzBuilder, read::MultiGzDecoder};
use pierhead_oci::{Algorithm, Descriptor, Digest, Hasher, MediaType};

use super::super::archive::each_entry;
use crate::session::Session;

/// A layer, compressed with gzip, in a file that has no name.
pub(super) struct NewLayer {
    file: File,
    size: u64,
    pub(super) digest: Digest,
    /// Of the archive before it was compressed.
    pub(super) diff_id: Digest,
}

impl NewLayer {
    /// Reads an archive, or standard input for `-`.
    pub(super) fn read(name: &str, session: &mut Session) -> anyhow::Result<Self> {
        let read = |input: &mut dyn Read| Self::from_reader(input);
        let layer = if name == "-" {
            read(session.environment.stdin.as_mut())
        } else {
            let path = session.path(name);
            if path.is_dir() {
                bail!("invalid argument: {name} is a directory");
            }
            let mut file = File::open(&path).with_context(|| format!("invalid argument: {name}"))?;
            read(&mut file)
        };
        layer.with_context(|| format!("{name} cannot be used as a layer"))
    }

    /// A layer without files.
    pub(super) fn empty() -> anyhow::Result<Self> {
        Self::from_reader(&mut [0_u8; 1024].as_slice())
    }

    fn from_reader(input: &mut dyn Read) -> anyhow::Result<Self> {
        let mut head = [0_u8; 4];
        let length = read_up_to(input, &mut head)?;
        let head = &head[..length];
        if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            bail!(
                "it is compressed with zstd, which older engines cannot read; use gzip or a plain tar archive"
            );
        }
        let mut whole = head.chain(input);
        let mut file = tempfile::tempfile()?;
        let diff_id = if head.starts_with(&[0x1f, 0x8b]) {
            io::copy(&mut whole, &mut file)?;
            file.rewind()?;
            check_archive(&mut MultiGzDecoder::new(&file))?
        } else {
            // No name and no time in it: the same archive always gives the same layer.
            let mut gzip = GzBuilder::new().write(io::BufWriter::new(&file), Compression::default());
            let diff_id = check_archive(&mut Tee { from: &mut whole, to: &mut gzip })?;
            gzip.finish()?.flush()?;
            diff_id
        };
        file.rewind()?;
        let (digest, size) = hash(&mut file)?;
        Ok(Self { file, size, digest, diff_id })
    }

    /// The compressed layer from its beginning.
    pub(super) fn open(&self) -> anyhow::Result<File> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(file)
    }

    /// How a manifest of that type names it.
    pub(super) fn descriptor(&self, manifest: &MediaType) -> anyhow::Result<Descriptor> {
        let media_type = if manifest.is_oci() { MediaType::OCI_LAYER_GZIP } else { MediaType::DOCKER_LAYER };
        Ok(Descriptor::new(media_type, self.digest.clone(), self.size))
    }
}

fn read_up_to(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match input.read(&mut buffer[length..])? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

/// Reads an archive to its end, and gives the digest of all of it.
fn check_archive(input: &mut dyn Read) -> anyhow::Result<Digest> {
    let mut hashing = Hashing { from: input, hasher: Hasher::new(Algorithm::Sha256) };
    each_entry(&mut hashing, |entry| {
        entry.path().context("it has an entry without a usable name")?;
        Ok(())
    })?;
    io::copy(&mut hashing, &mut io::sink())?;
    Ok(hashing.hasher.finish())
}

fn hash(file: &mut File) -> io::Result<(Digest, u64)> {
    let mut hashing = Hashing { from: file, hasher: Hasher::new(Algorithm::Sha256) };
    let size = io::copy(&mut hashing, &mut io::sink())?;
    Ok((hashing.hasher.finish(), size))
}

struct Hashing<'r> {
    from: &'r mut dyn Read,
    hasher: Hasher,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        Ok(length)
    }
}

/// What is read is written as well.
struct Tee<'r> {
    from: &'r mut dyn Read,
    to: &'r mut dyn Write,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer)?;
        self.to.write_all(&buffer[..length])?;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
    use pierhead_oci::Digest;

    use super::NewLayer;

    fn archive() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o644);
        builder.append_data(&mut header, "a/b", &b"hi"[..]).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn plain_archives_are_compressed_and_compressed_ones_are_kept() {
        let plain = archive();
        let layer = NewLayer::from_reader(&mut plain.as_slice()).unwrap();
        assert_eq!(layer.diff_id, Digest::sha256(&plain));
        let mut sent = Vec::new();
        layer.open().unwrap().read_to_end(&mut sent).unwrap();
        assert_eq!((Digest::sha256(&sent), sent.len() as u64), (layer.digest.clone(), layer.size));
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(sent.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain);
        let again = NewLayer::from_reader(&mut plain.as_slice()).unwrap();
        assert_eq!(again.digest, layer.digest);

        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&plain).unwrap();
        let packed = gzip.finish().unwrap();
        let layer = NewLayer::from_reader(&mut packed.as_slice()).unwrap();
        assert_eq!((layer.digest, layer.diff_id), (Digest::sha256(&packed), Digest::sha256(&plain)));
        assert!(
            NewLayer::from_reader(&mut &b"not an archive, but long enough to be taken for none"[..]).is_err()
        );
        assert!(NewLayer::from_reader(&mut &[0x28, 0xb5, 0x2f, 0xfd, 0][..]).is_err());
    }
}
