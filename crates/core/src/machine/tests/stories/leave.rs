//! The ways out: health, link and shutdown.

use super::{reported, role};
use crate::command::{Direction, Reason};
use crate::machine::tests::{Bench, ms};
use crate::{
    Command, Event, Holder, LeaseFailure, ProbeOutcome, Role, ServerId, VipDesire, WriteKind,
};

#[test]
fn a_dead_api_server_moves_the_vip_through_another_one() {
    let mut bench = Bench::leader();
    bench.take();
    bench.probed(ServerId::LOCAL, ProbeOutcome::Refused);
    bench.probed(ServerId::LOCAL, ProbeOutcome::Refused);
    assert_eq!(role(&bench), Role::Leader, "no other one is known to be ready yet");
    bench.probed(ServerId(1), ProbeOutcome::Ready);
    assert_eq!(role(&bench), Role::Releasing);
    assert_eq!(bench.take(), [], "unbind first");
    bench.event(Event::Unbound);
    assert_eq!(bench.last_write().2.kind, WriteKind::Release);
    bench.write_failed(LeaseFailure::Refused);
    assert_eq!(bench.last_write().1, ServerId(1));
    bench.written();
    assert_eq!(reported(&mut bench), [(Direction::Lost, Reason::Unhealthy)]);
    // Unfit: no candidate, until nobody else has taken it for two lease durations.
    bench.pass(ms(4900));
    assert_eq!(role(&bench), Role::Follower);
    bench.pass(ms(200));
    assert_eq!(role(&bench), Role::Candidate);
}

#[test]
fn an_unfit_node_that_nobody_relieves_keeps_its_term() {
    let mut bench = Bench::leader();
    bench.probed(ServerId::LOCAL, ProbeOutcome::Refused);
    bench.probed(ServerId::LOCAL, ProbeOutcome::Refused);
    bench.probed(ServerId(1), ProbeOutcome::Ready);
    bench.event(Event::Unbound).written();
    bench.pass(ms(5100));
    bench.written().bound();
    bench.probed(ServerId(1), ProbeOutcome::Ready);
    assert_eq!(role(&bench), Role::Leader, "given up at once, nobody would have it");
}

#[test]
fn a_term_that_began_unfit_is_not_spared_once_it_was_fit() {
    let mut bench = Bench::leader();
    let refuse = |bench: &mut Bench| {
        bench.probed(ServerId::LOCAL, ProbeOutcome::Refused);
        bench.probed(ServerId::LOCAL, ProbeOutcome::Refused);
        bench.probed(ServerId(1), ProbeOutcome::Ready);
    };
    refuse(&mut bench);
    bench.event(Event::Unbound).written();
    bench.pass(ms(5100));
    bench.written().bound();
    for _ in 0..2 {
        bench.probed(ServerId::LOCAL, ProbeOutcome::Ready);
    }
    bench.pass(ms(100));
    refuse(&mut bench);
    assert_ne!(role(&bench), Role::Leader);
}

#[test]
fn when_every_api_server_is_unhealthy_the_vip_stays() {
    let mut bench = Bench::leader();
    bench.probed(ServerId(1), ProbeOutcome::Ready);
    for _ in 0..10 {
        bench.probed(ServerId::LOCAL, ProbeOutcome::Timeout);
        bench.probed(ServerId(1), ProbeOutcome::Timeout);
    }
    assert_eq!(role(&bench), Role::Leader);
}

#[test]
fn loss_of_carrier_gives_up_at_once() {
    let mut bench = Bench::leader();
    bench.event(Event::LinkChanged { carrier: false });
    assert!(matches!(bench.machine.desired().vips, VipDesire::Absent { .. }));
    bench.event(Event::Unbound).written();
    bench.pass(ms(60_000));
    assert_eq!(role(&bench), Role::Follower, "no candidate without carrier");
}

#[test]
fn nothing_is_released_before_the_address_is_gone() {
    let mut bench = Bench::leader();
    bench.take();
    bench.event(Event::Shutdown).pass(ms(1500));
    assert!(bench.take().iter().all(|command| !matches!(command, Command::WriteLease { .. })));
    bench.event(Event::Unbound);
    assert_eq!(bench.last_write().2.kind, WriteKind::Release);
    bench.written();
    assert!(bench.take().contains(&Command::Exit));
}

#[test]
fn a_claim_that_succeeds_during_shutdown_is_given_back() {
    let mut bench = Bench::follower();
    bench.watch(Holder::Released).pass(ms(20));
    bench.event(Event::Shutdown);
    assert!(!bench.commands.contains(&Command::Exit), "its write may still succeed");
    bench.written();
    assert_eq!(bench.last_write().2.kind, WriteKind::Release);
    bench.written();
    assert!(bench.take().contains(&Command::Exit));
}
