//! What must hold, each a function over all nodes.

use pintle_core::VipDesire;

use crate::node::{Nanos, Node};
use crate::world::World;

/// Checked after every step.
///
/// # Errors
///
/// Says what does not hold.
pub fn always(nodes: &[Node], now: Nanos) -> Result<(), String> {
    at_most_one_entitled(nodes, now)?;
    nodes.iter().try_for_each(|node| bound_by_right_is_entitled(node, now))
}

/// I1: no two nodes consider themselves entitled at the same instant, paused ones included.
///
/// # Errors
///
/// Names them.
pub fn at_most_one_entitled<'a>(
    nodes: impl IntoIterator<Item = &'a Node>,
    now: Nanos,
) -> Result<(), String> {
    let entitled: Vec<&str> = nodes
        .into_iter()
        .filter(|node| node.is_entitled(now))
        .map(|node| node.name.as_str())
        .collect();
    if entitled.len() > 1 {
        Err(format!("entitled at once: {}", entitled.join(", ")))
    } else {
        Ok(())
    }
}

/// I2: what a running node binds by right, it binds until no later than its right.
///
/// # Errors
///
/// Says until when it binds, and what right it has.
pub fn bound_by_right_is_entitled(node: &Node, now: Nanos) -> Result<(), String> {
    if let (VipDesire::Owned { hold_until, .. }, Some(machine)) = (node.desire, &node.machine)
        && node.is_running(now)
    {
        let local = node.clock(now);
        let right = machine.entitled_until(local);
        if local < hold_until && right.is_none_or(|right| right < hold_until) {
            return Err(format!("{} binds until {hold_until:?}, has {right:?}", node.name));
        }
    }
    Ok(())
}

/// I3: once the faults have stopped, one node is bound, by right.
///
/// # Errors
///
/// Says who is bound instead.
pub fn finally_one_holder(world: &World) -> Result<(), String> {
    let bound: Vec<&str> = world
        .nodes
        .iter()
        .filter(|node| node.is_bound(world.now))
        .map(|node| node.name.as_str())
        .collect();
    let entitled = world.nodes.iter().filter(|node| node.is_entitled(world.now)).count();
    if bound.len() == 1 && entitled == 1 {
        Ok(())
    } else {
        Err(format!("in the end bound: {bound:?}, entitled: {entitled}"))
    }
}
