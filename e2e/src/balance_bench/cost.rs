//! What a balancer costs: memory and processor time of all its processes, and of the whole machine.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// The field of a line of proc_stat(5), after the name.
const STEAL: usize = 7;

/// Memory of some processes, in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// Pages that several of them share are counted once: the proportional set size.
    pub(super) pss_kb: u64,
    /// Each process's own count.
    pub(super) rss_kb: u64,
}

/// Processor time so far, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Spent {
    pub(super) user: f64,
    pub(super) system: f64,
    /// Of every core, whoever used it: also what the kernel does for a balancer in nobody's name.
    pub(super) machine: f64,
    /// What the machine wanted and a hypervisor gave to others.
    pub(super) stolen: f64,
}

/// How much of the machine is in use now, from 0 to 1.
pub(super) fn busy_share(cores: usize) -> Result<f64> {
    const LOOK: Duration = Duration::from_secs(2);
    let before = Spent::so_far(&[])?;
    sleep(LOOK);
    let spent = Spent::so_far(&[])?.since(&before).machine;
    Ok(spent / LOOK.as_secs_f64() / cores.max(1) as f64)
}

/// Work during which a hypervisor gave more than this part of what the machine wanted to others is done again,
/// a few times; the least disturbed counts.
const STOLEN: f64 = 0.03;
const ATTEMPTS: usize = 4;

/// What `work` came to, and what it spent, when the machine was least disturbed.
pub(super) fn least_disturbed<T>(
    mut work: impl FnMut() -> Result<(T, Spent)>,
) -> Result<(T, Spent)> {
    let mut best = work()?;
    for _ in 1..ATTEMPTS {
        if best.1.stolen_share() <= STOLEN {
            break;
        }
        let again = work()?;
        if again.1.stolen_share() < best.1.stolen_share() {
            best = again;
        }
    }
    Ok(best)
}

// === impl Memory ===

impl Memory {
    pub(super) fn of(processes: &[u32]) -> Result<Self> {
        let mut sum = Self::default();
        for pid in processes {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
            let text = text.with_context(|| format!("process {pid} is gone"))?;
            sum.pss_kb += kilobytes(&text, "Pss:").context("no Pss")?;
            sum.rss_kb += kilobytes(&text, "Rss:").context("no Rss")?;
        }
        Ok(sum)
    }
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

// === impl Spent ===

impl Spent {
    pub(super) fn so_far(processes: &[u32]) -> Result<Self> {
        let tick = 1.0 / rustix::param::clock_ticks_per_second() as f64;
        let mut spent = Self::default();
        for pid in processes {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
            let stat = stat.with_context(|| format!("process {pid} is gone"))?;
            let (user, system) = times(&stat).context("read the times in stat")?;
            spent.user += user as f64 * tick;
            spent.system += system as f64 * tick;
        }
        let all = fs::read_to_string("/proc/stat")?;
        spent.machine = busy(&all, "cpu").context("read /proc/stat")? as f64 * tick;
        spent.stolen = field(&all, "cpu", STEAL).context("read /proc/stat")? as f64 * tick;
        Ok(spent)
    }

    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            user: self.user - before.user,
            system: self.system - before.system,
            machine: self.machine - before.machine,
            stolen: self.stolen - before.stolen,
        }
    }

    /// How much of what the machine wanted it did not get, from 0 to 1.
    pub(super) fn stolen_share(&self) -> f64 {
        self.stolen / (self.stolen + self.machine).max(f64::MIN_POSITIVE)
    }

    /// Of the balancer's own processes.
    pub(super) fn process(&self) -> f64 {
        self.user + self.system
    }
}

/// `utime` and `stime`, fields 14 and 15 of proc_pid_stat(5); the name may hold anything but ends with
/// the last parenthesis. The kernel scales both so that their sum is what the scheduler counted.
fn times(stat: &str) -> Option<(u64, u64)> {
    let (_name, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// All but `idle` and `iowait` of a line of proc_stat(5).
fn busy(stat: &str, name: &str) -> Option<u64> {
    // user nice system - - irq softirq
    [0, 1, 2, 5, 6].into_iter().map(|index| field(stat, name, index)).sum()
}

/// A field of it, counted from 0 after the name.
fn field(stat: &str, name: &str, index: usize) -> Option<u64> {
    let line = stat.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(index + 1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_prints() {
        let stat = "42 (a) b) c) S 1 42 42 0 -1 4194560 100 0 0 0 31 11 0 0 20 0 4 0 123 1 2";
        assert_eq!(times(stat), Some((31, 11)));
        let all = "cpu  10 1 20 900 5 3 2 7 0 0\ncpu0 1 0 2 90 0 0 1 0 0 0\ncpu01 9 9 9 9 9 9 9\n";
        assert_eq!((busy(all, "cpu"), busy(all, "cpu0")), (Some(36), Some(4)));
        assert_eq!(busy(all, "cpu7"), None);
        assert_eq!((field(all, "cpu", STEAL), field(all, "cpu0", STEAL)), (Some(7), Some(0)));
        let rollup = "55 ---p [rollup]\nRss:   3000 kB\nPss:   1000 kB\nPss_Anon:  10 kB\n";
        assert_eq!(kilobytes(rollup, "Pss:"), Some(1000));
    }

    #[test]
    fn the_least_disturbed_counts() {
        let counted = |shares: [f64; ATTEMPTS]| {
            let mut done = 0;
            let mut work = || {
                let stolen = shares[done];
                done += 1;
                Ok((done, Spent { machine: 1.0 - stolen, stolen, ..Spent::default() }))
            };
            let number = least_disturbed(&mut work).unwrap().0;
            (number, done)
        };
        assert_eq!(counted([0.02, 0.0, 0.0, 0.0]), (1, 1));
        assert_eq!(counted([0.3, 0.01, 0.0, 0.0]), (2, 2));
        assert_eq!(counted([0.3, 0.1, 0.05, 0.2]), (3, ATTEMPTS));
    }

    #[test]
    fn this_process_costs_something() {
        let pid = std::process::id();
        let before = Spent::so_far(&[pid]).unwrap();
        let began = std::time::Instant::now();
        while began.elapsed().as_millis() < 60 {
            std::hint::spin_loop();
        }
        let spent = Spent::so_far(&[pid]).unwrap().since(&before);
        assert!(spent.process() > 0.01 && spent.machine > 0.01, "{spent:?}");
        let memory = Memory::of(&[pid]).unwrap();
        assert!(memory.pss_kb > 0 && memory.rss_kb >= memory.pss_kb, "{memory:?}");
    }
}
