//! What the process may do beyond its capabilities for the network, used where it was granted.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::thread::{CapabilitySet, capabilities};

/// Keeps the process's pages in memory, where IPC_LOCK was granted: a node that swaps must not keep
/// a renewal waiting for its disk. Only pages that are touched (`MCL_ONFAULT`).
pub(crate) fn lock_memory() {
    let is_granted =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    if !is_granted {
        return;
    }
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    match mlockall(all) {
        Ok(()) => tracing::debug!("Memory locked"),
        Err(error) => tracing::warn!(%error, "Memory not locked although IPC_LOCK is granted"),
    }
}
