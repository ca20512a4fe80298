//! What a process reads about itself and asks of the kernel: CPU, memory, the limit on files.

use super::clock;
use crate::stats::recorder::ProcessGauges;
use crate::time::Instant;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::io;

/// Raises the soft limit on open files to the hard limit; gives the limit in force, `u64::MAX` if
/// there is none.
///
/// # Errors
/// If the kernel refuses.
pub fn raise_file_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                maximum: limit.maximum,
            },
        )?;
    }
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// Number of file descriptors open now; 0 if `/proc` is not there.
pub(super) fn open_files() -> u32 {
    // The listing itself holds one.
    fs::read_dir("/proc/self/fd").map_or(0, |entries| {
        u32::try_from(entries.count().saturating_sub(1)).unwrap_or(u32::MAX)
    })
}

/// Measures CPU between calls.
#[derive(Debug)]
pub(super) struct Meter {
    at: Instant,
    cpu_ns: u64,
}

impl Meter {
    /// A meter that starts at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            at: now,
            cpu_ns: clock::process_cpu_ns(),
        }
    }

    /// The process since the last call; `fds` and `ports` as the driver counts them.
    pub(super) fn read(&mut self, now: Instant, fds: u32, ports: u32) -> ProcessGauges {
        let cpu_ns = clock::process_cpu_ns();
        let wall_ns = now.ns_since(self.at).max(1);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "a percentage for people"
        )]
        let cpu_percent =
            (cpu_ns.saturating_sub(self.cpu_ns) as f64 * 100.0 / wall_ns as f64) as f32;
        *self = Self { at: now, cpu_ns };
        ProcessGauges {
            cpu_percent,
            fds,
            rss_bytes: resident_bytes(),
            ports,
        }
    }
}

/// Resident memory from `/proc/self/status`; 0 where that is not there.
fn resident_bytes() -> u64 {
    let Ok(status) = fs::read_to_string("/proc/self/status") else {
        return 0;
    };
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|kib| kib.trim().parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::clock::Clock;

    #[test]
    fn a_busy_process_sees_its_cpu_and_memory() {
        let clock = Clock::starting_now();
        let mut meter = Meter::new(clock.now());
        let until = clock.now().after_ns(20_000_000);
        let mut spins = 0u64;
        while clock.now() < until {
            spins += 1;
        }
        let gauges = meter.read(clock.now(), open_files(), 7);
        assert!(spins > 0 && gauges.cpu_percent > 1.0, "{gauges:?}");
        assert!(gauges.rss_bytes > 100_000, "{gauges:?}");
        assert!(gauges.fds >= 3 && gauges.ports == 7, "{gauges:?}");
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_limit() {
        let limit = raise_file_limit().expect("raising to the hard limit needs no right");
        assert_eq!(
            getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            limit
        );
    }
}
