//! What the kernel says of a process: processor time and resident memory.

use anyhow::{Context, Result};
use std::time::Duration;

/// The kernel's clock tick in `/proc`, fixed at 100 a second on Linux.
const TICK: Duration = Duration::from_millis(10);

/// Processor time a process has used so far, all threads, user and system.
pub fn processor_time(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the server is gone")?;
    // The name, in parentheses, may hold spaces; utime and stime are the 12th and 13th words after it.
    let (_, rest) = stat.rsplit_once(')').context("an odd /proc/PID/stat")?;
    let mut words = rest.split_whitespace().skip(11);
    let mut ticks = || -> Result<u32> { Ok(words.next().context("a short /proc/PID/stat")?.parse()?) };
    Ok(TICK * ticks()? + TICK * ticks()?)
}

/// Processor time of a process and the children it has, for servers that are a master and its workers.
pub fn family_time(pid: u32) -> Result<Duration> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    children.map(processor_time).try_fold(processor_time(pid)?, |sum, time| Ok(sum + time?))
}

/// Resident memory in bytes.
pub fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the server is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}
