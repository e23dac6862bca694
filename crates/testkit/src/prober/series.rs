//! Attempts in the order of their start, and the gaps between their successes.
//!
//! A gap runs from the start of the last success to the start of the next, attempts bounded at
//! 200 ms. The time before the first success and after the last one are gaps, too: else an address
//! that never answers would have none.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One attempt.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// When it began.
    pub start: Instant,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The connection was made (TCP only).
    Connected,
    /// An HTTP answer came, with this status; any status is a success.
    Answered(u16),
    /// Nobody listens (RST).
    Refused,
    /// The connection ended before the answer.
    Closed,
    /// Nothing within 200 ms.
    TimedOut,
    /// No neighbour, no route.
    Unreachable,
    /// The certificate was not accepted, or what came was no TLS.
    BadTls,
    /// Some other error of the client's own.
    Failed,
}

/// A time without success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Start of the last success, or of the series.
    pub from: Instant,
    /// Start of the next success, or the end of the series.
    pub until: Instant,
    /// Whether no success followed.
    pub is_open: bool,
}

/// The attempts of one kind.
#[derive(Debug, Clone)]
pub struct Series {
    attempts: Vec<Attempt>,
    began: Instant,
    ended: Instant,
}

// === impl Outcome ===

impl Outcome {
    /// Whether the client got what it came for.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Connected | Self::Answered(_))
    }
}

// === impl Gap ===

impl Gap {
    /// Its length.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.until.saturating_duration_since(self.from)
    }
}

// === impl Series ===

impl Series {
    /// Attempts in any order; `ended` is when no more were started, by default the latest start.
    pub(super) fn new(mut attempts: Vec<Attempt>, began: Instant, ended: Option<Instant>) -> Self {
        attempts.sort_by_key(|attempt| attempt.start);
        let latest = attempts.last().map_or(began, |attempt| attempt.start);
        let ended = ended.unwrap_or(latest).max(latest);
        Self { attempts, began, ended }
    }

    /// Every attempt, by start.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// How many attempts succeeded.
    #[must_use]
    pub fn successes(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.outcome.is_success()).count()
    }

    /// How many attempts failed.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.attempts.len() - self.successes()
    }

    /// How often each outcome came.
    #[must_use]
    pub fn outcomes(&self) -> BTreeMap<Outcome, usize> {
        let mut counts = BTreeMap::new();
        for attempt in &self.attempts {
            *counts.entry(attempt.outcome).or_default() += 1;
        }
        counts
    }

    /// The longest time without success; zero only when there was no attempt.
    #[must_use]
    pub fn max_gap(&self) -> Duration {
        self.longest(|_gap| true)
    }

    /// The longest gap of which some part lies after `at`, at its full length: a gap that a fault at
    /// `at` made begins before it, with the last success.
    #[must_use]
    pub fn gap_after(&self, at: Instant) -> Duration {
        self.longest(|gap| gap.until > at)
    }

    /// The longest gap of which some part lies between `from` and `until`, at its full length.
    #[must_use]
    pub fn gap_between(&self, from: Instant, until: Instant) -> Duration {
        self.longest(|gap| gap.until > from && gap.from < until)
    }

    /// Every gap, in order: one between each two neighbouring successes.
    pub fn gaps(&self) -> impl Iterator<Item = Gap> {
        let successes = self.attempts.iter().filter(|attempt| attempt.outcome.is_success());
        let ends = successes.map(|success| (success.start, false)).chain([(self.ended, true)]);
        let is_empty = self.attempts.is_empty();
        ends.scan(self.began, |from, (until, is_open)| {
            let gap = Gap { from: *from, until, is_open };
            *from = until;
            Some(gap)
        })
        .filter(move |_gap| !is_empty)
    }

    /// How many attempts begun between `from` and `until` failed.
    #[must_use]
    pub fn failures_between(&self, from: Instant, until: Instant) -> usize {
        let during = self.attempts.iter().filter(|one| from <= one.start && one.start < until);
        during.filter(|attempt| !attempt.outcome.is_success()).count()
    }

    /// The first success begun at or after `at`.
    #[must_use]
    pub fn first_success_after(&self, at: Instant) -> Option<Instant> {
        let successes = self.attempts.iter().filter(|attempt| attempt.outcome.is_success());
        successes.map(|attempt| attempt.start).find(|start| *start >= at)
    }

    /// The longest time between two starts, whatever came of them: the part of a gap that is the
    /// judge's own lateness on a busy machine.
    #[must_use]
    pub fn stall(&self) -> Duration {
        let starts = self.attempts.iter().map(|attempt| attempt.start);
        let mut previous = self.began;
        starts
            .map(|start| start.saturating_duration_since(std::mem::replace(&mut previous, start)))
            .max()
            .unwrap_or_default()
    }

    fn longest(&self, wanted: impl Fn(&Gap) -> bool) -> Duration {
        self.gaps().filter(wanted).map(|gap| gap.length()).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Attempts at these milliseconds; those in `failed` fail.
    fn series(zero: Instant, starts: &[u64], failed: &[u64], ended: u64) -> Series {
        let attempts = starts.iter().rev().map(|start| Attempt {
            start: zero + ms(*start),
            took: ms(1),
            outcome: if failed.contains(start) { Outcome::TimedOut } else { Outcome::Connected },
        });
        Series::new(attempts.collect(), zero, Some(zero + ms(ended)))
    }

    #[test]
    fn a_gap_runs_from_success_start_to_success_start() {
        let zero = Instant::now();
        let series = series(zero, &[0, 5, 10, 15, 20, 25], &[10, 15], 26);
        assert_eq!(series.max_gap(), ms(15));
        assert_eq!(series.failures(), 2);
        assert_eq!(series.stall(), ms(5));
    }

    #[test]
    fn an_end_without_success_is_a_gap() {
        let zero = Instant::now();
        let series = series(zero, &[0, 5, 100, 200], &[100, 200], 300);
        assert_eq!(series.max_gap(), ms(295));
        assert!(series.gaps().last().unwrap().is_open);
    }

    #[test]
    fn a_start_without_success_is_a_gap() {
        let zero = Instant::now();
        assert_eq!(series(zero, &[5, 100, 105], &[5], 106).max_gap(), ms(100));
        assert_eq!(series(zero, &[5, 100], &[5, 100], 200).max_gap(), ms(200));
    }

    #[test]
    fn a_gap_after_counts_from_the_success_before() {
        let zero = Instant::now();
        let series = series(zero, &[0, 50, 60, 65, 90, 95], &[], 95);
        assert_eq!(series.gap_after(zero + ms(61)), ms(25));
        assert_eq!(series.gap_after(zero + ms(51)), ms(25));
        assert_eq!(series.gap_after(zero + ms(49)), ms(50));
        assert_eq!(series.gap_between(zero + ms(51), zero + ms(64)), ms(10));
    }

    #[test]
    fn counts_failures_by_their_start() {
        let zero = Instant::now();
        let series = series(zero, &[0, 5, 10, 15], &[5, 10], 15);
        assert_eq!(series.failures_between(zero + ms(5), zero + ms(10)), 1);
        assert_eq!(series.failures_between(zero, zero + ms(20)), 2);
        assert_eq!(series.first_success_after(zero + ms(1)), Some(zero + ms(15)));
    }

    #[test]
    fn no_attempt_is_no_gap() {
        let zero = Instant::now();
        assert_eq!(Series::new(Vec::new(), zero, Some(zero + ms(100))).max_gap(), Duration::ZERO);
    }
}
