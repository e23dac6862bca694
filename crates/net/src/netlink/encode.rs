//! Requests as netlink messages. Pure.

use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, CacheInfo,
};
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};

/// Asks for one link by name.
pub(super) fn link_request(name: &str) -> Message {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    // Counters are of no use here and half of the answer.
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    Message::GetLink(message)
}

/// Design section 4.2: a single host without a route, without duplicate address detection (the
/// conflict probe has its place before), never a source, and gone after `seconds`.
pub(super) fn bind_request(index: u32, address: IpAddr, seconds: u32, tag: Option<u8>) -> Message {
    let prefix_len = if address.is_ipv4() { 32 } else { 128 };
    let mut message = address_message(index, address, prefix_len);
    // Without it, replacing makes the address permanent.
    let mut lifetime = CacheInfo::default();
    lifetime.ifa_valid = seconds;
    lifetime.ifa_preferred = 0;
    let flags = AddressFlags::Noprefixroute | AddressFlags::Nodad;
    message
        .attributes
        .extend([AddressAttribute::Flags(flags), AddressAttribute::CacheInfo(lifetime)]);
    let tag = tag.map(|tag| AddressAttribute::Protocol(AddressProtocol::Other(tag)));
    message.attributes.extend(tag);
    Message::NewAddress(message)
}

/// Takes an address off a link.
pub(super) fn unbind_request(index: u32, address: IpAddr, prefix_len: u8) -> Message {
    Message::DelAddress(address_message(index, address, prefix_len))
}

fn address_message(index: u32, address: IpAddr, prefix_len: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = prefix_len;
    message.header.family =
        if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
    message
}
