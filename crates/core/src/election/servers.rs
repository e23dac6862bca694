//! Which API server to ask next: the local one first, those that lately failed last.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::server::ServerId;
use crate::time::Instant;

/// How long a server that failed is asked after the others. Two etcd elections: long enough that a
/// hung local server does not cost a hedge on each renewal, short enough to come home soon.
const PENALTY_DURATION: Duration = Duration::from_secs(5);

/// The known API servers in the order of asking.
#[derive(Clone, Debug)]
pub(crate) struct Servers {
    known: Vec<ServerId>,
    penalised_until: BTreeMap<ServerId, Instant>,
}

impl Servers {
    pub(crate) fn new() -> Self {
        Self { known: vec![ServerId::LOCAL], penalised_until: BTreeMap::new() }
    }

    /// Replaces the servers beside the local one.
    pub(crate) fn learn(&mut self, others: &[ServerId]) {
        self.known = vec![ServerId::LOCAL];
        self.known.extend(others.iter().filter(|server| **server != ServerId::LOCAL));
        self.penalised_until.retain(|server, _| self.known.contains(server));
    }

    pub(crate) fn known(&self) -> &[ServerId] {
        &self.known
    }

    pub(crate) fn penalise(&mut self, server: ServerId, now: Instant) {
        if self.known.contains(&server) {
            self.penalised_until.insert(server, now + PENALTY_DURATION);
        }
    }

    pub(crate) fn forgive(&mut self, server: ServerId) {
        self.penalised_until.remove(&server);
    }

    /// The best server that is not in `tried`.
    pub(crate) fn pick(&self, tried: &BTreeSet<ServerId>, now: Instant) -> Option<ServerId> {
        let untried = || self.known.iter().copied().filter(|server| !tried.contains(server));
        let is_penalised =
            |server: &ServerId| self.penalised_until.get(server).is_some_and(|until| *until > now);
        untried().find(|server| !is_penalised(server)).or_else(|| {
            // All are penalised: the one whose penalty ends first failed longest ago.
            untried().min_by_key(|server| self.penalised_until.get(server).copied())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_server_comes_first_and_the_failed_ones_last() {
        let now = Instant::from_nanos(0);
        let (one, two) = (ServerId(1), ServerId(2));
        let mut servers = Servers::new();
        servers.learn(&[one, two]);
        let none = BTreeSet::new();
        assert_eq!(servers.pick(&none, now), Some(ServerId::LOCAL));
        servers.penalise(ServerId::LOCAL, now);
        assert_eq!(servers.pick(&none, now), Some(one));
        assert_eq!(servers.pick(&BTreeSet::from([one, two]), now), Some(ServerId::LOCAL));
        assert_eq!(servers.pick(&none, now + PENALTY_DURATION), Some(ServerId::LOCAL));
        servers.penalise(one, now + Duration::from_secs(1));
        servers.penalise(two, now + Duration::from_secs(2));
        assert_eq!(servers.pick(&none, now + Duration::from_secs(3)), Some(ServerId::LOCAL));
        servers.forgive(two);
        assert_eq!(servers.pick(&none, now + Duration::from_secs(3)), Some(two));
        assert_eq!(servers.pick(&BTreeSet::from([ServerId::LOCAL, one, two]), now), None);
    }

    #[test]
    fn a_forgotten_server_is_not_penalised() {
        let mut servers = Servers::new();
        servers.learn(&[ServerId(1)]);
        servers.penalise(ServerId(1), Instant::from_nanos(0));
        servers.learn(&[]);
        assert_eq!(servers.known(), [ServerId::LOCAL]);
        assert!(servers.penalised_until.is_empty());
    }
}
