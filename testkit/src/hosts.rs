//! Names for route hosts that every client on this machine resolves.
//!
//! Owns lines in the hosts file: each is added for one guard and removed with it. Needs root, as the tests do anyway.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};

use anyhow::{Context as _, Result};

const HOSTS: &str = "/etc/hosts";
const MARK: &str = "# pierhead-testkit";

/// A host name that leads to 127.0.0.1 for as long as this lives.
#[derive(Debug)]
pub struct HostName {
    name: String,
}

impl HostName {
    /// Makes `name` resolvable.
    ///
    /// # Errors
    /// The hosts file cannot be written.
    pub fn add(name: &str) -> Result<Self> {
        edit(|text| {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&line(name));
        })
        .context("naming route hosts needs root")?;
        Ok(Self { name: name.to_owned() })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl Drop for HostName {
    fn drop(&mut self) {
        let own = line(&self.name);
        // A line that stays behind names a host that no later test uses.
        edit(|text| *text = text.replacen(&own, "", 1)).unwrap_or_default();
    }
}

fn line(name: &str) -> String {
    format!("127.0.0.1 {name} {MARK} {}\n", std::process::id())
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
