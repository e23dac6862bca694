//! Leads what clients send to `VIP:port` to a listener of this process, while another process has that
//! port on every address: nftables, by netlink, without a program.
//!
//! ```text
//! from outside, and from pods:  prerouting --tproxy--> listener on VIP:to   (the packet keeps its port)
//! from this host itself:        output -----dnat-----> VIP:to               (only while the VIP is here)
//! ```
//!
//! The table belongs to this process's socket (`NFT_TABLE_F_OWNER`, Linux 5.12): the kernel removes it when
//! the socket is gone, however the process ends, and nobody else's `flush ruleset` does. Connections that
//! the other process has already stay with it, and a packet for which there is no listener goes to it
//! (net/netfilter/nft_tproxy.c: `NFT_BREAK`).

use std::io;

use netlink_packet_netfilter::nftables::TableFlags;
use pintle_core::Vip;

use crate::nft::Nft;

mod rules;

/// One that never comes into being.
const REHEARSAL: &str = "pintle-check";

/// Why connections cannot be led to the balancer.
#[derive(Debug, thiserror::Error)]
pub enum RedirectError {
    /// nftables rules are a privilege.
    #[error(
        "the capability NET_ADMIN is missing: run as uid 0 and add it, connections cannot be led to the \
         balancer without it"
    )]
    Privilege,
    /// The kernel refused.
    #[error(
        "connections to {what} cannot be led to the balancer, nftables refused: give it another \
         balancer.port, or load nf_tables, nft_tproxy, nft_nat and nft_fib_inet: {cause}"
    )]
    Refused {
        /// The VIPs and the port.
        what: String,
        /// What the kernel said.
        cause: io::Error,
    },
}

/// The rules, for as long as it lives.
#[derive(Debug)]
pub struct Redirect {
    nft: Nft,
    table: String,
    /// Before Linux 5.12: the rules have to be taken away by hand.
    is_ownerless: bool,
}

// === impl RedirectError ===

impl RedirectError {
    fn of(vips: &[Vip], port: u16, cause: io::Error) -> Self {
        if cause.kind() == io::ErrorKind::PermissionDenied {
            return Self::Privilege;
        }
        let vips: Vec<String> = vips.iter().map(ToString::to_string).collect();
        Self::Refused { what: format!("port {port} of {}", vips.join(", ")), cause }
    }
}

// === impl Redirect ===

impl Redirect {
    /// Leads what is sent to `port` of each VIP to `to` of the same VIP. The listener has to be there
    /// already, and to be transparent.
    ///
    /// # Errors
    /// When the kernel takes no such rules.
    pub fn install(vips: &[Vip], port: u16, to: u16) -> Result<Self, RedirectError> {
        let table = table_of(vips);
        let attempt = || {
            let mut nft = Nft::open()?;
            let owned = rules::install(&table, vips, port, to, TableFlags::Owner);
            match nft.commit(owned) {
                Err(error) if is_unsupported(&error) => {
                    tracing::info!("nftables has no tables with an owner here (Linux 5.12 has)");
                    nft.commit(rules::install(&table, vips, port, to, TableFlags::empty()))?;
                    Ok((nft, true))
                }
                answer => answer.map(|()| (nft, false)),
            }
        };
        match attempt() {
            Ok((nft, is_ownerless)) => Ok(Self { nft, table, is_ownerless }),
            Err(cause) => Err(RedirectError::of(vips, port, cause)),
        }
    }

    /// Whether the kernel would take such rules: the same batch under another name, with an end that has to be
    /// refused, so that nothing of it comes into being.
    ///
    /// # Errors
    /// When it would not.
    pub fn rehearse(vips: &[Vip], port: u16, to: u16) -> Result<(), RedirectError> {
        let attempt = || {
            let mut rules = rules::install(REHEARSAL, vips, port, to, TableFlags::empty());
            // Twice: the second time it is not there.
            rules.extend([REHEARSAL; 2].into_iter().flat_map(rules::remove));
            match Nft::open()?.commit(rules) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
                Ok(()) => Err(io::Error::other("the rehearsal was taken for the play")),
            }
        };
        attempt().map_err(|cause| RedirectError::of(vips, port, cause))
    }
}

impl Drop for Redirect {
    fn drop(&mut self) {
        if self.is_ownerless
            && let Err(error) = self.nft.commit(rules::remove(&self.table))
        {
            tracing::warn!(%error, "The table inet {} is left in nftables", self.table);
        }
    }
}

/// The table's name: it is there while a balancer of these VIPs is. Another pintle of this host, for other VIPs,
/// has its own. As `nft` reads one: no colons.
fn table_of(vips: &[Vip]) -> String {
    let mut sorted = vips.to_vec();
    sorted.sort();
    let parts: Vec<String> = sorted.iter().map(|vip| vip.to_string().replace(':', "_")).collect();
    format!("pintle-{}", parts.join("-"))
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP))
}
