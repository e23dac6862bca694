//! The machine's tests: every (state, event) pair, the stories that the fault table tells, and
//! random operations with the invariants after each.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test picks what it looks at; the rest is not its business"
)]

mod properties;
mod stories;
mod table;

use std::time::Duration;

use crate::config::{ApiLoss, Probe};
use crate::{
    AttemptId, Command, Event, Holder, Instant, LeaseAnswer, LeaseFailure, LeaseView, LeaseWrite,
    MacAddr, Machine, Observed, ProbeOutcome, ServerId, Settings, Version,
};

pub(super) const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn settings() -> Settings {
    Settings {
        node: "cp-1".into(),
        incarnation: "boot-1".into(),
        lease_duration: ms(2500),
        renew_deadline: ms(2300),
        retry_period: ms(500),
        on_api_loss: ApiLoss::Hold,
        spread: ms(20),
        probe: Probe {
            path: "/readyz".into(),
            period: ms(500),
            timeout: ms(700),
            failure_threshold: 3,
            success_threshold: 2,
        },
        is_balanced: false,
    }
}

/// A machine with its clock, and the commands that it gave since they were last taken.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) machine: Machine,
    pub(super) now: Instant,
    pub(super) commands: Vec<Command>,
    revision: u64,
}

impl Bench {
    pub(super) fn with(settings: Settings) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let machine = Machine::new(settings, now);
        Self { machine, now, commands: Vec::new(), revision: 1 }
    }

    pub(super) fn event(&mut self, event: Event) -> &mut Self {
        self.machine.handle(event, self.now);
        self.drain()
    }

    /// Lets time pass, waking the machine whenever it asks for it.
    pub(super) fn pass(&mut self, length: Duration) -> &mut Self {
        let end = self.now + length;
        while let Some((at, _)) = self.machine.poll_timeout()
            && at <= end
        {
            // A deadline in the past is due now; time itself never stands still for ever.
            self.now = at.max(self.now + Duration::from_micros(10));
            self.machine.handle_timeout(self.now);
            self.drain();
            let next = self.machine.poll_timeout();
            assert!(
                next.is_none_or(|(at, _)| at > self.now),
                "{next:?} is due still at {:?}",
                self.now
            );
        }
        self.now = self.now.max(end);
        self
    }

    /// The process does not run for a while.
    pub(super) fn freeze(&mut self, length: Duration) -> &mut Self {
        self.now = self.now + length;
        self.machine.handle_timeout(self.now);
        self.drain()
    }

    fn drain(&mut self) -> &mut Self {
        while let Some(command) = self.machine.poll_command() {
            self.commands.push(command);
        }
        self
    }

    pub(super) fn take(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.commands)
    }

    /// The last write that was asked for.
    pub(super) fn last_write(&self) -> (AttemptId, ServerId, LeaseWrite) {
        let mut writes = self.commands.iter().rev().filter_map(|command| match command {
            Command::WriteLease { attempt, server, write } => {
                Some((*attempt, *server, write.clone()))
            }
            _ => None,
        });
        writes.next().expect("a write was asked for")
    }

    pub(super) fn last_read(&self) -> AttemptId {
        let mut reads = self.commands.iter().rev().filter_map(|command| match command {
            Command::ReadLease { attempt, .. } => Some(*attempt),
            _ => None,
        });
        reads.next().expect("a read was asked for")
    }

    /// The next state of the Lease, in the name of `holder`.
    pub(super) fn lease(&mut self, holder: Holder) -> LeaseView {
        self.revision += 1;
        let is_us = holder == Holder::Node("cp-1".into());
        LeaseView {
            version: Version { uid: "u".into(), resource_version: self.revision.to_string() },
            holder,
            duration: ms(2500),
            incarnation: Some(if is_us { "boot-1" } else { "other" }.into()),
            mac: Some(MacAddr([2, 0, 0, 0, 0, 9])),
            transitions: 3,
            write: None,
        }
    }

    pub(super) fn watch(&mut self, holder: Holder) -> &mut Self {
        let view = self.lease(holder);
        self.event(Event::LeaseWatched(Observed::Present(view)))
    }

    /// Answers the last write with success.
    pub(super) fn written(&mut self) -> &mut Self {
        let (attempt, _, write) = self.last_write();
        let holder =
            if write.duration.is_zero() { Holder::Released } else { Holder::Node("cp-1".into()) };
        let view = LeaseView { mac: write.mac, write: Some(attempt), ..self.lease(holder) };
        self.event(Event::LeaseAnswered { attempt, answer: LeaseAnswer::Written(view) })
    }

    pub(super) fn write_failed(&mut self, failure: LeaseFailure) -> &mut Self {
        let (attempt, _, _) = self.last_write();
        self.event(Event::LeaseAnswered { attempt, answer: LeaseAnswer::Failed(failure) })
    }

    /// Answers the last read with what is known already.
    pub(super) fn read_unchanged(&mut self) -> &mut Self {
        let attempt = self.last_read();
        let seen = self.machine.knowledge.seen().cloned().unwrap_or(Observed::Absent);
        self.event(Event::LeaseAnswered { attempt, answer: LeaseAnswer::Read(seen) })
    }

    pub(super) fn probed(&mut self, server: ServerId, outcome: ProbeOutcome) -> &mut Self {
        self.event(Event::Probed { server, outcome })
    }

    pub(super) fn bound(&mut self) -> &mut Self {
        let now = self.now;
        self.event(Event::Bound { mac: MAC, bound_at: now, announced_at: now })
    }

    // The states, reached the way they are reached in life.

    pub(super) fn starting() -> Self {
        Self::starting_with(settings())
    }

    fn starting_with(settings: Settings) -> Self {
        let mut bench = Self::with(settings);
        bench.event(Event::LinkChanged { carrier: true });
        bench.event(Event::ServersLearnt(vec![ServerId(1), ServerId(2)]));
        bench.probed(ServerId::LOCAL, ProbeOutcome::Ready);
        let attempt = bench.last_read();
        let answer = LeaseAnswer::Failed(LeaseFailure::Malformed);
        bench.event(Event::LeaseAnswered { attempt, answer });
        bench
    }

    pub(super) fn follower() -> Self {
        Self::follower_with(settings())
    }

    pub(super) fn follower_with(settings: Settings) -> Self {
        Self::starting_with(settings).follow()
    }

    fn follow(mut self) -> Self {
        self.watch(Holder::Node("cp-2".into())).event(Event::Unbound);
        self
    }

    pub(super) fn candidate() -> Self {
        let mut bench = Self::follower();
        bench.pass(ms(2530));
        bench
    }

    pub(super) fn leader() -> Self {
        Self::leader_with(settings())
    }

    pub(super) fn leader_with(settings: Settings) -> Self {
        let mut bench = Self::starting_with(settings).follow();
        bench.watch(Holder::Released).pass(ms(20));
        bench.written().bound();
        bench
    }

    /// A leader whose renewal is under way.
    pub(super) fn renewing() -> Self {
        let mut bench = Self::leader();
        bench.pass(ms(505));
        bench
    }

    pub(super) fn held() -> Self {
        let mut bench = Self::leader();
        bench.pass(ms(2299));
        bench
    }

    pub(super) fn releasing() -> Self {
        let mut bench = Self::leader();
        bench.event(Event::Shutdown);
        bench
    }

    /// On the way out, unbound, the release under way.
    pub(super) fn giving_back() -> Self {
        let mut bench = Self::releasing();
        bench.event(Event::Unbound);
        bench
    }
}
