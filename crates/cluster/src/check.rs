//! What `pintle check` asks of a kubeconfig.

use std::path::Path;

use crate::clock::wall_clock;
use crate::credential::Credential;
use crate::kubeconfig::{KubeconfigError, KubeconfigReport};
use crate::source::{Snapshot, read_kubeconfig};

/// Reads a kubeconfig as the chain does, and says what is in it. Blocks; asks no API server.
///
/// # Errors
/// One for each way in which it cannot be used.
pub fn check_kubeconfig(path: &Path) -> Result<KubeconfigReport, KubeconfigError> {
    let material = read_kubeconfig(path, &mut Snapshot::default())?;
    let report = material.report(wall_clock());
    Credential::new(material)?;
    Ok(report)
}
