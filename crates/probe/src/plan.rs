//! What every probe has in common, checked once so that a probe cannot fail for its configuration.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};
use pintle_core::config::Probe;
use pintle_core::{ProbePace, ServerId};
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::time::Instant;

/// From one probe of another API server to the next while the local one is well (design §4.3): often
/// enough to know them, rare enough to cost a three-node cluster one request a second.
const RELAXED_PERIOD: Duration = Duration::from_secs(2);

/// How to probe, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeConfig {
    /// Path, period, timeout. The thresholds are the core's business.
    pub probe: Probe,
    /// The name that every certificate is verified under.
    pub server_name: String,
}

/// Why probing cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The path cannot stand in a request.
    #[error(
        "probe path {path:?} cannot stand in a request: write an absolute path such as /readyz"
    )]
    Path {
        /// As configured.
        path: String,
    },
    /// The server name is neither a DNS name nor an address.
    #[error("server name {name:?} is neither a DNS name nor an address")]
    ServerName {
        /// As configured.
        name: String,
    },
}

/// A checked [`ProbeConfig`].
#[derive(Debug)]
pub(crate) struct Plan {
    path: Uri,
    pub(crate) server_name: ServerName<'static>,
    pub(crate) period: Duration,
    pub(crate) timeout: Duration,
    /// Probes are due whole periods after this, so that one waking serves all targets.
    epoch: Instant,
}

// === impl Plan ===

impl Plan {
    pub(crate) fn new(config: ProbeConfig) -> Result<Self, StartError> {
        let ProbeConfig { probe, server_name } = config;
        let path = match probe.path.parse::<Uri>() {
            Ok(uri) if probe.path.starts_with('/') => uri,
            Ok(_) | Err(_) => return Err(StartError::Path { path: probe.path }),
        };
        let Ok(server_name) = ServerName::try_from(server_name.clone()) else {
            return Err(StartError::ServerName { name: server_name });
        };
        let Probe { period, timeout, .. } = probe;
        Ok(Self { path, server_name, period, timeout, epoch: Instant::now() })
    }

    /// When the next probe of `server` is due after one that began at `started_at`: an interval later,
    /// give or take what brings it on the common beat.
    pub(crate) fn next_due(
        &self,
        started_at: Instant,
        server: ServerId,
        pace: ProbePace,
    ) -> Instant {
        let earliest = started_at + self.interval(server, pace) - self.period / 4;
        let since_epoch = earliest.saturating_duration_since(self.epoch);
        let beat = since_epoch.as_nanos().next_multiple_of(self.period.as_nanos().max(1));
        // In nanoseconds, five centuries fit.
        self.epoch + Duration::from_nanos(u64::try_from(beat).unwrap_or(u64::MAX))
    }

    /// From the start of one probe of `server` to the start of the next.
    fn interval(&self, server: ServerId, pace: ProbePace) -> Duration {
        match pace {
            ProbePace::Relaxed if server != ServerId::LOCAL => self.period.max(RELAXED_PERIOD),
            ProbePace::Relaxed | ProbePace::Brisk => self.period,
        }
    }

    pub(crate) fn request(&self, address: SocketAddr) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        // A socket address is printable ASCII, so the fallback is never taken; API servers do not
        // look at the field, HTTP/1.1 only demands it (RFC 9112 §3.2).
        let host = HeaderValue::try_from(address.to_string());
        headers.insert(HOST, host.unwrap_or_else(|_| HeaderValue::from_static("kubernetes")));
        let agent = concat!("pintle-probe/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(path: &str, server_name: &str) -> Result<Plan, StartError> {
        Plan::new(ProbeConfig {
            probe: Probe {
                path: path.into(),
                period: Duration::from_millis(500),
                timeout: Duration::from_millis(700),
                failure_threshold: 3,
                success_threshold: 2,
            },
            server_name: server_name.into(),
        })
    }

    #[test]
    fn a_path_or_name_that_cannot_be_asked_for_is_refused() {
        for path in ["", "readyz", "/ready z", "https://127.0.0.1/readyz", "*"] {
            assert!(matches!(plan(path, "kubernetes"), Err(StartError::Path { .. })), "{path:?}");
        }
        for name in ["", "kuber netes", "-"] {
            assert!(
                matches!(plan("/readyz", name), Err(StartError::ServerName { .. })),
                "{name:?}"
            );
        }
        assert!(plan("/readyz?exclude=etcd", "10.96.0.1").is_ok());
    }

    #[test]
    fn only_the_others_are_ever_relaxed() {
        let plan = plan("/readyz", "kubernetes").unwrap();
        let (peer, brisk) = (ServerId(1), Duration::from_millis(500));
        assert_eq!(plan.interval(ServerId::LOCAL, ProbePace::Relaxed), brisk);
        assert_eq!(plan.interval(peer, ProbePace::Brisk), brisk);
        assert_eq!(plan.interval(peer, ProbePace::Relaxed), Duration::from_secs(2));
    }

    #[test]
    fn all_are_due_on_one_beat() {
        let plan = plan("/readyz", "kubernetes").unwrap();
        let ms = Duration::from_millis;
        let due = |began: u64, server: u16, pace| {
            plan.next_due(plan.epoch + ms(began), ServerId(server), pace) - plan.epoch
        };
        let (relaxed, brisk) = (ProbePace::Relaxed, ProbePace::Brisk);
        // When it began on the beat, or late on it.
        assert_eq!((due(0, 0, relaxed), due(1003, 0, relaxed)), (ms(500), ms(1500)));
        assert_eq!((due(500, 1, relaxed), due(507, 1, relaxed)), (ms(2500), ms(2500)));
        assert_eq!(due(507, 1, brisk), ms(1000));
        // Beside the beat it is back on it by the next, never much less than an interval later.
        assert_eq!((due(100, 0, relaxed), due(200, 0, relaxed)), (ms(500), ms(1000)));
    }
}
