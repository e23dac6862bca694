//! Whether a run kept within its row's limits: a pure function of what the judge outside saw.
//!
//! Nothing here asks the product, and nothing here waits.

use std::fmt;

use pintle_testkit::prober::Observation;
use serde::{Deserialize, Serialize};

pub use self::evidence::Evidence;

pub(crate) mod evidence;
mod holding;

/// Two answering hosts, in whatever fault: at most so long.
pub const TWO_HOLDERS_LIMIT_MS: f64 = 700.0;

/// An address that stays answers each 5 ms; so long a silence means that it was away.
pub const SILENCE_LIMIT_MS: f64 = 250.0;

/// What can be wrong with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The client's gap is within the limit.
    Gap,
    /// No connect fails.
    Connects,
    /// The address does not move and is never away.
    Stays,
    /// The address moves at most once.
    Flapping,
    /// Two hosts answer for at most 0.7 s.
    TwoHolders,
    /// Never two hosts after the fault has healed.
    TwoAfterHeal,
    /// One holder at the end, by `ip -j`.
    OneHolder,
    /// One holder, and the client's neighbour entry names it, one second after the heal.
    Healed,
    /// The kernel takes the address from a host whose pintle cannot.
    LeavesByItself,
    /// A deleted address is back in time.
    BackInTime,
    /// A former holder does not announce the address.
    Silent,
    /// The log says what is wrong.
    Message,
    /// Watches of a dead API server end in time, and open again.
    Watches,
    /// Clients on hosts and in pods are served, too.
    Clients,
    /// No pintle has ended that was not ended by the fault.
    Alive,
    /// No pintle has panicked.
    NoPanic,
    /// Everything is in order again: a holder that the Lease names, and each pintle ready.
    Recovered,
}

/// Whose gap counts for a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// A TCP connect each 5 ms.
    Tcp,
    /// An HTTPS request each 50 ms.
    Https,
}

/// A bound of the client's gap.
#[derive(Debug, Clone, Copy)]
pub struct GapLimit {
    /// Whose gap.
    pub client: Client,
    /// At most so long.
    pub ms: f64,
    /// And so much longer when the holder's host had the etcd leader.
    pub with_etcd_leader_ms: f64,
}

/// What a row demands of every run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// The client's gap.
    pub gap: Option<GapLimit>,
    /// Whether no connect may fail.
    pub connects: bool,
    /// Whether the address stays where it is; if so, the longest silence.
    pub stays: Option<f64>,
    /// How long after the heal two hosts may still answer.
    pub heal_grace_ms: f64,
    /// The longest time with two answering hosts, where it is not [`TWO_HOLDERS_LIMIT_MS`].
    pub two_holders_ms: Option<f64>,
    /// Whether somebody else held the address at first, so that it moves as often as it must.
    pub may_move: bool,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What was checked.
    pub check: Check,
    /// What was found.
    pub text: String,
}

/// Compares what was seen with what is allowed.
#[must_use]
pub fn judge(rules: &Rules, seen: &Evidence) -> Vec<Failure> {
    let mut failures = Failures::default();
    if let Some(limit) = rules.gap {
        let gap = seen.gap_ms(limit.client);
        let most = limit.most_ms(seen.etcd_leader_on_holder);
        failures.require(Check::Gap, gap <= most, || {
            format!("{gap} ms without an answer, {most} ms are allowed")
        });
    }
    failures.require(Check::Connects, !rules.connects || seen.failed_connects == 0, || {
        format!("{} connects failed", seen.failed_connects)
    });
    if let Some(silence) = rules.stays {
        failures.require(Check::Stays, !seen.moved && seen.moves == 0, || {
            "another host answered for the address".to_owned()
        });
        failures.require(Check::Stays, seen.silence_ms <= silence, || {
            format!("nobody answered for {} ms", seen.silence_ms)
        });
    }
    failures.require(Check::Flapping, rules.may_move || seen.moves <= 1, || {
        format!("the address moved {} times", seen.moves)
    });
    let most = rules.two_holders_ms.unwrap_or(TWO_HOLDERS_LIMIT_MS);
    failures.require(Check::TwoHolders, seen.two_holders_ms <= most, || {
        format!("two hosts answered for {} ms", seen.two_holders_ms)
    });
    let after = seen.two_after_heal_ms;
    let is_over = after.is_none_or(|after| after < rules.heal_grace_ms);
    failures.require(Check::TwoAfterHeal, is_over, || {
        let after = after.unwrap_or_default();
        format!("two hosts answered {after} ms after the heal")
    });
    failures.require(Check::OneHolder, seen.owners_at_end.len() == 1, || {
        format!("holders at the end: {:?}", seen.owners_at_end)
    });
    failures.0
}

/// Whether failures may be the machine's: had it not been late by what the prober was late itself, by
/// what connects took before the fault, and by what one was under way when it came, the run would have
/// passed.
#[must_use]
pub fn is_doubtful(rules: &Rules, seen: &Evidence, failures: &[Failure]) -> bool {
    let rows_own = failures.len() > judge(rules, seen).len();
    !failures.is_empty() && !rows_own && judge(rules, &seen.without_delay()).is_empty()
}

/// How often the VIP changed hosts, by the answers to ARP.
pub(crate) fn moves_of(seen: &Observation) -> usize {
    holding::moves(&holding::holdings(seen.answers.all()))
}

/// The figures and the first lines of an observation, for a person to read.
#[must_use]
pub fn time_line(observation: &Observation) -> String {
    evidence::time_line(observation)
}

#[derive(Debug, Default)]
struct Failures(Vec<Failure>);

// === impl Failures ===

impl Failures {
    fn require(&mut self, check: Check, is_so: bool, text: impl FnOnce() -> String) {
        if !is_so {
            let text = text();
            self.0.push(Failure { check, text });
        }
    }
}

// === impl GapLimit ===

impl GapLimit {
    /// A bound of the TCP gap.
    #[must_use]
    pub const fn tcp(ms: f64) -> Self {
        Self { client: Client::Tcp, ms, with_etcd_leader_ms: 0.0 }
    }

    /// The bound of one run.
    #[must_use]
    pub fn most_ms(&self, etcd_leader_on_holder: bool) -> f64 {
        if etcd_leader_on_holder { self.ms + self.with_etcd_leader_ms } else { self.ms }
    }
}

// === impl Check ===

impl Check {
    /// Whether a machine that is slow enough fails it, whatever the product does.
    #[must_use]
    pub const fn counts_time(self) -> bool {
        match self {
            Self::Gap
            | Self::Connects
            | Self::Stays
            | Self::Flapping
            | Self::TwoHolders
            | Self::Healed
            | Self::Watches
            | Self::Clients
            | Self::LeavesByItself
            | Self::BackInTime
            | Self::Recovered => true,
            Self::TwoAfterHeal
            | Self::OneHolder
            | Self::Silent
            | Self::Message
            | Self::Alive
            | Self::NoPanic => false,
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = serde_json::to_value(self).ok();
        f.write_str(name.as_ref().and_then(|name| name.as_str()).unwrap_or("?"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.text)
    }
}

#[cfg(test)]
mod tests;
