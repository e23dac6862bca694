//! All that the judge saw, as plain values.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::holders::{Announcement, Sightings};
use super::series::Series;
use super::summary::Summary;
use crate::capture::Mac;

/// What a client of the VIP saw.
#[derive(Debug, Clone)]
pub struct Observation {
    /// The address watched.
    pub vip: IpAddr,
    /// When the judge began.
    pub began: Instant,
    /// When it stopped, or the snapshot was taken.
    pub ended: Instant,
    /// TCP connects.
    pub tcp: Series,
    /// HTTPS requests; no attempts when they were not asked for.
    pub https: Series,
    /// Who answered for the VIP.
    pub answers: Sightings,
    /// Gratuitous ARP and unsolicited advertisements for the VIP.
    pub announcements: Vec<Announcement>,
    /// When the held connection was made, each time.
    pub held_opened: Vec<Instant>,
    /// How it ended, each time.
    pub held_closed: Vec<HeldClose>,
    /// The test's own marks.
    pub marks: Vec<Mark>,
    /// Whether something was not recorded because it came after ten minutes.
    pub is_truncated: bool,
}

/// The end of a held connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldClose {
    /// When it was made.
    pub opened: Instant,
    /// When it ended.
    pub at: Instant,
    /// How.
    pub end: HeldEnd,
}

/// How a held connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldEnd {
    /// The server closed it.
    Fin,
    /// It was reset.
    Reset,
    /// Some other error, such as no answer for minutes.
    Failed,
}

/// A point of the test on the time line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: Instant,
    /// What happened.
    pub name: String,
}

// === impl Observation ===

impl Observation {
    /// The longest gap of TCP connects and HTTPS requests.
    #[must_use]
    pub fn max_gap(&self) -> Duration {
        self.tcp.max_gap().max(self.https.max_gap())
    }

    /// The longest gap of either after `at`; see [`Series::gap_after`].
    #[must_use]
    pub fn gap_after(&self, at: Instant) -> Duration {
        self.tcp.gap_after(at).max(self.https.gap_after(at))
    }

    /// How many TCP connects begun between `from` and `until` failed.
    #[must_use]
    pub fn failed_connects_between(&self, from: Instant, until: Instant) -> usize {
        self.tcp.failures_between(from, until)
    }

    /// See [`Sightings::two_holders`].
    #[must_use]
    pub fn two_holders(&self) -> Duration {
        self.answers.two_holders()
    }

    /// See [`Sightings::two_holders_after`].
    #[must_use]
    pub fn two_holders_after(&self, at: Instant) -> Duration {
        self.answers.two_holders_after(at)
    }

    /// See [`Sightings::holders_between`].
    #[must_use]
    pub fn holders_between(&self, from: Instant, until: Instant) -> BTreeSet<Mac> {
        self.answers.holders_between(from, until)
    }

    /// Who announced the VIP from `from` up to, but not at, `until`.
    #[must_use]
    pub fn announcers_between(&self, from: Instant, until: Instant) -> BTreeSet<Mac> {
        let during = self.announcements.iter().filter(|one| from <= one.at && one.at < until);
        during.map(|announcement| announcement.mac).collect()
    }

    /// The time of the first mark of this name.
    #[must_use]
    pub fn mark(&self, name: &str) -> Option<Instant> {
        self.marks.iter().find(|mark| mark.name == name).map(|mark| mark.at)
    }

    /// The figures, for a report.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(self)
    }
}
