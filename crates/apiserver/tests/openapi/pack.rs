//! The committed documents: one file of compressed documents, and the list of where each is.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha512};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi")
}

/// Writes all documents.
pub(super) fn write(documents: &BTreeMap<String, Vec<u8>>) {
    let (mut list, mut bytes) = (String::new(), Vec::new());
    for (name, document) in documents {
        let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
        encoder.write_all(document).unwrap();
        let packed = encoder.finish().unwrap();
        let hash: String = Sha512::digest(document).iter().map(|byte| format!("{byte:02X}")).collect();
        list.push_str(&format!("{name} {hash} {} {}\n", bytes.len(), packed.len()));
        bytes.extend(packed);
    }
    fs::create_dir_all(folder()).unwrap();
    fs::write(folder().join("documents.txt"), list).unwrap();
    fs::write(folder().join("documents.bin"), bytes).unwrap();
}

/// Reads all documents.
pub(super) fn read() -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(folder().join("documents.bin")).unwrap_or_default();
    let list = fs::read_to_string(folder().join("documents.txt")).unwrap_or_default();
    let mut documents = BTreeMap::new();
    for line in list.lines() {
        let [name, _, start, length] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let start: usize = start.parse().unwrap();
        let packed = &bytes[start..start + length.parse::<usize>().unwrap()];
        let mut document = Vec::new();
        GzDecoder::new(packed).read_to_end(&mut document).unwrap();
        documents.insert(name.to_owned(), document);
    }
    documents
}
