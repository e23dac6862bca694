//! The fault table: every row with its limit, its steps, and the control that must fail.
//!
//! The limits are the contract with the operator; a row is not made to pass by widening one.

use std::fmt;

use anyhow::Result;

use crate::judge::{Check, Client, GapLimit, Rules, SILENCE_LIMIT_MS};
use crate::pintle::Tuning;
use crate::scene::Scene;

pub use self::rolling::ROLLING;
pub use self::table::ROWS;

mod address;
mod api;
mod askers;
mod etcd;
mod host;
mod lease;
mod process;
mod rolling;
mod table;

/// One row.
#[derive(Clone, Copy)]
pub struct Row {
    /// Its name on the command line.
    pub id: &'static str,
    /// What happens.
    pub title: &'static str,
    /// What the client may see at most, in words.
    pub limit: &'static str,
    /// The same as rules.
    pub rules: Rules,
    /// Which figure the table shows.
    pub headline: Headline,
    /// Where the etcd leader is.
    pub leader: Leader,
    /// Injects, watches, heals.
    pub steps: fn(&mut Scene<'_>) -> Result<()>,
    /// What must fail.
    pub control: Control,
}

/// A situation in which the row's own demand is not met.
#[derive(Debug, Clone, Copy)]
pub struct Control {
    /// What is broken on purpose.
    pub what: &'static str,
    /// The configuration that does it, where it is one; else the row's steps do it.
    pub tuning: Tuning,
    /// What must be found wrong, beside anything else.
    pub bites: Check,
}

/// Which figure of a run the table shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headline {
    /// The TCP gap.
    Tcp,
    /// The HTTPS gap.
    Https,
    /// The time with two answering hosts.
    TwoHolders,
    /// The longest time in which nobody answered for the address.
    Silence,
    /// A figure of the row's own.
    Figure(&'static str),
}

/// Where the etcd leader is when the fault comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leader {
    /// On the holder's host in every other run.
    Alternating,
    /// Never there.
    Elsewhere,
}

/// The row of this name.
#[must_use]
pub fn row(id: &str) -> Option<&'static Row> {
    ROWS.iter().chain(ROLLING).find(|row| row.id == id)
}

/// Where this row stands in the table; after its end when it is not there.
#[must_use]
pub fn position(id: &str) -> usize {
    ROWS.iter().position(|row| row.id == id).unwrap_or(ROWS.len())
}

// === impl Row ===

impl Row {
    /// Whether it is one of those that only a balancer can pass.
    #[must_use]
    pub fn is_rolling(&self) -> bool {
        ROLLING.iter().any(|row| row.id == self.id)
    }

    /// The same row with the balancer on: there an API server's end is nobody's trouble. Everything else
    /// has its limit as before.
    #[must_use]
    pub fn with_balancer(&self) -> Self {
        let unmoved = |limit, ms| Self {
            limit,
            rules: Rules {
                gap: Some(GapLimit { client: Client::Https, ms, with_etcd_leader_ms: 0.0 }),
                connects: true,
                stays: Some(SILENCE_LIMIT_MS),
                ..Rules::default()
            },
            headline: Headline::Https,
            control: Control {
                what: "the balancer is off",
                tuning: Tuning::OFF,
                bites: Check::Stays,
            },
            ..*self
        };
        match self.id {
            "api-killed" | "api-term" => unmoved("does not move; 250 ms (HTTPS)", 250.0),
            "etcd-of-holder-killed" => unmoved("does not move; 3 s (HTTPS)", 3000.0),
            "api-hung" => unmoved("does not move; 2.5 s (HTTPS)", 2500.0),
            _ => *self,
        }
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_different_and_fit_for_a_directory() {
        for row in ROWS {
            assert_eq!(ROWS.iter().filter(|other| other.id == row.id).count(), 1);
            let is_plain = |letter: char| letter.is_ascii_lowercase() || letter == '-';
            assert!(row.id.chars().all(is_plain), "{}", row.id);
        }
    }

    #[test]
    fn a_control_bites_into_something_that_its_row_demands() {
        for row in ROWS {
            let is_demanded = match row.control.bites {
                Check::Gap => row.rules.gap.is_some(),
                Check::Stays => row.rules.stays.is_some(),
                Check::Connects => row.rules.connects,
                _ => true,
            };
            assert!(is_demanded, "{}", row.id);
        }
    }
}
