//! A parser of the frames that tell who holds an address: ARP, NDP, and the ends of TCP sessions.
//!
//! It shares nothing with the product's encoder: a mistake made there must be seen here. It never
//! panics on any bytes, and it calls a neighbour discovery message that a host would drop by
//! RFC 4861 section 7.1 what it is: invalid.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// ICMPv6 neighbour solicitation (RFC 4861 section 4.3).
const SOLICIT: u8 = 135;
/// ICMPv6 neighbour advertisement (RFC 4861 section 4.4).
const ADVERT: u8 = 136;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Mac(pub [u8; 6]);

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// ARP over Ethernet for IPv4 (RFC 826).
    Arp {
        /// 1 request, 2 reply.
        op: u16,
        /// Sender's Ethernet address.
        sha: Mac,
        /// Sender's address; 0.0.0.0 in a probe (RFC 5227).
        spa: Ipv4Addr,
        /// Target's Ethernet address.
        tha: Mac,
        /// Target's address; equal to `spa` in an announcement.
        tpa: Ipv4Addr,
        /// Where the frame itself goes.
        dst_mac: Mac,
    },
    /// Neighbour advertisement.
    NeighborAdvert {
        /// The address it is about.
        target: Ipv6Addr,
        /// Whether caches shall replace what they have.
        override_flag: bool,
        /// Whether it answers a solicitation.
        solicited: bool,
        /// The target link-layer address option.
        lladdr: Option<Mac>,
        /// Source address.
        src: Ipv6Addr,
        /// Destination address.
        dst: Ipv6Addr,
    },
    /// Neighbour solicitation.
    NeighborSolicit {
        /// The address it asks for.
        target: Ipv6Addr,
        /// Source address; unspecified in duplicate address detection.
        src: Ipv6Addr,
    },
    /// A TCP segment with SYN, FIN or RST.
    Tcp {
        /// From.
        src: SocketAddr,
        /// To.
        dst: SocketAddr,
        /// SYN flag.
        syn: bool,
        /// FIN flag.
        fin: bool,
        /// RST flag.
        rst: bool,
    },
    /// Neighbour discovery or ARP that a host drops, and why.
    Invalid(&'static str),
    /// Anything else.
    Other,
}

/// A frame with its Ethernet addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ethernet {
    /// Destination.
    pub destination: Mac,
    /// Source.
    pub source: Mac,
    /// Content.
    pub frame: Frame,
}

// === impl Mac ===

impl Mac {
    /// All stations.
    pub const BROADCAST: Self = Self([0xff; 6]);
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl TryFrom<String> for Mac {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl std::str::FromStr for Mac {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes: Result<Vec<u8>, _> =
            text.split(':').map(|part| u8::from_str_radix(part, 16)).collect();
        let bytes = bytes.ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| anyhow::anyhow!("not an Ethernet address: {text:?}"))
    }
}

// === impl Ethernet ===

impl Ethernet {
    /// Reads a frame; `None` when it is shorter than an Ethernet header.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let destination = mac(bytes, 0)?;
        let source = mac(bytes, 6)?;
        let payload = bytes.get(14..)?;
        let frame = match be16(bytes, 12)? {
            0x0806 => arp(payload, destination),
            0x0800 => ipv4(payload),
            0x86dd => ipv6(payload),
            _ => Some(Frame::Other),
        };
        let frame = frame.unwrap_or(Frame::Invalid("shorter than its header says"));
        Some(Self { destination, source, frame })
    }
}

fn arp(bytes: &[u8], dst_mac: Mac) -> Option<Frame> {
    let header = bytes.get(..6)?;
    if header != [0, 1, 0x08, 0, 6, 4] {
        return Some(Frame::Invalid("not ARP over Ethernet for IPv4"));
    }
    Some(Frame::Arp {
        op: be16(bytes, 6)?,
        sha: mac(bytes, 8)?,
        spa: v4(bytes, 14)?,
        tha: mac(bytes, 18)?,
        tpa: v4(bytes, 24)?,
        dst_mac,
    })
}

fn ipv4(bytes: &[u8]) -> Option<Frame> {
    let header_len = usize::from(bytes.first()? & 0x0f) * 4;
    let is_first_fragment = be16(bytes, 6)? & 0x1fff == 0;
    if *bytes.get(9)? != 6 || !is_first_fragment {
        return Some(Frame::Other);
    }
    let (src, dst) = (v4(bytes, 12)?, v4(bytes, 16)?);
    tcp(bytes.get(header_len..)?, src.into(), dst.into())
}

fn ipv6(bytes: &[u8]) -> Option<Frame> {
    let (src, dst) = (v6(bytes, 8)?, v6(bytes, 24)?);
    let hop_limit = *bytes.get(7)?;
    let payload = bytes.get(40..)?;
    match *bytes.get(6)? {
        6 => tcp(payload, src.into(), dst.into()),
        58 => {
            let message = payload.get(..usize::from(be16(bytes, 4)?))?;
            icmpv6(message, src, dst, hop_limit)
        }
        _ => Some(Frame::Other),
    }
}

fn tcp(bytes: &[u8], src: IpAddr, dst: IpAddr) -> Option<Frame> {
    let flags = *bytes.get(13)?;
    Some(Frame::Tcp {
        src: SocketAddr::new(src, be16(bytes, 0)?),
        dst: SocketAddr::new(dst, be16(bytes, 2)?),
        fin: flags & 0x01 != 0,
        syn: flags & 0x02 != 0,
        rst: flags & 0x04 != 0,
    })
}

fn icmpv6(bytes: &[u8], src: Ipv6Addr, dst: Ipv6Addr, hop_limit: u8) -> Option<Frame> {
    let kind = *bytes.first()?;
    if kind != SOLICIT && kind != ADVERT {
        return Some(Frame::Other);
    }
    // RFC 4861 section 7.1: what a receiver has to check before it believes a word.
    if hop_limit != 255 {
        return Some(Frame::Invalid("neighbour discovery with a hop limit other than 255"));
    }
    if *bytes.get(1)? != 0 {
        return Some(Frame::Invalid("neighbour discovery with a code other than 0"));
    }
    if checksum(src, dst, bytes) != 0 {
        return Some(Frame::Invalid("neighbour discovery with a wrong checksum"));
    }
    let target = v6(bytes, 8)?;
    if target.is_multicast() {
        return Some(Frame::Invalid("neighbour discovery for a multicast target"));
    }
    if kind == SOLICIT {
        return Some(Frame::NeighborSolicit { target, src });
    }
    let flags = *bytes.get(4)?;
    let solicited = flags & 0x40 != 0;
    if solicited && dst.is_multicast() {
        return Some(Frame::Invalid("advertisement with the solicited flag to a multicast group"));
    }
    Some(Frame::NeighborAdvert {
        target,
        override_flag: flags & 0x20 != 0,
        solicited,
        lladdr: link_layer_option(bytes.get(24..)?)?,
        src,
        dst,
    })
}

/// The target link-layer address (option type 2); `None` for a list of options that is cut short or
/// has an option of length 0, both of which make the whole message invalid.
fn link_layer_option(mut options: &[u8]) -> Option<Option<Mac>> {
    let mut found = None;
    while !options.is_empty() {
        let len = usize::from(*options.get(1)?) * 8;
        let option = options.get(..len).filter(|option| !option.is_empty())?;
        if option[0] == 2 {
            found = mac(option, 2);
        }
        options = &options[len..];
    }
    Some(found)
}

/// The Internet checksum of an ICMPv6 message under its pseudo-header (RFC 8200 section 8.1); 0 over
/// a message that carries the right one.
pub(crate) fn checksum(src: Ipv6Addr, dst: Ipv6Addr, message: &[u8]) -> u16 {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let parts: [&[u8]; 5] = [&src.octets(), &dst.octets(), &length, &[0, 0, 0, 58], message];
    let mut sum: u32 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            let word = [pair[0], pair.get(1).copied().unwrap_or(0)];
            sum += u32::from(u16::from_be_bytes(word));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [_, _, high, low] = (!sum).to_be_bytes();
    u16::from_be_bytes([high, low])
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn mac(bytes: &[u8], at: usize) -> Option<Mac> {
    array(bytes, at).map(Mac)
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

fn v4(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    array::<4>(bytes, at).map(Ipv4Addr::from)
}

fn v6(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    array::<16>(bytes, at).map(Ipv6Addr::from)
}

#[cfg(test)]
mod tests;
