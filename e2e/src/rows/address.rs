//! Faults of the address itself: taken away, or used by somebody else.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bed::{HOSTS, VIP};
use crate::judge::Check;
use crate::scene::Scene;

/// How long a deleted address was away.
pub(super) const ABSENCE: &str = "absence_ms";

/// A deleted address is back so soon.
const BACK_WITHIN: Duration = Duration::from_millis(20);

/// A frozen pintle's address would have run out, and a follower taken over.
const AFTERMATH: Duration = Duration::from_secs(4);

/// An orderly end takes milliseconds; kubelet would wait 30 s.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Long enough for several candidates to try, each more than once.
const USED_BY_STRANGER: Duration = Duration::from_secs(8);

/// A refused candidate tries again; what comes later than this is not retrying.
const RETRIED_WITHIN: Duration = Duration::from_secs(15);

pub(super) fn deleted(scene: &mut Scene<'_>) -> Result<()> {
    let holder = scene.holder;
    let fault = scene.fault();
    if scene.is_control {
        scene.bed.pintle(holder).process().stop()?;
    }
    scene.bed.host(holder).delete_address(VIP.into())?;
    scene.watch_until(AFTERMATH);
    scene.healed();
    let absence = scene.address_watch().first_absence_after(fault);
    if let Some(absence) = absence {
        scene.figure(ABSENCE, absence);
    }
    scene.require(Check::BackInTime, absence.is_some_and(|it| it <= BACK_WITHIN), || {
        absence.map_or_else(
            || "the address did not come back".to_owned(),
            |it| format!("back after {it:?}"),
        )
    });
    scene.watch(Duration::from_secs(1));
    Ok(())
}

pub(super) fn taken(scene: &mut Scene<'_>) -> Result<()> {
    let through = scene.holder;
    for host in 0..HOSTS {
        scene.bed.pintle(host).process().term()?;
    }
    for host in 0..HOSTS {
        let ended = scene.bed.pintle(host).process().wait(END_TIMEOUT)?;
        scene.require(Check::Alive, ended.is_some(), || {
            format!("pintle of host {host} did not end in {END_TIMEOUT:?}")
        });
    }
    // With the Lease of the last time or without one: neither says whose address this is today.
    if scene.random.below(2) == 0 {
        scene.bed.delete_lease(through)?;
    }
    let stranger = scene.bed.topology().add_stranger(VIP.into())?;
    if scene.is_control {
        scene.bed.topology().add_stranger(VIP.into())?;
    }
    let fault = scene.fault();
    for host in 0..HOSTS {
        scene.bed.pintle(host).process().restart()?;
    }
    scene.watch_until(USED_BY_STRANGER);
    let owners = scene.bed.owners()?;
    scene.require(Check::TwoHolders, owners.is_empty(), || {
        format!("hosts {owners:?} took the address that a stranger uses")
    });
    let answered = scene.seen().holders_between(fault, Instant::now());
    let only_stranger = answered.iter().all(|mac| *mac == stranger);
    scene.require(Check::TwoHolders, only_stranger, || {
        format!("beside the stranger {stranger}, these answered: {answered:?}")
    });
    require_message(scene, &stranger.to_string())?;
    scene.bed.topology().remove_strangers()?;
    scene.healed();
    let left = Instant::now();
    while scene.bed.owners()?.is_empty() && left.elapsed() < RETRIED_WITHIN {
        sleep(Duration::from_millis(20));
    }
    scene.figure("retaken_ms", left.elapsed());
    scene.watch(AFTERMATH);
    Ok(())
}

/// A clear message names the address and who has it.
fn require_message(scene: &mut Scene<'_>, stranger: &str) -> Result<()> {
    let vip = VIP.to_string();
    let mut is_told = false;
    for host in 0..HOSTS {
        let log = scene.log_of(host)?;
        is_told |= log.lines().any(|line| line.contains(&vip) && line.contains(stranger));
    }
    scene.require(Check::Message, is_told, || {
        format!("no log line names both {vip} and the stranger {stranger}")
    });
    Ok(())
}
