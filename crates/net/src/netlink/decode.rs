//! What the kernel says, reduced to what matters here. Pure; it never panics on any bytes.
//!
//! Links are read attribute by attribute and not through their message type: one attribute of a new
//! kernel that does not decode must not hide a link.

use std::net::IpAddr;

use netlink_packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload, NlasIterator};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteType};
use pintle_core::MacAddr;

use crate::addresses::AddressView;
use crate::links::{DefaultRoute, LinkView};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
/// `ARPHRD_ETHER`.
const ETHERNET: u16 = 1;
/// The dump's tables changed while it ran.
const NLM_F_DUMP_INTR: u16 = 0x10;
/// `INFINITY_LIFE_TIME`.
const FOREVER: u32 = u32::MAX;

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Link(LinkView),
    /// A link is gone; its index.
    LinkGone(u32),
    Address(AddressView),
    AddressGone(AddressView),
    DefaultRoute(DefaultRoute),
    /// The rest of the dump may have holes or repetitions.
    Disturbed,
    /// Carried out, or the dump's end.
    Done,
    /// Refused, with this errno.
    Failed(i32),
    /// Nothing of interest.
    Other,
}

/// The messages of one datagram; with a `sequence`, only those that answer that request.
pub(super) fn parts(datagram: &[u8], sequence: Option<u32>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = datagram;
    while let Ok(buffer) = NetlinkBuffer::new_checked(rest) {
        let length = usize::try_from(buffer.length()).unwrap_or(usize::MAX);
        let Some(message) = rest.get(..length).filter(|message| !message.is_empty()) else {
            break;
        };
        if sequence.is_none_or(|sequence| sequence == buffer.sequence_number()) {
            if buffer.flags() & NLM_F_DUMP_INTR != 0 {
                parts.push(Part::Disturbed);
            }
            parts.push(part(buffer.message_type(), message));
        }
        // Messages begin at multiples of four.
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    parts
}

fn part(kind: u16, bytes: &[u8]) -> Part {
    let body = bytes.get(16..).unwrap_or_default();
    match kind {
        RTM_NEWLINK => {
            // An Ethernet link always has an address: what says nothing of it is a wireless driver's own
            // event (net/wireless/wext-core.c) and not news of the link.
            let is_whole = |link: &LinkView| link.mac.is_some() || !is_ethernet(body);
            return link(body).filter(is_whole).map_or(Part::Other, Part::Link);
        }
        RTM_DELLINK => return link(body).map_or(Part::Other, |link| Part::LinkGone(link.index)),
        _ => {}
    }
    let Ok(message) = NetlinkMessage::<Message>::deserialize(bytes) else {
        return Part::Other;
    };
    match message.payload {
        NetlinkPayload::Done(_) => Part::Done,
        NetlinkPayload::Error(error) => match error.raw_code() {
            0 => Part::Done,
            code => Part::Failed(code.saturating_abs()),
        },
        NetlinkPayload::InnerMessage(Message::NewAddress(message)) => {
            address(&message).map_or(Part::Other, Part::Address)
        }
        NetlinkPayload::InnerMessage(Message::DelAddress(message)) => {
            address(&message).map_or(Part::Other, Part::AddressGone)
        }
        NetlinkPayload::InnerMessage(Message::NewRoute(message)) => {
            default_route(&message).map_or(Part::Other, Part::DefaultRoute)
        }
        _ => Part::Other,
    }
}

fn is_ethernet(body: &[u8]) -> bool {
    body.get(2..4) == Some(&ETHERNET.to_ne_bytes())
}

/// `struct ifinfomsg` and the two attributes that matter.
fn link(body: &[u8]) -> Option<LinkView> {
    // Family, padding, type, index, flags, change.
    let family = *body.first()?;
    // Bridges send messages of their own family about their ports: a port that leaves its bridge is
    // not a link that goes.
    if family != u8::from(AddressFamily::Unspec) {
        return None;
    }
    let index = u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
    let flags = u32::from_ne_bytes(body.get(8..12)?.try_into().ok()?);
    let mut link = LinkView { index, name: String::new(), mac: None, flags };
    for attribute in NlasIterator::new(body.get(16..)?).flatten() {
        match attribute.kind() {
            IFLA_IFNAME => {
                let name = attribute.value().split(|byte| *byte == 0).next().unwrap_or_default();
                link.name = String::from_utf8_lossy(name).into_owned();
            }
            IFLA_ADDRESS if is_ethernet(body) => {
                link.mac = attribute.value().try_into().ok().map(MacAddr);
            }
            _ => {}
        }
    }
    Some(link)
}

fn address(message: &AddressMessage) -> Option<AddressView> {
    let (mut local, mut remote, mut valid, mut preferred) = (None, None, None, None);
    let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => remote = Some(*address),
            AddressAttribute::Flags(all) => flags = *all,
            AddressAttribute::CacheInfo(lifetime) => {
                valid = Some(lifetime.ifa_valid).filter(|seconds| *seconds != FOREVER);
                preferred = Some(lifetime.ifa_preferred);
            }
            _ => {}
        }
    }
    // On point-to-point links IFA_ADDRESS is the other end; IPv6 often has it alone.
    let address: IpAddr = local.or(remote)?;
    Some(AddressView {
        index: message.header.index,
        address,
        prefix_len: message.header.prefix_len,
        valid,
        is_preferred: preferred != Some(0),
        is_secondary: flags.contains(AddressFlags::Secondary),
        is_noprefixroute: flags.contains(AddressFlags::Noprefixroute),
    })
}

fn default_route(message: &RouteMessage) -> Option<DefaultRoute> {
    let header = &message.header;
    let is_default = header.destination_prefix_length == 0
        && header.table == RouteHeader::RT_TABLE_MAIN
        && header.kind == RouteType::Unicast;
    if !is_default {
        return None;
    }
    let mut metric = 0;
    let mut index = None;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(oif) => index = Some(*oif),
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::MultiPath(hops) => {
                index = index.or_else(|| hops.first().map(|hop| hop.interface_index));
            }
            _ => {}
        }
    }
    let is_v6 = header.address_family == AddressFamily::Inet6;
    Some(DefaultRoute { index: index?, is_v6, metric })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(16 + body.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        bytes
    }

    fn ifinfo(family: u8) -> Vec<u8> {
        let mut body = vec![family, 0];
        body.extend(1_u16.to_ne_bytes());
        body.extend(7_u32.to_ne_bytes());
        body.extend(0x1_0043_u32.to_ne_bytes());
        body.extend([0; 4]);
        body.extend([10, 0, 1, 0, 2, 0, 0, 0, 0, 9, 0, 0]);
        body.extend([9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0]);
        body
    }

    fn eth0() -> LinkView {
        let mac = Some(MacAddr([2, 0, 0, 0, 0, 9]));
        LinkView { index: 7, name: "eth0".into(), mac, flags: 0x1_0043 }
    }

    #[test]
    fn a_wireless_event_is_no_news_of_the_link() {
        let mut body = ifinfo(0);
        body.drain(16..28);
        assert_eq!(parts(&message(RTM_NEWLINK, 0, 0, &body), None), [Part::Other]);
        // A link that has no such address, as a tunnel, is what it says.
        body[2..4].copy_from_slice(&768_u16.to_ne_bytes());
        assert_eq!(
            parts(&message(RTM_NEWLINK, 0, 0, &body), None),
            [Part::Link(LinkView { mac: None, ..eth0() })]
        );
    }

    #[test]
    fn links_come_and_go_but_not_with_their_bridge() {
        let datagram = [
            message(RTM_NEWLINK, 0, 0, &ifinfo(0)),
            message(RTM_DELLINK, 0, 0, &ifinfo(7)),
            message(RTM_DELLINK, 0, 0, &ifinfo(0)),
        ];
        let expected = [Part::Link(eth0()), Part::Other, Part::LinkGone(7)];
        assert_eq!(parts(&datagram.concat(), None), expected);
    }

    #[test]
    fn answers_of_other_requests_are_passed_over() {
        let errno = (-libc::EPERM).to_ne_bytes();
        let datagram = [
            message(RTM_NEWLINK, 0, 4, &ifinfo(0)),
            message(RTM_NEWLINK, NLM_F_DUMP_INTR, 5, &ifinfo(0)),
            message(2, 0, 5, &[errno.as_slice(), &[0; 16]].concat()),
            message(2, 0, 5, &[0; 20]),
            message(3, 0, 5, &[0; 4]),
        ];
        let expected = [
            Part::Disturbed,
            Part::Link(eth0()),
            Part::Failed(libc::EPERM),
            Part::Done,
            Part::Done,
        ];
        assert_eq!(parts(&datagram.concat(), Some(5)), expected);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            kind in 0_u16..60, body in prop::collection::vec(any::<u8>(), 0..120), cut in 0_usize..140,
        ) {
            let mut bytes = message(kind, 0, 1, &body);
            bytes.truncate(cut);
            let _ = parts(&bytes, None);
            let _ = parts(&body, None);
        }
    }
}
