//! Who answered for the VIP, and for how long two did.
//!
//! A host *holds* from its first to its last answer; a silence of more than 250 ms ends that time (it
//! is asked each 5 or 10 ms, so 25 questions or more went unanswered), else an address that goes and
//! comes back would count as held in between. Two holders: the time that lies inside the holding
//! times of two hosts, which is from the first answer of the new one to the last of the former.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::capture::Mac;

/// The silence that ends a holding time. Longer makes the judge stricter: a host that comes back
/// within it counts as if it had never stopped.
const SILENCE: Duration = Duration::from_millis(250);

/// One answer to the question who has the VIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// When it arrived.
    pub at: Instant,
    /// Who says to have it.
    pub mac: Mac,
}

/// How a host told its neighbours without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnnouncementForm {
    /// Gratuitous ARP as a request.
    ArpRequest,
    /// Gratuitous ARP as a reply.
    ArpReply,
    /// Unsolicited neighbour advertisement.
    NeighborAdvert,
}

/// A claim that nobody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// When it arrived.
    pub at: Instant,
    /// Who claims the VIP.
    pub mac: Mac,
    /// In which form.
    pub form: AnnouncementForm,
}

/// A time in which at least two hosts held the VIP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// First answer of the newcomer.
    pub from: Instant,
    /// Last answer of the last but one; equal to `from` when it is a single answer in between.
    pub until: Instant,
    /// All who answered in it.
    pub macs: BTreeSet<Mac>,
}

/// Answers, in the order of time.
#[derive(Debug, Clone)]
pub struct Sightings {
    answers: Vec<Sighting>,
}

/// A holding time.
#[derive(Debug, Clone, Copy)]
struct Hold {
    mac: Mac,
    from: Instant,
    until: Instant,
}

// === impl Overlap ===

impl Overlap {
    /// Its length.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.until.saturating_duration_since(self.from)
    }
}

// === impl Sightings ===

impl Sightings {
    pub(super) fn new(mut answers: Vec<Sighting>) -> Self {
        answers.sort_by_key(|answer| answer.at);
        Self { answers }
    }

    /// Every answer, by time.
    #[must_use]
    pub fn all(&self) -> &[Sighting] {
        &self.answers
    }

    /// Who gave the latest answer.
    #[must_use]
    pub fn latest(&self) -> Option<Sighting> {
        self.answers.last().copied()
    }

    /// Who answered from `from` up to, but not at, `until`.
    #[must_use]
    pub fn holders_between(&self, from: Instant, until: Instant) -> BTreeSet<Mac> {
        let during = self.answers.iter().filter(|answer| from <= answer.at && answer.at < until);
        during.map(|answer| answer.mac).collect()
    }

    /// The longest time that at least two hosts held the VIP.
    #[must_use]
    pub fn two_holders(&self) -> Duration {
        self.overlaps().iter().map(Overlap::length).max().unwrap_or_default()
    }

    /// The same for the time from `at` on: an overlap that began before counts from `at`.
    #[must_use]
    pub fn two_holders_after(&self, at: Instant) -> Duration {
        let lengths = self
            .overlaps_after(at)
            .into_iter()
            .map(|overlap| overlap.until.saturating_duration_since(overlap.from.max(at)));
        lengths.max().unwrap_or_default()
    }

    /// Overlaps of which some part lies at or after `at`.
    #[must_use]
    pub fn overlaps_after(&self, at: Instant) -> Vec<Overlap> {
        let mut overlaps = self.overlaps();
        overlaps.retain(|overlap| overlap.until >= at);
        overlaps
    }

    /// Every time in which at least two hosts held the VIP, those that touch as one.
    #[must_use]
    pub fn overlaps(&self) -> Vec<Overlap> {
        let holds = self.holds();
        let mut overlaps: Vec<Overlap> = Vec::new();
        for (index, second) in holds.iter().enumerate() {
            for first in holds[..index].iter().filter(|first| first.mac != second.mac) {
                // Sorted by their beginning: the second begins inside the first or after it.
                if first.until >= second.from {
                    overlaps.push(Overlap {
                        from: second.from,
                        until: first.until.min(second.until),
                        macs: BTreeSet::from([first.mac, second.mac]),
                    });
                }
            }
        }
        overlaps.sort_by_key(|overlap| overlap.from);
        let mut joined: Vec<Overlap> = Vec::new();
        for overlap in overlaps {
            match joined.last_mut().filter(|last| last.until >= overlap.from) {
                Some(last) => {
                    last.until = last.until.max(overlap.until);
                    last.macs.extend(overlap.macs);
                }
                None => joined.push(overlap),
            }
        }
        joined
    }

    /// Holding times, by their beginning. Bounded by one per host and [`SILENCE`]: a few thousand.
    fn holds(&self) -> Vec<Hold> {
        let mut current: BTreeMap<Mac, Hold> = BTreeMap::new();
        let mut holds = Vec::new();
        for Sighting { at, mac } in self.answers.iter().copied() {
            let hold = current.entry(mac).or_insert(Hold { mac, from: at, until: at });
            if at.saturating_duration_since(hold.until) > SILENCE {
                holds.push(std::mem::replace(hold, Hold { mac, from: at, until: at }));
            }
            hold.until = at;
        }
        holds.extend(current.into_values());
        holds.sort_by_key(|hold| hold.from);
        holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
    const B: Mac = Mac([2, 0, 0, 0, 0, 0xb]);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Answers of `mac` each 5 ms, both ends included.
    fn answers(zero: Instant, mac: Mac, from: u64, until: u64) -> Vec<Sighting> {
        (from..=until).step_by(5).map(|at| Sighting { at: zero + ms(at), mac }).collect()
    }

    fn seen(parts: &[Vec<Sighting>]) -> Sightings {
        Sightings::new(parts.concat())
    }

    #[test]
    fn a_clean_move_is_no_overlap() {
        let zero = Instant::now();
        let seen = seen(&[answers(zero, A, 0, 500), answers(zero, B, 505, 1000)]);
        assert_eq!(seen.two_holders(), Duration::ZERO);
        assert_eq!(seen.overlaps(), []);
        assert_eq!(seen.holders_between(zero, zero + ms(500)), BTreeSet::from([A]));
    }

    #[test]
    fn an_overlap_runs_from_the_new_ones_first_to_the_old_ones_last() {
        let zero = Instant::now();
        let seen = seen(&[answers(zero, A, 0, 700), answers(zero, B, 400, 1000)]);
        assert_eq!(seen.two_holders(), ms(300));
        assert_eq!(seen.two_holders_after(zero + ms(600)), ms(100));
        assert_eq!(seen.two_holders_after(zero + ms(701)), Duration::ZERO);
        assert_eq!(seen.holders_between(zero + ms(400), zero + ms(401)), BTreeSet::from([A, B]));
    }

    #[test]
    fn a_move_there_and_back_is_no_overlap() {
        let zero = Instant::now();
        let seen = seen(&[
            answers(zero, A, 0, 500),
            answers(zero, B, 505, 2000),
            answers(zero, A, 2005, 2500),
        ]);
        assert_eq!(seen.overlaps(), []);
    }

    #[test]
    fn one_stray_answer_is_an_overlap_without_length() {
        let zero = Instant::now();
        let seen = seen(&[answers(zero, A, 0, 500), answers(zero, B, 250, 250)]);
        assert_eq!(seen.two_holders(), Duration::ZERO);
        assert_eq!(seen.overlaps().len(), 1);
        assert_eq!(seen.overlaps_after(zero + ms(251)), []);
    }

    #[test]
    fn three_hosts_in_a_row_overlap_as_one() {
        let zero = Instant::now();
        let third = Mac([2, 0, 0, 0, 0, 0xc]);
        let seen = seen(&[
            answers(zero, A, 0, 300),
            answers(zero, B, 200, 500),
            answers(zero, third, 300, 600),
        ]);
        let [overlap] = &seen.overlaps()[..] else { panic!("one overlap") };
        assert_eq!((overlap.length(), overlap.macs.len()), (ms(300), 3));
    }

    #[test]
    fn a_silent_host_does_not_hold() {
        let zero = Instant::now();
        let seen = seen(&[
            answers(zero, A, 0, 100),
            answers(zero, A, 600, 700),
            answers(zero, B, 200, 500),
        ]);
        assert_eq!(seen.overlaps(), []);
    }
}
