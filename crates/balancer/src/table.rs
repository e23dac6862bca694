//! The backends and the sessions on each. One lock, held for a few comparisons.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pintle_core::config::Algorithm;
use pintle_core::{Backend, BackendState};
use tokio::time::Instant;

use self::entry::Entry;
use crate::pick::{Candidate, pick};
use crate::session::Session;
use crate::shed::{Shedding, surplus};
use crate::totals::{CloseReason, ConnectFailure, ConnectFailures};

mod entry;
#[cfg(test)]
mod tests;

/// A backend that a session could not reach waits behind its equals for so long. Two probes have
/// spoken by then.
const SUSPICION_DURATION: Duration = Duration::from_secs(1);

/// Backends that hung together come back one by one: the first of them does not end the sessions of the
/// others before they had their two probes.
const RECOVERY_DURATION: Duration = Duration::from_secs(2);

/// The backends, and who uses which.
#[derive(Debug)]
pub(crate) struct Table {
    algorithm: Algorithm,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    backends: Vec<Entry>,
    turn: usize,
    next_session: u64,
}

/// A session's place at a backend, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    table: &'a Table,
    number: u64,
    pub(crate) address: SocketAddr,
    pub(crate) session: Arc<Session>,
}

/// A backend, for `/status` and the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendStatus {
    /// Where it listens.
    pub address: SocketAddr,
    /// What may be done with it.
    pub state: BackendState,
    /// Connections that it has from here.
    pub sessions: usize,
    /// Connections that it did not get because it failed.
    pub failures: ConnectFailures,
}

// === impl Table ===

impl Table {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, inner: Mutex::default() }
    }

    /// Takes in what is known of the backends.
    pub(crate) fn follow(&self, latest: &[Backend]) {
        let mut inner = self.lock();
        for entry in &mut inner.backends {
            entry.is_listed = false;
        }
        for backend in latest {
            inner.entry(backend.address).take(*backend);
        }
        inner.backends.retain(Entry::is_of_use);
        inner.end_dead(Instant::now());
    }

    /// A place at the best backend that is not in `tried`.
    pub(crate) fn seat(&self, client: IpAddr, tried: &[SocketAddr]) -> Option<Seat<'_>> {
        let now = Instant::now();
        let mut inner = self.lock();
        let listed = inner.backends.iter().filter(|entry| entry.is_listed);
        let candidates: Vec<Candidate> = listed.map(|entry| entry.candidate(now)).collect();
        let chosen = pick(&candidates, tried, self.algorithm, client, inner.turn)?;
        let address = candidates.get(chosen)?.address;
        inner.turn = chosen + 1;
        let number = inner.next_session;
        inner.next_session += 1;
        let session = Arc::new(Session::default());
        inner.entry(address).add(number, Arc::clone(&session));
        Some(Seat { table: self, number, address, session })
    }

    /// Looks again at what only time decides, and ends some sessions of backends that have long had more than
    /// their share; to be called once a second.
    pub(crate) fn tend(&self, shedding: &Shedding) {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.end_dead(now);
        if shedding.rate == 0 {
            return;
        }
        let loads: Vec<Option<usize>> =
            inner.backends.iter().map(|entry| entry.load(now)).collect();
        let mut left = shedding.rate;
        for (entry, surplus) in inner.backends.iter_mut().zip(surplus(&loads, shedding.floor)) {
            left -= entry.shed(surplus, left, now);
        }
    }

    /// Those could not be reached, or did not answer what another answered.
    pub(crate) fn suspect(&self, addresses: &[SocketAddr]) {
        if addresses.is_empty() {
            return;
        }
        let until = Instant::now() + SUSPICION_DURATION;
        let mut inner = self.lock();
        let suspects = inner.backends.iter_mut().filter(|entry| addresses.contains(&entry.address));
        suspects.for_each(|entry| entry.suspect(until));
    }

    /// Ends every session.
    pub(crate) fn end_all(&self, why: CloseReason) {
        let inner = self.lock();
        inner.backends.iter().flat_map(Entry::sessions).for_each(|session| session.end(why));
    }

    /// Whether any backend is left that is not in `tried`.
    pub(crate) fn has_untried(&self, tried: &[SocketAddr]) -> bool {
        self.lock().backends.iter().any(|entry| entry.is_listed && !tried.contains(&entry.address))
    }

    pub(crate) fn status(&self) -> Vec<BackendStatus> {
        self.lock().backends.iter().map(Entry::status).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics under it, and every state of it is a good one.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    /// Ends the sessions of backends that are down, if another has been up for a while: when all of them are
    /// silent, it may well be us.
    fn end_dead(&self, now: Instant) {
        let is_refuge = |entry: &Entry| {
            entry.is_listed && entry.served(now).is_some_and(|served| served >= RECOVERY_DURATION)
        };
        if self.backends.iter().any(is_refuge) {
            let down = self.backends.iter().filter(|entry| entry.state == BackendState::Down);
            let sessions = down.flat_map(Entry::sessions);
            sessions.for_each(|session| session.end(CloseReason::BackendDown));
        }
    }

    fn entry(&mut self, address: SocketAddr) -> &mut Entry {
        let known = self.backends.iter().position(|entry| entry.address == address);
        let index = known.unwrap_or_else(|| {
            self.backends.push(Entry::new(address));
            self.backends.len() - 1
        });
        &mut self.backends[index]
    }
}

// === impl Seat ===

impl Seat<'_> {
    /// The backend could not be reached, or did not answer.
    pub(crate) fn failed(&self, failure: ConnectFailure) {
        self.table.lock().entry(self.address).failed(failure);
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut inner = self.table.lock();
        inner.entry(self.address).remove(self.number);
        inner.backends.retain(Entry::is_of_use);
    }
}
