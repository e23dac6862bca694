//! When to wake, why, and what is due then.

use std::time::Duration;

use crate::desired::Role;
use crate::time::Instant;

use super::{HELD_LATE_THRESHOLD, LATE_THRESHOLD, Machine, Phase, Reason};

/// Why the machine wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerReason {
    /// The right to the VIP is about to end.
    HoldUntil,
    /// A renewal is due, or the next try of one.
    Renew,
    /// The Lease may be taken.
    Claim,
    /// A candidate's next try.
    Attempt,
    /// The watch is silent: read.
    Poll,
    /// The release has taken long enough.
    ReleaseDeadline,
}

impl Machine {
    /// The next moment at which [`Machine::handle_timeout`] has something to do, and why. To be
    /// asked again after every `handle` and `handle_timeout`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, TimerReason)> {
        let next = self.attempts.next_start();
        let mut deadline = None;
        let mut consider = |at: Option<Instant>, reason: TimerReason| {
            if let Some(at) = at {
                deadline = Some(
                    deadline
                        .map_or((at, reason), |soonest: (Instant, _)| soonest.min((at, reason))),
                );
            }
        };
        match &self.phase {
            Phase::Starting => consider(Some(self.poll_at), TimerReason::Poll),
            Phase::Follower => {
                consider(self.claim_at(), TimerReason::Claim);
                consider(self.poll_due_at(), TimerReason::Poll);
            }
            Phase::Candidate(_) => consider(next, TimerReason::Attempt),
            Phase::Leader(term) => {
                consider(Some(self.decide_at(term)), TimerReason::HoldUntil);
                consider(next, TimerReason::Renew);
            }
            Phase::Held(_) => consider(next, TimerReason::Renew),
            Phase::Releasing(departure) => {
                consider(Some(departure.deadline), TimerReason::ReleaseDeadline);
                if departure.stage == super::LeaveStage::Writing {
                    consider(next, TimerReason::Attempt);
                }
            }
        }
        deadline
    }

    /// Does what is due. Each step may make another one due at once (a follower whose Lease is
    /// vacant becomes a candidate, which writes), never in a circle: every step sends a request,
    /// which moves the next start into the future, or leaves the phase for one closer to rest.
    pub(super) fn advance(&mut self, now: Instant) {
        for _ in 0..4 {
            let before = self.role();
            match self.role() {
                Role::Starting | Role::Follower => self.follow(now),
                Role::Candidate => self.pursue_lease(now),
                Role::Leader | Role::Held => self.lead(now),
                Role::Releasing => self.leave(now),
            }
            if self.role() == before {
                break;
            }
        }
        self.check_watch(now);
    }

    /// A held address needs a loop that runs: after a pause nobody knows what others did meanwhile.
    pub(super) fn note_lateness(&mut self, now: Instant) {
        let lateness = self.poll_timeout().map_or(Duration::ZERO, |(due, _)| now.since(due));
        match &self.phase {
            Phase::Held(_) if lateness > HELD_LATE_THRESHOLD => {
                self.step_down(Reason::LoopLate, now);
            }
            // The right ended while the process did not run: nothing may be kept.
            Phase::Leader(term)
                if lateness > LATE_THRESHOLD && now >= term.grounds.hold_until().0 =>
            {
                self.step_down(Reason::RenewDeadline, now);
            }
            Phase::Held(_)
            | Phase::Leader(_)
            | Phase::Starting
            | Phase::Follower
            | Phase::Candidate(_)
            | Phase::Releasing(_) => {}
        }
    }
}
