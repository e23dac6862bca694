//! Faults of the Lease: deleted, edited to nonsense, taken by a stranger.

use std::time::Duration;

use anyhow::Result;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use crate::bed::lease::micro_time;
use crate::bed::{HOSTS, VIP};
use crate::judge::Check;
use crate::scene::Scene;

/// What a wrong reading of the Lease leads to shows within two lease durations.
const AFTERMATH: Duration = Duration::from_secs(6);

/// Between two edits: the holder has written several times.
const EDIT_INTERVAL: Duration = Duration::from_millis(1700);

/// What the stranger publishes, in seconds: as pintle's own 2.5 s, rounded up.
const STRANGER_SECONDS: u32 = 3;

/// Beyond the stranger's duration and the 0.5 s that are allowed after it.
const STRANGER_IS_OVER: Duration = Duration::from_millis(3500);

impl Scene<'_> {
    /// The host whose API server the administrator uses: not the holder's.
    fn elsewhere(&self) -> usize {
        (self.holder + 1) % HOSTS
    }
}

pub(super) fn deleted(scene: &mut Scene<'_>) -> Result<()> {
    let (holder, through) = (scene.holder, scene.elsewhere());
    scene.fault();
    if scene.is_control {
        scene.bed.pintle(holder).process().stop()?;
    }
    scene.bed.delete_lease(through)?;
    scene.healed();
    scene.watch(AFTERMATH);
    let lease_holder = scene.bed.lease_holder(through).unwrap_or_default();
    scene.require(Check::OneHolder, !lease_holder.is_empty(), || {
        "there is no Lease any more".to_owned()
    });
    Ok(())
}

pub(super) fn nonsense(scene: &mut Scene<'_>) -> Result<()> {
    let through = scene.elsewhere();
    if scene.is_control {
        scene.bed.pintle(through).process().kill()?;
    }
    scene.fault();
    if scene.is_control {
        scene.bed.host(through).add_address(VIP.into())?;
    }
    for edit in nonsenses() {
        scene.mark(&edit.to_string());
        scene.bed.edit_lease(through, &edit)?;
        let pause = scene.random.time_below(EDIT_INTERVAL / 4);
        scene.watch(EDIT_INTERVAL + pause);
    }
    scene.healed();
    scene.watch(AFTERMATH);
    Ok(())
}

/// The worst that the API server accepts.
fn nonsenses() -> Vec<Value> {
    let duration = i32::MAX;
    let annotations = json!({
        "pintle.dev/lease-duration": "//-1/99999999999999999999",
        "pintle.dev/incarnation": "",
        "pintle.dev/mac": "not a mac",
        "pintle.dev/vips": "[[[",
        "pintle.dev/successor": "🦀",
    });
    vec![
        json!({"spec": {"holderIdentity": ""}}),
        json!({"spec": {"leaseDurationSeconds": duration}}),
        json!({"metadata": {"annotations": annotations}}),
        json!({"spec": {"renewTime": null, "acquireTime": null, "leaseTransitions": duration}}),
        json!({
            "metadata": {"annotations": annotations},
            "spec": {"holderIdentity": "", "leaseDurationSeconds": duration, "renewTime": null},
        }),
    ]
}

pub(super) fn stranger(scene: &mut Scene<'_>) -> Result<()> {
    let through = scene.elsewhere();
    scene.fault();
    scene.bed.claim_for_stranger(through, STRANGER_SECONDS)?;
    if scene.is_control {
        for _ in 0..4 {
            scene.watch(Duration::from_secs(1));
            scene.bed.claim_for_stranger(through, STRANGER_SECONDS)?;
        }
    }
    scene.watch_until(STRANGER_IS_OVER);
    scene.healed();
    scene.watch(AFTERMATH);
    let lease_holder = scene.bed.lease_holder(through)?;
    scene.require(Check::OneHolder, lease_holder != "stranger", || {
        "the Lease still names the stranger".to_owned()
    });
    Ok(())
}

pub(super) fn renew_time(scene: &mut Scene<'_>) -> Result<()> {
    let through = scene.elsewhere();
    scene.fault();
    for hours in [1, -1] {
        let edited = Timestamp::now().checked_add(hours.hours())?;
        let edit = json!({"spec": {"renewTime": micro_time(edited)}});
        scene.mark(&edit.to_string());
        scene.bed.edit_lease(through, &edit)?;
        if scene.is_control {
            scene.bed.claim_for_stranger(through, STRANGER_SECONDS)?;
        }
        scene.watch(AFTERMATH / 2);
    }
    scene.healed();
    scene.watch(AFTERMATH / 2);
    Ok(())
}
