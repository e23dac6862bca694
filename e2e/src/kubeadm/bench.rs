//! What every step works on: the cluster, a client that watches the VIP, and the figures so far.

use std::fmt;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use pintle_testkit::netns::VIP_V4;
use pintle_testkit::prober::{Observation, ProbeTarget, Prober};

use super::cluster::Cluster;
use crate::bed::PORT;
use crate::judge::moves_of;
use crate::say::{millis, say};

/// The client sees the VIP answer this long before a step begins, and after it.
const QUIET: Duration = Duration::from_secs(2);

/// What the fault table allows where a holder goes without a word. One that is told to go takes a
/// twentieth of it; the rest is room for three kubelets, their API servers and a rollout on the same cores.
pub(super) const TAKE_OVER_LIMIT: Duration = Duration::from_millis(1200);

/// Attempts are bounded at 200 ms: one that a busy machine loses, and its neighbours.
const UNDISTURBED_LIMIT: Duration = Duration::from_millis(250);

/// A new request every 20 ms.
const REQUEST_INTERVAL: Duration = Duration::from_millis(20);

/// What steps work on.
#[derive(Debug)]
pub struct Bench {
    /// The hosts.
    pub cluster: Cluster,
    /// pintle's static pod, as `pintle manifest static-pod` prints it.
    pub static_pod: String,
    figures: Vec<(String, String)>,
}

/// What a client saw while something happened.
#[derive(Debug, Clone)]
pub struct Seen {
    /// How many new connections it made, and how many of them failed.
    pub connects: (usize, usize),
    /// The same of HTTPS requests, each on a connection of its own.
    pub requests: (usize, usize),
    /// The longest gap of connections.
    pub gap: Duration,
    /// How late the client was itself, at worst.
    pub stall: Duration,
    /// The longest time for which two hosts answered for the VIP.
    pub two_holders: Duration,
    /// How often the VIP changed hosts.
    pub moves: usize,
}

// === impl Bench ===

impl Bench {
    /// A bench of hosts that have nothing yet.
    #[must_use]
    pub const fn new(cluster: Cluster, static_pod: String) -> Self {
        Self { cluster, static_pod, figures: Vec::new() }
    }

    /// Says a figure and keeps it for the end.
    pub fn note(&mut self, what: &str, figure: impl fmt::Display) {
        say(format!("    {what}: {figure}"));
        self.figures.push((what.to_owned(), figure.to_string()));
    }

    /// The same of a time, in seconds.
    pub fn note_time(&mut self, what: &str, took: Duration) {
        self.note(what, format!("{:.1} s", took.as_secs_f64()));
    }

    /// Every figure, in the order in which they were measured.
    #[must_use]
    pub fn figures(&self) -> &[(String, String)] {
        &self.figures
    }

    /// The host that has the VIP.
    ///
    /// # Errors
    /// When nobody has it, or several have.
    pub fn holder(&self) -> Result<usize> {
        self.cluster.holder()?.context("nobody has the VIP")
    }

    /// Lets a client connect to the VIP, and make requests, while `work` goes on.
    ///
    /// # Errors
    /// When `work` fails, or two hosts answered at once.
    pub fn watched(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<Seen> {
        let prober = Prober::start(self.cluster.topology().client_ns(), self.probe_target()?)?;
        sleep(QUIET);
        work(self)?;
        sleep(QUIET);
        let seen = Seen::of(&prober.stop()?);
        ensure!(seen.two_holders.is_zero(), "two hosts answered for {:?}", seen.two_holders);
        Ok(seen)
    }

    /// Keeps what a client saw of something that was done to a host, and refuses more than that may take:
    /// where the host had the VIP, one planned take-over; where it had not, nothing.
    ///
    /// # Errors
    /// When it was more.
    pub fn judge(&mut self, what: &str, held: bool, seen: &Seen) -> Result<()> {
        let whose = if held { ", the holder's" } else { "" };
        self.note(&format!("{what}{whose}"), seen);
        if held {
            ensure!(seen.moves <= 1, "more than one take-over: {seen}");
            return seen.gap_within(TAKE_OVER_LIMIT);
        }
        seen.is_undisturbed()
    }

    fn probe_target(&self) -> Result<ProbeTarget> {
        let ca = self.cluster.host(0).on_disk("/etc/kubernetes/pki/ca.crt");
        let ca = fs::read_to_string(ca).context("read the cluster's CA")?;
        let request_interval = REQUEST_INTERVAL;
        Ok(ProbeTarget { request_interval, ..ProbeTarget::https(VIP_V4.into(), PORT, ca) })
    }
}

// === impl Seen ===

impl Seen {
    fn of(seen: &Observation) -> Self {
        let (tcp, https) = (&seen.tcp, &seen.https);
        Self {
            connects: (tcp.attempts().len(), tcp.failures()),
            requests: (https.attempts().len(), https.failures()),
            gap: tcp.max_gap(),
            stall: tcp.stall(),
            two_holders: seen.two_holders(),
            moves: moves_of(seen),
        }
    }

    /// Refuses a gap longer than `limit`, on a machine that is never late.
    ///
    /// # Errors
    /// When it is.
    pub fn gap_within(&self, limit: Duration) -> Result<()> {
        ensure!(self.gap <= limit + self.stall, "{self}; at most {limit:?} is allowed");
        Ok(())
    }

    /// Refuses whatever more than a busy machine did to the client.
    ///
    /// # Errors
    /// When the VIP moved, or could not be reached for longer than that.
    pub fn is_undisturbed(&self) -> Result<()> {
        ensure!(self.moves == 0, "the VIP moved: {self}");
        self.gap_within(UNDISTURBED_LIMIT)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((connects, refused), (requests, failed)) = (self.connects, self.requests);
        write!(f, "{refused} of {connects} connects and {failed} of {requests} requests failed, ")?;
        write!(f, "gap {} ms, {} moves", millis(self.gap), self.moves)
    }
}

/// What `look` finds, as soon as it does, and how long that took; what it said last otherwise.
///
/// # Errors
/// When it finds nothing in time.
pub(super) fn wait<T>(
    timeout: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T>,
) -> Result<(T, Duration)> {
    let started = Instant::now();
    loop {
        match look() {
            Ok(found) => return Ok((found, started.elapsed())),
            Err(error) if started.elapsed() >= timeout => {
                return Err(error.context(format!("not within {timeout:?}: {what}")));
            }
            Err(_not_yet) => sleep(Duration::from_millis(100)),
        }
    }
}
