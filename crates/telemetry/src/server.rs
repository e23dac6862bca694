//! Serves `/livez /readyz /metrics /status` over HTTP/1.1, and on a second address `/metrics` alone.
//!
//! Tasks, all on the caller's runtime: one per listener, which ends its connections with itself, and
//! one per connection. No client can hold more than a bounded number of connections, nor one of them
//! for longer than a bounded time, and off-node scrapers cannot crowd out the kubelet's probes: each
//! listener has a bound of its own.

mod respond;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pintle_core::Instant;
use pintle_core::config::Telemetry;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use self::respond::{Responder, Scope};
use crate::account::Account;
use crate::metrics::Metrics;
use crate::status::Heartbeat;

/// Connections of one listener: probes, a scraper or two, `pintle status`, and room to spare.
const MAX_CONNECTIONS: usize = 64;

/// A client that means it sends its request at once; one that does not frees its place after this.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection is asked to end after this: it bounds clients that ask and never read the answer,
/// and a scraper reconnects for next to nothing.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(60);

/// What an answer under way may still take then.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Out of descriptors, accept fails at once and would for as long as none is freed.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// What the server reads.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The latest account of the daemon.
    pub status: Account,
    /// Of the control loop.
    pub heartbeat: Heartbeat,
    /// The clock that the heartbeat is kept on.
    pub now: fn() -> Instant,
    /// For `/metrics`.
    pub metrics: Metrics,
}

/// Why nothing is served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The address is taken, is not this host's, or the port needs a privilege.
    #[error("cannot listen on {address}: choose another telemetry.{key}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// The configuration's key.
        key: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A server that listens. Dropping it ends every connection.
#[derive(Debug)]
pub struct BoundServer {
    /// Where `/livez /readyz /metrics /status` are served.
    pub address: SocketAddr,
    /// Where `/metrics` alone is served.
    pub metrics_address: Option<SocketAddr>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

/// Listens on the configured addresses, and serves on the current runtime.
///
/// # Errors
/// When an address cannot be listened on; nothing is served then.
///
/// # Panics
/// Outside a tokio runtime.
pub fn serve(config: &Telemetry, sources: Sources) -> Result<BoundServer, ServeError> {
    let (listener, address) = listen(config.address, "address")?;
    let metrics_listener =
        config.metrics_address.map(|address| listen(address, "metricsAddress")).transpose()?;
    let mut tasks = vec![spawn(listener, Responder::new(sources.clone(), Scope::Everything))];
    let mut metrics_address = None;
    if let Some((listener, address)) = metrics_listener {
        metrics_address = Some(address);
        tasks.push(spawn(listener, Responder::new(sources, Scope::MetricsAlone)));
    }
    Ok(BoundServer { address, metrics_address, _tasks: tasks })
}

fn listen(address: SocketAddr, key: &'static str) -> Result<(TcpListener, SocketAddr), ServeError> {
    let open = || {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        Ok((TcpListener::from_std(listener)?, bound))
    };
    open().map_err(|source| ServeError::Listen { address, key, source })
}

fn spawn(listener: TcpListener, responder: Responder) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(accept(listener, Arc::new(responder))))
}

async fn accept(listener: TcpListener, responder: Arc<Responder>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // Whoever finds no place waits in the kernel's backlog. The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let responder = Arc::clone(&responder);
                connections.spawn(async move {
                    serve_connection(stream, responder).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "Telemetry connection not accepted");
                sleep(ACCEPT_RETRY_INTERVAL).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, responder: Arc<Responder>) {
    let service = service_fn(move |request| {
        let response = responder.respond(request.method(), request.uri().path());
        async { Ok::<_, hyper::Error>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = Box::pin(connection);
    // A client that goes away is no news.
    if timeout(CONNECTION_LIFETIME, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(CLOSE_TIMEOUT, connection).await;
    }
}
