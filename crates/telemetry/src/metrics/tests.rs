//! The contract's names and labels, and the bounds of the labels.

use pintle_core::command::Reason;

use super::*;

fn metrics() -> Metrics {
    Metrics::new("1.2.3", "pintle", &[Vip("192.0.2.10".parse().unwrap())])
}

fn acquired(reason: Reason) -> Transition {
    Transition {
        direction: Direction::Acquired,
        from: None,
        to: Some("cp-1".into()),
        reason,
        detect: Duration::from_millis(2500),
        lease: Duration::from_millis(4),
        bind: Duration::from_micros(300),
        announce: Duration::from_micros(200),
    }
}

#[track_caller]
fn assert_has(page: &str, line: &str) {
    assert!(page.lines().any(|found| found == line), "no {line:?} in\n{page}");
}

#[test]
fn names_and_labels_are_the_contract() {
    let metrics = metrics();
    metrics.leader(true);
    metrics.vip_bound(Vip("192.0.2.10".parse().unwrap()), true);
    metrics.transition(&acquired(Reason::Expired));
    metrics.lease_request("update", "success", Duration::from_millis(4));
    metrics.probed(ServerId::LOCAL, &ProbeOutcome::Ready);
    metrics.probed(ServerId(2), &ProbeOutcome::NotReady(vec!["etcd".into()]));
    metrics.follow_net(|| NetTotals {
        vip_restored: 1,
        address_conflicts: 2,
        gratuitous_arp_requests: 3,
        gratuitous_arp_replies: 4,
        unsolicited_nas: 5,
    });
    let page = metrics.encode();
    for line in [
        r#"pintle_build_info{version="1.2.3"} 1"#,
        r#"pintle_leader{lease="pintle"} 1"#,
        r#"pintle_lease_transitions_total{reason="expired"} 1"#,
        r#"pintle_lease_request_duration_seconds_count{verb="update",outcome="success"} 1"#,
        r#"pintle_lease_request_duration_seconds_bucket{le="0.0025",verb="update",outcome="success"} 0"#,
        r#"pintle_lease_request_duration_seconds_bucket{le="0.005",verb="update",outcome="success"} 1"#,
        r#"pintle_vip_bound{address="192.0.2.10"} 1"#,
        "pintle_vip_restored_total 1",
        "pintle_address_conflicts_total 2",
        r#"pintle_announcements_total{form="gratuitous_arp_request"} 3"#,
        r#"pintle_announcements_total{form="gratuitous_arp_reply"} 4"#,
        r#"pintle_announcements_total{form="unsolicited_na"} 5"#,
        r#"pintle_probe_outcomes_total{target="local",outcome="ready"} 1"#,
        r#"pintle_probe_outcomes_total{target="peer-2",outcome="not_ready"} 1"#,
        r#"pintle_apiserver_ready{target="local"} 1"#,
        r#"pintle_apiserver_ready{target="peer-2"} 0"#,
        r#"pintle_failover_duration_seconds_sum{phase="detect"} 2.5"#,
        r#"pintle_failover_duration_seconds_count{phase="lease"} 1"#,
        r#"pintle_failover_duration_seconds_count{phase="bind"} 1"#,
        r#"pintle_failover_duration_seconds_count{phase="announce"} 1"#,
        "# EOF",
    ] {
        assert_has(&page, line);
    }
}

#[test]
fn what_can_be_zero_is_there_from_the_start() {
    let page = metrics().encode();
    assert_has(&page, r#"pintle_leader{lease="pintle"} 0"#);
    assert_has(&page, r#"pintle_vip_bound{address="192.0.2.10"} 0"#);
    assert_has(&page, "pintle_vip_restored_total 0");
    assert_has(&page, "pintle_address_conflicts_total 0");
}

#[test]
fn only_the_way_to_this_node_is_timed() {
    let metrics = metrics();
    let lost = Transition { direction: Direction::Lost, ..acquired(Reason::Shutdown) };
    metrics.transition(&lost);
    let page = metrics.encode();
    assert_has(&page, r#"pintle_lease_transitions_total{reason="shutdown"} 1"#);
    assert!(!page.contains("phase="), "{page}");
}

#[test]
fn a_server_that_is_gone_leaves_no_series() {
    let metrics = metrics();
    metrics.probed(ServerId::LOCAL, &ProbeOutcome::Ready);
    let outcomes = [
        ProbeOutcome::Ready,
        ProbeOutcome::Draining,
        ProbeOutcome::NotReady(vec![]),
        ProbeOutcome::Refused,
        ProbeOutcome::Timeout,
        ProbeOutcome::TlsFailed(String::new()),
        ProbeOutcome::Unauthorised,
    ];
    for outcome in outcomes {
        metrics.probed(ServerId(1), &outcome);
    }
    assert!(metrics.encode().contains("peer-1"));
    metrics.retain_peers(&[]);
    let page = metrics.encode();
    assert!(!page.contains("peer-1"), "{page}");
    assert_has(&page, r#"pintle_apiserver_ready{target="local"} 1"#);
}

#[test]
fn the_number_of_servers_with_series_is_bounded() {
    let metrics = metrics();
    for id in 0..1000 {
        metrics.probed(ServerId(id), &ProbeOutcome::Ready);
    }
    let page = metrics.encode();
    let count = page.lines().filter(|line| line.starts_with("pintle_apiserver_ready{")).count();
    assert_eq!(count, MAX_SERVERS);
    metrics.retain_peers(&[]);
    metrics.probed(ServerId(999), &ProbeOutcome::Ready);
    assert_has(&metrics.encode(), r#"pintle_apiserver_ready{target="peer-999"} 1"#);
}

#[test]
fn a_worker_s_proxy_says_nothing_of_a_lease_or_a_vip() {
    let metrics = Metrics::of_proxy("1.2.3");
    metrics.probed(ServerId(1), &ProbeOutcome::Ready);
    let page = metrics.encode();
    assert_has(&page, "pintle_build_info{version=\"1.2.3\"} 1");
    assert_has(&page, "pintle_apiserver_ready{target=\"peer-1\"} 1");
    for absent in ["pintle_leader", "pintle_vip_bound", "lease", "announcements"] {
        assert!(!page.contains(absent), "{absent} in\n{page}");
    }
}
