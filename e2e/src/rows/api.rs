//! Faults of kube-apiserver.

use std::time::Duration;

use anyhow::Result;

use crate::bed::HOSTS;
use crate::scene::Scene;

/// Beyond every limit in here, so that a gap which is too long shows as one.
const TAKEN_OVER: Duration = Duration::from_secs(6);

const ALL_HUNG: Duration = Duration::from_secs(20);

/// A former holder is a candidate again after two good probes; a move back would show.
const AFTERMATH: Duration = Duration::from_secs(4);

pub(super) fn killed(scene: &mut Scene<'_>) -> Result<()> {
    ended(scene, |scene, holder| scene.bed.cluster().api_server(holder).kill().map(drop))
}

pub(super) fn terminated(scene: &mut Scene<'_>) -> Result<()> {
    ended(scene, |scene, holder| scene.bed.cluster().api_server(holder).term())
}

fn ended(scene: &mut Scene<'_>, inject: fn(&mut Scene<'_>, usize) -> Result<()>) -> Result<()> {
    if scene.is_control {
        scene.kill_followers()?;
    }
    let holder = scene.holder;
    scene.fault();
    inject(scene, holder)?;
    scene.watch_until(TAKEN_OVER);
    scene.healed();
    scene.bed.cluster().restart_api_server(holder)?;
    scene.bed.wait_api_ready(holder)?;
    scene.watch(AFTERMATH);
    Ok(())
}

pub(super) fn hung(scene: &mut Scene<'_>) -> Result<()> {
    let holder = scene.holder;
    scene.fault();
    scene.bed.cluster().api_server(holder).stop()?;
    scene.watch_until(TAKEN_OVER);
    scene.healed();
    scene.bed.cluster().api_server(holder).cont()?;
    scene.watch(AFTERMATH);
    Ok(())
}

pub(super) fn all_hung(scene: &mut Scene<'_>) -> Result<()> {
    scene.fault();
    for host in 0..HOSTS {
        scene.bed.cluster().api_server(host).stop()?;
    }
    scene.watch_until(ALL_HUNG);
    scene.healed();
    for host in 0..HOSTS {
        scene.bed.cluster().api_server(host).cont()?;
    }
    scene.watch(AFTERMATH);
    Ok(())
}
