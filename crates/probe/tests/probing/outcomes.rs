//! What each kind of server is reported as.

use std::time::Duration;

use pintle_core::ClusterCa;
use pintle_core::ProbeOutcome::{
    self, Draining, NotReady, Ready, Refused, Timeout, TlsFailed, Unauthorised,
};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::probing::{NEVER, PATIENT, Probing};
use crate::server::{Does, Server, answer, ready};
use crate::tls::Ca;

/// The first outcome of a server that does this.
async fn first(does: Does, timeout: Duration) -> ProbeOutcome {
    let ca = Ca::new();
    let server = Server::start(ca.acceptor(), does).await;
    Probing::of(server.address, &ca, NEVER, timeout).next().await
}

fn checks(names: &[&str]) -> ProbeOutcome {
    NotReady(names.iter().map(|name| (*name).to_owned()).collect())
}

#[tokio::test]
async fn an_answer_is_told_by_status_and_body() {
    let table = [
        (answer(200, "ok"), Ready),
        (answer(401, "{}"), Unauthorised),
        (answer(403, "{}"), Unauthorised),
        (answer(500, "[+]ping ok\n[-]shutdown failed: reason withheld\n"), Draining),
        (answer(500, "[-]etcd failed: reason withheld\nreadyz check failed\n"), checks(&["etcd"])),
        (answer(429, "slow down"), checks(&["status 429"])),
        (answer(503, ""), checks(&["status 503"])),
        (b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(), checks(&["malformed answer"])),
        ([0; 64].to_vec(), checks(&["malformed answer"])),
    ];
    for (bytes, expected) in table {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        assert_eq!(first(Does::Answers(bytes), PATIENT).await, expected, "{shown:?}");
    }
}

#[tokio::test]
async fn silence_at_any_stage_is_a_timeout() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec();
    for does in [Does::HangsAfterAccept, Does::HangsAfterTls, Does::Answers(half)] {
        let asked_at = Instant::now();
        assert_eq!(first(does, Duration::from_millis(300)).await, Timeout);
        let took = asked_at.elapsed();
        assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(3), "{took:?}");
    }
}

#[tokio::test]
async fn a_hung_server_is_asked_again_on_a_new_connection_when_the_last_try_ended() {
    let ca = Ca::new();
    let server = Server::start(ca.acceptor(), ready()).await;
    let (period, timeout) = (Duration::from_millis(50), Duration::from_millis(200));
    let mut probing = Probing::of(server.address, &ca, period, timeout);
    assert_eq!(probing.next().await, Ready);
    server.set(Does::HangsAfterTls);
    while probing.next().await == Ready {}
    let (before, began_at) = (server.connections(), Instant::now());
    for _ in 0..3 {
        assert_eq!(probing.next().await, Timeout);
    }
    assert!(began_at.elapsed() >= 3 * timeout, "tries overlap");
    assert!(server.connections() >= before + 3, "a hung connection was asked again");
    server.set(ready());
    while probing.next().await != Ready {}
}

#[tokio::test]
async fn a_refusal_is_confirmed_at_once_and_only_once() {
    let ca = Ca::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut probing = Probing::of(address, &ca, NEVER, PATIENT);
    assert_eq!(probing.next().await, Refused);
    assert_eq!(probing.soon().await, Some(Refused));
    assert_eq!(probing.unexpected().await, None);
}

#[tokio::test]
async fn a_reset_is_a_refusal() {
    for does in [Does::ResetsAfterAccept, Does::ResetsAfterRequest] {
        assert_eq!(first(does, PATIENT).await, Refused);
    }
}

#[tokio::test]
async fn a_refusal_that_passes_is_followed_by_the_better_news() {
    let ca = Ca::new();
    let server = Server::start(ca.acceptor(), Does::ResetsAfterRequest).await;
    let mut probing = Probing::of(server.address, &ca, NEVER, PATIENT);
    assert_eq!(probing.next().await, Refused);
    server.set(ready());
    assert_eq!(probing.soon().await, Some(Ready));
}

#[tokio::test]
async fn a_server_that_cannot_prove_who_it_is_is_never_ready() {
    let (ca, stranger) = (Ca::new(), Ca::new());
    let table = [
        (stranger.acceptor(), "BadSignature"),
        (ca.acceptor_for(&["another"], 2100), "not valid for name"),
        (ca.acceptor_for(&["kubernetes"], 2021), "expired"),
    ];
    for (tls, expected) in table {
        let server = Server::start(tls, ready()).await;
        let outcome = Probing::of(server.address, &ca, NEVER, PATIENT).next().await;
        let TlsFailed(reason) = outcome else { panic!("{outcome:?}, not {expected}") };
        assert!(reason.contains(expected), "{reason:?} does not say {expected:?}");
        assert_eq!(server.requests(), 0, "asked before it was known who is there");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_told_as_such() {
    let outcome = first(Does::SpeaksPlain(answer(200, "ok")), PATIENT).await;
    assert!(matches!(outcome, TlsFailed(_)), "{outcome:?}");
}

#[tokio::test]
async fn nobody_is_ready_before_the_ca_is_known_and_then_at_once() {
    let ca = Ca::new();
    let mut server = Server::start(ca.acceptor(), ready()).await;
    let target = vec![crate::probing::local(server.address)];
    let mut probing = Probing::start(target, None, NEVER, PATIENT);
    assert_eq!(probing.next().await, TlsFailed("cluster CA is not known yet".into()));
    probing.ca.send_replace(Some(ClusterCa { certificates: vec![b"garbage".to_vec()] }));
    assert!(matches!(probing.soon().await, Some(TlsFailed(_))));
    probing.ca.send_replace(Some(ca.trust()));
    assert_eq!(probing.soon().await, Some(Ready));
    server.kill().await;
    assert_eq!(probing.soon().await, Some(Refused));
    assert_eq!(probing.soon().await, Some(Refused));
    probing.ca.send_replace(None);
    assert_eq!(probing.soon().await, Some(Refused), "a closed port is news without a CA too");
}

#[tokio::test]
async fn an_endless_body_is_judged_by_its_beginning() {
    let mut body = b"HTTP/1.1 500 X\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
    body.extend(b"[-]shutdown failed\n".repeat(50));
    assert_eq!(first(Does::AnswersForEver(body), PATIENT).await, Draining);
}
