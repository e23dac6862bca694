//! The world: true time, messages under way, and the adapters' part in small.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use pintle_core::config::ApiLoss;
use pintle_core::{
    AttemptId, Command, Event, LeaseAnswer, LeaseFailure, LeaseWrite, Machine, ProbeOutcome,
    ServerId,
};

use crate::api::{Api, ServerState, Writer};
use crate::invariants;
use crate::node::{Nanos, Node};
use crate::random::Random;

/// One millisecond.
pub const MS: Nanos = 1_000_000;

/// cluster gives an attempt up after this long.
const ATTEMPT_TIMEOUT: Nanos = 1000 * MS;

/// Something that happens at a moment of true time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A node's timer, or the end of its pause.
    Wake(usize),
    /// A message arrives at a node's process, by index into `messages`.
    Deliver(usize, u64, usize),
    /// A request arrives at an API server, by index into `requests`.
    Arrive(usize),
    /// A node probes the API servers.
    Probe(usize),
    /// A fault begins or ends.
    Fault,
}

#[derive(Clone, Debug)]
struct Request {
    node: usize,
    process: u64,
    attempt: AttemptId,
    server: usize,
    sent: Nanos,
    write: Option<LeaseWrite>,
}

/// Everything.
#[derive(Debug)]
pub struct World {
    /// True time.
    pub now: Nanos,
    /// The hosts.
    pub nodes: Vec<Node>,
    /// The control plane.
    pub api: Api,
    /// The source of chance.
    pub random: Random,
    /// No new faults.
    pub calm: bool,
    steps: BinaryHeap<Reverse<(Nanos, u64, Step)>>,
    sequence: u64,
    messages: Vec<Event>,
    requests: Vec<Request>,
}

impl World {
    /// `size` nodes whose clocks run at rates within `max_drift_ppm` of true time.
    #[must_use]
    pub fn new(seed: u64, size: usize, max_drift_ppm: u64) -> Self {
        let mut random = Random::new(seed);
        // *Held* ends a right early: without it, one that is too long shows.
        let on_api_loss = if random.range(0, 2) == 0 { ApiLoss::Hold } else { ApiLoss::Release };
        let nodes = (0..size)
            .map(|index| {
                let drift = random.range(0, 2 * max_drift_ppm + 1).cast_signed()
                    - max_drift_ppm.cast_signed();
                let mut node = Node::new(index, drift);
                node.settings.on_api_loss = on_api_loss;
                node
            })
            .collect();
        let mut world = Self {
            now: 0,
            nodes,
            api: Api::new(size),
            random,
            calm: false,
            steps: BinaryHeap::new(),
            sequence: 0,
            messages: Vec::new(),
            requests: Vec::new(),
        };
        for node in 0..size {
            world.boot(node);
            world.schedule(0, Step::Probe(node));
        }
        world.schedule(500 * MS, Step::Fault);
        world
    }

    /// Runs until `end`, checking the invariants after each step.
    ///
    /// # Errors
    ///
    /// The first property that does not hold, with the moment.
    pub fn run_until(&mut self, end: Nanos) -> Result<(), String> {
        while let Some(Reverse((at, _, _))) = self.steps.peek() {
            if *at > end {
                break;
            }
            let Some(Reverse((at, _, step))) = self.steps.pop() else {
                break;
            };
            self.now = self.now.max(at);
            self.step(step);
            invariants::always(&self.nodes, self.now)
                .map_err(|what| format!("at {} ms: {what}", self.now / MS))?;
        }
        self.now = end;
        Ok(())
    }

    /// Starts a process on `node`.
    pub fn boot(&mut self, node: usize) {
        let now = self.now;
        self.nodes[node].start(now);
        let others = (1..self.nodes.len()).map(|index| ServerId(u16::try_from(index).unwrap_or(1)));
        let carrier = self.nodes[node].carrier;
        let learnt = Event::ServersLearnt(others.collect());
        self.deliver(node, learnt, 0);
        self.deliver(node, Event::LinkChanged { carrier }, 0);
        self.watch_one(node);
    }

    /// Ends the process on `node`; the kernel keeps what it has.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].machine = None;
    }

    /// The process on `node` does not run for `length`.
    pub fn pause(&mut self, node: usize, length: Nanos) {
        let until = self.now + length;
        self.nodes[node].paused_until = Some(until);
        self.schedule(until, Step::Wake(node));
    }

    /// Gives `event` to the process that runs on `node` now, after `delay`.
    pub fn deliver(&mut self, node: usize, event: Event, delay: Nanos) {
        self.messages.push(event);
        let (process, message) = (self.nodes[node].process, self.messages.len() - 1);
        self.schedule(self.now + delay, Step::Deliver(node, process, message));
    }

    /// Shows the Lease to every watch that works.
    pub fn watch_all(&mut self) {
        for node in 0..self.nodes.len() {
            self.watch_one(node);
        }
    }

    fn watch_one(&mut self, node: usize) {
        let delay = self.random.range(MS / 2, 20 * MS);
        let can_watch = self.nodes[node].watch_works
            && (self.nodes[node].reachable || self.api.servers[node] == ServerState::Up);
        if !can_watch {
            return;
        }
        let at = (self.now + delay).max(self.nodes[node].watch_delivers_at);
        self.nodes[node].watch_delivers_at = at;
        let observed = self.api.observe(node, self.nodes[node].process);
        self.deliver(node, Event::LeaseWatched(observed), at - self.now);
    }

    fn schedule(&mut self, at: Nanos, step: Step) {
        self.sequence += 1;
        self.steps.push(Reverse((at, self.sequence, step)));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wake(node) => self.turn(node, None),
            Step::Deliver(node, process, message) => {
                if self.nodes[node].process == process {
                    let event = self.messages[message].clone();
                    self.turn(node, Some(event));
                }
            }
            Step::Arrive(request) => self.arrive(request),
            Step::Probe(node) => {
                self.probe(node);
                self.schedule(self.now + 500 * MS, Step::Probe(node));
            }
            Step::Fault => {
                if !self.calm {
                    crate::faults::inject(self);
                    let pause = self.random.range(50 * MS, 3000 * MS);
                    self.schedule(self.now + pause, Step::Fault);
                }
            }
        }
    }

    /// One turn of a node's loop, as the daemon does it.
    fn turn(&mut self, index: usize, event: Option<Event>) {
        let now = self.now;
        let node = &mut self.nodes[index];
        node.enforce(now);
        if !node.is_running(now) {
            node_inbox(node, event);
            return;
        }
        let mut commands = Vec::new();
        if node.paused_until.take().is_some() {
            commands = node.turn(None, now);
        }
        let events: Vec<Event> = node.inbox.drain(..).chain(event).collect();
        commands.extend(node.turn(events, now));
        let wake = node.machine.as_ref().and_then(Machine::poll_timeout);
        let wake = wake.map(|(at, _)| node.true_time(at));
        if let Some(told) = node.follow(now) {
            self.deliver(index, told, MS);
        }
        for command in commands {
            self.carry_out(index, command);
        }
        if let Some(at) = wake {
            self.schedule(at.max(now + 1000), Step::Wake(index));
        }
    }

    fn carry_out(&mut self, node: usize, command: Command) {
        let (attempt, server, write) = match command {
            Command::ReadLease { attempt, server } => (attempt, server, None),
            Command::WriteLease { attempt, server, write } => (attempt, server, Some(write)),
            Command::Rewatch => {
                self.nodes[node].watch_works |= self.random.one_in(2);
                self.watch_one(node);
                return;
            }
            Command::Exit => {
                self.kill(node);
                return;
            }
            Command::Defend { .. } | Command::Report(_) | Command::Notify(_) => return,
        };
        let server = (node + usize::from(server.0)) % self.nodes.len();
        let request = Request {
            node,
            process: self.nodes[node].process,
            attempt,
            server,
            sent: self.now,
            write,
        };
        self.requests.push(request);
        // Mostly quick, at times slow, at times so slow that the sender has long given it up.
        let delay = match self.random.range(0, 20) {
            0 => self.random.range(100 * MS, 1500 * MS),
            1 if !self.calm => self.random.range(1000 * MS, 6000 * MS),
            _ => self.random.range(MS / 4, 10 * MS),
        };
        self.schedule(self.now + delay, Step::Arrive(self.requests.len() - 1));
    }

    fn arrive(&mut self, index: usize) {
        let request = self.requests[index].clone();
        let node = &self.nodes[request.node];
        let can_reach = node.reachable || request.server == request.node;
        let server = self.api.servers[request.server];
        let answer = if !can_reach || server == ServerState::Hung || !self.api.quorum {
            LeaseAnswer::Failed(LeaseFailure::Timeout)
        } else if server == ServerState::Down {
            LeaseAnswer::Failed(LeaseFailure::Refused)
        } else if server == ServerState::Failing {
            LeaseAnswer::Failed(LeaseFailure::Unavailable)
        } else {
            self.execute(&request)
        };
        let back = if self.random.one_in(20) {
            self.random.range(100 * MS, 3000 * MS)
        } else {
            self.random.range(MS / 4, 5 * MS)
        };
        let is_lost = !self.calm && self.random.one_in(15);
        let deadline = request.sent + ATTEMPT_TIMEOUT;
        let answered_at = self.now + back;
        let has_timed_out = is_lost
            || answered_at > deadline
            || answer == LeaseAnswer::Failed(LeaseFailure::Timeout);
        let (answer, at) = if has_timed_out {
            (LeaseAnswer::Failed(LeaseFailure::Timeout), deadline.max(self.now))
        } else {
            (answer, answered_at)
        };
        if self.nodes[request.node].process == request.process {
            let event = Event::LeaseAnswered { attempt: request.attempt, answer };
            self.deliver(request.node, event, at - self.now);
        }
    }

    fn execute(&mut self, request: &Request) -> LeaseAnswer {
        let Some(write) = &request.write else {
            return LeaseAnswer::Read(self.api.observe(request.node, request.process));
        };
        let (name, incarnation) =
            (self.nodes[request.node].name.clone(), self.nodes[request.node].incarnation());
        let writer =
            Writer { node: request.node, process: request.process, attempt: request.attempt };
        let (answer, has_changed) = self.api.write(writer, &name, &incarnation, write);
        if has_changed {
            self.watch_all();
        }
        answer
    }

    fn probe(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            let server = (node + other) % self.nodes.len();
            let can_reach = self.nodes[node].reachable || other == 0;
            let outcome = match self.api.servers[server] {
                ServerState::Up if can_reach && self.api.quorum => ProbeOutcome::Ready,
                ServerState::Down if can_reach => ProbeOutcome::Refused,
                ServerState::Failing if can_reach => ProbeOutcome::NotReady(Vec::new()),
                ServerState::Up | ServerState::Hung | ServerState::Down | ServerState::Failing => {
                    ProbeOutcome::Timeout
                }
            };
            let server = ServerId(u16::try_from(other).unwrap_or(0));
            self.deliver(node, Event::Probed { server, outcome }, MS);
        }
    }
}

/// Events that a paused process finds when it goes on; what does not fit is lost, as in a full queue.
fn node_inbox(node: &mut Node, event: Option<Event>) {
    const INBOX: usize = 64;
    if node.machine.is_some() && node.inbox.len() < INBOX {
        node.inbox.extend(event);
    }
}
