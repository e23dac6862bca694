//! A leader renews, and answers what others do to its Lease and its address.

use super::{hold_until, role};
use crate::machine::tests::{Bench, ms};
use crate::{
    Command, Event, Holder, LeaseAnswer, LeaseFailure, LeaseView, MacAddr, Observed, Role,
    ServerId, Vip, WriteKind,
};

#[test]
fn the_right_counts_from_the_sending() {
    let mut bench = Bench::leader();
    bench.pass(ms(500));
    let sent = bench.now;
    bench.pass(ms(90)).written();
    assert_eq!(hold_until(&bench), Some(sent + ms(2300)));
}

#[test]
fn renewals_are_hedged_over_the_servers() {
    let mut bench = Bench::leader();
    bench.take();
    bench.pass(ms(500 + 650));
    let servers: Vec<ServerId> = bench
        .take()
        .iter()
        .filter_map(|command| match command {
            Command::WriteLease { server, .. } => Some(*server),
            _ => None,
        })
        .collect();
    assert_eq!(servers, [ServerId::LOCAL, ServerId(1), ServerId(2)]);
}

#[test]
fn a_lost_answer_is_found_by_the_read() {
    let mut bench = Bench::leader();
    bench.pass(ms(500));
    let (lost, _, _) = bench.last_write();
    let sent = bench.now;
    bench.pass(ms(300));
    bench.write_failed(LeaseFailure::Conflict);
    let read = bench.last_read();
    let view = LeaseView { write: Some(lost), ..bench.lease(Holder::Node("cp-1".into())) };
    let answer = LeaseAnswer::Read(Observed::Present(view));
    bench.event(Event::LeaseAnswered { attempt: read, answer });
    assert_eq!(hold_until(&bench), Some(sent + ms(2300)));
}

#[test]
fn an_answer_that_waited_out_a_pause_entitles_to_nothing() {
    let mut bench = Bench::leader();
    bench.pass(ms(500));
    bench.now = bench.now + ms(10_000);
    bench.written();
    assert_eq!(bench.machine.entitled_until(bench.now), None);
}

#[test]
fn a_persistent_conflict_is_not_asked_in_a_tight_circle() {
    let mut bench = Bench::leader();
    bench.pass(ms(500));
    bench.take();
    let mut asked = 0;
    for _ in 0..1000 {
        bench.pass(std::time::Duration::from_micros(300));
        for command in bench.take() {
            let (attempt, answer) = match command {
                Command::ReadLease { attempt, .. } => {
                    let seen = bench.machine.knowledge.seen().cloned().unwrap();
                    (attempt, LeaseAnswer::Read(seen))
                }
                Command::WriteLease { attempt, .. } => {
                    (attempt, LeaseAnswer::Failed(LeaseFailure::Conflict))
                }
                _ => continue,
            };
            asked += 1;
            bench.event(Event::LeaseAnswered { attempt, answer });
        }
    }
    assert!(asked <= 16, "{asked} requests in 300 ms");
}

#[test]
fn a_garbled_incarnation_does_not_unseat_an_entitled_holder() {
    let mut bench = Bench::leader();
    bench.take();
    let view = bench.lease(Holder::Node("cp-1".into()));
    let view = LeaseView { incarnation: Some(String::new()), ..view };
    bench.event(Event::LeaseWatched(Observed::Present(view)));
    assert_eq!(role(&bench), Role::Leader);
    assert_eq!(bench.last_write().2.kind, WriteKind::Renew, "written anew at once");
}

#[test]
fn a_foreign_claim_is_answered_after_the_lease_was_read() {
    let mut bench = Bench::leader();
    bench.take();
    let vip = Vip("192.0.2.10".parse().unwrap());
    bench.event(Event::ForeignClaim { vip, mac: MacAddr([9; 6]) });
    assert!(!bench.commands.contains(&Command::Defend { vip }));
    bench.read_unchanged();
    assert!(bench.take().contains(&Command::Defend { vip }));
}

#[test]
fn a_claim_is_answered_even_if_a_renewal_overtakes_the_read() {
    let mut bench = Bench::renewing();
    let vip = Vip("192.0.2.10".parse().unwrap());
    let (renewal, _, _) = bench.last_write();
    bench.event(Event::ForeignClaim { vip, mac: MacAddr([9; 6]) });
    let view = bench.lease(Holder::Node("cp-1".into()));
    let answer = LeaseAnswer::Written(view);
    bench.event(Event::LeaseAnswered { attempt: renewal, answer });
    assert!(bench.take().contains(&Command::Defend { vip }));
    bench.event(Event::ForeignClaim { vip, mac: MacAddr([9; 6]) });
    assert!(matches!(bench.take()[..], [.., Command::ReadLease { .. }]), "and so is the next one");
}
