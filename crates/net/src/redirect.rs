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
use std::os::fd::OwnedFd;
use std::time::Duration;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_netfilter::nftables::{NfTablesMessage, TableFlags};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};
use pintle_core::Vip;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

mod rules;

/// The subsystem of a batch (NFNL_SUBSYS_NFTABLES, linux/netfilter/nfnetlink.h).
const NFTABLES: u16 = 10;

/// The kernel answers while the batch is sent; this is for one that never does.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// An answer echoes the message that it is about; ours are below 1 KiB.
const BUFFER_LENGTH: usize = 16 << 10;

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
    socket: OwnedFd,
    sequence: u32,
    /// Before Linux 5.12: the rules have to be taken away by hand.
    is_ownerless: bool,
}

// === impl Redirect ===

impl Redirect {
    /// Leads what is sent to `port` of each VIP to `to` of the same VIP. The listener has to be there
    /// already, and to be transparent.
    ///
    /// # Errors
    /// When the kernel takes no such rules.
    pub fn install(vips: &[Vip], port: u16, to: u16) -> Result<Self, RedirectError> {
        let attempt = || {
            let mut redirect = Self::open()?;
            let flags = TableFlags::Owner;
            match redirect.commit(rules::install(vips, port, to, flags)) {
                Err(error) if is_unsupported(&error) => {
                    tracing::info!("nftables has no tables with an owner here (Linux 5.12 has)");
                    redirect.is_ownerless = true;
                    redirect.commit(rules::install(vips, port, to, TableFlags::empty()))?;
                }
                answer => answer?,
            }
            Ok(redirect)
        };
        attempt().map_err(|cause: io::Error| {
            if cause.kind() == io::ErrorKind::PermissionDenied {
                return RedirectError::Privilege;
            }
            let vips: Vec<String> = vips.iter().map(ToString::to_string).collect();
            RedirectError::Refused { what: format!("port {port} of {}", vips.join(", ")), cause }
        })
    }

    fn open() -> io::Result<Self> {
        let socket = socket_with(
            rustix::net::AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(rustix::net::netlink::NETFILTER),
        )?;
        set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_TIMEOUT))?;
        Ok(Self { socket, sequence: 0, is_ownerless: false })
    }

    /// All of them, or none: one batch.
    fn commit(&mut self, messages: Vec<NfTablesMessage>) -> io::Result<()> {
        let mut bytes = Vec::new();
        let edge = |edge| {
            let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, NFTABLES);
            NetfilterMessage::new(header, edge)
        };
        let mut due = messages.len();
        let begin = self.sequence.wrapping_add(1);
        self.write(&mut bytes, edge(ControlMessage::BatchBegin), 0);
        for message in messages {
            let header = NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0);
            self.write(
                &mut bytes,
                NetfilterMessage::new(header, message),
                NLM_F_ACK | NLM_F_CREATE,
            );
        }
        self.write(&mut bytes, edge(ControlMessage::BatchEnd), 0);
        send(&self.socket, &bytes, SendFlags::empty())?;
        while due > 0 {
            due = due.saturating_sub(self.answers(begin)?);
        }
        Ok(())
    }

    fn write(&mut self, bytes: &mut Vec<u8>, message: NetfilterMessage, flags: u16) {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = NetlinkMessage::from(message);
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let start = bytes.len();
        bytes.resize(start + message.buffer_len(), 0);
        message.serialize(&mut bytes[start..]);
    }

    /// How many answers came to the batch that has begun so; the first refusal is the batch's, also of its
    /// beginning, where the right is missing. An earlier one that was refused may have left answers behind.
    fn answers(&self, begin: u32) -> io::Result<usize> {
        let mut buffer = vec![0; BUFFER_LENGTH];
        let (_, length) = recv(&self.socket, &mut buffer[..], RecvFlags::empty())?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        let mut heard = 0;
        while let Ok(answer) = NetlinkMessage::<NetfilterMessage>::deserialize(rest) {
            if answer.header.sequence_number >= begin {
                heard += 1;
                if let NetlinkPayload::Error(error) = &answer.payload
                    && error.code.is_some()
                {
                    return Err(error.to_io());
                }
            }
            let taken = usize::try_from(answer.header.length).unwrap_or(rest.len());
            rest = rest.get(taken.next_multiple_of(4).max(16)..).unwrap_or_default();
        }
        Ok(heard)
    }
}

impl Drop for Redirect {
    fn drop(&mut self) {
        if self.is_ownerless
            && let Err(error) = self.commit(rules::remove())
        {
            tracing::warn!(%error, "The table inet pintle is left in nftables");
        }
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP))
}
