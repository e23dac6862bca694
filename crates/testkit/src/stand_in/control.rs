//! The state of one server: what it was told to do, at which stage of its life it is, who is
//! connected. Everything here acts at once and from any thread; nothing waits.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::Context as _;
use rustix::net::Shutdown;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use super::behaviour::{Auth, Behaviour, Readyz, WatchBehaviour};
use super::gate::Gate;
use super::requests::RequestLog;
use super::store::Store;
use super::tls::{ServerTls, TlsIdentity};

/// The kernel completes this many handshakes for a server that hangs. Go asks for the system's
/// `somaxconn`, 4096 on every current kernel.
const BACKLOG: i32 = 4096;

/// kube-apiserver's default `--request-timeout`: so long its HTTP server waits for what is open
/// (measured: with one watch open the process is gone 60 s after SIGTERM).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// What a test set.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    pub(super) readyz: Readyz,
    pub(super) reads: Behaviour,
    pub(super) writes: Behaviour,
    pub(super) watches: WatchBehaviour,
    pub(super) auth: Auth,
    pub(super) token: Option<String>,
    /// Watches of an earlier epoch end.
    pub(super) watch_epoch: u64,
}

/// Where in its life a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Serving,
    /// SIGTERM has come; still serving.
    Draining,
    /// Accepts nothing; what is under way goes on.
    Drained,
    Killed,
    /// The last handle is gone.
    Stopped,
}

/// A stage, and in which life: connections of an earlier life end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Phase {
    pub(super) life: u64,
    pub(super) stage: Stage,
}

pub(super) struct Control {
    address: SocketAddr,
    /// One socket for all lives: it keeps the port between them, and its network namespace.
    listener: TcpListener,
    store: Store,
    tls: ServerTls,
    runtime: Handle,
    gate: Arc<Gate>,
    settings: watch::Sender<Settings>,
    phase: watch::Sender<Phase>,
    connections: Connections,
    /// Held while a connection is accepted and noted, and while a life ends: none falls in between.
    accepting: Mutex<()>,
    requests: RequestLog,
}

/// The open connections, so that they can be reset.
#[derive(Debug, Default)]
pub(super) struct Connections {
    inner: Mutex<(u64, HashMap<u64, Weak<TcpStream>>)>,
}

/// A place in the list of connections, given up on drop.
#[derive(Debug)]
pub(super) struct ConnectionGuard {
    control: Arc<Control>,
    id: u64,
}

// === impl Phase ===

impl Phase {
    pub(super) fn accepts(self) -> bool {
        matches!(self.stage, Stage::Serving | Stage::Draining)
    }

    pub(super) fn is_dead(self) -> bool {
        matches!(self.stage, Stage::Killed | Stage::Stopped)
    }
}

// === impl Control ===

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Control {
    pub(super) fn bind(
        address: SocketAddr,
        store: Store,
        tls: &TlsIdentity,
        runtime: Handle,
    ) -> anyhow::Result<Arc<Self>> {
        let tls = ServerTls::new(tls)?;
        let mut socket = bound(address)?;
        if address.port() == 0 {
            // A port that the kernel chose is lost when the socket is shut down; one that was asked
            // for is kept. Two sockets may hold it while neither listens.
            let chosen =
                socket.local_addr()?.as_socket().context("the address is no IP address")?;
            socket = bound(chosen)?;
        }
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from(socket);
        Ok(Arc::new(Self {
            address: listener.local_addr()?,
            listener,
            store,
            tls,
            runtime,
            gate: Arc::default(),
            settings: watch::Sender::default(),
            phase: watch::Sender::new(Phase { life: 0, stage: Stage::Serving }),
            connections: Connections::default(),
            accepting: Mutex::default(),
            requests: RequestLog::default(),
        }))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn tls(&self) -> &ServerTls {
        &self.tls
    }

    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    pub(super) fn requests(&self) -> &RequestLog {
        &self.requests
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Settings)) {
        self.settings.send_modify(change);
    }

    pub(super) fn settings(&self) -> Settings {
        self.settings.borrow().clone()
    }

    pub(super) fn watch_settings(&self) -> watch::Receiver<Settings> {
        self.settings.subscribe()
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(super) fn watch_phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// The listener, registered anew with the calling task's runtime: a registration that saw the
    /// socket shut down would call it ready for ever.
    pub(super) fn listener(&self) -> std::io::Result<tokio::net::TcpListener> {
        tokio::net::TcpListener::from_std(self.listener.try_clone()?)
    }

    /// Accepts a connection and notes it, with the life that it belongs to.
    pub(super) fn poll_accept(
        self: &Arc<Self>,
        listener: &tokio::net::TcpListener,
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<(Arc<TcpStream>, ConnectionGuard, u64)>> {
        let _accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner);
        let (stream, _) = ready!(listener.poll_accept(cx))?;
        let stream = Arc::new(stream);
        let guard = self.connections.add(self, &stream);
        Poll::Ready(Ok((stream, guard, self.phase().life)))
    }

    pub(super) fn kill(&self) {
        self.end(Stage::Killed);
    }

    pub(super) fn stop(&self) {
        self.end(Stage::Stopped);
        // A stopped server's tasks must come to their end.
        self.gate.set_closed(false);
    }

    fn end(&self, stage: Stage) {
        let _accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.phase();
        self.phase.send_replace(Phase { stage, ..before });
        if before.accepts() {
            self.close_listener();
        }
        self.connections.reset_all();
    }

    pub(super) fn restart(&self) -> anyhow::Result<()> {
        match self.phase().stage {
            Stage::Serving => return Ok(()),
            Stage::Stopped => anyhow::bail!("the stand-in has stopped"),
            Stage::Draining | Stage::Drained | Stage::Killed => self.end(Stage::Killed),
        }
        self.gate.set_closed(false);
        rustix::net::listen(&self.listener, BACKLOG).context("listen again")?;
        self.phase.send_modify(|phase| {
            *phase = Phase { life: phase.life + 1, stage: Stage::Serving };
        });
        Ok(())
    }

    pub(super) fn drain(self: &Arc<Self>, delay: Duration) {
        let draining = Phase { life: self.phase().life, stage: Stage::Draining };
        let began = self.phase.send_if_modified(|phase| {
            let begins = phase.stage == Stage::Serving;
            if begins {
                phase.stage = Stage::Draining;
            }
            begins
        });
        if began {
            let control = Arc::clone(self);
            self.runtime.spawn(async move { control.shut_down(draining, delay).await });
        }
    }

    async fn shut_down(&self, draining: Phase, delay: Duration) {
        let mut phase = self.watch_phase();
        if timeout(delay, phase.wait_for(|phase| *phase != draining)).await.is_ok() {
            return;
        }
        let drained = Phase { stage: Stage::Drained, ..draining };
        if !self.stop_accepting(draining, drained) {
            return;
        }
        if timeout(REQUEST_TIMEOUT, phase.wait_for(|phase| *phase != drained)).await.is_err() {
            self.kill();
        }
    }

    fn stop_accepting(&self, draining: Phase, drained: Phase) -> bool {
        let _accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_current = self.phase() == draining;
        if is_current {
            self.phase.send_replace(drained);
            self.close_listener();
        }
        is_current
    }

    /// Shutting a listening socket down ends listening at once, with RST for what is in its backlog;
    /// the port stays ours, and `listen` opens it again. Only for one that listens: shut down twice,
    /// it would hand the mark on to every connection that it accepts after the next `listen`.
    fn close_listener(&self) {
        if let Err(error) = rustix::net::shutdown(&self.listener, Shutdown::Both) {
            tracing::debug!(%error, "The listener is closed already");
        }
    }
}

fn bound(address: SocketAddr) -> anyhow::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into()).with_context(|| format!("bind {address}"))?;
    Ok(socket)
}

// === impl Connections ===

impl Connections {
    fn add(&self, control: &Arc<Control>, stream: &Arc<TcpStream>) -> ConnectionGuard {
        let id = self.locked(|(next, open)| {
            *next += 1;
            open.insert(*next, Arc::downgrade(stream));
            *next
        });
        ConnectionGuard { control: Arc::clone(control), id }
    }

    pub(super) fn count(&self) -> usize {
        self.locked(|(_, open)| open.len())
    }

    fn reset_all(&self) {
        let open: Vec<_> =
            self.locked(|(_, open)| open.values().filter_map(Weak::upgrade).collect());
        open.iter().for_each(|stream| reset(stream));
    }

    fn locked<T>(&self, work: impl FnOnce(&mut (u64, HashMap<u64, Weak<TcpStream>>)) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Sends RST now, whoever else holds the socket: Linux's `tcp_disconnect`.
fn reset(stream: &TcpStream) {
    if let Err(error) = rustix::net::connect_unspec(stream) {
        tracing::debug!(%error, "The connection is closed already");
    }
}

// === impl ConnectionGuard ===

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.control.connections.locked(|(_, open)| open.remove(&self.id));
    }
}
