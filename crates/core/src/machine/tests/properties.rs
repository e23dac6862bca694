//! Random operations on one machine, the invariants after each.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Bench, MAC, ms};
use crate::{
    Command, Event, Holder, Instant, LeaseAnswer, LeaseFailure, LeaseView, MacAddr, Observed,
    ProbeOutcome, ServerId, Vip, VipDesire,
};

#[derive(Clone, Debug)]
enum Op {
    Pass(u64),
    Freeze(u64),
    Watched(Option<u8>),
    Answer { which: usize, how: u8 },
    Probed(u16, u8),
    Link(bool),
    Bound,
    Unbound,
    BindFailed,
    ForeignClaim,
    Servers(u16),
    WatchBroken,
    Shutdown,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0_u64..700).prop_map(Op::Pass),
        1 => (0_u64..5000).prop_map(Op::Freeze),
        2 => proptest::option::of(0_u8..7).prop_map(Op::Watched),
        8 => (0_usize..8, 0_u8..14).prop_map(|(which, how)| Op::Answer { which, how }),
        2 => (0_u16..3, 0_u8..5).prop_map(|(server, how)| Op::Probed(server, how)),
        1 => any::<bool>().prop_map(Op::Link),
        2 => Just(Op::Bound),
        2 => Just(Op::Unbound),
        1 => Just(Op::BindFailed),
        1 => Just(Op::ForeignClaim),
        1 => (0_u16..4).prop_map(Op::Servers),
        1 => Just(Op::WatchBroken),
        1 => Just(Op::Shutdown),
    ]
}

/// What the world knows: which attempts are unanswered and when each was sent.
#[derive(Default)]
struct Ledger {
    open: Vec<(crate::AttemptId, Instant, bool)>,
    /// The latest sending of a write whose success the machine was told of.
    last_success: Option<Instant>,
}

impl Ledger {
    fn collect(&mut self, bench: &mut Bench) {
        let now = bench.now;
        for command in bench.take() {
            match command {
                Command::ReadLease { attempt, .. } => self.open.push((attempt, now, false)),
                Command::WriteLease { attempt, .. } => self.open.push((attempt, now, true)),
                _ => {}
            }
        }
        let excess = self.open.len().saturating_sub(64);
        self.open.drain(..excess);
    }
}

fn view(bench: &mut Bench, kind: u8) -> LeaseView {
    let holder = match kind {
        0 => Holder::Released,
        1 => Holder::Vacant,
        6 => Holder::Resigned,
        2 | 3 => Holder::Node("cp-1".into()),
        _ => Holder::Node("cp-2".into()),
    };
    let view = bench.lease(holder);
    match kind {
        3 => LeaseView { incarnation: None, duration: Duration::MAX, ..view },
        5 => LeaseView { transitions: i32::MAX, duration: Duration::ZERO, ..view },
        _ => view,
    }
}

fn apply(bench: &mut Bench, ledger: &mut Ledger, op: Op) {
    let vip = Vip("192.0.2.10".parse().unwrap());
    let event = match op {
        Op::Pass(millis) => {
            // In small steps, so that the ledger knows when each request was sent.
            for _ in 0..millis / 10 {
                bench.pass(ms(10));
                ledger.collect(bench);
            }
            return;
        }
        Op::Freeze(millis) => {
            bench.freeze(ms(millis));
            return;
        }
        Op::Watched(None) => Event::LeaseWatched(Observed::Absent),
        Op::Watched(Some(kind)) => Event::LeaseWatched(Observed::Present(view(bench, kind))),
        Op::Answer { which, how } => {
            if ledger.open.is_empty() {
                return;
            }
            let (attempt, sent, is_write) = ledger.open.remove(which % ledger.open.len());
            let answer = match how {
                0..=4 if is_write => {
                    ledger.last_success = ledger.last_success.max(Some(sent));
                    LeaseAnswer::Written(view(bench, 2))
                }
                5 => LeaseAnswer::Read(Observed::Absent),
                0..=4 | 6 => LeaseAnswer::Read(Observed::Present(view(bench, how % 5))),
                7 => LeaseAnswer::Failed(LeaseFailure::Conflict),
                8 => LeaseAnswer::Failed(LeaseFailure::NotFound),
                9 => LeaseAnswer::Failed(LeaseFailure::Forbidden),
                10 => LeaseAnswer::Failed(LeaseFailure::Refused),
                11 => LeaseAnswer::Failed(LeaseFailure::Unavailable),
                _ => LeaseAnswer::Failed(LeaseFailure::Timeout),
            };
            Event::LeaseAnswered { attempt, answer }
        }
        Op::Probed(server, how) => {
            let outcome = match how {
                0 | 1 => ProbeOutcome::Ready,
                2 => ProbeOutcome::Refused,
                3 => ProbeOutcome::Timeout,
                _ => ProbeOutcome::Draining,
            };
            Event::Probed { server: ServerId(server), outcome }
        }
        Op::Link(carrier) => Event::LinkChanged { carrier },
        Op::Bound => {
            let now = bench.now;
            Event::Bound { mac: MAC, bound_at: now, announced_at: now }
        }
        Op::Unbound => Event::Unbound,
        Op::BindFailed => Event::BindFailed { error: "x".into() },
        Op::ForeignClaim => Event::ForeignClaim { vip, mac: MacAddr([9; 6]) },
        Op::Servers(count) => Event::ServersLearnt((1..=count).map(ServerId).collect()),
        Op::WatchBroken => Event::WatchBroken,
        Op::Shutdown => Event::Shutdown,
    };
    bench.event(event);
}

fn check(bench: &mut Bench, ledger: &Ledger) {
    let now = bench.now;
    let right = bench.machine.entitled_until(now);
    if let Some(until) = right {
        let sent = ledger.last_success.expect("nobody is entitled without a success");
        assert!(until <= sent + ms(2300), "entitled past the last success");
        assert!(until > now);
    }
    match bench.machine.desired().vips {
        VipDesire::Owned { hold_until, .. } => {
            assert!(right.is_none_or(|until| hold_until <= until), "bound past the right");
        }
        VipDesire::Undecided | VipDesire::Absent { .. } | VipDesire::Held => {
            assert_eq!(right, None, "entitled and not bound");
        }
    }
    // What is due is done: being woken again at the same moment changes nothing more.
    bench.machine.handle_timeout(now);
    bench.machine.handle_timeout(now);
    let mut extra = 0;
    while bench.machine.poll_command().is_some() {
        extra += 1;
    }
    assert!(extra <= 2, "{extra} commands at a standing clock");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_right_is_earned(ops in vec(op(), 1..120)) {
        let mut bench = Bench::starting();
        let mut ledger = Ledger::default();
        ledger.collect(&mut bench);
        for op in ops {
            apply(&mut bench, &mut ledger, op);
            ledger.collect(&mut bench);
            check(&mut bench, &ledger);
        }
    }
}
