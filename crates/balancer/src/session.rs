//! What a session's own task, its backend's list and the balancer share of it.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::totals::CloseReason;

/// A connection that has a backend.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Bytes from the client to the backend, and the other way.
    pub(crate) inward: AtomicU64,
    pub(crate) outward: AtomicU64,
    /// When it had a backend that answered.
    opened_at: OnceLock<Instant>,
    end: CancellationToken,
    why: OnceLock<CloseReason>,
}

// === impl Session ===

impl Session {
    /// Bytes, both ways.
    pub(crate) fn moved(&self) -> u64 {
        self.inward.load(Relaxed).wrapping_add(self.outward.load(Relaxed))
    }

    pub(crate) fn opened(&self) {
        // The first time counts.
        let _again = self.opened_at.set(Instant::now());
    }

    pub(crate) fn opened_at(&self) -> Option<Instant> {
        self.opened_at.get().copied()
    }

    /// Asks it to end; the first reason is the one that counts.
    pub(crate) fn end(&self, why: CloseReason) {
        let _later = self.why.set(why);
        self.end.cancel();
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.end.is_cancelled()
    }

    /// Why it is asked to end, as soon as it is. Cancel-safe.
    pub(crate) async fn ending(&self) -> CloseReason {
        self.end.cancelled().await;
        *self.why.get().expect("the reason is set before the end")
    }
}
