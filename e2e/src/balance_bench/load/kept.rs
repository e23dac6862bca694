//! Requests and answers over connections that are kept, so many a second.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Report;
use super::client::{PATIENCE, Schedule, connect, echo, nanoseconds, together};

pub(super) fn work(targets: &[SocketAddr], clients: usize, rate: f64, millis: u64) -> Report {
    together(targets, clients, |number, target, barrier| {
        let (mut report, mut latencies) = (Report::default(), Vec::new());
        let opened = connect(target, PATIENCE).and_then(|mut stream| {
            echo(&mut stream, number as u64)?;
            Ok(stream)
        });
        barrier.wait();
        let began = Instant::now();
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(error) => {
                report.count(Err(error));
                return (report, latencies);
            }
        };
        let mut schedule = Schedule::new(began, number, clients, rate);
        let end = began + Duration::from_millis(millis);
        while Instant::now() < end {
            let started = schedule.wait();
            let outcome = echo(&mut stream, report.done << 8 | number as u64);
            latencies.push(nanoseconds(started.elapsed()));
            let is_over = outcome.is_err();
            report.count(outcome);
            if is_over {
                break;
            }
        }
        report.seconds = began.elapsed().as_secs_f64();
        (report, latencies)
    })
}
