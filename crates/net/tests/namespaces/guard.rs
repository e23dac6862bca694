//! What is owned stays, and what is not owned goes, whoever interferes.

use std::time::{Duration, Instant as Wall};

use pintle_core::{Event, VipDesire};
use pintle_testkit::netns::{INTERFACE, Topology, host_v4, host_v6};

use crate::bed::{
    ABSENT, Bed, V4, V6, advertisements, announcements, config, copies, eventually, ip, owned,
    sleep,
};

#[test]
fn a_vip_that_is_taken_away_is_back_at_once() {
    let bed = Bed::start(owned(20_000));
    bed.wait_bound(1);
    // The own burst is over.
    sleep(4000);
    let mac = bed.own_mac();
    for (round, (command, family)) in
        [("addr del 172.30.0.10/32 dev eth0", 4), ("addr del fd30::10/128 dev eth0", 6)]
            .iter()
            .enumerate()
    {
        let capture = bed.capture();
        bed.ip(command);
        // The address was gone before `ip` ended, which takes as long as the machine lets it.
        let gone = Wall::now();
        eventually("it is back", || bed.is_bound());
        sleep(300);
        let frames = capture.stop().unwrap();
        let told = match family {
            4 => announcements(&frames, mac, 2),
            _ => advertisements(&frames, mac),
        };
        let [told] = told[..] else { panic!("announced once, not {told:?}") };
        let outage = told.saturating_duration_since(gone);
        println!("announced {outage:?} after `ip {command}` had ended");
        assert!(outage < Duration::from_millis(200), "{outage:?}");
        assert_eq!(bed.restored(), round as u64 + 1);
    }
}

#[test]
fn a_war_with_a_network_manager_is_fought_slowly() {
    let bed = Bed::start(owned(20_000));
    bed.wait_bound(1);
    let began = Wall::now();
    while began.elapsed() < Duration::from_secs(4) {
        // It may be gone already: that is the point.
        let _gone = bed.topology.host_ns(0).delete_address(V4.0);
    }
    let restored = bed.restored();
    println!("restored {restored} times in 4 s");
    assert!((11..=28).contains(&restored), "a burst of 10 and four a second, not {restored}");
    eventually("peace", || bed.is_bound());
}

#[test]
fn at_start_only_an_expiring_copy_on_the_link_stays() {
    let topology = Topology::start(1).unwrap();
    ip(&topology, "addr add 172.30.0.10/32 dev eth0 valid_lft 30 preferred_lft 0");
    ip(&topology, "addr add 172.30.0.10/32 dev lo valid_lft 30 preferred_lft 0");
    ip(&topology, "addr add 172.30.0.10/24 dev eth0");
    ip(&topology, "addr add fd30::10/128 dev eth0 nodad");
    ip(&topology, "addr add fd30::10/128 dev lo");
    assert_eq!(copies(&topology).len(), 5);
    let bed = Bed::start_in(topology, config(&[V4, V6]), VipDesire::Undecided);
    eventually("the others are gone", || bed.copies().len() == 1);
    sleep(2500);
    let [stays] = &bed.copies()[..] else { panic!("{:?}", bed.copies()) };
    assert_eq!((stays.address, stays.prefix_len, &stays.link[..]), (V4.0, 32, INTERFACE));
    assert!(
        stays.valid_lft.is_some_and(|left| left < Duration::from_secs(29)),
        "renewed: {stays:?}"
    );
    let own = bed.topology.addresses(0).unwrap();
    assert!(own.iter().any(|address| address.address == host_v4(0)), "the host's own stay");
    // And it is taken over without a gap, or removed, by the first decision.
    bed.desire(owned(2300));
    bed.wait_bound(1);
    assert_eq!(bed.copies().len(), 2);
    bed.desire(ABSENT);
    bed.wait_unbound(1);
    assert!(bed.copies().is_empty());
}

#[test]
fn a_follower_removes_every_copy() {
    let topology = Topology::start(1).unwrap();
    for command in [
        "addr add 172.30.0.10/32 dev eth0 valid_lft 30 preferred_lft 0",
        "addr add 172.30.0.10/24 dev eth0",
        "addr add 172.30.0.10/32 dev lo",
        "addr add fd30::10/64 dev eth0 nodad",
    ] {
        ip(&topology, command);
    }
    let bed = Bed::start_in(topology, config(&[V4, V6]), ABSENT);
    bed.wait_unbound(1);
    assert!(bed.copies().is_empty());
    // Later ones too, as soon as they are seen.
    for command in [
        "addr add 172.30.0.10/32 dev eth0",
        "addr add 172.30.0.10/24 dev eth0",
        "addr add 172.30.0.10/32 dev lo",
        "addr add fd30::10/128 dev eth0 nodad",
    ] {
        bed.ip(command);
        let gone = eventually(command, || bed.copies().is_empty());
        println!("`ip {command}`: gone after {gone:?}");
    }
    assert_eq!(bed.count(|event| *event == Event::Unbound), 1, "told once");
    let own = bed.topology.addresses(0).unwrap();
    for address in [host_v4(0).into(), std::net::IpAddr::from(host_v6(0))] {
        assert!(own.iter().any(|own| own.address == address), "the host keeps {address}");
    }
}

#[test]
fn an_owner_keeps_the_right_copy_only() {
    let bed = Bed::start(owned(30_000));
    bed.wait_bound(1);
    // From here on no regular refresh repairs anything by accident.
    sleep(1500);
    for command in [
        "addr add 172.30.0.10/32 dev lo",
        "addr add 172.30.0.10/24 dev eth0",
        "addr add fd30::10/128 dev lo",
    ] {
        bed.ip(command);
        eventually(command, || bed.copies().len() == 2);
        assert!(bed.is_bound());
    }
    for command in [
        "addr change 172.30.0.10/32 dev eth0 valid_lft forever preferred_lft forever",
        "addr change fd30::10/128 dev eth0 valid_lft forever preferred_lft forever",
    ] {
        bed.ip(command);
        eventually(command, || {
            let copies = bed.copies();
            let is_ours = |copy: &pintle_testkit::netns::Addr| {
                copy.valid_lft.is_some_and(|left| left <= Duration::from_secs(30))
                    && copy.preferred_lft == Some(Duration::ZERO)
                    && copy.is_noprefixroute
            };
            copies.len() == 2 && copies.iter().all(is_ours)
        });
    }
    assert_eq!(bed.restored(), 0, "corrected, not put back");
}

/// On an address that is there the kernel keeps the flags: only a copy that goes can come back right.
#[test]
fn a_vip_bound_anew_by_somebody_else_is_bound_our_way() {
    let bed = Bed::start(owned(30_000));
    bed.wait_bound(1);
    sleep(1500);
    let batch = std::env::temp_dir().join(format!("pn-batch-{}", std::process::id()));
    let lines = "addr del 172.30.0.10/32 dev eth0\naddr replace 172.30.0.10/32 dev eth0\n";
    std::fs::write(&batch, lines).unwrap();
    // More than once: at times it is put back before the second line of the batch.
    for _ in 0..5 {
        bed.ip(&format!("-force -batch {}", batch.display()));
        eventually("bound our way", || {
            let copies = bed.copies();
            copies.len() == 2
                && copies.iter().all(|copy| copy.is_noprefixroute && copy.valid_lft.is_some())
        });
    }
    std::fs::remove_file(&batch).unwrap();
}

#[test]
fn the_hosts_own_addresses_are_known() {
    let bed = Bed::start(owned(9000));
    bed.wait_bound(1);
    let knows = |address: &str| bed.hosts.borrow().contains(&address.parse().unwrap());
    assert!(knows("172.30.0.11") && knows("fd30::11") && knows("127.0.0.1"));
    bed.ip("addr add 10.9.8.7/24 dev eth0");
    eventually("the new one is known", || knows("10.9.8.7"));
    bed.ip("addr del 10.9.8.7/24 dev eth0");
    eventually("the old one is not", || !knows("10.9.8.7"));
    assert!(!knows("172.30.0.10") && !knows("fd30::10"), "VIPs are not the host's own");
}
