//! The rows that only a balancer can pass: every API server in turn, under watches that are held.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use pintle_testkit::netns::host_v4;
use pintle_testkit::watches::Watches;

use super::askers::Askers;
use super::{Control, Headline, Leader, Row};
use crate::bed::{Bed, HOSTS, PORT, VIP};
use crate::judge::{Check, Client, GapLimit, Rules, SILENCE_LIMIT_MS};
use crate::pintle::Tuning;
use crate::scene::Scene;

/// As many as a cluster of some dozen nodes has.
const WATCHES: usize = 200;

/// Watches connect again after 50 ms; a machine that is busy with their handshakes takes longer.
const REOPEN_ALLOWANCE: Duration = Duration::from_secs(2);

/// A third of 200 at 10 a second, after 5 s of probation, from a server that takes some seconds to start.
const REBALANCE_TIMEOUT: Duration = Duration::from_secs(60);

/// The host whose API server shuts down slowly, and how slowly.
const DELAYED: usize = 1;
const SHUTDOWN_DELAY: Duration = Duration::from_secs(2);

/// Long enough for a holder without a balancer to give its address away.
const HANG: Duration = Duration::from_secs(5);

/// Short beside what is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

const fn row(
    id: &'static str,
    title: &'static str,
    limit: &'static str,
    gap_ms: f64,
    steps: fn(&mut Scene<'_>) -> Result<()>,
) -> Row {
    Row {
        id,
        title,
        limit,
        rules: Rules {
            gap: Some(GapLimit { client: Client::Https, ms: gap_ms, with_etcd_leader_ms: 0.0 }),
            connects: true,
            stays: Some(SILENCE_LIMIT_MS),
            heal_grace_ms: 0.0,
            two_holders_ms: None,
            may_move: false,
        },
        headline: Headline::Https,
        leader: Leader::Elsewhere,
        steps,
        control: Control { what: "the balancer is off", tuning: Tuning::OFF, bites: Check::Stays },
    }
}

/// With the balancer only.
pub const ROLLING: &[Row] = &[
    row(
        "rolling-term",
        "SIGTERM of each kube-apiserver in turn, one with --shutdown-delay-duration, 200 watches",
        "250 ms (HTTPS); watches end within 1 s; within 10 % afterwards",
        250.0,
        |scene| rolling(scene, Manner::Term),
    ),
    row(
        "rolling-kill",
        "each kube-apiserver killed in turn, 200 watches",
        "250 ms (HTTPS); watches end within 1 s; within 10 % afterwards",
        250.0,
        |scene| rolling(scene, Manner::Kill),
    ),
    row(
        "rolling-hang",
        "each kube-apiserver hung in turn (SIGSTOP), 200 watches",
        "2.5 s (HTTPS); watches end within 2.5 s; within 10 % afterwards",
        2500.0,
        |scene| rolling(scene, Manner::Hang),
    ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Term,
    Kill,
    Hang,
}

fn rolling(scene: &mut Scene<'_>, manner: Manner) -> Result<()> {
    if manner == Manner::Term {
        scene.bed.cluster().restart_api_server_with_delay(DELAYED, SHUTDOWN_DELAY)?;
        scene.bed.wait_api_ready(DELAYED)?;
    }
    let idle: Vec<usize> =
        (0..HOSTS).map(|host| connections(scene, host)).collect::<Result<_>>()?;
    let address = SocketAddr::from((VIP, PORT));
    let client = scene.bed.topology().client_ns().clone();
    let watches = scene.bed.cluster().watches(&client, address, WATCHES)?;
    wait("every watch is open", || Ok(watches.open() == WATCHES))?;
    let askers = Askers::start(scene.bed, scene.holder)?;
    scene.fault();
    let mut worst = (Duration::ZERO, Duration::ZERO);
    let mut faults = Vec::new();
    for host in 0..HOSTS {
        let held = connections(scene, host)?.saturating_sub(idle[host]);
        let at = inject(scene, host, manner)?;
        faults.push(at);
        worst.0 = worst.0.max(ended(scene, &watches, host, held, at, manner)?);
        if manner == Manner::Hang {
            sleep(HANG.saturating_sub(at.elapsed()));
        }
        heal(scene, host, manner)?;
        let healed = Instant::now();
        if !scene.is_control {
            wait_until_even(scene, &watches, &idle)?;
        }
        worst.1 = worst.1.max(healed.elapsed());
    }
    askers.stop(scene, manner.longest(), &faults)?;
    scene.healed();
    scene.figure("watches_ended", worst.0);
    scene.figure("rebalanced", worst.1);
    scene.watch(Duration::from_secs(1));
    Ok(())
}

// === impl Manner ===

impl Manner {
    /// How long watches may outlive their server.
    const fn watch_limit(self) -> Duration {
        match self {
            Self::Term | Self::Kill => Duration::from_secs(1),
            Self::Hang => Duration::from_millis(2500),
        }
    }

    /// How long a new request may take: those that are sent to a server that has just hung wait for its
    /// silence to be noticed.
    const fn longest(self) -> Duration {
        match self {
            Self::Term | Self::Kill => Duration::from_secs(1),
            Self::Hang => Duration::from_millis(2500),
        }
    }
}

fn inject(scene: &mut Scene<'_>, host: usize, manner: Manner) -> Result<Instant> {
    let server = scene.bed.cluster().api_server(host);
    let at = Instant::now();
    match manner {
        Manner::Term => {
            server.term()?;
            if host == DELAYED {
                // Until then it serves, and gets nobody new.
                return Ok(at + SHUTDOWN_DELAY);
            }
        }
        Manner::Kill => server.kill().map(drop)?,
        Manner::Hang => server.stop()?,
    }
    Ok(at)
}

fn heal(scene: &mut Scene<'_>, host: usize, manner: Manner) -> Result<()> {
    match manner {
        Manner::Hang => scene.bed.cluster().api_server(host).cont()?,
        Manner::Term | Manner::Kill => scene.bed.cluster().restart_api_server(host)?,
    }
    scene.bed.wait_api_ready(host)
}

/// How long it took until every watch that the server had was ended, and all of them are open again.
fn ended(
    scene: &mut Scene<'_>,
    watches: &Watches,
    host: usize,
    held: usize,
    at: Instant,
    manner: Manner,
) -> Result<Duration> {
    let limit = manner.watch_limit();
    // Some of `held` are not a watch's: requests that were under way, and pintle's own.
    let most = held.min(WATCHES).saturating_sub(held / 10);
    while watches.ended_since(at) < most && at.elapsed() < limit * 4 {
        sleep(LOOK_INTERVAL / 10);
    }
    let took = at.elapsed();
    let name = Bed::hostname(host);
    scene.require(Check::Watches, took <= limit, || {
        format!("the {held} watches of {name} ended after {took:?}, {limit:?} are allowed")
    });
    while watches.open() < WATCHES && at.elapsed() < limit + REOPEN_ALLOWANCE {
        sleep(LOOK_INTERVAL);
    }
    let open = watches.open();
    scene
        .require(Check::Watches, open == WATCHES, || format!("only {open} watches are open again"));
    Ok(took)
}

/// Every watch is open, and the servers' numbers are within 10 % of an equal share of each other.
fn wait_until_even(scene: &mut Scene<'_>, watches: &Watches, idle: &[usize]) -> Result<()> {
    let began = Instant::now();
    loop {
        let mut counts = Vec::new();
        for (host, idle) in idle.iter().enumerate() {
            counts.push(connections(scene, host)?.saturating_sub(*idle));
        }
        let (most, least) = (counts.iter().max(), counts.iter().min());
        let is_even =
            most.zip(least).is_some_and(|(most, least)| most - least <= WATCHES / HOSTS / 10);
        let open = watches.open();
        if is_even && open == WATCHES {
            return Ok(());
        }
        if began.elapsed() > REBALANCE_TIMEOUT {
            scene.require(Check::Watches, false, || {
                format!("{open} watches are open, on {counts:?} after {REBALANCE_TIMEOUT:?}")
            });
            return Ok(());
        }
        sleep(LOOK_INTERVAL);
    }
}

/// Established connections of a host's API server from the holder, as the kernel lists them.
fn connections(scene: &Scene<'_>, host: usize) -> Result<usize> {
    let read = || fs::read_to_string("/proc/thread-self/net/tcp6");
    let table = scene.bed.host(host).run_in(read)??;
    let from = if host == scene.holder { Ipv4Addr::LOCALHOST } else { host_v4(scene.holder) };
    Ok(table.lines().filter(|line| is_api_server_s(line, from)).count())
}

/// `sl local_address rem_address st …`, addresses in the byte order of the machine, `01` established
/// (proc_pid_net(5)).
fn is_api_server_s(line: &str, from: Ipv4Addr) -> bool {
    let mut words = line.split_whitespace().skip(1);
    let (Some(local), Some(remote), Some(state)) = (words.next(), words.next(), words.next())
    else {
        return false;
    };
    let port = format!(":{PORT:04X}");
    let from = format!("{:08X}:", u32::from_ne_bytes(from.octets()));
    state == "01" && local.ends_with(&port) && remote.contains(&from)
}

fn wait(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !holds()? {
        ensure!(began.elapsed() < REBALANCE_TIMEOUT, "never: {what}");
        sleep(LOOK_INTERVAL);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_s_table_is_told_apart() {
        let line = |port: &str, from: &str, state: &str| {
            let mapped = "0000000000000000FFFF0000";
            format!("  3: {mapped}0B001EAC:{port} {mapped}{from}:C350 {state} 00000000")
        };
        let holder = Ipv4Addr::new(172, 30, 0, 12);
        assert!(is_api_server_s(&line("192B", "0C001EAC", "01"), holder));
        assert!(!is_api_server_s(&line("192B", "0C001EAC", "06"), holder), "it waits");
        assert!(!is_api_server_s(&line("1F90", "0C001EAC", "01"), holder), "another port");
        assert!(!is_api_server_s(&line("192B", "0D001EAC", "01"), holder), "another client");
    }
}
