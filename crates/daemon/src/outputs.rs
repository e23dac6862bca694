//! The machine's outputs, each to the adapter that carries it out.
//!
//! Nothing here waits: a channel that is full means an adapter that does not run, and the machine's
//! own timers ask again.

use std::net::SocketAddr;

use pintle_cluster::ClusterCommand;
use pintle_core::{
    Backend, Command, Desired, Endpoints, Event, ProbePace, Server, ServerId, Vip, VipDesire,
};
use tokio::sync::{mpsc, watch};

use crate::board::Board;
use crate::states::{self, States};

/// Where everything goes.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub(crate) vips: watch::Sender<VipDesire>,
    pub(crate) pace: watch::Sender<ProbePace>,
    pub(crate) cluster: mpsc::Sender<ClusterCommand>,
    pub(crate) defend: mpsc::Sender<Vip>,
    pub(crate) backends: watch::Sender<Vec<Backend>>,
    /// The addresses of the backends.
    pub(crate) servers: watch::Receiver<Vec<Server>>,
    /// Which of them the cluster has.
    pub(crate) endpoints: watch::Receiver<Endpoints>,
    /// Those that the configuration names.
    pub(crate) fixed: Vec<SocketAddr>,
    pub(crate) board: Board,
}

impl Outputs {
    /// Keeps what `/status` and the metrics show beside the machine's own account.
    pub(crate) fn note(&mut self, event: &Event) {
        self.board.note(event);
    }

    /// Lets the appliers see the latest wish; a wish that is the same as before wakes nobody.
    pub(crate) fn publish(&mut self, desired: &Desired) {
        set(&self.vips, desired.vips);
        set(&self.pace, desired.probe_pace);
        let servers = self.servers.borrow().clone();
        let states = states::of(&servers, &desired.backends, |server| self.has_left(server));
        set(&self.backends, states::backends(&servers, &states));
        // Without a balancer nothing is counted.
        let states = if desired.backends.is_empty() { States::new() } else { states };
        self.board.publish(desired, states);
    }

    /// Hands a command to its adapter.
    pub(crate) fn carry_out(&mut self, command: Command) {
        match command {
            Command::ReadLease { attempt, server } => {
                self.ask_cluster(ClusterCommand::Read { attempt, server });
            }
            Command::WriteLease { attempt, server, write } => {
                self.ask_cluster(ClusterCommand::Write { attempt, server, write });
            }
            Command::Rewatch => self.ask_cluster(ClusterCommand::Rewatch),
            Command::Defend { vip } => {
                if self.defend.try_send(vip).is_err() {
                    tracing::debug!(%vip, "Defence not queued, one is under way");
                }
            }
            Command::Report(transition) => {
                let event = self.board.report(&transition);
                self.ask_cluster(ClusterCommand::Event(event));
            }
            Command::Notify(notice) => {
                if let Some(event) = self.board.notify(&notice) {
                    self.ask_cluster(ClusterCommand::Event(event));
                }
            }
            Command::Exit => {}
        }
    }

    fn has_left(&self, server: &Server) -> bool {
        server.id != ServerId::LOCAL
            && !self.fixed.contains(&server.address)
            && self.endpoints.borrow().has_left(server.address)
    }

    fn ask_cluster(&self, command: ClusterCommand) {
        if let Err(error) = self.cluster.try_send(command) {
            tracing::warn!(%error, "Request not queued, the cluster adapter is behind");
        }
    }
}

/// Publishes a value unless it is the one that stands; true when it was news.
pub(crate) fn set<T: PartialEq>(channel: &watch::Sender<T>, value: T) -> bool {
    channel.send_if_modified(|current| {
        let is_news = *current != value;
        *current = value;
        is_news
    })
}
