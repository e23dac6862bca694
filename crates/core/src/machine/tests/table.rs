//! Every state against every event: the role afterwards, what the VIPs are to be, and the commands.
//!
//! The expectation is `table.txt`, a text to be read. A change of the machine that changes it is
//! reviewed there.

use super::{Bench, ms};
use crate::{
    Command, Event, Holder, LeaseAnswer, LeaseFailure, LeaseView, MacAddr, Observed, ProbeOutcome,
    ServerId, Vip, VipDesire,
};

type Make = fn() -> Bench;
type Act = fn(&mut Bench);

const STATES: [(&str, &str, Make); 8] = [
    ("starting", "starting", Bench::starting),
    ("follower", "follower", Bench::follower),
    ("candidate", "candidate", Bench::candidate),
    ("leader", "leader", Bench::leader),
    ("renewing", "leader", Bench::renewing),
    ("held", "held", Bench::held),
    ("unbinding", "releasing", Bench::releasing),
    ("releasing", "releasing", Bench::giving_back),
];

const EVENTS: [(&str, Act); 30] = [
    ("time: 1 ms", |bench| {
        bench.pass(ms(1));
    }),
    ("time: 600 ms", |bench| {
        bench.pass(ms(600));
    }),
    ("time: frozen for 10 s", |bench| {
        bench.freeze(ms(10_000));
    }),
    ("watched: absent", |bench| {
        bench.event(Event::LeaseWatched(Observed::Absent));
    }),
    ("watched: another", |bench| {
        bench.watch(Holder::Node("cp-3".into()));
    }),
    ("watched: us", |bench| {
        bench.watch(Holder::Node("cp-1".into()));
    }),
    ("watched: our name, another boot", |bench| {
        let view = bench.lease(Holder::Node("cp-1".into()));
        let view = LeaseView { incarnation: Some("boot-0".into()), ..view };
        bench.event(Event::LeaseWatched(Observed::Present(view)));
    }),
    ("watched: released", |bench| {
        bench.watch(Holder::Released);
    }),
    ("watched: resigned", |bench| {
        bench.watch(Holder::Resigned);
    }),
    ("watched: emptied by hand", |bench| {
        bench.watch(Holder::Vacant);
    }),
    ("watch broken", |bench| {
        bench.event(Event::WatchBroken);
    }),
    ("answer: read, another", |bench| answer(bench, read_of("cp-3"))),
    ("answer: written", |bench| answer(bench, Answer::Written)),
    ("answer: conflict", |bench| answer(bench, Answer::Failed(LeaseFailure::Conflict))),
    ("answer: not found", |bench| answer(bench, Answer::Failed(LeaseFailure::NotFound))),
    ("answer: unauthorised", |bench| answer(bench, Answer::Failed(LeaseFailure::Unauthorised))),
    ("answer: forbidden", |bench| answer(bench, Answer::Failed(LeaseFailure::Forbidden))),
    ("answer: unavailable", |bench| answer(bench, Answer::Failed(LeaseFailure::Unavailable))),
    ("answer: refused", |bench| answer(bench, Answer::Failed(LeaseFailure::Refused))),
    ("answer: timeout", |bench| answer(bench, Answer::Failed(LeaseFailure::Timeout))),
    ("servers: none beside us", |bench| {
        bench.event(Event::ServersLearnt(Vec::new()));
    }),
    ("probed: ready", |bench| {
        bench.probed(ServerId::LOCAL, ProbeOutcome::Ready);
    }),
    ("probed: dead here, ready there", |bench| {
        bench.probed(ServerId::LOCAL, ProbeOutcome::Refused);
        bench.probed(ServerId::LOCAL, ProbeOutcome::Refused);
        bench.probed(ServerId(1), ProbeOutcome::Ready);
    }),
    ("link down", |bench| {
        bench.event(Event::LinkChanged { carrier: false });
    }),
    ("bound", |bench| {
        bench.bound();
    }),
    ("unbound", |bench| {
        bench.event(Event::Unbound);
    }),
    ("bind failed", |bench| {
        bench.event(Event::BindFailed { error: "x".into() });
    }),
    ("address occupied", |bench| {
        bench.event(Event::AddressOccupied { vip: vip(), mac: STRANGER });
    }),
    ("foreign claim", |bench| {
        bench.event(Event::ForeignClaim { vip: vip(), mac: STRANGER });
    }),
    ("shutdown", |bench| {
        bench.event(Event::Shutdown);
    }),
];

const STRANGER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xee]);

fn vip() -> Vip {
    Vip("192.0.2.10".parse().unwrap())
}

enum Answer {
    ReadOf(&'static str),
    Written,
    Failed(LeaseFailure),
}

const fn read_of(name: &'static str) -> Answer {
    Answer::ReadOf(name)
}

/// Answers the request that was sent last, or one that was never sent where there is none.
fn answer(bench: &mut Bench, answer: Answer) {
    let last = bench.commands.iter().rev().find_map(|command| match command {
        Command::ReadLease { attempt, .. } | Command::WriteLease { attempt, .. } => Some(*attempt),
        _ => None,
    });
    let attempt = last.unwrap_or(crate::AttemptId(999));
    let answer = match answer {
        Answer::ReadOf(name) => {
            LeaseAnswer::Read(Observed::Present(bench.lease(Holder::Node(name.into()))))
        }
        Answer::Written => LeaseAnswer::Written(bench.lease(Holder::Node("cp-1".into()))),
        Answer::Failed(failure) => LeaseAnswer::Failed(failure),
    };
    // What was asked before is history: only the reaction is of interest.
    bench.commands.clear();
    bench.event(Event::LeaseAnswered { attempt, answer });
}

fn word(command: &Command) -> String {
    match command {
        Command::ReadLease { server, .. } => format!("read via {server}"),
        Command::WriteLease { server, write, .. } => {
            let over = if write.base.is_some() { "" } else { " new" };
            format!("{}{over} via {server}", write.kind.label())
        }
        Command::Rewatch => "rewatch".into(),
        Command::Defend { .. } => "defend".into(),
        Command::Report(transition) => {
            format!("report {:?} {}", transition.direction, transition.reason.label())
        }
        Command::Notify(notice) => {
            let text = format!("{notice:?}");
            format!("notify {}", text.split([' ', '{']).next().unwrap_or_default())
        }
        Command::Exit => "exit".into(),
    }
}

fn row(state: &str, make: Make, event: &str, act: Act) -> String {
    let mut bench = make();
    if !event.starts_with("answer") {
        bench.take();
    }
    act(&mut bench);
    let desired = bench.machine.desired();
    let vips = match desired.vips {
        VipDesire::Undecided => "undecided",
        VipDesire::Absent { yielded: false } => "absent",
        VipDesire::Absent { yielded: true } => "yielded",
        VipDesire::Owned { .. } => "owned",
        VipDesire::Held => "held",
    };
    let commands: Vec<String> = bench.take().iter().map(word).collect();
    let role = desired.status.role.label();
    format!("{state:9} | {event:31} | {role:9} | {vips:9} | {}", commands.join(", "))
        .trim_end()
        .to_owned()
}

#[test]
fn every_state_meets_every_event() {
    let mut actual = String::new();
    for (state, role, make) in STATES {
        assert_eq!(make().machine.desired().status.role.label(), role, "the way to {state}");
        for (event, act) in EVENTS {
            actual.push_str(&row(state, make, event, act));
            actual.push('\n');
        }
    }
    let expected = include_str!("table.txt");
    // Line by line first: the first difference says more than two walls of text.
    for (actual, expected) in actual.lines().zip(expected.lines()) {
        assert_eq!(actual, expected);
    }
    assert!(actual == expected, "the whole table as it is:\n{actual}");
}
