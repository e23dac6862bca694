//! What net counts. Plain atomics: telemetry reads them when it is scraped.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since start.
#[derive(Debug, Default)]
pub struct Metrics {
    /// The VIP was taken away by somebody and put back.
    pub vip_restored: AtomicU64,
    /// Gratuitous ARP in request form.
    pub gratuitous_arp_requests: AtomicU64,
    /// Gratuitous ARP in reply form.
    pub gratuitous_arp_replies: AtomicU64,
    /// Unsolicited neighbour advertisements.
    pub unsolicited_nas: AtomicU64,
    /// Frames from others that claim the VIP while it is bound or about to be bound here.
    pub conflicts: AtomicU64,
}

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
