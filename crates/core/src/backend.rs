//! Which API servers may be given connections: probe outcomes, counted for the balancer.
//!
//! Its thresholds are below those of [`crate::machine`]'s health (design §4.3: they nest), because to leave
//! out a backend costs nothing while another is up. What a session of long standing loses is another
//! matter: only a server that is gone without doubt costs it its sessions.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::probe::ProbeOutcome;
use crate::server::ServerId;

/// One failure may be a lost packet; two are 1.9 s at most with the default probe.
const FAILURE_THRESHOLD: u32 = 2;

/// A server that answers and is not ready serves watches and reads from memory, and fails every write: so many
/// probes in a row, while another server is up, and its sessions are better off there. Servers that lost
/// their etcd together come back one by one, seconds apart.
const UNREADY_THRESHOLD: u32 = 10;

/// What the balancer may do with a backend, best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BackendState {
    /// Gone: its sessions are ended.
    Down,
    /// Gets no new sessions while another is better, and keeps those that it has.
    Draining,
    /// Not probed to a verdict yet.
    Unproven,
    /// Gets sessions.
    Up,
}

/// An API server as the balancer is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    /// What may be done with it.
    pub state: BackendState,
}

/// Every server's outcomes, counted.
#[derive(Clone, Debug)]
pub struct Backends {
    success_threshold: u32,
    /// One that is not in any list and is never forgotten.
    resident: Option<ServerId>,
    known: BTreeMap<ServerId, Counts>,
}

#[derive(Clone, Copy, Debug)]
struct Counts {
    state: BackendState,
    successes: u32,
    failures: u32,
    silences: u32,
    /// Not ready while another was up.
    laggings: u32,
}

// === impl BackendState ===

impl BackendState {
    /// The same of a server that has left the cluster's list: nobody new while another is better.
    #[must_use]
    pub fn of_one_that_left(self) -> Self {
        self.min(Self::Draining)
    }

    /// The word in `/status` and the logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Draining => "draining",
            Self::Unproven => "unproven",
            Self::Up => "up",
        }
    }
}

// === impl Backends ===

impl Backends {
    /// On a control-plane node: the local API server, and those that are learnt. One that failed is up again
    /// after so many successes in a row.
    #[must_use]
    pub fn new(success_threshold: u32) -> Self {
        let known = BTreeMap::from([(ServerId::LOCAL, Counts::NEW)]);
        Self { success_threshold, resident: Some(ServerId::LOCAL), known }
    }

    /// On a worker: none but those that are learnt.
    #[must_use]
    pub const fn on_worker(success_threshold: u32) -> Self {
        Self { success_threshold, resident: None, known: BTreeMap::new() }
    }

    /// Takes in the outcome of a probe.
    pub fn observe(&mut self, server: ServerId, outcome: &ProbeOutcome) {
        let success_threshold = self.success_threshold;
        let mut others = self.known.iter().filter(|(other, _)| **other != server);
        let is_other_up = others.any(|(_, counts)| counts.state == BackendState::Up);
        // The last word of a probe of one that is forgotten already.
        let Some(counts) = self.known.get_mut(&server) else { return };
        counts.observe(outcome, success_threshold);
        counts.compare(outcome, is_other_up);
    }

    /// Forgets the servers that are neither local nor in `peers`, and learns those that are new.
    pub fn learn(&mut self, peers: &[ServerId]) {
        let resident = self.resident;
        self.known.retain(|server, _| Some(*server) == resident || peers.contains(server));
        for peer in peers {
            self.known.entry(*peer).or_insert(Counts::NEW);
        }
    }

    /// What may be done with each.
    #[must_use]
    pub fn states(&self) -> BTreeMap<ServerId, BackendState> {
        self.known.iter().map(|(server, counts)| (*server, counts.state)).collect()
    }

    /// Whether any is up.
    #[must_use]
    pub fn is_any_up(&self) -> bool {
        self.known.values().any(|counts| counts.state == BackendState::Up)
    }
}

// === impl Counts ===

impl Counts {
    const NEW: Self =
        Self { state: BackendState::Unproven, successes: 0, failures: 0, silences: 0, laggings: 0 };

    fn observe(&mut self, outcome: &ProbeOutcome, success_threshold: u32) {
        if outcome.is_alive() {
            self.failures = 0;
            self.silences = 0;
            self.successes = self.successes.saturating_add(1);
            // A server that never failed has nothing to prove: its first success counts.
            if self.state == BackendState::Unproven || self.successes >= success_threshold {
                self.state = BackendState::Up;
            }
            return;
        }
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        match outcome {
            ProbeOutcome::Draining => self.at_most(BackendState::Draining),
            // The first may be the kept connection alone, which is probed again at once: nobody new is
            // sent there meanwhile. The second is the server itself.
            ProbeOutcome::Refused => {
                let is_confirmed = self.failures >= FAILURE_THRESHOLD;
                self.at_most(if is_confirmed {
                    BackendState::Down
                } else {
                    BackendState::Draining
                });
            }
            ProbeOutcome::Timeout => {
                self.silences = self.silences.saturating_add(1);
                if self.silences >= FAILURE_THRESHOLD {
                    self.at_most(BackendState::Down);
                }
            }
            // It answers, so its sessions may be well; and with a CA that is not the cluster's, all fail.
            ProbeOutcome::NotReady(_) | ProbeOutcome::TlsFailed(_) => {
                if self.failures >= FAILURE_THRESHOLD {
                    self.at_most(BackendState::Draining);
                }
            }
            ProbeOutcome::Ready | ProbeOutcome::Unauthorised => {}
        }
    }

    fn compare(&mut self, outcome: &ProbeOutcome, is_other_up: bool) {
        if is_other_up && matches!(outcome, ProbeOutcome::NotReady(_)) {
            self.laggings = self.laggings.saturating_add(1);
        } else {
            self.laggings = 0;
        }
        if self.laggings >= UNREADY_THRESHOLD {
            self.at_most(BackendState::Down);
        }
    }

    /// Failures never make a state better: what is gone is gone until it succeeds.
    fn at_most(&mut self, state: BackendState) {
        self.state = self.state.min(state);
    }
}

#[cfg(test)]
mod tests {
    use super::BackendState::{Down, Draining, Unproven, Up};
    use super::*;

    fn after(outcomes: &[ProbeOutcome]) -> BackendState {
        let mut backends = Backends::new(2);
        for outcome in outcomes {
            backends.observe(ServerId::LOCAL, outcome);
        }
        backends.states()[&ServerId::LOCAL]
    }

    #[test]
    fn each_outcome_has_its_own_threshold() {
        use ProbeOutcome::{NotReady, Ready, Refused, Timeout, TlsFailed, Unauthorised};
        let stops = || ProbeOutcome::Draining;
        let tls = || TlsFailed("x".into());
        let not_ready = || NotReady(vec!["etcd".into()]);
        let table: &[(&[ProbeOutcome], BackendState)] = &[
            (&[], Unproven),
            (&[Ready], Up),
            (&[Unauthorised], Up),
            (&[Timeout], Unproven),
            (&[Ready, Refused], Draining),
            (&[Ready, Refused, Ready], Draining),
            (&[Ready, Refused, Ready, Ready], Up),
            (&[Ready, Refused, Refused], Down),
            (&[Refused, Refused], Down),
            (&[Ready, Timeout], Up),
            (&[Ready, Timeout, Timeout], Down),
            (&[Ready, Timeout, Ready, Timeout], Up),
            (&[Ready, Timeout, not_ready(), Timeout], Down),
            (&[Ready, not_ready()], Up),
            (&[Ready, not_ready(), not_ready()], Draining),
            (&[Ready, tls(), tls(), tls()], Draining),
            (&[Ready, stops()], Draining),
            (&[Ready, stops(), Refused], Down),
            (&[Ready, Timeout, Timeout, stops()], Down),
            (&[Ready, Timeout, Timeout, Ready], Down),
            (&[Ready, Timeout, Timeout, Ready, Ready], Up),
        ];
        for (outcomes, expected) in table {
            assert_eq!(after(outcomes), *expected, "{outcomes:?}");
        }
    }

    #[test]
    fn one_that_stays_behind_the_others_is_left() {
        let not_ready = || ProbeOutcome::NotReady(vec!["etcd".into()]);
        let mut backends = Backends::new(2);
        let local = |backends: &Backends| backends.states()[&ServerId::LOCAL];
        backends.learn(&[ServerId(1)]);
        backends.observe(ServerId(1), &ProbeOutcome::Ready);
        for _ in 1..UNREADY_THRESHOLD {
            backends.observe(ServerId::LOCAL, &not_ready());
        }
        assert_eq!(local(&backends), Draining);
        backends.observe(ServerId::LOCAL, &not_ready());
        assert_eq!(local(&backends), Down);
        // Where all of them are not ready, none is behind.
        let mut backends = Backends::new(2);
        backends.learn(&[ServerId(1)]);
        for _ in 0..100 {
            backends.observe(ServerId(1), &not_ready());
            backends.observe(ServerId::LOCAL, &not_ready());
        }
        assert_eq!(local(&backends), Draining);
    }

    #[test]
    fn servers_come_and_go_with_the_list() {
        let mut backends = Backends::new(2);
        backends.learn(&[ServerId(1), ServerId(2)]);
        assert_eq!(backends.states().len(), 3);
        backends.observe(ServerId(1), &ProbeOutcome::Ready);
        backends.learn(&[ServerId(2)]);
        assert!(!backends.is_any_up(), "the one that was up is gone");
        backends.learn(&[]);
        backends.observe(ServerId(2), &ProbeOutcome::Ready);
        assert_eq!(backends.states().len(), 1, "the local one stays, and who is gone stays gone");
    }

    #[test]
    fn on_a_worker_there_are_none_but_the_learnt() {
        let mut backends = Backends::on_worker(2);
        assert!(backends.states().is_empty());
        backends.learn(&[ServerId(1), ServerId(2)]);
        backends.observe(ServerId(1), &ProbeOutcome::Ready);
        assert!(backends.is_any_up());
        backends.learn(&[ServerId(2)]);
        assert_eq!(backends.states(), BTreeMap::from([(ServerId(2), Unproven)]));
    }
}
