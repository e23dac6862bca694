//! Where the judge's threads write, each list with its bound.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::holders::{Announcement, Sighting, Sightings};
use super::observation::{HeldClose, Mark, Observation};
use super::series::{Attempt, Series};

/// Ten minutes of one sample each 5 ms: 5 MB for the largest of the lists.
const MAX_SAMPLES: usize = 10 * 60 * 200;
/// A burst of a move is about ten frames; ten minutes of one move a second fit.
const MAX_ANNOUNCEMENTS: usize = 10_000;
/// Ten minutes of a held connection that ends each 60 ms.
const MAX_CLOSES: usize = 10_000;
/// Far more than a test has steps.
pub(super) const MAX_MARKS: usize = 1_000;

/// What was recorded; shared by the judge's threads.
#[derive(Debug)]
pub(super) struct Timeline {
    vip: IpAddr,
    began: Instant,
    tcp: Bounded<Attempt>,
    https: Bounded<Attempt>,
    answers: Bounded<Sighting>,
    announcements: Bounded<Announcement>,
    held_opens: Bounded<Instant>,
    held_closed: Bounded<HeldClose>,
    marks: Mutex<Vec<Mark>>,
}

/// A list that stops growing at its limit, and knows that it did.
#[derive(Debug)]
pub(super) struct Bounded<T> {
    limit: usize,
    items: Mutex<(Vec<T>, bool)>,
}

// === impl Timeline ===

impl Timeline {
    pub(super) fn new(vip: IpAddr) -> Self {
        Self {
            vip,
            began: Instant::now(),
            tcp: Bounded::new(MAX_SAMPLES),
            https: Bounded::new(MAX_SAMPLES),
            answers: Bounded::new(2 * MAX_SAMPLES), // Two holders answer twice.
            announcements: Bounded::new(MAX_ANNOUNCEMENTS),
            held_opens: Bounded::new(MAX_CLOSES),
            held_closed: Bounded::new(MAX_CLOSES),
            marks: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn tcp(&self, attempt: Attempt) {
        self.tcp.push(attempt);
    }

    pub(super) fn https(&self, attempt: Attempt) {
        self.https.push(attempt);
    }

    pub(super) fn answer(&self, sighting: Sighting) {
        self.answers.push(sighting);
    }

    pub(super) fn announcement(&self, announcement: Announcement) {
        self.announcements.push(announcement);
    }

    pub(super) fn held_open(&self, at: Instant) {
        self.held_opens.push(at);
    }

    pub(super) fn held_closed(&self, close: HeldClose) {
        self.held_closed.push(close);
    }

    pub(super) fn marks(&self) -> MutexGuard<'_, Vec<Mark>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies what is there. Without `ended` a series ends with its latest attempt: those under way
    /// are neither successes nor a gap yet.
    pub(super) fn observe(&self, ended: Option<Instant>) -> Observation {
        let (tcp, tcp_full) = self.tcp.copy();
        let (https, https_full) = self.https.copy();
        let (answers, answers_full) = self.answers.copy();
        let (announcements, announcements_full) = self.announcements.copy();
        let (held_opened, _) = self.held_opens.copy();
        let (held_closed, held_full) = self.held_closed.copy();
        Observation {
            vip: self.vip,
            began: self.began,
            ended: ended.unwrap_or_else(Instant::now),
            tcp: Series::new(tcp, self.began, ended),
            https: Series::new(https, self.began, ended),
            answers: Sightings::new(answers),
            announcements,
            held_opened,
            held_closed,
            marks: self.marks().clone(),
            is_truncated: [tcp_full, https_full, answers_full, announcements_full, held_full]
                .contains(&true),
        }
    }
}

// === impl Bounded ===

impl<T: Clone> Bounded<T> {
    const fn new(limit: usize) -> Self {
        Self { limit, items: Mutex::new((Vec::new(), false)) }
    }

    fn push(&self, item: T) {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if items.0.len() < self.limit {
            items.0.push(item);
        } else {
            items.1 = true;
        }
    }

    fn copy(&self) -> (Vec<T>, bool) {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
