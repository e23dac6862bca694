//! What the host and the segment look like before anything is bound: for the start, and for
//! `pintle check`. It changes nothing.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use pintle_core::{Instant, MacAddr, Vip};

use crate::StartError;
use crate::addresses::AddressView;
use crate::conflict::{ConflictProbe, Step};
use crate::links::{self, LinkView};
use crate::listen::Segment;
use crate::netlink::Netlink;

/// The first kernel that keeps the mark on addresses (IFA_PROTO).
const TAGS_SINCE: (u32, u32) = (5, 18);

/// What `pintle check` reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The link for the VIPs.
    pub link: String,
    /// Its hardware address.
    pub mac: MacAddr,
    /// Whether it can carry frames.
    pub carrier: bool,
    /// VIPs that another machine on the segment answers for, and which one.
    pub occupied: Vec<(Vip, MacAddr)>,
    /// VIPs that no subnet of the link holds.
    pub off_subnet: Vec<Vip>,
    /// VIPs that are on a link of this host.
    pub bound: Vec<Vip>,
    /// The node's own addresses on the link that are bound as single hosts (/32): only order tells
    /// them from the VIP, so whatever picks a source or node address may pick the VIP.
    pub single_host_addresses: Vec<IpAddr>,
    /// `uname -r`.
    pub kernel: String,
    /// Whether the kernel marks the VIP as ours for `ip addr` (5.18 and later).
    pub tags_addresses: bool,
}

/// The host as found, with what was opened to find it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) netlink: Netlink,
    pub(crate) link: LinkView,
    pub(crate) links: Vec<LinkView>,
    pub(crate) addresses: Vec<AddressView>,
    pub(crate) mac: MacAddr,
    pub(crate) segment: Segment,
    pub(crate) off_subnet: Vec<Vip>,
}

/// Looks at the host, chooses the link, and tries the two capabilities.
pub(crate) fn find(vips: &[Vip], interface: Option<&str>) -> Result<Found, StartError> {
    let mut netlink = Netlink::open()?;
    let (links, addresses) = (netlink.links()?, netlink.addresses()?);
    let routes = netlink.default_routes()?;
    let link = links::choose(vips, interface, &links, &addresses, &routes)?;
    refuse_node_addresses(vips, &links, &addresses)?;
    refuse_ipv6_where_it_is_off(vips, &link.name)?;
    // No link has the unspecified address: who may not try is told so, and who may does nothing.
    netlink
        .unbind(link.index, Ipv4Addr::UNSPECIFIED.into(), 32)
        .map_err(|error| denied(error, StartError::NoNetAdmin))?;
    let mac = link.mac.ok_or_else(|| StartError::NotASegment { link: link.name.clone() })?;
    let segment = Segment::open(link.index, mac, vips)
        .map_err(|error| denied(error, StartError::NoNetRaw))?;
    let off_subnet = vips.iter().copied();
    let off_subnet =
        off_subnet.filter(|vip| !links::has_subnet_of(*vip, link.index, &addresses)).collect();
    Ok(Found { netlink, link, links, addresses, mac, segment, off_subnet })
}

/// Surveys the host and asks the segment once whether a VIP is in use, which takes 200 ms. A VIP that
/// is bound here is not asked for.
///
/// # Errors
/// As [`crate::start`].
pub async fn survey(
    vips: &[Vip],
    interface: Option<&str>,
    now: fn() -> Instant,
) -> Result<Survey, StartError> {
    let found = find(vips, interface)?;
    let is_bound = |vip: &Vip| found.addresses.iter().any(|address| address.address == vip.0);
    let (bound, absent): (Vec<Vip>, Vec<Vip>) = vips.iter().partition(|vip| is_bound(vip));
    let own: Vec<MacAddr> = found.links.iter().filter_map(|link| link.mac).collect();
    let carrier = found.link.has_carrier();
    let occupied =
        if carrier { strangers(&found.segment, &absent, &own, now).await? } else { Vec::new() };
    let single_hosts = found.addresses.iter().filter(|address| {
        address.index == found.link.index
            && address.address.is_ipv4()
            && address.prefix_len == 32
            && !vips.contains(&Vip(address.address))
    });
    let kernel = kernel_release();
    Ok(Survey {
        link: found.link.name.clone(),
        mac: found.mac,
        carrier,
        occupied,
        off_subnet: found.off_subnet,
        bound,
        single_host_addresses: single_hosts.map(|address| address.address).collect(),
        tags_addresses: tags_addresses(&kernel),
        kernel,
    })
}

/// One conflict probe: who answers for these VIPs.
async fn strangers(
    segment: &Segment,
    vips: &[Vip],
    own: &[MacAddr],
    now: fn() -> Instant,
) -> io::Result<Vec<(Vip, MacAddr)>> {
    let mut probe = ConflictProbe::new(now());
    let mut occupied: Vec<(Vip, MacAddr)> = Vec::new();
    loop {
        segment.drain(|vip, heard| {
            let is_own = own.contains(&heard.mac) || own.contains(&heard.source);
            if !is_own && vips.contains(&vip) && occupied.iter().all(|(known, _)| *known != vip) {
                occupied.push((vip, heard.mac));
            }
        });
        match probe.poll(now()) {
            Step::Clear => return Ok(occupied),
            Step::Send => vips.iter().try_for_each(|vip| segment.probe(*vip))?,
            Step::Wait => tokio::time::sleep(probe.next_at().until(now())).await,
        }
    }
}

fn refuse_node_addresses(
    vips: &[Vip],
    links: &[LinkView],
    addresses: &[AddressView],
) -> Result<(), StartError> {
    let own = addresses
        .iter()
        .filter(|address| vips.contains(&Vip(address.address)))
        .find(|copy| links::is_node_address(copy, addresses));
    let Some(copy) = own else { return Ok(()) };
    let link = links.iter().find(|link| link.index == copy.index);
    Err(StartError::VipIsNodeAddress {
        vip: Vip(copy.address),
        prefix_len: copy.prefix_len,
        link: link.map_or_else(|| copy.index.to_string(), |link| link.name.clone()),
    })
}

/// Binding would fail with a refusal that says nothing of the reason (`inet6_addr_add`, net/ipv6/addrconf.c).
fn refuse_ipv6_where_it_is_off(vips: &[Vip], link: &str) -> Result<(), StartError> {
    let Some(vip) = vips.iter().copied().find(|vip| vip.0.is_ipv6()) else { return Ok(()) };
    let switch = fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{link}/disable_ipv6"));
    // A kernel without IPv6 has no such file.
    if switch.is_ok_and(|text| text.trim() == "0") {
        Ok(())
    } else {
        Err(StartError::NoIpv6 { vip, link: link.to_owned() })
    }
}

fn denied(error: io::Error, meaning: StartError) -> StartError {
    if error.kind() == io::ErrorKind::PermissionDenied {
        meaning
    } else {
        StartError::Netlink(error)
    }
}

/// `uname -r`.
pub(crate) fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Whether this release of the kernel marks addresses with their origin.
pub(crate) fn tags_addresses(kernel: &str) -> bool {
    release(kernel).is_some_and(|release| release >= TAGS_SINCE)
}

/// Major and minor number of a kernel release.
fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::release;

    #[test]
    fn releases() {
        let table = [
            ("6.18.44-amd64", Some((6, 18))),
            ("5.18.0", Some((5, 18))),
            ("5.10", Some((5, 10))),
            ("5", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(release(text), expected, "{text}");
        }
    }
}
