//! From single answers to who held the address, in order.
//!
//! The same rule as the prober's: more than 250 ms of silence end a holding time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pintle_testkit::capture::Mac;
use pintle_testkit::prober::Sighting;

use super::SILENCE_LIMIT_MS;

/// From a host's first answer to its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) mac: Mac,
    pub(super) from: Instant,
    pub(super) until: Instant,
}

/// Every holding time, by its beginning.
pub(super) fn holdings(answers: &[Sighting]) -> Vec<Holding> {
    let silence = Duration::from_secs_f64(SILENCE_LIMIT_MS / 1e3);
    let mut current: BTreeMap<Mac, Holding> = BTreeMap::new();
    let mut past = Vec::new();
    for Sighting { at, mac } in answers.iter().copied() {
        let fresh = Holding { mac, from: at, until: at };
        let holding = current.entry(mac).or_insert(fresh);
        if at.saturating_duration_since(holding.until) > silence {
            past.push(std::mem::replace(holding, fresh));
        }
        holding.until = at;
    }
    past.extend(current.into_values());
    past.sort_by_key(|holding| holding.from);
    past
}

/// How often the holder changed. A host that answers for a moment while another holds before and
/// after it is a second holder, not a move: that is counted elsewhere.
pub(super) fn moves(holdings: &[Holding]) -> usize {
    let is_inside = |inner: &Holding| {
        let encloses = |outer: &Holding| {
            outer.mac != inner.mac && outer.from <= inner.from && inner.until <= outer.until
        };
        holdings.iter().any(encloses)
    };
    let turns: Vec<Mac> = holdings.iter().filter(|it| !is_inside(it)).map(|it| it.mac).collect();
    turns.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

/// The longest time between two answers, whoever gave them, from `from` to `until`.
pub(super) fn longest_silence(answers: &[Sighting], from: Instant, until: Instant) -> Duration {
    let during = answers.iter().map(|answer| answer.at);
    let during = during.filter(|at| from <= *at && *at < until);
    let mut previous = from;
    during
        .chain([until])
        .map(|at| at.saturating_duration_since(std::mem::replace(&mut previous, at)))
        .max()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
    const B: Mac = Mac([2, 0, 0, 0, 0, 0xb]);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn answers(zero: Instant, parts: &[(Mac, u64, u64)]) -> Vec<Sighting> {
        let each = |(mac, from, until): &(Mac, u64, u64)| {
            let mac = *mac;
            let times = (*from..=*until).step_by(5);
            times.map(|at| Sighting { at: zero + ms(at), mac }).collect::<Vec<_>>()
        };
        let mut all: Vec<Sighting> = parts.iter().flat_map(each).collect();
        all.sort_by_key(|answer| answer.at);
        all
    }

    #[test]
    fn a_move_with_an_overlap_is_one_move() {
        let zero = Instant::now();
        let seen = answers(zero, &[(A, 0, 700), (B, 400, 1000)]);
        assert_eq!(moves(&holdings(&seen)), 1);
    }

    #[test]
    fn a_former_holder_that_answers_for_a_moment_is_no_move() {
        let zero = Instant::now();
        let seen = answers(zero, &[(A, 0, 500), (B, 700, 2000), (A, 1000, 1100)]);
        assert_eq!(moves(&holdings(&seen)), 1);
    }

    #[test]
    fn there_and_back_is_two_moves() {
        let zero = Instant::now();
        let seen = answers(zero, &[(A, 0, 500), (B, 505, 1000), (A, 1005, 1500)]);
        assert_eq!(moves(&holdings(&seen)), 2);
    }

    #[test]
    fn away_and_back_on_the_same_host_is_no_move_but_a_silence() {
        let zero = Instant::now();
        let seen = answers(zero, &[(A, 0, 500), (A, 1500, 2000)]);
        assert_eq!(moves(&holdings(&seen)), 0);
        assert_eq!(longest_silence(&seen, zero + ms(100), zero + ms(1990)), ms(1000));
        assert_eq!(longest_silence(&seen, zero + ms(1500), zero + ms(1990)), ms(5));
    }

    #[test]
    fn silence_to_the_end_counts() {
        let zero = Instant::now();
        let seen = answers(zero, &[(A, 0, 100)]);
        assert_eq!(longest_silence(&seen, zero, zero + ms(900)), ms(800));
        assert_eq!(longest_silence(&[], zero, zero + ms(900)), ms(900));
    }
}
