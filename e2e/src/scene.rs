//! One run of a row: the prober watches, a fault comes at a random phase, and it heals.
//!
//! The row's steps are written against this; what they find wrong they say with
//! [`Scene::require`], everything else is the judge's.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use pintle_testkit::prober::{Observation, Prober};

use crate::address_watch::AddressWatch;
use crate::bed::{Bed, HOSTS, VIP};
use crate::judge::evidence::Moments;
use crate::judge::{Check, Evidence, Failure, judge};
use crate::pintle::Tuning;
use crate::random::Random;
use crate::rows::{Leader, Row};
use crate::say::millis;

/// The product's default: a fault may fall into any part of it.
const RETRY_PERIOD: Duration = Duration::from_millis(500);

/// A new request so often while API servers go one after the other.
const ROLLING_INTERVAL: Duration = Duration::from_millis(10);

/// The prober's series must have begun well before the fault.
const LEAD: Duration = Duration::from_secs(1);

/// Moving the etcd leader makes writes wait for a moment, which is not the fault under test.
const LEADER_SETTLE: Duration = Duration::from_millis(700);

/// How a run is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Its number in the row.
    pub number: usize,
    /// Whether the etcd leader is brought to the holder's host first, where the row leaves that open.
    pub leads_etcd: bool,
    /// Repeats its choices.
    pub seed: u64,
    /// Whether it is the row's control, which the judge must fail.
    pub is_control: bool,
    /// Whether the balancer is on.
    pub is_balanced: bool,
}

/// What became of a run.
#[derive(Debug)]
pub struct Played {
    /// What it is judged by.
    pub evidence: Evidence,
    /// What is wrong with it.
    pub failures: Vec<Failure>,
    /// The row's own figures, in milliseconds.
    pub figures: BTreeMap<String, f64>,
    /// When in the retry period the fault came.
    pub phase_ms: f64,
    /// All that the prober saw.
    pub observation: Observation,
}

/// A run under way.
#[derive(Debug)]
pub struct Scene<'a> {
    /// What it is played on.
    pub bed: &'a mut Bed,
    /// The host that held the VIP at the beginning.
    pub holder: usize,
    /// The run's choices.
    pub random: Random,
    /// Whether this is the row's control.
    pub is_control: bool,
    /// Whether the balancer is on.
    pub is_balanced: bool,
    prober: Prober,
    watch: AddressWatch,
    failures: Vec<Failure>,
    figures: BTreeMap<String, f64>,
    phase: Duration,
    fault: Option<Instant>,
    healed: Option<Instant>,
    log_lengths: Vec<u64>,
}

/// Plays one run of a row on a bed, which is put in order first.
///
/// # Errors
/// When the run could not be made: that says nothing of the product.
pub fn play(bed: &mut Bed, row: &Row, run: Run) -> Result<Played> {
    let tuning = if run.is_control { row.control.tuning } else { Tuning::default() };
    let tuning = Tuning { is_balanced: run.is_balanced && !run.is_control, ..tuning };
    let started = Instant::now();
    let mut holder = bed.restore(tuning).context("put the bed in order")?;
    tracing::debug!(took = ?started.elapsed(), holder, "The bed is in order");
    let on_holder = row.leader == Leader::Alternating && run.leads_etcd;
    bed.place_etcd_leader(holder, on_holder)?;
    sleep(LEADER_SETTLE);
    let owners = bed.owners()?;
    if owners != [holder] {
        holder = bed.wait_steady()?;
    }
    let on_holder = bed.cluster().etcd_leader()? == holder;
    let mut scene = Scene::open(bed, holder, row, run)?;
    (row.steps)(&mut scene).with_context(|| format!("run {}", row.id))?;
    scene.close(row, on_holder)
}

// === impl Scene ===

impl<'a> Scene<'a> {
    fn open(bed: &'a mut Bed, holder: usize, row: &Row, run: Run) -> Result<Self> {
        let mut random = Random::new(run.seed);
        let mut target = bed.probe_target();
        if row.is_rolling() {
            target.request_interval = ROLLING_INTERVAL;
        }
        let prober = Prober::start(bed.topology().client_ns(), target)?;
        let watch = AddressWatch::start(bed.host(holder), VIP)?;
        let log_lengths = (0..HOSTS).map(|host| bed.pintle(host).log_length()).collect();
        sleep(LEAD + random.time_below(LEAD));
        Ok(Self {
            bed,
            holder,
            random,
            is_control: run.is_control,
            is_balanced: run.is_balanced && !run.is_control,
            prober,
            watch,
            failures: Vec::new(),
            figures: BTreeMap::new(),
            phase: Duration::ZERO,
            fault: None,
            healed: None,
            log_lengths,
        })
    }

    /// Waits for a random phase of the retry period and marks the fault: the next step injects it.
    pub fn fault(&mut self) -> Instant {
        self.phase = self.random.time_below(RETRY_PERIOD);
        sleep(self.phase);
        let at = self.prober.mark("fault");
        self.fault = Some(at);
        at
    }

    /// Marks that the fault is over: the next step, or the one before, heals it.
    pub fn healed(&mut self) -> Instant {
        let at = self.prober.mark("healed");
        self.healed = Some(at);
        at
    }

    /// Marks something else that happens.
    pub fn mark(&self, name: &str) -> Instant {
        self.prober.mark(name)
    }

    /// Lets time pass.
    pub fn watch(&self, length: Duration) {
        sleep(length);
    }

    /// Lets time pass until so long after the fault.
    pub fn watch_until(&self, after_fault: Duration) {
        let since = self.fault.map_or(Duration::ZERO, |fault| fault.elapsed());
        sleep(after_fault.saturating_sub(since));
    }

    /// What came and went on the first holder's host.
    #[must_use]
    pub const fn address_watch(&self) -> &AddressWatch {
        &self.watch
    }

    /// What the prober has seen so far.
    #[must_use]
    pub fn seen(&self) -> Observation {
        self.prober.snapshot()
    }

    /// Notes a failure when something is not so.
    pub fn require(&mut self, check: Check, is_so: bool, text: impl FnOnce() -> String) {
        if !is_so {
            let text = text();
            self.failures.push(Failure { check, text });
        }
    }

    /// Notes a figure of the row's own, in milliseconds.
    pub fn figure(&mut self, name: &str, length: Duration) {
        self.figures.insert(name.to_owned(), millis(length));
    }

    /// What a pintle has logged in this run.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log_of(&mut self, host: usize) -> Result<String> {
        self.bed.pintle(host).log_since(self.log_lengths[host])
    }

    fn close(mut self, row: &Row, etcd_leader_on_holder: bool) -> Result<Played> {
        let fault = self.fault.context("the row injected no fault")?;
        let healed = self.healed.context("the row healed nothing")?;
        let owners = self.bed.owners()?;
        self.look_after_pintles()?;
        let observation = self.prober.stop().context("the judge itself failed")?;
        self.watch.stop()?;
        // A control has broken more than the row heals.
        if !self.is_control
            && let Err(why) = self.bed.wait_steady()
        {
            self.failures.push(Failure { check: Check::Recovered, text: format!("{why:#}") });
        }
        ensure!(!observation.is_truncated, "the run is longer than the prober records");
        let moments = Moments { fault, healed, holder: self.bed.topology().host_mac(self.holder) };
        let mut evidence = Evidence::of(&observation, moments);
        evidence.owners_at_end = owners.into_iter().map(Bed::hostname).collect();
        evidence.etcd_leader_on_holder = etcd_leader_on_holder;
        let mut failures = judge(&row.rules, &evidence);
        failures.append(&mut self.failures);
        Ok(Played {
            evidence,
            failures,
            figures: self.figures,
            phase_ms: millis(self.phase),
            observation,
        })
    }

    /// Each pintle runs, and none has panicked: the log is asked, since a panic may end one task
    /// only.
    fn look_after_pintles(&mut self) -> Result<()> {
        for host in 0..HOSTS {
            let log = self.log_of(host)?;
            let name = Bed::hostname(host);
            self.require(Check::NoPanic, !log.contains("panicked at"), || {
                format!("pintle of {name} panicked")
            });
            let is_running = self.bed.pintle(host).process().is_running();
            self.require(Check::Alive, is_running, || format!("pintle of {name} has ended"));
        }
        Ok(())
    }
}
