//! Binds the VIPs, tells the neighbours, and hears who else claims them.
//!
//! ```text
//!  VipDesire --watch--> applier --netlink--> addresses with a lifetime
//!  defend ----mpsc----> (one task) --AF_PACKET--> announcements, probes
//!                           |  ^-- timerfd (the fence), changes of links and addresses, frames
//!  Event <-----mpsc---------+
//! ```
//!
//! The applier decides nothing about ownership, but ends it by itself at `hold_until`. It never calls
//! an API server, never waits for a queue, and runs no external program. The clock that it is given
//! must be CLOCK_BOOTTIME, as core demands.

#![deny(unsafe_code)]

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pintle_core::config::Announce;
use pintle_core::{Event, Instant, MacAddr, Vip, VipDesire};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

mod addresses;
mod announce;
mod applier;
mod conflict;
mod fence;
mod filter;
mod firewall;
mod frame;
mod lifetime;
mod limits;
mod links;
mod listen;
mod metrics;
mod netlink;
mod nft;
mod outbox;
mod packet;
mod redirect;
mod singleton;
mod survey;

pub use fence::Fence;
pub use firewall::{Gate, gates};
pub use metrics::Metrics;
pub use redirect::{Redirect, RedirectError};
pub use singleton::{Singleton, Taken};
pub use survey::{Survey, survey};

use applier::Applier;

/// How long a shutdown may take: unbinding is a few system calls, and the kernel does it when this
/// does not.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// What net has to know of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetConfig {
    /// The virtual addresses: at least one, at most one per family.
    pub vips: Vec<Vip>,
    /// The link that carries them; `None` finds it.
    pub interface: Option<String>,
    /// When a bound VIP is announced.
    pub announce: Announce,
}

/// Why net cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Addresses cannot be changed.
    #[error(
        "the capability NET_ADMIN is missing: run as uid 0 and add it, addresses cannot be bound without it"
    )]
    NoNetAdmin,
    /// Frames cannot be sent.
    #[error(
        "the capability NET_RAW is missing: run as uid 0 and add it, ARP cannot be sent without it"
    )]
    NoNetRaw,
    /// The named link does not exist.
    #[error("there is no link {link}: correct `interface`, or leave it out to have it found")]
    NoSuchLink {
        /// Its name.
        link: String,
    },
    /// The named link is no Ethernet segment.
    #[error(
        "the link {link} has no neighbours to announce to: name an Ethernet link in `interface`"
    )]
    NotASegment {
        /// Its name.
        link: String,
    },
    /// No link could be found.
    #[error("no single link has a subnet or a default route for {vips}: name it in `interface`")]
    NoLinkForVip {
        /// The VIPs.
        vips: String,
    },
    /// The link takes no addresses of the VIP's family.
    #[error(
        "{vip} cannot be bound, IPv6 is switched off on {link}: `sysctl -w net.ipv6.conf.{link}.disable_ipv6=0`, or leave this VIP out"
    )]
    NoIpv6 {
        /// Which VIP.
        vip: Vip,
        /// Where.
        link: String,
    },
    /// The host lives on the VIP.
    #[error(
        "{vip}/{prefix_len} is this host's own address on {link}: choose a free address as the VIP, or remove this one"
    )]
    VipIsNodeAddress {
        /// Which VIP.
        vip: Vip,
        /// The prefix that it has there.
        prefix_len: u8,
        /// Where.
        link: String,
    },
    /// The kernel refused something else.
    #[error("the kernel refused a network request")]
    Netlink(#[from] io::Error),
}

/// The running adapter. Dropped, it unbinds as [`Net::shutdown`] does, without waiting for it.
#[derive(Debug)]
pub struct Net {
    link: String,
    index: u32,
    mac: MacAddr,
    hosts: watch::Receiver<Vec<IpAddr>>,
    metrics: Arc<Metrics>,
    shutdown: oneshot::Sender<()>,
    applier: JoinHandle<()>,
}

/// Starts on the calling runtime: one task, which follows `desired` and reports to `events`. A VIP in
/// `defend` asks for an announcement against a foreign claim.
///
/// # Errors
/// Each reason is a variant that says what to do.
pub fn start(
    config: NetConfig,
    desired: watch::Receiver<VipDesire>,
    defend: mpsc::Receiver<Vip>,
    events: mpsc::Sender<Event>,
    now: fn() -> Instant,
) -> Result<Net, StartError> {
    let found = survey::find(&config.vips, config.interface.as_deref())?;
    let kernel = survey::kernel_release();
    if !survey::tags_addresses(&kernel) {
        tracing::warn!(
            kernel,
            "`ip addr` does not show which address is pintle's: Linux 5.18 does"
        );
    }
    for vip in &found.off_subnet {
        tracing::warn!(
            %vip,
            link = found.link.name,
            "No subnet of the link holds the VIP: whoever has no route to it cannot reach it"
        );
    }
    let (hosts_sender, hosts) = watch::channel(Vec::new());
    let (shutdown, is_shut_down) = oneshot::channel();
    let metrics = Arc::new(Metrics::default());
    let (link, index, mac) = (found.link.name.clone(), found.link.index, found.mac);
    tracing::debug!(link, index, %mac, "Link of the VIP");
    let ends = applier::Ends {
        desired,
        defend,
        events,
        hosts: hosts_sender,
        shutdown: is_shut_down,
        metrics: Arc::clone(&metrics),
        now,
    };
    let applier = Applier::new(config, found, ends)?;
    let applier = tokio::spawn(applier.run());
    Ok(Net { link, index, mac, hosts, metrics, shutdown, applier })
}

// === impl Net ===

impl Net {
    /// The name of the VIPs' link.
    #[must_use]
    pub fn link(&self) -> &str {
        &self.link
    }

    /// Its index when net started; a link that is made anew has another.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// Its hardware address when net started.
    #[must_use]
    pub const fn mac(&self) -> MacAddr {
        self.mac
    }

    /// Every address of the host but the VIPs, in order, kept current.
    #[must_use]
    pub fn host_addresses(&self) -> watch::Receiver<Vec<IpAddr>> {
        self.hosts.clone()
    }

    /// What was counted.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Unbinds every VIP and ends.
    pub async fn shutdown(self) {
        // An applier that is gone has nothing to be told.
        let _gone = self.shutdown.send(());
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, self.applier).await.is_err() {
            tracing::warn!("The VIP is left to the kernel: it did not come off in time");
        }
    }
}
