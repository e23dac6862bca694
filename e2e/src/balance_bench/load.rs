//! The clients: a process of its own in the client's namespace, which does one job and reports it in JSON.

mod bulk;
mod client;
mod connect;
mod fault;
mod idle;
mod kept;

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

pub(crate) use self::fault::{Attempt, Held, Observed};

use super::sys::raise_open_files;
use crate::say::print;

/// What clients do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Each stream takes so many bytes, all at once; `checks_all` compares every byte.
    Bulk { streams: usize, bytes: u64, checks_all: bool },
    /// Each client connects, has an echo and closes, without a pause.
    Connections { clients: usize, millis: u64 },
    /// The same, so many a second.
    Connect { clients: usize, rate: f64, millis: u64 },
    /// Round trips over kept connections, so many a second.
    Kept { clients: usize, rate: f64, millis: u64 },
    /// Connections that have had an echo each and then say nothing; afterwards each must still work.
    Idle { count: usize, hold_millis: u64 },
    /// A new connection each 5 ms, and some that are held, while something breaks.
    Fault { held: usize, millis: u64 },
}

/// What clients are to do, and to whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Taken in turn.
    pub(crate) targets: Vec<SocketAddr>,
    /// What to do.
    pub(crate) job: Job,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// What was done without a mistake.
    pub(crate) done: u64,
    /// Bytes that arrived.
    pub(crate) bytes: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// Anything else than the right answer.
    pub(crate) errors: u64,
    /// The first of them.
    pub(crate) first_error: Option<String>,
    /// How long one took.
    pub(crate) latency: Option<Latency>,
}

/// How long it took, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Half of them took no longer.
    pub(crate) p50: f64,
    /// All but one in a hundred.
    pub(crate) p99: f64,
    /// All but one in a thousand.
    pub(crate) p999: f64,
}

/// A line of the clients' output.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Line {
    /// They have come to where the next step is the bench's.
    Ready,
    /// The end.
    Done(Report),
    /// The end of [`Job::Fault`].
    Observed(Observed),
}

/// Does what `order` says and prints lines of JSON.
///
/// # Errors
/// When nothing could be done at all; mistakes are counted in the report.
pub fn work(order: &str) -> Result<()> {
    let Order { targets, job } = serde_json::from_str(order).context("read the order")?;
    raise_open_files()?;
    // A client that sleeps until its next request is due should not wake 50 us late.
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1))?;
    let report = match job {
        Job::Bulk { streams, bytes, checks_all } => {
            bulk::work(&targets, streams, bytes, checks_all)
        }
        Job::Connections { clients, millis } => connect::work(&targets, clients, None, millis),
        Job::Connect { clients, rate, millis } => {
            connect::work(&targets, clients, Some(rate), millis)
        }
        Job::Kept { clients, rate, millis } => kept::work(&targets, clients, rate, millis),
        Job::Idle { count, hold_millis } => idle::work(&targets, count, hold_millis),
        Job::Fault { held, millis } => {
            return tell(&Line::Observed(fault::work(&targets, held, millis)?));
        }
    };
    tell(&Line::Done(report))
}

fn tell(line: &Line) -> Result<()> {
    print(serde_json::to_string(line)?);
    Ok(())
}

// === impl Report ===

impl Report {
    /// Several clients' reports as one; `seconds` is the longest.
    fn of(parts: impl IntoIterator<Item = (Self, Vec<u64>)>) -> Self {
        let mut whole = Self::default();
        let mut all = Vec::new();
        for (part, latencies) in parts {
            whole.done += part.done;
            whole.bytes += part.bytes;
            whole.errors += part.errors;
            whole.seconds = whole.seconds.max(part.seconds);
            whole.first_error = whole.first_error.or(part.first_error);
            all.extend(latencies);
        }
        whole.latency = Latency::of(all);
        whole
    }

    fn count(&mut self, outcome: Result<()>) {
        match outcome {
            Ok(()) => self.done += 1,
            Err(error) => {
                self.errors += 1;
                self.first_error.get_or_insert_with(|| format!("{error:#}"));
            }
        }
    }
}

// === impl Latency ===

impl Latency {
    /// Of nanoseconds.
    fn of(mut all: Vec<u64>) -> Option<Self> {
        all.sort_unstable();
        let last = all.len().checked_sub(1)?;
        let at = |per_mille: usize| all[(all.len() * per_mille / 1000).min(last)] as f64 / 1e3;
        Some(Self { p50: at(500), p99: at(990), p999: at(999) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted() {
        let all: Vec<u64> = (1..=1000).rev().map(|each| each * 1000).collect();
        assert_eq!(Latency::of(all), Some(Latency { p50: 501.0, p99: 991.0, p999: 1000.0 }));
        assert_eq!(Latency::of(Vec::new()), None);
    }

    #[test]
    fn one_mistake_of_one_client_shows_in_the_whole() {
        let mut spoilt = Report::default();
        spoilt.count(Ok(()));
        spoilt.count(Err(anyhow::anyhow!("a wrong byte")));
        let good = Report { done: 3, seconds: 2.0, ..Report::default() };
        let whole = Report::of([(good, vec![1]), (spoilt, vec![2])]);
        assert_eq!((whole.done, whole.errors, whole.seconds), (4, 1, 2.0));
        assert_eq!(whole.first_error.as_deref(), Some("a wrong byte"));
    }
}
