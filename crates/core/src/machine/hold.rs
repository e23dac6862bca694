//! The end of a right without a renewal: *held* where nobody else can have got it, else unbound.

use std::time::Duration;

use crate::command::{Notice, Reason};
use crate::config::ApiLoss;
use crate::server::ServerId;
use crate::time::Instant;

use super::observe::Named;
use super::{Machine, Phase, Presence, Term};

/// How long before the end the address is given up: far more than the way from here to net takes, and
/// a fiftieth of the right.
const RELEASE_LEAD: Duration = Duration::from_millis(50);

/// How long before the end it is held: net unbinds by itself at the end and knows nothing of *held*
/// until it is told. A host whose etcd has lost its quorum is a busy one (0.3 s without a turn on the
/// processor were seen), and what comes too late here costs the address until the API is back. By
/// default three hanging servers have been found out 1.4 s after the last renewal, 0.9 s before the end.
/// A quarter of the right, and this at most.
const MAX_HOLD_LEAD: Duration = Duration::from_millis(600);

/// How long an address is held after a server said that the Lease was written or deleted since, while no
/// read says by whom: one attempt in all, and the hedges beside it.
const REFUTED_PATIENCE: Duration = Duration::from_secs(2);

impl Machine {
    /// When the right of this term is decided about, unless it is renewed.
    pub(super) fn decide_at(&self, term: &Term) -> Instant {
        let hold_until = term.grounds.hold_until().0;
        let hold_at = hold_until - self.hold_lead();
        // What is lost then is still lost later: a server that fails or hangs does so until a renewal.
        if self.may_hold(term, hold_at) { hold_at } else { hold_until - RELEASE_LEAD }
    }

    /// Ends the right when its time has come; whether it did.
    pub(super) fn watch_right_out(&mut self, now: Instant) -> bool {
        let Phase::Leader(term) = &self.phase else {
            return false;
        };
        let hold_until = term.grounds.hold_until().0;
        if now >= hold_until - self.hold_lead() && self.may_hold(term, now) {
            self.phase = Phase::Held(term.clone());
            self.since = now;
            self.notify(Notice::Holding, now);
            return true;
        }
        if now >= hold_until - RELEASE_LEAD {
            let reason = if term.refused { Reason::Denied } else { Reason::RenewDeadline };
            self.step_down(reason, now);
            return true;
        }
        false
    }

    /// Ends *held* where the Lease may be somebody else's by now; whether it did.
    pub(super) fn end_refuted_hold(&mut self, now: Instant) -> bool {
        let Phase::Held(term) = &self.phase else {
            return false;
        };
        let is_refuted = term.denied_at.is_some_and(|at| now >= at + REFUTED_PATIENCE);
        if is_refuted {
            self.step_down(Reason::Denied, now);
        }
        is_refuted
    }

    fn hold_lead(&self) -> Duration {
        MAX_HOLD_LEAD.min(self.settings.renew_deadline / 4)
    }

    /// Whether nobody can have written the Lease, as far as can be seen from here: it was this node's
    /// when it was last seen, nobody claimed the address since, every server failed or hangs, and none
    /// refused.
    fn may_hold(&self, term: &Term, now: Instant) -> bool {
        let failed_or_hanging: Vec<ServerId> =
            term.failed.iter().copied().chain(self.attempts.hanging(now)).collect();
        let is_ours = self.named() == Named::Us && term.defend.is_none();
        let is_api_lost = term.denied_at.is_none()
            && self.servers.known().iter().all(|server| failed_or_hanging.contains(server));
        self.settings.on_api_loss == ApiLoss::Hold
            && is_ours
            && is_api_lost
            && self.carrier
            && self.presence == Presence::Bound
            && !self.shutdown
    }
}
