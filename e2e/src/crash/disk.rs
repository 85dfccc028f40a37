//! A disk that can lose power or run full: a file system of its own in a file, mounted by loop (root, Linux).
//!
//! The cut is ext4's shutdown ioctl; mounting again replays the journal as after a power failure
//! (`reliability-and-security.md` 2 and 9.1).

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A mounted file system that ends with the value.
pub struct Disk {
    folder: TempDir,
    mounted: bool,
}

/// What of the journal survives the cut.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// The journal is flushed first, data is not: files may appear with no content.
    KeepJournal,
    /// Nothing more reaches the disk: late renames are lost.
    LoseJournal,
}

impl Disk {
    /// Makes and mounts an ext4 of this many MiB.
    pub fn new(mebibytes: u32) -> Result<Self> {
        let folder = TempDir::new()?;
        let image = folder.path().join("image");
        run("truncate", &["-s", &format!("{mebibytes}M"), path(&image)?])?;
        run("mkfs.ext4", &["-q", "-F", path(&image)?])?;
        std::fs::create_dir(folder.path().join("mount"))?;
        let mut disk = Self { folder, mounted: false };
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mount")
    }

    /// From this moment nothing that was not synced is on the disk.
    pub fn cut(&self, cut: Cut) -> Result<()> {
        let flag = match cut {
            Cut::KeepJournal => 1,
            Cut::LoseJournal => 2,
        };
        // EXT4_IOC_SHUTDOWN takes a pointer to the flag. Perl is part of every Debian.
        let script = r#"open(my $d, "<", $ARGV[0]) or die $!; my $f = pack("L", $ARGV[1]); ioctl($d, 0x8004587d, $f) or die $!"#;
        run("perl", &["-e", script, path(&self.path())?, &flag.to_string()])
    }

    /// Unmounts and mounts again: power is back.
    pub fn power_on(&mut self) -> Result<()> {
        self.unmount()?;
        self.mount()
    }

    fn mount(&mut self) -> Result<()> {
        let image = self.folder.path().join("image");
        run("mount", &["-o", "loop", path(&image)?, path(&self.path())?])?;
        self.mounted = true;
        Ok(())
    }

    fn unmount(&mut self) -> Result<()> {
        run("umount", &[path(&self.path())?])?;
        self.mounted = false;
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            self.unmount().ok();
        }
    }
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("the temporary folder's name is UTF-8")
}

fn run(program: &str, args: &[&str]) -> Result<()> {
    let output = Command::new(program).args(args).output().with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        bail!("{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
