//! N real machines and one Lease, on a clock that goes on tick by tick; everything else happens in
//! any order.
//!
//! A check of each state is exact although time goes on in ticks: a right begins only where a machine
//! takes a step, and ends by itself. Of two rights that overlap, the later one began at a step, and in
//! the state after that step both are there.

use std::collections::HashMap;

use pintle_core::{
    AttemptId, Command, Event, LeaseAnswer, LeaseFailure, LeaseWrite, ProbeOutcome, ServerId,
};
use pintle_sim::api::{Api, Writer};
use pintle_sim::node::{Nanos, Node};

use crate::bounds::{Bounds, Flight, Host, Leg, State, TICK};
use crate::intern::{Arena, Id};

/// What a turn made of a node, and what it asks for.
#[derive(Clone, Debug)]
struct Turn {
    node: Id,
    sent: Vec<(AttemptId, Leg)>,
    rewatch: bool,
}

/// Which store is asked, by which node and process, and what.
type Asked = (Id, usize, u64, AttemptId, Leg);

/// The machinery: every distinct value once, and each turn of a machine is taken once.
#[derive(Debug)]
pub(crate) struct Elections {
    pub(crate) bounds: Bounds,
    pub(crate) nodes: Arena<Node>,
    pub(crate) apis: Arena<Api>,
    pub(crate) events: Arena<Event>,
    writes: Arena<LeaseWrite>,
    /// By node, time and what it is told.
    turns: HashMap<(Id, u8, Vec<Id>), Turn>,
    /// By store, node and process.
    shown: HashMap<(Id, usize, u64), Id>,
    done: HashMap<Asked, (Id, Id)>,
}

impl Elections {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            nodes: Arena::new(),
            apis: Arena::new(),
            events: Arena::new(),
            writes: Arena::new(),
            turns: HashMap::new(),
            shown: HashMap::new(),
            done: HashMap::new(),
        }
    }

    /// The nodes of a state, and the time.
    pub(crate) fn nodes(&self, state: &State) -> (Vec<&Node>, Nanos) {
        let nodes = state.hosts.iter().map(|host| self.nodes.get(host.node)).collect();
        (nodes, u64::from(state.now) * TICK)
    }

    /// Whom the Lease names.
    pub(crate) fn holder(&self, state: &State) -> &str {
        let holder = self.apis.get(state.api).lease().map_or("", |lease| lease.holder.as_str());
        if holder.is_empty() { "nobody" } else { holder }
    }

    /// Distinct nodes, machines within.
    pub(crate) const fn distinct_nodes(&self) -> usize {
        self.nodes.len()
    }

    /// What the machine of this host was told last.
    pub(crate) fn has_carrier(&self, host: &Host) -> bool {
        let machine = self.nodes.get(host.node).machine.as_ref();
        machine.is_some_and(|machine| machine.desired().status.carrier)
    }

    /// Tells a node these events, and sends what it asks for on its way.
    pub(crate) fn turn(&mut self, state: &mut State, index: usize, events: Vec<Id>) {
        let host = &mut state.hosts[index];
        let key = (host.node, state.now, events);
        let turn = if let Some(turn) = self.turns.get(&key) {
            turn.clone()
        } else {
            let mut node = self.nodes.get(host.node).clone();
            let events = key.2.iter().map(|event| self.events.get(*event).clone()).collect();
            let commands = take_turn(&mut node, events, u64::from(state.now) * TICK);
            let turn = self.keep(node, commands);
            self.turns.insert(key, turn.clone());
            turn
        };
        host.node = turn.node;
        let process = self.nodes.get(turn.node).process;
        let sent = state.now;
        host.flights.extend(turn.sent.into_iter().map(|(attempt, leg)| Flight {
            process,
            attempt,
            sent,
            awaited: true,
            leg,
        }));
        if turn.rewatch {
            host.news = vec![state.api];
        }
    }

    fn keep(&mut self, node: Node, commands: Vec<Command>) -> Turn {
        let mut turn = Turn { node: self.nodes.put(node), sent: Vec::new(), rewatch: false };
        for command in commands {
            match command {
                Command::ReadLease { attempt, .. } => turn.sent.push((attempt, Leg::Read)),
                Command::WriteLease { attempt, write, .. } => {
                    turn.sent.push((attempt, Leg::Write(self.writes.put(write))));
                }
                Command::Rewatch => turn.rewatch = true,
                Command::Exit
                | Command::Defend { .. }
                | Command::Report(_)
                | Command::Notify(_) => {}
            }
        }
        turn
    }

    /// What a watch shows of `api` to a process.
    pub(crate) fn show(&mut self, api: Id, node: usize, process: u64) -> Id {
        let (apis, events) = (&self.apis, &mut self.events);
        *self.shown.entry((api, node, process)).or_insert_with(|| {
            events.put(Event::LeaseWatched(apis.get(api).observe(node, process)))
        })
    }

    /// The store after a request is carried out, and its answer.
    pub(crate) fn execute(&mut self, api: Id, index: usize, flight: Flight) -> (Id, Id) {
        let Flight { process, attempt, leg, .. } = flight;
        let key = (api, index, process, attempt, leg);
        if let Some(done) = self.done.get(&key) {
            return *done;
        }
        let (after, answer) = match leg {
            Leg::Read | Leg::Answer(_) | Leg::Lost => {
                (api, LeaseAnswer::Read(self.apis.get(api).observe(index, process)))
            }
            Leg::Write(write) => {
                let node = Node::new(index, 0);
                let writer = Writer { node: index, process, attempt };
                let mut changed = self.apis.get(api).clone();
                let write = self.writes.get(write);
                let (answer, has_changed) =
                    changed.write(writer, &node.name, &node.incarnation(), write);
                (if has_changed { self.apis.put(changed) } else { api }, answer)
            }
        };
        let done = (after, self.events.put(Event::LeaseAnswered { attempt, answer }));
        self.done.insert(key, done);
        done
    }

    /// A process starts; what the one before it sent is on its way still.
    pub(crate) fn boot(&mut self, state: &mut State, index: usize) {
        let mut node = self.nodes.get(state.hosts[index].node).clone();
        node.start(u64::from(state.now) * TICK);
        let host = &mut state.hosts[index];
        host.node = self.nodes.put(node);
        host.news = vec![state.api];
        host.flights.iter_mut().for_each(|flight| flight.awaited = false);
        let server = ServerId::LOCAL;
        let events = [
            Event::LinkChanged { carrier: true },
            Event::Probed { server, outcome: ProbeOutcome::Ready },
        ];
        let events = events.into_iter().map(|event| self.events.put(event)).collect();
        self.turn(state, index, events);
    }

    /// Time goes on; what is on its way is lost but for the flights in `slow`.
    pub(crate) fn tick(&mut self, state: &mut State, slow: u32, asleep: Option<usize>) {
        state.now += 1;
        let mut number = 0;
        for index in 0..state.hosts.len() {
            let (now, patience) = (state.now, self.bounds.patience);
            let host = &mut state.hosts[index];
            host.asleep = asleep == Some(index);
            let mut events = Vec::new();
            for flight in &mut host.flights {
                if slow & (1 << number) == 0 {
                    flight.leg = Leg::Lost;
                }
                number += 1;
                let has_failed = flight.leg == Leg::Lost || now - flight.sent >= patience;
                if has_failed && flight.awaited && !host.asleep {
                    flight.awaited = false;
                    let answer = LeaseAnswer::Failed(LeaseFailure::Timeout);
                    let attempt = flight.attempt;
                    events.push(self.events.put(Event::LeaseAnswered { attempt, answer }));
                }
            }
            if !host.asleep {
                self.turn(state, index, events);
            }
        }
    }

    /// Takes away what makes no difference: what nobody waits for and nothing can come of. And a write
    /// over a state that is no more has its answer, whenever it is carried out.
    pub(crate) fn tidy(&mut self, state: &mut State) {
        for index in 0..state.hosts.len() {
            let mut flights = std::mem::take(&mut state.hosts[index].flights);
            flights.retain_mut(|flight| {
                if matches!(flight.leg, Leg::Write(_)) {
                    let (api, answer) = self.execute(state.api, index, *flight);
                    if api != state.api {
                        return true;
                    }
                    flight.leg = Leg::Answer(answer);
                }
                flight.awaited
            });
            state.hosts[index].flights = flights;
        }
    }
}

/// One turn of the loop, and those that follow from what net answers at once.
fn take_turn(node: &mut Node, events: Vec<Event>, now: Nanos) -> Vec<Command> {
    node.enforce(now);
    let mut commands = node.turn(events, now);
    while let Some(told) = node.follow(now) {
        commands.extend(node.turn([told], now));
    }
    commands
}
