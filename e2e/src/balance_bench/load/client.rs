//! One connection of a client, with a bound on each wait.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::Report;
use crate::balance_bench::protocol::{WHO, echo_frame};

/// Longer than anything but a balancer that has lost the connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What a request carries: a small GET and its answer.
pub(super) const ECHO_BYTES: usize = 251;

/// Connects; each later wait is bounded as well.
pub(super) fn connect(target: SocketAddr, patience: Duration) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target, patience).context("connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

/// Says something and hears the same.
pub(super) fn echo(stream: &mut TcpStream, number: u64) -> Result<()> {
    let frame = echo_frame(number, ECHO_BYTES);
    stream.write_all(&frame).context("send")?;
    let mut answer = [0; ECHO_BYTES + 5];
    stream.read_exact(&mut answer).context("receive")?;
    ensure!(answer[..] == frame[..], "a wrong byte came back");
    Ok(())
}

/// Asks which backend it is.
pub(super) fn who(stream: &mut TcpStream) -> Result<u8> {
    stream.write_all(&[WHO]).context("send")?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).context("receive")?;
    ensure!(answer[0] == WHO, "a wrong byte came back");
    Ok(answer[1])
}

/// Runs so many clients, each on a thread; they wait for each other before they begin.
pub(super) fn together<W>(targets: &[SocketAddr], clients: usize, work: W) -> Report
where
    W: Fn(usize, SocketAddr, &Barrier) -> (Report, Vec<u64>) + Sync,
{
    let barrier = Barrier::new(clients);
    let (work, barrier) = (&work, &barrier);
    thread::scope(|scope| {
        let run = |number: usize| {
            let target = targets[number % targets.len()];
            scope.spawn(move || work(number, target, barrier))
        };
        let threads: Vec<_> = (0..clients).map(run).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        Report::of(threads.into_iter().map(join))
    })
}

/// When requests are due: every so often, whatever became of the last one.
pub(super) struct Schedule {
    due: Instant,
    interval: Duration,
}

// === impl Schedule ===

impl Schedule {
    /// Of client `number` out of `clients`, which share `rate` a second evenly.
    pub(super) fn new(began: Instant, number: usize, clients: usize, rate: f64) -> Self {
        let due = began + Duration::from_secs_f64(number as f64 / rate);
        Self { due, interval: Duration::from_secs_f64(clients as f64 / rate) }
    }

    /// Waits until the next is due; the moment from which its answer counts: when it was due, if the
    /// client was not free then (or a slow answer would hide those behind it), else now, so that the
    /// client's own waking up is not counted.
    pub(super) fn wait(&mut self) -> Instant {
        let due = self.due;
        self.due += self.interval;
        match due.checked_duration_since(Instant::now()) {
            None => due,
            Some(left) => {
                thread::sleep(left);
                Instant::now()
            }
        }
    }
}

pub(super) fn nanoseconds(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}
