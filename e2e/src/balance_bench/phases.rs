//! What is measured, by phase: memory, and what clients see of a backend that breaks. Of speed: `speed`.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::bed::Bed;
use super::contender::Running;
use super::cost::Memory;
use super::load::{Job, Line, Observed, Report};
use super::sys::now;

pub(super) mod speed;

/// Clients whose balancer says nothing give up after 5 s.
const REPORT_TIMEOUT: Duration = Duration::from_secs(30);
/// Memory is looked at when all is quiet.
const QUIET: Duration = Duration::from_millis(700);
/// Which backend breaks; not the one that pintle takes for its own.
const BROKEN: usize = 2;
/// Held connections, while it breaks.
const HELD: usize = 30;
/// New connections that took longer have stalled: the others take a millisecond, or tenths of a second on
/// a machine that does something else; who waits for a backend that hangs waits for a second at least.
const STALLED: Duration = Duration::from_millis(400);

/// How much is done: enough for figures, or enough to see that all works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    bulk: u64,
    millis: u64,
    after_kill_millis: u64,
    after_hang_millis: u64,
}

/// Figures by the row's name.
pub(super) type Figures = BTreeMap<&'static str, f64>;

// === impl Size ===

impl Size {
    /// For the published table.
    pub const FULL: Self =
        Self { bulk: 3 << 30, millis: 2000, after_kill_millis: 2000, after_hang_millis: 6000 };
    /// For a look.
    pub const QUICK: Self =
        Self { bulk: 1 << 29, millis: 500, after_kill_millis: 1000, after_hang_millis: 6000 };
}

/// A figure of work that went wrong is no figure.
fn faultless(report: &Report) -> Result<()> {
    let first = report.first_error.as_deref().unwrap_or_default();
    ensure!(report.errors == 0, "clients made {} mistakes, the first: {first}", report.errors);
    ensure!(report.done > 0, "the clients did nothing");
    Ok(())
}

pub(super) fn memory(bed: &Bed, running: &Running) -> Result<Figures> {
    let mut figures = Figures::new();
    let mut note = |names: [&'static str; 2], memory: Memory| {
        figures.extend(names.into_iter().zip([memory.pss_kb as f64, memory.rss_kb as f64]));
    };
    note(["memory-0", "rss-0"], Memory::of(&running.processes(bed)?)?);
    let counts = [(1000, ["memory-1000", "rss-1000"]), (8000, ["memory-8000", "rss-8000"])];
    for (count, names) in counts {
        let job = Job::Idle { count, hold_millis: 1500 };
        let mut clients = bed.clients(&running.contender().targets(), &job)?;
        let line = clients.line(REPORT_TIMEOUT)?;
        ensure!(matches!(line, Line::Ready), "the clients printed {line:?}");
        sleep(QUIET);
        let memory = Memory::of(&running.processes(bed)?)?;
        match clients.line(REPORT_TIMEOUT)? {
            Line::Done(report) => {
                faultless(&report)?;
                ensure!(report.done == count as u64, "{} of {count} sessions lived", report.done);
            }
            other => bail!("the clients printed {other:?}"),
        }
        note(names, memory);
    }
    Ok(figures)
}

pub(super) fn killed(bed: &mut Bed, running: &Running, size: Size) -> Result<Figures> {
    let (observed, broken_at) = observe(bed, running, size.after_kill_millis, |bed| {
        bed.backend(BROKEN).kill().map(|_status| ())
    })?;
    bed.backend(BROKEN).restart()?;
    let names = ["killed-failed", "killed-until", "killed-longest", "killed-held"];
    judge(&observed, broken_at, size.after_kill_millis, names)
}

pub(super) fn hung(bed: &mut Bed, running: &Running, size: Size) -> Result<Figures> {
    let seen = observe(bed, running, size.after_hang_millis, |bed| bed.backend(BROKEN).stop());
    bed.backend(BROKEN).cont()?;
    let (observed, broken_at) = seen?;
    let names = ["hung-failed", "hung-until", "hung-longest", "hung-held"];
    judge(&observed, broken_at, size.after_hang_millis, names)
}

/// What clients see from a moment before `break_it` until so long after it.
fn observe(
    bed: &mut Bed,
    running: &Running,
    after_millis: u64,
    break_it: impl FnOnce(&mut Bed) -> Result<()>,
) -> Result<(Observed, Duration)> {
    const BEFORE: Duration = Duration::from_millis(500);
    let before_millis = u64::try_from(BEFORE.as_millis())?;
    let job = Job::Fault { held: HELD, millis: before_millis + after_millis };
    let mut clients = bed.clients(&running.contender().targets(), &job)?;
    let line = clients.line(REPORT_TIMEOUT)?;
    ensure!(matches!(line, Line::Ready), "the clients printed {line:?}");
    sleep(BEFORE);
    let broken_at = now();
    break_it(bed)?;
    match clients.line(REPORT_TIMEOUT)? {
        Line::Observed(observed) => Ok((observed, broken_at)),
        other => bail!("the clients printed {other:?}"),
    }
}

/// The figures of a fault: failures, the beginning of the last bad attempt, the longest attempt, and
/// when the last session of the broken backend was ended (all of what was watched, if it was not).
fn judge(
    observed: &Observed,
    broken_at: Duration,
    after_millis: u64,
    names: [&'static str; 4],
) -> Result<Figures> {
    let millis = |length: Duration| length.as_secs_f64() * 1e3;
    let lasted = |attempt: &super::load::Attempt| attempt.ended.saturating_sub(attempt.began);
    let is_bad =
        |attempt: &super::load::Attempt| attempt.error.is_some() || lasted(attempt) > STALLED;
    let (before, after): (Vec<_>, Vec<_>) =
        observed.attempts.iter().partition(|attempt| attempt.ended < broken_at);
    ensure!(!before.is_empty() && !after.is_empty(), "no connection was tried");
    let bad_before = before.iter().filter(|attempt| is_bad(attempt)).count();
    ensure!(bad_before == 0, "{bad_before} new connections were bad before anything broke");
    for attempt in after.iter().filter(|attempt| is_bad(attempt)) {
        let (began, lasted) = (attempt.began.saturating_sub(broken_at), lasted(attempt));
        tracing::info!(?began, ?lasted, error = attempt.error, "A bad attempt");
    }
    let failed = after.iter().filter(|attempt| attempt.error.is_some()).count();
    let last_bad =
        after.iter().filter(|attempt| is_bad(attempt)).map(|attempt| attempt.began).max();
    let until = last_bad.map_or(Duration::ZERO, |began| began.saturating_sub(broken_at));
    let longest = after.iter().map(|attempt| lasted(attempt)).max().unwrap_or_default();
    let (theirs, others): (Vec<_>, Vec<_>) =
        observed.held.iter().partition(|held| usize::from(held.backend) == BROKEN);
    ensure!(!theirs.is_empty(), "no held session was the broken backend's");
    let lost = others.iter().filter(|held| held.ended.is_some()).count();
    ensure!(lost == 0, "{lost} sessions of other backends were ended");
    let watched = Duration::from_millis(after_millis);
    let ended = |held: &&super::load::Held| {
        held.ended.map_or(watched, |ended| ended.saturating_sub(broken_at)).min(watched)
    };
    let held = theirs.iter().map(ended).max().unwrap_or(watched);
    let values = [failed as f64, millis(until), millis(longest), millis(held)];
    Ok(names.into_iter().zip(values).collect())
}

#[cfg(test)]
mod tests;
