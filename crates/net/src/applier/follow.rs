//! From what is desired to a stage, and from a stage to its next step.

use pintle_core::{Claim, Event, Instant, VipDesire};

use super::{Applier, CHECK_INTERVAL, Stage};
use crate::addresses::Wanted;
use crate::conflict::{ConflictProbe, Step};

impl Applier {
    /// Takes over the latest wish. One that only moves `hold_until` restarts nothing.
    pub(super) fn adopt_desire(&mut self) {
        let desire = *self.desired.borrow_and_update();
        if desire == self.desire {
            return;
        }
        let before = std::mem::replace(&mut self.desire, desire);
        let fence_at = match desire {
            VipDesire::Owned { hold_until, .. } => Some(hold_until),
            VipDesire::Undecided | VipDesire::Absent { .. } | VipDesire::Held => None,
        };
        if let Err(error) = self.fence.arm(fence_at) {
            // The alarm goes off then as well.
            tracing::warn!(%error, "The timer of the fence cannot be set");
        }
        match desire {
            VipDesire::Undecided => {
                self.stage = Stage::Undecided;
                self.is_dirty = true;
            }
            VipDesire::Absent { yielded } => self.adopt_absent(before, yielded),
            VipDesire::Owned { claim, .. } => self.adopt_owned(claim),
            VipDesire::Held => self.adopt_held(),
        }
    }

    fn adopt_absent(&mut self, before: VipDesire, yielded: bool) {
        match (&mut self.stage, before) {
            (Stage::Absent { yields, .. }, VipDesire::Absent { .. }) => *yields = yielded,
            _ => self.leave(yielded),
        }
        self.is_dirty = true;
    }

    fn adopt_owned(&mut self, claim: Claim) {
        let now = self.now();
        match (&self.stage, claim) {
            (Stage::Bound | Stage::Binding { .. }, _) | (Stage::Probing(_), Claim::Probe) => {}
            (Stage::Held { .. }, _) => {
                self.stage = Stage::Bound;
                self.schedule.begin(now);
            }
            (Stage::Undecided | Stage::Absent { .. }, Claim::Probe) => {
                self.is_dirty = true;
                self.stage = Stage::Probing(ConflictProbe::new(now));
            }
            (Stage::Probing(_) | Stage::Undecided | Stage::Absent { .. }, Claim::Trusted) => {
                self.stage = Stage::Binding { retry_at: now };
            }
        }
    }

    fn adopt_held(&mut self) {
        match self.stage {
            Stage::Bound => {
                self.schedule.stop();
                self.stage = Stage::Held { refreshed_at: self.now() };
                // The lifetime counts from the right's end no more: set it in this very step.
                self.check_at = self.now();
            }
            Stage::Held { .. } => {}
            // What is not bound is not held.
            Stage::Undecided | Stage::Absent { .. } | Stage::Probing(_) | Stage::Binding { .. } => {
                self.leave(false);
            }
        }
    }

    /// From here on no VIP belongs on this host; [`Self::pursue`] takes them off and reports it.
    pub(super) fn leave(&mut self, yields: bool) {
        self.schedule.stop();
        self.is_missing = false;
        self.is_dirty = true;
        self.stage = Stage::Absent { report: true, yields };
    }

    /// The fence: ends an ownership whose right has ended, whatever else waits.
    pub(super) fn enforce(&mut self) {
        let VipDesire::Owned { hold_until, .. } = self.desire else {
            return;
        };
        if self.now() < hold_until {
            return;
        }
        if matches!(self.stage, Stage::Bound | Stage::Binding { .. } | Stage::Probing(_)) {
            tracing::warn!("The right to the VIP has ended without a decision: unbind");
            self.leave(false);
        }
        if matches!(self.stage, Stage::Absent { report: true, .. }) {
            self.pursue_absent();
        } else if !matches!(self.stage, Stage::Absent { .. }) {
            // A wish that was outdated when it came.
            self.leave(false);
        }
    }

    /// The next step of the stage; `is_check` when the regular check is due.
    pub(super) fn pursue(&mut self, is_check: bool) {
        if matches!(self.stage, Stage::Probing(_)) {
            self.pursue_probe();
        }
        match self.stage {
            Stage::Undecided => {
                let wanted =
                    self.index().map_or(Wanted::Nothing, |index| Wanted::Expiring { index });
                self.clean(wanted);
            }
            Stage::Absent { .. } => self.pursue_absent(),
            Stage::Probing(_) => self.clean(Wanted::Nothing),
            Stage::Binding { retry_at } if self.now() >= retry_at => self.try_bind(),
            Stage::Binding { .. } => {}
            Stage::Bound => self.keep_bound(),
            Stage::Held { refreshed_at } if is_check => self.keep_held(refreshed_at),
            Stage::Held { .. } => {}
        }
    }

    fn pursue_absent(&mut self) {
        let Stage::Absent { report, yields } = self.stage else {
            return;
        };
        if !self.is_dirty {
            return;
        }
        let is_off =
            if report { self.unbind_all().is_ok() } else { self.remove(Wanted::Nothing).is_ok() };
        // Where it failed, the next check tries again; the kernel's lifetime runs meanwhile.
        self.is_dirty = !is_off;
        if !is_off {
            return;
        }
        if report {
            self.outbox.push(Event::Unbound);
        }
        if yields {
            self.probe_segment();
        }
        self.stage = Stage::Absent { report: false, yields: false };
    }

    fn clean(&mut self, wanted: Wanted) {
        if self.is_dirty {
            self.is_dirty = self.remove(wanted).is_err();
        }
    }

    fn pursue_probe(&mut self) {
        let now = self.now();
        let Stage::Probing(probe) = &mut self.stage else {
            return;
        };
        match probe.poll(now) {
            Step::Wait => {}
            Step::Clear => self.stage = Stage::Binding { retry_at: now },
            Step::Send => {
                // Silence after a question that never left would prove nothing.
                if !self.probe_segment() {
                    self.stage = Stage::Probing(ConflictProbe::new(now + CHECK_INTERVAL));
                    let error = format!("cannot probe for the VIP on {}", self.link.name);
                    self.outbox.push(Event::BindFailed { error });
                }
            }
        }
    }

    fn try_bind(&mut self) {
        let Some(hold_until) = self.owned_until() else {
            return;
        };
        if self.is_dirty {
            // With another prefix the kernel would take an IPv6 copy for the one to be bound.
            let _looked_at_again_below = self.remove(self.wanted());
        }
        match self.bind_all(hold_until) {
            Ok(mac) => {
                let bound_at = self.now();
                self.stage = Stage::Bound;
                self.schedule.begin(bound_at);
                // The first one is due by the bind and not by the schedule's first offset.
                self.schedule.take(bound_at);
                self.announce();
                let announced_at = self.now();
                self.outbox.push(Event::Bound { mac, bound_at, announced_at });
                // Copies elsewhere on this host can wait until the neighbours know.
                self.is_dirty = true;
            }
            Err(error) => {
                self.stage = Stage::Binding { retry_at: self.now() + CHECK_INTERVAL };
                self.outbox.push(Event::BindFailed { error: error.to_string() });
                // All VIPs or none: neighbours must not find half of them here.
                if self.unbind_all().is_err() {
                    self.is_dirty = true;
                }
            }
        }
    }

    pub(super) fn is_announcer(&self) -> bool {
        matches!(self.stage, Stage::Bound) && self.owned_until().is_some()
    }

    pub(super) fn wanted(&self) -> Wanted {
        match (&self.stage, self.index()) {
            (Stage::Undecided, Some(index)) => Wanted::Expiring { index },
            (Stage::Bound | Stage::Held { .. } | Stage::Binding { .. }, Some(index)) => {
                Wanted::Bound { index }
            }
            (Stage::Absent { .. } | Stage::Probing(_), _) | (_, None) => Wanted::Nothing,
        }
    }

    /// Whether the address has been left to the kernel for longer than the kernel was to keep it.
    pub(super) fn is_late(&self, refreshed_at: Instant) -> bool {
        self.now().since(refreshed_at) > super::bind::HELD_DURATION
    }
}
