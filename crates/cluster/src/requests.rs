//! Carries out commands: each attempt on a task of its own, so that none waits for another.

use std::sync::Arc;

use pintle_core::{AttemptId, Event, LeaseAnswer, LeaseFailure, LeaseWrite, ServerId};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use crate::api::Api;
use crate::{ClusterCommand, KubeEvent};

/// Attempts at once. One ends within 1 s and the core starts the next after 300 ms, through each of
/// its servers: three or four in the worst case.
const MAX_ATTEMPTS: usize = 16;

/// The doers that commands are handed to.
pub(crate) struct Requests {
    pub(crate) api: Arc<Api>,
    pub(crate) rewatch: Arc<Notify>,
    pub(crate) kube_events: mpsc::Sender<KubeEvent>,
    pub(crate) events: mpsc::Sender<Event>,
}

// === impl Requests ===

impl Requests {
    /// Runs until the commands end, and then until the attempts under way have. Never waits for
    /// `events`, so that a core which is busy with commands cannot block itself.
    pub(crate) async fn run(self, mut commands: mpsc::Receiver<ClusterCommand>) {
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.carry_out(command, &mut under_way),
                    None => break,
                },
                Some(_) = under_way.join_next() => {}
            }
        }
        // Who posts Events is not to wait for the attempts.
        drop(self);
        while under_way.join_next().await.is_some() {}
    }

    fn carry_out(&self, command: ClusterCommand, under_way: &mut JoinSet<()>) {
        match command {
            ClusterCommand::Read { attempt, server } => {
                self.start(attempt, server, None, under_way);
            }
            ClusterCommand::Write { attempt, server, write } => {
                self.start(attempt, server, Some(write), under_way)
            }
            ClusterCommand::Rewatch => self.rewatch.notify_one(),
            ClusterCommand::Event(event) => {
                if self.kube_events.try_send(event).is_err() {
                    tracing::debug!("Too many Events wait: one is dropped");
                }
            }
        }
    }

    fn start(
        &self,
        attempt: AttemptId,
        server: ServerId,
        write: Option<LeaseWrite>,
        under_way: &mut JoinSet<()>,
    ) {
        // Composed here, so that the stamps grow in the order of the commands.
        let object = write.map(|write| self.api.ledger.compose(attempt, &write));
        let address = self.api.address_of(server);
        let is_full = under_way.len() >= MAX_ATTEMPTS;
        let (api, events) = (Arc::clone(&self.api), self.events.clone());
        let work = async move {
            let answer = match (address, object) {
                (None, _) => Err(LeaseFailure::Refused),
                (Some(address), None) => api.read(address).await.map(LeaseAnswer::Read),
                (Some(address), Some(object)) => {
                    api.write(address, &object).await.map(LeaseAnswer::Written)
                }
            };
            let answer = answer.unwrap_or_else(LeaseAnswer::Failed);
            // Nobody hears it while the daemon ends.
            let _ = events.send(Event::LeaseAnswered { attempt, answer }).await;
        };
        if is_full {
            tracing::warn!(?attempt, "Too many attempts at once: one is not made");
            let answer = LeaseAnswer::Failed(LeaseFailure::Refused);
            let _ = self.events.try_send(Event::LeaseAnswered { attempt, answer });
            return;
        }
        under_way.spawn(work);
    }
}
