//! The image of infra containers: one program that does nothing, so that a pod's network outlives its containers.
//!
//! Owns the program (written by hand, a static ELF without libraries), and the archive that engines load. The archive
//! is the same bytes every time, so loading it twice gives the same image. The folders `/v/0` … are where infra
//! containers mount the pod's volumes: an engine copies a folder's mode to an empty volume that is mounted on it. The
//! image's name is for people: whoever makes an engine pull can move a name, so what counts is what is in the image.

use sha2::{Digest as _, Sha256};

use crate::engine::Image;
use crate::image_name::ImageName;

/// How the image is called in every engine.
pub(crate) const NAME: &str = "localhost/pierhead-pause:1";
const REGISTRY: &str = "localhost";
const REPOSITORY: &str = "pierhead-pause";
const ENTRYPOINT: &str = "/pause";
/// Volumes that one infra container can hold.
pub(crate) const MOST_VOLUMES: usize = 64;

const BLOCK: usize = 512;
const BASE: u64 = 0x0040_0000;
const ELF_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// `rt_sigaction(SIGCHLD, &IGNORE, NULL, 8)`, so that the kernel reaps for us, then `pause()` for ever.
const X86_64: &[u8] = &[
    0xb8, 0x0d, 0x00, 0x00, 0x00, // mov eax, 13
    0xbf, 0x11, 0x00, 0x00, 0x00, // mov edi, 17
    0x48, 0x8d, 0x35, 0x13, 0x00, 0x00, 0x00, // lea rsi, [rip + 19]
    0x31, 0xd2, // xor edx, edx
    0x41, 0xba, 0x08, 0x00, 0x00, 0x00, // mov r10d, 8
    0x0f, 0x05, // syscall
    0xb8, 0x22, 0x00, 0x00, 0x00, // mov eax, 34
    0x0f, 0x05, // syscall
    0xeb, 0xf7, // jmp back to the second mov eax
];

/// The same for aarch64, which has no `pause`: `ppoll(NULL, 0, NULL, NULL, 0)` instead.
const AARCH64: &[u32] = &[
    0xd280_0220, // mov x0, #17
    0x1000_0181, // adr x1, #48
    0xd280_0002, // mov x2, #0
    0xd280_0103, // mov x3, #8
    0xd280_10c8, // mov x8, #134
    0xd400_0001, // svc #0
    0xd280_0000, // mov x0, #0
    0xd280_0001, // mov x1, #0
    0xd280_0002, // mov x2, #0
    0xd280_0003, // mov x3, #0
    0xd280_0928, // mov x8, #73
    0xd400_0001, // svc #0
    0x17ff_fffa, // b back to mov x0, #0
];

/// A `struct sigaction` of the kernel whose handler is `SIG_IGN`.
const IGNORE: [u64; 4] = [1, 0, 0, 0];

/// Processors that the program is written for, as engines name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Architecture {
    Amd64,
    Arm64,
}

impl Architecture {
    /// Reads both spellings that engines use.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "amd64" | "x86_64" => Some(Self::Amd64),
            "arm64" | "aarch64" => Some(Self::Arm64),
            _ => None,
        }
    }

    /// As images and nodes name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// The program as an ELF file.
fn program(architecture: Architecture) -> Vec<u8> {
    let (machine, mut code): (u16, Vec<u8>) = match architecture {
        Architecture::Amd64 => (62, X86_64.to_vec()),
        Architecture::Arm64 => (183, AARCH64.iter().flat_map(|word| word.to_le_bytes()).collect()),
    };
    code.extend(IGNORE.iter().flat_map(|word| word.to_le_bytes()));
    let headers = ELF_HEADER + PROGRAM_HEADER;
    let size = (headers + code.len()) as u64;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend(2_u16.to_le_bytes()); // an executable
    file.extend(machine.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    file.extend((BASE + headers as u64).to_le_bytes()); // where it begins
    file.extend((ELF_HEADER as u64).to_le_bytes()); // program headers
    file.extend(0_u64.to_le_bytes()); // no sections
    file.extend(0_u32.to_le_bytes());
    for half in [ELF_HEADER as u16, PROGRAM_HEADER as u16, 1, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes()); // to be loaded
    file.extend(5_u32.to_le_bytes()); // readable, executable
    for word in [0, BASE, BASE, size, size, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

/// The files of the image.
fn layer(architecture: Architecture) -> Vec<u8> {
    let mut layer = Tar::default();
    layer.add("pause", 0o755, Some(&program(architecture)));
    layer.add("v", 0o755, None);
    for number in 0..MOST_VOLUMES {
        layer.add(&format!("v/{number}"), 0o777, None);
    }
    layer.finish()
}

fn digest(layer: &[u8]) -> String {
    let digest: String = Sha256::digest(layer).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digest}")
}

/// Whether an image, whatever it is called, is the one that [`archive`] makes: these files and this program.
pub(crate) fn is_ours(image: &Image, architecture: Architecture) -> bool {
    image.layers == [digest(&layer(architecture))] && image.entrypoint == [ENTRYPOINT]
}

/// Whether a name is that of our image, under whatever tag or digest.
pub(crate) fn is_named(name: &ImageName) -> bool {
    name.registry == REGISTRY && name.repository == REPOSITORY
}

/// The image in the form that `docker save` writes and every engine loads.
pub(crate) fn archive(architecture: Architecture) -> Vec<u8> {
    let layer = layer(architecture);
    let epoch = "1970-01-01T00:00:00Z";
    let config = serde_json::json!({
        "architecture": architecture.name(),
        "os": "linux",
        "created": epoch,
        "config": {"Entrypoint": [ENTRYPOINT]},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        "history": [{"created": epoch}],
    });
    let manifest = serde_json::json!([
        {"Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"]},
    ]);
    let mut image = Tar::default();
    image.add("config.json", 0o644, Some(config.to_string().as_bytes()));
    image.add("layer.tar", 0o644, Some(&layer));
    image.add("manifest.json", 0o644, Some(manifest.to_string().as_bytes()));
    image.finish()
}

/// A ustar archive in the making; all of it belongs to root and to the year 1970.
#[derive(Default)]
struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    /// Appends a file, or a folder when there is no content. Paths are relative and short.
    fn add(&mut self, path: &str, mode: u32, content: Option<&[u8]>) {
        let size = content.map_or(0, <[u8]>::len);
        let mut header = Vec::with_capacity(BLOCK);
        let field = |header: &mut Vec<u8>, text: &str, width: usize| {
            let end = header.len() + width;
            header.extend(text.bytes().take(width));
            header.resize(end, 0);
        };
        field(&mut header, path, 100);
        field(&mut header, &format!("{mode:07o}"), 8);
        field(&mut header, "0000000", 8);
        field(&mut header, "0000000", 8);
        field(&mut header, &format!("{size:011o}"), 12);
        field(&mut header, "00000000000", 12);
        field(&mut header, "        ", 8);
        field(&mut header, if content.is_some() { "0" } else { "5" }, 1);
        field(&mut header, "", 100);
        field(&mut header, "ustar", 6);
        field(&mut header, "00", 2);
        header.resize(BLOCK, 0);
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        for (place, byte) in header.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
            *place = byte;
        }
        self.bytes.extend(header);
        self.bytes.extend(content.unwrap_or_default());
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::process::Command;

    use super::{Architecture, archive, program};
    use crate::image_name::ImageName;

    /// Where the address of `IGNORE` points, from the instruction that computes it.
    #[test]
    fn the_signal_action_lies_where_the_code_says() {
        let x86 = program(Architecture::Amd64);
        let after_lea = 120 + 17;
        assert_eq!(x86[after_lea + 19..], super::IGNORE.map(u64::to_le_bytes).concat());
        let arm = program(Architecture::Arm64);
        let adr = 120 + 4;
        assert_eq!(arm[adr + 48..], super::IGNORE.map(u64::to_le_bytes).concat());
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_program_runs_ignores_its_children_and_does_nothing() {
        use std::io::Write as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pause");
        let mut file = std::fs::File::options().write(true).create_new(true).mode(0o755).open(&path).unwrap();
        file.write_all(&program(Architecture::Amd64)).unwrap();
        drop(file);
        // Another test's fork may hold the file open for writing for a moment.
        let mut child = loop {
            match Command::new(&path).spawn() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
                other => break other.unwrap(),
            }
        };
        let ignored = |id: u32| {
            let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).map(str::to_owned);
            u64::from_str_radix(&mask.unwrap_or_default(), 16).unwrap_or_default()
        };
        let sigchld = 1 << 16;
        let mut looks = 0;
        while ignored(child.id()) & sigchld == 0 && looks < 10_000 {
            looks += 1;
            std::thread::yield_now();
        }
        let (mask, ended) = (ignored(child.id()), child.try_wait().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(ended, None);
        assert_ne!(mask & sigchld, 0);
    }

    #[test]
    fn its_name_is_known_under_whatever_tag() {
        let digest = format!("localhost/pierhead-pause@sha256:{}", "a".repeat(64));
        for (name, expected) in [
            (super::NAME, true),
            ("localhost/pierhead-pause", true),
            (&digest, true),
            ("localhost/pierhead-pause/x:1", false),
            ("localhost:5000/pierhead-pause:1", false),
        ] {
            assert_eq!(super::is_named(&ImageName::parse(name).unwrap()), expected, "{name}");
        }
    }

    #[test]
    fn the_archive_is_the_same_every_time_and_tar_reads_it() {
        let bytes = archive(Architecture::Arm64);
        assert_eq!(bytes, archive(Architecture::Arm64));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("image.tar"), bytes).unwrap();
        let listed = Command::new("tar").arg("-xvf").arg("image.tar").current_dir(folder.path()).output();
        let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
        assert_eq!(listed, "config.json\nlayer.tar\nmanifest.json\n");
        let layer = Command::new("tar").args(["-tvf", "layer.tar"]).current_dir(folder.path()).output();
        let layer = String::from_utf8(layer.unwrap().stdout).unwrap();
        assert!(layer.lines().next().unwrap().starts_with("-rwxr-xr-x"), "{layer}");
        assert!(layer.contains("drwxrwxrwx") && layer.contains("v/63"), "{layer}");
    }
}
