//! Servers that are slow, silent, or without etcd.

use std::time::{Duration, Instant};

use hyper::Method;
use pintle_testkit::stand_in::{Behaviour, QuorumTimeouts};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::bed::{Bed, LEASE, SILENCE, Who, held_by};

const LATE: Duration = Duration::from_millis(700);

fn holder(bed: &Bed) -> Value {
    bed.store.lease("kube-system", "pintle").unwrap()["spec"]["holderIdentity"].clone()
}

#[tokio::test]
async fn a_delayed_write_is_applied_late() {
    let bed = Bed::new();
    let stored = bed.stored().await;
    bed.server.set_writes(Behaviour::Delay(LATE));
    let start = Instant::now();
    let mut client = bed.client(Who::Admin).await;
    let write = held_by(&stored, "cp-2");
    let (answer, ()) = tokio::join!(client.call(Method::PUT, LEASE, Some(&write)), async {
        sleep(SILENCE).await;
        assert_eq!(holder(&bed), "cp-1");
        assert_eq!(bed.get(LEASE).await.0, 200, "reads are not delayed");
    });
    assert_eq!(answer.0, 200);
    assert!(start.elapsed() >= LATE);
    assert_eq!(holder(&bed), "cp-2");
}

#[tokio::test]
async fn a_delayed_answer_comes_after_the_write() {
    let bed = Bed::new();
    let stored = bed.stored().await;
    bed.server.set_writes(Behaviour::DelayAnswer(LATE));
    let mut client = bed.client(Who::Admin).await;
    let write = held_by(&stored, "cp-2");
    let (answer, ()) = tokio::join!(client.call(Method::PUT, LEASE, Some(&write)), async {
        sleep(SILENCE).await;
        assert_eq!(holder(&bed), "cp-2");
    });
    assert_eq!(answer.0, 200);
}

#[tokio::test]
async fn a_lost_answer_is_a_write_and_a_hung_write_is_none() {
    let bed = Bed::new();
    let stored = bed.stored().await;
    bed.server.set_writes(Behaviour::Hang);
    let write = held_by(&stored, "cp-2");
    bed.client(Who::Admin).await.assert_silent(Method::PUT, LEASE, Some(&write)).await;
    assert_eq!(holder(&bed), "cp-1");
    assert_eq!(bed.server.requests().last().unwrap().status, None);
    bed.server.set_writes(Behaviour::DropAnswer);
    bed.client(Who::Admin).await.assert_silent(Method::PUT, LEASE, Some(&write)).await;
    assert_eq!(holder(&bed), "cp-2");
}

#[tokio::test]
async fn a_status_can_be_asked_for() {
    let bed = Bed::new();
    let stored = bed.stored().await;
    for (code, reason) in [
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (429, "TooManyRequests"),
        (503, "ServiceUnavailable"),
    ] {
        bed.server.set_writes(Behaviour::Status(code));
        let (status, body) = bed.call(Method::PUT, LEASE, Some(&held_by(&stored, "cp-2"))).await;
        assert_eq!((status, &body["reason"]), (code, &json!(reason)));
    }
    assert_eq!(holder(&bed), "cp-1");
    bed.server.set_reads(Behaviour::Status(500));
    assert_eq!(bed.get(LEASE).await.0, 500);
    assert_eq!(bed.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn without_quorum_what_needs_etcd_hangs_and_then_fails() {
    let bed = Bed::new();
    let other = bed.another();
    let stored = bed.stored().await;
    bed.store.lose_quorum(QuorumTimeouts { readyz: LATE, livez: LATE, requests: LATE });
    let start = Instant::now();
    let mut on_other = bed.client_of(&other, Who::Admin).await;
    let write = held_by(&stored, "cp-2");
    let (put, get, cached, readyz, livez) = tokio::join!(
        on_other.call(Method::PUT, LEASE, Some(&write)),
        bed.get(LEASE),
        async { (bed.get(&format!("{LEASE}?resourceVersion=0")).await, start.elapsed(),) },
        bed.get("/readyz"),
        bed.get("/livez"),
    );
    assert!(start.elapsed() >= LATE);
    for (status, body) in [put, get] {
        assert_eq!((status, &body["message"]), (500, &json!("etcdserver: request timed out")));
    }
    assert_eq!(cached.0.0, 200);
    assert!(cached.1 < LATE, "the watch cache needs no etcd");
    assert_eq!((readyz.0, livez.0), (500, 500));
    let body = readyz.1.as_str().unwrap();
    assert!(body.contains("[-]etcd failed") && body.contains("[-]etcd-readiness failed"), "{body}");
    assert_eq!(holder(&bed), "cp-1");

    bed.store.lose_quorum(QuorumTimeouts::default());
    let mut client = bed.client(Who::Admin).await;
    let (answer, ()) = tokio::join!(client.call(Method::PUT, LEASE, Some(&write)), async {
        sleep(SILENCE).await;
        bed.store.restore_quorum();
    });
    assert_eq!(answer.0, 200, "what hangs goes on when the quorum is back");
}
