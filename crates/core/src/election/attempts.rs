//! Requests under way, hedged: while none is answered, the next one starts on another server.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::command::WriteKind;
use crate::lease::{AttemptId, Version};
use crate::server::ServerId;
use crate::time::Instant;

/// After this long without an answer the next server is asked as well. A Lease write takes 3 ms,
/// p99 13 ms; a server that hangs, or an etcd without a leader, is told from a busy one in 300 ms.
pub(crate) const HEDGE_INTERVAL: Duration = Duration::from_millis(300);

/// When an attempt is given up: cluster bounds one at 1 s and always answers; what is older lost its
/// adapter.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1500);

/// So many may be under way: 1.5 s / 300 ms, and a few fast failures beside them.
const MAX_UNDER_WAY: usize = 8;

/// So many may start within one hedge interval, whatever the answers: a server that says conflict
/// to every write must not be asked in a tight circle.
const MAX_STARTS: usize = 8;

/// How many of one's own writes are remembered, so that a read can show one whose answer was lost.
/// A write is under way for 1 s at the most, at the most 8 at a time; the rest is reserve.
const MAX_REMEMBERED: usize = 16;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Read,
    Write { kind: WriteKind, base: Option<Version> },
}

/// One request under way.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) server: ServerId,
    pub(crate) sent: Instant,
    pub(crate) epoch: u64,
    pub(crate) request: Request,
}

/// The write that a Lease was the result of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnWrite {
    pub(crate) id: AttemptId,
    pub(crate) sent: Instant,
    pub(crate) epoch: u64,
    pub(crate) kind: WriteKind,
}

/// Requests under way and the writes of the last while.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts {
    last_id: u64,
    under_way: BTreeMap<AttemptId, Attempt>,
    writes: Vec<OwnWrite>,
    /// Servers asked since the pursuit of the present aim began or came round.
    tried: BTreeSet<ServerId>,
    /// The starts of the last hedge interval, oldest first.
    starts: VecDeque<Instant>,
    next_start: Option<Instant>,
}

impl Attempts {
    /// A new aim: the next attempt may start at `at`, on any server.
    pub(crate) fn aim(&mut self, at: Instant) {
        self.tried.clear();
        self.next_start = Some(at);
    }

    /// The same aim, but at once.
    pub(crate) const fn hasten(&mut self, now: Instant) {
        self.next_start = Some(now);
    }

    /// The same aim, not before one hedge from now.
    pub(crate) fn defer(&mut self, now: Instant) {
        self.next_start = Some(now + HEDGE_INTERVAL);
    }

    /// When the next attempt is due, while there is an aim.
    pub(crate) const fn next_start(&self) -> Option<Instant> {
        self.next_start
    }

    pub(crate) const fn tried(&self) -> &BTreeSet<ServerId> {
        &self.tried
    }

    /// Every server was asked once: they are asked again.
    pub(crate) fn come_round(&mut self) {
        self.tried.clear();
    }

    pub(crate) fn is_write_under_way(&self, now: Instant) -> bool {
        self.under_way.values().any(|attempt| {
            matches!(attempt.request, Request::Write { .. })
                && now.since(attempt.sent) < ATTEMPT_TIMEOUT
        })
    }

    /// Notes a request that is sent now; `None` while too many are under way.
    pub(crate) fn start(&mut self, attempt: Attempt) -> Option<AttemptId> {
        let now = attempt.sent;
        self.next_start = Some(now + HEDGE_INTERVAL);
        self.under_way.retain(|_, old| now.since(old.sent) < ATTEMPT_TIMEOUT);
        self.starts.retain(|start| now.since(*start) < HEDGE_INTERVAL);
        if self.under_way.len() >= MAX_UNDER_WAY || self.starts.len() >= MAX_STARTS {
            return None;
        }
        self.last_id += 1;
        let id = AttemptId(self.last_id);
        if let Request::Write { kind, .. } = attempt.request {
            if self.writes.len() == MAX_REMEMBERED {
                self.writes.remove(0);
            }
            self.writes.push(OwnWrite { id, sent: now, epoch: attempt.epoch, kind });
        }
        self.tried.insert(attempt.server);
        self.starts.push_back(now);
        self.under_way.insert(id, attempt);
        Some(id)
    }

    /// The attempt that an answer belongs to; `None` for one that was given up.
    pub(crate) fn finish(&mut self, id: AttemptId) -> Option<Attempt> {
        self.under_way.remove(&id)
    }

    /// After a failure: at once on a server that was not asked yet, else when the hedge is due.
    pub(crate) fn retry(&mut self, has_untried: bool, now: Instant) {
        let pause = if has_untried { Duration::ZERO } else { HEDGE_INTERVAL };
        let at = self.starts.back().map_or(now, |start| *start + pause);
        self.next_start = Some(at.max(now));
    }

    /// One of this process's own writes, if it is remembered.
    pub(crate) fn write(&self, id: AttemptId) -> Option<OwnWrite> {
        self.writes.iter().copied().find(|write| write.id == id)
    }

    /// The servers that leave an attempt unanswered for longer than the hedge.
    pub(crate) fn hanging(&self, now: Instant) -> impl Iterator<Item = ServerId> + '_ {
        self.under_way
            .values()
            .filter(move |attempt| now.since(attempt.sent) >= HEDGE_INTERVAL)
            .map(|attempt| attempt.server)
    }
}
