//! Addresses and host names of routes that every client on this machine reaches.
//!
//! Owns addresses of the loopback device and lines in the hosts file: each is added for one guard and removed with it.
//! Needs root, as the tests do anyway. Addresses are of 198.18.0.0/15, which is set aside for tests (RFC 2544): Docker
//! and others treat 127.0.0.0/8 as not needing TLS, and would prove nothing there.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail, ensure};

const HOSTS: &str = "/etc/hosts";
const MARK: &str = "# pierhead-testkit";

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// An address of this machine that nobody else uses, with all its ports.
#[derive(Debug)]
pub struct OwnAddress {
    address: Ipv4Addr,
}

impl OwnAddress {
    /// Takes a free one.
    ///
    /// # Errors
    /// The device cannot be changed.
    pub fn take() -> Result<Self> {
        for _ in 0..100 {
            // Test processes run side by side: each begins at a place of its own.
            let number = std::process::id().wrapping_mul(37) + TAKEN.fetch_add(1, Ordering::Relaxed);
            let [_, _, third, fourth] = (number % 0xffff + 1).to_be_bytes();
            let address = Ipv4Addr::new(198, 18, third, fourth);
            let added = change_device("add", address)?;
            if added.is_empty() {
                return Ok(Self { address });
            }
            ensure!(added.contains("exists") || added.contains("already"), "adding {address} to lo: {added}");
        }
        bail!("a hundred addresses of 198.18.0.0/16 are taken")
    }

    /// The address.
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }
}

impl Drop for OwnAddress {
    fn drop(&mut self) {
        // An address that stays behind is taken by no later test.
        change_device("del", self.address).map(|_| ()).unwrap_or_default();
    }
}

/// What `ip` complained about.
fn change_device(verb: &str, address: Ipv4Addr) -> Result<String> {
    let output = Command::new("ip")
        .args(["address", verb, &format!("{address}/32"), "dev", "lo"])
        .output()
        .context("`ip` is missing: install iproute2")?;
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok(if output.status.success() { String::new() } else { format!("ip: {complaint}") })
}

/// A host name that leads to an address for as long as this lives.
#[derive(Debug)]
pub struct HostName {
    name: String,
    line: String,
}

impl HostName {
    /// Makes `name` resolvable.
    ///
    /// # Errors
    /// The hosts file cannot be written.
    pub fn add(name: &str, address: Ipv4Addr) -> Result<Self> {
        let line = format!("{address} {name} {MARK} {}\n", std::process::id());
        edit(|text| {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&line);
        })
        .context("naming route hosts needs root")?;
        Ok(Self { name: name.to_owned(), line })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl Drop for HostName {
    fn drop(&mut self) {
        // A line that stays behind names a host that no later test uses.
        edit(|text| *text = text.replacen(&self.line, "", 1)).unwrap_or_default();
    }
}

/// Changes the file in place, because it may be mounted, and under a lock, because tests run side by side.
fn edit(change: impl FnOnce(&mut String)) -> Result<()> {
    let mut file = File::options().read(true).write(true).open(HOSTS)?;
    file.lock()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    change(&mut text);
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)?;
    Ok(())
}
