//! The ways out: unbind, then release; or, when the right is gone, just unbind.

use std::time::Duration;

use crate::command::{Command, Direction, Reason, Transition, WriteKind};
use crate::event::LeaseFailure;
use crate::time::Instant;

use super::observe::Named;
use super::{Departure, LeaveStage, Loss, Machine, Phase, Presence};

/// A release that takes longer is given up: the Lease runs out by itself 2.5 s after the last
/// renewal, and a stopping process must end.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

impl Machine {
    /// The right is gone: unbind, and be a follower. Nothing is written.
    pub(super) fn step_down(&mut self, reason: Reason, now: Instant) {
        self.begin_epoch();
        let detect = match &self.phase {
            Phase::Leader(term) | Phase::Held(term) => now.since(term.renewed_at),
            Phase::Starting | Phase::Follower | Phase::Candidate(_) | Phase::Releasing(_) => {
                Duration::ZERO
            }
        };
        self.yielded = matches!(reason, Reason::LeaseTaken | Reason::ForeignClaim);
        self.note_loss(reason, detect, now);
        self.enter(Phase::Follower, now);
    }

    /// A planned way out, or one that health or the link asks for: unbind first, then release.
    pub(super) fn begin_departure(&mut self, reason: Reason, now: Instant) {
        self.begin_epoch();
        let failing_since = self.health.failing_since().filter(|_| reason == Reason::Unhealthy);
        let detect = failing_since.map_or(Duration::ZERO, |at| now.since(at));
        self.yielded = false;
        self.note_loss(reason, detect, now);
        let is_unbound = self.presence == Presence::Unbound;
        let departure = Departure {
            stage: if is_unbound { LeaveStage::Writing } else { LeaveStage::Unbinding },
            deadline: now + RELEASE_TIMEOUT,
            unbound_at: is_unbound.then_some(now),
            must_read: false,
        };
        self.enter(Phase::Releasing(departure), now);
    }

    pub(super) fn leave(&mut self, now: Instant) {
        let Phase::Releasing(departure) = &self.phase else {
            return;
        };
        if now >= departure.deadline {
            self.finish_departure(now);
            return;
        }
        if departure.stage == LeaveStage::Unbinding {
            return;
        }
        if self.named() != Named::Us {
            self.finish_departure(now);
            return;
        }
        let must_read = departure.must_read;
        if self.attempts.next_start().is_none_or(|at| at > now) {
            return;
        }
        if must_read {
            self.send_read(now);
            return;
        }
        let base = self.knowledge.version().cloned();
        if let Some(server) = self.next_server(now) {
            self.send_write(server, WriteKind::Release, base, now);
        }
    }

    pub(super) fn on_unbound(&mut self, now: Instant) {
        self.presence = Presence::Unbound;
        match &mut self.phase {
            Phase::Releasing(departure) => {
                if departure.stage == LeaveStage::Unbinding {
                    departure.stage = LeaveStage::Writing;
                    departure.unbound_at = Some(now);
                    self.attempts.aim(now);
                }
            }
            // net enforces `hold_until` by itself and may be a moment ahead of this machine.
            Phase::Held(_) => self.step_down(Reason::RenewDeadline, now),
            Phase::Leader(_) | Phase::Starting | Phase::Follower | Phase::Candidate(_) => {
                self.report_loss(None, now);
            }
        }
    }

    /// The Lease changed while it is being given back.
    pub(super) fn leaver_observes(&mut self, now: Instant) {
        if let Phase::Releasing(departure) = &mut self.phase {
            departure.must_read = false;
        }
        self.attempts.aim(now);
    }

    pub(super) fn leaver_failed(&mut self, failure: LeaseFailure, is_outdated: bool, now: Instant) {
        let Phase::Releasing(departure) = &mut self.phase else {
            return;
        };
        match failure {
            LeaseFailure::Conflict | LeaseFailure::NotFound if !is_outdated => {
                departure.must_read = true;
                self.attempts.aim(now);
            }
            LeaseFailure::Conflict
            | LeaseFailure::NotFound
            | LeaseFailure::Unavailable
            | LeaseFailure::Refused
            | LeaseFailure::Timeout
            | LeaseFailure::Unauthorised
            | LeaseFailure::Forbidden
            | LeaseFailure::Invalid
            | LeaseFailure::NoCredentials
            | LeaseFailure::Malformed => {}
        }
    }

    fn finish_departure(&mut self, now: Instant) {
        let Phase::Releasing(departure) = &self.phase else {
            return;
        };
        let leased = departure.unbound_at.map(|unbound_at| now.since(unbound_at));
        let is_unbound = self.presence == Presence::Unbound;
        self.begin_epoch();
        if is_unbound {
            self.report_loss(leased, now);
        }
        if self.shutdown {
            self.exit(now);
        } else {
            self.enter(Phase::Follower, now);
        }
    }

    pub(super) fn exit(&mut self, now: Instant) {
        // The address that could not be taken off is the kernel's.
        self.report_loss(None, now);
        self.since = now;
        self.begin_epoch();
        self.phase = Phase::Releasing(Departure {
            stage: LeaveStage::Unbinding,
            // For ever: nothing is to be done any more.
            deadline: Instant::from_nanos(u64::MAX),
            unbound_at: Some(now),
            must_read: false,
        });
        self.commands.push_back(Command::Exit);
    }

    pub(super) fn on_link(&mut self, carrier: bool, now: Instant) {
        self.carrier = carrier;
        if carrier {
            return;
        }
        match self.phase {
            Phase::Leader(_) => self.begin_departure(Reason::LinkDown, now),
            Phase::Held(_) => self.step_down(Reason::LinkDown, now),
            Phase::Starting | Phase::Follower | Phase::Candidate(_) | Phase::Releasing(_) => {}
        }
    }

    pub(super) fn on_shutdown(&mut self, now: Instant) {
        if self.shutdown {
            return;
        }
        self.shutdown = true;
        match self.phase {
            Phase::Leader(_) | Phase::Starting => self.begin_departure(Reason::Shutdown, now),
            Phase::Held(_) => self.step_down(Reason::Shutdown, now),
            // The rest is due in `advance`.
            Phase::Follower | Phase::Candidate(_) | Phase::Releasing(_) => {}
        }
    }

    fn note_loss(&mut self, reason: Reason, detect: Duration, now: Instant) {
        if self.acquired {
            self.loss = Some(Loss { reason, decided_at: now, detect });
        }
    }

    fn report_loss(&mut self, leased: Option<Duration>, now: Instant) {
        let Some(loss) = self.loss.take() else { return };
        let leased = leased.unwrap_or_default();
        let to = match self.named() {
            Named::Other | Named::Twin => self.knowledge.holder().map(str::to_owned),
            Named::Us | Named::Nobody => None,
        };
        self.report(Transition {
            direction: Direction::Lost,
            from: Some(self.settings.node.clone()),
            to,
            reason: loss.reason,
            detect: loss.detect,
            lease: leased,
            bind: now.since(loss.decided_at).saturating_sub(leased),
            announce: Duration::ZERO,
        });
    }
}
