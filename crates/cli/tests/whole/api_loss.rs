//! No API server can be written: `onApiLoss`, both ways.

use std::time::{Duration, Instant};

use super::bed::{Bed, Pintle, SOON, Setup, VIP, always, wait};

/// Twice as long as the Lease and all its margins.
const LOSS: Duration = Duration::from_secs(6);

fn hang(bed: &Bed, hang: bool) {
    bed.servers.iter().for_each(|server| server.hang_all(hang));
}

fn steady(bed: &Bed, election: &'static str) -> (Vec<Pintle>, usize) {
    let pintles = bed.start_all(&Setup { election, ..bed.setup() });
    let holder = bed.wait_holder();
    wait(SOON, "both are ready", || pintles.iter().all(Pintle::is_ready).then_some(()));
    // Every server is known from the EndpointSlice.
    wait(SOON, "both servers are known", || {
        let is_known = |one: &Pintle| one.status()["apiservers"].as_array().unwrap().len() == 2;
        pintles.iter().all(is_known).then_some(())
    });
    (pintles, holder)
}

#[test]
fn a_holder_holds_while_nobody_can_write() {
    let bed = Bed::new(2);
    let (pintles, holder) = steady(&bed, "");
    hang(&bed, true);
    always(LOSS, "the holder has the VIP", || bed.owners(VIP) == [holder]);
    assert_eq!(pintles[holder].lines("Holding the VIP").len(), 1, "{}", pintles[holder].log());
    hang(&bed, false);
    pintles[holder].wait_line("The Lease is renewed again");
    always(Duration::from_secs(3), "nothing moves", || bed.owners(VIP) == [holder]);
    for pintle in &pintles {
        assert!(pintle.changes("lost").is_empty(), "{}", pintle.log());
        assert_eq!(pintle.changes("acquired").len(), usize::from(pintle.host == holder));
    }
}

#[test]
fn a_holder_that_is_told_to_releases_at_the_deadline() {
    let bed = Bed::new(2);
    let (pintles, holder) = steady(&bed, "onApiLoss: release");
    hang(&bed, true);
    let lost = Instant::now();
    wait(SOON, "the VIP goes", || bed.owners(VIP).is_empty().then_some(()));
    assert!(lost.elapsed() < Duration::from_millis(3500), "took {:?}", lost.elapsed());
    let change = wait(SOON, "its log line", || pintles[holder].changes("lost").pop()).0;
    assert_eq!(change["reason"], "renew_deadline", "{change}");
    always(Duration::from_secs(2), "nobody has it", || bed.owners(VIP).is_empty());
    hang(&bed, false);
    let next = bed.wait_holder();
    always(Duration::from_secs(1), "one holder", || bed.owners(VIP) == [next]);
}
