//! rtnetlink: asks and tells the kernel about links and addresses, one request at a time.
//!
//! A request is carried out while it is being sent (`netlink_unicast_kernel`), and its answer is in
//! the socket before `send` returns. So requests here do not wait in an event loop, cannot overtake
//! one another, and an address call is over when the function returns.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::RouteMessage;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

use crate::addresses::AddressView;
use crate::links::{DefaultRoute, LinkView};
use decode::Part;

pub(crate) use monitor::{Change, Monitor};

mod decode;
mod encode;
mod monitor;

/// An answer that is not there when `send` returns is one that will not come; the wait is for dumps,
/// which the kernel fills while they are read.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(200);

/// The kernel fills a dump's datagrams up to 32 KiB (`netlink_dump`).
const BUFFER_LENGTH: usize = 64 << 10;

/// A dump that the tables changed under is taken again; so often, and the last one is believed.
const MAX_DUMPS: u32 = 3;

/// Marks addresses as ours for `ip addr`, where the kernel keeps the mark (5.18 and later). Any number
/// that iproute2's rt_addrprotos does not name will do.
const ADDRESS_PROTOCOL: u8 = 0x70;

/// A connection for requests.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    /// Addresses are tagged, until the kernel refuses it.
    tags: bool,
    buffer: Vec<u8>,
}

// === impl Netlink ===

impl Netlink {
    pub(crate) fn open() -> io::Result<Self> {
        let socket = socket_with(
            rustix::net::AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None, // NETLINK_ROUTE is protocol 0
        )?;
        set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_TIMEOUT))?;
        Ok(Self { socket, sequence: 0, tags: true, buffer: vec![0; BUFFER_LENGTH] })
    }

    /// Every address of the host.
    pub(crate) fn addresses(&mut self) -> io::Result<Vec<AddressView>> {
        self.dump(&Message::GetAddress(AddressMessage::default()), |part| match part {
            Part::Address(address) => Some(address),
            _ => None,
        })
    }

    /// Every link of the host.
    pub(crate) fn links(&mut self) -> io::Result<Vec<LinkView>> {
        self.dump(&Message::GetLink(LinkMessage::default()), |part| match part {
            Part::Link(link) => Some(link),
            _ => None,
        })
    }

    /// One link; `None` when there is none of that name.
    pub(crate) fn link(&mut self, name: &str) -> io::Result<Option<LinkView>> {
        let mut found = None;
        let answer = self.request(encode::link_request(name), 0, |part| {
            if let Part::Link(link) = part {
                found = Some(link);
            }
        });
        match answer {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
            Ok(_) => Ok(found),
        }
    }

    /// The default routes of the main table.
    pub(crate) fn default_routes(&mut self) -> io::Result<Vec<DefaultRoute>> {
        self.dump(&Message::GetRoute(RouteMessage::default()), |part| match part {
            Part::DefaultRoute(route) => Some(route),
            _ => None,
        })
    }

    /// Binds an address as a single host that the kernel removes by itself after `seconds`; or gives
    /// one that is bound already this lifetime.
    pub(crate) fn bind(&mut self, index: u32, address: IpAddr, seconds: u32) -> io::Result<()> {
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        let tag = self.tags.then_some(ADDRESS_PROTOCOL);
        let message = encode::bind_request(index, address, seconds, tag);
        match self.request(message, flags, |_| {}) {
            Err(error) if tag.is_some() && is_unsupported(&error) => {
                self.tags = false;
                let untagged = encode::bind_request(index, address, seconds, None);
                self.request(untagged, flags, |_| {}).map(drop)
            }
            answer => answer.map(drop),
        }
    }

    /// Takes an address off a link. One that is not there is no error.
    pub(crate) fn unbind(&mut self, index: u32, address: IpAddr, prefix_len: u8) -> io::Result<()> {
        let message = encode::unbind_request(index, address, prefix_len);
        match self.request(message, NLM_F_ACK, |_| {}) {
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) =>
            {
                Ok(())
            }
            answer => answer.map(drop),
        }
    }

    /// Runs a dump, again if the tables changed under it.
    fn dump<T>(
        &mut self,
        message: &Message,
        take: impl Fn(Part) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        for _ in 1..MAX_DUMPS {
            let (parts, is_whole) = self.dump_once(message.clone(), &take)?;
            if is_whole {
                return Ok(parts);
            }
        }
        self.dump_once(message.clone(), &take).map(|(parts, _)| parts)
    }

    fn dump_once<T>(
        &mut self,
        message: Message,
        take: impl Fn(Part) -> Option<T>,
    ) -> io::Result<(Vec<T>, bool)> {
        let mut parts = Vec::new();
        let is_whole = self.request(message, NLM_F_DUMP, |part| parts.extend(take(part)))?;
        Ok((parts, is_whole))
    }

    /// Sends one request and reads its answer to the end; false when a dump was disturbed.
    fn request(
        &mut self,
        message: Message,
        flags: u16,
        mut each: impl FnMut(Part),
    ) -> io::Result<bool> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        send(&self.socket, &bytes, SendFlags::empty())?;

        let mut is_whole = true;
        loop {
            let (_, length) = recv(&self.socket, &mut self.buffer[..], RecvFlags::empty())?;
            let datagram = self.buffer.get(..length).unwrap_or_default();
            for part in decode::parts(datagram, Some(self.sequence)) {
                match part {
                    Part::Done => return Ok(is_whole),
                    Part::Failed(errno) => return Err(io::Error::from_raw_os_error(errno)),
                    Part::Disturbed => is_whole = false,
                    part => {
                        let is_single = flags & (NLM_F_DUMP | NLM_F_ACK) == 0;
                        each(part);
                        if is_single {
                            return Ok(true);
                        }
                    }
                }
            }
        }
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP))
}
