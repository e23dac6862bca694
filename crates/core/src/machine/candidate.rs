//! A candidate: read that nothing changed, then write over exactly that.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::command::{Command, LeaseWrite, WriteKind};
use crate::desired::Claim;
use crate::election::attempts::{Attempt, HEDGE_INTERVAL, Request};
use crate::event::LeaseFailure;
use crate::fence::Grounds;
use crate::health::Fitness;
use crate::lease::Version;
use crate::server::ServerId;
use crate::time::Instant;
use crate::vip::MacAddr;

use super::observe::Named;
use super::{Candidacy, Machine, Phase, Presence, Reason, Stage, Start, Term};

/// Without a read that works for this long nobody can write, the incumbent neither: it is let go
/// first when that ends. Longer than one hedged round over three servers (0.9 s).
const MUTE_DURATION: Duration = Duration::from_secs(1);

/// The next server is asked after each: one that is bad must not cost the incumbent's time.
const MAX_FAILED_WRITES: u32 = 3;

/// From one attempt to create a Lease in a namespace that is not there to the next.
const CREATE_INTERVAL: Duration = Duration::from_secs(2);

/// A term that an unfit node began because nobody else did lasts at least so many lease durations, so
/// that it does not come and go: half a minute by default.
const UNFIT_TERM_FACTOR: u32 = 12;

/// How long the incumbent is let go first, from the first read that works again: it tries each
/// 300 ms, one attempt takes up to 1 s.
const GRACE_DURATION: Duration = Duration::from_millis(1500);

impl Machine {
    pub(super) fn pursue_lease(&mut self, now: Instant) {
        let is_due = self.attempts.next_start().is_some_and(|at| at <= now);
        let Phase::Candidate(candidacy) = &mut self.phase else {
            return;
        };
        // One that is named already is the incumbent: nobody is to be let go first.
        let is_resuming = candidacy.reason == Reason::Resumed;
        if !is_resuming && now.since(candidacy.mute_since) >= MUTE_DURATION {
            candidacy.blocked = true;
        }
        if self.shutdown || !self.carrier {
            // A write that is under way may still succeed: its answer is waited for, so that the
            // Lease is not left in the name of a node that will not use it.
            if self.attempts.is_write_under_way(now) {
                self.attempts.defer(now);
            } else {
                self.enter(Phase::Follower, now);
            }
            return;
        }
        if !is_due {
            return;
        }
        match &mut candidacy.stage {
            Stage::Reading => self.send_read(now),
            Stage::Writing { base, server } => {
                // The take-over's write goes to the server that answered the read; a write that
                // hangs is asked of the others.
                let (base, first) = (base.clone(), server.take());
                let kind = if is_resuming { WriteKind::Renew } else { WriteKind::Acquire };
                if let Some(server) = first.or_else(|| self.next_server(now)) {
                    self.send_write(server, kind, base, now);
                }
            }
        }
    }

    /// A read that came back: it works, and (being handled by `observe` first) nothing changed.
    pub(super) fn on_read(&mut self, attempt: &Attempt, now: Instant) {
        if attempt.epoch != self.epoch {
            return;
        }
        match &mut self.phase {
            Phase::Candidate(candidacy) if candidacy.stage == Stage::Reading => {
                if now.since(attempt.sent) > HEDGE_INTERVAL && !candidacy.is_slow {
                    // Old: something may have changed meanwhile, so ask again at once. Once: where every
                    // read is slow, the write's precondition has to find it.
                    candidacy.is_slow = true;
                    candidacy.mute_since = now;
                    self.attempts.hasten(now);
                } else if candidacy.blocked {
                    self.claim_not_before = now + GRACE_DURATION;
                    self.enter(Phase::Follower, now);
                } else {
                    let base = self.knowledge.version().cloned();
                    candidacy.stage = Stage::Writing { base, server: Some(attempt.server) };
                    candidacy.mute_since = now;
                    self.attempts.hasten(now);
                }
            }
            Phase::Leader(_) | Phase::Held(_) => self.holder_read(now),
            Phase::Releasing(departure) => departure.must_read = false,
            Phase::Candidate(_) | Phase::Starting | Phase::Follower => {}
        }
    }

    /// The Lease changed under a candidate: it is a follower again and looks at it afresh.
    pub(super) fn candidate_observes(&mut self, now: Instant) {
        self.enter(Phase::Follower, now);
    }

    pub(super) fn candidate_failed(
        &mut self,
        attempt: &Attempt,
        failure: LeaseFailure,
        now: Instant,
    ) {
        let Phase::Candidate(candidacy) = &mut self.phase else {
            return;
        };
        if attempt.request == Request::Read {
            return;
        }
        // The API is read and cannot be written (etcd's alarm, a webhook): not by the incumbent either.
        if failure.is_api_loss() && candidacy.reason != Reason::Resumed {
            candidacy.failed_writes += 1;
            candidacy.blocked |= candidacy.failed_writes >= MAX_FAILED_WRITES;
        }
        let is_create = matches!(attempt.request, Request::Write { base: None, .. });
        match failure {
            // A create finds nothing only where the namespace is missing: that takes a while to mend.
            LeaseFailure::NotFound if is_create => {
                self.claim_not_before = now + CREATE_INTERVAL;
                self.enter(Phase::Follower, now);
            }
            // Conflict: somebody was faster, or an own write was. Timeout and 5xx: it may have been
            // done. The read tells, and shows an own write as its success.
            LeaseFailure::Conflict
            | LeaseFailure::NotFound
            | LeaseFailure::Timeout
            | LeaseFailure::Unavailable => candidacy.stage = Stage::Reading,
            LeaseFailure::Refused if candidacy.blocked => candidacy.stage = Stage::Reading,
            // Not done: the next server is asked the same.
            LeaseFailure::Refused
            | LeaseFailure::Unauthorised
            | LeaseFailure::Forbidden
            | LeaseFailure::Invalid
            | LeaseFailure::NoCredentials
            | LeaseFailure::Malformed => {}
        }
    }

    /// An own write over the state that was known succeeded: this node is the leader, from the
    /// moment that the write was sent.
    pub(super) fn become_leader(&mut self, sent: Instant, now: Instant) {
        let hold_until = sent + self.settings.renew_deadline;
        let Phase::Candidate(candidacy) = &self.phase else {
            return;
        };
        if now >= hold_until {
            self.enter(Phase::Follower, now);
            return;
        }
        let Candidacy { reason, from, decided_at, detect, claim, .. } = candidacy.clone();
        let former_mac = match claim {
            Claim::Trusted => self.knowledge.view().and_then(|view| view.mac),
            Claim::Probe => None,
        };
        let term = Term {
            grounds: Grounds::new(hold_until),
            claim,
            former_mac,
            must_read: false,
            must_write: false,
            defend: None,
            failed: BTreeSet::new(),
            denied_at: None,
            refused: false,
            bind_failures: 0,
            renewed_at: sent,
            start: Some(Start { from, reason, detect, decided_at, leased_at: now }),
        };
        self.yielded = false;
        self.occupied = false;
        if self.fitness() == Fitness::Unfit {
            // Nobody better has wanted it: to give it up at once would only take it from everybody.
            self.demote_not_before = now + self.settings.lease_duration * UNFIT_TERM_FACTOR;
        }
        self.enter(Phase::Leader(term), now);
        self.attempts.aim(sent + self.settings.retry_period);
        if self.shutdown {
            self.begin_departure(Reason::Shutdown, now);
        } else if !self.carrier {
            self.begin_departure(Reason::LinkDown, now);
        } else {
            // From here on net may bind at any moment: only its word says what is bound.
            self.fresh = false;
            self.presence = Presence::Unknown;
        }
    }

    pub(super) fn send_write(
        &mut self,
        server: ServerId,
        kind: WriteKind,
        base: Option<Version>,
        now: Instant,
    ) {
        let request = Request::Write { kind, base: base.clone() };
        let attempt = Attempt { server, sent: now, epoch: self.epoch, request };
        let Some(attempt) = self.attempts.start(attempt) else {
            return;
        };
        let duration = match kind {
            WriteKind::Acquire | WriteKind::Renew => self.settings.lease_duration,
            WriteKind::Release => Duration::ZERO,
        };
        let known = self.knowledge.view().map_or(0, |view| view.transitions.max(0));
        let transitions = match (kind, self.named()) {
            (WriteKind::Acquire, Named::Other | Named::Twin | Named::Nobody) if base.is_some() => {
                known.saturating_add(1)
            }
            (WriteKind::Acquire | WriteKind::Renew | WriteKind::Release, _) => known,
        };
        let write = LeaseWrite { base, kind, duration, transitions, mac: self.mac_to_publish() };
        self.commands.push_back(Command::WriteLease { attempt, server, write });
    }

    /// The published hardware address says that its holder had bound the VIP by right. A holder that
    /// took over from such a one passes it on until it has bound, so that the next one may trust it.
    fn mac_to_publish(&self) -> Option<MacAddr> {
        if self.presence == Presence::Bound {
            return self.mac;
        }
        let is_trusted = match &self.phase {
            Phase::Candidate(candidacy) => candidacy.claim == Claim::Trusted,
            Phase::Leader(term) | Phase::Held(term) => term.claim == Claim::Trusted,
            // It was bound when the departure began, or the Lease says what was known then.
            Phase::Releasing(_) => true,
            Phase::Starting | Phase::Follower => false,
        };
        if is_trusted { self.knowledge.view().and_then(|view| view.mac) } else { None }
    }
}
