//! The one event loop: wait, feed the machine, publish what it wants. Decides nothing.
//!
//! Runs alone on the control thread's runtime beside net, cluster and probe. `select!` drops only
//! futures that are cancel-safe: `mpsc::Receiver::recv` and [`Fence::fired`].

use std::time::Duration;

use pintle_core::{Command, Event, Machine};
use pintle_net::Fence;
use pintle_telemetry::Heartbeat;
use tokio::sync::mpsc;

use crate::clock::now;
use crate::outputs::Outputs;

/// Events taken in one turn before desired state is published: enough for a burst, little enough
/// that a flood cannot keep the appliers from their news.
const EVENTS_A_TURN: usize = 32;

/// The loop turns at least this often, so that `/livez` tells a stuck loop from a quiet one.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// The control loop and all that it owns.
#[derive(Debug)]
pub(crate) struct Control {
    machine: Machine,
    events: mpsc::Receiver<Event>,
    outputs: Outputs,
    heartbeat: Heartbeat,
}

impl Control {
    pub(crate) const fn new(
        machine: Machine,
        events: mpsc::Receiver<Event>,
        outputs: Outputs,
        heartbeat: Heartbeat,
    ) -> Self {
        Self { machine, events, outputs, heartbeat }
    }

    /// Turns until the machine has given everything back.
    ///
    /// # Errors
    ///
    /// When the timer cannot be made or read: without it no deadline is kept.
    pub(crate) async fn run(mut self) -> std::io::Result<()> {
        let timer = Fence::new()?;
        loop {
            self.heartbeat.beat(now());
            let idle = now() + HEARTBEAT_INTERVAL;
            let deadline = self.machine.poll_timeout().map_or(idle, |(at, _)| at.min(idle));
            timer.arm(Some(deadline))?;
            tokio::select! {
                event = self.events.recv() => {
                    // The senders are held by `run::live` and the adapters: the queue never closes.
                    if let Some(event) = event {
                        self.take(event);
                    }
                }
                expired = timer.fired() => {
                    expired?;
                    self.machine.handle_timeout(now());
                }
            }
            for _ in 0..EVENTS_A_TURN {
                let Ok(event) = self.events.try_recv() else {
                    break;
                };
                self.take(event);
            }
            if self.flush() {
                return Ok(());
            }
        }
    }

    fn take(&mut self, event: Event) {
        tracing::trace!(?event, "Event");
        self.outputs.note(&event);
        self.machine.handle(event, now());
    }

    /// Publishes desired state, then the commands; true when the process should end.
    fn flush(&mut self) -> bool {
        self.outputs.publish(&self.machine.desired());
        let mut is_over = false;
        while let Some(command) = self.machine.poll_command() {
            tracing::trace!(?command, "Command");
            is_over |= command == Command::Exit;
            self.outputs.carry_out(command);
        }
        is_over
    }
}
