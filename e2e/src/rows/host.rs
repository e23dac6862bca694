//! Faults of the holder's whole host or of its cable.

use std::time::Duration;

use anyhow::Result;

use crate::judge::Check;
use crate::scene::Scene;

/// Beyond the limit of every host loss, so that a gap which is too long shows as one.
const TAKEN_OVER: Duration = Duration::from_secs(6);

const PORT_DOWN: Duration = Duration::from_secs(12);
const CUT_OFF: Duration = Duration::from_secs(15);

/// So soon after a heal there is one holder and the neighbours know it.
const HEALED_WITHIN: Duration = Duration::from_secs(1);

/// A move back, or a former holder's second try, would show within this time.
const AFTERMATH: Duration = Duration::from_secs(3);

pub(super) fn power_loss(scene: &mut Scene<'_>) -> Result<()> {
    let holder = scene.holder;
    scene.fault();
    scene.bed.topology().power_loss(holder)?;
    scene.watch_until(TAKEN_OVER);
    scene.healed();
    scene.bed.topology().cable_up(holder)?;
    scene.bed.boot(holder)?;
    scene.watch(AFTERMATH);
    Ok(())
}

pub(super) fn port_down(scene: &mut Scene<'_>) -> Result<()> {
    let holder = scene.holder;
    scene.fault();
    scene.bed.topology().cable_down(holder)?;
    scene.watch_until(PORT_DOWN);
    scene.healed();
    scene.bed.topology().cable_up(holder)?;
    scene.watch(HEALED_WITHIN);
    require_that_all_is_well(scene)?;
    scene.watch(AFTERMATH);
    Ok(())
}

pub(super) fn cut_off(scene: &mut Scene<'_>) -> Result<()> {
    let holder = scene.holder;
    scene.fault();
    scene.bed.topology().cut(holder)?;
    if scene.is_control {
        scene.bed.pintle(holder).process().kill()?;
        scene.bed.pin_address(holder)?;
    }
    scene.watch_until(CUT_OFF);
    scene.healed();
    scene.bed.topology().heal(holder)?;
    scene.watch(HEALED_WITHIN);
    require_that_all_is_well(scene)?;
    scene.watch(AFTERMATH);
    Ok(())
}

/// One holder, and the client's kernel takes that one for it.
fn require_that_all_is_well(scene: &mut Scene<'_>) -> Result<()> {
    let owners = scene.bed.owners()?;
    let neighbour = scene.bed.client_neighbour()?;
    let holder = match owners[..] {
        [only] => Some(scene.bed.topology().host_mac(only)),
        _ => None,
    };
    scene.require(Check::Healed, holder.is_some() && neighbour == holder, || {
        format!("{HEALED_WITHIN:?} after the heal: holders {owners:?}, the client's neighbour {neighbour:?}")
    });
    Ok(())
}
