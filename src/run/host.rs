//! Facts of this host: the limits that preflight plans with, and what the report names as provenance.

use rustix::process::{Resource, getrlimit};
use std::collections::BTreeMap;

/// What this machine allows one process, and the machine as a whole.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Hard limit of open files per process (soft is raised to it).
    pub nofile_hard: u64,
    /// Processors this process may use.
    pub cores: usize,
    /// `MemAvailable` in bytes.
    pub memory_available_bytes: u64,
    /// Ephemeral ports per source and destination address.
    pub ports: u32,
}

impl Limits {
    /// Reads them from the kernel. Where it does not say, assumes the common default.
    pub fn of_this_machine() -> Self {
        Self {
            nofile_hard: getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_available_bytes: meminfo_bytes("MemAvailable").unwrap_or(4 << 30),
            ports: port_range().map_or(28_232, |(low, high)| u32::from(high - low) + 1),
        }
    }
}

/// Facts for the report's provenance, by name.
pub fn facts(limits: &Limits) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            facts.insert(name.to_owned(), value);
        }
    };
    let uname = rustix::system::uname();
    put(
        "kernel",
        Some(format!(
            "{} {}",
            uname.sysname().to_string_lossy(),
            uname.release().to_string_lossy()
        )),
    );
    put(
        "architecture",
        Some(uname.machine().to_string_lossy().into_owned()),
    );
    put("cpu", read_field("/proc/cpuinfo", "model name"));
    put("cores", Some(limits.cores.to_string()));
    put(
        "memory",
        meminfo_bytes("MemTotal").map(|bytes| format!("{} MiB", bytes >> 20)),
    );
    put("nofile_hard", Some(limits.nofile_hard.to_string()));
    put(
        "ports_per_source_and_destination",
        Some(limits.ports.to_string()),
    );
    put("somaxconn", read_line("/proc/sys/net/core/somaxconn"));
    put(
        "clock_source",
        read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
    );
    facts
}

/// Connections that the kernel dropped because a listen queue was full, since boot
/// (`TcpExt: ListenOverflows` of `/proc/net/netstat`).
pub fn listen_overflows() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/net/netstat").ok()?;
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let column = names
        .split_whitespace()
        .position(|name| name == "ListenOverflows")?;
    values.split_whitespace().nth(column)?.parse().ok()
}

fn meminfo_bytes(name: &str) -> Option<u64> {
    let kib: u64 = read_field("/proc/meminfo", name)?
        .trim_end_matches("kB")
        .trim()
        .parse()
        .ok()?;
    Some(kib << 10)
}

fn port_range() -> Option<(u16, u16)> {
    let line = read_line("/proc/sys/net/ipv4/ip_local_port_range")?;
    let mut ends = line.split_whitespace().map(str::parse);
    match (ends.next()?, ends.next()?) {
        (Ok(low), Ok(high)) if low < high => Some((low, high)),
        _ => None,
    }
}

fn read_line(path: &str) -> Option<String> {
    Some(
        std::fs::read_to_string(path)
            .ok()?
            .lines()
            .next()?
            .trim()
            .to_owned(),
    )
}

fn read_field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text
        .lines()
        .find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_limits() {
        let limits = Limits::of_this_machine();
        assert!(limits.nofile_hard >= 64 && limits.cores >= 1 && limits.ports > 1_000);
        assert!(facts(&limits).contains_key("kernel"));
    }
}
