//! Puts the tasks together.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pintle_core::{ClusterCa, Endpoints, Event, Server};
use rustls_pki_types::ServerName;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::api::Api;
use crate::aside::Aside;
use crate::chain::Chain;
use crate::lease::Identity;
use crate::ledger::Ledger;
use crate::requests::Requests;
use crate::source::Source;
use crate::transport::Transport;
use crate::{ClusterCommand, ClusterConfig, endpoints, kube_events, upkeep, watcher};

/// A healthy API server takes an Event within 10 ms. The VIP and the Lease are given back by then, and
/// a stopping process has no reason to stay.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No certificate can be verified under it.
    #[error("server name {0:?} is neither a DNS name nor an address")]
    ServerName(String),
    /// It would not go into a path.
    #[error("{what} {name:?} is no Kubernetes name: use lower-case letters, digits, `-` and `.`")]
    Name {
        /// Of what.
        what: &'static str,
        /// The name.
        name: String,
    },
}

/// The tasks. Dropping it ends them all.
#[derive(Debug)]
pub struct Running {
    _tasks: JoinSet<()>,
    posting: JoinSet<()>,
}

// === impl Running ===

impl Running {
    /// Once the commands have ended: gives the Events that wait half a second to be posted, and ends
    /// everything. Cancel-safe: at worst an Event is lost.
    pub async fn drain(mut self) {
        if timeout(DRAIN_TIMEOUT, self.posting.join_next()).await.is_err() {
            tracing::debug!("An Event was not posted: no API server has taken it in time");
        }
    }
}

/// Starts the tasks on the current runtime.
///
/// `servers` are all known API servers with the local one among them; `endpoints` gets what the
/// cluster says of its API servers (never a VIP, the local one included under its node's address);
/// `ca` gets the CAs of the credentials.
///
/// # Errors
/// When a name cannot be used.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn start(
    config: ClusterConfig,
    servers: watch::Receiver<Vec<Server>>,
    commands: mpsc::Receiver<ClusterCommand>,
    events: mpsc::Sender<Event>,
    endpoints: watch::Sender<Endpoints>,
    ca: watch::Sender<Option<ClusterCa>>,
) -> Result<Running, StartError> {
    let name = ServerName::try_from(config.server_name.clone())
        .map_err(|_| StartError::ServerName(config.server_name.clone()))?;
    check_name("namespace", &config.namespace)?;
    check_name("lease", &config.lease)?;
    let sources = sources(config.kubeconfigs, config.service_account);
    let chain = Arc::new(Chain::new(sources.iter().map(Source::path), ca));
    let vips: BTreeSet<IpAddr> = config.vips.iter().map(|vip| vip.0).collect();
    let identity = Identity {
        node: config.node,
        incarnation: config.incarnation,
        namespace: config.namespace,
        lease: config.lease,
        vips: config.vips.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    };
    let untrusted = Arc::default();
    let api = Arc::new(Api {
        ledger: Ledger::new(identity),
        chain: Arc::clone(&chain),
        lease_transport: Transport::new(name.clone(), Arc::clone(&untrusted)),
        aside: Aside { chain, transport: Transport::new(name, untrusted), is_judge: false },
        local: config.local,
        servers,
        observer: config.observer,
    });

    let mut tasks = JoinSet::new();
    for (place, source) in sources.into_iter().enumerate() {
        tasks.spawn(upkeep::keep_looking(Arc::clone(&api.chain), place, source));
    }
    tasks.spawn(upkeep::keep_trying(Arc::clone(&api)));
    tasks.spawn(upkeep::keep_clean(Arc::clone(&api)));
    tasks.spawn(endpoints::run(Arc::clone(&api), vips, endpoints));
    let (kube_events, queue) = mpsc::channel(kube_events::QUEUE);
    let mut posting = JoinSet::new();
    posting.spawn(kube_events::run(Arc::clone(&api), queue));
    let rewatch = Arc::new(Notify::new());
    tasks.spawn(watcher::run(Arc::clone(&api), Arc::clone(&rewatch), events.clone()));
    let requests = Requests { api, rewatch, kube_events, events };
    tasks.spawn(requests.run(commands));
    Ok(Running { _tasks: tasks, posting })
}

pub(crate) fn sources(kubeconfigs: Vec<PathBuf>, service_account: PathBuf) -> Vec<Source> {
    let kubeconfigs = kubeconfigs.into_iter().map(Source::Kubeconfig);
    kubeconfigs.chain([Source::ServiceAccount(service_account)]).collect()
}

/// It goes into URLs as it is.
fn check_name(what: &'static str, name: &str) -> Result<(), StartError> {
    let is_fit = !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
    if is_fit {
        Ok(())
    } else {
        let name = name.to_owned();
        Err(StartError::Name { what, name })
    }
}
