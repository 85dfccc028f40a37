//! Addresses and host names of routes that every client on this machine reaches.
//!
//! Owns addresses of the loopback device and lines in the hosts file: each is added for one guard and removed with it, or
//! by the next run if it was killed.
//! Needs root, as the tests do anyway. Addresses are of 198.18.0.0/15, which is set aside for tests (RFC 2544): Docker
//! and others treat 127.0.0.0/8 as not needing TLS, and would prove nothing there.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail, ensure};

use crate::process::has_ended;

const HOSTS: &str = "/etc/hosts";
const MARK: &str = "# pierhead-testkit";
/// What the addresses' labels begin with; the id of the process follows.
const LABEL: &str = "lo:ph";

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
        for (address, _) in labelled()?.into_iter().filter(|(_, id)| has_ended(id)) {
            // Another process may be quicker to clean up.
            change_device("del", address)?;
        }
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

/// The addresses that test processes took, with the processes' ids.
fn labelled() -> Result<Vec<(Ipv4Addr, String)>> {
    let shown = Command::new("ip")
        .args(["-oneline", "-4", "address", "show", "dev", "lo"])
        .output()
        .context("`ip` is missing: install iproute2")?;
    let shown = String::from_utf8_lossy(&shown.stdout);
    let labelled = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let id = words.iter().find_map(|word| word.strip_prefix(LABEL))?;
        let place = words.iter().position(|word| *word == "inet")?;
        let address = words.get(place + 1)?.split('/').next()?.parse().ok()?;
        Some((address, id.trim_end_matches('\\').to_owned()))
    };
    Ok(shown.lines().filter_map(labelled).collect())
}

/// What `ip` complained about.
fn change_device(verb: &str, address: Ipv4Addr) -> Result<String> {
    let mut command = Command::new("ip");
    command.args(["address", verb, &format!("{address}/32"), "dev", "lo"]);
    if verb == "add" {
        command.args(["label", &format!("{LABEL}{}", std::process::id())]);
    }
    let output = command.output().context("`ip` is missing: install iproute2")?;
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
            *text = text.split_inclusive('\n').filter(|line| !is_left_behind(line)).collect();
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

/// Whether a process that has ended added this line.
fn is_left_behind(line: &str) -> bool {
    line.split_once(MARK).is_some_and(|(_, id)| has_ended(id.trim()))
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

#[cfg(test)]
mod tests {
    use super::is_left_behind;

    #[test]
    fn lines_of_dead_processes_are_left_behind() {
        let own = format!("198.18.0.1 web.test # pierhead-testkit {}\n", std::process::id());
        let rows = [
            ("127.0.0.1 localhost\n", false),
            (own.as_str(), false),
            ("198.18.0.1 web.test # pierhead-testkit 4294967295\n", true),
            ("198.18.0.1 web.test # pierhead-testkit\n", false),
        ];
        for (line, expected) in rows {
            assert_eq!(is_left_behind(line), expected, "{line}");
        }
    }
}
