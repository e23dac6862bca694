//! The order of the runs: row by row, each told as it goes, each written down as it ends.
//!
//! A bed serves until something fails on it; then the next run gets a new one.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::bed::{Bed, HOSTS};
use crate::judge;
use crate::random::Random;
use crate::results::{Results, RunRecord};
use crate::rows::{self, Row};
use crate::say::say;
use crate::scene::{self, Played, Run};

/// A run that could not be made, or in which the machine was late, is made again so often.
const MAX_ATTEMPTS: usize = 3;

/// Fresh API servers have much to do for some seconds, which is not the fault under test.
const CALM: Duration = Duration::from_secs(10);

/// Runs rows.
#[derive(Debug)]
pub struct Runner {
    binary: PathBuf,
    output: PathBuf,
    seed: u64,
    keeps: bool,
    is_balanced: bool,
    bed: Option<Bed>,
    started: Instant,
}

// === impl Runner ===

impl Runner {
    /// A runner that leaves what it has to show in `output`; with `keeps` it stops at the first
    /// failure and leaves the bed standing until it is interrupted.
    #[must_use]
    pub fn new(binary: &Path, output: &Path, seed: u64, keeps: bool) -> Self {
        Self {
            is_balanced: false,
            binary: binary.to_owned(),
            output: output.to_owned(),
            seed,
            keeps,
            bed: None,
            started: Instant::now(),
        }
    }

    /// The same with the balancer on.
    #[must_use]
    pub const fn balanced(mut self, is_balanced: bool) -> Self {
        self.is_balanced = is_balanced;
        self
    }

    /// Makes the runs of a row that are missing in `results`, which is written after each.
    ///
    /// # Errors
    /// When the results cannot be written, or a run could not be made at all.
    pub fn run_row(&mut self, row: &Row, runs: usize, results: &mut Results) -> Result<()> {
        for number in results.missing(row.id, runs) {
            self.tell(row, &format!("run {} of {runs}", number + 1));
            let seed = Random::seed_of(self.seed, row.id, number);
            // In turn down the table as well: one run of each row has both kinds.
            let leads_etcd = (rows::position(row.id) + number).is_multiple_of(2);
            let is_balanced = self.is_balanced;
            let run = Run { number, leads_etcd, seed, is_control: false, is_balanced };
            let played = self.play(row, run)?;
            let record = RunRecord::new(row, number, seed, &played);
            tell_outcome(row, &record);
            if !record.passed {
                self.keep_evidence(row, &format!("{}-{number}", row.id), &played)?;
            }
            results.date = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            results.add(row, record);
            results.write(&self.output.join("results.json"))?;
        }
        Ok(())
    }

    /// Runs a row's control; whether the judge failed it, and for the right reason.
    ///
    /// # Errors
    /// When the run could not be made.
    pub fn run_control(&mut self, row: &Row) -> Result<bool> {
        let control = &row.control;
        self.tell(row, &format!("control: {}", control.what));
        let run = Run {
            number: 0,
            leads_etcd: false,
            seed: Random::seed_of(self.seed, row.id, usize::MAX),
            is_control: true,
            is_balanced: self.is_balanced,
        };
        let played = self.play(row, run)?;
        let bites = played.failures.iter().any(|failure| failure.check == control.bites);
        for failure in &played.failures {
            say(format!("    found: {failure}"));
        }
        if bites {
            say(format!("    good: the judge failed it for `{}`", control.bites));
        } else {
            say(format!("    BAD: the judge let `{}` pass", control.bites));
            self.keep_evidence(row, &format!("{}-control", row.id), &played)?;
        }
        Ok(bites)
    }

    /// Plays a run; again when the bed broke, or when the judge was too late to be believed.
    fn play(&mut self, row: &Row, run: Run) -> Result<Played> {
        let mut attempt = 1;
        loop {
            let played = self.play_once(row, run);
            let why = match &played {
                Ok(played) if !run.is_control && is_doubtful(row, played) => {
                    format!("the machine was {} ms late by itself", played.evidence.delay_ms())
                }
                Ok(_believable) => return played,
                Err(error) => format!("{error:#}"),
            };
            if attempt == MAX_ATTEMPTS {
                return played;
            }
            attempt += 1;
            say(format!("    this was no run, once more: {why}"));
        }
    }

    fn play_once(&mut self, row: &Row, run: Run) -> Result<Played> {
        if self.bed.is_none() {
            say("    starting three hosts with etcd, kube-apiserver and pintle each");
            self.bed = Some(Bed::start(&self.binary, Vec::new())?);
            sleep(CALM);
        }
        let bed = self.bed.as_mut().context("invariant: the bed was started")?;
        let played = scene::play(bed, row, run);
        if let Err(error) = &played {
            let directory = self.failed_directory(&format!("{}-broken", row.id))?;
            fs::write(directory.join("why.txt"), format!("{error:#}\n"))?;
            if let Some(bed) = self.bed.take() {
                bed.copy_logs(&directory)?;
                self.wait_if_kept(&bed);
            }
            say(format!("    logs: {}", directory.display()));
        }
        played
    }

    /// Leaves what explains a failure: the time line, the figures, and everyone's logs.
    fn keep_evidence(&self, row: &Row, name: &str, played: &Played) -> Result<()> {
        let directory = self.failed_directory(name)?;
        let mut time_line = format!("{}: {}\n", row.id, row.title);
        if let Some(bed) = &self.bed {
            bed.copy_logs(&directory)?;
            for host in 0..HOSTS {
                let mac = bed.topology().host_mac(host);
                time_line.push_str(&format!("{} is {mac}\n", Bed::hostname(host)));
            }
        }
        for failure in &played.failures {
            time_line.push_str(&format!("{failure}\n"));
        }
        time_line.push_str(&judge::time_line(&played.observation));
        fs::write(directory.join("time-line.txt"), time_line)?;
        let summary = serde_json::to_string_pretty(&played.observation.summary())?;
        fs::write(directory.join("summary.json"), summary)?;
        say(format!("    logs and time line: {}", directory.display()));
        if let Some(bed) = &self.bed {
            self.wait_if_kept(bed);
        }
        Ok(())
    }

    fn failed_directory(&self, name: &str) -> Result<PathBuf> {
        let directory = self.output.join("failed").join(name);
        fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
        Ok(directory)
    }

    fn wait_if_kept(&self, bed: &Bed) {
        if self.keeps {
            say(format!(
                "    kept: `ip netns exec {}-h1 sh`; Ctrl-C ends it",
                bed.topology().prefix()
            ));
            loop {
                std::thread::park();
            }
        }
    }

    fn tell(&self, row: &Row, what: &str) {
        let elapsed = self.started.elapsed().as_secs();
        let (minutes, seconds) = (elapsed / 60, elapsed % 60);
        say(format!("[{minutes:02}:{seconds:02}] {}: {what}", row.id));
    }
}

fn is_doubtful(row: &Row, played: &Played) -> bool {
    judge::is_doubtful(&row.rules, &played.evidence, &played.failures)
}

fn tell_outcome(row: &Row, record: &RunRecord) {
    let evidence = &record.evidence;
    let verdict = if record.passed { "pass" } else { "FAIL" };
    let figures: String =
        record.figures.iter().map(|(name, ms)| format!(", {name} {ms}")).collect();
    say(format!(
        "    {verdict}: TCP gap {} ms, HTTPS gap {} ms, two holders {} ms, moves {}, phase {} ms{}{figures} (limit: {})",
        evidence.gap_tcp_ms,
        evidence.gap_https_ms,
        evidence.two_holders_ms,
        evidence.moves,
        record.phase_ms,
        if evidence.etcd_leader_on_holder { ", etcd leader on the holder" } else { "" },
        row.limit,
    ));
    for failure in &record.failures {
        say(format!("    {failure}"));
    }
}
