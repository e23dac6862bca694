//! One-shot effects. Each is carried out by one adapter and, where it says so, answered by an event.

use std::time::Duration;

use crate::lease::{AttemptId, Version};
use crate::server::ServerId;
use crate::vip::{MacAddr, Vip};

/// What the core wants done once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Quorum read of the Lease (a GET without resourceVersion) through `server`. Done by cluster,
    /// answered by `LeaseAnswered` within the attempt timeout.
    ReadLease {
        /// Names the answer.
        attempt: AttemptId,
        /// Through which API server.
        server: ServerId,
    },
    /// Create or replace the Lease through `server`. Done by cluster, answered by `LeaseAnswered`
    /// within the attempt timeout.
    WriteLease {
        /// Names the answer.
        attempt: AttemptId,
        /// Through which API server.
        server: ServerId,
        /// What to write.
        write: LeaseWrite,
    },
    /// Open the watch anew, through the next API server: it has been silent while news was due.
    Rewatch,
    /// Announce the VIP at once: another machine claimed it and the Lease says it is ours. Done by
    /// net, which keeps to RFC 5227's defence interval.
    Defend {
        /// Which VIP.
        vip: Vip,
    },
    /// Tell operators that the VIP was acquired or lost: one log line, one metric, one Event.
    Report(Transition),
    /// Tell operators something else that they should know.
    Notify(Notice),
    /// Everything is given back: end the process.
    Exit,
}

/// The content of a PUT (or of a POST, when there is no `base`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseWrite {
    /// The state it replaces; `None` creates.
    pub base: Option<Version>,
    /// Why it is written.
    pub kind: WriteKind,
    /// The duration to publish; zero for a release.
    pub duration: Duration,
    /// `spec.leaseTransitions` to write.
    pub transitions: i32,
    /// `pintle.dev/mac` to write.
    pub mac: Option<MacAddr>,
}

/// Why the Lease is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WriteKind {
    /// A new term: `acquireTime` is now.
    Acquire,
    /// The same term goes on.
    Renew,
    /// The term ends: no holder, duration zero.
    Release,
}

impl WriteKind {
    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Acquire => "acquire",
            Self::Renew => "renew",
            Self::Release => "release",
        }
    }
}

/// A change of ownership, as operators are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Acquired or lost.
    pub direction: Direction,
    /// Who had it, as far as is known.
    pub from: Option<String>,
    /// Who has it, as far as is known.
    pub to: Option<String>,
    /// Why.
    pub reason: Reason,
    /// From the last sign that all was well to the decision.
    pub detect: Duration,
    /// From the decision to the Lease's answer.
    pub lease: Duration,
    /// From the Lease's answer (or, leaving, from the decision) to the kernel's.
    pub bind: Duration,
    /// From the kernel's answer to the first announcement.
    pub announce: Duration,
}

/// Which way the VIP went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To this node.
    Acquired,
    /// Away from this node.
    Lost,
}

/// Why ownership changed. The labels are contract: log line, metric and Event carry them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// There was no Lease, for the whole waiting time.
    Absent,
    /// The last holder released it.
    Released,
    /// The last holder did not renew it.
    Expired,
    /// This node was named already: the process restarted, or the API came back.
    Resumed,
    /// The process was asked to end.
    Shutdown,
    /// The local API server is not fit and another one is.
    Unhealthy,
    /// The link is gone, down or has no carrier.
    LinkDown,
    /// The Lease names another.
    LeaseTaken,
    /// The Lease is gone and this node had no right to write it anew.
    LeaseGone,
    /// The right ended before a renewal succeeded.
    RenewDeadline,
    /// The API server refuses this node's writes.
    Denied,
    /// While held without a right: another machine claimed the address.
    ForeignClaim,
    /// While held without a right: this process did not run for a while.
    LoopLate,
    /// The kernel would not take the address.
    BindFailed,
}

impl Reason {
    /// The contract's word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Resumed => "resumed",
            Self::Shutdown => "shutdown",
            Self::Unhealthy => "unhealthy",
            Self::LinkDown => "link_down",
            Self::LeaseTaken => "lease_taken",
            Self::LeaseGone => "lease_gone",
            Self::RenewDeadline => "renew_deadline",
            Self::Denied => "denied",
            Self::ForeignClaim => "foreign_claim",
            Self::LoopLate => "loop_late",
            Self::BindFailed => "bind_failed",
        }
    }
}

/// What operators should know beside changes of ownership. At most one of a kind in ten seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A stranger answers for the VIP: it is not bound until that ends.
    AddressOccupied {
        /// Which VIP.
        vip: Vip,
        /// Who answers.
        mac: MacAddr,
    },
    /// A stranger claimed the VIP while it is ours: defended.
    AddressConflict {
        /// Which VIP.
        vip: Vip,
        /// Who claimed it.
        mac: MacAddr,
    },
    /// The Lease carries this node's name from another machine or another boot.
    NameTwin {
        /// The other incarnation.
        incarnation: Option<String>,
    },
    /// Renewals fail everywhere: the address is kept without a right (`onApiLoss: hold`).
    Holding,
    /// A renewal succeeded again after `Holding`.
    Regained,
    /// The Lease was edited or deleted by somebody else and is written anew.
    LeaseRestored,
}
