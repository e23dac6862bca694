//! What the programs of the bench ask of the kernel: cores, open files, the clock that all processes share.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A control plane's node can spare no more for its balancer.
const BALANCER_CORES: usize = 2;

/// Who runs where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cores {
    /// The balancer under test.
    pub balancer: Vec<usize>,
    /// Clients, backends, and the bench itself.
    pub load: Vec<usize>,
}

/// Takes as many open files as the process may have.
pub(super) fn raise_open_files() -> Result<()> {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
    setrlimit(Resource::Nofile, raised).context("raise the limit of open files")
}

/// How many files a process may open at most.
pub(super) fn open_files() -> usize {
    let limit = getrlimit(Resource::Nofile).maximum;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

/// The time since some moment that is the same for every process.
pub(super) fn now() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), nanoseconds)
}

/// The list as taskset(1) reads it.
pub(super) fn list(cores: &[usize]) -> String {
    cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

// === impl Cores ===

impl Cores {
    /// Two cores for the balancer and the others for the load, or the same for both where there are
    /// fewer than four.
    ///
    /// # Errors
    /// When the kernel does not say which there are.
    pub fn here() -> Result<Self> {
        let set = sched_getaffinity(None).context("ask for the cores")?;
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect();
        ensure!(!cores.is_empty(), "there is no core");
        Ok(Self::divided(&cores))
    }

    fn divided(cores: &[usize]) -> Self {
        if cores.len() < 2 * BALANCER_CORES {
            let shared: Vec<usize> = cores.iter().copied().take(BALANCER_CORES).collect();
            return Self { balancer: shared, load: cores.to_vec() };
        }
        let (balancer, load) = cores.split_at(BALANCER_CORES);
        Self { balancer: balancer.to_vec(), load: load.to_vec() }
    }

    /// Whether the load takes time from the balancer.
    #[must_use]
    pub fn are_shared(&self) -> bool {
        self.balancer.iter().any(|core| self.load.contains(core))
    }

    /// Keeps the calling thread, and those that it starts, on the load's cores.
    pub(super) fn stay_on_load(&self) -> Result<()> {
        let mut set = CpuSet::new();
        self.load.iter().for_each(|core| set.set(*core));
        sched_setaffinity(None, &set).context("stay on the load's cores")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_cores_are_divided_and_fewer_are_shared() {
        let four = Cores::divided(&[0, 1, 2, 3]);
        assert_eq!((&four.balancer[..], &four.load[..]), (&[0, 1][..], &[2, 3][..]));
        assert!(!four.are_shared());
        let two = Cores::divided(&[4, 6]);
        assert_eq!((&two.balancer[..], &two.load[..]), (&[4, 6][..], &[4, 6][..]));
        assert!(two.are_shared() && Cores::divided(&[0]).are_shared());
        assert_eq!(Cores::divided(&[0, 1, 2, 3, 4, 5]).load, [2, 3, 4, 5]);
    }
}
