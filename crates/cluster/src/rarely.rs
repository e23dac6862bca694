//! Lets a line through at most once a minute: what goes wrong each 500 ms must not fill a disk.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Often enough that whoever follows the log sees it, rare enough for a night.
const INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(crate) struct Rarely {
    last: Mutex<Option<Instant>>,
}

impl Rarely {
    /// Whether the line may be written; if so, the next one has to wait.
    pub(crate) fn is_due(&self) -> bool {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|at| now.duration_since(at) >= INTERVAL);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}
