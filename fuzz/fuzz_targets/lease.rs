//! Any Lease object: a bounded view of it, or none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pintle_core::Holder;

#[path = "../../crates/cluster/src"]
#[allow(dead_code, reason = "cluster's own module, of which this calls one function")]
mod cluster {
    pub(crate) mod lease;
}

/// In characters: what a name may have, and the mark of one that was cut.
const LONGEST_NAME: usize = 253 + 1;

fuzz_target!(|bytes: &[u8]| {
    let Ok(object) = serde_json::from_slice::<cluster::lease::LeaseObject>(bytes) else {
        return;
    };
    let identity = cluster::lease::Identity {
        node: "cp-1".to_owned(),
        incarnation: "0123456789abcdef".to_owned(),
        namespace: "kube-system".to_owned(),
        lease: "pintle".to_owned(),
        vips: "192.0.2.10".to_owned(),
    };
    let Ok(view) = cluster::lease::decode(&identity, &object, |_| None) else {
        return;
    };
    let is_bounded = |name: &str| name.chars().count() <= LONGEST_NAME;
    if let Holder::Node(name) = &view.holder {
        assert!(!name.is_empty() && is_bounded(name), "{name:.300}");
    }
    assert!(view.incarnation.as_deref().is_none_or(is_bounded));
    assert!(view.write.is_none());
});
