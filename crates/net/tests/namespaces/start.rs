//! What is refused before anything is touched, the survey, and the choice of the link.

use pintle_net::{NetConfig, StartError, Survey, survey};
use pintle_testkit::netns::Topology;

use crate::bed::{ABSENT, Bed, V4, V6, as_core, config, copies, ip, now, refused};

#[test]
fn an_address_that_the_host_lives_on_is_no_vip() {
    let topology = Topology::start(1).unwrap();
    ip(&topology, "addr add 172.30.0.10/25 dev eth0");
    let error = refused(&topology, config(&[V4]));
    assert!(matches!(error, StartError::VipIsNodeAddress { prefix_len: 25, .. }), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("172.30.0.10/25 is this host's own address on eth0: "), "{text}");
    assert_eq!(copies(&topology).len(), 1, "and it is left alone");
}

#[test]
fn a_wrong_link_is_named() {
    let topology = Topology::start(1).unwrap();
    let on = |link: &str| NetConfig { interface: Some(link.to_owned()), ..config(&[V4]) };
    let error = refused(&topology, on("eth9"));
    assert!(matches!(&error, StartError::NoSuchLink { link } if link == "eth9"), "{error}");
    let error = refused(&topology, on("lo"));
    assert!(matches!(&error, StartError::NotASegment { link } if link == "lo"), "{error}");
    let elsewhere = NetConfig { vips: vec![pintle_core::Vip([10, 1, 2, 3].into())], ..config(&[]) };
    let error = refused(&topology, elsewhere);
    assert!(matches!(error, StartError::NoLinkForVip { .. }), "{error}");
}

#[test]
fn a_link_without_ipv6_is_no_link_for_an_ipv6_vip() {
    let topology = Topology::start(1).unwrap();
    let off = || std::fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1");
    topology.host_ns(0).run_in(off).unwrap().unwrap();
    let on_eth0 = |vips| NetConfig { interface: Some("eth0".to_owned()), ..config(vips) };
    let error = refused(&topology, on_eth0(&[V6]));
    assert!(matches!(&error, StartError::NoIpv6 { vip: V6, link } if link == "eth0"), "{error}");
    let survey = survey_on(&topology, &[V4]);
    assert!(survey.bound.is_empty(), "and an IPv4 VIP is none of its business");
}

#[test]
fn a_vip_beside_the_subnets_of_the_link_is_told() {
    let topology = Topology::start(1).unwrap();
    let beside = pintle_core::Vip([10, 1, 2, 3].into());
    ip(&topology, "route add default via 172.30.0.1");
    assert_eq!(survey_on(&topology, &[V4, beside]).off_subnet, [beside]);
}

#[test]
fn missing_capabilities_are_named() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let topology = Topology::start(1).unwrap();
    let without = |missing: CapabilitySet| {
        topology
            .host_ns(0)
            .run_in(|| {
                // Of this thread only, which ends with the attempt.
                let mut sets = capabilities(None).unwrap();
                sets.effective.remove(missing);
                set_capabilities(None, sets).unwrap();
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let answer = runtime.unwrap().block_on(survey(&[V4], None, now));
                answer.map(|_| ()).unwrap_err()
            })
            .unwrap()
    };
    let error = without(CapabilitySet::NET_ADMIN);
    assert!(matches!(error, StartError::NoNetAdmin) && error.to_string().contains("NET_ADMIN"));
    let error = without(CapabilitySet::NET_RAW);
    assert!(matches!(error, StartError::NoNetRaw) && error.to_string().contains("NET_RAW"));
}

fn survey_of(topology: &Topology) -> Survey {
    survey_on(topology, &[V4, V6])
}

fn survey_on(topology: &Topology, vips: &[pintle_core::Vip]) -> Survey {
    topology
        .host_ns(0)
        .run_in(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(survey(vips, None, now)).unwrap()
        })
        .unwrap()
}

#[test]
fn the_survey_finds_strangers_and_changes_nothing() {
    let topology = Topology::start(1).unwrap();
    let free = survey_of(&topology);
    assert_eq!((&free.link[..], free.mac), ("eth0", as_core(topology.host_mac(0))));
    assert!(free.carrier && free.occupied.is_empty() && free.bound.is_empty());
    assert!(free.single_host_addresses.is_empty());

    let stranger = as_core(topology.add_stranger(V4.0).unwrap());
    ip(&topology, "addr add fd30::10/128 dev eth0 nodad");
    ip(&topology, "addr add 172.30.0.77/32 dev eth0");
    let taken = survey_of(&topology);
    assert_eq!(taken.occupied, [(V4, stranger)]);
    assert_eq!(taken.bound, [V6], "and it is not asked for, nor removed");
    assert_eq!(taken.single_host_addresses, ["172.30.0.77".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(copies(&topology).len(), 1);

    topology.cable_down(0).unwrap();
    let unplugged = survey_of(&topology);
    assert!(!unplugged.carrier && unplugged.occupied.is_empty());
}

#[test]
fn an_absent_vip_is_told_once_although_nothing_was_there() {
    let bed = Bed::start(ABSENT);
    bed.wait_unbound(1);
    crate::bed::sleep(1500);
    assert_eq!(
        bed.events().iter().filter(|event| **event == pintle_core::Event::Unbound).count(),
        1
    );
}
