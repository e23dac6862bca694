//! What there is, what may happen, and how far it goes.

use std::time::Duration;

use pintle_core::AttemptId;
use pintle_core::config::ApiLoss;
use pintle_sim::node::Nanos;
use pintle_sim::world::MS;

use crate::intern::Id;

/// A fifth of the default lease, the period of the renewals, and as late as a timer may be handled
/// without core taking its process for one that did not run. A lease of whole ticks lets a follower
/// ask at the first moment at which it may.
pub(crate) const TICK: Nanos = 500 * MS;

/// What the right ends before the lease: the default's 2.5 s - 2.3 s.
pub(crate) const MARGIN: Duration = Duration::from_millis(200);

/// Where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Somebody has just given the Lease up, and all may ask for it at once.
    Released,
    /// cp-0 has just taken it, and all others know.
    Led,
    /// And then its link lost the carrier for a moment. For 1.5 s it could not give the Lease back, and
    /// its watch was silent.
    Departing,
}

impl Start {
    /// The way there from [`Start::Released`].
    pub(crate) fn actions(self, nodes: usize) -> Vec<Action> {
        if self == Self::Released {
            return Vec::new();
        }
        let mut actions = vec![
            Action::Watch { node: 0 },
            Action::Answer { node: 0, flight: 0 },
            Action::CarryOut { node: 0, flight: 0, reads: 0 },
            Action::Answer { node: 0, flight: 0 },
        ];
        for node in 1..nodes {
            actions.extend([Action::Watch { node }, Action::Answer { node, flight: 0 }]);
        }
        if self == Self::Departing {
            actions.extend([Action::Link { node: 0 }; 2]);
            actions.extend([Action::Tick { slow: 0, asleep: None }; 3]);
        }
        actions
    }
}

/// How far it goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) nodes: usize,
    pub(crate) start: Start,
    pub(crate) on_api_loss: ApiLoss,
    /// In ticks.
    pub(crate) lease: u32,
    /// The clock stops there.
    pub(crate) ticks: u8,
    /// A request without an answer for so long is given up by its sender (cluster: 1 s).
    pub(crate) patience: u8,
    /// So many nodes may have something undelivered when time goes on.
    pub(crate) victims: usize,
    /// So many times a request or an answer is on its way for longer than to the next tick.
    pub(crate) slow: u32,
    /// So much news waits in a watch; when there is more, the oldest is left out.
    pub(crate) news: usize,
    /// So many times a node sleeps through a tick.
    pub(crate) naps: u8,
    /// So many times a process is killed and started again.
    pub(crate) restarts: u8,
    /// So many times a link loses its carrier, and so many times it gets it back.
    pub(crate) flaps: u8,
}

/// A request on its way, there or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    pub(crate) process: u64,
    pub(crate) attempt: AttemptId,
    pub(crate) sent: u8,
    /// Whether its sender still waits for the answer.
    pub(crate) awaited: bool,
    pub(crate) leg: Leg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Leg {
    Read,
    Write(Id),
    Answer(Id),
    Lost,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Host {
    pub(crate) node: Id,
    pub(crate) asleep: bool,
    /// What its watch has not delivered yet, in order.
    pub(crate) news: Vec<Id>,
    pub(crate) flights: Vec<Flight>,
}

/// Everything, small and comparable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) now: u8,
    pub(crate) api: Id,
    pub(crate) hosts: Vec<Host>,
    pub(crate) slow: u32,
    pub(crate) naps: u8,
    pub(crate) restarts: u8,
    pub(crate) flaps: u8,
}

/// What may happen; nodes by number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    /// Time goes on. All that is on its way is lost but for these flights; one node may sleep through
    /// what is due then.
    Tick { slow: u32, asleep: Option<usize> },
    /// A write is carried out, its sender waiting or not, and before it these reads.
    CarryOut { node: usize, flight: usize, reads: u32 },
    /// An answer arrives.
    Answer { node: usize, flight: usize },
    /// A watch delivers its oldest news.
    Watch { node: usize },
    /// The process is killed, and the next one started.
    Restart { node: usize },
    /// The link loses its carrier, or gets it back.
    Link { node: usize },
}

/// The flights of all nodes that are so, as bits.
pub(crate) fn mask(state: &State, is_so: impl Fn(&Flight) -> bool) -> u32 {
    let flights = state.hosts.iter().flat_map(|host| &host.flights);
    flights.enumerate().fold(0, |mask, (number, flight)| mask | u32::from(is_so(flight)) << number)
}

/// The subsets of `mask` with at most `size` bits.
pub(crate) fn subsets(mask: u32, size: u32) -> impl Iterator<Item = u32> {
    let mut next = Some(mask);
    std::iter::from_fn(move || {
        let subset = next?;
        next = (subset > 0).then(|| (subset - 1) & mask);
        Some(subset)
    })
    .filter(move |subset| subset.count_ones() <= size)
}
