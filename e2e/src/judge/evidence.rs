//! The figures of one run, out of what the prober saw.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use pintle_testkit::capture::Mac;
use pintle_testkit::prober::{Observation, Series};
use serde::{Deserialize, Serialize};

use super::{Client, holding};
use crate::say::millis;

/// What a run is judged by. Times are milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Longest gap of TCP connects that lies, or ends, after the fault.
    pub gap_tcp_ms: f64,
    /// The same of HTTPS requests.
    pub gap_https_ms: f64,
    /// How late the prober was itself, at worst.
    pub stall_ms: f64,
    /// Longest gap of TCP connects before the fault, when nothing was wrong but the machine was busy.
    #[serde(default)]
    pub noise_ms: f64,
    /// How long the fault found the client without a TCP connect: 5 ms where the machine kept up.
    #[serde(default)]
    pub lead_ms: f64,
    /// Longest time with two answering hosts, in the whole run.
    pub two_holders_ms: f64,
    /// When two hosts answered last, counted from the heal; `None` when never after it.
    pub two_after_heal_ms: Option<f64>,
    /// Longest time without an answer to ARP after the fault.
    pub silence_ms: f64,
    /// Whether another host held the address at the end than before the fault.
    pub moved: bool,
    /// How often it changed hosts.
    pub moves: usize,
    /// TCP connects that failed after the fault.
    pub failed_connects: usize,
    /// The hosts that had the address at the end.
    pub owners_at_end: Vec<String>,
    /// Whether the holder's host had the etcd leader.
    pub etcd_leader_on_holder: bool,
}

/// When what happened, and to whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    pub(crate) fault: Instant,
    pub(crate) healed: Instant,
    pub(crate) holder: Mac,
}

// === impl Evidence ===

impl Evidence {
    /// Takes the figures from what the prober saw.
    pub(crate) fn of(seen: &Observation, moments: Moments) -> Self {
        let Moments { fault, healed, holder } = moments;
        let answers = seen.answers.all();
        let holdings = holding::holdings(answers);
        let last = seen.answers.latest().map(|answer| answer.mac);
        let overlaps = seen.answers.overlaps_after(healed);
        let latest_overlap = overlaps.iter().map(|overlap| overlap.until).max();
        Self {
            gap_tcp_ms: millis(seen.tcp.gap_after(fault)),
            gap_https_ms: millis(seen.https.gap_after(fault)),
            stall_ms: millis(seen.tcp.stall()),
            noise_ms: millis(longest_before(&seen.tcp, fault)),
            lead_ms: millis(lead_of(&seen.tcp, fault)),
            two_holders_ms: millis(seen.two_holders()),
            two_after_heal_ms: latest_overlap
                .map(|until| millis(until.saturating_duration_since(healed))),
            silence_ms: millis(holding::longest_silence(answers, fault, seen.ended)),
            moved: last.is_some_and(|last| last != holder),
            moves: holding::moves(&holdings),
            failed_connects: seen.failed_connects_between(fault, seen.ended),
            owners_at_end: Vec::new(),
            etcd_leader_on_holder: false,
        }
    }

    /// The same on a machine that had never been late.
    pub(super) fn without_delay(&self) -> Self {
        let delay = self.delay_ms();
        Self {
            gap_tcp_ms: self.gap_tcp_ms - delay,
            gap_https_ms: self.gap_https_ms - delay,
            silence_ms: self.silence_ms - delay,
            ..self.clone()
        }
    }

    /// How late the machine made things that are not pintle's.
    #[must_use]
    pub const fn delay_ms(&self) -> f64 {
        self.stall_ms.max(self.noise_ms) + self.lead_ms
    }

    /// The gap that one kind of client saw.
    #[must_use]
    pub const fn gap_ms(&self, client: Client) -> f64 {
        match client {
            Client::Tcp => self.gap_tcp_ms,
            Client::Https => self.gap_https_ms,
        }
    }
}

fn longest_before(series: &Series, fault: Instant) -> Duration {
    let before = series.gaps().filter(|gap| gap.until <= fault);
    before.map(|gap| gap.length()).max().unwrap_or_default()
}

/// The part before the fault of the gap that it falls into.
fn lead_of(series: &Series, fault: Instant) -> Duration {
    let mut gaps = series.gaps();
    let gap = gaps.find(|gap| gap.from <= fault && fault < gap.until);
    gap.map(|gap| fault - gap.from).unwrap_or_default()
}

/// Marks, holders, gaps and announcements by time, one per line.
pub(super) fn time_line(seen: &Observation) -> String {
    let mut lines: Vec<(Instant, String)> = Vec::new();
    lines.extend(seen.marks.iter().map(|mark| (mark.at, format!("* {}", mark.name))));
    for held in holding::holdings(seen.answers.all()) {
        let length = millis(held.until.saturating_duration_since(held.from));
        lines.push((held.from, format!("{} answers, for {length} ms", held.mac)));
    }
    for (kind, series) in [("TCP", &seen.tcp), ("HTTPS", &seen.https)] {
        // Twice the interval of the attempts is no gap worth a line.
        let least = if kind == "TCP" { 20.0 } else { 120.0 };
        for gap in series.gaps().filter(|gap| millis(gap.length()) > least) {
            lines.push((gap.from, format!("{kind} gap of {} ms", millis(gap.length()))));
        }
    }
    for one in &seen.announcements {
        lines.push((one.at, format!("{} announces ({:?})", one.mac, one.form)));
    }
    for close in &seen.held_closed {
        lines.push((close.at, format!("the held connection ends ({:?})", close.end)));
    }
    lines.sort_by_key(|(at, _text)| *at);
    let mut text = String::new();
    for (at, line) in lines {
        let at = millis(at.saturating_duration_since(seen.began));
        // Writing into a String cannot fail.
        let _written = writeln!(text, "{at:>10.1} ms  {line}");
    }
    text
}
