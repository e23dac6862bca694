//! The balancer on the API server's own port: who reaches which API server, through what, and what is left.

use std::net::IpAddr;
use std::time::Duration;

use pintle_testkit::netns::{POD_V4, VIP_V6, host_v4};

use super::bed::{Bed, PORT, SOON, Setup, VIP, wait};
use super::scene::{ASKED, HOSTS, ON, Scene};

const VIP6: IpAddr = IpAddr::V6(VIP_V6);

#[test]
fn every_client_reaches_every_api_server_on_its_own_port() {
    let scene = Scene::start(&[VIP], ON);
    let client = scene.bed.topology.client_ns();
    assert_eq!(scene.spread(client, VIP, PORT), [3, 3, 3], "from outside");
    let other = (scene.holder + 1) % HOSTS;
    assert_eq!(scene.spread(scene.host(scene.holder), VIP, PORT), [3, 3, 3], "on the holder");
    assert_eq!(scene.spread(scene.host(other), VIP, PORT), [3, 3, 3], "on another host");
    // A host firewall that admits the API server's port, and no other.
    let table = "table inet wall { chain input { type filter hook input priority 0; policy drop; \
                 iif lo accept; ct state established,related accept; ip protocol icmp accept; \
                 tcp dport 6443 accept; }; }";
    scene.nft(scene.holder, &[table]);
    assert_eq!(scene.spread(client, VIP, PORT), [3, 3, 3], "through the firewall");
    assert_eq!(scene.spread(scene.host(scene.holder), VIP, PORT), [3, 3, 3]);
    assert!(scene.nft(scene.holder, &["list", "tables"]).contains("inet wall"), "not ours");
    // Whoever empties the tables of the host cannot empty this one.
    scene.nft(scene.holder, &["flush", "ruleset"]);
    assert_eq!(scene.spread(client, VIP, PORT), [3, 3, 3], "after a flush");
}

/// A pod as Calico connects it: its host's end of the cable has no address.
#[test]
fn a_pod_on_the_holder_reaches_every_api_server() {
    let scene = Scene::start(&[VIP], ON);
    let pod = scene.bed.topology.pod(scene.holder).unwrap();
    assert_eq!(scene.spread(&pod, VIP, PORT), [3, 3, 3]);
}

/// Its packets are forwarded: the rules of a host without the VIP must leave them alone.
#[test]
fn a_pod_on_another_host_reaches_every_api_server() {
    let scene = Scene::start(&[VIP], ON);
    let other = (scene.holder + 1) % HOSTS;
    let pod = scene.bed.topology.pod(other).unwrap();
    let write = || std::fs::write("/proc/sys/net/ipv4/ip_forward", "1");
    scene.host(other).run_in(write).unwrap().unwrap();
    let back = format!("route add {POD_V4}/32 via {}", host_v4(other));
    scene.host(scene.holder).ip(&back.split(' ').collect::<Vec<_>>()).unwrap();
    assert_eq!(scene.spread(&pod, VIP, PORT), [3, 3, 3]);
}

#[test]
fn a_start_that_cannot_be_says_why() {
    let bed = Bed::new(1);
    let setup = Setup { balancer: "enabled: true, maxConnections: 1000000", ..bed.setup() };
    let mut pintle = bed.start(0, &setup);
    let status = pintle.process.wait(SOON).unwrap().unwrap();
    assert_eq!(status.code(), Some(69), "{}", pintle.log());
    assert!(pintle.log().contains("balancer.maxConnections 1000000 needs"), "{}", pintle.log());
}

#[test]
fn both_families_and_another_port() {
    let scene = Scene::start(&[VIP, VIP6], "enabled: true, port: 8443");
    let client = scene.bed.topology.client_ns();
    for vip in [VIP, VIP6] {
        assert_eq!(scene.spread(client, vip, 8443), [3, 3, 3], "{vip}");
    }
    let local = scene.client(client, VIP, PORT);
    assert!(local.get(ASKED).unwrap().is_success(), "the holder's own is still there");
    drop(scene);
    let scene = Scene::start(&[VIP, VIP6], ON);
    let client = scene.bed.topology.client_ns();
    for vip in [VIP, VIP6] {
        assert_eq!(scene.spread(client, vip, PORT), [3, 3, 3], "{vip}");
        assert_eq!(scene.spread(scene.host(scene.holder), vip, PORT), [3, 3, 3], "{vip}");
    }
}

#[test]
fn a_dead_api_server_is_nobody_s_trouble() {
    let scene = Scene::start(&[VIP], ON);
    let client = scene.client(scene.bed.topology.client_ns(), VIP, PORT);
    scene.bed.servers[scene.holder].kill();
    for _ in 0..100 {
        assert!(client.get(ASKED).unwrap().is_success());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(scene.bed.owners(VIP), [scene.holder], "the VIP stays");
    assert!(scene.pintles[scene.holder].changes("lost").is_empty());
    // And back: it gets its share again.
    scene.bed.servers[scene.holder].restart().unwrap();
    wait(SOON, "an equal share", || {
        let spread = scene.spread(scene.bed.topology.client_ns(), VIP, PORT);
        (spread == [3, 3, 3]).then_some(())
    });
}

#[test]
fn nothing_is_left_of_a_killed_one() {
    let mut scene = Scene::start(&[VIP], ON);
    let other = (scene.holder + 1) % HOSTS;
    assert!(scene.nft(other, &["list", "tables"]).contains("inet pintle"));
    scene.pintles[other].process.kill().unwrap();
    wait(SOON, "its rules are gone", || {
        scene.nft(other, &["list", "tables"]).is_empty().then_some(())
    });
    // Killed and started again, and stopped in order.
    scene.pintles[other].process.restart().unwrap();
    wait(SOON, "they are there again", || {
        scene.nft(other, &["list", "tables"]).contains("inet pintle").then_some(())
    });
    scene.pintles[other].stop();
    assert_eq!(scene.nft(other, &["list", "tables"]), "");
}
