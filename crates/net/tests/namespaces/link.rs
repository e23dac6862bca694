//! The link goes down, comes up, goes for good, and comes back as another one.

use std::time::{Duration, Instant as Wall};

use pintle_core::{Event, MacAddr};
use pintle_testkit::capture::Mac;

use crate::bed::{Bed, advertisements, announcements, eventually, owned, sleep};

fn carrier(state: bool) -> impl Fn(&Event) -> bool {
    move |event| *event == Event::LinkChanged { carrier: state }
}

#[test]
fn a_pulled_cable_is_told_and_a_plugged_one_announced() {
    let bed = Bed::start(owned(20_000));
    bed.wait_for(1, "carrier", carrier(true));
    bed.wait_bound(1);
    // The own burst is over.
    sleep(4000);
    let pulled = Wall::now();
    bed.topology.cable_down(0).unwrap();
    let (told, _) = bed.wait_for(1, "no carrier", carrier(false));
    println!("told {:?} after the cable was pulled", told.duration_since(pulled));
    sleep(1200);
    assert_eq!(bed.count(carrier(false)), 1, "told once");
    let capture = bed.capture();
    bed.topology.cable_up(0).unwrap();
    bed.wait_for(2, "carrier", carrier(true));
    eventually("bound, in both families", || bed.is_bound());
    sleep(500);
    let frames = capture.stop().unwrap();
    let mac = bed.own_mac();
    assert!(announcements(&frames, mac, 1).len() >= 3, "a burst");
    assert!(advertisements(&frames, mac).len() >= 3, "a burst");
}

#[test]
fn a_link_that_is_set_down_and_up_gets_its_addresses_back() {
    let bed = Bed::start(owned(20_000));
    bed.wait_bound(1);
    bed.ip("link set eth0 down");
    bed.wait_for(1, "no carrier", carrier(false));
    // The kernel takes the IPv6 addresses of a link that is set down.
    sleep(300);
    assert!(!bed.is_bound(), "{:?}", bed.copies());
    bed.ip("link set eth0 up");
    bed.wait_for(2, "carrier", carrier(true));
    let back = eventually("bound, in both families", || bed.is_bound());
    println!("back {back:?} after the carrier");
}

#[test]
fn a_link_that_is_made_anew_is_followed() {
    let bed = Bed::start(owned(30_000));
    bed.wait_bound(1);
    bed.ip("link del eth0");
    bed.wait_for(1, "no carrier", carrier(false));
    sleep(1500);
    let host = bed.topology.host_ns(0);
    host.ip(&["link", "add", "eth0", "type", "veth", "peer", "name", "peer0"]).unwrap();
    host.ip(&["link", "set", "peer0", "up"]).unwrap();
    host.ip(&["link", "set", "eth0", "up"]).unwrap();
    bed.wait_for(2, "carrier", carrier(true));
    eventually("bound on the new one", || bed.is_bound());
    assert!(bed.metrics.vip_restored.load(std::sync::atomic::Ordering::Relaxed) <= 3);
    let within = bed.copies().iter().all(|copy| copy.valid_lft < Some(Duration::from_secs(31)));
    assert!(within, "{:?}", bed.copies());
}

#[test]
fn another_hardware_address_is_announced_and_told() {
    let bed = Bed::start(owned(20_000));
    bed.wait_bound(1);
    // The own burst is over.
    sleep(4000);
    let capture = bed.capture();
    bed.ip("link set dev eth0 address 02:00:00:00:00:77");
    let mac = MacAddr([2, 0, 0, 0, 0, 0x77]);
    bed.wait_for(
        1,
        "Bound",
        |event| matches!(event, Event::Bound { mac: told, .. } if *told == mac),
    );
    sleep(500);
    let frames = capture.stop().unwrap();
    assert!(announcements(&frames, Mac(mac.0), 1).len() >= 3, "a burst");
    assert!(bed.is_bound(), "{:?}", bed.copies());
}
