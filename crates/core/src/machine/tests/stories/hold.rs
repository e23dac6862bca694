//! The end of a right without a renewal, and *held*.

use super::{all_fail, hold_until, role};
use crate::command::Notice;
use crate::config::ApiLoss;
use crate::machine::tests::{Bench, ms, settings};
use crate::{
    Command, Event, Holder, LeaseFailure, MacAddr, Role, ServerId, Settings, Vip, VipDesire,
};

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
    all_fail(&mut bench, LeaseFailure::Refused, ms(1600));
    let servers = [1, 2, 7, 8, 9].map(ServerId);
    bench.event(Event::ServersLearnt(servers.to_vec()));
    // One of the new ones hangs each 300 ms, and the last has no turn before the right ends.
    bench.pass(ms(660));
    assert_ne!(role(&bench), Role::Held);
}

#[test]
fn on_api_loss_release_drops_the_address() {
    let mut bench = Bench::leader_with(Settings { on_api_loss: ApiLoss::Release, ..settings() });
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
fn what_is_lost_is_held_early_enough_for_a_busy_host() {
    let mut bench = Bench::leader();
    let hold_until = hold_until(&bench).expect("a leader has a right");
    let right = hold_until.since(bench.now);
    all_fail(&mut bench, LeaseFailure::Refused, right - ms(565));
    assert_eq!(role(&bench), Role::Held);
    assert!(bench.now + ms(500) < hold_until, "net unbinds then");
}

#[test]
fn a_server_that_may_still_answer_is_waited_for() {
    let mut bench = Bench::leader();
    let hold_until = hold_until(&bench).expect("a leader has a right");
    all_fail(&mut bench, LeaseFailure::Refused, ms(1600));
    bench.event(Event::ServersLearnt(vec![ServerId(1), ServerId(2), ServerId(7)]));
    bench.pass(hold_until.since(bench.now) - ms(350));
    assert_eq!(role(&bench), Role::Leader, "one server was asked for the first time just now");
    bench.write_failed(LeaseFailure::Refused);
    assert_eq!(role(&bench), Role::Held, "none is left");
}

#[test]
fn one_renewal_may_fail_everywhere_however_short_the_right_is() {
    let (renew_deadline, lease_duration) = (ms(1000), ms(1100));
    let mut bench = Bench::leader_with(Settings { renew_deadline, lease_duration, ..settings() });
    all_fail(&mut bench, LeaseFailure::Refused, ms(700));
    assert_eq!(role(&bench), Role::Leader);
    all_fail(&mut bench, LeaseFailure::Refused, ms(100));
    assert_eq!(role(&bench), Role::Held);
}

#[test]
fn what_is_not_known_to_be_ours_is_not_held() {
    let mut edited = Bench::leader();
    edited.watch(Holder::Vacant);
    all_fail(&mut edited, LeaseFailure::Timeout, ms(2300));
    assert!(matches!(edited.machine.desired().vips, VipDesire::Absent { .. }));
    let mut claimed = Bench::leader();
    let vip = Vip("192.0.2.10".parse().unwrap());
    claimed.event(Event::ForeignClaim { vip, mac: MacAddr([9; 6]) });
    all_fail(&mut claimed, LeaseFailure::Timeout, ms(2300));
    assert!(matches!(claimed.machine.desired().vips, VipDesire::Absent { .. }));
}

#[test]
fn a_lease_that_was_written_and_cannot_be_read_is_not_held_for_long() {
    for failure in [LeaseFailure::Conflict, LeaseFailure::NotFound] {
        let mut bench = Bench::leader();
        all_fail(&mut bench, LeaseFailure::Timeout, ms(2400));
        assert_eq!(role(&bench), Role::Held);
        bench.pass(ms(300)).write_failed(failure);
        all_fail(&mut bench, LeaseFailure::Timeout, ms(1900));
        assert_eq!(role(&bench), Role::Held, "it may have been a write of our own");
        all_fail(&mut bench, LeaseFailure::Timeout, ms(400));
        assert!(matches!(bench.machine.desired().vips, VipDesire::Absent { .. }), "{failure:?}");
    }
}
