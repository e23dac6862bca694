//! Faults, one at a time, each undone by another draw or by [`heal`].

use std::time::Duration;

use pintle_core::Event;

use crate::api::ServerState;
use crate::world::{MS, World};

/// Draws a fault and lets it happen.
pub fn inject(world: &mut World) {
    let size = world.nodes.len() as u64;
    let node = usize::try_from(world.random.range(0, size)).unwrap_or(0);
    match world.random.range(0, 16) {
        0 => {
            let length = world.random.range(100 * MS, 10_000 * MS);
            world.pause(node, length);
        }
        1 => {
            world.kill(node);
            world.boot(node);
        }
        2 => world.kill(node),
        3 => {
            // The host reboots: the address is gone with the kernel.
            world.kill(node);
            world.nodes[node].boot += 1;
            world.nodes[node].bound_until = None;
            world.boot(node);
        }
        4 => world.nodes[node].reachable = !world.nodes[node].reachable,
        5 => world.api.servers[node] = ServerState::Hung,
        6 => world.api.servers[node] = ServerState::Down,
        7 => world.api.servers[node] = ServerState::Failing,
        8 | 9 => world.api.servers[node] = ServerState::Up,
        10 => world.api.quorum = !world.api.quorum,
        11 => world.nodes[node].watch_works = !world.nodes[node].watch_works,
        12 => {
            let carrier = !world.nodes[node].carrier;
            world.nodes[node].carrier = carrier;
            world.deliver(node, Event::LinkChanged { carrier }, MS);
        }
        13 => tamper(world),
        14 => world.deliver(node, Event::Shutdown, 0),
        _ => heal(world),
    }
}

fn tamper(world: &mut World) {
    match world.random.range(0, 4) {
        0 => world.api.delete(),
        1 => world.api.edit(|lease| {
            lease.holder.clear();
            lease.duration = Duration::from_secs(i32::MAX.unsigned_abs().into());
            lease.incarnation = None;
        }),
        2 => world.api.edit(|lease| lease.holder = "stranger".into()),
        _ => world.api.edit(|lease| lease.duration = Duration::ZERO),
    }
    world.watch_all();
}

/// Ends every fault: each node runs, reaches everything and sees the Lease.
pub fn heal(world: &mut World) {
    world.api.quorum = true;
    world.api.servers.fill(ServerState::Up);
    for node in 0..world.nodes.len() {
        world.nodes[node].reachable = true;
        world.nodes[node].watch_works = true;
        if world.nodes[node].machine.is_none() {
            world.boot(node);
        }
        if !world.nodes[node].carrier {
            world.nodes[node].carrier = true;
            world.deliver(node, Event::LinkChanged { carrier: true }, MS);
        }
    }
    world.watch_all();
}
