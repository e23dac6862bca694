//! Memory and processor time of a process, from `/proc`.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// What a process cost between two samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// `VmRSS` at the end.
    pub rss_kb: u64,
    /// `RssAnon`: what is not the binary's own pages.
    pub rss_anon_kb: u64,
    /// User and system time, as a share of one core.
    pub cpu_percent: f64,
}

/// What `/proc` says at one moment.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    at: Instant,
    rss_kb: u64,
    rss_anon_kb: u64,
    ticks: u64,
}

// === impl Sample ===

impl Sample {
    pub(super) fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"));
        let status = status.with_context(|| format!("process {pid} is gone"))?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Ok(Self {
            at: Instant::now(),
            rss_kb: kilobytes(&status, "VmRSS:").context("no VmRSS")?,
            rss_anon_kb: kilobytes(&status, "RssAnon:").context("no RssAnon")?,
            ticks: ticks(&stat).context("read the times in stat")?,
        })
    }

    pub(super) fn since(&self, before: &Self) -> Cost {
        let ticks = self.ticks.saturating_sub(before.ticks);
        let seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        let elapsed = self.at.saturating_duration_since(before.at).as_secs_f64();
        Cost {
            rss_kb: self.rss_kb,
            rss_anon_kb: self.rss_anon_kb,
            cpu_percent: (seconds / elapsed * 1e4).round() / 100.0,
        }
    }
}

fn kilobytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// `utime` and `stime`, fields 14 and 15 of proc_pid_stat(5), counted after the name, which may hold
/// anything but ends with the last parenthesis.
fn ticks(stat: &str) -> Option<u64> {
    let (_name, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_times_behind_any_name() {
        let stat = "42 (a) b) c) S 1 42 42 0 -1 4194560 100 0 0 0 31 11 0 0 20 0 4 0 123 1 2";
        assert_eq!(ticks(stat), Some(42));
    }

    #[test]
    fn reads_kilobytes() {
        let status = "Name:\tx\nVmRSS:\t    9216 kB\nRssAnon:\t     100 kB\n";
        assert_eq!(kilobytes(status, "VmRSS:"), Some(9216));
        assert_eq!(kilobytes(status, "RssAnon:"), Some(100));
        assert_eq!(kilobytes(status, "VmSwap:"), None);
    }

    #[test]
    fn this_process_has_a_cost() {
        let before = Sample::of(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while before.at.elapsed().as_millis() < 60 {
            sum = sum.wrapping_add(1);
        }
        let cost = Sample::of(std::process::id()).unwrap().since(&before);
        assert!(cost.rss_kb > 0 && cost.cpu_percent > 20.0, "{cost:?} {sum}");
    }
}
