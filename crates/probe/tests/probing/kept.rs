//! The kept connection: what its end is worth.

use std::time::Duration;

use pintle_core::ProbeOutcome::{Draining, Ready, Refused, Timeout};
use tokio::time::{Instant, sleep};

use crate::probing::{NEVER, PATIENT, Probing};
use crate::server::{Does, Server, answer, ready};
use crate::tls::Ca;

const PERIOD: Duration = Duration::from_millis(20);

#[tokio::test]
async fn one_connection_carries_many_probes() {
    let ca = Ca::new();
    let server = Server::start(ca.acceptor(), ready()).await;
    let mut probing = Probing::of(server.address, &ca, PERIOD, PATIENT);
    for _ in 0..10 {
        assert_eq!(probing.next().await, Ready);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_killed_server_is_refused_twice_within_milliseconds() {
    let ca = Ca::new();
    let mut server = Server::start(ca.acceptor(), ready()).await;
    let mut probing = Probing::of(server.address, &ca, NEVER, PATIENT);
    assert_eq!(probing.next().await, Ready);
    let killed_at = Instant::now();
    server.kill().await;
    assert_eq!(probing.next().await, Refused);
    assert_eq!(probing.next().await, Refused);
    let took = killed_at.elapsed();
    assert!(took < Duration::from_millis(200), "{took:?}");
    assert_eq!(probing.unexpected().await, None, "two say it all");
}

#[tokio::test]
async fn a_server_that_closes_idle_connections_is_never_refused() {
    let ca = Ca::new();
    let closes = Does::AnswersThenCloses(answer(200, "ok"), Duration::from_millis(150));
    let server = Server::start(ca.acceptor(), closes).await;
    let mut probing = Probing::of(server.address, &ca, NEVER, PATIENT);
    for _ in 0..4 {
        assert_eq!(probing.next().await, Ready, "connections: {}", server.connections());
    }
    assert!(server.connections() >= 4, "nothing was closed");
}

#[tokio::test]
async fn a_connection_that_breaks_under_the_request_gets_the_same_second_chance() {
    let ca = Ca::new();
    let server = Server::start(ca.acceptor(), ready()).await;
    let mut probing = Probing::of(server.address, &ca, PERIOD, PATIENT);
    assert_eq!(probing.next().await, Ready);
    server.set(Does::ResetsAfterRequest);
    // The old connection is reset under the probe, and so is the new one: two refusals.
    while probing.next().await == Ready {}
    assert_eq!(probing.next().await, Refused);
}

#[tokio::test]
async fn a_server_that_closes_at_once_is_not_asked_as_fast_as_it_can() {
    let ca = Ca::new();
    let closes = Does::AnswersThenCloses(answer(200, "ok"), Duration::ZERO);
    let server = Server::start(ca.acceptor(), closes).await;
    let mut probing = Probing::of(server.address, &ca, NEVER, PATIENT);
    assert_eq!(probing.next().await, Ready);
    sleep(Duration::from_secs(1)).await;
    assert!((2..=14).contains(&server.requests()), "{} requests in 1 s", server.requests());
}

#[tokio::test]
async fn a_close_that_was_announced_is_no_news() {
    let ca = Ca::new();
    let bytes = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok".to_vec();
    let closes = Does::AnswersThenCloses(bytes, Duration::ZERO);
    let server = Server::start(ca.acceptor(), closes).await;
    let mut probing = Probing::of(server.address, &ca, NEVER, PATIENT);
    assert_eq!(probing.next().await, Ready);
    assert_eq!(probing.unexpected().await, None);
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_break_counts_when_nothing_answers_afterwards() {
    let ca = Ca::new();
    let closes = Does::AnswersThenCloses(answer(200, "ok"), Duration::from_millis(50));
    let server = Server::start(ca.acceptor(), closes).await;
    let mut probing = Probing::of(server.address, &ca, NEVER, Duration::from_millis(400));
    assert_eq!(probing.next().await, Ready);
    server.set(Does::HangsAfterAccept);
    assert_eq!(probing.next().await, Refused);
    assert_eq!(probing.next().await, Timeout);
}

#[tokio::test]
async fn a_break_does_not_count_when_the_server_answers_whatever_it_says() {
    let ca = Ca::new();
    let closes = Does::AnswersThenCloses(answer(200, "ok"), Duration::from_millis(50));
    let server = Server::start(ca.acceptor(), closes).await;
    let mut probing = Probing::of(server.address, &ca, NEVER, PATIENT);
    assert_eq!(probing.next().await, Ready);
    server.set(Does::Answers(answer(500, "[-]shutdown failed: reason withheld\n")));
    assert_eq!(probing.next().await, Draining);
    assert_eq!(probing.unexpected().await, None);
}
