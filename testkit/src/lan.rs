//! A network with several machines on it, made of network namespaces.
//!
//! Owns the bridge, the namespaces and their addresses, and how a program is started on one of the machines. What runs
//! there is somebody else's. The test itself is on the network as well, so names are resolved for all by the one hosts
//! file ([`crate::HostName`]). Addresses are of 198.19.0.0/16 (RFC 2544); `hosts` uses the other half.

use std::ffi::OsStr;
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::Tool;
use crate::process::has_ended;

const NAMESPACES: &str = "/run/netns";
const ENTER: &str = "nsenter";
/// What a bridge's alias begins with; the id of the process that made it follows.
const ALIAS: &str = "pierhead-testkit ";

static MADE: AtomicU32 = AtomicU32::new(0);

/// A network that only this test is on.
#[derive(Debug)]
pub struct Lan {
    bridge: String,
    third: u8,
    machines: AtomicU32,
}

/// A machine of a [`Lan`]: a network namespace with an address that all the others reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    namespace: String,
    address: Ipv4Addr,
}

impl Lan {
    /// Makes a network that nobody else uses.
    ///
    /// # Errors
    /// The devices cannot be made; needs root.
    pub fn new() -> Result<Self> {
        remove_left_behind()?;
        for _ in 0..100 {
            // Test processes run side by side: each begins at a place of its own.
            let number = std::process::id().wrapping_mul(37) + MADE.fetch_add(1, Ordering::Relaxed);
            let [_, _, _, third] = number.to_be_bytes();
            let bridge = format!("ph{third}");
            if ip(["link", "add", &bridge, "type", "bridge"]).is_err() {
                continue;
            }
            let lan = Self { bridge, third, machines: AtomicU32::new(1) };
            ip(["link", "set", &lan.bridge, "alias", &format!("{ALIAS}{}", std::process::id())])?;
            ip(["address", "add", &format!("198.19.{third}.1/24"), "dev", &lan.bridge])?;
            ip(["link", "set", &lan.bridge, "up"])?;
            return Ok(lan);
        }
        bail!("a hundred networks of 198.19.0.0/16 are taken")
    }

    /// A new machine.
    ///
    /// # Errors
    /// The devices cannot be made.
    pub fn machine(&self) -> Result<Machine> {
        let number = u8::try_from(self.machines.fetch_add(1, Ordering::Relaxed) + 1)?;
        let namespace = format!("{}-{number}", self.bridge);
        let address = Ipv4Addr::new(198, 19, self.third, number);
        ip(["netns", "add", &namespace])?;
        let (here, there) = (cable(&self.bridge, number), "eth0");
        ip(["link", "add", &here, "type", "veth", "peer", "name", there, "netns", &namespace])?;
        ip(["link", "set", &here, "master", &self.bridge, "up"])?;
        let inside = |arguments: &[&str]| ip([&["-n", &namespace][..], arguments].concat());
        inside(&["link", "set", "lo", "up"])?;
        inside(&["address", "add", &format!("{address}/24"), "dev", there])?;
        inside(&["link", "set", there, "up"])?;
        Ok(Machine { namespace, address })
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        // What stays behind is removed by a later run.
        remove(&self.bridge).unwrap_or_default();
    }
}

impl Machine {
    /// Its address.
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A command that starts `program` on this machine.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(ENTER);
        command.args(self.enters()).arg(program);
        command
    }

    /// A program that runs to its end on this machine, in `folder`.
    pub fn tool(&self, program: &str, folder: &Path) -> Tool {
        Tool::new(ENTER, folder).before(self.enters()).before([program])
    }

    /// What [`ENTER`] is told before the program.
    fn enters(&self) -> [String; 2] {
        let namespace = Path::new(NAMESPACES).join(&self.namespace);
        [format!("--net={}", namespace.display()), "--".to_owned()]
    }
}

/// Removes a network with its machines and what runs on them. The other end of a veth pair goes with the first.
fn remove(bridge: &str) -> Result<()> {
    let prefix = format!("{bridge}-");
    for namespace in std::fs::read_dir(NAMESPACES).into_iter().flatten() {
        let name = namespace?.file_name();
        if let Some((name, number)) = name.to_str().and_then(|name| Some((name, name.strip_prefix(&prefix)?)))
        {
            // What outlived its starter (a killed engine's shims) keeps a namespace alive, and this end of its cable.
            for id in ip(["netns", "pids", name])?.lines().filter_map(|id| Pid::from_raw(id.parse().ok()?)) {
                // It may just have ended.
                kill_process(id, Signal::KILL).unwrap_or_default();
            }
            // A machine that was only half made has none.
            ip(["link", "delete", &cable(bridge, number)]).unwrap_or_default();
            ip(["netns", "delete", name])?;
        }
    }
    ip(["link", "delete", bridge]).map(drop)
}

/// This machine's end of the cable to a machine.
fn cable(bridge: &str, number: impl Display) -> String {
    format!("{bridge}p{number}")
}

/// Removes the networks of processes that were killed.
fn remove_left_behind() -> Result<()> {
    for device in std::fs::read_dir("/sys/class/net")? {
        let device = device?;
        // Others may have gone meanwhile.
        let alias = std::fs::read_to_string(device.path().join("ifalias")).unwrap_or_default();
        if alias.trim().strip_prefix(ALIAS).is_some_and(has_ended)
            && let Some(bridge) = device.file_name().to_str()
        {
            // Another process may be quicker to clean up.
            remove(bridge).unwrap_or_default();
        }
    }
    Ok(())
}

/// Runs `ip`; gives what it prints.
fn ip<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
    let mut command = Command::new("ip");
    let output = command.args(arguments).output().context("`ip` is missing: install iproute2")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", complaint.trim());
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::path::Path;
    use std::process::Stdio;

    use super::{Lan, ip};

    #[test]
    fn what_a_killed_run_left_is_removed() {
        let left = "phdead";
        ip(["link", "add", left, "type", "bridge"]).unwrap();
        ip(["link", "set", left, "alias", "pierhead-testkit 4294967295"]).unwrap();
        ip(["netns", "add", "phdead-2"]).unwrap();
        ip(["link", "add", "phdeadp2", "type", "veth", "peer", "name", "eth0", "netns", "phdead-2"]).unwrap();
        let lan = Lan::new().unwrap();
        assert!(!Path::new("/sys/class/net").join(left).exists());
        assert!(!Path::new("/run/netns/phdead-2").exists());
        let own = Path::new("/sys/class/net").join(&lan.bridge);
        let machine = lan.machine().unwrap();
        let mut outlives = machine.command("sh");
        outlives.args(["-c", "echo; exec sleep 1000"]).stdout(Stdio::piped());
        let mut outlives = outlives.spawn().unwrap();
        outlives.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let cable = Path::new("/sys/class/net").join(super::cable(&lan.bridge, 2));
        assert!(cable.exists());
        let other = Lan::new().unwrap();
        assert!(own.exists(), "its process lives");
        drop((lan, other));
        assert!(!outlives.wait().unwrap().success() && !cable.exists());
        assert!(!own.exists() && !Path::new("/run/netns").join(&machine.namespace).exists());
    }
}
