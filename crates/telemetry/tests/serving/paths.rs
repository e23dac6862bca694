//! Each path, in each state.

use std::time::Duration;

use pintle_core::command::{Direction, Reason, Transition};
use pintle_telemetry::{
    Account, FailoverStatus, ProxyPublished, ProxyReport, ServeError, StatusReport, serve,
};
use tokio::sync::watch;

use crate::client::{ask, get};
use crate::daemon::{Daemon, advance, now, sources, telemetry};

#[tokio::test]
async fn livez_follows_the_heartbeat() {
    let daemon = Daemon::start();
    assert_eq!(get(daemon.address(), "/livez").await.status, 200);
    advance(Duration::from_millis(4999));
    assert_eq!(get(daemon.address(), "/livez").await.status, 200);
    advance(Duration::from_millis(1));
    let reply = get(daemon.address(), "/livez").await;
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains("5000 ms"), "{}", reply.body);
    daemon.heartbeat.beat(now());
    let reply = get(daemon.address(), "/livez").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "ok\n"));
}

#[tokio::test]
async fn readyz_says_which_is_missing() {
    let daemon = Daemon::start();
    let reply = get(daemon.address(), "/readyz").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "ok\n"));
    type Change = fn(&mut pintle_telemetry::Published);
    let table: [(Change, &str); 3] = [
        (|published| published.is_started = false, "[-]started failed"),
        (|published| published.report.watching = false, "[-]watch failed"),
        (|published| published.is_shutting_down = true, "[-]not-shutting-down failed"),
    ];
    for (change, expected) in table {
        let well = daemon.status.borrow().clone();
        daemon.status.send_modify(change);
        let reply = get(daemon.address(), "/readyz").await;
        assert_eq!(reply.status, 503, "{expected}");
        assert!(reply.body.lines().any(|line| line == expected), "{expected}: {}", reply.body);
        assert_eq!(reply.body.matches("[-]").count(), 1, "{}", reply.body);
        daemon.status.send_replace(well);
    }
}

#[tokio::test]
async fn a_worker_s_proxy_is_ready_when_it_listens_and_a_backend_can_be_used() {
    let (_control_plane, mut sources) = sources();
    let report = ProxyReport { usable: true, role: "proxy".into(), ..ProxyReport::default() };
    let is_shutting_down = false;
    let well = ProxyPublished { report, since: now(), is_started: true, is_shutting_down };
    let (published, status) = watch::channel(well.clone());
    sources.status = Account::Proxy(status);
    let server = serve(&telemetry(), sources).unwrap();
    assert_eq!(get(server.address, "/readyz").await.status, 200);
    type Change = fn(&mut ProxyPublished);
    let table: [(Change, &str); 3] = [
        (|published| published.is_started = false, "[-]listening failed"),
        (|published| published.report.usable = false, "[-]backend failed"),
        (|published| published.is_shutting_down = true, "[-]not-shutting-down failed"),
    ];
    for (change, expected) in table {
        published.send_modify(change);
        let reply = get(server.address, "/readyz").await;
        assert_eq!(reply.status, 503, "{expected}");
        assert!(reply.body.lines().any(|line| line == expected), "{expected}: {}", reply.body);
        published.send_replace(well.clone());
    }
    advance(Duration::from_secs(2));
    let told: ProxyReport =
        serde_json::from_str(&get(server.address, "/status").await.body).unwrap();
    assert_eq!((told.role.as_str(), told.since), ("proxy", 2.0));
}

#[tokio::test]
async fn status_is_the_report_at_the_moment_of_asking() {
    let daemon = Daemon::start();
    let transition = Transition {
        direction: Direction::Acquired,
        from: Some("cp-2".into()),
        to: Some("cp-1".into()),
        reason: Reason::Expired,
        detect: Duration::from_millis(2500),
        lease: Duration::from_micros(4100),
        bind: Duration::from_nanos(300_400),
        announce: Duration::ZERO,
    };
    daemon.status.send_modify(|published| {
        published.report.last_failover = Some(FailoverStatus::from(&transition));
    });
    advance(Duration::from_millis(1500));
    let reply = get(daemon.address(), "/status").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let json: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(json["node"], "cp-1");
    assert_eq!(json["since"], 1.5);
    assert_eq!(json["vips"][0]["bound"], true);
    assert_eq!(json["last_failover"]["reason"], "expired");
    assert_eq!(json["last_failover"]["detect_ms"], 2500.0);
    assert_eq!(json["last_failover"]["lease_ms"], 4.1);
    assert_eq!(json["last_failover"]["bind_ms"], 0.3);
    // `pintle status` reads the same type back.
    let report: StatusReport = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(report, daemon.status.borrow().report_at(now()));
}

#[tokio::test]
async fn metrics_are_openmetrics_on_both_addresses() {
    let daemon = Daemon::start();
    daemon.metrics.leader(true);
    for address in [daemon.address(), daemon.server.metrics_address.unwrap()] {
        let reply = get(address, "/metrics").await;
        assert_eq!(reply.status, 200);
        let expected = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(reply.header("content-type"), Some(expected));
        assert!(reply.body.contains("\npintle_leader{lease=\"pintle\"} 1\n"), "{}", reply.body);
        assert!(reply.body.ends_with("# EOF\n"));
    }
}

#[tokio::test]
async fn the_second_address_serves_metrics_alone() {
    let daemon = Daemon::start();
    let address = daemon.server.metrics_address.unwrap();
    for path in ["/livez", "/readyz", "/status", "/"] {
        let reply = get(address, path).await;
        assert_eq!((reply.status, reply.body.as_str()), (404, "served here: /metrics\n"), "{path}");
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_with_a_hint() {
    let daemon = Daemon::start();
    for path in ["/", "/livez/", "/metrics/x", "/LIVEZ"] {
        let reply = get(daemon.address(), path).await;
        assert_eq!(reply.status, 404, "{path}");
        assert_eq!(reply.body, "served here: /livez /readyz /metrics /status\n");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let reply = ask(daemon.address(), method, "/livez").await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some("get, head")), "{method}");
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let daemon = Daemon::start();
    for path in ["/livez", "/readyz", "/metrics", "/status", "/nowhere"] {
        let (full, head) =
            (get(daemon.address(), path).await, ask(daemon.address(), "HEAD", path).await);
        assert_eq!((head.status, head.body.as_str()), (full.status, ""), "{path}");
        assert_eq!(head.header("content-length"), full.header("content-length"), "{path}");
        assert_eq!(full.header("content-length"), Some(full.body.len().to_string().as_str()));
        assert_eq!(head.header("content-type"), full.header("content-type"), "{path}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_with_its_key() {
    let daemon = Daemon::start();
    let mut config = telemetry();
    config.metrics_address = Some(daemon.address());
    let error = serve(&config, sources().1).unwrap_err();
    let ServeError::Listen { address, key, .. } = &error;
    assert_eq!((*address, *key), (daemon.address(), "metricsAddress"));
    assert!(error.to_string().contains("telemetry.metricsAddress"), "{error}");
}

#[tokio::test]
async fn a_dropped_server_frees_its_addresses() {
    let daemon = Daemon::start();
    let address = daemon.address();
    assert_eq!(get(address, "/livez").await.status, 200);
    drop(daemon);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
