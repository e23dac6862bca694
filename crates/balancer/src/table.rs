//! The backends and the sessions on each. One lock, held for a few comparisons.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pintle_core::config::Algorithm;
use pintle_core::{Backend, BackendState};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::pick::{Candidate, pick};
use crate::shed::{Crew, Shedding, surplus};
use crate::totals::{ConnectFailure, ConnectFailures};

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

#[derive(Debug)]
struct Entry {
    address: SocketAddr,
    state: BackendState,
    /// Still in the list; one that is not stays until its last session ends.
    is_listed: bool,
    suspect_until: Option<Instant>,
    /// Since when it has its state.
    since: Instant,
    /// The oldest first.
    sessions: BTreeMap<u64, Listed>,
    failures: ConnectFailures,
}

/// A session, and what it had moved when shedding last looked.
#[derive(Debug)]
struct Listed {
    session: Arc<Session>,
    seen: u64,
}

/// What the table and the session's own task share.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Cancelled when the session is to end.
    pub(crate) end: CancellationToken,
    /// To end for balance's sake, not because the backend is gone.
    pub(crate) is_shed: AtomicBool,
    /// Bytes, both ways.
    pub(crate) moved: AtomicU64,
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
        inner.backends.retain(|entry| entry.is_listed || !entry.sessions.is_empty());
        inner.end_dead(Instant::now());
    }

    /// A place at the best backend that is not in `tried`.
    pub(crate) fn seat(&self, client: IpAddr, tried: &[SocketAddr]) -> Option<Seat<'_>> {
        let now = Instant::now();
        let mut inner = self.lock();
        let candidates: Vec<Candidate> = inner
            .backends
            .iter()
            .filter(|entry| entry.is_listed)
            .map(|entry| entry.candidate(now))
            .collect();
        let chosen = pick(&candidates, tried, self.algorithm, client, inner.turn)?;
        let address = candidates.get(chosen)?.address;
        inner.turn = chosen + 1;
        let number = inner.next_session;
        inner.next_session += 1;
        let session = Arc::new(Session::default());
        let listed = Listed { session: Arc::clone(&session), seen: 0 };
        inner.entry(address).sessions.insert(number, listed);
        Some(Seat { table: self, number, address, session })
    }

    /// Looks again at what only time decides, and ends some sessions of backends that have more than their
    /// share; to be called once a second.
    pub(crate) fn tend(&self, shedding: &Shedding) {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.end_dead(now);
        let crews: Vec<Crew> = inner.backends.iter().map(|entry| entry.crew(now)).collect();
        for (entry, count) in inner.backends.iter_mut().zip(surplus(&crews, shedding)) {
            entry.shed(count);
        }
    }

    /// Whether any backend is left that is not in `tried`.
    pub(crate) fn has_untried(&self, tried: &[SocketAddr]) -> bool {
        self.lock().backends.iter().any(|entry| entry.is_listed && !tried.contains(&entry.address))
    }

    pub(crate) fn status(&self) -> Vec<BackendStatus> {
        let inner = self.lock();
        let statuses = inner.backends.iter().map(|entry| BackendStatus {
            address: entry.address,
            state: entry.state,
            sessions: entry.sessions.len(),
            failures: entry.failures,
        });
        statuses.collect()
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
        let is_up = |entry: &Entry| {
            entry.state == BackendState::Up && now.duration_since(entry.since) >= RECOVERY_DURATION
        };
        if self.backends.iter().any(is_up) {
            let down = self.backends.iter().filter(|entry| entry.state == BackendState::Down);
            let sessions = down.flat_map(|entry| entry.sessions.values());
            sessions.for_each(|listed| listed.session.end.cancel());
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

// === impl Entry ===

impl Entry {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            state: BackendState::Unproven,
            is_listed: true,
            suspect_until: None,
            since: Instant::now(),
            sessions: BTreeMap::new(),
            failures: ConnectFailures::default(),
        }
    }

    fn take(&mut self, backend: Backend) {
        self.is_listed = true;
        if self.state != backend.state {
            self.state = backend.state;
            self.since = Instant::now();
            self.suspect_until = None;
        }
    }

    fn crew(&self, now: Instant) -> Crew {
        let is_in_service = self.is_listed && self.state == BackendState::Up;
        let served = now.duration_since(self.since);
        Crew { served: is_in_service.then_some(served), sessions: self.sessions.len() }
    }

    /// Ends so many: the idle ones first, among equals the oldest.
    fn shed(&mut self, count: usize) {
        let mut idle = Vec::new();
        let mut busy = Vec::new();
        for listed in self.sessions.values_mut() {
            let moved = listed.session.moved.load(Relaxed);
            let pile = if moved == listed.seen { &mut idle } else { &mut busy };
            listed.seen = moved;
            if !listed.session.end.is_cancelled() {
                pile.push(&listed.session);
            }
        }
        for session in idle.into_iter().chain(busy).take(count) {
            session.is_shed.store(true, Relaxed);
            session.end.cancel();
        }
    }

    fn candidate(&self, now: Instant) -> Candidate {
        Candidate {
            address: self.address,
            state: self.state,
            is_suspect: self.suspect_until.is_some_and(|until| now < until),
            sessions: self.sessions.len(),
        }
    }
}

// === impl Seat ===

impl Seat<'_> {
    /// The backend could not be reached, or did not answer.
    pub(crate) fn suspect(&self, failure: ConnectFailure) {
        let until = Instant::now() + SUSPICION_DURATION;
        let mut inner = self.table.lock();
        let entry = inner.entry(self.address);
        entry.suspect_until = Some(until);
        entry.failures.count(failure);
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut inner = self.table.lock();
        inner.entry(self.address).sessions.remove(&self.number);
        inner.backends.retain(|entry| entry.is_listed || !entry.sessions.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn backend(number: u8, state: BackendState) -> Backend {
        Backend { address: SocketAddr::from(([192, 0, 2, number], 6443)), state }
    }

    fn table(backends: &[Backend]) -> Table {
        let table = Table::new(Algorithm::LeastConnections);
        table.follow(backends);
        table
    }

    #[test]
    fn sessions_spread_evenly_and_give_their_seats_back() {
        let table = table(&[1, 2, 3].map(|number| backend(number, BackendState::Up)));
        let seats: Vec<Seat<'_>> = (0..9).filter_map(|_| table.seat(CLIENT, &[])).collect();
        assert!(table.status().iter().all(|backend| backend.sessions == 3), "{:?}", table.status());
        drop(seats);
        assert!(table.status().iter().all(|backend| backend.sessions == 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_backend_s_sessions_end_if_another_is_up() {
        let table = table(&[backend(1, BackendState::Up)]);
        let first = table.seat(CLIENT, &[]).unwrap();
        table.follow(&[backend(1, BackendState::Down), backend(2, BackendState::Down)]);
        assert!(!first.session.end.is_cancelled(), "all are silent: it may be us");
        table.follow(&[backend(1, BackendState::Down), backend(2, BackendState::Up)]);
        assert!(!first.session.end.is_cancelled(), "it may be next");
        tokio::time::advance(RECOVERY_DURATION).await;
        table.tend(&Shedding { rate: 0, floor: 0 });
        assert!(first.session.end.is_cancelled());
        let second = table.seat(CLIENT, &[]).unwrap();
        table.follow(&[backend(1, BackendState::Up), backend(2, BackendState::Draining)]);
        assert!(!second.session.end.is_cancelled(), "what drains keeps its sessions");
    }

    #[test]
    fn one_that_left_the_list_keeps_its_sessions_and_gets_none() {
        let table = table(&[backend(1, BackendState::Up)]);
        let old = table.seat(CLIENT, &[]).unwrap();
        table.follow(&[backend(2, BackendState::Draining)]);
        assert!(!old.session.end.is_cancelled());
        assert_eq!(table.seat(CLIENT, &[]).unwrap().address, backend(2, BackendState::Up).address);
        assert!(!table.has_untried(&[backend(2, BackendState::Up).address]));
        drop(old);
        assert_eq!(table.status().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn suspicion_ends_by_itself_and_with_news() {
        let up = [1, 2].map(|number| backend(number, BackendState::Up));
        let table = table(&up);
        let mut seats = vec![table.seat(CLIENT, &[]).unwrap()];
        seats[0].suspect(ConnectFailure::Refused);
        seats.extend((0..3).map(|_| table.seat(CLIENT, &[]).unwrap()));
        assert!(seats[1..].iter().all(|seat| seat.address != seats[0].address));
        tokio::time::advance(SUSPICION_DURATION).await;
        assert_eq!(table.seat(CLIENT, &[]).unwrap().address, seats[0].address);
    }
}
