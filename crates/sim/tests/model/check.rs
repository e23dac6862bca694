//! What must be so in every state, and what must be so in some.

use pintle_core::Role;
use pintle_core::command::Reason;
use pintle_sim::invariants::{at_most_one_entitled, bound_by_right_is_entitled};

use crate::bounds::{Bounds, State};
use crate::election::Elections;
use crate::search::search;

/// Always, each.
const ONE_ENTITLED: usize = 0;
const BINDS_WITHIN_RIGHT: usize = 1;
/// Sometimes: without these, the bounds would be too narrow to say anything.
pub(crate) const FIRST_LEADS: usize = 2;
pub(crate) const SECOND_LEADS: usize = 3;
/// The Lease passed from a process that runs on, but got no answer in time.
pub(crate) const LIVE_HOLDER_LOSES: usize = 4;
/// The same, and that process has not heard of it.
pub(crate) const HELD_BESIDE_ENTITLED: usize = 5;
const PROPERTIES: usize = 6;

const ALWAYS: u32 = 1 << ONE_ENTITLED | 1 << BINDS_WITHIN_RIGHT;

/// Which of the properties hold, as bits.
pub(crate) fn properties(elections: &Elections, state: &State) -> u32 {
    let (nodes, now) = elections.nodes(state);
    let status = nodes[0].machine.as_ref().map(|machine| machine.desired().status);
    let first = |is_so: fn(Role, Option<Reason>) -> bool| {
        status.as_ref().is_some_and(|status| is_so(status.role, status.reason))
    };
    let mut holds = [false; PROPERTIES];
    holds[ONE_ENTITLED] = at_most_one_entitled(nodes.iter().copied(), now).is_ok();
    holds[BINDS_WITHIN_RIGHT] =
        nodes.iter().all(|node| bound_by_right_is_entitled(node, now).is_ok());
    holds[FIRST_LEADS] = nodes[0].is_entitled(now);
    holds[SECOND_LEADS] = nodes[1].is_entitled(now);
    holds[LIVE_HOLDER_LOSES] = holds[SECOND_LEADS]
        && nodes[0].process == 1
        && first(|_, reason| reason == Some(Reason::RenewDeadline));
    holds[HELD_BESIDE_ENTITLED] = holds[SECOND_LEADS] && first(|role, _| role == Role::Held);
    holds.iter().enumerate().fold(0, |bits, (bit, holds)| bits | u32::from(*holds) << bit)
}

/// Sees everything within `bounds`, where each of `sometimes` must be found.
pub(crate) fn check(mut bounds: Bounds, sometimes: &[usize]) {
    let more = std::env::var("MODEL_TICKS").ok().and_then(|text| text.parse().ok());
    bounds.ticks += more.unwrap_or(0_u8);
    let mut elections = Elections::new(bounds);
    let found = search(&mut elections, ALWAYS, PROPERTIES);
    println!("{found}, of {} distinct nodes, in {bounds:?}", elections.distinct_nodes());
    for (property, what) in [(ONE_ENTITLED, "two entitled"), (BINDS_WITHIN_RIGHT, "bound too long")]
    {
        let way = found.way(&mut elections, property).unwrap_or_default();
        assert!(
            way.is_empty(),
            "{what} after {} actions:\n{}",
            way.len().saturating_sub(1),
            way.join("\n")
        );
    }
    for property in sometimes {
        assert!(found.has(*property), "property {property} is never seen: bounds too narrow");
    }
}
