//! New connections: connect, one echo, close; as many as there can be, or so many a second.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Report;
use super::client::{PATIENCE, Schedule, connect, echo, nanoseconds, together};

pub(super) fn work(
    targets: &[SocketAddr],
    clients: usize,
    rate: Option<f64>,
    millis: u64,
) -> Report {
    together(targets, clients, |number, first, barrier| {
        let (mut report, mut latencies) = (Report::default(), Vec::new());
        let mut targets = targets.iter().cycle().skip_while(|target| **target != first);
        barrier.wait();
        let began = Instant::now();
        let mut schedule = rate.map(|rate| Schedule::new(began, number, clients, rate));
        let end = began + Duration::from_millis(millis);
        while Instant::now() < end {
            let started = schedule.as_mut().map_or_else(Instant::now, Schedule::wait);
            let Some(target) = targets.next() else { break };
            let outcome = connect(*target, PATIENCE)
                .and_then(|mut stream| echo(&mut stream, report.done << 8 | number as u64));
            latencies.push(nanoseconds(started.elapsed()));
            report.count(outcome);
        }
        report.seconds = began.elapsed().as_secs_f64();
        (report, latencies)
    })
}
