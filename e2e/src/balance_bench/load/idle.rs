//! Connections that say nothing for a while, as watches do.

use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::client::{PATIENCE, connect, echo, together};
use super::{Line, Report, tell};

/// So many open connections at a time.
const THREADS: usize = 16;

pub(super) fn work(targets: &[SocketAddr], count: usize, hold_millis: u64) -> Report {
    let (all_open, all_heard) = (Barrier::new(THREADS), Barrier::new(THREADS));
    together(targets, THREADS, |thread, target, barrier| {
        let mut report = Report::default();
        let mine = (thread..count).step_by(THREADS);
        barrier.wait();
        let began = Instant::now();
        let mut open: Vec<TcpStream> = Vec::new();
        for number in mine {
            let opened = connect(target, PATIENCE).and_then(|mut stream| {
                echo(&mut stream, number as u64)?;
                Ok(stream)
            });
            match opened {
                Ok(stream) => open.push(stream),
                Err(error) => report.count(Err(error.context("open"))),
            }
        }
        if all_open.wait().is_leader() {
            // Nobody to be told: the report will say that nothing was measured.
            let _closed = tell(&Line::Ready);
        }
        sleep(Duration::from_millis(hold_millis));
        for (number, stream) in open.iter_mut().enumerate() {
            report
                .count(echo(stream, number as u64).map_err(|error| error.context("after idling")));
        }
        // Who closes first would leave the others as a backend's surplus.
        all_heard.wait();
        report.seconds = began.elapsed().as_secs_f64();
        (report, Vec::new())
    })
}
