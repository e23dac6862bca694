//! Who gets the next connection: a pure choice over what the table knows.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use pintle_core::BackendState;
use pintle_core::config::Algorithm;

/// What a choice depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) address: SocketAddr,
    pub(crate) state: BackendState,
    /// A session has just failed to reach it, and no probe has said otherwise since.
    pub(crate) is_suspect: bool,
    pub(crate) sessions: usize,
}

/// The index of the one to try; `None` when all of them are in `tried`. Worse states come last instead of
/// never: when every backend is down, to try one costs nothing and may be right.
pub(crate) fn pick(
    candidates: &[Candidate],
    tried: &[SocketAddr],
    algorithm: Algorithm,
    client: IpAddr,
    turn: usize,
) -> Option<usize> {
    let untried = || {
        let all = candidates.iter().enumerate();
        all.filter(|(_, candidate)| !tried.contains(&candidate.address))
    };
    let rank = |candidate: &Candidate| (candidate.state, !candidate.is_suspect);
    let best = untried().map(|(_, candidate)| rank(candidate)).max()?;
    let eligible = untried().filter(|(_, candidate)| rank(candidate) == best);
    // Equals in turn: the first at or after `turn`, round the list.
    let place =
        |index: usize| (index + candidates.len() - turn % candidates.len()) % candidates.len();
    match algorithm {
        Algorithm::LeastConnections => {
            eligible.min_by_key(|(index, candidate)| (candidate.sessions, place(*index)))
        }
        Algorithm::RoundRobin => eligible.min_by_key(|(index, _)| place(*index)),
        Algorithm::SourceHash => {
            eligible.max_by_key(|(_, candidate)| weight(client, candidate.address))
        }
    }
    .map(|(index, _)| index)
}

/// Rendezvous hashing: a backend that comes or goes moves only its own clients.
fn weight(client: IpAddr, backend: SocketAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    (client.to_canonical(), backend).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 99));

    fn candidate(number: u8, state: BackendState, sessions: usize) -> Candidate {
        let address = SocketAddr::from(([192, 0, 2, number], 6443));
        Candidate { address, state, is_suspect: false, sessions }
    }

    fn least(candidates: &[Candidate], tried: &[u8], turn: usize) -> Option<usize> {
        let tried: Vec<SocketAddr> =
            tried.iter().map(|number| SocketAddr::from(([192, 0, 2, *number], 6443))).collect();
        pick(candidates, &tried, Algorithm::LeastConnections, CLIENT, turn)
    }

    #[test]
    fn the_best_state_comes_first_and_the_worst_last() {
        use BackendState::{Down, Draining, Unproven, Up};
        let all = [
            candidate(1, Down, 0),
            candidate(2, Draining, 0),
            candidate(3, Unproven, 0),
            candidate(4, Up, 9),
        ];
        assert_eq!(least(&all, &[], 0), Some(3));
        assert_eq!(least(&all, &[4], 0), Some(2));
        assert_eq!(least(&all, &[4, 3], 0), Some(1));
        assert_eq!(least(&all, &[4, 3, 2], 0), Some(0));
        assert_eq!(least(&all, &[4, 3, 2, 1], 0), None);
        assert_eq!(least(&[], &[], 0), None);
    }

    #[test]
    fn a_suspect_waits_behind_its_equals_only() {
        let mut all = [candidate(1, BackendState::Up, 0), candidate(2, BackendState::Up, 5)];
        all[0].is_suspect = true;
        assert_eq!(least(&all, &[], 0), Some(1));
        all[1].state = BackendState::Draining;
        assert_eq!(least(&all, &[], 0), Some(0));
    }

    #[test]
    fn equals_take_turns() {
        let all = [1, 2, 3].map(|number| candidate(number, BackendState::Up, 4));
        assert_eq!([0, 1, 2, 3].map(|turn| least(&all, &[], turn)), [0, 1, 2, 0].map(Some));
    }

    #[test]
    fn a_client_stays_with_its_backend_while_others_come_and_go() {
        let all: Vec<Candidate> =
            (1..=4).map(|number| candidate(number, BackendState::Up, 0)).collect();
        let of = |candidates: &[Candidate]| {
            pick(candidates, &[], Algorithm::SourceHash, CLIENT, 0).map(|at| candidates[at].address)
        };
        let chosen = of(&all);
        for gone in 0..all.len() {
            let mut rest = all.clone();
            let removed = rest.remove(gone);
            if Some(removed.address) != chosen {
                assert_eq!(of(&rest), chosen);
            }
        }
    }

    proptest! {
        /// One that is given is untried, and no untried one is in a better state.
        #[test]
        fn never_a_worse_one(states in prop::collection::vec(0..4_u8, 0..8), tried in prop::collection::vec(0..8_u8, 0..4), turn in any::<usize>()) {
            let state = |number: u8| [BackendState::Down, BackendState::Draining, BackendState::Unproven, BackendState::Up][usize::from(number)];
            let all: Vec<Candidate> = (0..).zip(&states).map(|(number, kind)| candidate(number, state(*kind), 0)).collect();
            let tried: Vec<SocketAddr> = tried.iter().map(|number| SocketAddr::from(([192, 0, 2, *number], 6443))).collect();
            for algorithm in [Algorithm::LeastConnections, Algorithm::RoundRobin, Algorithm::SourceHash] {
                let untried = all.iter().filter(|one| !tried.contains(&one.address));
                let best = untried.map(|one| one.state).max();
                let chosen = pick(&all, &tried, algorithm, CLIENT, turn);
                prop_assert_eq!(chosen.map(|at| all[at].state), best);
                prop_assert!(chosen.is_none_or(|at| !tried.contains(&all[at].address)));
            }
        }
    }
}
