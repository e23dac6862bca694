//! Links as the kernel lists them, and which of them carries the VIPs. Pure.

use std::net::IpAddr;

use pintle_core::{MacAddr, Vip};

use crate::StartError;
use crate::addresses::AddressView;

const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 1 << 3;
const IFF_RUNNING: u32 = 1 << 6;
const IFF_NOARP: u32 = 1 << 7;
const IFF_LOWER_UP: u32 = 1 << 16;

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkView {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// Its hardware address; `None` when it is not an Ethernet one.
    pub(crate) mac: Option<MacAddr>,
    /// `ifi_flags`.
    pub(crate) flags: u32,
}

/// A default route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DefaultRoute {
    pub(crate) index: u32,
    pub(crate) is_v6: bool,
    pub(crate) metric: u32,
}

// === impl LinkView ===

impl LinkView {
    /// Whether it can carry frames: set up, with a carrier, and not waiting for anything
    /// (`IFF_RUNNING` is RFC 2863's operational state).
    pub(crate) const fn has_carrier(&self) -> bool {
        let needed = IFF_UP | IFF_RUNNING | IFF_LOWER_UP;
        self.flags & needed == needed
    }

    /// Whether neighbours on it are found by ARP or neighbour discovery.
    pub(crate) const fn is_segment(&self) -> bool {
        self.mac.is_some() && self.flags & (IFF_LOOPBACK | IFF_NOARP) == 0
    }
}

/// The link for the VIPs: the named one, else the one whose subnet holds a VIP, else the default
/// route's.
///
/// # Errors
/// When there is none, or when the VIPs point to different ones.
pub(crate) fn choose(
    vips: &[Vip],
    interface: Option<&str>,
    links: &[LinkView],
    addresses: &[AddressView],
    routes: &[DefaultRoute],
) -> Result<LinkView, StartError> {
    if let Some(name) = interface {
        let link = links.iter().find(|link| link.name == name);
        let link = link.ok_or_else(|| StartError::NoSuchLink { link: name.to_owned() })?;
        return if link.is_segment() {
            Ok(link.clone())
        } else {
            Err(StartError::NotASegment { link: name.to_owned() })
        };
    }
    let found = |by: &dyn Fn(Vip) -> Option<u32>| -> Vec<u32> {
        vips.iter().filter_map(|vip| by(*vip)).collect()
    };
    let by_subnet = found(&|vip| subnet_link(vip, links, addresses));
    let indexes = if by_subnet.is_empty() {
        found(&|vip| default_link(vip, links, routes))
    } else {
        by_subnet
    };
    let first = indexes.first().filter(|first| indexes.iter().all(|index| index == *first));
    let link = first.and_then(|index| links.iter().find(|link| link.index == *index));
    link.cloned().ok_or_else(|| StartError::NoLinkForVip { vips: listed(vips) })
}

/// The link with the longest prefix around the VIP; the VIP itself is no witness.
fn subnet_link(vip: Vip, links: &[LinkView], addresses: &[AddressView]) -> Option<u32> {
    let on_segment = |index| links.iter().any(|link| link.index == index && link.is_segment());
    addresses
        .iter()
        .filter(|address| address.is_around(vip) && on_segment(address.index))
        .max_by_key(|address| (address.prefix_len, std::cmp::Reverse(address.index)))
        .map(|address| address.index)
}

/// Whether a subnet of this link holds the VIP, which its neighbours then ask for by themselves.
pub(crate) fn has_subnet_of(vip: Vip, index: u32, addresses: &[AddressView]) -> bool {
    addresses.iter().any(|address| address.index == index && address.is_around(vip))
}

fn default_link(vip: Vip, links: &[LinkView], routes: &[DefaultRoute]) -> Option<u32> {
    let on_segment = |index| links.iter().any(|link| link.index == index && link.is_segment());
    routes
        .iter()
        .filter(|route| route.is_v6 == vip.0.is_ipv6() && on_segment(route.index))
        .min_by_key(|route| (route.metric, route.index))
        .map(|route| route.index)
}

/// Whether the host's own connectivity hangs on this copy of a VIP: it is the address that brought the
/// subnet. A single-host prefix, or a second address in a subnet, is a leftover of somebody's VIP.
pub(crate) fn is_node_address(copy: &AddressView, addresses: &[AddressView]) -> bool {
    let single_host = Vip(copy.address).prefix_len();
    if copy.prefix_len >= single_host {
        return false;
    }
    match copy.address {
        IpAddr::V4(_) => !copy.is_secondary,
        IpAddr::V6(_) => !addresses.iter().any(|other| {
            other.index == copy.index
                && other.address != copy.address
                && other.prefix_len == copy.prefix_len
                && other.covers(copy.address)
        }),
    }
}

/// Addresses for a message.
pub(crate) fn listed(vips: &[Vip]) -> String {
    let texts: Vec<String> = vips.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: u32 = IFF_UP | IFF_RUNNING | IFF_LOWER_UP;

    fn links() -> Vec<LinkView> {
        let link = |index, name: &str, flags| LinkView {
            index,
            name: name.into(),
            mac: Some(MacAddr([2, 0, 0, 0, 0, 1])),
            flags,
        };
        let mut tunnel = link(5, "tun0", UP);
        tunnel.mac = None;
        vec![
            link(1, "lo", UP | IFF_LOOPBACK),
            link(2, "eth0", UP),
            link(3, "eth1", UP),
            link(4, "ppp0", UP | IFF_NOARP),
            tunnel,
        ]
    }

    fn address(index: u32, text: &str) -> AddressView {
        let (address, prefix_len) = text.split_once('/').unwrap();
        AddressView {
            index,
            address: address.parse().unwrap(),
            prefix_len: prefix_len.parse().unwrap(),
            valid: None,
            is_preferred: true,
            is_secondary: false,
            is_noprefixroute: false,
        }
    }

    fn vips(texts: &[&str]) -> Vec<Vip> {
        texts.iter().map(|text| Vip(text.parse().unwrap())).collect()
    }

    fn route(index: u32, is_v6: bool, metric: u32) -> DefaultRoute {
        DefaultRoute { index, is_v6, metric }
    }

    fn chosen(
        texts: &[&str],
        interface: Option<&str>,
        addresses: &[AddressView],
    ) -> Result<String, String> {
        let routes =
            [route(1, false, 0), route(3, false, 100), route(2, false, 200), route(3, true, 0)];
        choose(&vips(texts), interface, &links(), addresses, &routes)
            .map(|link| link.name)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_link() {
        let addresses = [
            address(1, "192.0.2.9/24"),
            address(2, "192.0.2.11/24"),
            address(3, "192.0.2.129/25"),
            address(3, "198.51.100.10/24"),
            address(2, "2001:db8::11/64"),
            address(5, "203.0.113.1/24"),
            address(2, "203.0.113.10/32"),
        ];
        type Row<'a> = (&'a [&'a str], Option<&'a str>, Result<&'a str, &'a str>);
        let table: [Row<'_>; 11] = [
            (&["192.0.2.10"], Some("eth1"), Ok("eth1")),
            (&["192.0.2.10"], Some("eth9"), Err("there is no link eth9: ")),
            (&["192.0.2.10"], Some("tun0"), Err("the link tun0 has no neighbours")),
            (&["192.0.2.10"], Some("lo"), Err("the link lo has no neighbours")),
            (&["192.0.2.10"], None, Ok("eth0")),
            (&["192.0.2.200"], None, Ok("eth1")),
            (&["192.0.2.10", "2001:db8::10"], None, Ok("eth0")),
            (&["192.0.2.200", "2001:db8::10"], None, Err("no single link")),
            (&["10.0.0.10", "2001:db8::10"], None, Ok("eth0")),
            (&["198.51.100.10"], None, Ok("eth1")),
            (&["203.0.113.10"], None, Ok("eth1")),
        ];
        for (texts, interface, expected) in table {
            let got = chosen(texts, interface, &addresses);
            match (&got, expected) {
                (Ok(name), Ok(expected)) => assert_eq!(name, expected, "{texts:?} {interface:?}"),
                (Err(text), Err(start)) => assert!(text.starts_with(start), "{text}"),
                _ => panic!("{texts:?} {interface:?}: {got:?}, not {expected:?}"),
            }
        }
        let nothing = choose(&vips(&["192.0.2.10"]), None, &links(), &[], &[]);
        assert!(matches!(nothing, Err(StartError::NoLinkForVip { .. })));
    }

    #[test]
    fn a_subnet_of_the_link_holds_the_vip() {
        let addresses = [address(2, "192.0.2.11/24"), address(3, "198.51.100.10/32")];
        let table = [
            (2, "192.0.2.10", true),
            (3, "192.0.2.10", false),
            (2, "192.0.3.10", false),
            (2, "2001:db8::10", false),
            (3, "198.51.100.10", false),
        ];
        for (index, vip, expected) in table {
            let found = has_subnet_of(Vip(vip.parse().unwrap()), index, &addresses);
            assert_eq!(found, expected, "{vip} on {index}");
        }
    }

    #[test]
    fn carrier_needs_all_three() {
        for missing in [IFF_UP, IFF_RUNNING, IFF_LOWER_UP] {
            let link = LinkView { flags: UP & !missing, ..links()[1].clone() };
            assert!(!link.has_carrier(), "{missing:x}");
        }
        assert!(links()[1].has_carrier());
    }

    #[test]
    fn an_address_that_brought_the_subnet_is_the_nodes() {
        let own = address(2, "2001:db8::11/64");
        let second = |text| AddressView { is_secondary: true, ..address(2, text) };
        let table = [
            (address(2, "192.0.2.10/24"), true),
            (second("192.0.2.10/24"), false),
            (address(2, "192.0.2.10/32"), false),
            (address(2, "2001:db8::10/64"), false),
            (address(3, "2001:db8::10/64"), true),
            (address(2, "2001:db8:1::10/64"), true),
            (address(2, "2001:db8:1::10/128"), false),
        ];
        for (copy, expected) in table {
            let addresses = [own.clone(), copy.clone()];
            assert_eq!(is_node_address(&copy, &addresses), expected, "{copy:?}");
        }
    }
}
