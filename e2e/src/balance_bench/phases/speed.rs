//! Bytes, new connections and round trips: clients at work on one side, the balancer's cost on the other.

use anyhow::{Result, bail, ensure};

use super::{Figures, REPORT_TIMEOUT, Size, faultless};
use crate::balance_bench::bed::{BACKENDS, Bed};
use crate::balance_bench::contender::{Contender, Running};
use crate::balance_bench::cost::{Spent, least_disturbed};
use crate::balance_bench::load::{Job, Latency, Line, Report};

const GIB: f64 = (1 << 30) as f64;
const CLIENTS: usize = 32;

/// One job of clients, without a mistake, and what it cost.
fn work(bed: &Bed, running: &Running, job: &Job) -> Result<(Report, Spent)> {
    least_disturbed(|| {
        let processes = running.processes(bed)?;
        let before = Spent::so_far(&processes)?;
        let mut clients = bed.clients(&running.contender().targets(), job)?;
        let report = match clients.line(REPORT_TIMEOUT)? {
            Line::Done(report) => report,
            other => bail!("the clients printed {other:?}"),
        };
        let spent = Spent::so_far(&processes)?.since(&before);
        faultless(&report)?;
        Ok((report, spent))
    })
}

/// Every byte of a small download, compared.
pub(in crate::balance_bench) fn integrity(bed: &Bed, running: &Running) -> Result<()> {
    work(bed, running, &Job::Bulk { streams: BACKENDS, bytes: 32 << 20, checks_all: true })?;
    Ok(())
}

pub(in crate::balance_bench) fn downloads(
    bed: &Bed,
    running: &Running,
    size: Size,
) -> Result<Figures> {
    integrity(bed, running)?;
    let mut figures = Figures::new();
    let one = ["bulk-1", "bulk-1-cpu", "bulk-1-machine"];
    let eight = ["bulk-8", "bulk-8-cpu", "bulk-8-machine"];
    for (streams, [rate, cpu, machine]) in [(1, one), (8, eight)] {
        let bytes = size.bulk / streams as u64;
        let job = Job::Bulk { streams, bytes, checks_all: false };
        let (report, spent) = work(bed, running, &job)?;
        ensure!(report.bytes == bytes * streams as u64, "{} bytes arrived", report.bytes);
        let gib = report.bytes as f64 / GIB;
        figures.insert(rate, report.bytes as f64 * 8.0 / 1e9 / report.seconds);
        figures.insert(cpu, spent.process() / gib);
        figures.insert(machine, spent.machine / gib);
    }
    Ok(without_cost_of_nobody(figures, running))
}

pub(in crate::balance_bench) fn connections(
    bed: &Bed,
    running: &Running,
    size: Size,
) -> Result<Figures> {
    let mut figures = Figures::new();
    let millis = size.millis;
    let many = Job::Connections { clients: CLIENTS, millis };
    let (report, spent) = work(bed, running, &many)?;
    let done = report.done as f64;
    figures.insert("connections", done / report.seconds);
    figures.insert("connections-cpu", spent.process() / done * 1e6);
    figures.insert("connections-user", spent.user / done * 1e6);
    let steady = Job::Connect { clients: 16, rate: 1000.0, millis };
    let (report, _) = work(bed, running, &steady)?;
    insert_latency(&mut figures, report.latency, ["connect-p50", "connect-p99", "connect-p999"]);
    Ok(without_cost_of_nobody(figures, running))
}

pub(in crate::balance_bench) fn round_trips(
    bed: &Bed,
    running: &Running,
    size: Size,
) -> Result<Figures> {
    let mut figures = Figures::new();
    let millis = size.millis;
    let slow = Job::Kept { clients: CLIENTS, rate: 2000.0, millis };
    let (report, _) = work(bed, running, &slow)?;
    let names = ["kept-2000-p50", "kept-2000-p99", "kept-2000-p999"];
    insert_latency(&mut figures, report.latency, names);
    let fast = Job::Kept { clients: CLIENTS, rate: 10_000.0, millis };
    let (report, spent) = work(bed, running, &fast)?;
    let names = ["kept-10000-p50", "kept-10000-p99", "kept-10000-p999"];
    insert_latency(&mut figures, report.latency, names);
    figures.insert("kept-cpu", spent.process() / report.done as f64 * 1e6);
    Ok(without_cost_of_nobody(figures, running))
}

fn insert_latency(figures: &mut Figures, latency: Option<Latency>, names: [&'static str; 3]) {
    let Some(latency) = latency else { return };
    figures.extend(names.into_iter().zip([latency.p50, latency.p99, latency.p999]));
}

fn without_cost_of_nobody(mut figures: Figures, running: &Running) -> Figures {
    if running.contender() == Contender::Direct {
        figures.retain(|name, _| !name.ends_with("-cpu") && !name.ends_with("-user"));
    }
    figures
}
