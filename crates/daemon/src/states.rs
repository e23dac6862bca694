//! What the balancer may do with each API server, once the cluster's list has been looked at; and the log line when
//! that changes.

use std::collections::BTreeMap;

use pintle_core::{Backend, BackendState, Server, ServerId};

/// By server, as the balancer, `/status` and the log are told.
pub(crate) type States = BTreeMap<ServerId, BackendState>;

/// The states of all `servers`, where `has_left` tells those that the cluster no longer lists.
pub(crate) fn of(
    servers: &[Server],
    counted: &States,
    has_left: impl Fn(&Server) -> bool,
) -> States {
    let state = |server: &Server| {
        let state = counted.get(&server.id).copied().unwrap_or(BackendState::Unproven);
        if has_left(server) { state.of_one_that_left() } else { state }
    };
    servers.iter().map(|server| (server.id, state(server))).collect()
}

/// The balancer's list.
pub(crate) fn backends(servers: &[Server], states: &States) -> Vec<Backend> {
    let state = |server: &Server| states.get(&server.id).copied();
    let backends = servers.iter().map(|server| Backend {
        address: server.address,
        state: state(server).unwrap_or(BackendState::Unproven),
    });
    backends.collect()
}

/// A line for each server of which the balancer thinks otherwise now. Probes have thresholds, so that a server has one
/// in a second at most.
pub(crate) fn tell_changes(servers: &[Server], before: &States, after: &States) {
    for server in servers {
        let (from, to) = (before.get(&server.id), after.get(&server.id));
        let from = from.copied().unwrap_or(BackendState::Unproven);
        if let Some(to) = to.copied().filter(|to| *to != from) {
            let (from, to) = (from.label(), to.label());
            tracing::info!(address = %server.address, from, to, "API server, for the balancer");
        }
    }
}
