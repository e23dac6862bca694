//! The probing of one API server: when to ask, on which connection, and what to report.
//!
//! A break of the kept connection is news of its own, but a server may close idle connections as it
//! likes: the break counts as `Refused` only if the server cannot be asked right afterwards.

use std::future;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use pintle_core::{Event, ProbeOutcome, ProbePace, Server, ServerId};
use tokio::sync::{mpsc, watch};
use tokio::time::{self, Instant};

use crate::connection::Connection;
use crate::plan::Plan;
use crate::trust::Trust;

/// A refused connection is confirmed this much later: beyond a listener's momentary gap, far below
/// what a client of the VIP is promised.
const CONFIRM_DELAY: Duration = Duration::from_millis(20);

/// A server that ends every connection at once is probed ten times a second, not as fast as it can.
const BREAK_SPACING: Duration = Duration::from_millis(100);

/// Probes one API server for ever.
pub(crate) struct Target {
    server: Server,
    plan: Arc<Plan>,
    trust: watch::Receiver<Trust>,
    pace: watch::Receiver<ProbePace>,
    /// As the last wait saw it: a change during a probe must not be missed.
    seen_pace: ProbePace,
    events: mpsc::Sender<Event>,
    kept: Option<Connection>,
    last: Option<ProbeOutcome>,
    broke_at: Option<Instant>,
}

/// Why a probe is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// It is time, or something changed.
    Due,
    /// The kept connection broke.
    Broken,
}

// === impl Target ===

impl Target {
    pub(crate) fn new(
        server: Server,
        plan: Arc<Plan>,
        trust: watch::Receiver<Trust>,
        pace: watch::Receiver<ProbePace>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let seen_pace = *pace.borrow();
        Self {
            server,
            plan,
            trust,
            pace,
            seen_pace,
            events,
            kept: None,
            last: None,
            broke_at: None,
        }
    }

    /// Ends when a channel's other side is gone.
    pub(crate) async fn run(mut self) {
        let mut cause = Cause::Due;
        loop {
            let started_at = Instant::now();
            self.probe(cause).await;
            match self.wait(started_at).await {
                Some(next) => cause = next,
                None => return,
            }
        }
    }

    /// Waits for the next reason to probe, after a probe that began at `started_at`.
    async fn wait(&mut self, started_at: Instant) -> Option<Cause> {
        loop {
            if self.is_quickened() {
                return Some(Cause::Due);
            }
            let due = self.plan.next_due(started_at, self.server.id, self.seen_pace);
            tokio::select! {
                biased;
                () = ended(&mut self.kept) => {
                    self.kept = None;
                    if let Some(broke_at) = self.broke_at {
                        time::sleep_until(broke_at + BREAK_SPACING).await;
                    }
                    self.broke_at = Some(Instant::now());
                    return Some(Cause::Broken);
                }
                changed = self.trust.changed() => {
                    changed.ok()?;
                    self.kept = None;
                    return Some(Cause::Due);
                }
                changed = self.pace.changed() => changed.ok()?,
                () = time::sleep_until(due) => return Some(Cause::Due),
            }
        }
    }

    /// Whether this server has to answer anew since the pace was last looked at.
    fn is_quickened(&mut self) -> bool {
        let pace = *self.pace.borrow_and_update();
        let before = mem::replace(&mut self.seen_pace, pace);
        let is_peer = self.server.id != ServerId::LOCAL;
        is_peer && before == ProbePace::Relaxed && pace == ProbePace::Brisk
    }

    async fn probe(&mut self, cause: Cause) {
        let was_kept = self.kept.is_some();
        let mut is_broken = cause == Cause::Broken;
        let mut outcome = self.attempt().await;
        if was_kept && outcome == ProbeOutcome::Refused {
            // It broke under the request: the same news, the same second chance.
            is_broken = true;
            outcome = self.attempt().await;
        }
        if is_broken && !is_answer(&outcome) {
            self.report(ProbeOutcome::Refused).await;
        }
        let needs_confirmation = outcome == ProbeOutcome::Refused
            && !is_broken
            && self.last != Some(ProbeOutcome::Refused);
        self.report(outcome).await;
        if needs_confirmation {
            time::sleep(CONFIRM_DELAY).await;
            let outcome = self.attempt().await;
            self.report(outcome).await;
        }
    }

    /// Asks once, within the timeout: connect, TLS and answer together.
    async fn attempt(&mut self) -> ProbeOutcome {
        // Giving up drops the connection with the question: a hung server gets a new one next time.
        time::timeout(self.plan.timeout, self.ask()).await.unwrap_or(ProbeOutcome::Timeout)
    }

    async fn ask(&mut self) -> ProbeOutcome {
        let address = self.server.address;
        let mut connection = match self.kept.take() {
            Some(kept) => kept,
            None => {
                let trust = self.trust.borrow_and_update().clone();
                match Connection::open(address, &trust, &self.plan.server_name).await {
                    Ok(opened) => opened,
                    Err(outcome) => return outcome,
                }
            }
        };
        match connection.ask(self.plan.request(address)).await {
            Ok(answer) => {
                self.kept = answer.is_reusable.then_some(connection);
                answer.outcome
            }
            Err(outcome) => outcome,
        }
    }

    async fn report(&mut self, outcome: ProbeOutcome) {
        let (server, address) = (self.server.id, self.server.address);
        if self.last.as_ref() != Some(&outcome) {
            tracing::debug!(%server, %address, ?outcome, "Probe outcome changed");
        }
        self.last = Some(outcome.clone());
        let sent = self.events.send(Event::Probed { server, outcome });
        // A core that is this far behind has worse news in its queue than this outcome.
        if time::timeout(self.plan.timeout, sent).await.is_err() {
            tracing::trace!(%server, "Probe outcome dropped: the event queue is full");
        }
    }
}

/// Waits for the end of a kept connection; for ever if there is none.
async fn ended(kept: &mut Option<Connection>) {
    match kept {
        Some(connection) => connection.ended().await,
        None => future::pending().await,
    }
}

/// The server spoke HTTP, whatever it said.
const fn is_answer(outcome: &ProbeOutcome) -> bool {
    match outcome {
        ProbeOutcome::Ready
        | ProbeOutcome::Draining
        | ProbeOutcome::NotReady(_)
        | ProbeOutcome::Unauthorised => true,
        ProbeOutcome::Refused | ProbeOutcome::Timeout | ProbeOutcome::TlsFailed(_) => false,
    }
}
