//! One backend: what is known of it, and its sessions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pintle_core::{Backend, BackendState};
use tokio::time::Instant;

use super::BackendStatus;
use crate::pick::Candidate;
use crate::session::Session;
use crate::shed::{MIN_AGE, Surplus};
use crate::totals::{CloseReason, ConnectFailure, ConnectFailures};

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) address: SocketAddr,
    pub(super) state: BackendState,
    /// Still in the list; one that is not stays until its last session ends.
    pub(super) is_listed: bool,
    suspect_until: Option<Instant>,
    /// Since when it has its state.
    since: Instant,
    /// The oldest first.
    sessions: BTreeMap<u64, Listed>,
    failures: ConnectFailures,
    surplus: Surplus,
}

/// A session, and what it had moved when shedding last looked.
#[derive(Debug)]
struct Listed {
    session: Arc<Session>,
    seen: u64,
}

// === impl Entry ===

impl Entry {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            state: BackendState::Unproven,
            is_listed: true,
            suspect_until: None,
            since: Instant::now(),
            sessions: BTreeMap::new(),
            failures: ConnectFailures::default(),
            surplus: Surplus::default(),
        }
    }

    pub(super) fn take(&mut self, backend: Backend) {
        self.is_listed = true;
        if self.state != backend.state {
            self.state = backend.state;
            self.since = Instant::now();
            self.suspect_until = None;
        }
    }

    pub(super) fn add(&mut self, number: u64, session: Arc<Session>) {
        self.sessions.insert(number, Listed { session, seen: 0 });
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.sessions.remove(&number);
    }

    pub(super) fn failed(&mut self, failure: ConnectFailure) {
        self.failures.count(failure);
    }

    pub(super) fn suspect(&mut self, until: Instant) {
        self.suspect_until = Some(until);
    }

    pub(super) fn is_of_use(&self) -> bool {
        self.is_listed || !self.sessions.is_empty()
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values().map(|listed| &*listed.session)
    }

    /// For how long it has been up; `None` when it is not.
    pub(super) fn served(&self, now: Instant) -> Option<Duration> {
        (self.state == BackendState::Up).then(|| now.duration_since(self.since))
    }

    /// Its sessions if it takes new ones; `None` when it does not.
    pub(super) fn load(&self, now: Instant) -> Option<usize> {
        let is_in_service =
            self.is_listed && self.state == BackendState::Up && !self.is_suspect(now);
        is_in_service.then_some(self.sessions.len())
    }

    /// Ends what has long been more than its share, at most `most`: the idle ones first, among equals the
    /// oldest. The answer is how many.
    pub(super) fn shed(&mut self, surplus: usize, most: usize, now: Instant) -> usize {
        let count = self.surplus.lasting(surplus).min(most);
        if surplus == 0 {
            return 0;
        }
        let mut idle = Vec::new();
        let mut busy = Vec::new();
        for listed in self.sessions.values_mut() {
            let session = &listed.session;
            let moved = session.moved();
            let pile = if moved == listed.seen { &mut idle } else { &mut busy };
            listed.seen = moved;
            let is_settled =
                session.opened_at().is_some_and(|at| now.duration_since(at) >= MIN_AGE);
            if is_settled && !session.is_ending() {
                pile.push(session);
            }
        }
        let ended = idle.into_iter().chain(busy).take(count);
        ended.inspect(|session| session.end(CloseReason::Shed)).count()
    }

    pub(super) fn candidate(&self, now: Instant) -> Candidate {
        Candidate {
            address: self.address,
            state: self.state,
            is_suspect: self.is_suspect(now),
            sessions: self.sessions.len(),
        }
    }

    pub(super) fn status(&self) -> BackendStatus {
        BackendStatus {
            address: self.address,
            state: self.state,
            sessions: self.sessions.len(),
            failures: self.failures,
        }
    }

    fn is_suspect(&self, now: Instant) -> bool {
        self.suspect_until.is_some_and(|until| now < until)
    }
}
