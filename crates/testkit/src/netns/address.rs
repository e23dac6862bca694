//! Addresses as `ip -j addr` prints them: the independent witness of what is bound where.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

/// What the kernel reports for a lifetime without end (`INFINITY_LIFE_TIME`).
const FOREVER: u32 = u32::MAX;

/// One address on one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addr {
    /// The link's name.
    pub link: String,
    /// The address.
    pub address: IpAddr,
    /// Prefix length.
    pub prefix_len: u8,
    /// Seconds that the kernel keeps it, rounded down; `None` is for ever.
    pub valid_lft: Option<Duration>,
    /// Seconds that it is preferred as a source; `None` is for ever.
    pub preferred_lft: Option<Duration>,
    /// Whether it came without a route to its prefix.
    pub is_noprefixroute: bool,
    /// Whether duplicate address detection still runs.
    pub is_tentative: bool,
}

#[derive(Deserialize)]
struct PrintedLink {
    // iproute2 prints empty objects for links that a filter leaves out.
    #[serde(default)]
    ifname: String,
    #[serde(default)]
    addr_info: Vec<PrintedAddr>,
}

#[derive(Deserialize)]
struct PrintedAddr {
    local: Option<IpAddr>,
    prefixlen: u8,
    valid_life_time: u32,
    preferred_life_time: u32,
    #[serde(default)]
    noprefixroute: bool,
    #[serde(default)]
    tentative: bool,
}

/// Reads the output of `ip -j addr`.
pub(super) fn parse(json: &str) -> Result<Vec<Addr>> {
    let links: Vec<PrintedLink> = serde_json::from_str(json).context("read ip -j addr")?;
    let addresses = links.into_iter().flat_map(|link| {
        let name = link.ifname;
        link.addr_info.into_iter().filter_map(move |printed| read(&name, &printed))
    });
    Ok(addresses.collect())
}

fn read(link: &str, printed: &PrintedAddr) -> Option<Addr> {
    Some(Addr {
        link: link.to_owned(),
        address: printed.local?,
        prefix_len: printed.prefixlen,
        valid_lft: lifetime(printed.valid_life_time),
        preferred_lft: lifetime(printed.preferred_life_time),
        is_noprefixroute: printed.noprefixroute,
        is_tentative: printed.tentative,
    })
}

fn lifetime(seconds: u32) -> Option<Duration> {
    (seconds != FOREVER).then(|| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_iproute2_prints() {
        let json = r#"[{},{"ifindex":2,"ifname":"eth0","addr_info":[
            {"family":"inet","local":"172.30.0.10","prefixlen":32,"scope":"global","deprecated":true,
             "dynamic":true,"noprefixroute":true,"label":"eth0","valid_life_time":3,"preferred_life_time":0},
            {"family":"inet6","local":"fd30::11","prefixlen":64,"scope":"global","nodad":true,
             "valid_life_time":4294967295,"preferred_life_time":4294967295}]}]"#;
        let [vip, own] = &parse(json).unwrap()[..] else { panic!("two addresses") };
        assert_eq!(
            *vip,
            Addr {
                link: "eth0".to_owned(),
                address: "172.30.0.10".parse().unwrap(),
                prefix_len: 32,
                valid_lft: Some(Duration::from_secs(3)),
                preferred_lft: Some(Duration::ZERO),
                is_noprefixroute: true,
                is_tentative: false,
            }
        );
        assert_eq!((own.valid_lft, own.is_noprefixroute), (None, false));
    }
}
