//! Requests that nothing of the Lease waits for, on connections of their own.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::Response;
use kube::client::Body;
use pintle_core::LeaseFailure;
use tokio::time::timeout;

use crate::api::{ATTEMPT_TIMEOUT, Api, get};
use crate::chain::{Candidate, Chain};
use crate::transport::{Ask, NoAnswer, Transport, failure_of};

/// The chain of credentials over connections for all that may be late: nothing here takes one that a renewal
/// waits for.
pub(crate) struct Aside {
    pub(crate) chain: Arc<Chain>,
    pub(crate) transport: Transport,
    /// What is let in here counts for the chain: where there is no Lease that says so.
    pub(crate) is_judge: bool,
}

impl Api {
    /// Reads the Lease with one credential, only to see whether it is let in.
    pub(crate) async fn try_credential(
        &self,
        server: SocketAddr,
        candidate: &Candidate,
    ) -> Result<(), LeaseFailure> {
        let sending =
            self.aside.transport.send(server, &candidate.credential, get(self.lease_path()));
        let response =
            timeout(ATTEMPT_TIMEOUT, sending).await.map_err(|_| LeaseFailure::Timeout)??;
        match failure_of(response.status()) {
            None | Some(LeaseFailure::NotFound) => {
                self.chain.accepted(candidate);
                Ok(())
            }
            Some(failure @ (LeaseFailure::Unauthorised | LeaseFailure::Forbidden)) => {
                self.chain.denied(candidate, failure);
                Err(failure)
            }
            Some(failure) => Err(failure),
        }
    }
}

// === impl Aside ===

impl Aside {
    /// A request that nothing of the Lease waits for: with the first credential that is let in.
    pub(crate) async fn send(
        &self,
        server: SocketAddr,
        ask: Ask,
    ) -> Result<Response<Body>, LeaseFailure> {
        let sending = self.send_in_turn(server, ask);
        timeout(ATTEMPT_TIMEOUT, sending).await.unwrap_or(Err(LeaseFailure::Timeout))
    }

    async fn send_in_turn(
        &self,
        server: SocketAddr,
        ask: Ask,
    ) -> Result<Response<Body>, LeaseFailure> {
        self.chain.looked_at().await;
        let mut refusal = LeaseFailure::NoCredentials;
        for candidate in self.chain.candidates() {
            let sent = self.transport.send(server, &candidate.credential, ask.clone()).await;
            let failure = match sent {
                Ok(response) => match failure_of(response.status()) {
                    None => {
                        if self.is_judge {
                            self.chain.accepted(&candidate);
                        }
                        return Ok(response);
                    }
                    Some(failure) => failure,
                },
                Err(NoAnswer::Untrusted) => LeaseFailure::Refused,
                Err(NoAnswer::Failed(failure)) => return Err(failure),
            };
            match failure {
                // Known and not allowed says more than not known.
                LeaseFailure::Unauthorised | LeaseFailure::Refused
                    if refusal == LeaseFailure::Forbidden => {}
                LeaseFailure::Unauthorised | LeaseFailure::Forbidden | LeaseFailure::Refused => {
                    refusal = failure;
                }
                _ => return Err(failure),
            }
        }
        Err(refusal)
    }
}
