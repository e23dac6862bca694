//! Probes API servers in this process: HTTPS `/readyz` over a kept connection, typed outcomes.
//!
//! It finds out and reports, each probe as one [`Event::Probed`]; it never counts, never decides
//! that a server is unfit, and never probes through the VIP or anything balanced. It makes no other
//! API call and shares no lock with one (design §4.3).
//!
//! ```text
//! targets, ca --> supervisor --(one task per target)--> Target --Event::Probed--> core
//! pace ------------------------------------------------^   `-- kept TLS connection
//! ```
//!
//! Tasks, all on the caller's runtime:
//! - the supervisor follows `targets` and `ca`; cancel-safe; its end ends everything below it;
//! - one per target: waits, probes, reports; it may be dropped at any await;
//! - one per kept connection, which moves bytes and whose end is the news that the connection broke.

#![forbid(unsafe_code)]

mod certificate;
mod connection;
mod plan;
mod readyz;
mod target;
mod trust;

use std::sync::Arc;

use pintle_core::{ClusterCa, Event, ProbePace, Server};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

pub use self::certificate::{CertificateError, Coverage, certificate_covers};
use self::plan::Plan;
pub use self::plan::{ProbeConfig, StartError};
use self::target::Target;
use self::trust::Trust;

/// More control-plane nodes than any cluster has (etcd advises seven); the rest is not probed.
const MAX_TARGETS: usize = 16;

/// Starts to probe every server in `targets`, the local one included, and follows all three channels.
///
/// Returns the supervisor. Everything ends when it is aborted, when the sender of `targets`, `pace`
/// or `ca` is dropped, or when the receiver of `events` is. Dropping the handle ends nothing.
///
/// # Errors
/// When the path or the server name cannot be used in a request.
///
/// # Panics
/// Outside a tokio runtime.
pub fn start(
    config: ProbeConfig,
    targets: watch::Receiver<Vec<Server>>,
    pace: watch::Receiver<ProbePace>,
    ca: watch::Receiver<Option<ClusterCa>>,
    events: mpsc::Sender<Event>,
) -> Result<JoinHandle<()>, StartError> {
    let plan = Arc::new(Plan::new(config)?);
    let supervisor = Supervisor { plan, targets, pace, ca, events, running: Vec::new() };
    Ok(tokio::spawn(supervisor.run()))
}

/// Follows the list of targets and the cluster's CA.
struct Supervisor {
    plan: Arc<Plan>,
    targets: watch::Receiver<Vec<Server>>,
    pace: watch::Receiver<ProbePace>,
    ca: watch::Receiver<Option<ClusterCa>>,
    events: mpsc::Sender<Event>,
    running: Vec<(Server, AbortOnDropHandle<()>)>,
}

// === impl Supervisor ===

impl Supervisor {
    async fn run(mut self) {
        let mut known = self.ca.borrow_and_update().clone();
        let (trust, trusted) = watch::channel(Trust::new(known.as_ref()));
        loop {
            self.follow_targets(&trusted);
            tokio::select! {
                changed = self.targets.changed() => if changed.is_err() { return },
                changed = self.ca.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let latest = self.ca.borrow_and_update().clone();
                    // The same CA read anew must not cost the kept connections.
                    if latest != known {
                        trust.send_replace(Trust::new(latest.as_ref()));
                        known = latest;
                    }
                }
                () = self.events.closed() => return,
            }
        }
    }

    fn follow_targets(&mut self, trusted: &watch::Receiver<Trust>) {
        let mut wanted = self.targets.borrow_and_update().clone();
        if wanted.len() > MAX_TARGETS {
            tracing::warn!(
                count = wanted.len(),
                limit = MAX_TARGETS,
                "Too many API servers to probe"
            );
            wanted.truncate(MAX_TARGETS);
        }
        self.running.retain(|(server, task)| wanted.contains(server) && !task.is_finished());
        for server in wanted {
            if self.running.iter().all(|(running, _)| *running != server) {
                let target = Target::new(
                    server,
                    Arc::clone(&self.plan),
                    trusted.clone(),
                    self.pace.clone(),
                    self.events.clone(),
                );
                self.running.push((server, AbortOnDropHandle::new(tokio::spawn(target.run()))));
            }
        }
    }
}
