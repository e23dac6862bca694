use proptest::prelude::*;
use serde_json::json;

use super::*;
use pintle_core::MacAddr;

const STAMP: &str = "2026-01-02T03:04:05.123456Z";
const MICROS: i64 = 1_767_323_045_123_456;

fn identity() -> Identity {
    Identity {
        node: "cp-1".into(),
        incarnation: "i-1".into(),
        namespace: "kube-system".into(),
        lease: "pintle".into(),
        vips: "192.0.2.10,2001:db8::10".into(),
    }
}

fn write(kind: WriteKind) -> LeaseWrite {
    let base = Version { uid: "u".into(), resource_version: "7".into() };
    LeaseWrite {
        base: Some(base),
        kind,
        duration: Duration::from_millis(2500),
        transitions: 3,
        mac: Some(MacAddr([2, 0, 0, 0, 0, 1])),
    }
}

fn object(value: serde_json::Value) -> LeaseObject {
    serde_json::from_value(value).unwrap()
}

fn view(object: &LeaseObject) -> LeaseView {
    decode(&identity(), object, |micros| (micros == MICROS).then_some(AttemptId(9))).unwrap()
}

/// A Lease with this spec and this `lease-duration`, of this node's incarnation.
fn read(spec: serde_json::Value, duration: &str) -> LeaseView {
    view(&object(json!({
        "metadata": {"name": "pintle", "uid": "u", "resourceVersion": "8",
            "annotations": {DURATION: duration, INCARNATION: "i-1"}},
        "spec": spec,
    })))
}

#[test]
fn an_acquisition_carries_all_that_others_need() {
    let made = encode(&identity(), &write(WriteKind::Acquire), None, STAMP.parse().unwrap());
    assert_eq!(
        serde_json::to_value(&made).unwrap(),
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": "pintle", "namespace": "kube-system", "uid": "u", "resourceVersion": "7",
                "annotations": {
                    "pintle.dev/lease-duration": format!("{STAMP}/2500"),
                    "pintle.dev/incarnation": "i-1",
                    "pintle.dev/mac": "02:00:00:00:00:01",
                    "pintle.dev/vips": "192.0.2.10,2001:db8::10",
                },
            },
            "spec": {
                "holderIdentity": "cp-1", "leaseDurationSeconds": 3, "leaseTransitions": 3,
                "acquireTime": STAMP, "renewTime": STAMP,
            },
        })
    );
    // The API's own type takes it.
    let value = serde_json::to_value(&made).unwrap();
    let _: k8s_openapi::api::coordination::v1::Lease = serde_json::from_value(value).unwrap();
}

#[test]
fn what_was_written_is_read_back_and_known_as_ours() {
    let cases = [
        (WriteKind::Acquire, Holder::Node("cp-1".into()), 2500),
        (WriteKind::Renew, Holder::Node("cp-1".into()), 2500),
        (WriteKind::Release, Holder::Released, 0),
    ];
    for (kind, holder, milliseconds) in cases {
        let mut write = write(kind);
        if kind == WriteKind::Release {
            write.duration = Duration::ZERO;
        }
        let made = encode(&identity(), &write, None, STAMP.parse().unwrap());
        assert!(made.spec.lease_duration_seconds >= Some(1), "{kind:?}");
        let expected = LeaseView {
            version: write.base.unwrap(),
            holder,
            duration: Duration::from_millis(milliseconds),
            incarnation: Some("i-1".into()),
            mac: write.mac,
            transitions: 3,
            write: Some(AttemptId(9)),
        };
        assert_eq!(view(&made), expected, "{kind:?}");
    }
}

#[test]
fn a_renewal_keeps_the_term_and_what_others_wrote() {
    let seen = object(json!({
        "metadata": {"name": "pintle", "uid": "u", "resourceVersion": "7",
            "labels": {"a": "b"}, "finalizers": ["f/g"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "x"}],
            "annotations": {"foreign": "kept", MAC: "02:00:00:00:00:02"}},
        "spec": {"holderIdentity": "cp-1", "acquireTime": "2025-01-01T00:00:00.000000Z"},
    }));
    let mut write = write(WriteKind::Renew);
    write.mac = None;
    let made = encode(&identity(), &write, Some(&seen), STAMP.parse().unwrap());
    assert_eq!(made.metadata.labels, seen.metadata.labels);
    assert_eq!(made.metadata.finalizers, seen.metadata.finalizers);
    assert_eq!(made.metadata.owner_references, seen.metadata.owner_references);
    assert_eq!(made.spec.acquire_time, seen.spec.acquire_time);
    let annotations = made.metadata.annotations.unwrap();
    assert_eq!(annotations.get("foreign").map(String::as_str), Some("kept"));
    assert_eq!(annotations.get(MAC), None, "no address is known: the old one goes");
}

#[test]
fn a_creation_names_no_version() {
    let mut write = write(WriteKind::Acquire);
    write.base = None;
    let seen =
        object(json!({"metadata": {"uid": "u", "resourceVersion": "7", "labels": {"a": "b"}}}));
    let made = encode(&identity(), &write, Some(&seen), STAMP.parse().unwrap());
    assert_eq!((made.metadata.uid, made.metadata.resource_version), (String::new(), String::new()));
    assert_eq!(made.metadata.labels, None);
}

#[test]
fn the_annotation_counts_only_with_its_own_renew_time() {
    let spec = |renew: &str| json!({"holderIdentity": "x", "leaseDurationSeconds": 15, "renewTime": renew});
    for (renew, annotation, expected) in [
        (STAMP, format!("{STAMP}/2500"), 2500),
        // Another form of the same instant.
        (STAMP, "2026-01-02T04:04:05.123456+01:00/2500".into(), 2500),
        ("2026-01-02T03:04:05.123457Z", format!("{STAMP}/2500"), 15_000),
        (STAMP, "2500".into(), 15_000),
        (STAMP, format!("{STAMP}/"), 15_000),
        (STAMP, format!("{STAMP}/-1"), 15_000),
        (STAMP, format!("{STAMP}/99999999999999999999999"), 15_000),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z/300".into(), 300),
    ] {
        let view = read(spec(renew), &annotation);
        assert_eq!(view.duration, Duration::from_millis(expected), "{renew} {annotation}");
    }
}

#[test]
fn durations_beside_the_annotation() {
    for (seconds, expected) in [
        (json!(15), 15),
        (json!(null), 0),
        (json!(-5), 0),
        (json!(2_147_483_647), 2_147_483_647),
        (json!(i64::MIN), 0),
    ] {
        let view = read(json!({"holderIdentity": "x", "leaseDurationSeconds": seconds}), "");
        assert_eq!(view.duration, Duration::from_secs(expected));
    }
}

#[test]
fn a_release_is_told_from_an_emptied_lease() {
    let released = format!("{STAMP}/0");
    for (holder, annotation, expected) in [
        (json!(""), released.as_str(), Holder::Released),
        (json!(null), &released, Holder::Released),
        (json!(""), "", Holder::Vacant),
        (json!(""), &format!("{STAMP}/2500"), Holder::Vacant),
        (json!("x"), &released, Holder::Node("x".into())),
    ] {
        let view = read(json!({"holderIdentity": holder, "renewTime": STAMP}), annotation);
        assert_eq!(view.holder, expected, "{holder} {annotation}");
    }
    // Emptied by hand after a release by another: the annotation is of another renewTime.
    let view =
        read(json!({"holderIdentity": "", "renewTime": "2026-01-02T03:04:06.000000Z"}), &released);
    assert_eq!(view.holder, Holder::Vacant);
}

/// As client-go's `LeaderElector.release` writes it, and what differs from it in one thing.
#[test]
fn the_release_of_client_go_is_told_from_an_emptied_lease() {
    let later = "2026-01-02T03:04:06.000000Z";
    for (holder, seconds, acquired, expected) in [
        ("", 1, STAMP, Holder::Resigned),
        ("", 1, later, Holder::Vacant),
        ("", 5, STAMP, Holder::Vacant),
        ("x", 1, STAMP, Holder::Node("x".into())),
    ] {
        let spec = json!({
            "holderIdentity": holder, "leaseDurationSeconds": seconds,
            "acquireTime": acquired, "renewTime": STAMP,
        });
        let view = read(spec, "");
        assert_eq!(view.holder, expected, "{holder} {seconds} {acquired}");
        assert_eq!(view.duration, Duration::from_secs(seconds));
    }
}

#[test]
fn only_an_own_write_is_recognised_as_one() {
    let lease = |holder: &str, incarnation: &str, renew: &str| {
        view(&object(json!({
            "metadata": {"uid": "u", "resourceVersion": "8", "annotations":
                {DURATION: format!("{renew}/2500"), INCARNATION: incarnation}},
            "spec": {"holderIdentity": holder, "renewTime": renew},
        })))
        .write
    };
    assert_eq!(lease("cp-1", "i-1", STAMP), Some(AttemptId(9)));
    assert_eq!(lease("cp-2", "i-1", STAMP), None, "another holder");
    assert_eq!(lease("cp-1", "i-2", STAMP), None, "another incarnation");
    assert_eq!(lease("cp-1", "i-1", "2026-01-02T03:04:05.123457Z"), None, "another write");
    assert_eq!(lease("", "i-1", STAMP), None, "emptied, not released");
}

#[test]
fn absurd_texts_are_bounded() {
    let megabyte = "x".repeat(1 << 20);
    let view = view(&object(json!({
        "metadata": {"uid": "u", "resourceVersion": "8", "annotations":
            {DURATION: &megabyte, INCARNATION: &megabyte, MAC: &megabyte}},
        "spec": {"holderIdentity": &megabyte, "renewTime": &megabyte, "leaseTransitions": i64::MAX},
    })));
    let Holder::Node(name) = view.holder else { panic!("{:?}", view.holder) };
    assert!(name.len() < 300 && view.incarnation.unwrap().len() < 300);
    let (uid, version) = (json!(&megabyte), json!("8"));
    let of_no_version = object(json!({"metadata": {"uid": uid, "resourceVersion": version}}));
    assert_eq!(decode(&identity(), &of_no_version, |_| None), Err(NotALease));
    assert_eq!(decode(&identity(), &LeaseObject::default(), |_| None), Err(NotALease));
}

#[test]
fn a_cut_name_is_never_a_node_of_that_name() {
    let node = "n".repeat(MAX_NAME);
    assert_eq!(bounded(&node), node);
    assert_ne!(bounded(&format!("{node}x")), node);
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        Just(json!(null)),
        any::<i64>().prop_map(|number| json!(number)),
        ".{0,40}".prop_map(|text| json!(text)),
        Just(json!(STAMP)),
        Just(json!({"a": "b"})),
    ]
}

proptest! {
    #[test]
    fn any_lease_is_read_or_refused(
        holder in any_json(), seconds in any_json(), renew in any_json(), transitions in any_json(),
        duration in ".{0,60}", mac in ".{0,20}",
    ) {
        let value = json!({
            "metadata": {"uid": "u", "resourceVersion": "8",
                "annotations": {DURATION: duration, MAC: mac}},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": renew,
                "leaseTransitions": transitions},
        });
        if let Ok(object) = serde_json::from_value::<LeaseObject>(value) {
            let view = decode(&identity(), &object, |_| Some(AttemptId(1))).unwrap();
            prop_assert!(view.write.is_none(), "no incarnation: {view:?}");
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(object) = serde_json::from_slice::<LeaseObject>(&bytes) {
            let _ = decode(&identity(), &object, |_| None);
        }
    }

    #[test]
    fn every_write_is_read_back(
        kind in prop_oneof![Just(WriteKind::Acquire), Just(WriteKind::Renew), Just(WriteKind::Release)],
        milliseconds in 1_u64..120_000, micros in 0_i64..4_000_000_000_000_000, transitions in 0_i32..,
    ) {
        let mut write = write(kind);
        write.duration = if kind == WriteKind::Release { Duration::ZERO } else { Duration::from_millis(milliseconds) };
        write.transitions = transitions;
        let stamp = Timestamp::from_microsecond(micros).unwrap();
        let made = encode(&identity(), &write, None, stamp);
        let bytes = serde_json::to_vec(&made).unwrap();
        let back: LeaseObject = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(&back, &made);
        let view = decode(&identity(), &back, |at| (at == micros).then_some(AttemptId(5))).unwrap();
        prop_assert_eq!(view.duration, write.duration);
        prop_assert_eq!(view.transitions, transitions);
        prop_assert_eq!(view.write, Some(AttemptId(5)));
        let seconds = u64::try_from(made.spec.lease_duration_seconds.unwrap()).unwrap();
        prop_assert!(Duration::from_secs(seconds) >= write.duration && seconds >= 1);
    }
}
