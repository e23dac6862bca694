//! What was measured, round by round, and how the contenders compare.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::contender::Contender;
use super::rows::Row;
use super::sys::Cores;
use crate::machine::Machine;

/// A run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Results {
    /// On what.
    pub machine: Machine,
    /// Who had which cores.
    pub cores: Cores,
    /// What the programs say of themselves.
    pub versions: Vec<String>,
    /// When.
    pub date: String,
    /// How many rounds were asked for.
    pub rounds: usize,
    /// How much of the machine somebody else used just before, from 0 to 1.
    pub busy: f64,
    /// How much of what the machine wanted meanwhile a hypervisor gave to others, from 0 to 1.
    pub stolen: f64,
    /// Whether it was a short one, whose figures say little.
    pub is_quick: bool,
    /// What came of them.
    pub measured: Vec<Measured>,
    /// What could not be measured.
    pub failures: Vec<Failure>,
}

/// A contender's figures of one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// From 0.
    pub round: usize,
    /// Who.
    pub contender: Contender,
    /// By the row's name.
    pub figures: BTreeMap<String, f64>,
}

/// A phase that came to no figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// From 0.
    pub round: usize,
    /// Who.
    pub contender: Contender,
    /// The phase's name.
    pub phase: String,
    /// Why.
    pub why: String,
}

/// The median and the ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Of all.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

/// So much of it is the machine's own noise; more shows in every row.
const QUIET: f64 = 0.05;
/// Fewer say nothing of the spread.
const MIN_ROUNDS: usize = 5;

// === impl Results ===

impl Results {
    /// Why these figures are not to be published.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        let doubts = [
            (self.busy > QUIET, format!("the machine was busy ({:.0} %)", self.busy * 1e2)),
            (self.is_quick, "the rounds were short".to_owned()),
            (self.rounds < MIN_ROUNDS, format!("fewer than {MIN_ROUNDS} rounds")),
            (!self.failures.is_empty(), format!("{} failures", self.failures.len())),
        ];
        doubts.into_iter().filter(|(applies, _)| *applies).map(|(_, why)| why).collect()
    }

    /// A row's figures, by round.
    fn of(&self, row: &Row, contender: Contender) -> BTreeMap<usize, f64> {
        let mine = self.measured.iter().filter(|measured| measured.contender == contender);
        mine.filter_map(|measured| Some((measured.round, *measured.figures.get(row.id)?))).collect()
    }

    /// A contender's figure over all rounds.
    #[must_use]
    pub fn figure(&self, row: &Row, contender: Contender) -> Option<Spread> {
        Spread::of(self.of(row, contender).into_values().collect())
    }

    /// How many times better pintle is than a peer, over the rounds that have both: each round's two were
    /// measured seconds apart.
    #[must_use]
    pub fn ratio(&self, row: &Row, peer: Contender) -> Option<Spread> {
        let (ours, theirs) = (self.of(row, Contender::Pintle), self.of(row, peer));
        let ratios = ours.iter().filter_map(|(round, ours)| row.ratio(*ours, *theirs.get(round)?));
        Spread::of(ratios.collect())
    }

    /// The better of the two HAProxys in a row, by its median.
    #[must_use]
    pub fn best_haproxy(&self, row: &Row) -> Contender {
        let (plain, splice) = (Contender::Haproxy, Contender::HaproxySplice);
        match (self.figure(row, plain), self.figure(row, splice)) {
            (Some(one), Some(other)) if row.ratio(other.median, one.median) > Some(1.0) => splice,
            _ => plain,
        }
    }
}

// === impl Spread ===

impl Spread {
    fn of(mut all: Vec<f64>) -> Option<Self> {
        all.sort_by(f64::total_cmp);
        let (min, max) = (*all.first()?, *all.last()?);
        let middle = all.len() / 2;
        let median = if all.len() % 2 == 1 {
            all[middle]
        } else {
            f64::midpoint(all[middle - 1], all[middle])
        };
        Some(Self { median, min, max })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::rows::find;
    use super::*;

    pub(crate) fn results() -> Results {
        let mut results = Results { rounds: 3, ..Results::default() };
        let mut add = |round, contender, id: &str, value| {
            let figures = BTreeMap::from([(id.to_owned(), value)]);
            results.measured.push(Measured { round, contender, figures });
        };
        for (round, (ours, theirs)) in [(20.0, 10.0), (10.0, 10.0), (9.0, 10.0)].iter().enumerate()
        {
            add(round, Contender::Pintle, "bulk-1", *ours);
            add(round, Contender::Haproxy, "bulk-1", *theirs);
            add(round, Contender::HaproxySplice, "bulk-1", 12.0);
        }
        add(0, Contender::Pintle, "memory-0", 1000.0);
        add(1, Contender::Haproxy, "memory-0", 3000.0);
        results
    }

    #[test]
    fn ratios_are_of_rounds_and_not_of_medians() {
        let (results, bulk) = (results(), find("bulk-1").unwrap());
        let ratio = results.ratio(bulk, Contender::Haproxy).unwrap();
        assert_eq!((ratio.median, ratio.min, ratio.max), (1.0, 0.9, 2.0));
        let memory = find("memory-0").unwrap();
        assert_eq!(results.ratio(memory, Contender::Haproxy), None, "never in the same round");
        assert_eq!(results.figure(memory, Contender::Haproxy).unwrap().median, 3000.0);
        assert_eq!(results.figure(memory, Contender::Nginx), None);
    }

    #[test]
    fn the_better_haproxy_is_the_one_to_beat() {
        let results = results();
        assert_eq!(results.best_haproxy(find("bulk-1").unwrap()), Contender::HaproxySplice);
        assert_eq!(results.best_haproxy(find("memory-0").unwrap()), Contender::Haproxy);
    }

    #[test]
    fn medians() {
        assert_eq!(Spread::of(vec![]), None);
        assert_eq!(Spread::of(vec![4.0, 1.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of(vec![9.0, 1.0, 2.0]).unwrap().median, 2.0);
    }
}
