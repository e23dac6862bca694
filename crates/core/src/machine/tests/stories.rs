//! The fault table of the design as one machine lives through it.

use super::{Bench, ms, settings};
use crate::command::{Direction, Notice, Reason};
use crate::config::ApiLoss;
use crate::{
    Claim, Command, Event, Holder, Instant, LeaseAnswer, LeaseFailure, LeaseView, MacAddr,
    Observed, ProbeOutcome, Role, ServerId, Settings, Vip, VipDesire, WriteKind,
};

fn role(bench: &Bench) -> Role {
    bench.machine.desired().status.role
}

fn reported(bench: &mut Bench) -> Vec<(Direction, Reason)> {
    let reports = bench.take().into_iter().filter_map(|command| match command {
        Command::Report(transition) => Some((transition.direction, transition.reason)),
        _ => None,
    });
    reports.collect()
}

fn hold_until(bench: &Bench) -> Option<Instant> {
    match bench.machine.desired().vips {
        VipDesire::Owned { hold_until, .. } => Some(hold_until),
        _ => None,
    }
}

/// Fails every attempt under way and to come for `length`.
fn all_fail(bench: &mut Bench, failure: LeaseFailure, length: std::time::Duration) {
    let end = bench.now + length;
    while bench.now < end {
        bench.pass(ms(10));
        for command in bench.take() {
            let (Command::ReadLease { attempt, .. } | Command::WriteLease { attempt, .. }) =
                command
            else {
                continue;
            };
            bench.event(Event::LeaseAnswered { attempt, answer: LeaseAnswer::Failed(failure) });
        }
    }
}

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
fn with_the_api_lost_everywhere_the_address_is_held_and_regained() {
    let mut bench = Bench::leader();
    all_fail(&mut bench, LeaseFailure::Timeout, ms(2400));
    assert_eq!(role(&bench), Role::Held);
    assert_eq!(bench.machine.entitled_until(bench.now), None, "held is no right");
    all_fail(&mut bench, LeaseFailure::Unavailable, ms(30_000));
    assert_eq!(role(&bench), Role::Held);
    bench.pass(ms(300)).written();
    assert_eq!(role(&bench), Role::Leader);
    assert!(bench.take().contains(&Command::Notify(Notice::Regained)));
}

#[test]
fn a_refusal_of_another_kind_is_never_held() {
    for failure in [
        LeaseFailure::Unauthorised,
        LeaseFailure::Forbidden,
        LeaseFailure::Invalid,
        LeaseFailure::NoCredentials,
        LeaseFailure::Malformed,
    ] {
        let mut bench = Bench::leader();
        all_fail(&mut bench, failure, ms(2300));
        assert_ne!(role(&bench), Role::Held, "{failure:?}");
        assert!(hold_until(&bench).is_none(), "{failure:?}");
    }
}

#[test]
fn one_server_that_was_not_asked_is_enough_not_to_hold() {
    let mut bench = Bench::leader();
    all_fail(&mut bench, LeaseFailure::Refused, ms(2100));
    bench.event(Event::ServersLearnt(vec![ServerId(1), ServerId(2), ServerId(7)]));
    // The new one answers nothing for less than a hedge before the right ends.
    bench.pass(ms(200));
    assert_ne!(role(&bench), Role::Held);
}

#[test]
fn on_api_loss_release_drops_the_address() {
    let mut bench = Bench::with(Settings { on_api_loss: ApiLoss::Release, ..settings() });
    bench.event(Event::LinkChanged { carrier: true });
    bench.probed(ServerId::LOCAL, ProbeOutcome::Ready);
    bench.watch(Holder::Released).pass(ms(20));
    bench.written().bound();
    all_fail(&mut bench, LeaseFailure::Timeout, ms(2400));
    assert!(matches!(bench.machine.desired().vips, VipDesire::Absent { .. }));
}

#[test]
fn a_process_that_did_not_run_keeps_nothing() {
    let mut bench = Bench::leader();
    all_fail(&mut bench, LeaseFailure::Timeout, ms(2400));
    assert_eq!(role(&bench), Role::Held);
    bench.freeze(ms(1200));
    assert_eq!(role(&bench), Role::Held, "a starved host, not a suspended one");
    bench.freeze(ms(2000));
    assert!(matches!(bench.machine.desired().vips, VipDesire::Absent { .. }));
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
fn a_restart_resumes_by_a_write_of_its_own_and_keeps_what_the_kernel_has() {
    let mut bench = Bench::starting();
    bench.watch(Holder::Node("cp-1".into()));
    assert_eq!(bench.machine.desired().vips, VipDesire::Undecided);
    assert_eq!(bench.machine.entitled_until(bench.now), None, "a read entitles to nothing");
    assert_eq!(bench.last_write().2.kind, WriteKind::Renew);
    bench.written().bound();
    assert_eq!(reported(&mut bench), [(Direction::Acquired, Reason::Resumed)]);
}

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
