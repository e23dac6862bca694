//! News of the Lease, from a watch, a read or an own write.

use crate::command::{Notice, Reason, WriteKind};
use crate::election::attempts::{Attempt, Request};
use crate::election::knowledge::Source;
use crate::event::{LeaseAnswer, LeaseFailure};
use crate::lease::{AttemptId, Holder, LeaseView, Observed};
use crate::time::Instant;

use super::{Machine, Phase};

/// Whom the Lease means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// This boot of this machine.
    Us,
    /// This node's name, from elsewhere or from before.
    Twin,
    /// Another node.
    Other,
    /// Nobody.
    Nobody,
}

impl Machine {
    pub(super) fn named(&self) -> Named {
        let Some(view) = self.knowledge.view() else {
            return Named::Nobody;
        };
        match &view.holder {
            Holder::Released | Holder::Resigned | Holder::Vacant => Named::Nobody,
            Holder::Node(name) if *name != self.settings.node => Named::Other,
            Holder::Node(_) => {
                if view.incarnation.as_ref() == Some(&self.settings.incarnation) {
                    Named::Us
                } else {
                    Named::Twin
                }
            }
        }
    }

    pub(super) fn on_watched(&mut self, observed: Observed, now: Instant) {
        self.watch_heard_at = now;
        self.watching = true;
        self.observe(observed, Source::Watch, now);
    }

    pub(super) fn on_answer(&mut self, id: AttemptId, answer: LeaseAnswer, now: Instant) {
        let Some(attempt) = self.attempts.finish(id) else {
            return;
        };
        match answer {
            LeaseAnswer::Read(observed) => {
                self.servers.forgive(attempt.server);
                self.observe(observed, Source::Read(attempt.sent), now);
                self.on_read(&attempt, now);
            }
            LeaseAnswer::Written(view) => {
                self.servers.forgive(attempt.server);
                // The answer to a write proves the write, whatever the adapter recognised.
                let view = LeaseView { write: Some(id), ..view };
                self.observe(Observed::Present(view), Source::Write, now);
            }
            LeaseAnswer::Failed(failure) => self.on_failure(&attempt, failure, now),
        }
    }

    /// Takes in a state of the Lease and lets the present phase react to it.
    fn observe(&mut self, observed: Observed, source: Source, now: Instant) {
        let own = match &observed {
            Observed::Present(view) => view.write.and_then(|id| self.attempts.write(id)),
            Observed::Absent => None,
        };
        let is_news = self.knowledge.learn(observed, source, now);
        if matches!(self.phase, Phase::Starting) && self.knowledge.seen().is_some() {
            self.enter(Phase::Follower, now);
        }
        // A state that shows one of our own writes counts as that write's success, in its epoch.
        if let Some(own) = own
            && own.epoch == self.epoch
            && own.kind != WriteKind::Release
            && self.named() == Named::Us
        {
            self.on_own_write(own.sent, now);
            return;
        }
        if !is_news {
            return;
        }
        if self.named() == Named::Twin {
            let incarnation = self.knowledge.view().and_then(|view| view.incarnation.clone());
            self.notify(Notice::NameTwin { incarnation }, now);
        }
        match self.phase {
            Phase::Starting | Phase::Follower => {}
            Phase::Candidate(_) => self.candidate_observes(now),
            Phase::Leader(_) | Phase::Held(_) => self.holder_observes(now),
            Phase::Releasing(_) => self.leaver_observes(now),
        }
    }

    fn on_own_write(&mut self, sent: Instant, now: Instant) {
        match self.phase {
            Phase::Candidate(_) => self.become_leader(sent, now),
            Phase::Leader(_) | Phase::Held(_) => self.on_renewed(sent, now),
            // A restart is entitled by a write of its own; so is nobody by one that was given up.
            Phase::Starting | Phase::Follower | Phase::Releasing(_) => {}
        }
    }

    fn on_failure(&mut self, attempt: &Attempt, failure: LeaseFailure, now: Instant) {
        if failure.is_api_loss() {
            self.servers.penalise(attempt.server, now);
        }
        if attempt.epoch != self.epoch {
            return;
        }
        let has_untried = self.servers.pick(self.attempts.tried(), now).is_some();
        self.attempts.retry(has_untried, now);
        // A conflict of a write over a state that is not the latest known says nothing new.
        let is_outdated = match &attempt.request {
            Request::Write { base, .. } => base.as_ref() != self.knowledge.version(),
            Request::Read => false,
        };
        match self.phase {
            Phase::Starting | Phase::Follower => {}
            Phase::Candidate(_) => self.candidate_failed(attempt, failure, now),
            Phase::Leader(_) | Phase::Held(_) => {
                self.holder_failed(attempt.server, failure, is_outdated, now);
            }
            Phase::Releasing(_) => self.leaver_failed(failure, is_outdated, now),
        }
    }

    /// The reason a Lease that may be taken is taken for.
    pub(super) fn claim_reason(&self) -> Reason {
        match self.knowledge.seen() {
            Some(Observed::Present(view)) if view.holder == Holder::Released => Reason::Released,
            Some(Observed::Present(_)) => Reason::Expired,
            Some(Observed::Absent) | None => Reason::Absent,
        }
    }
}
