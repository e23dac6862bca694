//! The search's view of it: what may happen in a state, and what comes of it.

use std::time::Duration;

use pintle_core::{AttemptId, Event, LeaseWrite, WriteKind};
use pintle_sim::api::{Api, Writer};
use pintle_sim::node::Node;
use pintle_sim::world::MS;

use crate::bounds::{Action, Bounds, Host, Leg, MARGIN, State, TICK, mask, subsets};
use crate::election::Elections;
use crate::search::Model;

impl Model for Elections {
    type State = State;
    type Action = Action;

    fn initial(&mut self) -> Vec<State> {
        let mut api = Api::new(1);
        let stranger = Writer { node: usize::MAX, process: 0, attempt: AttemptId(0) };
        let released = LeaseWrite {
            base: None,
            kind: WriteKind::Release,
            duration: Duration::ZERO,
            transitions: 0,
            mac: None,
        };
        let _ = api.write(stranger, "", "", &released);
        let hosts = (0..self.bounds.nodes).map(|index| {
            let mut node = Node::new(index, 0);
            // The first to ask does so at the first moment at which it may.
            node.settings.spread = Duration::ZERO;
            node.settings.on_api_loss = self.bounds.on_api_loss;
            node.settings.lease_duration = Duration::from_nanos(TICK) * self.bounds.lease;
            node.settings.renew_deadline = node.settings.lease_duration - MARGIN;
            Host {
                node: self.nodes.put(node),
                asleep: false,
                news: Vec::new(),
                flights: Vec::new(),
            }
        });
        let hosts = hosts.collect();
        let Bounds { slow, naps, restarts, flaps, .. } = self.bounds;
        let api = self.apis.put(api);
        let mut state = State { now: 0, api, hosts, slow, naps, restarts, flaps };
        for index in 0..self.bounds.nodes {
            self.boot(&mut state, index);
        }
        for action in self.bounds.start.actions(self.bounds.nodes) {
            state = self.next(&state, action);
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let reads = mask(state, |flight| flight.leg == Leg::Read);
        for (node, host) in state.hosts.iter().enumerate() {
            for (flight, sent) in host.flights.iter().enumerate() {
                match sent.leg {
                    Leg::Write(_) => {
                        actions.extend(subsets(reads, u32::MAX).map(|reads| Action::CarryOut {
                            node,
                            flight,
                            reads,
                        }))
                    }
                    // A read that no write overtook shows the same whenever it is carried out.
                    Leg::Read | Leg::Answer(_) if !host.asleep => {
                        actions.push(Action::Answer { node, flight });
                    }
                    Leg::Read | Leg::Answer(_) | Leg::Lost => {}
                }
            }
            if !host.asleep && !host.news.is_empty() {
                actions.push(Action::Watch { node });
            }
            if state.restarts > 0 {
                actions.push(Action::Restart { node });
            }
            if !host.asleep && (state.flaps > 0 || !self.has_carrier(host)) {
                actions.push(Action::Link { node });
            }
        }
        let has_missed = |host: &&Host| !host.flights.is_empty() || !host.news.is_empty();
        let victims = state.hosts.iter().filter(has_missed).count();
        if state.now == self.bounds.ticks || victims > self.bounds.victims {
            return;
        }
        for slow in subsets(mask(state, |flight| flight.leg != Leg::Lost), state.slow) {
            actions.push(Action::Tick { slow, asleep: None });
            if state.naps > 0 {
                let sleepers = 0..state.hosts.len();
                actions.extend(sleepers.map(|node| Action::Tick { slow, asleep: Some(node) }));
            }
        }
    }

    fn next(&mut self, state: &State, action: Action) -> State {
        let mut state = state.clone();
        match action {
            Action::Tick { slow, asleep } => {
                state.slow -= slow.count_ones();
                state.naps -= u8::from(asleep.is_some());
                self.tick(&mut state, slow, asleep);
            }
            Action::CarryOut { node, flight, reads } => {
                let sent = state.hosts[node].flights[flight];
                let mut number = 0;
                for index in 0..state.hosts.len() {
                    for flight in 0..state.hosts[index].flights.len() {
                        if reads & (1 << number) != 0 {
                            let read = state.hosts[index].flights[flight];
                            let (_, answer) = self.execute(state.api, index, read);
                            state.hosts[index].flights[flight].leg = Leg::Answer(answer);
                        }
                        number += 1;
                    }
                }
                let (api, answer) = self.execute(state.api, node, sent);
                state.hosts[node].flights[flight].leg = Leg::Answer(answer);
                state.api = api;
                for host in &mut state.hosts {
                    host.news.push(api);
                    let excess = host.news.len().saturating_sub(self.bounds.news);
                    host.news.drain(..excess);
                }
            }
            Action::Answer { node, flight } => {
                let mut flight = state.hosts[node].flights.remove(flight);
                if flight.leg == Leg::Read {
                    flight.leg = Leg::Answer(self.execute(state.api, node, flight).1);
                }
                if let Leg::Answer(answer) = flight.leg {
                    self.turn(&mut state, node, vec![answer]);
                }
            }
            Action::Watch { node } => {
                let news = state.hosts[node].news.remove(0);
                let process = self.nodes.get(state.hosts[node].node).process;
                let event = self.show(news, node, process);
                self.turn(&mut state, node, vec![event]);
            }
            Action::Restart { node } => {
                state.restarts -= 1;
                self.boot(&mut state, node);
            }
            Action::Link { node } => {
                let carrier = !self.has_carrier(&state.hosts[node]);
                state.flaps = state.flaps.saturating_sub(u8::from(!carrier));
                let event = self.events.put(Event::LinkChanged { carrier });
                self.turn(&mut state, node, vec![event]);
            }
        }
        self.tidy(&mut state);
        state
    }

    fn judge(&self, state: &State) -> u32 {
        crate::check::properties(self, state)
    }

    fn show(&self, state: &State) -> String {
        let (nodes, now) = self.nodes(state);
        let nodes: Vec<String> = nodes
            .iter()
            .map(|node| {
                let machine = node.machine.as_ref();
                let role = machine.map_or("", |machine| machine.desired().status.role.label());
                let right = if node.is_entitled(now) { ", entitled" } else { "" };
                format!("{} {role}{right}", node.name)
            })
            .collect();
        format!("{} ms, Lease of {}; {}", now / MS, self.holder(state), nodes.join("; "))
    }
}
