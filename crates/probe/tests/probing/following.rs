//! Targets, pace and the ends of the channels.

use std::time::Duration;

use pintle_core::ProbeOutcome::{Ready, Refused};
use pintle_core::{ProbePace, ServerId};
use tokio::time::{sleep, timeout};

use crate::probing::{NEVER, PATIENT, Probing, SOON, local, peer};
use crate::server::{Server, ready};
use crate::tls::Ca;

const PERIOD: Duration = Duration::from_millis(50);

#[tokio::test]
async fn the_others_are_asked_at_the_pace_that_was_set_last() {
    let ca = Ca::new();
    let server = Server::start(ca.acceptor(), ready()).await;
    let targets = vec![peer(1, server.address)];
    let mut probing = Probing::start(targets, Some(ca.trust()), PERIOD, PATIENT);
    assert_eq!(probing.next().await, Ready);
    // Relaxed: the next one is 2 s away.
    assert_eq!(probing.unexpected().await, None);
    probing.pace.send_replace(ProbePace::Brisk);
    assert_eq!(probing.soon().await, Some(Ready));
    assert_eq!(probing.soon().await, Some(Ready));
    probing.pace.send_replace(ProbePace::Relaxed);
    while probing.unexpected().await.is_some() {}
    assert_eq!(probing.next().await, Ready, "after 2 s");
}

#[tokio::test]
async fn becoming_brisk_asks_at_once_and_leaves_the_local_server_alone() {
    let ca = Ca::new();
    let server = Server::start(ca.acceptor(), ready()).await;
    let targets = vec![local(server.address), peer(1, server.address)];
    let mut probing = Probing::start(targets, Some(ca.trust()), NEVER, PATIENT);
    for _ in 0..2 {
        assert_eq!(probing.next().await, Ready);
    }
    probing.pace.send_replace(ProbePace::Brisk);
    assert_eq!(probing.next_of_any(SOON).await, Some((ServerId(1), Ready)));
    assert_eq!(probing.unexpected().await, None);
}

#[tokio::test]
async fn targets_come_and_go() {
    let ca = Ca::new();
    let (mut one, mut two) =
        (Server::start(ca.acceptor(), ready()).await, Server::start(ca.acceptor(), ready()).await);
    let mut probing = Probing::of(one.address, &ca, NEVER, PATIENT);
    assert_eq!(probing.next().await, Ready);
    probing.targets.send_replace(vec![local(one.address), peer(7, two.address)]);
    assert_eq!(probing.next_of_any(SOON).await, Some((ServerId(7), Ready)));
    assert_eq!(one.connections(), 1, "a target that stays keeps its connection");
    probing.targets.send_replace(vec![peer(7, two.address)]);
    sleep(Duration::from_millis(50)).await;
    one.kill().await;
    assert_eq!(probing.unexpected().await, None, "one that left is not reported");
    two.kill().await;
    assert_eq!(probing.next_of_any(SOON).await, Some((ServerId(7), Refused)));
}

#[tokio::test]
async fn the_number_of_targets_is_bounded() {
    let ca = Ca::new();
    let server = Server::start(ca.acceptor(), ready()).await;
    let targets = (1..=40).map(|id| peer(id, server.address)).collect();
    let mut probing = Probing::start(targets, Some(ca.trust()), NEVER, PATIENT);
    for _ in 0..16 {
        assert_eq!(probing.next().await, Ready);
    }
    assert_eq!(probing.unexpected().await, None);
    assert_eq!(server.connections(), 16);
}

#[tokio::test]
async fn the_same_ca_read_anew_costs_no_connection() {
    let ca = Ca::new();
    let server = Server::start(ca.acceptor(), ready()).await;
    let mut probing = Probing::of(server.address, &ca, PERIOD, PATIENT);
    assert_eq!(probing.next().await, Ready);
    probing.ca.send_replace(Some(ca.trust()));
    for _ in 0..3 {
        assert_eq!(probing.next().await, Ready);
    }
    assert_eq!(server.connections(), 1);
    probing.ca.send_replace(Some(Ca::new().trust()));
    while probing.next().await == Ready {}
}

#[tokio::test]
async fn all_ends_with_the_channels() {
    let ca = Ca::new();
    let server = Server::start(ca.acceptor(), ready()).await;
    for closes_events in [true, false] {
        let Probing { targets, pace, ca, mut events, supervisor } =
            Probing::of(server.address, &ca, PERIOD, PATIENT);
        if closes_events {
            drop(events);
        } else {
            drop(targets);
            while timeout(PATIENT, events.recv()).await.expect("a task lives on").is_some() {}
        }
        timeout(PATIENT, supervisor).await.expect("the supervisor lives on").unwrap();
        drop((pace, ca));
    }
}

#[tokio::test]
async fn a_core_that_does_not_listen_stops_no_probe() {
    let ca = Ca::new();
    let server = Server::start(ca.acceptor(), ready()).await;
    let (period, patience) = (Duration::from_millis(1), Duration::from_millis(300));
    let mut probing = Probing::of(server.address, &ca, period, patience);
    // The queue holds 64; each one beyond costs the probe's timeout and is dropped.
    timeout(PATIENT, async {
        while server.requests() < 68 {
            sleep(PERIOD).await;
        }
    })
    .await
    .expect("probing waits for the core");
    assert!(probing.soon().await.is_some());
}
