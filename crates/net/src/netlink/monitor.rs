//! What changes on links and addresses, as the kernel tells everybody who subscribed.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use rustix::net::{RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use tokio::io::unix::AsyncFd;

use super::{BUFFER_LENGTH, decode};
use crate::addresses::AddressView;
use crate::links::LinkView;
use crate::packet;

/// `1 << (RTNLGRP_LINK - 1)`, and the same of RTNLGRP_IPV4_IFADDR and RTNLGRP_IPV6_IFADDR.
const GROUPS: u32 = 1 | 1 << 4 | 1 << 8;

/// Room for some thousand changes: a node that starts hundreds of pods at once. What does not fit
/// shows as [`Change::Overrun`].
const RECEIVE_BUFFER: usize = 1 << 20;

/// Datagrams read per wake-up: a storm must not keep the loop from its timers.
const MAX_READS: usize = 64;

/// Something changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A link is new or different.
    Link(LinkView),
    /// The link with this index is gone.
    LinkGone(u32),
    /// An address is new or different.
    Address(AddressView),
    /// An address is gone.
    AddressGone(AddressView),
    /// Changes were lost: look at everything anew.
    Overrun,
}

/// The subscription.
#[derive(Debug)]
pub(crate) struct Monitor {
    socket: AsyncFd<OwnedFd>,
    buffer: Vec<u8>,
}

// === impl Monitor ===

impl Monitor {
    pub(crate) fn open() -> io::Result<Self> {
        let socket = socket_with(
            rustix::net::AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None, // NETLINK_ROUTE is protocol 0
        )?;
        if set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
            set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        }
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        Ok(Self { socket: packet::watch(socket)?, buffer: vec![0; BUFFER_LENGTH] })
    }

    /// Waits until something may have changed.
    ///
    /// # Cancel safety
    /// Nothing is read here.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await.map(|mut guard| guard.clear_ready())
    }

    /// Reads the changes without waiting; true when there may be more.
    pub(crate) fn drain(&mut self, mut changed: impl FnMut(Change)) -> bool {
        for _ in 0..MAX_READS {
            match recv(self.socket.get_ref(), &mut self.buffer[..], RecvFlags::DONTWAIT) {
                Ok((_, length)) => {
                    let datagram = self.buffer.get(..length).unwrap_or_default();
                    decode::parts(datagram, None)
                        .into_iter()
                        .filter_map(change)
                        .for_each(&mut changed);
                }
                Err(rustix::io::Errno::AGAIN) => return false,
                Err(rustix::io::Errno::INTR) => {}
                // ENOBUFS; any other error leaves as little known.
                Err(_) => {
                    changed(Change::Overrun);
                    return true;
                }
            }
        }
        true
    }
}

fn change(part: decode::Part) -> Option<Change> {
    match part {
        decode::Part::Link(link) => Some(Change::Link(link)),
        decode::Part::LinkGone(index) => Some(Change::LinkGone(index)),
        decode::Part::Address(address) => Some(Change::Address(address)),
        decode::Part::AddressGone(address) => Some(Change::AddressGone(address)),
        decode::Part::DefaultRoute(_)
        | decode::Part::Disturbed
        | decode::Part::Done
        | decode::Part::Failed(_)
        | decode::Part::Other => None,
    }
}
