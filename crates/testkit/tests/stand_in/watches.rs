//! Watches: where they start, what they say, how they end.

use hyper::Method;
use pintle_testkit::stand_in::WatchBehaviour;
use serde_json::{Value, json};

use crate::bed::{Bed, LEASE, LEASES, held_by, lease};

const ONE: &str = "fieldSelector=metadata.name%3Dpintle";

fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

fn hold(bed: &Bed, holder: &str) {
    assert!(bed.store.edit_lease("kube-system", "pintle", |lease| {
        lease["spec"]["holderIdentity"] = holder.into();
    }));
}

fn event(kind: &str, holder: &str) -> (String, String) {
    (kind.to_owned(), holder.to_owned())
}

#[tokio::test]
async fn a_watch_says_what_happens_after_its_version_on_any_server() {
    let bed = Bed::new();
    let other = bed.another();
    let stored = bed.stored().await;
    let query = format!("{ONE}&resourceVersion={}", version(&stored));
    let mut here = bed.watch(&query).await;
    let mut there = bed.watch_on(&other, &format!("{LEASES}?watch=true&{query}")).await;
    let (_, updated) = bed.call(Method::PUT, LEASE, Some(&held_by(&stored, "cp-2"))).await;
    bed.store.put_lease("kube-system", "unrelated", json!({}), json!({}));
    bed.call(Method::DELETE, LEASE, None).await;
    bed.stored().await;
    for watch in [&mut here, &mut there] {
        let modified = watch.next().await.unwrap();
        assert_eq!(modified, json!({"type": "MODIFIED", "object": updated}));
        let deleted = watch.next().await.unwrap();
        assert_eq!(deleted["type"], "DELETED");
        assert_eq!(deleted["object"]["spec"], updated["spec"]);
        assert_ne!(version(&deleted["object"]), version(&updated), "the version of the removal");
        assert_eq!(watch.next_holder().await, event("ADDED", "cp-1"));
        watch.assert_silent().await;
    }
}

#[tokio::test]
async fn a_late_watch_is_told_what_it_missed() {
    let bed = Bed::new();
    let stored = bed.stored().await;
    hold(&bed, "cp-2");
    hold(&bed, "cp-3");
    let mut watch = bed.watch(&format!("{ONE}&resourceVersion={}", version(&stored))).await;
    assert_eq!(watch.next_holder().await, event("MODIFIED", "cp-2"));
    assert_eq!(watch.next_holder().await, event("MODIFIED", "cp-3"));
}

#[tokio::test]
async fn a_watch_without_a_version_starts_with_what_is_there() {
    let bed = Bed::new();
    bed.stored().await;
    for query in [ONE.to_owned(), format!("{ONE}&resourceVersion=0")] {
        let mut watch = bed.watch(&query).await;
        assert_eq!(watch.next_holder().await, event("ADDED", "cp-1"));
        watch.assert_silent().await;
    }
}

#[tokio::test]
async fn a_version_that_is_gone_is_an_event_of_status_410() {
    let bed = Bed::new();
    let stored = bed.stored().await;
    let query = format!("{ONE}&resourceVersion={}", version(&stored));
    bed.store.compact();
    assert_eq!(bed.watch(&format!("{query}&timeoutSeconds=1")).await.next().await, None);
    hold(&bed, "cp-2");
    bed.store.compact();
    for overflow in [false, true] {
        if overflow {
            for _ in 0..1100 {
                hold(&bed, "cp-1");
            }
        }
        let mut watch = bed.watch(&query).await;
        let event = watch.next().await.unwrap();
        assert_eq!(event["type"], "ERROR");
        assert_eq!(
            (&event["object"]["code"], &event["object"]["reason"]),
            (&json!(410), &json!("Expired"))
        );
        assert!(
            event["object"]["message"].as_str().unwrap().starts_with("too old resource version")
        );
        assert_eq!(watch.next().await, None);
    }
}

#[tokio::test]
async fn the_history_overflows_into_410() {
    let bed = Bed::new();
    let stored = bed.stored().await;
    for _ in 0..1024 {
        hold(&bed, "cp-1");
    }
    let query = format!("{ONE}&resourceVersion={}", version(&stored));
    assert_eq!(bed.watch(&query).await.next_holder().await.0, "MODIFIED");
    hold(&bed, "cp-1");
    assert_eq!(bed.watch(&query).await.next_holder().await.0, "ERROR");
}

#[tokio::test]
async fn bookmarks_come_only_when_asked_for() {
    let bed = Bed::new();
    let stored = bed.stored().await;
    let query = format!("{ONE}&timeoutSeconds=1&resourceVersion={}", version(&stored));
    assert_eq!(bed.watch(&query).await.next().await, None);
    bed.store.put_lease("kube-system", "unrelated", json!({}), json!({}));
    let mut watch = bed.watch(&format!("{query}&allowWatchBookmarks=true")).await;
    let bookmark = watch.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(version(&bookmark["object"]), bed.store.revision().to_string());
    assert_eq!(watch.next().await, None);

    let query = format!(
        "{ONE}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let mut watch = bed.watch(&query).await;
    assert_eq!(watch.next_holder().await, event("ADDED", "cp-1"));
    let bookmark = watch.next().await.unwrap();
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

#[tokio::test]
async fn a_slow_watcher_is_dropped_and_others_are_not() {
    let bed = Bed::new();
    let stored = bed.stored().await;
    let query = format!("{ONE}&resourceVersion={}", version(&stored));
    let mut slow = bed.watch(&query).await;
    let mut fast = bed.watch(&query).await;
    bed.server.set_watches(WatchBehaviour::Frozen);
    slow.assert_silent().await;
    bed.server.set_watches(WatchBehaviour::Normal);
    // Nothing yields in this loop, so no server task drains any queue: both fall behind by 100.
    for _ in 0..100 {
        hold(&bed, "cp-2");
    }
    for _ in 0..100 {
        assert_eq!(fast.next_holder().await, event("MODIFIED", "cp-2"));
    }
    for _ in 0..200 {
        hold(&bed, "cp-3");
    }
    let mut seen = 0;
    while fast.next().await.is_some() {
        seen += 1;
    }
    assert!((100..200).contains(&seen), "{seen} events of 200, then the end");
    drop(slow);
}

#[tokio::test]
async fn a_frozen_watch_is_open_and_silent_and_catches_up() {
    let bed = Bed::new();
    let stored = bed.stored().await;
    let mut watch = bed.watch(&format!("{ONE}&resourceVersion={}", version(&stored))).await;
    bed.server.set_watches(WatchBehaviour::Frozen);
    hold(&bed, "cp-2");
    watch.assert_silent().await;
    bed.server.set_watches(WatchBehaviour::Normal);
    assert_eq!(watch.next_holder().await, event("MODIFIED", "cp-2"));
    bed.server.set_watches(WatchBehaviour::Delay(std::time::Duration::from_millis(600)));
    hold(&bed, "cp-3");
    watch.assert_silent().await;
    assert_eq!(watch.next_holder().await, event("MODIFIED", "cp-3"));
}

#[tokio::test]
async fn watches_can_be_ended_and_refused() {
    let bed = Bed::new();
    bed.stored().await;
    let mut watch = bed.watch(ONE).await;
    assert_eq!(watch.next_holder().await, event("ADDED", "cp-1"));
    bed.server.end_watches();
    assert_eq!(watch.next().await, None);
    bed.server.set_watches(WatchBehaviour::Status(429));
    let (status, body) = bed.get(&format!("{LEASES}?watch=true&{ONE}")).await;
    assert_eq!((status, &body["reason"]), (429, &json!("TooManyRequests")));
    bed.server.set_watches(WatchBehaviour::Normal);
    let (status, _) = bed.get(&format!("{LEASES}?watch=true&resourceVersion=abc")).await;
    assert_eq!(status, 500);
    assert_eq!(lease()["spec"]["holderIdentity"], "cp-1");
}
