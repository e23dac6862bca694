//! Announcements, probes and claims, as another machine on the segment sees and sends them.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant as Wall};

use pintle_core::{Event, MacAddr, VipDesire};
use pintle_testkit::capture::transmit;
use pintle_testkit::netns::{CLIENT_V4, INTERFACE, VIP_V4};

use crate::bed::{
    ABSENT, Bed, V4, V6, advertisements, announcements, arp, arp_probes, as_core, eventually,
    owned, probed, sleep, solicitations,
};

const STRANGER: [u8; 6] = [2, 0xbe, 0xef, 0, 0, 1];

fn is_claim(event: &Event) -> bool {
    matches!(event, Event::ForeignClaim { .. })
}

fn transmit_from_client(bed: &Bed, frame: &[u8]) {
    transmit(bed.topology.client_ns(), INTERFACE, frame).unwrap();
}

/// Whether frames left at these offsets in ms from the first one; a loaded machine may be late.
fn assert_offsets(what: &str, times: &[Wall], expected: &[u64]) {
    let first = times.first().unwrap_or_else(|| panic!("no {what}"));
    let offsets: Vec<Duration> = times.iter().map(|at| at.duration_since(*first)).collect();
    println!("{what}: {offsets:?}");
    assert_eq!(offsets.len(), expected.len(), "{what}: {offsets:?}");
    for (offset, expected) in offsets.iter().zip(expected) {
        let expected = Duration::from_millis(*expected);
        let is_early = *offset + Duration::from_millis(15) < expected;
        let is_late = *offset > expected + Duration::from_millis(400);
        assert!(!is_early && !is_late, "{what}: {offsets:?}");
    }
}

/// The frames of the first second: on a loaded machine the sending of the questions takes longer.
fn first_second(mut times: Vec<Wall>) -> Vec<Wall> {
    let end = times.first().map(|first| *first + Duration::from_millis(950));
    times.retain(|at| end.is_some_and(|end| *at < end));
    times
}

#[test]
fn the_burst_is_on_the_wire_in_every_form() {
    let bed = Bed::start(ABSENT);
    bed.wait_unbound(1);
    let capture = bed.capture();
    let asked = Wall::now();
    bed.keep_owned(Duration::from_millis(4500));
    let frames = capture.stop().unwrap();
    let mac = bed.own_mac();
    // Renewals come every 500 ms and restart nothing.
    let burst = [0, 50, 200, 1100, 2200, 3300];
    assert_offsets("ARP requests", &announcements(&frames, mac, 1), &burst);
    assert_offsets("ARP replies", &announcements(&frames, mac, 2), &burst);
    assert_offsets("neighbour advertisements", &advertisements(&frames, mac), &burst);
    let first = announcements(&frames, mac, 1)[0].duration_since(asked);
    println!("first announcement {first:?} after the right was given");
    assert!(arp_probes(&frames, mac).is_empty(), "a trusted claim asks nobody");
    for counter in [
        &bed.metrics.gratuitous_arp_requests,
        &bed.metrics.gratuitous_arp_replies,
        &bed.metrics.unsolicited_nas,
    ] {
        assert_eq!(counter.load(Ordering::Relaxed), 6);
    }
}

#[test]
fn a_free_address_is_asked_for_and_then_bound() {
    let bed = Bed::start(ABSENT);
    bed.wait_unbound(1);
    let capture = bed.capture();
    let asked = Wall::now();
    bed.desire(probed(2300));
    sleep(100);
    // A renewal in between does not start it again, nor does the core's later trust.
    bed.desire(probed(2300));
    let (bound, _) = bed.wait_bound(1);
    let took = bound.duration_since(asked);
    println!("bound after {took:?}");
    assert!(took >= Duration::from_millis(200), "{took:?}");
    let frames = capture.stop().unwrap();
    let mac = bed.own_mac();
    assert_offsets("ARP probes", &arp_probes(&frames, mac), &[0, 100]);
    assert_offsets("solicitations", &solicitations(&frames, mac), &[0, 100]);
    bed.desire(owned(2300));
    sleep(400);
    assert_eq!(bed.count(|event| matches!(event, Event::Bound { .. })), 1);
    assert_eq!(bed.count(|event| matches!(event, Event::AddressOccupied { .. })), 0);
}

#[test]
fn a_stranger_on_the_vip_is_not_joined() {
    for vip in [V4, V6] {
        let bed = Bed::start(ABSENT);
        bed.wait_unbound(1);
        let stranger = as_core(bed.topology.add_stranger(vip.0).unwrap());
        bed.desire(probed(60_000));
        let is_it = |event: &Event| *event == Event::AddressOccupied { vip, mac: stranger };
        let (first, _) = bed.wait_for(1, "AddressOccupied", is_it);
        let (third, _) = bed.wait_for(3, "AddressOccupied", is_it);
        let pace = third.duration_since(first) / 2;
        assert!(pace > Duration::from_millis(900), "asked again every second, not {pace:?}");
        assert!(bed.copies().is_empty(), "never two machines with one address");
        assert_eq!(bed.metrics.gratuitous_arp_requests.load(Ordering::Relaxed), 0);
        bed.topology.remove_strangers().unwrap();
        bed.wait_bound(1);
    }
}

#[test]
fn another_that_asks_at_the_same_time_is_a_conflict() {
    let bed = Bed::start(ABSENT);
    bed.wait_unbound(1);
    bed.desire(probed(60_000));
    sleep(50);
    transmit_from_client(&bed, &arp(1, STRANGER, Ipv4Addr::UNSPECIFIED, VIP_V4));
    let expected = Event::AddressOccupied { vip: V4, mac: MacAddr(STRANGER) };
    bed.wait_for(1, "AddressOccupied", |event| *event == expected);
    assert!(bed.copies().is_empty());
    // A client that merely looks for the VIP is none.
    sleep(1050);
    transmit_from_client(&bed, &arp(1, STRANGER, CLIENT_V4, VIP_V4));
    bed.wait_bound(1);
}

#[test]
fn foreign_claims_are_heard_and_bounded() {
    let bed = Bed::start(owned(9000));
    bed.wait_bound(1);
    let own = bed.own_mac().0;
    for harmless in [
        arp(1, STRANGER, CLIENT_V4, VIP_V4),
        arp(1, STRANGER, CLIENT_V4, CLIENT_V4),
        arp(2, own, VIP_V4, VIP_V4),
    ] {
        transmit_from_client(&bed, &harmless);
    }
    sleep(200);
    assert_eq!(bed.count(is_claim), 0, "{:?}", bed.events());
    for form in [1, 2] {
        transmit_from_client(&bed, &arp(form, STRANGER, VIP_V4, VIP_V4));
        let (_, event) = bed.wait_for(form.into(), "ForeignClaim", is_claim);
        assert_eq!(event, Event::ForeignClaim { vip: V4, mac: MacAddr(STRANGER) });
    }
    // Under this host's own source address it is still a claim of the one that it names.
    let mut disguised = arp(2, STRANGER, VIP_V4, VIP_V4);
    disguised[6..12].copy_from_slice(&own);
    transmit_from_client(&bed, &disguised);
    bed.wait_for(3, "ForeignClaim", is_claim);
    // A flood is counted, but not told in full.
    let began = Wall::now();
    // In pieces that the socket's buffer holds while a busy machine keeps its reader waiting.
    for sent in (3..303).step_by(50) {
        for _ in 0..50 {
            transmit_from_client(&bed, &arp(1, STRANGER, VIP_V4, VIP_V4));
        }
        let counted = || bed.metrics.conflicts.load(Ordering::Relaxed) == sent + 50;
        eventually("all are counted", counted);
    }
    let told = bed.count(is_claim);
    let limit = 10 + usize::try_from(began.elapsed().as_millis() / 100).unwrap() + 5;
    assert!((10..=limit).contains(&told), "ten at once and ten a second, {limit}, not {told}");
}

#[test]
fn a_foreign_advertisement_is_heard() {
    let bed = Bed::start(owned(9000));
    bed.wait_bound(1);
    // The stranger's kernel answers the host's own question for the VIP.
    let stranger = as_core(bed.topology.add_stranger(V6.0).unwrap());
    bed.desire(VipDesire::Held);
    let expected = Event::ForeignClaim { vip: V6, mac: stranger };
    bed.wait_for(1, "ForeignClaim", |event| *event == expected);
}

#[test]
fn a_holder_elsewhere_is_heard_while_held() {
    let bed = Bed::start(owned(9000));
    bed.wait_bound(1);
    let stranger = as_core(bed.topology.add_stranger(V4.0).unwrap());
    sleep(300);
    assert_eq!(bed.count(is_claim), 0, "it says nothing unasked");
    bed.desire(VipDesire::Held);
    let expected = Event::ForeignClaim { vip: V4, mac: stranger };
    bed.wait_for(1, "ForeignClaim", |event| *event == expected);
}

#[test]
fn a_probe_is_answered_with_a_burst() {
    let bed = Bed::start(owned(20_000));
    bed.wait_bound(1);
    // The own burst is over.
    sleep(4000);
    let mac = bed.own_mac();
    let capture = bed.capture();
    sleep(300);
    assert!(announcements(&capture.stop().unwrap(), mac, 1).is_empty());
    let capture = bed.capture();
    let probe = arp(1, STRANGER, Ipv4Addr::UNSPECIFIED, VIP_V4);
    for _ in 0..20 {
        transmit_from_client(&bed, &probe);
        sleep(20);
    }
    sleep(300);
    let frames = capture.stop().unwrap();
    assert_offsets("answers", &first_second(announcements(&frames, mac, 1)), &[0, 50, 200]);
    assert_eq!(bed.count(is_claim), 0, "a question is no claim");
    // Nobody but the owner answers.
    bed.desire(ABSENT);
    bed.wait_unbound(1);
    let capture = bed.capture();
    transmit_from_client(&bed, &probe);
    sleep(300);
    assert!(announcements(&capture.stop().unwrap(), mac, 1).is_empty());
}

#[test]
fn a_defence_is_one_burst_and_at_most_one_a_second() {
    let bed = Bed::start(owned(20_000));
    bed.wait_bound(1);
    sleep(4000);
    let capture = bed.capture();
    for _ in 0..50 {
        bed.defend.blocking_send(V4).unwrap();
        sleep(10);
    }
    sleep(200);
    let frames = capture.stop().unwrap();
    let defences = announcements(&frames, bed.own_mac(), 2);
    assert_offsets("defence", &first_second(defences), &[0, 50, 200]);
}

#[test]
fn who_yields_asks_for_the_holder() {
    let bed = Bed::start(owned(9000));
    bed.wait_bound(1);
    for (yielded, expected) in [(false, 0), (true, 1)] {
        bed.desire(owned(9000));
        eventually("bound", || bed.is_bound());
        let capture = bed.capture();
        bed.desire(VipDesire::Absent { yielded });
        eventually("unbound", || bed.copies().is_empty());
        sleep(300);
        let frames = capture.stop().unwrap();
        let mac = bed.own_mac();
        assert_eq!(arp_probes(&frames, mac).len(), expected, "yielded: {yielded}");
        assert_eq!(solicitations(&frames, mac).len(), expected, "yielded: {yielded}");
    }
}
