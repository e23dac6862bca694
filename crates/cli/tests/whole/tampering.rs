//! The Lease edited by hand while its holder lives.

use std::time::{Duration, Instant};

use pintle_testkit::stand_in::Store;
use serde_json::{Value, json};

use super::bed::{Bed, Pintle, SOON, VIP, always, hostname, wait};

const DURATION: &str = "pintle.dev/lease-duration";

/// What is done to the Lease, by name.
type Nonsense = (&'static str, fn(&Store));

fn edit(store: &Store, edit: impl FnOnce(&mut Value)) {
    assert!(store.edit_lease("kube-system", "pintle", edit), "there is a Lease");
}

/// Whether the Lease says what its holder writes.
fn is_right(bed: &Bed, holder: usize) -> bool {
    let lease = bed.lease();
    let annotations = &lease["metadata"]["annotations"];
    let renewed = lease["spec"]["renewTime"].as_str().unwrap_or_default();
    lease["spec"]["holderIdentity"] == hostname(holder)
        && lease["spec"]["leaseDurationSeconds"] == 3
        && annotations[DURATION] == format!("{renewed}/2500")
        && annotations["pintle.dev/mac"] == bed.topology.host_mac(holder).to_string()
}

fn garbage(text: &str) -> Value {
    json!({
        DURATION: text, "pintle.dev/incarnation": text,
        "pintle.dev/mac": text, "pintle.dev/vips": text,
    })
}

#[test]
fn nonsense_in_the_lease_moves_nothing() {
    let bed = Bed::new(2);
    let mut pintles = bed.start_all(&bed.setup());
    let holder = bed.wait_holder();
    wait(SOON, "both are ready", || pintles.iter().all(Pintle::is_ready).then_some(()));
    let nonsense: [Nonsense; 6] = [
        ("deleted", |store| assert!(store.delete_lease("kube-system", "pintle"))),
        ("empty holder", |store| edit(store, |lease| lease["spec"]["holderIdentity"] = "".into())),
        ("endless", |store| {
            edit(store, |lease| lease["spec"]["leaseDurationSeconds"] = i32::MAX.into());
        }),
        ("garbage", |store| {
            edit(store, |lease| lease["metadata"]["annotations"] = garbage("-1/\u{0}\u{7f}/☃"));
        }),
        ("a megabyte", |store| {
            // etcd takes 1.5 MB at most.
            let text = "9".repeat(1 << 20);
            edit(store, |lease| lease["metadata"]["annotations"] = json!({DURATION: text}));
        }),
        ("no spec", |store| edit(store, |lease| lease["spec"] = json!({}))),
    ];
    for (name, tamper) in nonsense {
        tamper(&bed.store);
        wait(SOON, &format!("{name}: the Lease is right again"), || {
            assert_eq!(bed.owners(VIP), [holder], "{name}");
            is_right(&bed, holder).then_some(())
        });
        // Longer than a follower waits for a holder that is gone.
        always(Duration::from_secs(3), name, || bed.owners(VIP) == [holder]);
        assert!(is_right(&bed, holder), "{name}: {}", bed.lease());
    }
    for pintle in &mut pintles {
        assert!(pintle.process.is_running(), "{}", pintle.log());
        assert!(pintle.changes("lost").is_empty(), "{}", pintle.log());
        assert_eq!(pintle.changes("acquired").len(), usize::from(pintle.host == holder));
        assert!(!pintle.log().contains("panicked"), "{}", pintle.log());
    }
}

#[test]
fn a_stranger_s_name_is_believed_for_the_published_time() {
    let bed = Bed::new(2);
    let pintles = bed.start_all(&bed.setup());
    let holder = bed.wait_holder();
    wait(SOON, "both are ready", || pintles.iter().all(Pintle::is_ready).then_some(()));
    edit(&bed.store, |lease| {
        lease["metadata"]["annotations"] = json!({});
        lease["spec"]["holderIdentity"] = "stranger".into();
        lease["spec"]["leaseDurationSeconds"] = 4.into();
    });
    let named = Instant::now();
    wait(SOON, "the holder yields", || bed.owners(VIP).is_empty().then_some(()));
    assert!(named.elapsed() < Duration::from_millis(1500), "took {:?}", named.elapsed());
    let lost = wait(SOON, "its log line", || pintles[holder].changes("lost").pop()).0;
    assert_eq!((&lost["reason"], &lost["to"]), (&"lease_taken".into(), &"stranger".into()));

    let next = bed.wait_holder();
    let waited = named.elapsed();
    assert!(waited >= Duration::from_millis(3900), "the published 4 s count: {waited:?}");
    assert!(waited < Duration::from_millis(6500), "took {waited:?}");
    wait(SOON, "the Lease is right", || is_right(&bed, next).then_some(()));
    always(Duration::from_secs(1), "one holder", || bed.owners(VIP) == [next]);
    let taken = pintles[next].changes("acquired").pop().unwrap();
    assert_eq!((&taken["reason"], &taken["from"]), (&"expired".into(), &"stranger".into()));
}
