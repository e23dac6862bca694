//! What was measured, in a file that the next call goes on with.
//!
//! Figures of two builds of pintle are never mixed: another build starts a file of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::judge::{Client, Evidence, Failure};
use crate::machine::{Machine, Versions};
use crate::rows::{self, Headline, Row};
use crate::scene::Played;

/// Everything that was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// On what.
    pub machine: Machine,
    /// With what.
    pub versions: Versions,
    /// When, in UTC, by the last run.
    pub date: String,
    /// The seed that all others are made of.
    pub seed: u64,
    /// By row.
    pub rows: Vec<RowResults>,
}

/// The runs of one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowResults {
    /// The row's name.
    pub id: String,
    /// What happens in it.
    pub title: String,
    /// What is allowed, in words.
    pub limit: String,
    /// Median of what the table shows, in milliseconds.
    pub median_ms: Option<f64>,
    /// The worst of it.
    pub worst_ms: Option<f64>,
    /// Every run.
    pub runs: Vec<RunRecord>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its number in the row.
    pub number: usize,
    /// Repeats its choices.
    pub seed: u64,
    /// Whether nothing was wrong.
    pub passed: bool,
    /// What the table shows of it, in milliseconds.
    pub headline_ms: Option<f64>,
    /// When in the retry period the fault came.
    pub phase_ms: f64,
    /// What it was judged by.
    #[serde(flatten)]
    pub evidence: Evidence,
    /// The row's own figures, in milliseconds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub figures: BTreeMap<String, f64>,
    /// What was wrong.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub failures: Vec<Failure>,
}

// === impl Results ===

impl Results {
    /// Begins a file.
    #[must_use]
    pub fn new(machine: Machine, versions: Versions, seed: u64) -> Self {
        Self { machine, versions, seed, ..Self::default() }
    }

    /// Reads a file that an earlier call left, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, or is no such file.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let results = serde_json::from_str(&text);
        results
            .map(Some)
            .with_context(|| format!("read {}: remove it, or give --fresh", path.display()))
    }

    /// Writes the file whole: a reader never sees half of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let next = path.with_extension("json.next");
        let text = serde_json::to_string_pretty(self)?;
        fs::write(&next, text + "\n").with_context(|| format!("write {}", next.display()))?;
        fs::rename(&next, path).with_context(|| format!("write {}", path.display()))
    }

    /// Whether its figures may stand beside new ones.
    #[must_use]
    pub fn is_of(&self, machine: &Machine, versions: &Versions) -> bool {
        self.machine == *machine && self.versions == *versions
    }

    /// The runs of a row.
    #[must_use]
    pub fn row(&self, id: &str) -> Option<&RowResults> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// The numbers of the runs of a row that are still to be made, to have `runs` of them.
    #[must_use]
    pub fn missing(&self, id: &str, runs: usize) -> Vec<usize> {
        let done = self.row(id).map_or(&[][..], |row| &row.runs);
        let is_done = |number: &usize| done.iter().any(|run| run.number == *number);
        (0..runs).filter(|number| !is_done(number)).collect()
    }

    /// Begins these rows anew.
    pub fn forget(&mut self, rows: &[&Row]) {
        self.rows.retain(|known| rows.iter().all(|row| row.id != known.id));
    }

    /// Adds a run, in place of an earlier one of the same number.
    pub fn add(&mut self, row: &Row, run: RunRecord) {
        let at = self.rows.iter().position(|it| it.id == row.id);
        let at = at.unwrap_or_else(|| {
            let place = rows::position(row.id);
            let at = self.rows.partition_point(|it| rows::position(&it.id) < place);
            self.rows.insert(at, RowResults::new(row));
            at
        });
        self.rows[at].add(run);
    }
}

// === impl RowResults ===

impl RowResults {
    fn new(row: &Row) -> Self {
        Self {
            id: row.id.to_owned(),
            title: row.title.to_owned(),
            limit: row.limit.to_owned(),
            median_ms: None,
            worst_ms: None,
            runs: Vec::new(),
        }
    }

    fn add(&mut self, run: RunRecord) {
        self.runs.retain(|other| other.number != run.number);
        self.runs.push(run);
        self.runs.sort_by_key(|run| run.number);
        let shown: Vec<f64> = self.runs.iter().filter_map(|run| run.headline_ms).collect();
        self.median_ms = median(&shown);
        self.worst_ms = shown.into_iter().reduce(f64::max);
    }

    /// Whether every run passed; not so without any.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.runs.is_empty() && self.runs.iter().all(|run| run.passed)
    }

    /// How many runs did not pass.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.runs.iter().filter(|run| !run.passed).count()
    }

    /// Whether everything that was wrong counts time, which a machine that other tenants slow down can
    /// make too long by itself.
    #[must_use]
    pub fn may_be_slowness(&self) -> bool {
        self.runs.iter().flat_map(|run| &run.failures).all(|failure| failure.check.counts_time())
    }
}

// === impl RunRecord ===

impl RunRecord {
    /// Takes down what became of a run.
    #[must_use]
    pub fn new(row: &Row, number: usize, seed: u64, played: &Played) -> Self {
        let evidence = played.evidence.clone();
        let headline_ms = match row.headline {
            Headline::Tcp => Some(evidence.gap_ms(Client::Tcp)),
            Headline::Https => Some(evidence.gap_ms(Client::Https)),
            Headline::TwoHolders => Some(evidence.two_holders_ms),
            Headline::Silence => Some(evidence.silence_ms),
            Headline::Figure(name) => played.figures.get(name).copied(),
        };
        Self {
            number,
            seed,
            passed: played.failures.is_empty(),
            headline_ms,
            phase_ms: played.phase_ms,
            evidence,
            figures: played.figures.clone(),
            failures: played.failures.clone(),
        }
    }
}

/// The middle value, or the mean of the two in the middle.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.len().checked_sub(1)? / 2, sorted.len() / 2);
    let middle = f64::midpoint(sorted[low], sorted[high]);
    Some((middle * 10.0).round() / 10.0)
}

#[cfg(test)]
pub(crate) mod tests;
