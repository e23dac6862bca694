//! The frames that tell who has an address: ARP (RFC 826, 5227) and neighbour discovery (RFC 4861).
//! Pure: bytes out, bytes in. It never panics on any bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pintle_core::{MacAddr, Vip};

const BROADCAST: MacAddr = MacAddr([0xff; 6]);
/// The Ethernet address of `ff02::1`, all nodes.
const ALL_NODES_MAC: MacAddr = MacAddr([0x33, 0x33, 0, 0, 0, 1]);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// Ethernet, IPv4, and the lengths of their addresses.
const ARP_ETHERNET_IPV4: [u8; 6] = [0, 1, 0x08, 0, 6, 4];
const ARP_REQUEST: [u8; 2] = [0, 1];
const ARP_REPLY: [u8; 2] = [0, 2];

pub(crate) const ICMPV6: u8 = 58;
/// RFC 4861 section 7.1: what came through a router is not believed.
const HOP_LIMIT: u8 = 255;
pub(crate) const SOLICIT: u8 = 135;
pub(crate) const ADVERT: u8 = 136;
/// The override flag: caches replace what they have.
const FLAG_OVERRIDE: u8 = 0x20;
const OPTION_TARGET_LINK_LAYER: u8 = 2;

/// What another machine says about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The address.
    pub(crate) address: IpAddr,
    /// The machine that is said to have it, or that asks.
    pub(crate) mac: MacAddr,
    /// The Ethernet source of the frame.
    pub(crate) source: MacAddr,
    /// Which of the two.
    pub(crate) kind: Kind,
}

/// Claims the address, or asks whether anybody has it in order to take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// ARP with the address as sender, or a neighbour advertisement.
    Claim,
    /// ARP probe, or a solicitation from the unspecified address.
    Probe,
}

/// An announcement of one VIP and the form it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Gratuitous ARP, request form (RFC 5227 section 3).
    ArpRequest,
    /// Gratuitous ARP, reply form (RFC 5944 section 4.6): some hosts learn only from replies.
    ArpReply,
    /// Unsolicited neighbour advertisement (RFC 4861 section 7.2.6).
    Na,
}

/// Every announcement frame of a VIP.
pub(crate) fn announcements(vip: Vip, mac: MacAddr) -> Vec<(Form, Vec<u8>)> {
    match vip.0 {
        IpAddr::V4(address) => vec![
            (Form::ArpRequest, arp(mac, ARP_REQUEST, address, MacAddr([0; 6]), address)),
            (Form::ArpReply, arp(mac, ARP_REPLY, address, mac, address)),
        ],
        IpAddr::V6(address) => vec![(Form::Na, unsolicited_na(mac, address))],
    }
}

/// The question whether anybody has the VIP, which claims nothing itself.
pub(crate) fn probe(vip: Vip, mac: MacAddr) -> Vec<u8> {
    match vip.0 {
        IpAddr::V4(address) => {
            arp(mac, ARP_REQUEST, Ipv4Addr::UNSPECIFIED, MacAddr([0; 6]), address)
        }
        IpAddr::V6(address) => solicitation(mac, address),
    }
}

/// The group that hosts with `address` listen to for solicitations (RFC 4291 section 2.7.1), as an
/// Ethernet address.
pub(crate) fn solicited_node_mac(address: Ipv6Addr) -> MacAddr {
    let [.., a, b, c] = address.octets();
    MacAddr([0x33, 0x33, 0xff, a, b, c])
}

fn arp(
    mac: MacAddr,
    operation: [u8; 2],
    sender: Ipv4Addr,
    tha: MacAddr,
    target: Ipv4Addr,
) -> Vec<u8> {
    let parts: [&[u8]; 9] = [
        &BROADCAST.0,
        &mac.0,
        &ETHERTYPE_ARP,
        &ARP_ETHERNET_IPV4,
        &operation,
        &mac.0,
        &sender.octets(),
        &tha.0,
        &target.octets(),
    ];
    parts.concat()
}

fn unsolicited_na(mac: MacAddr, address: Ipv6Addr) -> Vec<u8> {
    let message = [
        &[ADVERT, 0, 0, 0, FLAG_OVERRIDE, 0, 0, 0][..],
        &address.octets(),
        &[OPTION_TARGET_LINK_LAYER, 1],
        &mac.0,
    ];
    icmpv6(mac, ALL_NODES_MAC, address, ALL_NODES, message.concat())
}

/// As in duplicate address detection (RFC 4862 section 5.4.2): from nobody, without a link-layer
/// option, to those who have the address.
fn solicitation(mac: MacAddr, address: Ipv6Addr) -> Vec<u8> {
    let MacAddr([.., a, b, c]) = solicited_node_mac(address);
    let low = u16::from_be_bytes([b, c]);
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low);
    let message = [&[SOLICIT, 0, 0, 0, 0, 0, 0, 0][..], &address.octets()].concat();
    icmpv6(mac, solicited_node_mac(address), Ipv6Addr::UNSPECIFIED, group, message)
}

fn icmpv6(
    mac: MacAddr,
    to: MacAddr,
    src: Ipv6Addr,
    dst: Ipv6Addr,
    mut message: Vec<u8>,
) -> Vec<u8> {
    let sum = checksum(src, dst, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let [.., high, low] = message.len().to_be_bytes();
    let parts: [&[u8]; 7] = [
        &to.0,
        &mac.0,
        &ETHERTYPE_IPV6,
        &[0x60, 0, 0, 0, high, low, ICMPV6, HOP_LIMIT],
        &src.octets(),
        &dst.octets(),
        &message,
    ];
    parts.concat()
}

/// The Internet checksum under the IPv6 pseudo-header (RFC 8200 section 8.1); 0 over a message that
/// carries the right one.
fn checksum(src: Ipv6Addr, dst: Ipv6Addr, message: &[u8]) -> u16 {
    let [.., high, low] = message.len().to_be_bytes();
    let pseudo = [&src.octets()[..], &dst.octets(), &[0, 0, high, low, 0, 0, 0, ICMPV6]].concat();
    let words = pseudo.chunks(2).chain(message.chunks(2));
    let mut sum = words
        .map(|word| u32::from(word[0]) << 8 | word.get(1).copied().map_or(0, u32::from))
        .sum::<u32>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [.., high, low] = sum.to_be_bytes();
    !u16::from_be_bytes([high, low])
}

/// Reads a whole Ethernet frame; `None` when it says nothing about who has an address.
pub(crate) fn parse(frame: &[u8]) -> Option<Heard> {
    let source = MacAddr(array(frame, 6)?);
    match array(frame, 12)? {
        ETHERTYPE_ARP => parse_arp(frame.get(14..)?, source),
        ETHERTYPE_IPV6 => parse_ipv6(frame.get(14..)?, source),
        _ => None,
    }
}

fn parse_arp(packet: &[u8], source: MacAddr) -> Option<Heard> {
    let operation = array(packet, 6)?;
    if array(packet, 0)? != ARP_ETHERNET_IPV4 || ![ARP_REQUEST, ARP_REPLY].contains(&operation) {
        return None;
    }
    let sender = Ipv4Addr::from(array::<4>(packet, 14)?);
    let target = Ipv4Addr::from(array::<4>(packet, 24)?);
    let (address, kind) = if !sender.is_unspecified() {
        (sender, Kind::Claim)
    } else if operation == ARP_REQUEST {
        (target, Kind::Probe)
    } else {
        return None;
    };
    Some(Heard { address: address.into(), mac: MacAddr(array(packet, 8)?), source, kind })
}

fn parse_ipv6(packet: &[u8], source: MacAddr) -> Option<Heard> {
    let length = usize::from(u16::from_be_bytes(array(packet, 4)?));
    let (next_header, hop_limit) = (*packet.get(6)?, *packet.get(7)?);
    let src = Ipv6Addr::from(array::<16>(packet, 8)?);
    let dst = Ipv6Addr::from(array::<16>(packet, 24)?);
    let message = packet.get(40..)?.get(..length)?;
    let is_valid = packet[0] >> 4 == 6
        && next_header == ICMPV6
        && hop_limit == HOP_LIMIT
        && *message.get(1)? == 0
        && checksum(src, dst, message) == 0;
    if !is_valid {
        return None;
    }
    let address = IpAddr::from(array::<16>(message, 8)?);
    match message[0] {
        ADVERT => {
            let mac = target_link_layer(message.get(24..)?).unwrap_or(source);
            Some(Heard { address, mac, source, kind: Kind::Claim })
        }
        SOLICIT if src.is_unspecified() => {
            Some(Heard { address, mac: source, source, kind: Kind::Probe })
        }
        _ => None,
    }
}

fn target_link_layer(mut options: &[u8]) -> Option<MacAddr> {
    loop {
        let length = usize::from(*options.get(1)?) * 8;
        let option = options.get(..length).filter(|option| !option.is_empty())?;
        if option[0] == OPTION_TARGET_LINK_LAYER {
            return array(option, 2).map(MacAddr);
        }
        options = &options[length..];
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.get(..N)?.try_into().ok()
}

#[cfg(test)]
mod tests;
