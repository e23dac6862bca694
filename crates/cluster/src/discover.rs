//! Where the API servers are, as a worker may know it: by the EndpointSlices where its credentials may list
//! them, else by `endpoints/kubernetes`, which a kubelet's may get.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{self, EndpointSubset};
use pintle_core::{ClusterCa, Endpoints, LeaseFailure, Server};
use rustls_pki_types::ServerName;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::api::{ATTEMPT_TIMEOUT, get, parse};
use crate::aside::Aside;
use crate::chain::Chain;
use crate::endpoints::memory::Memory;
use crate::endpoints::{self, FIRST_BACKOFF, SETTLE_TIME};
use crate::source::Source;
use crate::start::{StartError, sources};
use crate::transport::Transport;
use crate::upkeep;

const PATH: &str = "/api/v1/namespaces/default/endpoints/kubernetes";

/// From one look to the next where there is no watch: kube-apiserver itself takes 15 s to take one that died
/// out of the list, and a thousand workers ask a hundred times a second.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// Who may not list slices today is asked again: somebody may have applied the role.
const SLICES_RETRY_INTERVAL: Duration = Duration::from_secs(600);

/// An API server that has just started refuses everyone until it has read its roles, 1-3 s long: the second
/// refusal in a row is told.
const REFUSALS_UNTIL_TOLD: u32 = 2;

/// With which credentials.
#[derive(Clone, Debug)]
pub struct DiscoveryConfig {
    /// Kubeconfigs, best first.
    pub kubeconfigs: Vec<PathBuf>,
    /// The last of the chain: a directory with `token` and `ca.crt`, usually [`crate::SERVICE_ACCOUNT`].
    pub service_account: PathBuf,
    /// The name that the API servers' certificates are verified under.
    pub server_name: String,
}

/// What the cluster says of its API servers, remembered while none answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// Where they are.
    pub endpoints: Endpoints,
    /// How that is known.
    pub way: Way,
}

/// How the API servers' addresses are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// No API server has answered yet.
    #[default]
    Unknown,
    /// By a watch on the EndpointSlices.
    EndpointSlices,
    /// By a look at `endpoints/kubernetes`, each 10 s.
    Endpoints,
    /// The credentials may do neither.
    Refused,
}

/// The tasks. Dropping it ends them all.
#[derive(Debug)]
pub struct Discovering {
    _tasks: JoinSet<()>,
}

/// The one task's state.
struct Discovery {
    aside: Aside,
    servers: watch::Receiver<Vec<Server>>,
    found: watch::Sender<Discovered>,
    memory: Memory,
    /// The server that answered last.
    place: usize,
    ask_slices_at: Instant,
    refusals: u32,
}

/// What a round of questions came to.
enum Round {
    /// A list, and from where a watch goes on.
    Slices { server: SocketAddr, version: String },
    /// A list that has to be asked for again.
    Endpoints,
    /// They answer, and not this.
    Refused(LeaseFailure),
    /// Nobody answers.
    Silence,
}

// === impl Way ===

impl Way {
    /// The word in `/status`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::EndpointSlices => "endpointslices",
            Self::Endpoints => "endpoints",
            Self::Refused => "refused",
        }
    }
}

/// Starts the tasks on the current runtime: `servers` are whom to ask, `found` gets what they say (whoever
/// is told may add it to `servers`), `ca` the CAs of the credentials.
///
/// # Errors
/// When the server name cannot be used.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn discover(
    config: DiscoveryConfig,
    servers: watch::Receiver<Vec<Server>>,
    found: watch::Sender<Discovered>,
    ca: watch::Sender<Option<ClusterCa>>,
) -> Result<Discovering, StartError> {
    let name = ServerName::try_from(config.server_name.clone())
        .map_err(|_| StartError::ServerName(config.server_name))?;
    let sources = sources(config.kubeconfigs, config.service_account);
    let chain = Arc::new(Chain::new(sources.iter().map(Source::path), ca));
    let mut tasks = JoinSet::new();
    for (place, source) in sources.into_iter().enumerate() {
        tasks.spawn(upkeep::keep_looking(Arc::clone(&chain), place, source));
    }
    let transport = Transport::new(name, Arc::default());
    let discovery = Discovery {
        aside: Aside { chain, transport, is_judge: true },
        servers,
        found,
        memory: Memory::default(),
        place: 0,
        ask_slices_at: Instant::now(),
        refusals: 0,
    };
    tasks.spawn(discovery.run());
    Ok(Discovering { _tasks: tasks })
}

// === impl Discovery ===

impl Discovery {
    /// Runs for ever. Cancel-safe.
    async fn run(mut self) {
        let mut backoff = FIRST_BACKOFF;
        loop {
            let servers = self.servers();
            let serials = self.aside.chain.serials();
            self.aside.transport.retain(|server, credential| {
                servers.contains(&server) && serials.contains(&credential)
            });
            let round = self.round(&servers).await;
            let is_silent = matches!(round, Round::Silence);
            let pause = match round {
                Round::Slices { server, version } => {
                    endpoints::wait_for_change(&self.aside, server, &version).await;
                    SETTLE_TIME
                }
                Round::Endpoints => POLL_INTERVAL,
                Round::Refused(failure) => {
                    self.refused(failure);
                    POLL_INTERVAL
                }
                Round::Silence => backoff,
            };
            backoff = if is_silent { (backoff * 2).min(POLL_INTERVAL) } else { FIRST_BACKOFF };
            sleep(pause).await;
        }
    }

    fn servers(&self) -> Vec<SocketAddr> {
        self.servers.borrow().iter().map(|server| server.address).collect()
    }

    /// Asks one server after the other until one tells.
    async fn round(&mut self, servers: &[SocketAddr]) -> Round {
        let mut round = Round::Silence;
        for _ in 0..servers.len() {
            let server = servers[self.place % servers.len()];
            match self.ask(server).await {
                Ok(told) => return told,
                Err(failure @ (LeaseFailure::Forbidden | LeaseFailure::Unauthorised)) => {
                    round = Round::Refused(failure);
                }
                Err(failure) => {
                    tracing::debug!(%server, failure = failure.label(), "No word of the API servers");
                }
            }
            self.place = (self.place + 1) % servers.len();
        }
        round
    }

    async fn ask(&mut self, server: SocketAddr) -> Result<Round, LeaseFailure> {
        if Instant::now() >= self.ask_slices_at {
            match endpoints::list(&self.aside, server).await {
                Ok(slices) => {
                    self.learn(endpoints::addresses(&slices.items), Way::EndpointSlices);
                    let version = slices.metadata.resource_version;
                    return Ok(Round::Slices { server, version });
                }
                Err(LeaseFailure::Forbidden | LeaseFailure::NotFound) => {}
                Err(failure) => return Err(failure),
            }
        }
        let asking = async { parse(self.aside.send(server, get(PATH.into())).await?).await };
        let endpoints: v1::Endpoints =
            timeout(ATTEMPT_TIMEOUT, asking).await.unwrap_or(Err(LeaseFailure::Timeout))?;
        if Instant::now() >= self.ask_slices_at {
            self.ask_slices_at = Instant::now() + SLICES_RETRY_INTERVAL;
        }
        self.learn(addresses(&endpoints.subsets.unwrap_or_default()), Way::Endpoints);
        Ok(Round::Endpoints)
    }

    fn learn(&mut self, listed: BTreeSet<SocketAddr>, way: Way) {
        if std::mem::take(&mut self.refusals) >= REFUSALS_UNTIL_TOLD {
            tracing::info!("Allowed to read the API servers' addresses");
        }
        self.memory.learn(listed, Instant::now());
        let endpoints = self.memory.endpoints();
        self.publish(|found| *found = Discovered { endpoints, way });
    }

    fn refused(&mut self, failure: LeaseFailure) {
        // Whichever is allowed first is to be noticed.
        self.ask_slices_at = Instant::now();
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals == REFUSALS_UNTIL_TOLD {
            tracing::warn!(
                reason = failure.label(),
                "Not allowed to read the API servers' addresses, those that are known are used: apply what \
                 `pintle manifest rbac --proxy` prints"
            );
            self.publish(|found| found.way = Way::Refused);
        }
    }

    fn publish(&self, change: impl FnOnce(&mut Discovered)) {
        self.found.send_if_modified(|found| {
            let before = found.clone();
            change(found);
            *found != before
        });
    }
}

/// Every address with the port named `https`, ready or not: whether it can be used is found out by using it.
fn addresses(subsets: &[EndpointSubset]) -> BTreeSet<SocketAddr> {
    let mut found = BTreeSet::new();
    for subset in subsets {
        let ports = subset.ports.iter().flatten();
        let https = ports.filter(|port| port.name.as_deref() == Some("https"));
        for port in https.filter_map(|port| u16::try_from(port.port).ok()) {
            let all = subset.addresses.iter().chain(&subset.not_ready_addresses).flatten();
            let parsed = all.filter_map(|address| address.ip.parse().ok());
            found.extend(parsed.map(|ip: IpAddr| SocketAddr::new(ip, port)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_endpoints_are_taken_ready_or_not() {
        let subsets: Vec<EndpointSubset> = serde_json::from_value(serde_json::json!([
            {"addresses": [{"ip": "192.0.2.1"}, {"ip": "not an address"}],
             "notReadyAddresses": [{"ip": "2001:db8::1"}],
             "ports": [{"name": "metrics", "port": 9}, {"name": "https", "port": 6443}]},
            {"addresses": [{"ip": "192.0.2.9"}], "ports": [{"name": "https", "port": 70000}]},
            {"addresses": [{"ip": "192.0.2.8"}]},
        ]))
        .unwrap();
        let expected = ["192.0.2.1:6443", "[2001:db8::1]:6443"];
        assert_eq!(addresses(&subsets), expected.map(|text| text.parse().unwrap()).into());
    }
}
