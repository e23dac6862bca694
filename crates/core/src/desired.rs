//! Desired state: the latest wins, and an applier that missed one has missed nothing.

use std::collections::BTreeMap;

use crate::backend::BackendState;
use crate::command::Reason;
use crate::server::ServerId;
use crate::time::Instant;

/// Everything that appliers follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// For net.
    pub vips: VipDesire,
    /// For the probes of the other API servers.
    pub probe_pace: ProbePace,
    /// For the balancer; empty without one.
    pub backends: BTreeMap<ServerId, BackendState>,
    /// For `/status` and the metrics.
    pub status: Status,
}

/// What the applier should make of the VIPs, all of them together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VipDesire {
    /// Before the first answer about the Lease: leave a VIP with a finite lifetime on the configured
    /// link to its fate, remove every other copy, renew nothing.
    Undecided,
    /// No VIP on any link.
    Absent {
        /// Somebody else is the holder: broadcast one ARP probe for the VIP after unbinding, so that
        /// the holder answers with a burst.
        yielded: bool,
    },
    /// Bound, announced and defended until `hold_until`. The applier unbinds by itself at that
    /// instant, and the kernel soon after it.
    Owned {
        /// The end of the right.
        hold_until: Instant,
        /// Whether to ask the segment first.
        claim: Claim,
    },
    /// Kept without a right while the API is lost: short lifetime, no announcement, ended by the
    /// first foreign claim.
    Held,
}

/// What is known of the address before it is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The last holder had bound it by right: bind at once.
    Trusted,
    /// Nobody is known to have had it by right: probe the segment first (RFC 5227 §2.1).
    Probe,
}

/// How often the API servers beside the local one are probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbePace {
    /// Every 2 s.
    Relaxed,
    /// Every `period`: the local API server is suspect, or the balancer uses all of them.
    Brisk,
}

/// What this node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Nothing is known of the Lease yet.
    Starting,
    /// Somebody else holds the Lease, or nobody does.
    Follower,
    /// Asks for the Lease.
    Candidate,
    /// Holds the Lease: entitled until `hold_until`.
    Leader,
    /// Keeps the address without a right.
    Held,
    /// Gives it back.
    Releasing,
}

impl Role {
    /// The word in `/status` and the logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
            Self::Held => "held",
            Self::Releasing => "releasing",
        }
    }
}

/// The core's own account of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What this node is.
    pub role: Role,
    /// Who the Lease names.
    pub holder: Option<String>,
    /// Since when this node has its role.
    pub since: Instant,
    /// Why the role was last entered, once there was a change of ownership.
    pub reason: Option<Reason>,
    /// Every VIP is bound here.
    pub bound: bool,
    /// The local API server is fit.
    pub fit: bool,
    /// The link can carry frames.
    pub carrier: bool,
    /// A stranger answers for the VIP.
    pub occupied: bool,
    /// The watch on the Lease is believed to work.
    pub watching: bool,
}
