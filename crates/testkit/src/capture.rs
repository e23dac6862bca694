//! Packet capture on one interface: which frames about addresses were sent and seen, and when.
//!
//! It reads the wire through its own parser and never asks the product. It never sends, but for
//! [`transmit`], which tests use to play a stranger. A recording that is not whole is an error:
//! "no frame was seen" must mean it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use socket2::SockFilter;

use crate::netns::Namespace;
use crate::sys::{ETH_P_ALL, PacketSocket};

pub use self::frame::{Ethernet, Frame, Mac};

pub(crate) mod filter;
pub(crate) mod frame;

/// Ten minutes of a host's share of the prober's 200 requests a second and their answers; about
/// 30 MB.
const MAX_FRAMES: usize = 300_000;

/// The frames looked at end their headers well before this; the rest is not copied.
pub(crate) const SNAP_LEN: usize = 256;

/// Whether a frame was sent or received by the interface captured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Received.
    In,
    /// Sent.
    Out,
}

/// One frame on the wire.
#[derive(Debug, Clone)]
pub struct Captured {
    /// When the kernel saw it.
    pub at: Instant,
    /// Sent or received.
    pub direction: Direction,
    /// Ethernet source.
    pub source: Mac,
    /// Ethernet destination.
    pub destination: Mac,
    /// What it says.
    pub frame: Frame,
}

/// A running capture; it ends when dropped.
#[derive(Debug)]
pub struct Capture {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: OnceLock<Instant>,
    frames: Mutex<Vec<Captured>>,
    is_cut_short: AtomicBool,
}

/// Sends one whole Ethernet frame out of `interface` in `namespace`.
///
/// # Errors
/// When there is no such interface, or it is down.
pub fn transmit(namespace: &Namespace, interface: &str, frame: &[u8]) -> Result<()> {
    namespace.run_in(|| PacketSocket::open(interface, 0, &[])?.send(frame))?.context("send a frame")
}

// === impl Capture ===

impl Capture {
    /// Records ARP and neighbour discovery on `interface`, both directions, from before it returns.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn start(namespace: &Namespace, interface: &str) -> Result<Self> {
        Self::record(namespace, interface, &filter::addresses_and_tcp(None))
    }

    /// As [`Self::start`], and also TCP segments with SYN, FIN or RST from or to `port`.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn start_with_tcp(namespace: &Namespace, interface: &str, port: u16) -> Result<Self> {
        Self::record(namespace, interface, &filter::addresses_and_tcp(Some(port)))
    }

    fn record(namespace: &Namespace, interface: &str, filter: &[SockFilter]) -> Result<Self> {
        let socket = namespace
            .run_in(|| PacketSocket::open(interface, ETH_P_ALL, filter))?
            .with_context(|| format!("capture on {interface} in {namespace}"))?;
        let shared = Arc::new(Shared::default());
        let sink = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || sink.read_from(&socket))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What was captured so far.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Captured> {
        self.shared.frames().clone()
    }

    /// Ends the capture and hands over what was seen, in the order of the wire.
    ///
    /// # Errors
    /// When frames were lost: more than 300 000 of them, or read too late.
    pub fn stop(mut self) -> Result<Vec<Captured>> {
        self.shared.stop.get_or_init(Instant::now);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_panic| anyhow::anyhow!("the capture's thread panicked"))??;
        }
        ensure!(
            !self.shared.is_cut_short.load(Ordering::Relaxed),
            "the capture is full after {MAX_FRAMES} frames: capture for a shorter time"
        );
        Ok(std::mem::take(&mut *self.shared.frames()))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.shared.stop.get_or_init(Instant::now);
    }
}

// === impl Shared ===

impl Shared {
    fn frames(&self) -> MutexGuard<'_, Vec<Captured>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_from(&self, socket: &PacketSocket) -> Result<()> {
        let mut buffer = [0; SNAP_LEN];
        loop {
            // Looked at before the read: what was on the wire when the end was asked for is read,
            // and what came later ends the loop even if frames never cease.
            let stop = self.stop.get().copied();
            match socket.receive(&mut buffer) {
                Ok(Some(received)) if stop.is_some_and(|stop| received.at > stop) => break,
                Ok(Some(received)) => {
                    if let Some(ethernet) = Ethernet::parse(&buffer[..received.len]) {
                        self.push(captured(received.at, received.outgoing, ethernet));
                    }
                }
                Ok(None) if stop.is_some() => break,
                Ok(None) => {}
                // The link was set down: the socket reports it once and goes on afterwards.
                Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {}
                Err(error) => return Err(error).context("read captured frames"),
            }
        }
        let dropped = socket.take_dropped().context("ask for lost frames")?;
        ensure!(dropped == 0, "{dropped} frames were lost: the machine is too busy for a capture");
        Ok(())
    }

    fn push(&self, captured: Captured) {
        let mut frames = self.frames();
        if frames.len() < MAX_FRAMES {
            frames.push(captured);
        } else {
            self.is_cut_short.store(true, Ordering::Relaxed);
        }
    }
}

fn captured(at: Instant, outgoing: bool, ethernet: Ethernet) -> Captured {
    Captured {
        at,
        direction: if outgoing { Direction::Out } else { Direction::In },
        source: ethernet.source,
        destination: ethernet.destination,
        frame: ethernet.frame,
    }
}
