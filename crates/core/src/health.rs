//! Counts probe outcomes: is the local API server fit, and is another one ready.
//!
//! Only counts. Whether an unfit node gives up the VIP is the machine's decision, and health alone
//! never takes it unless another API server was seen ready *after* the local trouble began: a
//! cluster-wide stall makes every probe fail, and a verdict older than the stall proves nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::Probe;
use crate::probe::ProbeOutcome;
use crate::server::ServerId;
use crate::time::Instant;

/// A refused connection needs one confirmation: a restarting process can drop a single one.
const REFUSED_THRESHOLD: u32 = 2;

/// When the others failed as well, they come back one by one, and the further apart the longer it took:
/// their etcd clients wait 1.6 times as long after each failure (gRPC's connection backoff). After half
/// a minute without quorum one was seen to be back 6 s, and on a busy machine 16 s after another. So a
/// peer's lead over the local server proves nothing until it is as long as the peer's own failure was,
/// and this at most.
const MAX_LEAD: Duration = Duration::from_secs(30);

/// What is known of the local API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fitness {
    /// Not probed to a verdict yet.
    Unknown,
    /// Ready.
    Fit,
    /// Not ready, confirmed.
    Unfit,
}

/// Probe outcomes, counted.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    failure_threshold: u32,
    success_threshold: u32,
    timeout: Duration,
    fitness: Fitness,
    successes: u32,
    failures: u32,
    refusals: u32,
    failing_since: Option<Instant>,
    /// When the last failure of the local server was seen.
    failed_at: Option<Instant>,
    /// `/readyz` is closed to this probe (`--anonymous-auth=false`): the local server said so when it
    /// was last well, and what it says of itself is not to be asked more of the others.
    is_closed: bool,
    /// Peers that failed, too, in the time of the local trouble, and since when.
    fellows: BTreeMap<ServerId, Instant>,
    /// The last failure leaves no doubt: nobody listens, or the server says that it stops.
    is_definite: bool,
    /// Peers that are ready, and since when that has been seen without a break, counted from the
    /// beginning of the local trouble at the earliest.
    peers_ready_since: BTreeMap<ServerId, Instant>,
}

impl Health {
    pub(crate) const fn new(probe: &Probe) -> Self {
        Self {
            failure_threshold: probe.failure_threshold,
            success_threshold: probe.success_threshold,
            timeout: probe.timeout,
            fitness: Fitness::Unknown,
            successes: 0,
            failures: 0,
            refusals: 0,
            failing_since: None,
            failed_at: None,
            is_closed: false,
            fellows: BTreeMap::new(),
            is_definite: false,
            peers_ready_since: BTreeMap::new(),
        }
    }

    pub(crate) const fn fitness(&self) -> Fitness {
        self.fitness
    }

    /// The last probe of the local API server failed: the others are worth asking more often.
    pub(crate) const fn is_suspect(&self) -> bool {
        self.failing_since.is_some()
    }

    /// When the local trouble began.
    pub(crate) const fn failing_since(&self) -> Option<Instant> {
        self.failing_since
    }

    /// Whether another API server is ready while the local one is not: one that was seen ready since
    /// the trouble began, and then, unless the local failure is beyond doubt, by one more local probe
    /// that began and failed after that. When a stall of the whole cluster ends, some server answers
    /// first: this tells it from the only one that is well.
    pub(crate) fn is_peer_better(&self) -> bool {
        let Some(failed_at) = self.failed_at.filter(|_| self.failing_since.is_some()) else {
            return false;
        };
        self.peers_ready_since.iter().any(|(peer, since)| {
            let outage = self.fellows.get(peer).map_or(Duration::ZERO, |at| since.since(*at));
            let lead = outage.min(MAX_LEAD).max(self.timeout);
            self.is_definite || failed_at >= *since + lead
        })
    }

    pub(crate) fn observe(&mut self, server: ServerId, outcome: &ProbeOutcome, now: Instant) {
        if server == ServerId::LOCAL {
            self.observe_local(outcome, now);
        } else if *outcome == ProbeOutcome::Ready
            || (self.is_closed && *outcome == ProbeOutcome::Unauthorised)
        {
            self.peers_ready_since.entry(server).or_insert(now);
        } else {
            let was_ready = self.peers_ready_since.remove(&server).is_some();
            if self.failing_since.is_some() && !outcome.is_alive() {
                let since = self.fellows.entry(server).or_insert(now);
                if was_ready {
                    *since = now;
                }
            }
        }
    }

    /// Forgets the servers that are not in `known`, so that the table is bounded by the server list.
    pub(crate) fn retain(&mut self, known: &[ServerId]) {
        self.peers_ready_since.retain(|server, _| known.contains(server));
        self.fellows.retain(|server, _| known.contains(server));
    }

    fn observe_local(&mut self, outcome: &ProbeOutcome, now: Instant) {
        if outcome.is_alive() {
            self.is_closed = *outcome == ProbeOutcome::Unauthorised;
            self.failing_since = None;
            self.failures = 0;
            self.refusals = 0;
            self.successes = self.successes.saturating_add(1);
            // A node that was never unfit has nothing to prove: its first success counts.
            if self.fitness == Fitness::Unknown || self.successes >= self.success_threshold {
                self.fitness = Fitness::Fit;
            }
            return;
        }
        if self.failing_since.is_none() {
            self.failing_since = Some(now);
            // A verdict from before the trouble proves nothing about the time since.
            self.peers_ready_since.clear();
            self.fellows.clear();
        }
        self.failed_at = Some(now);
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        self.refusals = match outcome {
            ProbeOutcome::Refused => self.refusals.saturating_add(1),
            ProbeOutcome::Ready
            | ProbeOutcome::Draining
            | ProbeOutcome::NotReady(_)
            | ProbeOutcome::Timeout
            | ProbeOutcome::TlsFailed(_)
            | ProbeOutcome::Unauthorised => 0,
        };
        self.is_definite = *outcome == ProbeOutcome::Draining || self.refusals >= REFUSED_THRESHOLD;
        if self.is_definite || self.failures >= self.failure_threshold {
            self.fitness = Fitness::Unfit;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn health() -> Health {
        Health::new(&Probe {
            path: "/readyz".into(),
            period: Duration::from_millis(500),
            timeout: Duration::from_millis(700),
            failure_threshold: 3,
            success_threshold: 2,
        })
    }

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn after(outcomes: &[ProbeOutcome]) -> Fitness {
        let mut health = health();
        for (step, outcome) in (0..).zip(outcomes) {
            health.observe(ServerId::LOCAL, outcome, at(step));
        }
        health.fitness()
    }

    #[test]
    fn each_outcome_has_its_own_threshold() {
        use ProbeOutcome::{Draining, NotReady, Ready, Refused, Timeout, TlsFailed, Unauthorised};
        let tls = || TlsFailed("x".into());
        let not_ready = || NotReady(vec!["etcd".into()]);
        let table: &[(&[ProbeOutcome], Fitness)] = &[
            (&[], Fitness::Unknown),
            (&[Ready], Fitness::Fit),
            (&[Unauthorised], Fitness::Fit),
            (&[Ready, Draining], Fitness::Unfit),
            (&[Ready, Refused], Fitness::Fit),
            (&[Ready, Refused, Refused], Fitness::Unfit),
            (&[Ready, Refused, Timeout, Refused], Fitness::Unfit),
            (&[Ready, Refused, Timeout], Fitness::Fit),
            (&[Ready, Timeout, Timeout], Fitness::Fit),
            (&[Ready, Timeout, Timeout, Timeout], Fitness::Unfit),
            (&[Ready, Timeout, Timeout, Ready, Timeout], Fitness::Fit),
            (&[Ready, tls(), tls(), tls()], Fitness::Unfit),
            (&[Ready, not_ready(), not_ready()], Fitness::Fit),
            (&[Ready, not_ready(), not_ready(), not_ready()], Fitness::Unfit),
            (&[Draining, Ready], Fitness::Unfit),
            (&[Draining, Ready, Ready], Fitness::Fit),
        ];
        for (outcomes, expected) in table {
            assert_eq!(after(outcomes), *expected, "{outcomes:?}");
        }
    }

    #[test]
    fn a_peer_counts_only_if_it_was_ready_after_the_trouble_began() {
        let peer = ServerId(1);
        let mut health = health();
        health.observe(peer, &ProbeOutcome::Ready, at(0));
        assert!(!health.is_peer_better(), "no local trouble, no question");
        health.observe(ServerId::LOCAL, &ProbeOutcome::Refused, at(10));
        health.observe(ServerId::LOCAL, &ProbeOutcome::Refused, at(11));
        assert!(!health.is_peer_better(), "its verdict is older than the trouble");
        health.observe(peer, &ProbeOutcome::Ready, at(20));
        assert!(health.is_peer_better(), "a refusal leaves no doubt");
        health.observe(peer, &ProbeOutcome::Unauthorised, at(30));
        assert!(!health.is_peer_better(), "alive is not ready");
        health.observe(peer, &ProbeOutcome::Ready, at(40));
        health.retain(&[]);
        assert!(!health.is_peer_better(), "it is no server of ours any more");
    }

    #[test]
    fn where_probes_are_not_let_in_alive_is_all_that_can_be_asked() {
        let peer = ServerId(1);
        let mut health = health();
        health.observe(ServerId::LOCAL, &ProbeOutcome::Unauthorised, at(0));
        health.observe(ServerId::LOCAL, &ProbeOutcome::Refused, at(10));
        health.observe(ServerId::LOCAL, &ProbeOutcome::Refused, at(11));
        health.observe(peer, &ProbeOutcome::Unauthorised, at(20));
        assert!(health.is_peer_better());
    }

    /// The peer fails for `outage` with the local server; whether it is better, `lead` after it is back.
    fn is_better_after(outage: u64, lead: u64) -> bool {
        let peer = ServerId(1);
        let mut health = health();
        for millis in [700, 1400, 700 + outage] {
            health.observe(ServerId::LOCAL, &ProbeOutcome::Timeout, at(millis));
            health.observe(peer, &ProbeOutcome::Timeout, at(millis));
        }
        health.observe(peer, &ProbeOutcome::Ready, at(700 + outage));
        health.observe(ServerId::LOCAL, &ProbeOutcome::Timeout, at(700 + outage + lead));
        health.is_peer_better()
    }

    #[test]
    fn a_peer_that_failed_too_counts_when_it_is_ready_as_long_as_it_was_not() {
        // The outage and the lead that it takes, in milliseconds.
        for (outage, lead) in [(100, 700), (1500, 1500), (4000, 4000), (40_000, 30_000)] {
            assert!(!is_better_after(outage, lead - 1), "{outage}");
            assert!(is_better_after(outage, lead), "{outage}");
        }
    }

    #[test]
    fn a_hung_server_beside_healthy_ones_is_left_after_one_more_probe() {
        let peer = ServerId(1);
        let mut health = health();
        health.observe(ServerId::LOCAL, &ProbeOutcome::Timeout, at(700));
        health.observe(peer, &ProbeOutcome::Ready, at(705));
        health.observe(ServerId::LOCAL, &ProbeOutcome::Timeout, at(1400));
        assert!(!health.is_peer_better());
        health.observe(ServerId::LOCAL, &ProbeOutcome::Timeout, at(2100));
        assert!(health.is_peer_better());
    }
}
