//! Watching the Lease.

use std::time::Duration;

use pintle_cluster::ClusterCommand;
use pintle_core::{Event, Holder, LeaseView, Observed};
use pintle_testkit::stand_in::{Verb, WatchBehaviour};
use serde_json::json;

use crate::bench::{Bench, LEASE, NAMESPACE, Site};

fn watched(event: Event) -> LeaseView {
    match event {
        Event::LeaseWatched(Observed::Present(view)) => view,
        other => panic!("{other:?}"),
    }
}

fn put(site: &Site, holder: &str) {
    site.store.put_lease(NAMESPACE, LEASE, json!({}), json!({"holderIdentity": holder}));
}

async fn holder_watched(bench: &mut Bench) -> Holder {
    watched(bench.watched().await).holder
}

/// How many watches on Leases a server was asked for; those on EndpointSlices are another matter.
fn watches(site: &Site, server: usize) -> usize {
    let requests = site.servers[server].requests();
    let is_lease = |path: &str| path.contains("/leases?");
    requests.iter().filter(|asked| asked.verb == Verb::Watch && is_lease(&asked.path)).count()
}

#[tokio::test]
async fn absence_creation_changes_and_deletion_are_seen() {
    let site = Site::new(1);
    let mut bench = site.bench();
    assert_eq!(bench.watched().await, Event::LeaseWatched(Observed::Absent));
    put(&site, "cp-2");
    assert_eq!(holder_watched(&mut bench).await, Holder::Node("cp-2".into()));
    put(&site, "cp-3");
    assert_eq!(holder_watched(&mut bench).await, Holder::Node("cp-3".into()));
    site.store.delete_lease(NAMESPACE, LEASE);
    assert_eq!(bench.watched().await, Event::LeaseWatched(Observed::Absent));
    assert_eq!(watches(&site, 0), 1, "all over one watch");
}

#[tokio::test]
async fn the_state_at_the_start_is_told_once() {
    let site = Site::new(1);
    put(&site, "cp-2");
    let mut bench = site.bench();
    assert_eq!(holder_watched(&mut bench).await, Holder::Node("cp-2".into()));
    assert_eq!(bench.watched_within(Duration::from_millis(300)).await, None);
}

#[tokio::test]
async fn own_writes_are_recognised_in_the_watch() {
    let site = Site::new(1);
    let mut bench = site.bench();
    assert_eq!(bench.watched().await, Event::LeaseWatched(Observed::Absent));
    bench.acquire().await;
    let attempt = bench.last_attempt();
    assert_eq!(watched(bench.watched().await).write, Some(attempt));
}

#[tokio::test]
async fn a_watch_that_breaks_goes_on_elsewhere_and_comes_home() {
    let site = Site::new(2);
    put(&site, "cp-2");
    let mut bench = site.bench();
    holder_watched(&mut bench).await;
    site.servers[0].kill();
    assert_eq!(bench.watched().await, Event::WatchBroken);
    assert_eq!(holder_watched(&mut bench).await, Holder::Node("cp-2".into()));
    assert_eq!(watches(&site, 1), 1);
    site.servers[0].restart().unwrap();
    // A watch that ends at once is a failure; this one has to have lived.
    assert_eq!(bench.watched_within(Duration::from_millis(2300)).await, None);
    site.servers[0].clear_requests();
    site.servers[1].end_watches();
    assert_eq!(bench.watched().await, Event::WatchBroken);
    holder_watched(&mut bench).await;
    assert_eq!((watches(&site, 0), watches(&site, 1)), (1, 1));
}

#[tokio::test]
async fn a_local_server_that_hangs_is_passed_by() {
    let site = Site::new(2);
    put(&site, "cp-2");
    site.servers[0].hang_all(true);
    let mut bench = site.bench();
    assert_eq!(bench.watched().await, Event::WatchBroken);
    assert_eq!(holder_watched(&mut bench).await, Holder::Node("cp-2".into()));
}

#[tokio::test]
async fn while_nothing_can_be_watched_it_is_said_once_and_tried_with_pauses() {
    let site = Site::new(2);
    for server in &site.servers {
        server.set_watches(WatchBehaviour::Status(500));
    }
    let mut bench = site.bench();
    assert_eq!(bench.watched().await, Event::WatchBroken);
    assert_eq!(bench.watched_within(Duration::from_secs(2)).await, None);
    let tries = watches(&site, 0) + watches(&site, 1);
    assert!((3..=7).contains(&tries), "{tries} in two seconds");
    for server in &site.servers {
        server.set_watches(WatchBehaviour::Normal);
    }
    assert_eq!(bench.watched().await, Event::LeaseWatched(Observed::Absent));
}

#[tokio::test]
async fn rewatch_opens_on_the_next_server_and_breaks_nothing() {
    let site = Site::new(3);
    put(&site, "cp-2");
    let mut bench = site.bench();
    holder_watched(&mut bench).await;
    for server in [1, 2, 0] {
        site.servers[server].clear_requests();
        bench.command(ClusterCommand::Rewatch).await;
        assert_eq!(holder_watched(&mut bench).await, Holder::Node("cp-2".into()));
        assert_eq!(watches(&site, server), 1, "server {server}");
    }
}

#[tokio::test]
async fn a_lease_that_nobody_changed_for_long_can_be_watched() {
    let site = Site::new(1);
    put(&site, "cp-2");
    site.store.add_namespace("other");
    site.store.put_lease("other", "busy", json!({}), json!({}));
    site.store.compact();
    let mut bench = site.bench();
    assert_eq!(holder_watched(&mut bench).await, Holder::Node("cp-2".into()));
    put(&site, "cp-3");
    assert_eq!(holder_watched(&mut bench).await, Holder::Node("cp-3".into()));
}
