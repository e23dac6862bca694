//! nftables over netlink: batches that the kernel takes whole or not at all, and lists.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_netfilter::nftables::NfTablesMessage;
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

/// The subsystem of a batch (NFNL_SUBSYS_NFTABLES, linux/netfilter/nfnetlink.h).
const NFTABLES: u16 = 10;

/// The kernel answers while a request is sent; this is for one that never does.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// Lists come in portions of at most so much (linux/netlink.h, NLMSG_GOODSIZE and its users).
const BUFFER_LENGTH: usize = 64 << 10;

/// Of a list: more than that many rules a table nobody reads in a check.
const MAX_LISTED: usize = 20_000;

/// A socket of its own: what it makes with an owner ends with it.
#[derive(Debug)]
pub(crate) struct Nft {
    socket: OwnedFd,
    sequence: u32,
}

/// What a list holds: the family's number, and the message.
pub(crate) type Listed = (NetfilterProtoFamily, NfTablesMessage);

// === impl Nft ===

impl Nft {
    pub(crate) fn open() -> io::Result<Self> {
        let socket = socket_with(
            rustix::net::AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(rustix::net::netlink::NETFILTER),
        )?;
        set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_TIMEOUT))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// All of them, or none: one batch.
    pub(crate) fn commit(&mut self, messages: Vec<NfTablesMessage>) -> io::Result<()> {
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
            let message = NetfilterMessage::new(header, message);
            self.write(&mut bytes, message, NLM_F_ACK | NLM_F_CREATE);
        }
        self.write(&mut bytes, edge(ControlMessage::BatchEnd), 0);
        send(&self.socket, &bytes, SendFlags::empty())?;
        while due > 0 {
            for answer in self.receive(begin)? {
                // The first refusal is the batch's, also of its beginning, where the right is missing.
                refusal(&answer.payload)?;
                due = due.saturating_sub(1);
            }
        }
        Ok(())
    }

    /// Everything that a question is answered with.
    pub(crate) fn list(
        &mut self,
        family: NetfilterProtoFamily,
        question: NfTablesMessage,
    ) -> io::Result<Vec<Listed>> {
        let mut bytes = Vec::new();
        let begin = self.sequence.wrapping_add(1);
        let header = NetfilterHeader::new(family, 0, 0);
        self.write(&mut bytes, NetfilterMessage::new(header, question), NLM_F_DUMP);
        send(&self.socket, &bytes, SendFlags::empty())?;
        let mut listed = Vec::new();
        loop {
            for answer in self.receive(begin)? {
                refusal(&answer.payload)?;
                match answer.payload {
                    NetlinkPayload::Done(_) => return Ok(listed),
                    NetlinkPayload::InnerMessage(NetfilterMessage {
                        header,
                        inner: NetfilterMessageInner::NfTables(message),
                        ..
                    }) => listed.push((header.family, message)),
                    _ => {}
                }
                if listed.len() > MAX_LISTED {
                    return Err(io::Error::other("more rules than anybody reads"));
                }
            }
        }
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

    /// The next answers, without those to requests before the one that began so: one that was refused may have
    /// left some behind.
    fn receive(&self, begin: u32) -> io::Result<Vec<NetlinkMessage<NetfilterMessage>>> {
        let mut buffer = vec![0; BUFFER_LENGTH];
        let (_, length) = recv(&self.socket, &mut buffer[..], RecvFlags::empty())?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        let mut answers = Vec::new();
        while let Ok(answer) = NetlinkMessage::<NetfilterMessage>::deserialize(rest) {
            let taken = usize::try_from(answer.header.length).unwrap_or(rest.len());
            rest = rest.get(taken.next_multiple_of(4).max(16)..).unwrap_or_default();
            if answer.header.sequence_number >= begin {
                answers.push(answer);
            }
        }
        Ok(answers)
    }
}

fn refusal(payload: &NetlinkPayload<NetfilterMessage>) -> io::Result<()> {
    match payload {
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        _ => Ok(()),
    }
}
