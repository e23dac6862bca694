//! The address leaves with the right to it, and not before.

use std::time::{Duration, Instant as Wall};

use pintle_core::{Event, VipDesire};
use pintle_testkit::netns::{INTERFACE, Topology};

use crate::bed::{
    ABSENT, Bed, V4, V6, announcements, arp_probes, as_core, config, copies, eventually, now,
    owned, runtime, sleep, solicitations, start_with_queue,
};

#[test]
fn a_bound_vip_is_a_single_host_that_the_kernel_will_remove() {
    let bed = Bed::start(owned(2300));
    let (_, event) = bed.wait_bound(1);
    let Event::Bound { mac, bound_at, announced_at } = event else { unreachable!() };
    assert_eq!(mac, as_core(bed.own_mac()));
    println!("first announcement {:?} after the bind", announced_at.since(bound_at));
    assert!(announced_at >= bound_at && announced_at.since(bound_at) < Duration::from_millis(50));
    let copies = bed.copies();
    assert_eq!(copies.len(), 2, "{copies:?}");
    for copy in &copies {
        assert_eq!(copy.prefix_len, if copy.address.is_ipv4() { 32 } else { 128 });
        assert_eq!(copy.link, INTERFACE);
        assert!(copy.is_noprefixroute && !copy.is_tentative, "{copy:?}");
        assert_eq!(copy.preferred_lft, Some(Duration::ZERO), "{copy:?}");
        let valid = copy.valid_lft.expect("a lifetime that ends");
        assert!(valid <= Duration::from_secs(2), "{copy:?}");
    }
    bed.desire(ABSENT);
    bed.wait_unbound(1);
    assert!(bed.copies().is_empty());
}

#[test]
fn the_fence_unbinds_although_nobody_says_so() {
    // The kernel takes no lifetime below a second: what is gone before that, the fence removed.
    let bed = Bed::start(ABSENT);
    bed.wait_unbound(1);
    bed.desire(owned(600));
    let (bound, _) = bed.wait_bound(1);
    assert!(bed.is_bound(), "before the right ends");
    let unbound = bed.wait_unbound(2);
    let held = unbound.duration_since(bound);
    println!("unbound {held:?} after the bind, right of 600 ms");
    assert!(held < Duration::from_millis(900), "{held:?}");
    assert!(bed.copies().is_empty());
    sleep(300);
    assert_eq!(bed.count(|event| *event == Event::Unbound), 2);
    // A new right binds anew, and ends anew.
    bed.desire(owned(600));
    bed.wait_bound(2);
    bed.wait_unbound(3);
    assert!(bed.copies().is_empty());
}

#[test]
fn the_fence_is_a_timer_and_not_the_regular_check() {
    // Rights of different lengths end at different phases of the check, which alone would be 125 ms
    // late in the middle. The median, since a loaded machine is late now and then.
    let bed = Bed::start(ABSENT);
    bed.wait_unbound(1);
    let mut lates = Vec::new();
    for round in 1..=7 {
        let length = Duration::from_millis(400 + 37 * round);
        let hold_until = Wall::now() + length;
        bed.desire(owned(u64::try_from(length.as_millis()).unwrap()));
        bed.wait_bound(usize::try_from(round).unwrap());
        let unbound = bed.wait_unbound(1 + usize::try_from(round).unwrap());
        lates.push(unbound.saturating_duration_since(hold_until));
    }
    lates.sort();
    println!("unbound so long after the right ended: {lates:?}");
    assert!(lates[3] < Duration::from_millis(40), "{lates:?}");
}

#[test]
fn a_full_queue_does_not_delay_the_fence() {
    let topology = Topology::start(1).unwrap();
    let work = || {
        runtime().block_on(async {
            // Room for the link's state only, and nobody takes that.
            let began = Wall::now();
            let started = start_with_queue(config(&[V4, V6]), owned(900), 1).unwrap();
            while copies(&topology).len() < 2 {
                assert!(began.elapsed() < Duration::from_millis(900), "never bound");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            tokio::time::sleep(Duration::from_millis(980).saturating_sub(began.elapsed())).await;
            assert!(copies(&topology).is_empty(), "before any lifetime of the kernel ends");
            drop(started);
        });
    };
    topology.host_ns(0).run_in(work).unwrap();
}

#[test]
fn after_a_stall_beyond_the_right_nothing_is_announced() {
    let bed = Bed::start(ABSENT);
    bed.wait_unbound(1);
    bed.desire(owned(1000));
    bed.wait_bound(1);
    let stalled = Wall::now();
    // The announcement at 1100 ms falls due meanwhile.
    bed.stall(Duration::from_millis(1500));
    let capture = bed.capture();
    sleep(2500);
    let frames = capture.stop().unwrap();
    let late = |times: Vec<Wall>| {
        times.iter().filter(|at| at.duration_since(stalled) > Duration::from_millis(1000)).count()
    };
    let mac = bed.own_mac();
    assert_eq!(late(announcements(&frames, mac, 1)) + late(announcements(&frames, mac, 2)), 0);
    bed.wait_unbound(2);
    assert!(bed.copies().is_empty());
}

#[test]
fn after_a_stall_within_the_right_it_goes_on() {
    // The control of the test above.
    let bed = Bed::start(owned(9000));
    bed.wait_bound(1);
    bed.stall(Duration::from_millis(1500));
    let capture = bed.capture();
    sleep(2000);
    let frames = capture.stop().unwrap();
    assert!(bed.is_bound());
    assert!(!announcements(&frames, bed.own_mac(), 1).is_empty());
}

#[test]
fn a_right_that_ended_before_it_was_heard_of_binds_nothing() {
    let bed = Bed::start(ABSENT);
    bed.wait_unbound(1);
    bed.desire(owned(0));
    sleep(400);
    assert!(bed.copies().is_empty());
    assert_eq!(bed.count(|event| matches!(event, Event::Bound { .. })), 0);
}

#[test]
fn the_kernel_ends_what_a_killed_process_leaves() {
    let mut bed = Bed::start(owned(2300));
    bed.wait_bound(1);
    bed.keep_owned(Duration::from_millis(1200));
    let hold_until = Wall::now() + Duration::from_millis(2300);
    bed.desire(owned(2300));
    // Past the moment from which the kernel's lifetime ends together with the right.
    sleep(1000);
    bed.vanish();
    assert!(bed.is_bound(), "killed, not unbound");
    // This thread may be late to look; whatever it sees gone was there at its look before.
    eventually("the kernel removes it", || bed.copies().is_empty());
    let gone_at = Wall::now();
    assert!(gone_at + Duration::from_millis(100) > hold_until, "as much as the right allows");
    let late = gone_at.saturating_duration_since(hold_until);
    println!("gone {late:?} after the right ended");
    assert!(late < Duration::from_millis(1000), "{late:?}");
}

#[test]
fn a_steady_right_never_lets_the_address_go() {
    let bed = Bed::start(owned(2300));
    bed.wait_bound(1);
    bed.keep_owned(Duration::from_secs(6));
    assert!(bed.is_bound());
    assert_eq!(bed.restored(), 0, "the kernel never took it");
    assert_eq!(bed.count(|event| matches!(event, Event::Bound { .. })), 1, "once per ownership");
    assert_eq!(bed.count(|event| *event == Event::Unbound), 0);
}

#[test]
fn the_lifetime_is_never_shortened_nor_beyond_the_right() {
    let bed = Bed::start(owned(3300));
    let began = now();
    bed.wait_bound(1);
    let mut ends = Vec::new();
    while now().since(began) < Duration::from_millis(3200) {
        let at = now().since(began);
        if let Some(copy) = bed.copies().iter().find(|copy| copy.address == V4.0) {
            // Rounded up by the kernel: the true end is up to a second earlier, and the earliest that
            // is read between two settings is the true one.
            ends.push(at + copy.valid_lft.unwrap());
        }
        sleep(20);
    }
    assert!(ends.len() > 15, "{} readings, `ip` was too slow", ends.len());
    for pair in ends.windows(2) {
        assert!(pair[1] + Duration::from_millis(1050) > pair[0], "shortened: {pair:?}");
    }
    // The last setting is the one with a second left.
    let last: Vec<_> = ends.iter().filter(|end| **end > Duration::from_millis(3250)).collect();
    let earliest = last.iter().min().unwrap();
    println!("the kernel's lifetime ends at {earliest:?}, the right at 3.3 s");
    assert!(**earliest <= Duration::from_millis(3450), "beyond the right: {earliest:?}");
    bed.wait_unbound(1);
}

#[test]
fn a_held_vip_is_kept_silently_and_asked_for() {
    let bed = Bed::start(owned(1500));
    bed.wait_bound(1);
    sleep(500);
    bed.desire(VipDesire::Held);
    sleep(300);
    let capture = bed.capture();
    sleep(3500);
    let frames = capture.stop().unwrap();
    assert!(bed.is_bound(), "long after the right and after any lifetime from then");
    for copy in bed.copies() {
        assert!(copy.valid_lft.is_some_and(|left| left <= Duration::from_secs(2)), "{copy:?}");
    }
    let mac = bed.own_mac();
    assert!(announcements(&frames, mac, 1).is_empty() && announcements(&frames, mac, 2).is_empty());
    let probes = [arp_probes(&frames, mac).len(), solicitations(&frames, mac).len()];
    assert!(probes.iter().all(|count| (20..=40).contains(count)), "every 100 ms: {probes:?}");

    // Entitled again: announced again, not bound again.
    let capture = bed.capture();
    bed.desire(owned(2300));
    sleep(700);
    assert_eq!(announcements(&capture.stop().unwrap(), mac, 1).len(), 3, "0, 50, 200 ms");
    assert_eq!(bed.count(|event| matches!(event, Event::Bound { .. })), 1);
    bed.desire(ABSENT);
    bed.wait_unbound(1);
}

#[test]
fn a_held_vip_that_is_gone_stays_gone() {
    let bed = Bed::start(owned(1500));
    bed.wait_bound(1);
    bed.desire(VipDesire::Held);
    sleep(600);
    assert!(bed.is_bound());
    bed.ip("addr del 172.30.0.10/32 dev eth0");
    bed.wait_unbound(1);
    sleep(600);
    assert!(bed.copies().is_empty(), "all of them or none: {:?}", bed.copies());
    assert_eq!(bed.restored(), 0);
}

#[test]
fn what_is_not_bound_is_not_held() {
    let bed = Bed::start(ABSENT);
    bed.wait_unbound(1);
    bed.desire(VipDesire::Held);
    bed.wait_unbound(2);
    sleep(400);
    assert!(bed.copies().is_empty());
}

#[test]
fn a_killed_process_that_held_leaves_two_seconds() {
    let mut bed = Bed::start(owned(1500));
    bed.wait_bound(1);
    bed.desire(VipDesire::Held);
    sleep(2500);
    assert!(bed.is_bound());
    bed.vanish();
    let gone = eventually("the kernel removes it", || bed.copies().is_empty());
    println!("gone after {gone:?}");
    assert!(gone < Duration::from_millis(3000), "{gone:?}");
}

#[test]
fn a_shutdown_leaves_nothing() {
    let mut bed = Bed::start(owned(2300));
    bed.wait_bound(1);
    bed.ip(&format!("addr add {V4}/32 dev lo"));
    bed.ip(&format!("addr add {V6}/128 dev lo"));
    bed.shut_down();
    assert!(bed.copies().is_empty());
}
