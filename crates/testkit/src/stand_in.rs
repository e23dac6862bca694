//! A stand-in for kube-apiserver: one process, no etcd, the resources that pintle touches.
//!
//! A [`StandIn`] is a TLS HTTP/1.1 server over a [`Store`]. Several share one store as API servers
//! share etcd: one revision counter, one history. Where a client could tell the difference (status
//! codes and bodies, preconditions, validation, watches, the checks of `/readyz`) it answers as
//! kube-apiserver 1.35.4 does; the answers were compared request by request.
//!
//! It never stores anything on disk, never speaks HTTP/2 or protobuf, and knows neither PATCH,
//! server-side apply, `dryRun` nor RBAC rules: what it does not know it refuses, with a status.
//!
//! ```text
//! StandIn (handle) --Settings, Stage--> Control <--- accept loop, one task per connection
//!                                         |                |
//!                                       Gate          service -> Store (shared by all servers)
//! ```

mod access;
mod behaviour;
mod control;
mod gate;
mod health;
mod lease;
mod listen;
mod paths;
mod requests;
mod resource;
mod response;
mod selector;
mod service;
mod status;
mod store;
mod tls;
mod watch;

use std::fmt;
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::runtime::{self, Handle};

pub use self::behaviour::{Auth, Behaviour, Readyz, WatchBehaviour};
use self::control::Control;
pub use self::requests::{Request, RequestCounts, Verb};
pub use self::store::{QuorumTimeouts, Store};
pub use self::tls::TlsIdentity;

/// A running stand-in API server. Clones are the same server; it stops with the last of them.
#[derive(Clone)]
pub struct StandIn {
    running: Arc<Running>,
}

struct Running {
    control: Arc<Control>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

// === impl StandIn ===

impl StandIn {
    /// Starts a server on the calling tokio runtime, multi-thread or current-thread.
    ///
    /// The listener is made on the calling thread, so it belongs to that thread's network
    /// namespace. Port 0 takes a free port: see [`StandIn::address`].
    ///
    /// # Errors
    /// When there is no runtime, the address is taken, or the certificates cannot be used.
    pub fn start(addr: SocketAddr, store: Store, tls: &TlsIdentity) -> anyhow::Result<Self> {
        let runtime = Handle::try_current()
            .context("call this from within a tokio runtime, or use start_on_thread")?;
        let control = Control::bind(addr, store, tls, runtime.clone())?;
        runtime.spawn(listen::run(Arc::clone(&control)));
        Ok(Self::new(control, None))
    }

    /// Starts a server on a thread and a current-thread runtime of its own, inside the named
    /// network namespace (`/run/netns/NAME`) when one is given. The caller needs no runtime.
    ///
    /// # Errors
    /// As [`StandIn::start`], and when the namespace cannot be entered.
    pub fn start_on_thread(
        netns: Option<&str>,
        addr: SocketAddr,
        store: Store,
        tls: &TlsIdentity,
    ) -> anyhow::Result<Self> {
        let (started_tx, started_rx) = mpsc::sync_channel(1);
        let (netns, tls) = (netns.map(str::to_owned), tls.clone());
        let thread = thread::Builder::new().name("stand-in".to_owned()).spawn(move || {
            let started = prepare_thread(netns.as_deref()).and_then(|runtime| {
                let control = Control::bind(addr, store, &tls, runtime.handle().clone())?;
                Ok((runtime, control))
            });
            // The receiver waits for this one message: sending cannot fail while it lives.
            match started {
                Ok((runtime, control)) => {
                    let _ = started_tx.send(Ok(Arc::clone(&control)));
                    runtime.block_on(listen::run(control));
                }
                Err(error) => drop(started_tx.send(Err(error))),
            }
        })?;
        let control =
            started_rx.recv().context("the stand-in's thread ended before it started")??;
        Ok(Self::new(control, Some(thread)))
    }

    fn new(control: Arc<Control>, thread: Option<JoinHandle<()>>) -> Self {
        let thread = Mutex::new(thread);
        Self { running: Arc::new(Running { control, thread }) }
    }

    fn control(&self) -> &Arc<Control> {
        &self.running.control
    }

    /// The address that the server listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.control().address()
    }

    /// The store behind the server.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.control().store()
    }

    /// Sets what `/readyz` says. A drain and a lost quorum come before it.
    pub fn set_readyz(&self, readyz: Readyz) {
        self.control().set(|settings| settings.readyz = readyz);
    }

    /// Sets how POST, PUT and DELETE are answered, from the next one on.
    pub fn set_writes(&self, behaviour: Behaviour) {
        self.control().set(|settings| settings.writes = behaviour);
    }

    /// Sets how GETs of one object and of lists are answered.
    pub fn set_reads(&self, behaviour: Behaviour) {
        self.control().set(|settings| settings.reads = behaviour);
    }

    /// Sets how watches behave, open ones included.
    pub fn set_watches(&self, behaviour: WatchBehaviour) {
        self.control().set(|settings| settings.watches = behaviour);
    }

    /// Sets who is let in.
    pub fn set_auth(&self, auth: Auth) {
        self.control().set(|settings| settings.auth = auth);
    }

    /// Sets the one bearer token that is accepted, as that of the service account
    /// `system:serviceaccount:kube-system:pintle`; none at first.
    pub fn set_token(&self, token: Option<&str>) {
        self.control().set(|settings| settings.token = token.map(str::to_owned));
    }

    /// Ends every open watch in good order, as a server does at its request timeout.
    pub fn end_watches(&self) {
        self.control().set(|settings| settings.watch_epoch += 1);
    }

    /// Freezes or thaws the whole server as SIGSTOP and SIGCONT do: the kernel still completes TCP
    /// handshakes into the listener's backlog, but no byte is read or written and nothing is
    /// applied. What waits is served after the thaw.
    pub fn hang_all(&self, hang: bool) {
        self.control().gate().set_closed(hang);
    }

    /// Ends the server at once, frozen or not: the port refuses, and every connection gets RST.
    /// (A SIGKILL's FIN would do on connections without unread bytes; RST is the harder case.)
    /// Writes that are being delayed are not applied.
    pub fn kill(&self) {
        self.control().kill();
    }

    /// Serves again on the same address, after [`StandIn::kill`] or [`StandIn::drain`]: thawed, not
    /// draining, with the other settings as they were. Does nothing on a server that serves.
    ///
    /// # Errors
    /// When the kernel refuses to listen again.
    pub fn restart(&self) -> anyhow::Result<()> {
        self.control().restart()
    }

    /// Stops in order, as SIGTERM with `--shutdown-delay-duration`: `/readyz` says 500 with
    /// `[-]shutdown` at once while all else is served; after the delay the port refuses, requests
    /// under way are answered and idle connections are closed. Watches go on until the last one is
    /// ended or the server's request timeout of 60 s, when the process would exit.
    pub fn drain(&self, delay: Duration) {
        self.control().drain(delay);
    }

    /// The last requests (at most 8192), oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.control().requests().list()
    }

    /// How many requests of each kind have arrived since the start or the last
    /// [`StandIn::clear_requests`].
    #[must_use]
    pub fn request_counts(&self) -> RequestCounts {
        self.control().requests().counts()
    }

    /// Forgets the requests so far and sets the counts to zero.
    pub fn clear_requests(&self) {
        self.control().requests().clear();
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.control().connections().count()
    }
}

impl fmt::Debug for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandIn").field("address", &self.address()).finish_non_exhaustive()
    }
}

// === impl Running ===

impl Drop for Running {
    fn drop(&mut self) {
        self.control.stop();
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // The last handle may be dropped on the server's own thread, which cannot wait for itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id())
        {
            let _ = thread.join();
        }
    }
}

fn prepare_thread(netns: Option<&str>) -> anyhow::Result<runtime::Runtime> {
    if let Some(name) = netns {
        let path = Path::new("/run/netns").join(name);
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .with_context(|| format!("enter the network namespace {name}"))?;
    }
    runtime::Builder::new_current_thread().enable_all().build().context("build a tokio runtime")
}
