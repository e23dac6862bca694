//! The API as the tasks see it: requests with the chain of credentials, bounded in time, measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::{Method, Response, StatusCode};
use kube::client::Body;
use pintle_core::{LeaseFailure, LeaseView, Observed, Server, ServerId};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::aside::Aside;
use crate::chain::Chain;
use crate::lease::LeaseObject;
use crate::ledger::Ledger;
use crate::transport::{Ask, NoAnswer, Transport, body_of, failure_of};
use crate::{Observer, Outcome, Verb};

/// One attempt in all: connecting, every credential, the whole answer. The core counts on it.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);

/// What the tasks share.
pub(crate) struct Api {
    pub(crate) ledger: Ledger,
    pub(crate) chain: Arc<Chain>,
    /// For the Lease, and nothing else.
    pub(crate) lease_transport: Transport,
    /// For all that may be late.
    pub(crate) aside: Aside,
    pub(crate) local: SocketAddr,
    pub(crate) servers: watch::Receiver<Vec<Server>>,
    pub(crate) observer: Observer,
}

/// `metav1.Status`, as far as it tells a missing Lease from a path that is not served.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    kind: String,
    reason: String,
    details: Details,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    name: String,
}

// === impl Api ===

impl Api {
    /// A quorum read: a GET without resourceVersion.
    pub(crate) async fn read(&self, server: SocketAddr) -> Result<Observed, LeaseFailure> {
        self.bounded(Verb::Get, self.get_lease(server)).await
    }

    /// Replaces the Lease, or creates it when the object names no version.
    pub(crate) async fn write(
        &self,
        server: SocketAddr,
        object: &LeaseObject,
    ) -> Result<LeaseView, LeaseFailure> {
        let (verb, method, path) = if object.metadata.uid.is_empty() {
            (Verb::Create, Method::POST, self.collection_path())
        } else {
            (Verb::Update, Method::PUT, self.lease_path())
        };
        let body = serde_json::to_vec(object).map_err(|_| LeaseFailure::Invalid)?;
        let ask = Ask { method, path, body };
        self.bounded(verb, async {
            let response = self.send(server, ask).await?;
            if let Some(failure) = failure_of(response.status()) {
                return Err(failure);
            }
            let object = parse(response).await?;
            self.ledger.learn(object).map_err(|_| LeaseFailure::Malformed)
        })
        .await
    }

    /// Opens a watch on the Lease, then reads it: what changes after the read, the watch shows. In
    /// the other order a deletion in between would show nowhere, and a watch from the Lease's own
    /// version would be refused (410) when it has not changed for some minutes.
    pub(crate) async fn open_watch(
        &self,
        server: SocketAddr,
    ) -> Result<(Response<Body>, Observed), LeaseFailure> {
        let path = format!(
            "{}?watch=true&fieldSelector=metadata.name%3D{}",
            self.collection_path(),
            self.ledger.identity().lease
        );
        self.bounded(Verb::Watch, async {
            let watch = self.send(server, get(path)).await?;
            if let Some(failure) = failure_of(watch.status()) {
                return Err(failure);
            }
            Ok((watch, self.get_lease(server).await?))
        })
        .await
    }

    /// Where a server listens; `None` for one that is not known.
    pub(crate) fn address_of(&self, id: ServerId) -> Option<SocketAddr> {
        let servers = self.servers();
        let server = servers.iter().find(|server| server.id == id);
        server.map(|server| server.address)
    }

    /// The local server first, then the others in the order of their ids.
    pub(crate) fn servers(&self) -> Vec<Server> {
        let mut servers = self.servers.borrow().clone();
        if !servers.iter().any(|server| server.id == ServerId::LOCAL) {
            let (id, address) = (ServerId::LOCAL, self.local);
            servers.push(Server { id, address });
        }
        servers.sort_by_key(|server| server.id);
        servers
    }

    async fn get_lease(&self, server: SocketAddr) -> Result<Observed, LeaseFailure> {
        let response = self.send(server, get(self.lease_path())).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return self.absence(response).await;
        }
        if let Some(failure) = failure_of(response.status()) {
            return Err(failure);
        }
        let object = parse(response).await?;
        self.ledger.observe(object).map_err(|_| LeaseFailure::Malformed)
    }

    /// A 404 that is about this Lease. One in plain text comes from something that does not serve
    /// Leases, and says nothing about ours.
    async fn absence(&self, response: Response<Body>) -> Result<Observed, LeaseFailure> {
        let status: Status = parse(response).await?;
        let is_about_it = status.kind == "Status"
            && status.reason == "NotFound"
            && status.details.name == self.ledger.identity().lease;
        if is_about_it { Ok(Observed::Absent) } else { Err(LeaseFailure::Malformed) }
    }

    /// Sends with the best credential; one that is refused, or whose CA does not vouch for the server,
    /// is followed by the next at once.
    async fn send(&self, server: SocketAddr, ask: Ask) -> Result<Response<Body>, LeaseFailure> {
        self.chain.looked_at().await;
        let mut refusal = LeaseFailure::NoCredentials;
        let mut is_untrusted = false;
        for candidate in self.chain.candidates() {
            let sent = self.lease_transport.send(server, &candidate.credential, ask.clone()).await;
            let response = match sent {
                Ok(response) => response,
                Err(NoAnswer::Untrusted) => {
                    is_untrusted = true;
                    continue;
                }
                Err(NoAnswer::Failed(failure)) => return Err(failure),
            };
            match failure_of(response.status()) {
                Some(failure @ (LeaseFailure::Unauthorised | LeaseFailure::Forbidden)) => {
                    tracing::debug!(%server, place = candidate.place, failure = failure.label(), "Credentials refused");
                    self.chain.denied(&candidate, failure);
                    // Known and not allowed says more than not known.
                    if refusal != LeaseFailure::Forbidden {
                        refusal = failure;
                    }
                }
                // The server did not come to the point of deciding about the credential.
                Some(LeaseFailure::Unavailable) => return Ok(response),
                Some(_) | None => {
                    self.chain.accepted(&candidate);
                    return Ok(response);
                }
            }
        }
        if refusal != LeaseFailure::NoCredentials {
            self.chain.all_denied();
        } else if is_untrusted {
            return Err(LeaseFailure::Refused);
        }
        Err(refusal)
    }

    async fn bounded<T>(
        &self,
        verb: Verb,
        work: impl Future<Output = Result<T, LeaseFailure>>,
    ) -> Result<T, LeaseFailure> {
        let started = Instant::now();
        let result = timeout(ATTEMPT_TIMEOUT, work).await.unwrap_or(Err(LeaseFailure::Timeout));
        let outcome = match &result {
            Ok(_) => Outcome::Success,
            Err(failure) => Outcome::Failure(*failure),
        };
        (self.observer)(verb, outcome, started.elapsed());
        result
    }

    fn collection_path(&self) -> String {
        let namespace = &self.ledger.identity().namespace;
        format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases")
    }

    pub(crate) fn lease_path(&self) -> String {
        format!("{}/{}", self.collection_path(), self.ledger.identity().lease)
    }
}

pub(crate) fn get(path: String) -> Ask {
    Ask { method: Method::GET, path, body: Vec::new() }
}

/// Reads an answer as JSON.
pub(crate) async fn parse<T: for<'de> Deserialize<'de>>(
    response: Response<Body>,
) -> Result<T, LeaseFailure> {
    let body = body_of(response).await?;
    serde_json::from_slice(&body).map_err(|_| LeaseFailure::Malformed)
}
