//! A Lease is taken: how, when, and what is believed of it.

use super::{all_fail, reported, role};
use crate::command::{Direction, Reason};
use crate::machine::tests::{Bench, ms, settings};
use crate::{
    Claim, Command, Event, Holder, LeaseAnswer, LeaseFailure, LeaseView, Observed, ProbeOutcome,
    Role, ServerId, VipDesire, WriteKind,
};

#[test]
fn a_released_lease_is_taken_in_one_round_trip() {
    let mut bench = Bench::follower();
    bench.take();
    bench.watch(Holder::Released).pass(ms(20));
    let (_, server, write) = bench.last_write();
    assert_eq!((server, write.kind), (ServerId::LOCAL, WriteKind::Acquire));
    assert!(write.base.is_some(), "over exactly the release");
    assert_eq!(write.transitions, 4);
    bench.written().bound();
    assert_eq!(reported(&mut bench), [(Direction::Acquired, Reason::Released)]);
}

#[test]
fn an_expired_lease_is_read_then_written_through_the_same_server() {
    let mut bench = Bench::candidate();
    assert!(bench.take().iter().all(|command| !matches!(command, Command::WriteLease { .. })));
    let mut bench = Bench::candidate();
    bench.pass(ms(5)).read_unchanged();
    assert_eq!(bench.last_write().1, ServerId::LOCAL);
    bench.written();
    assert_eq!(role(&bench), Role::Leader);
}

#[test]
fn a_slow_read_proves_nothing() {
    let mut bench = Bench::candidate();
    let slow = bench.last_read();
    bench.pass(ms(299));
    bench.take();
    bench.pass(ms(10));
    let seen = bench.machine.knowledge.seen().cloned().unwrap();
    bench.event(Event::LeaseAnswered { attempt: slow, answer: LeaseAnswer::Read(seen) });
    assert!(bench.take().iter().all(|command| !matches!(command, Command::WriteLease { .. })));
}

#[test]
fn where_every_read_is_slow_the_second_one_counts() {
    let mut bench = Bench::candidate();
    for _ in 0..2 {
        assert_eq!(role(&bench), Role::Candidate);
        let slow = bench.last_read();
        // Hedged meanwhile, each as slow.
        bench.pass(ms(700));
        let seen = bench.machine.knowledge.seen().cloned().unwrap();
        let answer = LeaseAnswer::Read(seen);
        bench.event(Event::LeaseAnswered { attempt: slow, answer });
    }
    assert_eq!(bench.last_write().2.kind, WriteKind::Acquire);
    assert!(bench.last_write().2.base.is_some(), "over exactly what was read");
}

#[test]
fn after_nobody_could_write_the_incumbent_goes_first() {
    let mut bench = Bench::candidate();
    all_fail(&mut bench, LeaseFailure::Timeout, ms(3000));
    bench.pass(ms(300)).read_unchanged();
    assert_eq!(role(&bench), Role::Follower);
    bench.take();
    bench.pass(ms(1400));
    let has_written =
        bench.take().iter().any(|command| matches!(command, Command::WriteLease { .. }));
    assert!(!has_written, "still the incumbent's time");
    bench.pass(ms(200)).read_unchanged();
    assert_eq!(bench.last_write().2.kind, WriteKind::Acquire);
}

#[test]
fn where_nothing_can_be_written_the_incumbent_goes_first() {
    let mut bench = Bench::candidate();
    for _ in 0..3 {
        bench.pass(ms(305)).read_unchanged();
        bench.pass(ms(5)).write_failed(LeaseFailure::Unavailable);
        assert_eq!(role(&bench), Role::Candidate);
    }
    bench.pass(ms(305)).read_unchanged();
    assert_eq!(role(&bench), Role::Follower);
    bench.take();
    bench.pass(ms(1400));
    let commands = bench.take();
    assert!(!commands.iter().any(|command| matches!(command, Command::WriteLease { .. })));
}

#[test]
fn an_absent_lease_is_waited_for_unless_it_was_released() {
    let mut bench = Bench::follower();
    bench.event(Event::LeaseWatched(Observed::Absent)).pass(ms(2400));
    assert_eq!(role(&bench), Role::Follower);
    bench.pass(ms(200));
    assert_eq!(role(&bench), Role::Candidate);
    let mut bench = Bench::follower();
    bench.watch(Holder::Released);
    bench.event(Event::LeaseWatched(Observed::Absent)).pass(ms(25));
    assert_eq!(role(&bench), Role::Candidate);
}

#[test]
fn one_that_client_go_gave_up_is_waited_for_as_it_says() {
    let mut bench = Bench::follower();
    let view = LeaseView { duration: ms(1000), ..bench.lease(Holder::Resigned) };
    bench.event(Event::LeaseWatched(Observed::Present(view))).pass(ms(950));
    assert_eq!(role(&bench), Role::Follower);
    bench.pass(ms(100));
    assert_eq!(role(&bench), Role::Candidate);
}

#[test]
fn an_absurd_published_duration_is_waited_for_a_minute() {
    let mut bench = Bench::follower();
    let view = bench.lease(Holder::Node("stranger".into()));
    let view = LeaseView { duration: std::time::Duration::from_secs(1 << 31), ..view };
    bench.event(Event::LeaseWatched(Observed::Present(view)));
    bench.pass(ms(59_900));
    assert_eq!(role(&bench), Role::Follower);
    bench.pass(ms(200));
    assert_eq!(role(&bench), Role::Candidate);
}

#[test]
fn a_holder_that_never_bound_is_not_trusted() {
    let mut bench = Bench::follower();
    let view = LeaseView { mac: None, ..bench.lease(Holder::Released) };
    bench.event(Event::LeaseWatched(Observed::Present(view))).pass(ms(20));
    assert_eq!(bench.last_write().2.mac, None, "and is not passed on as one that had bound");
    bench.written();
    let VipDesire::Owned { claim, .. } = bench.machine.desired().vips else { panic!() };
    assert_eq!(claim, Claim::Probe);
}

#[test]
fn a_lease_that_was_found_as_it_is_proves_nothing_of_the_segment() {
    let claim = |bench: &Bench| match bench.machine.desired().vips {
        VipDesire::Owned { claim, .. } => claim,
        other => panic!("{other:?}"),
    };
    // The first that is seen: it may be from last year.
    let mut bench = Bench::with(settings());
    bench.event(Event::LinkChanged { carrier: true });
    bench.probed(ServerId::LOCAL, ProbeOutcome::Ready);
    bench.watch(Holder::Released).pass(ms(20));
    bench.written();
    assert_eq!(claim(&bench), Claim::Probe);
    // It was released while this node was there.
    let mut bench = Bench::follower();
    bench.watch(Holder::Released).pass(ms(20));
    bench.written();
    assert_eq!(claim(&bench), Claim::Trusted);
    // Then nobody took it for a while (this node had no carrier).
    let mut bench = Bench::follower();
    bench.event(Event::LinkChanged { carrier: false });
    bench.watch(Holder::Released).pass(ms(61_000));
    bench.event(Event::LinkChanged { carrier: true });
    bench.pass(ms(20)).written();
    assert_eq!(claim(&bench), Claim::Probe);
}

#[test]
fn a_missing_namespace_is_tried_every_two_seconds() {
    let mut bench = Bench::follower();
    bench.event(Event::LeaseWatched(Observed::Absent)).pass(ms(2530));
    bench.read_unchanged();
    bench.write_failed(LeaseFailure::NotFound);
    bench.take();
    bench.pass(ms(1900));
    let has_written =
        bench.take().iter().any(|command| matches!(command, Command::WriteLease { .. }));
    assert!(!has_written);
    bench.pass(ms(200)).read_unchanged();
    assert_eq!(bench.last_write().2.base, None);
}

#[test]
fn a_restart_resumes_by_a_write_of_its_own_and_keeps_what_the_kernel_has() {
    let mut bench = Bench::starting();
    bench.watch(Holder::Node("cp-1".into()));
    assert_eq!(bench.machine.desired().vips, VipDesire::Undecided);
    assert_eq!(bench.machine.entitled_until(bench.now), None, "a read entitles to nothing");
    assert_eq!(bench.last_write().2.kind, WriteKind::Renew);
    bench.written().bound();
    assert_eq!(reported(&mut bench), [(Direction::Acquired, Reason::Resumed)]);
}
