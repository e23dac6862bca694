//! A leader: renews, binds, and answers what happens to its Lease, its address and its health.

use std::time::Duration;

use crate::command::{Command, Direction, Notice, Reason, Transition, WriteKind};
use crate::event::LeaseFailure;
use crate::health::Fitness;
use crate::lease::Version;
use crate::server::ServerId;
use crate::time::Instant;
use crate::vip::{MacAddr, Vip};

use super::observe::Named;
use super::{Machine, Phase, Presence};

/// So many failed binds in a row (net tries each 250 ms) and the VIP is better off elsewhere.
const MAX_BIND_FAILURES: u32 = 4;

/// How long a node that could not bind is no candidate.
const BIND_COOLDOWN: Duration = Duration::from_secs(10);

impl Machine {
    pub(super) fn lead(&mut self, now: Instant) {
        if self.watch_right_out(now) || self.end_refuted_hold(now) {
            return;
        }
        if self.attempts.next_start().is_none_or(|at| at > now) {
            return;
        }
        let (must_read, is_held) = match &self.phase {
            Phase::Leader(term) => (term.must_read, false),
            Phase::Held(term) => (term.must_read, true),
            Phase::Starting | Phase::Follower | Phase::Candidate(_) | Phase::Releasing(_) => return,
        };
        let hanging: Vec<ServerId> = self.attempts.hanging(now).collect();
        for server in hanging {
            self.servers.penalise(server, now);
        }
        if must_read {
            self.send_read(now);
            return;
        }
        let base: Option<Version> = self.knowledge.version().cloned();
        if base.is_none() && is_held {
            self.step_down(Reason::LeaseGone, now);
            return;
        }
        if let Some(server) = self.next_server(now) {
            self.send_write(server, WriteKind::Renew, base, now);
        }
    }

    /// A renewal succeeded: the right is counted from the moment it was sent.
    pub(super) fn on_renewed(&mut self, sent: Instant, now: Instant) {
        let until = sent + self.settings.renew_deadline;
        let (term, was_held) = match &mut self.phase {
            Phase::Leader(term) => (term, false),
            Phase::Held(term) => (term, true),
            Phase::Starting | Phase::Follower | Phase::Candidate(_) | Phase::Releasing(_) => return,
        };
        if was_held && now >= until {
            return;
        }
        term.grounds.extend_lease(until);
        term.failed.clear();
        term.denied_at = None;
        term.refused = false;
        term.must_read = false;
        term.must_write = false;
        if sent > term.renewed_at {
            term.renewed_at = sent;
            // Written over the state that was known: as good an answer as the read that was asked for.
            if let Some(vip) = term.defend.take() {
                self.commands.push_back(Command::Defend { vip });
            }
            self.attempts.aim(sent + self.settings.retry_period);
        }
        if was_held {
            let term = term.clone();
            self.phase = Phase::Leader(term);
            self.since = now;
            self.notify(Notice::Regained, now);
        }
        self.consider_demotion(now);
    }

    /// The Lease changed, and not by a renewal of ours.
    pub(super) fn holder_observes(&mut self, now: Instant) {
        let is_held = matches!(self.phase, Phase::Held(_));
        match self.named() {
            Named::Other => self.step_down(Reason::LeaseTaken, now),
            Named::Twin if is_held => self.step_down(Reason::LeaseTaken, now),
            // Without a right the ordinary way leads back to it.
            Named::Nobody if is_held => self.step_down(Reason::LeaseGone, now),
            // Edited, emptied or deleted: while entitled, it is ours to write anew. So is our name
            // with another incarnation: a real twin would have waited for our right to end.
            Named::Us | Named::Twin | Named::Nobody => {
                if let Phase::Leader(term) | Phase::Held(term) = &mut self.phase {
                    term.must_read = false;
                    term.must_write = true;
                }
                self.notify(Notice::LeaseRestored, now);
                self.attempts.aim(now);
            }
        }
    }

    /// A read came back and the Lease is as it was known (or `holder_observes` saw the news).
    pub(super) fn holder_read(&mut self, now: Instant) {
        let is_held = matches!(self.phase, Phase::Held(_));
        let (Phase::Leader(term) | Phase::Held(term)) = &mut self.phase else {
            return;
        };
        if let Some(vip) = term.defend.take() {
            self.commands.push_back(Command::Defend { vip });
        }
        if !term.refused {
            // Who wrote it is known now.
            term.denied_at = None;
        }
        if std::mem::take(&mut term.must_read) {
            let next_renewal = term.renewed_at + self.settings.retry_period;
            let is_urgent = is_held || term.must_write;
            self.attempts.aim(if is_urgent { now } else { next_renewal.max(now) });
        }
    }

    pub(super) fn holder_failed(
        &mut self,
        server: ServerId,
        failure: LeaseFailure,
        is_outdated: bool,
        now: Instant,
    ) {
        let is_held = matches!(self.phase, Phase::Held(_));
        let (Phase::Leader(term) | Phase::Held(term)) = &mut self.phase else {
            return;
        };
        match failure {
            LeaseFailure::Unavailable | LeaseFailure::Refused | LeaseFailure::Timeout => {
                term.failed.insert(server);
            }
            LeaseFailure::Conflict if is_outdated => {}
            LeaseFailure::Conflict => {
                // Whether by another or by a lost answer of our own, the read tells. Until then the
                // right lasts as long as it lasts, and is not held for long beyond.
                term.must_read = true;
                term.denied_at.get_or_insert(now);
                self.attempts.aim(now);
            }
            LeaseFailure::NotFound => {
                term.must_read = true;
                term.denied_at.get_or_insert(now);
                self.attempts.aim(now);
            }
            LeaseFailure::Unauthorised
            | LeaseFailure::Forbidden
            | LeaseFailure::Invalid
            | LeaseFailure::NoCredentials
            | LeaseFailure::Malformed => {
                term.denied_at.get_or_insert(now);
                term.refused = true;
                if is_held {
                    self.step_down(Reason::Denied, now);
                }
            }
        }
    }

    pub(super) fn on_bound(
        &mut self,
        mac: MacAddr,
        bound_at: Instant,
        announced_at: Instant,
        now: Instant,
    ) {
        self.presence = Presence::Bound;
        self.mac = Some(mac);
        self.occupied = false;
        let Phase::Leader(term) = &mut self.phase else {
            return;
        };
        term.claim = crate::desired::Claim::Trusted;
        term.bind_failures = 0;
        let Some(start) = term.start.take() else {
            return;
        };
        self.report(Transition {
            direction: Direction::Acquired,
            from: start.from,
            to: Some(self.settings.node.clone()),
            reason: start.reason,
            detect: start.detect,
            lease: start.leased_at.since(start.decided_at),
            bind: bound_at.since(start.leased_at),
            announce: announced_at.since(bound_at),
        });
        self.consider_demotion(now);
    }

    pub(super) fn on_bind_failed(&mut self, now: Instant) {
        let Phase::Leader(term) = &mut self.phase else {
            return;
        };
        term.bind_failures += 1;
        if term.bind_failures >= MAX_BIND_FAILURES {
            self.claim_not_before = now + BIND_COOLDOWN;
            self.begin_departure(Reason::BindFailed, now);
        }
    }

    pub(super) fn on_occupied(&mut self, vip: Vip, mac: MacAddr, now: Instant) {
        if matches!(self.phase, Phase::Leader(_)) {
            self.occupied = true;
            self.notify(Notice::AddressOccupied { vip, mac }, now);
        }
    }

    /// Another machine claims the VIP: re-read the Lease; yield if it names another, else defend.
    pub(super) fn on_foreign_claim(&mut self, vip: Vip, mac: MacAddr, now: Instant) {
        if matches!(self.phase, Phase::Held(_)) {
            self.step_down(Reason::ForeignClaim, now);
            return;
        }
        let is_bound = self.presence == Presence::Bound;
        let Phase::Leader(term) = &mut self.phase else {
            return;
        };
        if !is_bound {
            return;
        }
        let is_former_holder = term.former_mac == Some(mac);
        if term.defend.replace(vip).is_none() {
            term.must_read = true;
            self.attempts.aim(now);
        }
        if !is_former_holder {
            self.notify(Notice::AddressConflict { vip, mac }, now);
        }
    }

    /// Health takes the VIP away only where another API server is ready (I4): with the balancer never,
    /// since connections go to that one from here.
    pub(super) fn consider_demotion(&mut self, now: Instant) {
        if self.settings.is_balanced {
            return;
        }
        let is_unfit = self.fitness() == Fitness::Unfit && now >= self.demote_not_before;
        if is_unfit && self.health.is_peer_better() && matches!(self.phase, Phase::Leader(_)) {
            self.begin_departure(Reason::Unhealthy, now);
        }
    }
}
