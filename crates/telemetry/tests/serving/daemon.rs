//! What a daemon publishes, under the test's hands.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use pintle_core::config::{LogFormat, LogLevel, Telemetry};
use pintle_core::{Instant, Vip};
use pintle_telemetry::{
    Account, BoundServer, Heartbeat, Metrics, Published, Sources, StatusReport, VipStatus, serve,
};
use tokio::sync::watch;

thread_local! {
    /// A test and its server share one thread, and so one clock.
    static NOW: Cell<Instant> = const { Cell::new(Instant::from_nanos(0)) };
}

pub(crate) fn now() -> Instant {
    NOW.get()
}

pub(crate) fn advance(by: Duration) {
    NOW.set(now() + by);
}

pub(crate) struct Daemon {
    pub(crate) server: BoundServer,
    pub(crate) status: watch::Sender<Published>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) metrics: Metrics,
}

pub(crate) fn telemetry() -> Telemetry {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Telemetry {
        address: any,
        metrics_address: Some(any),
        log: LogLevel::Info,
        format: LogFormat::Text,
    }
}

pub(crate) fn sources() -> (watch::Sender<Published>, Sources) {
    NOW.set(Instant::from_nanos(1_000_000_000_000));
    let report = StatusReport {
        node: "cp-1".into(),
        role: "leader".into(),
        vips: vec![VipStatus { address: "192.0.2.10".into(), bound: true }],
        watching: true,
        ..StatusReport::default()
    };
    let published = Published { report, since: now(), is_started: true, is_shutting_down: false };
    let (sender, status) = watch::channel(published);
    let vip = Vip("192.0.2.10".parse().unwrap());
    let metrics = Metrics::new("1.2.3", "pintle", &[vip]);
    let status = Account::ControlPlane(status);
    (sender, Sources { status, heartbeat: Heartbeat::new(now()), now, metrics })
}

impl Daemon {
    /// All is well with it.
    pub(crate) fn start() -> Self {
        let (status, sources) = sources();
        let (heartbeat, metrics) = (sources.heartbeat.clone(), sources.metrics.clone());
        Self { server: serve(&telemetry(), sources).unwrap(), status, heartbeat, metrics }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }
}
