//! Requests that nothing of the Lease waits for, on connections of their own.

use std::net::SocketAddr;

use hyper::Response;
use kube::client::Body;
use pintle_core::LeaseFailure;
use tokio::time::timeout;

use crate::api::{ATTEMPT_TIMEOUT, Api, get};
use crate::chain::Candidate;
use crate::transport::{Ask, NoAnswer, failure_of};

impl Api {
    /// Reads the Lease with one credential, only to see whether it is let in.
    pub(crate) async fn try_credential(
        &self,
        server: SocketAddr,
        candidate: &Candidate,
    ) -> Result<(), LeaseFailure> {
        let sending =
            self.side_transport.send(server, &candidate.credential, get(self.lease_path()));
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

    /// A request that nothing of the Lease waits for, with the credential that is in use.
    pub(crate) async fn send_aside(
        &self,
        server: SocketAddr,
        ask: Ask,
    ) -> Result<Response<Body>, LeaseFailure> {
        let sending = async {
            self.chain.looked_at().await;
            let mut failure = LeaseFailure::NoCredentials;
            for candidate in self.chain.candidates() {
                let sent = self.side_transport.send(server, &candidate.credential, ask.clone());
                match sent.await {
                    Err(NoAnswer::Untrusted) => failure = LeaseFailure::Refused,
                    answer => return answer.map_err(LeaseFailure::from),
                }
            }
            Err(failure)
        };
        let response =
            timeout(ATTEMPT_TIMEOUT, sending).await.map_err(|_| LeaseFailure::Timeout)??;
        failure_of(response.status()).map_or(Ok(response), Err)
    }
}
