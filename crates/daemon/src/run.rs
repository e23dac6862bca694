//! The life of a process: lock, listeners, control thread, signals, end.
//!
//! The caller's thread runs a runtime of its own for the HTTP listeners and the signals; it never
//! touches what the control thread owns.

use std::time::Duration;

use pintle_core::config::{Config, Configuration};
use pintle_core::{Backend, BackendState, Event, Vip};
use pintle_net::{Singleton, Taken};
use pintle_telemetry::{Account, Heartbeat, Metrics, Sources};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::board::{Board, list};
use crate::clock::now;
use crate::error::RunError;
use crate::wiring::{self, EVENT_QUEUE, Inputs};
use crate::{front, incarnation, notice, privileges, proxy, service_manager};

/// How often a waiting process tries the lock again: quicker than kubelet starts the next pod (0.6 s).
const LOCK_INTERVAL: Duration = Duration::from_millis(200);

/// How often it says that it waits.
const WAITING_NOTICE_INTERVAL: Duration = Duration::from_secs(60);

/// How long leaving may take: unbinding and the release are bounded at 2 s, the clean-up at 1 s.
/// kubelet waits 10 s (the manifest's terminationGracePeriodSeconds) before it kills.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs pintle until SIGTERM or SIGINT, or until something fails. Logs go to stderr; `warnings` are what
/// the caller had to say before there was a log.
///
/// # Errors
///
/// [`RunError`], each variant with another exit code or another thing to do.
pub fn run(config: Configuration, warnings: &[String]) -> Result<(), RunError> {
    let telemetry = config.telemetry();
    let _log =
        pintle_telemetry::log::init(telemetry.log, telemetry.format).map_err(RunError::internal)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let runtime = runtime().map_err(RunError::internal)?;
    let ended = match config {
        Configuration::ControlPlane(config) => runtime.block_on(live(*config)),
        Configuration::Proxy(config) => runtime.block_on(proxy::live(*config)),
    };
    // A task that hangs must not keep the process from ending.
    runtime.shutdown_background();
    ended
}

async fn live(config: Config) -> Result<(), RunError> {
    let mut signals = Signals::listen().map_err(RunError::internal)?;
    let incarnation = incarnation::of_this_host(&config.vips).map_err(RunError::internal)?;
    let lease = format!("{}/{}", config.election.namespace, config.election.lease);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        node = config.node,
        vips = %list(&config.vips),
        lease,
        "Starting"
    );
    let Some(lock) = acquire_lock(&config.vips, &mut signals).await else {
        return Ok(());
    };
    // The kernel gives it back with the process' ports: who waits for the one needs the others as well.
    let _kept: &'static Singleton = Box::leak(Box::new(lock));
    privileges::lock_memory();

    let heartbeat = Heartbeat::new(now());
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), &lease, &config.vips);
    let (published, status) = watch::channel(Board::blank(&config));
    let sources = Sources {
        status: Account::ControlPlane(status),
        heartbeat: heartbeat.clone(),
        now,
        metrics: metrics.clone(),
    };
    let listeners = pintle_telemetry::serve(&config.telemetry, sources)?;
    tracing::info!(
        address = %listeners.address,
        metrics_address = listeners.metrics_address.map(tracing::field::display),
        "Listening"
    );
    let (sender, receiver) = mpsc::channel(EVENT_QUEUE);
    let events = (sender.clone(), receiver);
    let shown = published.clone();
    // Both end with the runtime.
    let trust = watch::channel(None);
    let _detached = tokio::spawn(notice::certificate(config.clone(), trust.1.clone()));
    let is_started = service_manager::started(shown.subscribe());
    let _detached =
        tokio::spawn(service_manager::keep_informed(is_started, heartbeat.clone(), now));
    // Before the first probe, the local one is all that is known.
    let local = Backend { address: config.apiserver.address, state: BackendState::Unproven };
    let (backends, known) = watch::channel(vec![local]);
    let _front = front::start(&config, known, shown.subscribe(), &metrics)?;
    let inputs =
        Inputs { config, incarnation, metrics, published, heartbeat, events, backends, trust };
    let mut control = spawn_control(inputs)?;
    tokio::select! {
        ended = &mut control => return flatten(ended),
        () = signals.next() => {}
    }
    tracing::info!("Stopping");
    service_manager::stopping();
    shown.send_modify(|published| published.is_shutting_down = true);
    // The loop takes an event within a millisecond; a full queue means that it does not run.
    if sender.try_send(Event::Shutdown).is_err() {
        tracing::warn!("The control loop takes no events, the address is left to the kernel");
        return Ok(());
    }
    tokio::select! {
        ended = &mut control => flatten(ended),
        () = signals.next() => {
            tracing::warn!("Second signal, ending at once, the address is left to the kernel");
            Ok(())
        }
        () = tokio::time::sleep(SHUTDOWN_TIMEOUT) => {
            tracing::warn!("Leaving took too long, the address is left to the kernel");
            Ok(())
        }
    }
}

/// A runtime of one thread, the caller's.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

type ControlEnd = tokio::sync::oneshot::Receiver<Result<(), RunError>>;

/// Starts the control thread; the answer is how it ended.
fn spawn_control(inputs: Inputs) -> Result<ControlEnd, RunError> {
    let runtime = runtime().map_err(RunError::internal)?;
    let (sender, ended) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("control".into())
        .spawn(move || {
            let result = runtime.block_on(wiring::control(inputs));
            runtime.shutdown_background();
            // The receiver is gone only when the process ends anyway.
            let _gone = sender.send(result);
        })
        .map_err(RunError::internal)?;
    Ok(ended)
}

fn flatten(
    ended: Result<Result<(), RunError>, tokio::sync::oneshot::error::RecvError>,
) -> Result<(), RunError> {
    ended.unwrap_or_else(|_| Err(RunError::Internal(anyhow::anyhow!("the control thread is gone"))))
}

/// Waits for the host's lock; `None` when the process was asked to end meanwhile.
async fn acquire_lock(vips: &[Vip], signals: &mut Signals) -> Option<Singleton> {
    let mut noticed_at = None;
    loop {
        let taken = match Singleton::acquire(vips) {
            Ok(lock) => return Some(lock),
            Err(taken) => taken,
        };
        if noticed_at.is_none_or(|at| now().since(at) >= WAITING_NOTICE_INTERVAL) {
            noticed_at = Some(now());
            match &taken {
                Taken::By { pid } => {
                    tracing::warn!(pid, "Another pintle holds this host, waiting until it ends");
                }
                Taken::Io(error) => tracing::warn!(%error, "The host's lock cannot be had"),
            }
        }
        tokio::select! {
            () = signals.next() => return None,
            () = tokio::time::sleep(LOCK_INTERVAL) => {}
        }
    }
}

/// What asks a process to end.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { terminate, interrupt })
    }

    /// The next one. Cancel-safe.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
