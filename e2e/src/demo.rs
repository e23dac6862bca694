//! Three ways to lose the leader, each with its time line and the gap that a client sees.
//!
//! It shows and counts; the proof is the fault table (`e2e`).

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use pintle_testkit::capture::Mac;
use pintle_testkit::prober::{Observation, Prober};

use crate::bed::{Bed, HOSTS, VIP};
use crate::judge::evidence::Moments;
use crate::judge::{Evidence, judge};
use crate::report::aligned;
use crate::rows;
use crate::say::{millis, print};

pub use self::stage::Stage;
pub use self::stand_ins::StandIns;

mod stage;
mod stand_ins;

/// The judge sees the leader answer before it goes.
const LEAD: Duration = Duration::from_millis(1500);

/// Longer than any of the three failovers.
const WATCHED: Duration = Duration::from_secs(5);

/// A way to lose the leader: its name, the fault table's row with its limit, and how.
struct Loss {
    name: &'static str,
    row: &'static str,
    /// The row's limit of the gap; the API servers' stand-ins have no etcd to lose.
    limit: &'static str,
    injected: &'static str,
    inject: fn(&mut Stage, usize) -> Result<()>,
}

const LOSSES: [Loss; 3] = [
    Loss {
        name: "orderly stop",
        row: "sigterm",
        limit: "100 ms",
        injected: "SIGTERM to its pintle",
        inject: |stage, host| stage.pintle(host).process().term(),
    },
    Loss {
        name: "crash",
        row: "sigkill",
        limit: "1.2 s",
        injected: "SIGKILL to its pintle, not restarted",
        inject: |stage, host| stage.pintle(host).process().kill().map(drop),
    },
    Loss {
        name: "power loss",
        row: "power-loss",
        limit: "2.7 s (3.4 s with the etcd leader)",
        injected: "cable pulled, every process of the host killed",
        inject: Stage::power_loss,
    },
];

/// Plays the three losses and prints what happened; whether each stayed within its limit.
///
/// # Errors
/// When the stage does not come into order.
pub fn play(stage: &mut Stage) -> Result<bool> {
    let heading = ["how the leader went", "TCP gap ms", "HTTPS gap ms", "limit"];
    let mut table = vec![heading.map(str::to_owned).to_vec()];
    let mut is_good = true;
    for (number, loss) in LOSSES.iter().enumerate() {
        let leader = stage.wait_steady()?;
        print(format!("\n{}. {}", number + 1, loss.name));
        let (seen, fault) = lose(stage, loss, leader)?;
        print_time_line(stage, loss, leader, &seen, fault);
        let row = rows::row(loss.row).context("invariant: the row exists")?;
        let moments =
            Moments { fault, healed: seen.ended, holder: stage.topology().host_mac(leader) };
        let mut evidence = Evidence::of(&seen, moments);
        evidence.owners_at_end = stage.live_owners(leader)?;
        // Where the etcd leader is was not chosen: the wider limit holds where there is one.
        evidence.etcd_leader_on_holder = matches!(stage, Stage::Real(_));
        let failures = judge(&row.rules, &evidence);
        for failure in &failures {
            print(format!("  BEYOND ITS LIMIT  {failure}"));
        }
        is_good &= failures.is_empty();
        let figures = [evidence.gap_tcp_ms, evidence.gap_https_ms];
        let figures = figures.map(|ms| format!("{ms:.1}"));
        table.push(
            [vec![loss.name.to_owned()], figures.to_vec(), vec![loss.limit.to_owned()]].concat(),
        );
        stage.boot(leader)?;
    }
    print(format!("\n{}", aligned(&table)));
    Ok(is_good)
}

fn lose(stage: &mut Stage, loss: &Loss, leader: usize) -> Result<(Observation, Instant)> {
    let prober = Prober::start(stage.topology().client_ns(), stage.probe_target())?;
    sleep(LEAD);
    let fault = prober.mark("fault");
    (loss.inject)(stage, leader)?;
    sleep(WATCHED);
    Ok((prober.stop()?, fault))
}

/// What the client and the wire show, in milliseconds from the fault.
fn print_time_line(stage: &Stage, loss: &Loss, leader: usize, seen: &Observation, fault: Instant) {
    let names: BTreeMap<Mac, String> =
        (0..HOSTS).map(|host| (stage.topology().host_mac(host), Bed::hostname(host))).collect();
    let name = |mac: Mac| names.get(&mac).cloned().unwrap_or_else(|| mac.to_string());
    let old = stage.topology().host_mac(leader);
    let hostname = Bed::hostname(leader);
    let mut lines = vec![(fault, format!("{hostname} holds {VIP}: {}", loss.injected))];
    let answers = seen.answers.all();
    if let Some(last) = answers.iter().rev().find(|answer| answer.mac == old) {
        lines.push((last.at, format!("{hostname} answers ARP for the last time")));
    }
    let announced = seen.announcements.iter().find(|one| one.at > fault && one.mac != old);
    if let Some(first) = announced {
        lines.push((first.at, format!("{} announces {VIP}", name(first.mac))));
    }
    if let Some(first) = answers.iter().find(|answer| answer.at > fault && answer.mac != old) {
        lines.push((first.at, format!("{} answers ARP", name(first.mac))));
    }
    let longest = seen.tcp.gaps().filter(|gap| gap.until > fault).max_by_key(|gap| gap.length());
    if let Some(gap) = longest {
        let length = millis(gap.length());
        if gap.is_open {
            lines.push((gap.from, "the client's last connect".to_owned()));
        } else {
            lines.push((
                gap.until,
                format!("the client connects again, {length} ms after its last connect"),
            ));
        }
    }
    lines.sort_by_key(|(at, _text)| *at);
    for (at, text) in lines {
        let after = millis(at.saturating_duration_since(fault));
        let before = millis(fault.saturating_duration_since(at));
        print(format!("  {:>+8.1} ms  {text}", after - before));
    }
}
