//! One place in the chain: what is there, and what was last said of it.

use std::sync::Arc;
use std::time::Duration;

use pintle_core::LeaseFailure;
use tokio::time::Instant;

use super::RECHECK_INTERVAL;
use crate::credential::Credential;
use crate::kubeconfig::KubeconfigError;

/// A credential that may read and not write would be taken and refused in turns: each turn waits
/// longer, up to this.
const MAX_RECHECK_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) credential: Option<Arc<Credential>>,
    pub(super) denied: Option<Denied>,
    pub(super) looked_at: bool,
    recheck_interval: Duration,
    /// The first time that it was taken since it was last refused.
    accepted_at: Option<Instant>,
    /// Why the newest version is not the one in use.
    fault: Option<String>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Denied {
    failure: LeaseFailure,
    recheck_at: Instant,
}

// === impl Slot ===

impl Slot {
    pub(super) const fn new(name: String) -> Self {
        Self {
            name,
            credential: None,
            denied: None,
            looked_at: false,
            recheck_interval: RECHECK_INTERVAL,
            accepted_at: None,
            fault: None,
        }
    }

    pub(super) const fn is_usable(&self) -> bool {
        self.credential.is_some() && self.denied.is_none()
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.denied.is_some_and(|denied| denied.recheck_at <= now)
    }

    pub(super) fn accepted(&mut self, now: Instant) {
        self.denied = None;
        let since = *self.accepted_at.get_or_insert(now);
        // Not in turns: what it was refused for before has no meaning for a refusal to come.
        if now.duration_since(since) > self.recheck_interval {
            self.recheck_interval = RECHECK_INTERVAL;
        }
    }

    pub(super) fn denied(&mut self, failure: LeaseFailure, now: Instant) {
        let recheck_at = now + self.recheck_interval;
        if self.denied.is_none() {
            // Doubled for the case that it is taken once more and then refused again.
            self.recheck_interval = (self.recheck_interval * 2).min(MAX_RECHECK_INTERVAL);
        }
        self.denied = Some(Denied { failure, recheck_at });
        self.accepted_at = None;
    }

    /// A version that cannot be used does not displace one that can: it may be half written. A file
    /// that is gone is forgotten, unless nothing else is known to work.
    pub(super) fn replace(&mut self, found: Result<Credential, KubeconfigError>, is_in_use: bool) {
        let is_first = !std::mem::replace(&mut self.looked_at, true);
        let credentials = &self.name;
        match found {
            Ok(credential) => {
                if !is_first {
                    tracing::info!(credentials, "Read changed credentials");
                }
                let odd = credential.odd_authority.as_ref();
                let known = self.credential.as_ref().and_then(|last| last.odd_authority.as_ref());
                // A token that is renewed each hour brings the same CA again.
                if let Some(error) = odd.filter(|_| odd != known) {
                    tracing::warn!(credentials, %error, "A CA certificate cannot be used: using the others");
                }
                self.credential = Some(Arc::new(credential));
                self.denied = None;
                self.recheck_interval = RECHECK_INTERVAL;
                self.accepted_at = None;
                self.fault = None;
            }
            Err(error) => {
                let is_gone = matches!(error, KubeconfigError::Missing);
                let is_kept = self.credential.is_some() && (is_in_use || !is_gone);
                if is_kept {
                    tracing::warn!(
                        credentials,
                        error = %error,
                        "Credentials changed and cannot be used: keeping those that were read before"
                    );
                } else if !is_gone {
                    tracing::warn!(credentials, error = %error, "Credentials cannot be used");
                }
                if !is_kept {
                    self.credential = None;
                    self.denied = None;
                }
                self.fault = Some(error.to_string());
            }
        }
    }

    /// What an operator should know of it.
    pub(super) fn state(&self) -> String {
        let name = &self.name;
        match (&self.denied, &self.fault, &self.credential) {
            (Some(denied), _, _) if denied.failure == LeaseFailure::Unauthorised => {
                format!("{name} is not known to the API server (401)")
            }
            (Some(_), _, _) => format!("{name} is not authorised yet (403)"),
            (None, Some(fault), None) => format!("{name} {fault}"),
            (None, None, None) => format!("{name} has not been read yet"),
            (None, _, Some(_)) => format!("{name} is readable"),
        }
    }
}
