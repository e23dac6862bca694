//! The crate under test with its channels in hand.

use std::net::SocketAddr;
use std::time::Duration;

use pintle_core::config::Probe;
use pintle_core::{ClusterCa, Event, ProbeOutcome, ProbePace, Server, ServerId};
use pintle_probe::ProbeConfig;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::tls::{Ca, NAME};

/// Beyond every wait of a test: what is due "next period" is not seen at all.
pub(crate) const NEVER: Duration = Duration::from_secs(600);

/// The bound of a probe in tests that do not wait for it.
pub(crate) const PATIENT: Duration = Duration::from_secs(30);

/// "At once" on a busy machine, and half of what the relaxed pace waits.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// So long must nothing come where nothing should: what is wrong comes within milliseconds.
pub(crate) const QUIET: Duration = Duration::from_millis(200);

pub(crate) struct Probing {
    pub(crate) targets: watch::Sender<Vec<Server>>,
    pub(crate) pace: watch::Sender<ProbePace>,
    pub(crate) ca: watch::Sender<Option<ClusterCa>>,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) supervisor: JoinHandle<()>,
}

pub(crate) fn local(address: SocketAddr) -> Server {
    Server { id: ServerId::LOCAL, address }
}

pub(crate) fn peer(id: u16, address: SocketAddr) -> Server {
    Server { id: ServerId(id), address }
}

impl Probing {
    /// Probes one local server that has a certificate of `ca`.
    pub(crate) fn of(address: SocketAddr, ca: &Ca, period: Duration, timeout: Duration) -> Self {
        Self::start(vec![local(address)], Some(ca.trust()), period, timeout)
    }

    pub(crate) fn start(
        targets: Vec<Server>,
        ca: Option<ClusterCa>,
        period: Duration,
        timeout: Duration,
    ) -> Self {
        let config = ProbeConfig {
            probe: Probe {
                path: "/readyz".into(),
                period,
                timeout,
                failure_threshold: 3,
                success_threshold: 2,
            },
            server_name: NAME.into(),
        };
        let (targets, following) = watch::channel(targets);
        let (pace, paced) = watch::channel(ProbePace::Relaxed);
        let (ca, trusted) = watch::channel(ca);
        let (sender, events) = mpsc::channel(64);
        let supervisor = pintle_probe::start(config, following, paced, trusted, sender).unwrap();
        Self { targets, pace, ca, events, supervisor }
    }

    /// The next outcome, whenever it comes.
    pub(crate) async fn next(&mut self) -> ProbeOutcome {
        self.next_of_any(Duration::from_secs(20)).await.expect("no outcome in 20 s").1
    }

    /// The next outcome, if it comes at once.
    pub(crate) async fn soon(&mut self) -> Option<ProbeOutcome> {
        self.next_of_any(SOON).await.map(|(_, outcome)| outcome)
    }

    /// An outcome that should not come.
    pub(crate) async fn unexpected(&mut self) -> Option<(ServerId, ProbeOutcome)> {
        self.next_of_any(QUIET).await
    }

    pub(crate) async fn next_of_any(
        &mut self,
        within: Duration,
    ) -> Option<(ServerId, ProbeOutcome)> {
        match timeout(within, self.events.recv()).await {
            Err(_) => None,
            Ok(Some(Event::Probed { server, outcome })) => Some((server, outcome)),
            Ok(other) => panic!("not a probe's outcome: {other:?}"),
        }
    }
}
