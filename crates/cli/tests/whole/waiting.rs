//! A second pintle on the same host.

use std::time::Duration;

use super::bed::{Bed, SOON, VIP, always, wait};

#[test]
fn a_second_pintle_on_the_host_waits_for_the_first() {
    let bed = Bed::new(1);
    let mut first = bed.start_named("first", 0, &bed.setup());
    bed.wait_holder();
    let second = bed.start_named("second", 0, &bed.setup());
    second.wait_line("Another pintle holds this host");
    always(Duration::from_secs(2), "the first holds, the second waits", || {
        bed.owners(VIP) == [0] && second.changes("acquired").is_empty()
    });
    let waits = second.lines("Another pintle holds this host");
    let [line] = &waits[..] else { panic!("one line: {waits:?}") };
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["pid"], first.process.pid(), "{line}");

    first.stop();
    wait(SOON, "the second holds", || second.changes("acquired").pop());
    assert_eq!(bed.owners(VIP), [0]);
    bed.wait_renewals();
    assert!(second.is_ready());
}

#[test]
fn one_that_waits_ends_when_asked_to_and_touches_nothing() {
    let bed = Bed::new(1);
    let first = bed.start_named("first", 0, &bed.setup());
    bed.wait_holder();
    let mut second = bed.start_named("second", 0, &bed.setup());
    second.wait_line("Another pintle holds this host");
    second.stop();
    bed.wait_renewals();
    assert_eq!(bed.owners(VIP), [0]);
    assert!(first.is_ready() && first.changes("lost").is_empty(), "{}", first.log());
}
