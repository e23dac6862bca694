//! A stranger on the segment that has the VIP already.

use std::time::Duration;

use super::bed::{Bed, SOON, VIP, always, wait};

#[test]
fn a_vip_that_a_stranger_has_is_not_bound_until_it_leaves() {
    let bed = Bed::new(1);
    let stranger = bed.topology.add_stranger(VIP).unwrap();
    let pintle = bed.start(0, &bed.setup());
    let line = pintle.wait_line("address_occupied");
    assert!(line.contains(&stranger.to_string()), "names the machine: {line}");
    assert!(line.contains(&VIP.to_string()), "{line}");
    always(Duration::from_secs(4), "not bound", || bed.owners(VIP).is_empty());
    assert_eq!(pintle.lines("address_occupied").len(), 1, "{}", pintle.log());
    assert!(pintle.changes("acquired").is_empty(), "{}", pintle.log());
    let status = pintle.status();
    assert_eq!(status["occupied"], true, "{status}");
    assert_eq!(status["vips"][0]["bound"], false, "{status}");

    bed.topology.remove_strangers().unwrap();
    wait(Duration::from_secs(4), "bound", || (bed.owners(VIP) == [0]).then_some(()));
    wait(SOON, "the status says so", || (pintle.status()["occupied"] == false).then_some(()));
    assert_eq!(pintle.status()["vips"][0]["bound"], true);
}
