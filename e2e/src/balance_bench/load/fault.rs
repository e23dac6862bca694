//! What clients see while something breaks: every new connection, and when held ones ended.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::client::{connect, who};
use super::{Line, tell};
use crate::balance_bench::sys::now;

/// How often a new connection begins.
const INTERVAL: Duration = Duration::from_millis(5);
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What was seen. Times are those of the clock that all processes share.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Observed {
    /// Every new connection.
    pub(crate) attempts: Vec<Attempt>,
    /// Every held one.
    pub(crate) held: Vec<Held>,
}

/// A new connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// When it began.
    pub(crate) began: Duration,
    /// When it had its answer, or gave up.
    pub(crate) ended: Duration,
    /// Why it failed.
    pub(crate) error: Option<String>,
}

/// A held connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The number of its backend.
    pub(crate) backend: u8,
    /// When the client saw it end.
    pub(crate) ended: Option<Duration>,
}

pub(super) fn work(targets: &[SocketAddr], held: usize, millis: u64) -> Result<Observed> {
    let end = now() + Duration::from_millis(millis);
    let attempts = Mutex::new(BTreeMap::new());
    let kept = Mutex::new(Vec::new());
    thread::scope(|scope| -> Result<()> {
        let kept = &kept;
        for number in 0..held {
            let mut stream = connect(targets[number % targets.len()], PATIENCE)?;
            let backend = who(&mut stream).context("open a held connection")?;
            stream.set_read_timeout(Some(end.saturating_sub(now()).max(INTERVAL)))?;
            scope.spawn(move || {
                let read = stream.read(&mut [0; 1]);
                let timed_out = |error: &std::io::Error| {
                    matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    )
                };
                let ended = (!read.is_err_and(|error| timed_out(&error))).then(now);
                lock(kept).push(Held { backend, ended });
            });
        }
        tell(&Line::Ready)?;
        let mut due = now();
        for (number, target) in (0_usize..).zip(targets.iter().cycle()) {
            if now() >= end {
                break;
            }
            let attempts = &attempts;
            // At most `PATIENCE / INTERVAL` of them, twice for the two waits.
            scope.spawn(move || {
                let began = now();
                let outcome = connect(*target, PATIENCE).and_then(|mut stream| who(&mut stream));
                let error = outcome.err().map(|error| format!("{error:#}"));
                lock(attempts).insert(number, Attempt { began, ended: now(), error });
            });
            due += INTERVAL;
            thread::sleep(due.saturating_sub(now()));
        }
        Ok(())
    })?;
    let attempts = attempts.into_inner().unwrap_or_else(PoisonError::into_inner);
    let held = kept.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Observed { attempts: attempts.into_values().collect(), held })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
