//! The credentials in their order: which to try first, and what the API servers said of each.
//!
//! A later one is used only while every earlier one is missing, unusable or not authorised. `kubeadm
//! init` since 1.29 writes an `admin.conf` that has no rights until its binding exists, which needs
//! the VIP: for that while there is `super-admin.conf`.

mod slot;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pintle_core::{ClusterCa, LeaseFailure};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::credential::Credential;
use crate::kubeconfig::KubeconfigError;
use crate::rarely::{Rarely, Trouble};
use slot::Slot;

/// How long the first attempts wait for the files: three looks take milliseconds, and the core's first
/// hedge starts after 300 ms.
const FIRST_LOOK_TIMEOUT: Duration = Duration::from_millis(250);

/// The published CAs: three credentials with an old and a new CA each are six.
const MAX_AUTHORITIES: usize = 16;

/// The chain. Shared; each call is short and nothing waits inside the lock.
#[derive(Debug)]
pub(crate) struct Chain {
    slots: Mutex<Slots>,
    /// Grows with each change of a credential.
    changes: watch::Sender<u64>,
    authorities: watch::Sender<Option<ClusterCa>>,
    made_at: Instant,
    without: Rarely,
    refused: Trouble,
}

#[derive(Debug)]
struct Slots {
    list: Vec<Slot>,
    /// The one that last worked.
    in_use: Option<usize>,
}

/// A credential with its place in the chain.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) place: usize,
    pub(crate) credential: Arc<Credential>,
}

// === impl Chain ===

impl Chain {
    pub(crate) fn new<'a>(
        names: impl Iterator<Item = &'a Path>,
        authorities: watch::Sender<Option<ClusterCa>>,
    ) -> Self {
        Self {
            slots: Mutex::new(Slots {
                list: names.map(|name| Slot::new(name.display().to_string())).collect(),
                in_use: None,
            }),
            changes: watch::Sender::new(0),
            authorities,
            made_at: Instant::now(),
            without: Rarely::default(),
            refused: Trouble::default(),
        }
    }

    /// Waits until every place was looked at once: before that, nothing is missing. A disk that hangs
    /// is not waited for.
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub(crate) async fn looked_at(&self) {
        let mut changes = self.changes.subscribe();
        let looking = async {
            while !self.slots().list.iter().all(|slot| slot.looked_at) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        // Past the deadline this only looks whether it is so: no attempt is delayed twice.
        let _ = timeout_at(self.made_at + FIRST_LOOK_TIMEOUT, looking).await;
    }

    /// Tells of each change of a credential.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The serials of the credentials that are loaded.
    pub(crate) fn serials(&self) -> Vec<u64> {
        let slots = self.slots();
        let loaded = slots.list.iter().filter_map(|slot| slot.credential.as_ref());
        loaded.map(|credential| credential.serial).collect()
    }

    /// What to try, best first: all that are not known to be refused, or all if each is.
    pub(crate) fn candidates(&self) -> Vec<Candidate> {
        let slots = self.slots();
        let loaded = |may_be_denied: bool| -> Vec<Candidate> {
            let list = slots.list.iter().enumerate();
            list.filter(|(_, slot)| may_be_denied || slot.denied.is_none())
                .filter_map(|(place, slot)| {
                    let credential = slot.credential.clone()?;
                    Some(Candidate { place, credential })
                })
                .collect()
        };
        let mut candidates = loaded(false);
        if candidates.is_empty() {
            candidates = loaded(true);
        }
        let is_looked_at = slots.list.iter().all(|slot| slot.looked_at);
        if candidates.is_empty() && is_looked_at && self.without.is_due() {
            let tried = slots.states();
            tracing::info!(tried, "Waiting for credentials");
        }
        candidates
    }

    /// Whether a credential that is loaded was taken, and not refused since.
    pub(crate) fn is_served(&self) -> bool {
        let slots = self.slots();
        slots.in_use.is_some_and(|place| slots.list[place].is_usable())
    }

    /// The earlier credentials that were refused and are due to be tried again.
    pub(crate) fn due(&self) -> Vec<Candidate> {
        let now = Instant::now();
        let slots = self.slots();
        // Nothing later works either: each attempt tries them all anyway.
        let earlier = slots.list.iter().enumerate().take(slots.in_use.unwrap_or(0));
        earlier
            .filter_map(|(place, slot)| {
                let credential = slot.credential.clone()?;
                slot.is_due(now).then_some(Candidate { place, credential })
            })
            .collect()
    }

    /// An API server took the credential.
    pub(crate) fn accepted(&self, candidate: &Candidate) {
        if self.refused.is_over() {
            tracing::info!("Credentials are accepted by the API server");
        }
        let mut slots = self.slots();
        let Some(slot) = slots.slot_of(candidate) else {
            return;
        };
        slot.accepted(Instant::now());
        let before = slots.in_use;
        if before.is_some_and(|before| before < candidate.place && slots.list[before].is_usable()) {
            // A late answer to a request that went out before the earlier one worked.
            return;
        }
        if before != Some(candidate.place) {
            slots.in_use = Some(candidate.place);
            slots.say_in_use(candidate.place, before);
        }
    }

    /// An API server refused the credential: 401 or 403.
    pub(crate) fn denied(&self, candidate: &Candidate, failure: LeaseFailure) {
        let mut slots = self.slots();
        if let Some(slot) = slots.slot_of(candidate) {
            slot.denied(failure, Instant::now());
        }
    }

    /// An API server refused all that there is.
    pub(crate) fn all_denied(&self) {
        if self.refused.is_due() {
            let tried = self.slots().states();
            tracing::warn!(tried, "No credentials are accepted by the API server");
        }
    }

    /// What is at a place has changed.
    pub(crate) fn replace(&self, place: usize, found: Result<Credential, KubeconfigError>) {
        let mut slots = self.slots();
        let is_in_use = slots.in_use == Some(place);
        let Some(slot) = slots.list.get_mut(place) else {
            return;
        };
        slot.replace(found, is_in_use);
        let authorities = slots.authorities();
        drop(slots);
        if let Some(authorities) = authorities {
            self.authorities.send_if_modified(|published| {
                let is_new = published.as_ref() != Some(&authorities);
                *published = Some(authorities);
                is_new
            });
        }
        self.changes.send_modify(|count| *count += 1);
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Slots ===

impl Slots {
    /// The slot, if it still holds the credential that was tried.
    fn slot_of(&mut self, candidate: &Candidate) -> Option<&mut Slot> {
        self.list.get_mut(candidate.place).filter(|slot| {
            let serial = slot.credential.as_ref().map(|credential| credential.serial);
            serial == Some(candidate.credential.serial)
        })
    }

    fn states(&self) -> String {
        let states: Vec<String> = self.list.iter().map(Slot::state).collect();
        states.join("; ")
    }

    fn authorities(&self) -> Option<ClusterCa> {
        let mut certificates: Vec<Vec<u8>> = Vec::new();
        for credential in self.list.iter().filter_map(|slot| slot.credential.as_ref()) {
            for authority in &credential.authorities {
                if !certificates.iter().any(|known| known == authority.as_ref()) {
                    certificates.push(authority.to_vec());
                }
            }
        }
        certificates.truncate(MAX_AUTHORITIES);
        (!certificates.is_empty()).then_some(ClusterCa { certificates })
    }

    fn say_in_use(&self, place: usize, before: Option<usize>) {
        let earlier: Vec<String> = self.list[..place].iter().map(Slot::state).collect();
        let credentials = &self.list[place].name;
        match before {
            Some(before) if place < before => {
                tracing::info!(credentials, "Using the earlier credentials again");
            }
            _ if place == 0 => tracing::debug!(credentials, "Using the first credentials"),
            _ => tracing::info!(
                credentials,
                because = earlier.join("; "),
                "Using later credentials while the earlier ones do not work"
            ),
        }
    }
}

/// How long a credential that was refused is left alone at first; kubeadm makes the binding within
/// seconds of the API server's start.
pub(crate) const RECHECK_INTERVAL: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests;
