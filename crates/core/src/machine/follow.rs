//! A follower: waits for the Lease to become vacant, on its own clock.

use std::time::Duration;

use crate::command::{Command, Reason};
use crate::desired::Claim;
use crate::election::attempts::{Attempt, Request};
use crate::health::Fitness;
use crate::lease::Observed;
use crate::server::ServerId;
use crate::time::Instant;

use super::observe::Named;
use super::{Candidacy, Machine, Phase, Presence, Stage};

/// After a vacancy of so many lease durations even an unfit node may take the Lease: a VIP on a node
/// whose API server is bad is better than none.
const UNFIT_FACTOR: u32 = 2;

/// A node whose own API server is bad lets every priority go first (5 ms a step, nine of them).
const TIE_DURATION: Duration = Duration::from_millis(50);

/// A watch is silent when nothing came for so many retry periods while renewals are due.
const SILENT_FACTOR: u32 = 2;

impl Machine {
    pub(super) fn follow(&mut self, now: Instant) {
        if self.shutdown {
            self.leave_if_unbound(now);
            return;
        }
        if self.claim_at().is_some_and(|at| at <= now) {
            self.become_candidate(now);
            return;
        }
        if self.poll_due_at().is_some_and(|at| at <= now) {
            self.poll_at = now + self.settings.retry_period;
            self.send_read(now);
        }
    }

    /// When this node may ask for the Lease; `None` while something forbids it altogether.
    pub(super) fn claim_at(&self) -> Option<Instant> {
        if self.shutdown || !self.carrier {
            return None;
        }
        let fitness = self.fitness();
        // Named already: nobody else has a right, so there is nothing to wait for.
        if self.named() == Named::Us && fitness != Fitness::Unfit {
            return Some(self.claim_not_before.max(self.knowledge.changed_at()));
        }
        let vacant_at = self.knowledge.vacant_at(self.settings.lease_duration)?;
        let mut at = vacant_at + self.settings.spread;
        if fitness != Fitness::Fit {
            at = at + self.settings.lease_duration * UNFIT_FACTOR;
        } else if self.health.fitness() == Fitness::Unfit {
            // With the balancer, the local API server only breaks ties.
            at = at + TIE_DURATION;
        }
        Some(at.max(self.claim_not_before))
    }

    /// When to read because the watch says nothing; `None` while it need not say anything.
    pub(super) fn poll_due_at(&self) -> Option<Instant> {
        let is_due = match self.knowledge.seen() {
            None => true,
            Some(Observed::Absent) => !self.watching,
            Some(Observed::Present(_)) => !self.watching || self.knowledge.holder().is_some(),
        };
        let silent_at = if self.watching {
            self.watch_heard_at + self.settings.retry_period * SILENT_FACTOR
        } else {
            self.poll_at
        };
        is_due.then(|| silent_at.max(self.poll_at))
    }

    /// A silent watch is opened anew elsewhere, again and again, but not faster than it can speak.
    pub(super) fn check_watch(&mut self, now: Instant) {
        let silence = self.settings.retry_period * SILENT_FACTOR;
        let is_silent = self.watching
            && self.knowledge.holder().is_some()
            && now.since(self.watch_heard_at) >= silence;
        if is_silent && now >= self.rewatch_at {
            self.rewatch_at = now + silence * 2;
            self.commands.push_back(Command::Rewatch);
        }
    }

    fn become_candidate(&mut self, now: Instant) {
        let is_us = self.named() == Named::Us;
        let reason = if is_us { Reason::Resumed } else { self.claim_reason() };
        // A release says that the Lease may be taken, and the write proves that it was the last word:
        // one round trip, as for the Lease that is ours. Anything else is read first.
        let stage = if is_us || reason == Reason::Released {
            Stage::Writing { base: self.knowledge.version().cloned(), server: None }
        } else {
            Stage::Reading
        };
        // One that is named already may find its address where it left it: a question would come after
        // the unbinding.
        let has_mac = self.knowledge.view().is_some_and(|view| view.mac.is_some());
        let is_trusted = if is_us { has_mac } else { self.knowledge.is_fresh(now) };
        let candidacy = Candidacy {
            reason,
            from: self.knowledge.last_holder().map(str::to_owned),
            decided_at: now,
            detect: now.since(self.knowledge.changed_at()),
            claim: if is_trusted { Claim::Trusted } else { Claim::Probe },
            stage,
            mute_since: now,
            is_slow: false,
            failed_writes: 0,
            blocked: false,
        };
        self.enter(Phase::Candidate(candidacy), now);
    }

    /// The server for the next attempt; comes round when all were tried.
    pub(super) fn next_server(&mut self, now: Instant) -> Option<ServerId> {
        let picked = self.servers.pick(self.attempts.tried(), now);
        if picked.is_some() {
            return picked;
        }
        self.attempts.come_round();
        self.servers.pick(self.attempts.tried(), now)
    }

    pub(super) fn send_read(&mut self, now: Instant) {
        let Some(server) = self.next_server(now) else {
            return;
        };
        let attempt = Attempt { server, sent: now, epoch: self.epoch, request: Request::Read };
        if let Some(attempt) = self.attempts.start(attempt) {
            self.commands.push_back(Command::ReadLease { attempt, server });
        }
    }

    pub(super) fn leave_if_unbound(&mut self, now: Instant) {
        match self.presence {
            Presence::Unbound => self.exit(now),
            Presence::Unknown | Presence::Bound => self.begin_departure(Reason::Shutdown, now),
        }
    }
}
