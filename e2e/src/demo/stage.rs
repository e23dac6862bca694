//! What the demo plays on: three pintles before stand-in API servers, or before the real ones.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use pintle_testkit::netns::Topology;
use pintle_testkit::prober::ProbeTarget;

use super::stand_ins::StandIns;
use crate::bed::steady::pintle_is_ready;
use crate::bed::{Bed, HOSTS, VIP};
use crate::pintle::Pintle;

/// A lease duration and a few retries; starting takes less.
const STEADY_TIMEOUT: Duration = Duration::from_secs(20);
/// A host that comes back is a candidate after two good probes, 0.5 s apart.
const STEADY_FOR: Duration = Duration::from_millis(1500);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Three hosts, either way.
#[derive(Debug)]
pub enum Stage {
    /// In-process stand-ins share one store.
    StandIn(Box<StandIns>),
    /// etcd and kube-apiserver.
    Real(Box<Bed>),
}

// === impl Stage ===

impl Stage {
    /// The hosts and the client.
    #[must_use]
    pub const fn topology(&self) -> &Topology {
        match self {
            Self::StandIn(bed) => bed.topology(),
            Self::Real(bed) => bed.topology(),
        }
    }

    /// A host's pintle.
    pub fn pintle(&mut self, host: usize) -> &mut Pintle {
        match self {
            Self::StandIn(bed) => bed.pintle(host),
            Self::Real(bed) => bed.pintle(host),
        }
    }

    /// What the client does.
    #[must_use]
    pub fn probe_target(&self) -> ProbeTarget {
        match self {
            Self::StandIn(bed) => bed.probe_target(),
            Self::Real(bed) => bed.probe_target(),
        }
    }

    /// Takes a host's power.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn power_loss(&mut self, host: usize) -> Result<()> {
        match self {
            Self::StandIn(bed) => bed.power_loss(host),
            Self::Real(bed) => bed.topology().power_loss(host),
        }
    }

    /// Brings a host back.
    ///
    /// # Errors
    /// When something does not start.
    pub fn boot(&mut self, host: usize) -> Result<()> {
        self.topology().cable_up(host)?;
        match self {
            Self::StandIn(bed) => bed.boot(host),
            Self::Real(bed) => {
                if bed.cluster().api_server(host).is_running() {
                    bed.pintle(host).process().restart()
                } else {
                    bed.boot(host)
                }
            }
        }
    }

    /// The names of the hosts that have the VIP, without a host that has no power.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn live_owners(&self, lost: usize) -> Result<Vec<String>> {
        let owners = self.topology().owners(IpAddr::V4(VIP))?;
        let mut live = Vec::new();
        for owner in owners {
            if owner != lost || self.topology().host_ns(owner).has_carrier("eth0")? {
                live.push(Bed::hostname(owner));
            }
        }
        Ok(live)
    }

    /// Waits until one host holds the VIP and everyone is ready to take over.
    ///
    /// # Errors
    /// When that does not come.
    pub fn wait_steady(&mut self) -> Result<usize> {
        if let Self::Real(bed) = self {
            return bed.wait_steady();
        }
        let started = Instant::now();
        let mut standing: Option<(usize, Instant)> = None;
        loop {
            match (self.look(), standing) {
                (Ok(holder), Some((same, since))) if holder == same => {
                    if since.elapsed() >= STEADY_FOR {
                        return Ok(holder);
                    }
                }
                (Ok(holder), _) => standing = Some((holder, Instant::now())),
                (Err(missing), _) if started.elapsed() >= STEADY_TIMEOUT => {
                    let tail = self.pintle(0).process().log_tail();
                    return Err(
                        missing.context(format!("not in order; pintle of cp-1 said:\n{tail}"))
                    );
                }
                (Err(_missing), _) => standing = None,
            }
            sleep(LOOK_INTERVAL);
        }
    }

    fn look(&self) -> Result<usize> {
        let owners = self.topology().owners(IpAddr::V4(VIP))?;
        let [holder] = owners[..] else {
            bail!("hosts {owners:?} have the address");
        };
        for host in 0..HOSTS {
            pintle_is_ready(self.topology().host_ns(host))?;
        }
        Ok(holder)
    }
}
