use std::time::Duration;

use pintle_core::{Holder, WriteKind};

use super::*;

fn ledger() -> Ledger {
    Ledger::new(Identity {
        node: "cp-1".into(),
        incarnation: "i-1".into(),
        namespace: "kube-system".into(),
        lease: "pintle".into(),
        vips: "192.0.2.10".into(),
    })
}

fn version(number: usize) -> Version {
    Version { uid: "u".into(), resource_version: number.to_string() }
}

fn renewal(base: usize) -> LeaseWrite {
    LeaseWrite {
        base: Some(version(base)),
        kind: WriteKind::Renew,
        duration: Duration::from_millis(2500),
        transitions: 0,
        mac: None,
    }
}

/// The object that a server makes of a write: the next version of it.
fn stored(mut object: LeaseObject, number: usize) -> LeaseObject {
    object.metadata.resource_version = version(number).resource_version;
    object
}

#[test]
fn each_of_the_last_sixteen_writes_is_recognised() {
    let ledger = ledger();
    let objects: Vec<LeaseObject> = (0..=MAX_WRITTEN)
        .map(|number| ledger.compose(AttemptId(number as u64), &renewal(1)))
        .collect();
    let written = |object: &LeaseObject| ledger.learn(object.clone()).unwrap().write;
    assert_eq!(written(&objects[0]), None, "seventeen writes ago");
    for (number, object) in objects.iter().enumerate().skip(1) {
        assert_eq!(written(object), Some(AttemptId(number as u64)));
    }
}

#[test]
fn the_last_four_objects_are_kept_as_bases() {
    let ledger = ledger();
    for number in 1..=MAX_SEEN + 1 {
        let mut object = stored(ledger.compose(AttemptId(0), &renewal(0)), number);
        let annotations = object.metadata.annotations.get_or_insert_default();
        annotations.insert("foreign".into(), number.to_string());
        ledger.learn(object).unwrap();
    }
    let foreign = |base: usize| {
        let annotations = ledger.compose(AttemptId(0), &renewal(base)).metadata.annotations;
        annotations.unwrap().get("foreign").cloned()
    };
    assert_eq!(foreign(1), None, "forgotten");
    for number in 2..=MAX_SEEN + 1 {
        assert_eq!(foreign(number), Some(number.to_string()));
    }
}

#[test]
fn the_same_version_seen_twice_takes_one_place() {
    let ledger = ledger();
    let old = stored(ledger.compose(AttemptId(0), &renewal(0)), 1);
    ledger.learn(old).unwrap();
    let new = stored(ledger.compose(AttemptId(0), &renewal(0)), 2);
    for _ in 0..MAX_SEEN + 2 {
        let view = ledger.learn(new.clone()).unwrap();
        assert_eq!(view.holder, Holder::Node("cp-1".into()));
    }
    assert_eq!(ledger.entries().seen.len(), 2);
}
