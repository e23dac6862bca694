//! Faults of etcd.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bed::HOSTS;
use crate::judge::Check;
use crate::scene::Scene;

/// etcd elects within 1.0 to 1.9 s, and a lease that was not renewed runs out after 2.5 s.
const ELECTED: Duration = Duration::from_secs(6);

const NO_QUORUM: Duration = Duration::from_secs(30);

/// Flapping would show: several lease durations.
const AFTERMATH: Duration = Duration::from_secs(6);

pub(super) fn leader_killed(scene: &mut Scene<'_>) -> Result<()> {
    let holder = scene.holder;
    let leader = scene.bed.cluster().etcd_leader()?;
    scene.fault();
    scene.bed.cluster().etcd(leader).kill()?;
    if scene.is_control {
        scene.bed.pintle(holder).process().term()?;
    }
    scene.watch_until(ELECTED);
    scene.healed();
    scene.bed.cluster().restart_etcd(leader)?;
    scene.bed.wait_api_ready(leader).context("after etcd came back")?;
    scene.watch(AFTERMATH);
    Ok(())
}

/// How long the VIP stayed on an API server without etcd, which answers what needs none.
pub(super) const MOVED: &str = "moved_ms";

/// An API server notices after some two seconds that its etcd is gone; then as for one that hangs.
const MOVED_WITHIN: Duration = Duration::from_secs(6);

const LOOK_INTERVAL: Duration = Duration::from_millis(20);

const OBSERVED: Duration = Duration::from_secs(10);

pub(super) fn of_holder_killed(scene: &mut Scene<'_>) -> Result<()> {
    let holder = scene.holder;
    let fault = scene.fault();
    scene.bed.cluster().etcd(holder).kill()?;
    if scene.is_balanced {
        // Its API server gets no new connections: there is nothing to move for.
        scene.watch_until(OBSERVED);
        return etcd_comes_back(scene, holder);
    }
    let mut moved = None;
    while moved.is_none() && fault.elapsed() < OBSERVED {
        scene.watch(LOOK_INTERVAL);
        moved = (!scene.bed.owners()?.contains(&holder)).then(|| fault.elapsed());
    }
    scene.figure(MOVED, moved.unwrap_or(OBSERVED));
    scene.require(Check::Gap, moved.is_some_and(|moved| moved <= MOVED_WITHIN), || {
        format!("on the API server without etcd for {:?}", moved.unwrap_or(OBSERVED))
    });
    scene.watch_until(OBSERVED);
    etcd_comes_back(scene, holder)
}

fn etcd_comes_back(scene: &mut Scene<'_>, host: usize) -> Result<()> {
    scene.healed();
    scene.bed.cluster().restart_etcd(host)?;
    scene.bed.wait_api_ready(host).context("after etcd came back")?;
    scene.watch(AFTERMATH);
    Ok(())
}

pub(super) fn no_quorum(scene: &mut Scene<'_>) -> Result<()> {
    let spared = scene.random.below(HOSTS);
    scene.fault();
    for host in (0..HOSTS).filter(|host| *host != spared) {
        scene.bed.cluster().etcd(host).kill()?;
    }
    scene.watch_until(NO_QUORUM);
    scene.healed();
    for host in (0..HOSTS).filter(|host| *host != spared) {
        scene.bed.cluster().restart_etcd(host)?;
    }
    for host in 0..HOSTS {
        scene.bed.wait_api_ready(host).context("after etcd's quorum came back")?;
    }
    scene.watch(AFTERMATH);
    Ok(())
}
