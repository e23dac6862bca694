//! Reading and writing the Lease.

use std::time::{Duration, Instant};

use pintle_cluster::{ClusterCommand, Outcome, Verb};
use pintle_core::{
    AttemptId, Event, Holder, LeaseAnswer, LeaseFailure, Observed, ServerId, Version, WriteKind,
};
use pintle_testkit::certs::{self, Validity};
use pintle_testkit::stand_in::{Auth, Behaviour, StandIn, TlsIdentity};
use serde_json::json;

use crate::bench::{LEASE, NAMESPACE, Site, lease_write, present};
use crate::log::Log;

#[tokio::test]
async fn a_lease_is_created_read_renewed_and_released() {
    let site = Site::new(1);
    let mut bench = site.bench();
    assert_eq!(bench.read(0).await, LeaseAnswer::Read(Observed::Absent));
    let first = bench.acquire().await;
    let created = bench.last_attempt();
    let seen = present(bench.read(0).await);
    assert_eq!((&seen.version, seen.write), (&first, Some(created)));
    assert_eq!(seen.holder, Holder::Node("cp-1".into()));
    assert_eq!(seen.duration, Duration::from_millis(2500), "finer than whole seconds");

    let renewed = present(bench.write(0, lease_write(WriteKind::Renew, Some(first))).await);
    assert_eq!(renewed.write, Some(bench.last_attempt()));
    let stored = site.store.lease(NAMESPACE, LEASE).unwrap();
    assert_eq!(stored["spec"]["leaseDurationSeconds"], 3);
    assert_eq!(stored["metadata"]["annotations"]["pintle.dev/vips"], "192.0.2.10");

    let release = lease_write(WriteKind::Release, Some(renewed.version));
    let released = present(bench.write(0, release).await);
    assert_eq!((released.holder, released.duration), (Holder::Released, Duration::ZERO));
    assert_eq!(
        present(bench.read(0).await).write,
        Some(bench.last_attempt()).map(|last| AttemptId(last.0 - 1))
    );
    assert_eq!(site.holder().as_deref(), Some(""));

    let outcomes: Vec<_> =
        bench.measured.lock().unwrap().iter().map(|(verb, outcome, _)| (*verb, *outcome)).collect();
    for verb in [Verb::Get, Verb::Create, Verb::Update] {
        assert!(outcomes.contains(&(verb, Outcome::Success)), "{verb:?}");
    }
}

#[tokio::test]
async fn an_emptied_lease_is_not_a_released_one() {
    let site = Site::new(1);
    let mut bench = site.bench();
    bench.acquire().await;
    site.store.edit_lease(NAMESPACE, LEASE, |lease| lease["spec"]["holderIdentity"] = json!(""));
    let seen = present(bench.read(0).await);
    assert_eq!((seen.holder, seen.write), (Holder::Vacant, None));
}

#[tokio::test]
async fn only_the_very_state_that_was_seen_is_replaced() {
    let site = Site::new(1);
    let mut bench = site.bench();
    let first = bench.acquire().await;
    site.store
        .edit_lease(NAMESPACE, LEASE, |lease| lease["spec"]["holderIdentity"] = json!("cp-2"));
    let conflict = LeaseAnswer::Failed(LeaseFailure::Conflict);
    let stale = bench.write(0, lease_write(WriteKind::Renew, Some(first.clone()))).await;
    assert_eq!(stale, conflict);
    let now = present(bench.read(0).await).version;
    let other = Version { uid: "00000000-0000-0000-0000-000000000000".into(), ..now };
    assert_eq!(bench.write(0, lease_write(WriteKind::Renew, Some(other))).await, conflict);
    assert_eq!(bench.write(0, lease_write(WriteKind::Acquire, None)).await, conflict, "it exists");
    assert_eq!(site.holder().as_deref(), Some("cp-2"));
}

#[tokio::test]
async fn a_deleted_lease_is_not_brought_back_by_a_renewal() {
    let site = Site::new(1);
    let mut bench = site.bench();
    let first = bench.acquire().await;
    site.store.delete_lease(NAMESPACE, LEASE);
    let answer = bench.write(0, lease_write(WriteKind::Renew, Some(first))).await;
    let expected = [LeaseFailure::Conflict, LeaseFailure::NotFound].map(LeaseAnswer::Failed);
    assert!(expected.contains(&answer), "{answer:?}");
    assert_eq!(site.holder(), None);
}

#[tokio::test]
async fn what_others_wrote_into_the_lease_is_kept() {
    let site = Site::new(1);
    let mut bench = site.bench();
    bench.acquire().await;
    site.store.edit_lease(NAMESPACE, LEASE, |lease| {
        lease["metadata"]["annotations"]["example.org/note"] = json!("kept");
        lease["metadata"]["labels"] = json!({"team": "a"});
    });
    let seen = present(bench.read(0).await).version;
    present(bench.write(0, lease_write(WriteKind::Renew, Some(seen))).await);
    let stored = site.store.lease(NAMESPACE, LEASE).unwrap();
    assert_eq!(stored["metadata"]["annotations"]["example.org/note"], "kept");
    assert_eq!(stored["metadata"]["labels"]["team"], "a");
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_recognised_by_a_read() {
    let site = Site::new(1);
    let mut bench = site.bench();
    let first = bench.acquire().await;
    site.servers[0].set_writes(Behaviour::DropAnswer);
    let lost = bench.write(0, lease_write(WriteKind::Renew, Some(first))).await;
    assert_eq!(lost, LeaseAnswer::Failed(LeaseFailure::Timeout));
    let attempt = bench.last_attempt();
    assert_eq!(present(bench.read(0).await).write, Some(attempt));
}

#[tokio::test]
async fn a_server_that_hangs_costs_one_second_and_nothing_afterwards() {
    let site = Site::new(1);
    let mut bench = site.bench();
    bench.acquire().await;
    site.servers[0].hang_all(true);
    // One over the kept connection, one over a new one.
    for _ in 0..2 {
        let started = Instant::now();
        assert_eq!(bench.read(0).await, LeaseAnswer::Failed(LeaseFailure::Timeout));
        let took = started.elapsed();
        assert!(took < Duration::from_millis(1500), "{took:?}");
    }
    site.servers[0].hang_all(false);
    present(bench.read(0).await);
    let slowest = bench.measured.lock().unwrap().iter().map(|(_, _, took)| *took).max();
    assert!(slowest < Some(Duration::from_millis(1500)), "{slowest:?}");
}

#[tokio::test]
async fn attempts_do_not_wait_for_each_other() {
    let site = Site::new(2);
    let mut bench = site.bench();
    bench.acquire().await;
    site.servers[0].hang_all(true);
    let hanging = AttemptId(1000);
    bench.command(ClusterCommand::Read { attempt: hanging, server: ServerId::LOCAL }).await;
    present(bench.read(1).await);
    let late = bench.watched_until(|event| matches!(event, Event::LeaseAnswered { .. })).await;
    let answer = LeaseAnswer::Failed(LeaseFailure::Timeout);
    assert_eq!(late, Event::LeaseAnswered { attempt: hanging, answer });
}

#[tokio::test]
async fn a_take_over_reads_and_writes_over_one_connection() {
    let site = Site::new(2);
    let mut bench = site.bench();
    // The second server: neither the watch nor anything else is there.
    assert_eq!(bench.read(1).await, LeaseAnswer::Read(Observed::Absent));
    assert_eq!(site.servers[1].connections(), 1);
    present(bench.write(1, lease_write(WriteKind::Acquire, None)).await);
    assert_eq!(site.servers[1].connections(), 1);
}

#[tokio::test]
async fn every_failure_has_its_name() {
    let site = Site::new(1);
    let mut bench = site.bench();
    let server = &site.servers[0];
    let first = bench.acquire().await;
    for (status, failure) in [
        (400, LeaseFailure::Invalid),
        (422, LeaseFailure::Invalid),
        (429, LeaseFailure::Unavailable),
        (500, LeaseFailure::Unavailable),
        (503, LeaseFailure::Unavailable),
    ] {
        server.set_writes(Behaviour::Status(status));
        let answer = bench.write(0, lease_write(WriteKind::Renew, Some(first.clone()))).await;
        assert_eq!(answer, LeaseAnswer::Failed(failure), "{status}");
    }
    server.set_writes(Behaviour::Normal);
    // A server that does not serve Leases yet says 404, too: that is no absent Lease.
    server.set_reads(Behaviour::Status(404));
    assert_eq!(bench.read(0).await, LeaseAnswer::Failed(LeaseFailure::Malformed));
    server.set_reads(Behaviour::Normal);
    for (auth, failure) in [
        (Auth::Unauthorised, LeaseFailure::Unauthorised),
        (Auth::Forbidden, LeaseFailure::Forbidden),
    ] {
        server.set_auth(auth);
        assert_eq!(bench.read(0).await, LeaseAnswer::Failed(failure));
    }
    server.set_auth(Auth::Allow);
    server.kill();
    assert_eq!(bench.read(0).await, LeaseAnswer::Failed(LeaseFailure::Refused));
    assert_eq!(bench.read(7).await, LeaseAnswer::Failed(LeaseFailure::Refused), "unknown server");
    server.restart().unwrap();
    present(bench.read(0).await);
}

#[tokio::test]
async fn a_lease_of_nonsense_is_read() {
    let site = Site::new(1);
    let mut bench = site.bench();
    let long = "x".repeat(200_000);
    for (annotations, spec) in [
        (json!({}), json!({})),
        (
            json!({"pintle.dev/lease-duration": "///", "pintle.dev/mac": long}),
            json!({"holderIdentity": long}),
        ),
        (
            json!({}),
            json!({"holderIdentity": "", "leaseDurationSeconds": i32::MAX, "leaseTransitions": i32::MIN}),
        ),
        (
            json!({}),
            json!({"leaseDurationSeconds": -1, "renewTime": "9999-12-31T23:59:59.999999Z"}),
        ),
    ] {
        site.store.put_lease(NAMESPACE, LEASE, annotations, spec);
        present(bench.read(0).await);
    }
}

#[tokio::test]
async fn a_server_of_another_cluster_is_refused_and_named() {
    let (log, _guard) = Log::start();
    let mut site = Site::new(0);
    let stranger = certs::ClusterCa::generate("kubernetes").unwrap();
    let names = certs::api_server_names(&[]);
    let serving = stranger.issue_serving(&names, Validity::Current).unwrap();
    let tls = TlsIdentity {
        cert_chain_pem: serving.certificate_pem,
        key_pem: serving.key_pem,
        client_ca_pem: None,
    };
    let any = "127.0.0.1:0".parse().unwrap();
    site.servers.push(StandIn::start_on_thread(None, any, site.store.clone(), &tls).unwrap());
    let mut bench = site.bench();
    for _ in 0..3 {
        assert_eq!(bench.read(0).await, LeaseAnswer::Failed(LeaseFailure::Refused));
    }
    let lines = log.lines_with("An API server is not trusted");
    assert_eq!(lines.len(), 1, "one a minute, whatever was asked of it: {lines:?}");
    assert!(lines[0].contains("not signed by the CA of the kubeconfig"), "{lines:?}");
    assert!(lines[0].contains(&site.servers[0].address().to_string()), "{lines:?}");
    let asked = site.servers[0].request_counts();
    assert_eq!((asked.reads, asked.writes), (0, 0), "nothing was said to it");
}

#[tokio::test]
async fn a_server_is_verified_under_the_configured_name() {
    let (log, _guard) = Log::start();
    let site = Site::new(1);
    site.write_kubeconfig("admin.conf", &site.admin());
    let mut bench = site.bare_bench("api.example.org");
    assert_eq!(bench.read(0).await, LeaseAnswer::Failed(LeaseFailure::Refused));
    let lines = log.lines_with("An API server is not trusted");
    assert!(
        lines[0].contains("api.example.org") && lines[0].contains("kubernetes.default"),
        "{lines:?}"
    );
}
