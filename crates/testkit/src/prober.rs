//! The judge: what a client of the VIP sees, measured from a namespace of its own.
//!
//! | every | what | bound |
//! |---|---|---|
//! | 5 ms | a TCP connect to VIP:port, ended with RST | 200 ms |
//! | 50 ms | `GET /livez` over a new, verified TLS connection | 200 ms |
//! | always | one held connection, re-opened when it ends | - |
//! | 5 ms (IPv6: 10 ms) | who answers ARP (neighbour solicitations) for the VIP | - |
//!
//! Threads: `probe-tcp`, `probe-https` (with the held connection), `probe-ask`, `probe-hear`; each
//! stays in the client's namespace, none waits for another, and a hung attempt delays no other.
//! It never asks the product, never reads the Lease, and keeps the kernel's neighbour cache as it is:
//! a real client has nothing better. It records ten minutes; what comes later is not recorded, and
//! the observation says so (`is_truncated`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::watch;

use self::timeline::{MAX_MARKS, Timeline};
use crate::netns::Namespace;
use crate::sys;

pub use self::holders::{Announcement, AnnouncementForm, Overlap, Sighting, Sightings};
pub use self::observation::{HeldClose, HeldEnd, Mark, Observation};
pub use self::series::{Attempt, Gap, Outcome, Series};
pub use self::summary::{SeriesSummary, Summary};

mod attempts;
mod held;
mod holders;
mod https;
mod neighbours;
mod observation;
mod series;
mod summary;
mod timeline;

/// How long one attempt may take: part of the definition of a gap.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(200);
/// A handshake costs both ends about a millisecond of a core: 20 a second are seen in no figure.
pub const REQUEST_INTERVAL: Duration = Duration::from_millis(50);

/// What to probe.
#[derive(Debug, Clone)]
pub struct ProbeTarget {
    /// The address watched.
    pub vip: IpAddr,
    /// The port connected to.
    pub port: u16,
    /// The name that the server's certificate must carry.
    pub server_name: String,
    /// The authority that must have signed it; needed for `https`.
    pub ca_pem: Option<String>,
    /// Whether to ask the segment who holds the address.
    pub arp: bool,
    /// Whether to make HTTPS requests; the held connection is then one, too.
    pub https: bool,
    /// From one request to the next.
    pub request_interval: Duration,
}

/// A running judge; it ends when dropped.
#[derive(Debug)]
pub struct Prober {
    timeline: Arc<Timeline>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<Result<()>>>,
}

// === impl ProbeTarget ===

impl ProbeTarget {
    /// A target that is connected to and asked for, without HTTPS.
    #[must_use]
    pub fn tcp(vip: IpAddr, port: u16) -> Self {
        let server_name = "kubernetes".to_owned();
        let request_interval = REQUEST_INTERVAL;
        Self { vip, port, server_name, ca_pem: None, arp: true, https: false, request_interval }
    }

    /// A target that is also asked `GET /livez`, under the name `kubernetes` signed by `ca_pem`.
    #[must_use]
    pub fn https(vip: IpAddr, port: u16, ca_pem: impl Into<String>) -> Self {
        Self { ca_pem: Some(ca_pem.into()), https: true, ..Self::tcp(vip, port) }
    }

    const fn address(&self) -> SocketAddr {
        SocketAddr::new(self.vip, self.port)
    }
}

// === impl Prober ===

impl Prober {
    /// Starts probing from `client`; the first attempts are under way when it returns.
    ///
    /// # Errors
    /// When HTTPS is asked for without a usable authority, or the namespace is gone.
    pub fn start(client: &Namespace, target: ProbeTarget) -> Result<Self> {
        let tls = target.https.then(|| https::TlsTarget::new(&target)).transpose()?;
        let timeline = Arc::new(Timeline::new(target.vip));
        let (stop, stopped) = watch::channel(false);
        let mut prober = Self { timeline, stop, threads: Vec::new() };
        let address = target.address();
        let record = Arc::clone(&prober.timeline);
        let until = stopped.clone();
        prober.run(client, "probe-tcp", move || {
            block_on(attempts::connect_repeatedly(address, record, until))
        })?;
        let record = Arc::clone(&prober.timeline);
        let until = stopped.clone();
        let every = target.request_interval;
        prober.run(client, "probe-https", move || {
            block_on(attempts::request_repeatedly(address, every, tls, record, until))
        })?;
        if target.arp {
            let (ask, hear) = neighbours::open(client, target.vip)?;
            let until = stopped.clone();
            prober.run(client, "probe-ask", move || ask.run(&until))?;
            let record = Arc::clone(&prober.timeline);
            prober.run(client, "probe-hear", move || hear.run(&record, &stopped))?;
        }
        Ok(prober)
    }

    /// Puts a mark on the time line and gives its time. At most 1000; later ones are not recorded.
    pub fn mark(&self, name: &str) -> Instant {
        let at = Instant::now();
        let mut marks = self.timeline.marks();
        if marks.len() < MAX_MARKS {
            marks.push(Mark { at, name: name.to_owned() });
        }
        at
    }

    /// What was seen so far. Attempts still under way are not in it.
    #[must_use]
    pub fn snapshot(&self) -> Observation {
        self.timeline.observe(None)
    }

    /// Stops probing, waits for the last attempts (200 ms at most) and hands over what was seen.
    ///
    /// # Errors
    /// When a thread of the judge failed, or frames were lost: the observation would not be whole.
    pub fn stop(mut self) -> Result<Observation> {
        let ended = Instant::now();
        self.stop.send_replace(true);
        for thread in std::mem::take(&mut self.threads) {
            thread
                .join()
                .map_err(|_panic| anyhow::anyhow!("a thread of the prober panicked"))??;
        }
        Ok(self.timeline.observe(Some(ended)))
    }

    fn run(
        &mut self,
        client: &Namespace,
        name: &str,
        work: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let thread = client.spawn(name, || {
            // The judge must not wait for what it judges, nor for a compiler beside it: `nice` alone
            // left it 20-50 ms late on a busy machine. Without the right to it, `stall` tells.
            if let Err(error) = sys::run_ahead_of_others() {
                tracing::debug!(%error, "The prober runs at ordinary priority");
            }
            work()
        })?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

fn block_on(work: impl Future<Output = ()>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the prober's runtime")?;
    runtime.block_on(work);
    Ok(())
}
