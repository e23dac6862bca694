//! When a bound VIP is announced: a spaced burst, then a slow refresh. Pure.

use std::time::Duration;

use pintle_core::Instant;
use pintle_core::config::Announce;

/// A burst that somebody's probe asks for is not begun anew within this time: a host that probes all
/// the time must not make this one announce all the time (design I5).
const ANSWER_INTERVAL: Duration = Duration::from_secs(1);

/// The announcements of one ownership.
#[derive(Debug)]
pub(crate) struct Schedule {
    announce: Announce,
    /// When the current burst began; `None` while nothing is to be announced.
    began: Option<Instant>,
    /// How many of the burst's offsets lie behind.
    done: usize,
    last: Instant,
}

// === impl Schedule ===

impl Schedule {
    /// A schedule that is silent until [`Self::begin`].
    pub(crate) const fn new(announce: Announce) -> Self {
        Self { announce, began: None, done: 0, last: Instant::from_nanos(0) }
    }

    /// Begins the burst, from its first offset.
    pub(crate) const fn begin(&mut self, now: Instant) {
        self.began = Some(now);
        self.done = 0;
    }

    /// Begins the burst because somebody asked, unless the last one began less than a second ago.
    pub(crate) fn answer(&mut self, now: Instant) {
        if self.began.is_some_and(|began| now.since(began) >= ANSWER_INTERVAL) {
            self.begin(now);
        }
    }

    /// Falls silent.
    pub(crate) const fn stop(&mut self) {
        self.began = None;
    }

    /// When the next announcement is due.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        let began = self.began?;
        let offset = self.announce.burst.get(self.done);
        Some(offset.map_or_else(|| self.last + self.announce.refresh, |offset| began + *offset))
    }

    /// Whether one is due; true counts it as sent. Offsets that were missed are not made up for.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let is_due = self.next_at().is_some_and(|at| at <= now);
        if let (true, Some(began)) = (is_due, self.began) {
            let elapsed = now.since(began);
            self.done = self.announce.burst.iter().filter(|offset| **offset <= elapsed).count();
            self.last = now;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn schedule() -> Schedule {
        let burst = [0, 50, 200, 1100].map(Duration::from_millis).to_vec();
        Schedule::new(Announce { burst, refresh: Duration::from_secs(60) })
    }

    fn sent(schedule: &mut Schedule, millis: std::ops::Range<u64>) -> Vec<u64> {
        millis.filter(|millis| schedule.take(at(*millis))).collect()
    }

    #[test]
    fn a_burst_and_then_the_refresh() {
        let mut schedule = schedule();
        assert!(sent(&mut schedule, 0..1000).is_empty(), "silent before it is told to begin");
        schedule.begin(at(1000));
        assert_eq!(sent(&mut schedule, 1000..130_000), [1000, 1050, 1200, 2100, 62_100, 122_100]);
        schedule.stop();
        assert_eq!((schedule.next_at(), schedule.take(at(999_000))), (None, false));
    }

    #[test]
    fn missed_offsets_are_not_made_up_for() {
        let mut schedule = schedule();
        schedule.begin(at(0));
        assert!(schedule.take(at(300)));
        assert_eq!(schedule.next_at(), Some(at(1100)));
    }

    #[test]
    fn an_answer_is_at_most_one_burst_a_second() {
        let mut schedule = schedule();
        schedule.answer(at(0));
        assert_eq!(schedule.next_at(), None, "who does not announce does not answer");
        schedule.begin(at(0));
        assert_eq!(sent(&mut schedule, 0..999), [0, 50, 200]);
        schedule.answer(at(999));
        assert_eq!(schedule.next_at(), Some(at(1100)));
        schedule.answer(at(1000));
        assert_eq!(schedule.next_at(), Some(at(1000)));
    }
}
