//! The Lease as an administrator reads and edits it, through one host's API server.

use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Bed;

/// The Lease that the election is about.
pub const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/pintle";

/// An edit that takes longer would not happen at the time it is meant to.
const EDIT_TIMEOUT: Duration = Duration::from_secs(1);

/// A time as `metav1.MicroTime` has it.
#[must_use]
pub fn micro_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

impl Bed {
    /// Whom the Lease names, read through a host's API server; empty when nobody.
    ///
    /// # Errors
    /// When there is no Lease, or no answer.
    pub fn lease_holder(&self, through: usize) -> Result<String> {
        let lease = self.cluster.api(through).get(LEASE)?.into_success()?;
        let holder = lease["spec"]["holderIdentity"].as_str();
        Ok(holder.unwrap_or_default().to_owned())
    }

    /// Applies a JSON merge patch to the Lease.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub fn edit_lease(&self, through: usize, patch: &Value) -> Result<()> {
        let api = self.cluster.api(through).with_timeout(EDIT_TIMEOUT);
        api.patch(LEASE, patch)?.into_success().map(drop)
    }

    /// Deletes the Lease.
    ///
    /// # Errors
    /// When there is none, or no answer.
    pub fn delete_lease(&self, through: usize) -> Result<()> {
        let api = self.cluster.api(through).with_timeout(EDIT_TIMEOUT);
        let answer = api.delete(LEASE)?;
        ensure!(answer.is_success(), "status {}: {}", answer.status, answer.text());
        Ok(())
    }

    /// Writes a stranger into the Lease, as a stranger would: with a time of its own and `seconds`
    /// as its published duration.
    ///
    /// # Errors
    /// As [`Bed::edit_lease`].
    pub fn claim_for_stranger(&self, through: usize, seconds: u32) -> Result<()> {
        let now = micro_time(Timestamp::now());
        let spec = json!({
            "holderIdentity": "stranger",
            "leaseDurationSeconds": seconds,
            "acquireTime": now,
            "renewTime": now,
        });
        self.edit_lease(through, &json!({ "spec": spec }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_kubernetes_reads_them() {
        let at = Timestamp::new(1_700_000_000, 5_000_000).unwrap();
        assert_eq!(micro_time(at), "2023-11-14T22:13:20.005000Z");
    }
}
