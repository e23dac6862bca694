//! IPv6 and both families: how they are bound, told, removed by the kernel, and taken together.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use pintle_testkit::capture::{Capture, Frame};
use pintle_testkit::netns::{INTERFACE, VIP_V6};
use serde_json::Value;

use super::bed::{Bed, SOON, Setup, VIP, wait};

const VIP6: IpAddr = IpAddr::V6(VIP_V6);

/// How iproute2 shows an address on a host.
fn shown(bed: &Bed, host: usize, vip: IpAddr) -> Value {
    let json = bed.topology.host_ns(host).ip(&["-j", "addr", "show", "dev", INTERFACE]).unwrap();
    let links: Value = serde_json::from_str(&json).unwrap();
    let mut addresses = links
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|link| link["addr_info"].as_array().cloned().unwrap_or_default());
    addresses.find(|address| address["local"] == vip.to_string()).unwrap_or_default()
}

/// The flags of design section 4.2.
fn assert_bound_as_designed(bed: &Bed, host: usize, vip: IpAddr) {
    let address = shown(bed, host, vip);
    let bits = if vip.is_ipv4() { 32 } else { 128 };
    assert_eq!(address["prefixlen"], bits, "{address}");
    assert_eq!(address["noprefixroute"], true, "{address}");
    assert_eq!(address["preferred_life_time"], 0, "{address}");
    let valid = address["valid_life_time"].as_u64().unwrap();
    assert!((0..=2).contains(&valid), "the kernel ends it by itself: {address}");
    if vip.is_ipv6() {
        assert_eq!(address["nodad"], true, "{address}");
        assert_ne!(address["tentative"], true, "{address}");
    }
}

fn wait_bound(bed: &Bed, vips: &[IpAddr]) -> usize {
    wait(SOON, "one host has every VIP", || {
        let owners: Vec<Vec<usize>> = vips.iter().map(|vip| bed.owners(*vip)).collect();
        match owners[0][..] {
            [holder] if owners.iter().all(|one| *one == [holder]) => Some(holder),
            _ => None,
        }
    })
    .0
}

#[test]
fn an_ipv6_vip_is_bound_and_told() {
    let bed = Bed::new(1);
    let capture = Capture::start(bed.topology.client_ns(), INTERFACE).unwrap();
    let _pintle = bed.start(0, &Setup { vips: vec![VIP6], ..bed.setup() });
    wait_bound(&bed, &[VIP6]);
    assert_bound_as_designed(&bed, 0, VIP6);
    let mac = bed.topology.host_mac(0);
    wait(SOON, "two unsolicited advertisements", || {
        let frames = capture.snapshot();
        let told = frames.iter().filter(|one| {
            matches!(one.frame, Frame::NeighborAdvert {
                target: VIP_V6, override_flag: true, solicited: false, lladdr: Some(told), dst, ..
            } if told == mac && dst.is_multicast())
        });
        (told.count() >= 2).then_some(())
    });
}

#[test]
fn both_families_move_together() {
    let bed = Bed::new(2);
    let vips = [VIP, VIP6];
    let mut pintles = bed.start_all(&Setup { vips: vips.to_vec(), ..bed.setup() });
    let old = wait_bound(&bed, &vips);
    wait(SOON, "both are ready", || pintles.iter().all(|one| one.is_ready()).then_some(()));
    vips.iter().for_each(|vip| assert_bound_as_designed(&bed, old, *vip));

    let killed = Instant::now();
    pintles[old].process.kill().unwrap();
    wait(SOON, "the kernel removes both", || {
        let is_left = vips.iter().any(|vip| bed.owners(*vip).contains(&old));
        (!is_left).then_some(())
    });
    // The rest of the right (2.3 s at most), what the kernel adds (0.7 s), and the look's own time.
    assert!(killed.elapsed() < Duration::from_millis(3500), "took {:?}", killed.elapsed());
    assert_eq!(wait_bound(&bed, &vips), 1 - old);
    let taken = wait(SOON, "its log line", || pintles[1 - old].changes("acquired").pop()).0;
    assert_eq!(taken["reason"], "expired", "{taken}");
    assert_eq!(taken["vip"], format!("{VIP},{VIP6}"), "{taken}");
}
