//! The whole decision as one machine: election, health, link and ownership of the VIP.
//!
//! ```text
//!             news of the Lease            vacant, fit, link up
//!  Starting --------------------> Follower ---------------------> Candidate
//!                                   ^  ^                              | write succeeded
//!                  Unbound, lease   |  | step_down: lease taken,      v
//!                  written or given |  | right ended, link down     Leader <------+
//!                  up               |  +------------------------------|  |        | renewed
//!                               Releasing <---------------------------+  +---> Held
//!                                 shutdown, unhealthy, link down         right ends, API lost
//! ```
//!
//! The driver's contract: after each call of [`Machine::handle`] or [`Machine::handle_timeout`], take
//! every [`Machine::poll_command`], publish [`Machine::desired`], and call `handle_timeout` when
//! [`Machine::poll_timeout`] says so. `now` must never go back.

mod candidate;
mod follow;
mod hold;
mod lead;
mod leave;
mod observe;
mod phase;
mod timeout;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::backend::Backends;
use crate::command::{Command, Direction, Notice, Reason, Transition};
use crate::config::{ApiLoss, Config, Probe};
use crate::desired::{Desired, ProbePace, Role, Status, VipDesire};
use crate::election::attempts::Attempts;
use crate::election::knowledge::Knowledge;
use crate::election::servers::Servers;
use crate::event::Event;
use crate::health::{Fitness, Health};
use crate::time::Instant;
use crate::vip::MacAddr;

pub use timeout::TimerReason;

use phase::{Candidacy, Departure, LeaveStage, Loss, Phase, Presence, Stage, Start, Term};

/// A deadline handled later than this means that the process did not run: a suspended, stopped or
/// starved process must not begin to hold after its right. Far above what a busy node's scheduler does to a thread.
const LATE_THRESHOLD: Duration = Duration::from_millis(500);

/// The same for one that holds already. What its loop slept through is still in its sockets and heard
/// before anything else, so it may be later than at the beginning, but not as late as the lifetime of
/// a held address (2 s, set each 100 ms): half a second of a starved host was seen on a busy machine.
const HELD_LATE_THRESHOLD: Duration = Duration::from_millis(1500);

/// What the machine needs from the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The identity in the Lease.
    pub node: String,
    /// Which boot of which machine this is.
    pub incarnation: String,
    /// How long a follower waits.
    pub lease_duration: Duration,
    /// How long the right lasts.
    pub renew_deadline: Duration,
    /// From one renewal to the next.
    pub retry_period: Duration,
    /// What a holder does when no API server can be written.
    pub on_api_loss: ApiLoss,
    /// How long this candidate lets others go first.
    pub spread: Duration,
    /// Thresholds of the probe.
    pub probe: Probe,
    /// Connections go to every API server, wherever the VIP is.
    pub is_balanced: bool,
}

impl Settings {
    /// The settings of a node with `config` whose boot is `incarnation`.
    #[must_use]
    pub fn new(config: &Config, incarnation: String) -> Self {
        Self {
            node: config.node.clone(),
            incarnation,
            lease_duration: config.election.lease_duration,
            renew_deadline: config.election.renew_deadline,
            retry_period: config.election.retry_period,
            on_api_loss: config.election.on_api_loss,
            spread: spread(config.election.priority, &config.node),
            probe: config.apiserver.probe.clone(),
            is_balanced: config.balancer.is_some(),
        }
    }
}

/// How long a candidate lets others go first: 5 ms a step of priority, so that a Lease write (3 ms)
/// of the better one ends before the next begins, and up to 5 ms by the node's name (FNV-1a), so
/// that equals seldom collide. A collision costs a conflict, nothing else.
fn spread(priority: i8, node: &str) -> Duration {
    let steps = u64::try_from(4 - i32::from(priority).clamp(-4, 4)).unwrap_or(0);
    let hash = node.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Duration::from_millis(5 * steps) + Duration::from_micros(hash % 5000)
}

/// The decision. See the module's page for the driver's contract.
#[derive(Clone, Debug)]
pub struct Machine {
    settings: Settings,
    phase: Phase,
    since: Instant,
    epoch: u64,
    knowledge: Knowledge,
    servers: Servers,
    attempts: Attempts,
    health: Health,
    backends: Backends,
    carrier: bool,
    presence: Presence,
    /// This host's hardware address on the link, once bound.
    mac: Option<MacAddr>,
    occupied: bool,
    yielded: bool,
    shutdown: bool,
    /// This process has owned nothing yet: what it finds bound is its predecessor's.
    fresh: bool,
    watch_heard_at: Instant,
    watching: bool,
    rewatch_at: Instant,
    poll_at: Instant,
    claim_not_before: Instant,
    /// Health does not take the VIP away before then.
    demote_not_before: Instant,
    acquired: bool,
    loss: Option<Loss>,
    last_reason: Option<Reason>,
    noticed_at: [Option<Instant>; notice::KINDS],
    commands: VecDeque<Command>,
}

impl Machine {
    /// A node that has just started, at `now`.
    #[must_use]
    pub fn new(settings: Settings, now: Instant) -> Self {
        let health = Health::new(&settings.probe);
        let backends = Backends::new(settings.probe.success_threshold);
        Self {
            settings,
            phase: Phase::Starting,
            since: now,
            epoch: 0,
            knowledge: Knowledge::new(now),
            servers: Servers::new(),
            attempts: Attempts::default(),
            health,
            backends,
            carrier: false,
            presence: Presence::Unknown,
            mac: None,
            occupied: false,
            yielded: false,
            shutdown: false,
            fresh: true,
            watch_heard_at: now,
            watching: false,
            rewatch_at: now,
            poll_at: now,
            claim_not_before: now,
            demote_not_before: now,
            acquired: false,
            loss: None,
            last_reason: None,
            noticed_at: [None; notice::KINDS],
            commands: VecDeque::new(),
        }
    }

    /// Takes in a fact. Afterwards every `poll_*` may have something new.
    pub fn handle(&mut self, event: Event, now: Instant) {
        self.note_lateness(now);
        match event {
            Event::LeaseWatched(observed) => self.on_watched(observed, now),
            Event::WatchBroken => self.watching = false,
            Event::LeaseAnswered { attempt, answer } => self.on_answer(attempt, answer, now),
            Event::ServersLearnt(others) => {
                self.servers.learn(&others);
                self.health.retain(&others);
                self.backends.learn(&others);
            }
            Event::Probed { server, outcome } => {
                self.health.observe(server, &outcome, now);
                self.backends.observe(server, &outcome);
                if self.fitness() == Fitness::Fit {
                    // A term that began unfit was spared for that trouble, not for the next.
                    self.demote_not_before = self.demote_not_before.min(now);
                }
                self.consider_demotion(now);
            }
            Event::LinkChanged { carrier } => self.on_link(carrier, now),
            Event::Bound { mac, bound_at, announced_at } => {
                self.on_bound(mac, bound_at, announced_at, now);
            }
            Event::Unbound => self.on_unbound(now),
            Event::BindFailed { .. } => self.on_bind_failed(now),
            Event::AddressOccupied { vip, mac } => self.on_occupied(vip, mac, now),
            Event::ForeignClaim { vip, mac } => self.on_foreign_claim(vip, mac, now),
            Event::Shutdown => self.on_shutdown(now),
        }
        self.advance(now);
    }

    /// Does what is due at `now`. Harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.note_lateness(now);
        self.advance(now);
    }

    /// The next command, in order.
    #[must_use]
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// What the appliers should follow. Changes only in `handle` and `handle_timeout`.
    #[must_use]
    pub fn desired(&self) -> Desired {
        Desired {
            vips: self.vip_desire(),
            probe_pace: if self.settings.is_balanced || self.health.is_suspect() {
                ProbePace::Brisk
            } else {
                ProbePace::Relaxed
            },
            backends: if self.settings.is_balanced {
                self.backends.states()
            } else {
                BTreeMap::new()
            },
            status: self.status(),
        }
    }

    /// Whether this node has the right to the VIP at `now`, and until when.
    #[must_use]
    pub fn entitled_until(&self, now: Instant) -> Option<Instant> {
        match &self.phase {
            Phase::Leader(term) => {
                Some(term.grounds.hold_until().0).filter(|hold_until| now < *hold_until)
            }
            Phase::Starting
            | Phase::Follower
            | Phase::Candidate(_)
            | Phase::Held(_)
            | Phase::Releasing(_) => None,
        }
    }

    fn vip_desire(&self) -> VipDesire {
        match &self.phase {
            Phase::Starting => VipDesire::Undecided,
            // A node that finds itself named by the Lease keeps what the kernel still has while it
            // asks for the Lease: a restart within a second moves nothing.
            Phase::Follower | Phase::Candidate(_) if self.is_resuming() => VipDesire::Undecided,
            Phase::Follower | Phase::Candidate(_) | Phase::Releasing(_) => {
                VipDesire::Absent { yielded: self.yielded }
            }
            Phase::Leader(term) => {
                VipDesire::Owned { hold_until: term.grounds.hold_until().0, claim: term.claim }
            }
            Phase::Held(_) => VipDesire::Held,
        }
    }

    /// Whether this node is a good place for the VIP: its own API server is well, or with the balancer, any
    /// (design §4.3).
    fn fitness(&self) -> Fitness {
        if self.settings.is_balanced && self.backends.is_any_up() {
            Fitness::Fit
        } else {
            self.health.fitness()
        }
    }

    fn is_resuming(&self) -> bool {
        self.fresh
            && self.presence == Presence::Unknown
            && !self.shutdown
            && self.named() == observe::Named::Us
            && self.fitness() != Fitness::Unfit
    }

    fn role(&self) -> Role {
        match &self.phase {
            Phase::Starting => Role::Starting,
            Phase::Follower => Role::Follower,
            Phase::Candidate(_) => Role::Candidate,
            Phase::Leader(_) => Role::Leader,
            Phase::Held(_) => Role::Held,
            Phase::Releasing(_) => Role::Releasing,
        }
    }

    fn status(&self) -> Status {
        Status {
            role: self.role(),
            holder: self.knowledge.holder().map(str::to_owned),
            since: self.since,
            reason: self.last_reason,
            bound: self.presence == Presence::Bound,
            fit: self.fitness() == Fitness::Fit,
            carrier: self.carrier,
            occupied: self.occupied,
            watching: self.watching,
        }
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.since = now;
        self.attempts.aim(now);
    }

    /// Answers to anything sent before this moment entitle to nothing from here on.
    fn begin_epoch(&mut self) {
        self.epoch += 1;
    }

    fn notify(&mut self, notice: Notice, now: Instant) {
        let last = &mut self.noticed_at[notice::kind(&notice)];
        if last.is_none_or(|at| now.since(at) >= notice::QUIET_DURATION) {
            *last = Some(now);
            self.commands.push_back(Command::Notify(notice));
        }
    }

    fn report(&mut self, transition: Transition) {
        self.last_reason = Some(transition.reason);
        self.acquired = transition.direction == Direction::Acquired;
        self.commands.push_back(Command::Report(transition));
    }
}

mod notice {
    //! At most one notice of a kind in a while: a stranger that claims the VIP ten times a second
    //! must not fill the log.

    use std::time::Duration;

    use crate::command::Notice;

    pub(super) const KINDS: usize = 6;
    pub(super) const QUIET_DURATION: Duration = Duration::from_secs(10);

    pub(super) const fn kind(notice: &Notice) -> usize {
        match notice {
            Notice::AddressOccupied { .. } => 0,
            Notice::AddressConflict { .. } => 1,
            Notice::NameTwin { .. } => 2,
            Notice::Holding => 3,
            Notice::Regained => 4,
            Notice::LeaseRestored => 5,
        }
    }
}
