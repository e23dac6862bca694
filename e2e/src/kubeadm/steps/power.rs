//! Hosts that crash, reboot, or start all at once.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::bed::{Bed, HOSTS};
use crate::kubeadm::bench::{Bench, wait};
use crate::kubeadm::look::{SOON, all_is_well, pod_is_ready, started_at};

/// The fault table's: `lease_duration` + 200 ms, and 700 ms more with the etcd leader, whose place is not
/// chosen here.
const CRASH_LIMIT: Duration = Duration::from_millis(3400);

/// Long after the next holder answers.
const WATCHED: Duration = Duration::from_secs(8);

/// The holder's host loses its power and comes back.
pub(super) fn crash_of_the_holder(bench: &mut Bench) -> Result<()> {
    let holder = bench.holder()?;
    let before = started_at(&bench.cluster, holder);
    let seen = bench.watched(|bench| {
        bench.cluster.power_loss(holder)?;
        sleep(WATCHED);
        Ok(())
    })?;
    bench.note("crash of the holder", &seen);
    seen.gap_within(CRASH_LIMIT)?;
    ensure!(seen.moves == 1, "{seen}");
    bench.cluster.power_on(holder)?;
    let took = it_is_back(bench, holder, before.as_deref())?;
    bench.note_time("its return, until its pintle is Ready", took);
    all_is_well(bench)
}

/// Each host reboots, the next one when the former is back.
pub(super) fn reboot_in_turn(bench: &mut Bench) -> Result<()> {
    for host in 0..HOSTS {
        let held = bench.holder()? == host;
        let before = started_at(&bench.cluster, host);
        let seen = bench.watched(|bench| {
            bench.cluster.shut_down(host)?;
            bench.cluster.power_on(host)?;
            it_is_back(bench, host, before.as_deref()).map(drop)
        })?;
        bench.judge(&format!("reboot of {}", Bed::hostname(host)), held, &seen)?;
        all_is_well(bench)?;
    }
    Ok(())
}

/// All hosts lose their power at once, and are switched on at once.
pub(super) fn cold_start(bench: &mut Bench) -> Result<()> {
    let before: Vec<Option<String>> =
        (0..HOSTS).map(|host| started_at(&bench.cluster, host)).collect();
    (0..HOSTS).try_for_each(|host| bench.cluster.power_loss(host))?;
    (0..HOSTS).try_for_each(|host| bench.cluster.power_on(host))?;
    let (_ready, took) = wait(SOON, "the API answers at the VIP, its pintle is Ready", || {
        let holder = bench.holder()?;
        is_back(bench, holder, before[holder].as_deref())
    })?;
    bench.note_time(
        "cold start of all three, until the API answers at the VIP with a Ready pintle",
        took,
    );
    for (host, before) in before.iter().enumerate() {
        it_is_back(bench, host, before.as_deref())?;
    }
    all_is_well(bench)
}

fn it_is_back(bench: &Bench, host: usize, before: Option<&str>) -> Result<Duration> {
    let ((), took) = wait(SOON, "its pintle runs again", || is_back(bench, host, before))?;
    pod_is_ready(&bench.cluster, host)?;
    Ok(took)
}

/// The API keeps what it was told of a pod before its host went: what counts is another container.
fn is_back(bench: &Bench, host: usize, before: Option<&str>) -> Result<()> {
    let now = started_at(&bench.cluster, host);
    ensure!(now.is_some() && now.as_deref() != before, "the former one runs: {now:?}");
    Ok(())
}
