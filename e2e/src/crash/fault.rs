//! System calls of a running server that fail: strace attaches to it and injects an error.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A fault that lasts as long as the value.
pub struct Fault {
    tracer: Child,
}

impl Fault {
    /// From now on every sync of `path` by the process fails with EIO, and nothing reaches the disk by it.
    pub async fn syncs_of(path: &Path, process: u32) -> Result<Self> {
        let path = path.to_str().context("the data folder's name is UTF-8")?;
        let calls = "trace=fsync,fdatasync";
        let inject = "inject=fsync,fdatasync:error=EIO";
        let tracer = Command::new("strace")
            .args([
                "-f",
                "-o",
                "/dev/null",
                "-P",
                path,
                "-e",
                calls,
                "-e",
                inject,
                "-p",
                &process.to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting strace")?;
        let mut fault = Self { tracer };
        for _ in 0..1000 {
            if all_traced(process)? {
                return Ok(fault);
            }
            if let Some(status) = fault.tracer.try_wait()? {
                bail!("strace ended with {status}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("strace did not attach in time")
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // SIGTERM lets strace detach; the server goes on as it was.
        Command::new("kill").arg(self.tracer.id().to_string()).status().ok();
        self.tracer.wait().ok();
    }
}

/// Whether each thread of a process has a tracer.
fn all_traced(process: u32) -> Result<bool> {
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end meanwhile.
        let Ok(status) = std::fs::read_to_string(thread?.path().join("status")) else { continue };
        if status.lines().any(|line| line == "TracerPid:\t0") {
            return Ok(false);
        }
    }
    Ok(true)
}
