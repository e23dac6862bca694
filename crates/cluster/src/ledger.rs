//! What this process remembers of Leases: its own last writes, and the last objects that it saw.
//!
//! Shared by the requests and the watch; each call is short and nothing waits inside the lock.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pintle_core::{AttemptId, LeaseView, LeaseWrite, Observed, Version};

use crate::clock::Stamps;
use crate::lease::{self, Identity, LeaseObject, NotALease};

/// Own writes that a read may still show. A right lasts 2.3 s and an attempt starts at most every
/// 300 ms, so the ninth write back entitles to nothing.
const MAX_WRITTEN: usize = 16;

/// Objects that a write may be based on: the one before the last is already too old to win.
const MAX_SEEN: usize = 4;

#[derive(Debug)]
pub(crate) struct Ledger {
    identity: Identity,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    stamps: Stamps,
    written: VecDeque<(i64, AttemptId)>,
    seen: VecDeque<(Version, LeaseObject)>,
}

// === impl Ledger ===

impl Ledger {
    pub(crate) fn new(identity: Identity) -> Self {
        Self { identity, entries: Mutex::default() }
    }

    pub(crate) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Makes the object for a write and remembers its stamp as that attempt's.
    pub(crate) fn compose(&self, attempt: AttemptId, write: &LeaseWrite) -> LeaseObject {
        let mut entries = self.entries();
        let stamp = entries.stamps.next();
        if entries.written.len() == MAX_WRITTEN {
            entries.written.pop_front();
        }
        entries.written.push_back((stamp.as_microsecond(), attempt));
        let seen = entries.seen.iter().find(|(version, _)| Some(version) == write.base.as_ref());
        lease::encode(&self.identity, write, seen.map(|(_, object)| object), stamp)
    }

    /// Reads an object that a server sent, and remembers it as a base for writes.
    pub(crate) fn learn(&self, object: LeaseObject) -> Result<LeaseView, NotALease> {
        let mut entries = self.entries();
        let view = lease::decode(&self.identity, &object, |stamp| {
            let own = entries.written.iter().find(|(sent, _)| *sent == stamp);
            own.map(|(_, attempt)| *attempt)
        })?;
        entries.seen.retain(|(version, _)| *version != view.version);
        if entries.seen.len() == MAX_SEEN {
            entries.seen.pop_front();
        }
        entries.seen.push_back((view.version.clone(), object));
        Ok(view)
    }

    /// The uid of the Lease as it was seen last; `None` before it was.
    pub(crate) fn uid(&self) -> Option<String> {
        self.entries().seen.back().map(|(version, _)| version.uid.clone())
    }

    /// As [`Ledger::learn`], for reads and watches.
    pub(crate) fn observe(&self, object: LeaseObject) -> Result<Observed, NotALease> {
        self.learn(object).map(Observed::Present)
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // A panic elsewhere leaves plain data behind: it stays usable.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
