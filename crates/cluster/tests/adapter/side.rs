//! What is beside the Lease: Events, the API servers' addresses, the check of a kubeconfig.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use pintle_cluster::{ClusterCommand, EventKind, KubeEvent, KubeconfigError, check_kubeconfig};
use pintle_core::{AttemptId, LeaseAnswer, Observed, ServerId};
use pintle_testkit::certs::Validity;
use pintle_testkit::stand_in::{Auth, Behaviour, StandIn};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};
use tracing::Level;

use crate::bench::{LEASE, NAMESPACE, Site, VIP};
use crate::log::Log;

pub(crate) fn event(reason: &str) -> ClusterCommand {
    ClusterCommand::Event(KubeEvent {
        reason: reason.into(),
        note: "é".repeat(2000),
        kind: EventKind::Warning,
    })
}

pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), waiting).await.expect(what);
}

/// How many Events a server was asked to create.
fn events_asked(server: &StandIn) -> usize {
    server.requests().iter().filter(|asked| asked.path.contains("/events")).count()
}

#[tokio::test]
async fn events_are_posted_on_the_lease() {
    let site = Site::new(1);
    site.store.put_lease(NAMESPACE, LEASE, json!({}), json!({"holderIdentity": "cp-2"}));
    let mut bench = site.bench();
    assert!(matches!(bench.read(0).await, LeaseAnswer::Read(Observed::Present(_))));
    for reason in ["VipAcquired", "VipLost"] {
        bench.command(event(reason)).await;
    }
    until("both are accepted", || site.store.events().len() == 2).await;
    let posted = &site.store.events()[0];
    assert_eq!(posted["involvedObject"]["kind"], "Lease");
    assert_eq!(posted["involvedObject"]["name"], LEASE);
    let lease = site.store.lease(NAMESPACE, LEASE).unwrap();
    let uid = &posted["involvedObject"]["uid"];
    assert!(uid.is_string() && *uid == lease["metadata"]["uid"], "{posted}");
    assert_eq!(posted["metadata"]["namespace"], NAMESPACE);
    assert_eq!((&posted["type"], &posted["reason"]), (&"Warning".into(), &"VipAcquired".into()));
    assert_eq!(posted["reportingComponent"], "pintle");
}

#[tokio::test]
async fn an_event_finds_a_server_beside_one_that_hangs() {
    let site = Site::new(2);
    let bench = site.bench();
    site.servers[0].hang_all(true);
    bench.command(event("VipLost")).await;
    until("it is posted", || site.store.events().len() == 1).await;
    assert_eq!(events_asked(&site.servers[1]), 1);
}

#[tokio::test]
async fn what_is_told_last_is_posted_before_the_end() {
    let site = Site::new(1);
    let mut bench = site.bench();
    assert_eq!(bench.read(0).await, LeaseAnswer::Read(Observed::Absent));
    bench.command(event("VipLost")).await;
    bench.drain().await;
    assert_eq!(site.store.events().len(), 1);
}

#[tokio::test]
async fn where_nobody_takes_an_event_the_end_does_not_wait_for_it() {
    // Each of them alone takes half a second to be given up.
    let site = Site::new(3);
    let bench = site.bench();
    site.servers.iter().for_each(|server| server.hang_all(true));
    bench.command(event("VipLost")).await;
    let began = Instant::now();
    bench.drain().await;
    assert!(began.elapsed() < Duration::from_millis(700), "{:?}", began.elapsed());
    assert!(site.store.events().is_empty());
}

#[tokio::test]
async fn the_end_does_not_wait_for_an_attempt() {
    let site = Site::new(1);
    let mut bench = site.bench();
    assert_eq!(bench.read(0).await, LeaseAnswer::Read(Observed::Absent));
    site.servers[0].set_reads(Behaviour::Hang);
    let (attempt, server) = (AttemptId(1000), ServerId::LOCAL);
    bench.command(ClusterCommand::Read { attempt, server }).await;
    bench.command(event("VipLost")).await;
    let began = Instant::now();
    bench.drain().await;
    assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
    assert_eq!(site.store.events().len(), 1);
}

#[tokio::test]
async fn an_event_whose_answer_was_lost_is_there_once() {
    let (log, _guard) = Log::start_at(Level::DEBUG);
    let site = Site::new(2);
    let mut bench = site.bench();
    assert_eq!(bench.read(0).await, LeaseAnswer::Read(Observed::Absent));
    site.servers[0].set_writes(Behaviour::DropAnswer);
    bench.command(event("VipAcquired")).await;
    until("the next server is asked", || events_asked(&site.servers[1]) == 1).await;
    site.servers[0].set_writes(Behaviour::Normal);
    // Events are posted in turn: with the second, the first is done with.
    bench.command(event("VipLost")).await;
    until("the second is posted", || site.store.events().len() == 2).await;
    assert_eq!(site.store.events()[0]["reason"], "VipAcquired");
    assert_eq!(log.lines_with("An Event was not posted"), [""; 0], "it was");
}

#[tokio::test]
async fn events_that_are_forbidden_disturb_nothing() {
    let (log, _guard) = Log::start();
    let site = Site::new(1);
    site.servers[0].set_auth(Auth::ForbiddenResources(vec!["events".into()]));
    let mut bench = site.bench();
    bench.acquire().await;
    for _ in 0..3 {
        bench.command(event("VipAcquired")).await;
    }
    until("all were tried", || events_asked(&site.servers[0]) == 3).await;
    assert!(matches!(bench.read(0).await, LeaseAnswer::Read(Observed::Present(_))));
    assert_eq!(log.lines_with("Not allowed to create Events").len(), 1);
    assert!(site.store.events().is_empty());
}

#[tokio::test]
async fn a_flood_of_events_neither_grows_nor_delays() {
    let site = Site::new(1);
    let mut bench = site.bench();
    bench.acquire().await;
    site.servers[0].hang_all(true);
    for _ in 0..200 {
        bench.command(event("VipAcquired")).await;
    }
    site.servers[0].hang_all(false);
    assert!(matches!(bench.read(0).await, LeaseAnswer::Read(Observed::Present(_))));
    until("those that waited are posted", || site.store.events().len() >= 30).await;
    sleep(Duration::from_millis(200)).await;
    let posted = site.store.events().len();
    assert!(posted <= 33, "{posted}: 32 in the queue and one in hand");
}

#[tokio::test]
async fn api_servers_are_learnt_and_not_forgotten_when_none_answers() {
    let site = Site::new(1);
    let peers: Vec<SocketAddr> =
        ["192.0.2.1:6443", "[2001:db8::1]:6443"].map(|text| text.parse().unwrap()).into();
    let vip = SocketAddr::from((VIP, 6443));
    site.store.set_api_servers(&[peers[0], peers[1], vip]);
    let bench = site.bench();
    until("they are published", || bench.endpoints.borrow().known == peers).await;
    let third: SocketAddr = "192.0.2.3:6443".parse().unwrap();
    site.store.set_api_servers(&[peers[0], third]);
    until("the new one is published", || bench.endpoints.borrow().known.contains(&third)).await;
    assert_eq!(bench.endpoints.borrow().known.len(), 3, "the one that went away is remembered");
    site.servers[0].kill();
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(bench.endpoints.borrow().known.len(), 3);
}

#[tokio::test]
async fn slices_that_are_forbidden_are_said_once() {
    let (log, _guard) = Log::start();
    let site = Site::new(1);
    site.servers[0].set_auth(Auth::ForbiddenResources(vec!["endpointslices".into()]));
    let mut bench = site.bench();
    bench.acquire().await;
    let tries = || {
        let requests = site.servers[0].requests();
        requests.iter().filter(|asked| asked.path.contains("/endpointslices")).count()
    };
    let lines = || log.lines_with("Not allowed to list EndpointSlices").len();
    until("it is tried again", || tries() >= 2).await;
    assert_eq!(lines(), 0, "an API server that starts does so too");
    until("it lasts", || lines() == 1).await;
    let tried = tries();
    until("it is tried again", || tries() > tried).await;
    assert_eq!(lines(), 1);
}

#[tokio::test]
async fn check_tells_every_kind_of_kubeconfig_apart() {
    let site = Site::new(0);
    let path = site.path("admin.conf");
    assert!(matches!(check_kubeconfig(&path), Err(KubeconfigError::Missing)));
    fs::write(&path, "").unwrap();
    assert!(matches!(check_kubeconfig(&path), Err(KubeconfigError::Empty)));
    fs::write(&path, vec![b' '; (1 << 20) + 1]).unwrap();
    assert!(matches!(check_kubeconfig(&path), Err(KubeconfigError::TooLarge)));
    fs::write(&path, "clusters:\n- 5\n").unwrap();
    let syntax = check_kubeconfig(&path);
    assert!(matches!(syntax, Err(KubeconfigError::Syntax { line: 2, .. })), "{syntax:?}");
    let directory = check_kubeconfig(site.directory.path());
    assert!(matches!(directory, Err(KubeconfigError::Unreadable(_))), "{directory:?}");

    let expired = site.ca.issue_client("admin", None, Validity::Expired).unwrap();
    site.write_kubeconfig("admin.conf", &expired);
    let report = check_kubeconfig(&path).unwrap();
    assert!(report.expired && report.authorities.certificates.len() == 1, "{report:?}");
    assert_eq!(report.server.as_deref(), Some("https://127.0.0.1:1"));
}
