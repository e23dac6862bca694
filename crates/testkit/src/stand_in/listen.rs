//! Accepting and carrying connections.
//!
//! Tasks: one that accepts, one per connection. Each ends by itself when the server is killed or
//! stopped; dropping any of them at any await is safe, since a write is one locked step of the store.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::control::{ConnectionGuard, Control, Stage};
use super::gate::GatedStream;
use super::service;

/// More than the clients of any test; far fewer than a process's usual 1024 descriptors.
const MAX_CONNECTIONS: usize = 256;

/// Go's `IdleTimeout` and `ReadHeaderTimeout` in kube-apiserver are 90 s and 32 s; hyper has one
/// timer for both, and an idle connection must live as long as on the real server.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// net/http's bound on a handshake is the header timeout.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(32);

/// Go's `DefaultMaxHeaderBytes` is 1 MiB; nothing here sends a hundredth of it.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Out of descriptors, say: enough of a pause to not spin, little enough to not be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Serves until the server is stopped, through all its lives.
pub(super) async fn run(control: Arc<Control>) {
    let mut phases = control.watch_phase();
    loop {
        let phase = *phases.borrow_and_update();
        if phase.stage == Stage::Stopped {
            return;
        }
        if phase.accepts() {
            tokio::select! {
                () = accept_all(&control) => {}
                _ = phases.wait_for(|now| now.life != phase.life || !now.accepts()) => {}
            }
        } else if phases.changed().await.is_err() {
            return;
        }
    }
}

async fn accept_all(control: &Arc<Control>) {
    let listener = match control.listener() {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "The stand-in cannot use its listener");
            return sleep(ACCEPT_PAUSE).await;
        }
    };
    loop {
        control.gate().opened().await;
        match poll_fn(|cx| control.poll_accept(&listener, cx)).await {
            Ok((stream, guard, life)) => start(control, stream, guard, life),
            Err(error) => {
                tracing::debug!(%error, "Accepting failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn start(control: &Arc<Control>, stream: Arc<TcpStream>, guard: ConnectionGuard, life: u64) {
    if control.connections().count() > MAX_CONNECTIONS {
        tracing::warn!(max = MAX_CONNECTIONS, "Too many connections: one refused");
        return;
    }
    let control = Arc::clone(control);
    tokio::spawn(async move {
        let _guard = guard;
        let mut phases = control.watch_phase();
        tokio::select! {
            () = carry(&control, stream, life) => {}
            _ = phases.wait_for(|now| now.life != life || now.is_dead()) => {}
        }
    });
}

async fn carry(control: &Arc<Control>, stream: Arc<TcpStream>, life: u64) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let gated = GatedStream::new(stream, Arc::clone(control.gate()));
    let accepted = timeout(HANDSHAKE_TIMEOUT, control.tls().acceptor().accept(gated)).await;
    let Ok(Ok(stream)) = accepted else {
        tracing::debug!(?accepted, "A TLS handshake failed");
        return;
    };
    let peer = Arc::new(control.tls().peer(stream.get_ref().1.peer_certificates()));
    let service = service_fn(|request| {
        let (control, peer) = (Arc::clone(control), Arc::clone(&peer));
        async move { Ok::<_, Infallible>(service::answer(control, peer, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut phases = control.watch_phase();
    let ended = tokio::select! {
        result = connection.as_mut() => Some(result),
        _ = phases.wait_for(|now| now.life != life || now.stage == Stage::Drained) => None,
    };
    let result = match ended {
        Some(result) => result,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "A connection ended");
    }
}
