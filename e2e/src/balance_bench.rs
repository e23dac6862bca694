//! pintle's balancer beside the distribution's HAProxy and nginx, in one run on one machine.
//!
//! ```text
//! round: downloads, connections, round trips, memory, a killed backend, a hung one
//!    each of pintle, HAProxy, HAProxy splicing, nginx, no balancer: started anew, one after the other
//! clients (a process each) --> balancer, on cores of its own --> three backends
//! ```
//!
//! Every byte is counted and every answer is checked: a figure of work that went wrong is none.

use std::path::Path;

use anyhow::Result;

pub use self::backend::BackendArguments;
pub use self::contender::{Contender, Programs};
pub use self::phases::Size;
pub use self::results::Results;
pub use self::rows::Phase;
pub use self::sys::Cores;

use self::bed::Bed;
use self::results::{Failure, Measured};
use crate::machine::Machine;
use crate::say::say;

pub mod backend;
pub mod bed;
pub mod contender;
pub mod controls;
mod cost;
pub mod load;
pub mod phases;
mod protocol;
pub mod results;
pub mod rows;
pub mod sys;
pub mod table;

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How often.
    pub rounds: usize,
    /// How much.
    pub size: Size,
    /// What.
    pub phases: Vec<Phase>,
    /// Of whom.
    pub contenders: Vec<Contender>,
}

/// Measures everything in `plan`; what cannot be measured is among the failures.
///
/// # Errors
/// When the bed does not start.
pub fn measure(plan: &Plan, programs: &Programs, cores: &Cores) -> Result<Results> {
    let machine = Machine::here();
    let busy = cost::busy_share(machine.cores)?;
    let mut results = Results {
        machine,
        busy,
        cores: cores.clone(),
        versions: programs.versions.clone(),
        date: jiff::Timestamp::now().to_string(),
        rounds: plan.rounds,
        is_quick: plan.size == Size::QUICK,
        ..Results::default()
    };
    cores.stay_on_load()?;
    let mut bed = Bed::start(cores, None)?;
    let before = cost::Spent::so_far(&[])?;
    for round in 0..plan.rounds {
        // Who is compared is measured one right after the other: the machine is not the same in a minute.
        for phase in &plan.phases {
            for contender in plan.contenders.iter().filter(|it| is_measured(**it, *phase)) {
                let place = format!("round {}, {}, {}", round + 1, contender.name(), phase.name());
                say(&place);
                match measure_quietly(&mut bed, programs, plan.size, *contender, *phase) {
                    Ok(figures) => {
                        let figures = figures.into_iter().map(|(name, it)| (name.to_owned(), it));
                        let figures = figures.collect();
                        results.measured.push(Measured { round, contender: *contender, figures });
                    }
                    Err(error) => {
                        let why = format!("{error:#}");
                        say(format!("{place}: FAILED: {why}"));
                        let phase = phase.name().to_owned();
                        results.failures.push(Failure { round, contender: *contender, phase, why });
                    }
                }
            }
        }
    }
    results.stolen = cost::Spent::so_far(&[])?.since(&before).stolen_share();
    Ok(results)
}

/// A splicing HAProxy is another one only for what is copied, and nobody's memory is nothing.
fn is_measured(contender: Contender, phase: Phase) -> bool {
    match contender {
        Contender::HaproxySplice => phase == Phase::Downloads,
        Contender::Direct => {
            matches!(phase, Phase::Downloads | Phase::Connections | Phase::RoundTrips)
        }
        Contender::Pintle | Contender::Haproxy | Contender::Nginx => true,
    }
}

/// A fault is met once in a phase, so the whole phase is measured again where the machine was disturbed.
fn measure_quietly(
    bed: &mut Bed,
    programs: &Programs,
    size: Size,
    contender: Contender,
    phase: Phase,
) -> Result<phases::Figures> {
    if !matches!(phase, Phase::Killed | Phase::Hung) {
        return measure_phase(bed, programs, size, contender, phase);
    }
    let measured = cost::least_disturbed(|| {
        let before = cost::Spent::so_far(&[])?;
        let figures = measure_phase(bed, programs, size, contender, phase)?;
        Ok((figures, cost::Spent::so_far(&[])?.since(&before)))
    });
    measured.map(|(figures, _spent)| figures)
}

fn measure_phase(
    bed: &mut Bed,
    programs: &Programs,
    size: Size,
    contender: Contender,
    phase: Phase,
) -> Result<phases::Figures> {
    let running = contender.start(bed, programs)?;
    let figures = match phase {
        Phase::Downloads => phases::speed::downloads(bed, &running, size),
        Phase::Connections => phases::speed::connections(bed, &running, size),
        Phase::RoundTrips => phases::speed::round_trips(bed, &running, size),
        Phase::Memory => phases::memory(bed, &running),
        Phase::Killed => phases::killed(bed, &running, size),
        Phase::Hung => phases::hung(bed, &running, size),
    };
    if figures.is_err() {
        tracing::info!(balancer = contender.name(), log = running.log_tail(), "What it said");
    }
    // What was measured counts only if the balancer ended as it should.
    running.stop(bed)?;
    figures
}

/// Writes the results for programs to read.
///
/// # Errors
/// When the directory cannot be written.
pub fn write_json(directory: &Path, results: &Results) -> Result<()> {
    std::fs::create_dir_all(directory)?;
    let text = serde_json::to_string_pretty(results)? + "\n";
    std::fs::write(directory.join("results.json"), text)?;
    Ok(())
}
