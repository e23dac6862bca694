//! Requests to API servers over clients of their own, and what their failures mean.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::Body;
use pintle_core::LeaseFailure;
use rustls_pki_types::ServerName;

use crate::credential::Credential;
use crate::dial::{DialError, Dialer};
use crate::rarely::Rarely;

/// etcd takes requests up to 1.5 MiB, so no object is larger than this.
pub(crate) const MAX_BODY: usize = 2 << 20;

/// A take-over's GET and PUT share one; a hedge that overlaps has the second.
const MAX_IDLE: usize = 2;

/// A holder uses its connection each 500 ms; a follower's next use is minutes away, and a new
/// handshake takes 4-7 ms.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// 16 servers times three credentials; beyond that something is wrong and all start afresh.
const MAX_CLIENTS: usize = 64;

/// One client per server and credential, made when first needed.
#[derive(Debug)]
pub(crate) struct Transport {
    name: ServerName<'static>,
    clients: Mutex<BTreeMap<(SocketAddr, u64), Opaque>>,
    untrusted: Arc<Rarely>,
}

/// `kube::Client` says nothing of itself.
struct Opaque(kube::Client);

/// A request that can be made more than once: over another credential.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The server's certificate is not one that the credential's CA vouches for: another credential's
    /// may.
    Untrusted,
    /// Anything else, which is the same for every credential.
    Failed(LeaseFailure),
}

impl From<NoAnswer> for LeaseFailure {
    fn from(no_answer: NoAnswer) -> Self {
        match no_answer {
            NoAnswer::Untrusted => Self::Refused,
            NoAnswer::Failed(failure) => failure,
        }
    }
}

// === impl Transport ===

impl Transport {
    /// Transports that share `untrusted` tell of a server once, not each for itself.
    pub(crate) fn new(name: ServerName<'static>, untrusted: Arc<Rarely>) -> Self {
        Self { name, clients: Mutex::default(), untrusted }
    }

    /// Drops the clients for which `is_wanted` says no. Requests under way go on.
    pub(crate) fn retain(&self, is_wanted: impl Fn(SocketAddr, u64) -> bool) {
        self.clients().retain(|(server, credential), _| is_wanted(*server, *credential));
    }

    /// Sends; the answer may have any status.
    ///
    /// # Cancel safety
    /// Dropping the future drops the connection that the request went out on, so the next request
    /// never waits behind one that hangs.
    pub(crate) async fn send(
        &self,
        server: SocketAddr,
        credential: &Credential,
        ask: Ask,
    ) -> Result<Response<Body>, NoAnswer> {
        let mut request = Request::builder()
            .method(ask.method)
            .uri(format!("https://{server}{}", ask.path))
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(ask.body))
            .map_err(|_| NoAnswer::Failed(LeaseFailure::Invalid))?;
        if let Some(authorization) = &credential.authorization {
            request.headers_mut().insert(AUTHORIZATION, HeaderValue::clone(authorization));
        }
        let client = self.client(server, credential);
        client.send(request).await.map_err(|error| self.failure_of(server, &error))
    }

    fn client(&self, server: SocketAddr, credential: &Credential) -> kube::Client {
        let key = (server, credential.serial);
        let mut clients = self.clients();
        if let Some(client) = clients.get(&key) {
            return client.0.clone();
        }
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        let dialer =
            Dialer { address: server, name: self.name.clone(), tls: Arc::clone(&credential.tls) };
        // Not kube's own stack: that retries by itself, waits for minutes and follows HTTPS_PROXY.
        let service = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE)
            .build::<_, Body>(dialer);
        let client = kube::Client::new(service, "default");
        clients.insert(key, Opaque(client.clone()));
        client
    }

    fn failure_of(&self, server: SocketAddr, error: &kube::Error) -> NoAnswer {
        let dial = sources(error).find_map(|source| source.downcast_ref::<DialError>());
        let fault = dial.and_then(DialError::certificate_fault);
        if let Some(fault) = &fault
            && self.untrusted.is_due()
        {
            tracing::warn!(
                %server,
                verified_as = %self.name.to_str(),
                error = fault,
                "An API server is not trusted"
            );
        }
        tracing::debug!(%server, error = %chain(error), "No answer from an API server");
        match dial {
            Some(DialError::Timeout) => NoAnswer::Failed(LeaseFailure::Timeout),
            Some(DialError::Tls(_)) => NoAnswer::Untrusted,
            Some(DialError::Connect(_)) | None => NoAnswer::Failed(LeaseFailure::Refused),
        }
    }

    fn clients(&self) -> MutexGuard<'_, BTreeMap<(SocketAddr, u64), Opaque>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Opaque {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// The whole body, if it is of a sane size.
pub(crate) async fn body_of(response: Response<Body>) -> Result<Bytes, LeaseFailure> {
    match Limited::new(response.into_body(), MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(LeaseFailure::Malformed)
        }
        Err(_) => Err(LeaseFailure::Refused),
    }
}

/// What a status other than success means; `None` is success.
pub(crate) fn failure_of(status: StatusCode) -> Option<LeaseFailure> {
    match status.as_u16() {
        200..=299 => None,
        401 => Some(LeaseFailure::Unauthorised),
        403 => Some(LeaseFailure::Forbidden),
        404 => Some(LeaseFailure::NotFound),
        409 => Some(LeaseFailure::Conflict),
        // 405, 413 and 415 beside 400 and 422: this request will never be taken.
        400 | 405 | 413 | 415 | 422 => Some(LeaseFailure::Invalid),
        429 | 500..=599 => Some(LeaseFailure::Unavailable),
        _ => Some(LeaseFailure::Malformed),
    }
}

fn sources<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
}

fn chain(error: &kube::Error) -> String {
    // The outermost one repeats the rest.
    sources(error).last().map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_meaning() {
        for (status, expected) in [
            (200, None),
            (201, None),
            (400, Some(LeaseFailure::Invalid)),
            (401, Some(LeaseFailure::Unauthorised)),
            (403, Some(LeaseFailure::Forbidden)),
            (404, Some(LeaseFailure::NotFound)),
            (409, Some(LeaseFailure::Conflict)),
            (410, Some(LeaseFailure::Malformed)),
            (422, Some(LeaseFailure::Invalid)),
            (429, Some(LeaseFailure::Unavailable)),
            (500, Some(LeaseFailure::Unavailable)),
            (503, Some(LeaseFailure::Unavailable)),
            (504, Some(LeaseFailure::Unavailable)),
            (302, Some(LeaseFailure::Malformed)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(failure_of(status), expected, "{status}");
        }
    }
}
