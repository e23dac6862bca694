//! With the balancer: the VIP follows usable balancers, not API servers.

use super::super::{Bench, ms, settings};
use super::{reported, role};
use crate::{BackendState, Holder, ProbeOutcome, ProbePace, Role, ServerId, Settings};

fn balanced() -> Settings {
    Settings { is_balanced: true, ..settings() }
}

#[test]
fn a_dead_api_server_moves_nothing() {
    let mut bench = Bench::leader_with(balanced());
    bench.probed(ServerId(1), ProbeOutcome::Ready);
    bench.take();
    for _ in 0..5 {
        bench.probed(ServerId::LOCAL, ProbeOutcome::Refused);
        bench.probed(ServerId(1), ProbeOutcome::Ready);
    }
    assert_eq!(role(&bench), Role::Leader);
    assert_eq!(reported(&mut bench), []);
    let desired = bench.machine.desired();
    assert!(desired.status.fit);
    assert_eq!(desired.probe_pace, ProbePace::Brisk);
    let states: Vec<BackendState> = desired.backends.into_values().collect();
    assert_eq!(states, [BackendState::Down, BackendState::Up, BackendState::Unproven]);
}

/// Nobody could do better.
#[test]
fn where_every_api_server_is_down_the_vip_stays() {
    let mut bench = Bench::leader_with(balanced());
    for server in [ServerId::LOCAL, ServerId(1), ServerId(2)] {
        bench.probed(server, ProbeOutcome::Refused);
        bench.probed(server, ProbeOutcome::Refused);
    }
    assert_eq!(role(&bench), Role::Leader);
    assert!(!bench.machine.desired().status.fit);
    // The first that is back is no reason to move: connections go to it from here.
    bench.probed(ServerId(1), ProbeOutcome::Ready);
    assert_eq!(role(&bench), Role::Leader);
}

#[test]
fn the_local_api_server_only_breaks_ties() {
    // How long after the Lease was given back a follower asks for it: spread, and tie.
    for (outcome, waits) in [(ProbeOutcome::Ready, 20), (ProbeOutcome::Refused, 70)] {
        let mut bench = Bench::follower_with(balanced());
        bench.probed(ServerId(1), ProbeOutcome::Ready);
        bench.probed(ServerId::LOCAL, outcome.clone());
        bench.probed(ServerId::LOCAL, outcome.clone());
        bench.watch(Holder::Released);
        bench.pass(ms(waits - 1));
        assert_eq!(role(&bench), Role::Follower, "{outcome:?}");
        bench.pass(ms(1));
        assert_eq!(role(&bench), Role::Candidate, "{outcome:?}");
    }
}

#[test]
fn without_it_nobody_is_told_of_backends() {
    let bench = Bench::leader();
    assert!(bench.machine.desired().backends.is_empty());
    assert_eq!(bench.machine.desired().probe_pace, ProbePace::Relaxed);
}
