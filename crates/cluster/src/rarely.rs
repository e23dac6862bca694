//! Lets a line through at most once a minute: what goes wrong each 500 ms must not fill a disk. And not
//! before it has lasted, where it often ends by itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Often enough that whoever follows the log sees it, rare enough for a night.
const INTERVAL: Duration = Duration::from_secs(60);

/// An API server that has just started refuses everyone until it has read its roles, 1-3 s long.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// Trouble that is worth a line when it lasts, and then another one when it is over.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    began: Mutex<Option<Began>>,
    line: Rarely,
}

#[derive(Clone, Copy, Debug)]
struct Began {
    at: Instant,
    was_told: bool,
}

impl Trouble {
    /// It is there: whether that is to be told.
    pub(crate) fn is_due(&self) -> bool {
        let mut began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let trouble = began.get_or_insert(Began { at: now, was_told: false });
        let is_due = now.duration_since(trouble.at) >= PATIENCE && self.line.is_due();
        trouble.was_told |= is_due;
        is_due
    }

    /// It is not there: whether that is to be told.
    pub(crate) fn is_over(&self) -> bool {
        let mut began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        began.take().is_some_and(|trouble| trouble.was_told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn trouble_is_told_when_it_lasts_and_when_it_is_over() {
        let trouble = Trouble::default();
        assert!(!trouble.is_over(), "there was none");
        assert!(!trouble.is_due());
        tokio::time::advance(PATIENCE / 2).await;
        assert!(!trouble.is_due() && !trouble.is_over(), "it ended by itself");
        assert!(!trouble.is_due());
        tokio::time::advance(PATIENCE).await;
        assert!(trouble.is_due());
        assert!(!trouble.is_due(), "once a minute");
        assert!(trouble.is_over());
        assert!(!trouble.is_over(), "once");
    }
}
