//! The figures of an observation, for JSON and tables: milliseconds from the judge's start.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::observation::Observation;
use super::series::{Outcome, Series};

/// The figures of an observation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How long was watched.
    pub duration_ms: f64,
    /// TCP connects.
    pub tcp: SeriesSummary,
    /// HTTPS requests.
    pub https: SeriesSummary,
    /// When the held connection ended, each time.
    pub held_closed_ms: Vec<f64>,
    /// Longest time with two answering hosts.
    pub two_holders_ms: f64,
    /// Answers by Ethernet address.
    pub answers: BTreeMap<String, usize>,
    /// Announcements by Ethernet address.
    pub announcements: BTreeMap<String, usize>,
    /// The test's own marks.
    pub marks_ms: Vec<(String, f64)>,
    /// Whether something was not recorded.
    pub is_truncated: bool,
}

/// The figures of one series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesSummary {
    /// Attempts.
    pub attempts: usize,
    /// Those that failed.
    pub failures: usize,
    /// Length of the longest gap.
    pub max_gap_ms: f64,
    /// When it began.
    pub max_gap_at_ms: f64,
    /// The judge's own lateness; a gap not much longer says nothing of the VIP.
    pub stall_ms: f64,
    /// How often each outcome came.
    pub outcomes: BTreeMap<String, usize>,
}

// === impl Summary ===

impl Summary {
    pub(super) fn of(observation: &Observation) -> Self {
        let since = |at: Instant| millis(at.saturating_duration_since(observation.began));
        Self {
            duration_ms: since(observation.ended),
            tcp: SeriesSummary::of(&observation.tcp, observation.began),
            https: SeriesSummary::of(&observation.https, observation.began),
            held_closed_ms: observation.held_closed.iter().map(|close| since(close.at)).collect(),
            two_holders_ms: millis(observation.two_holders()),
            answers: counted(observation.answers.all().iter().map(|one| one.mac.to_string())),
            announcements: counted(observation.announcements.iter().map(|one| one.mac.to_string())),
            marks_ms: observation
                .marks
                .iter()
                .map(|mark| (mark.name.clone(), since(mark.at)))
                .collect(),
            is_truncated: observation.is_truncated,
        }
    }
}

// === impl SeriesSummary ===

impl SeriesSummary {
    fn of(series: &Series, began: Instant) -> Self {
        let longest = series.gaps().max_by_key(super::series::Gap::length);
        Self {
            attempts: series.attempts().len(),
            failures: series.failures(),
            max_gap_ms: millis(series.max_gap()),
            max_gap_at_ms: longest
                .map_or(0.0, |gap| millis(gap.from.saturating_duration_since(began))),
            stall_ms: millis(series.stall()),
            outcomes: series
                .outcomes()
                .into_iter()
                .map(|(outcome, count)| (name_of(outcome), count))
                .collect(),
        }
    }
}

fn name_of(outcome: Outcome) -> String {
    match outcome {
        Outcome::Answered(status) => status.to_string(),
        other => format!("{other:?}"),
    }
}

fn counted(names: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// Milliseconds to three places: the clock is not better than that.
fn millis(length: Duration) -> f64 {
    (length.as_secs_f64() * 1e6).round() / 1e3
}
