//! Facts, the only way into the core.

use crate::lease::{AttemptId, LeaseView, Observed};
use crate::probe::ProbeOutcome;
use crate::server::ServerId;
use crate::time::Instant;
use crate::vip::{MacAddr, Vip};

/// Something that was observed, or the answer to a [`crate::Command`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The watch on the Lease showed its state.
    LeaseWatched(Observed),
    /// The watch ended or could not be opened. The cluster adapter opens it again by itself.
    WatchBroken,
    /// The answer to `ReadLease` or `WriteLease`.
    LeaseAnswered {
        /// Whose answer.
        attempt: AttemptId,
        /// The answer.
        answer: LeaseAnswer,
    },
    /// The API servers beside the local one, as last learnt.
    ServersLearnt(Vec<ServerId>),
    /// A probe ended.
    Probed {
        /// The server that was probed.
        server: ServerId,
        /// What was found.
        outcome: ProbeOutcome,
    },
    /// Whether the VIP's link exists, is up and has carrier.
    LinkChanged {
        /// It can carry frames.
        carrier: bool,
    },
    /// Every VIP is on the link and the first announcement left.
    Bound {
        /// The link's hardware address.
        mac: MacAddr,
        /// When the kernel had taken the last address.
        bound_at: Instant,
        /// When the first announcement of each VIP had left.
        announced_at: Instant,
    },
    /// No VIP is on any link of this host.
    Unbound,
    /// The kernel refused to bind; net goes on trying while it is wanted.
    BindFailed {
        /// What the kernel said.
        error: String,
    },
    /// The conflict probe before binding was answered: a stranger has the VIP.
    AddressOccupied {
        /// Which VIP.
        vip: Vip,
        /// Who answered.
        mac: MacAddr,
    },
    /// A frame from another machine claims the VIP.
    ForeignClaim {
        /// Which VIP.
        vip: Vip,
        /// Who claims it.
        mac: MacAddr,
    },
    /// The process was asked to end.
    Shutdown,
}

/// How a request on the Lease ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseAnswer {
    /// A quorum read.
    Read(Observed),
    /// The write was taken; this is the object after it.
    Written(LeaseView),
    /// No success.
    Failed(LeaseFailure),
}

/// Why a request on the Lease did not succeed. Each asks for another reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeaseFailure {
    /// 401: the credentials are not known.
    Unauthorised,
    /// 403: known, and not allowed.
    Forbidden,
    /// 404 to a write: the Lease is gone.
    NotFound,
    /// 409: somebody else wrote, or the uid is another, or it exists already.
    Conflict,
    /// 400 or 422: the server does not take such an object.
    Invalid,
    /// 429 or 5xx.
    Unavailable,
    /// The connection was refused, reset or broken, or TLS failed. A write whose connection broke
    /// may have been done all the same; the next one over the same state then conflicts.
    Refused,
    /// No answer in time: it may or may not have been done.
    Timeout,
    /// No usable credentials: nothing was asked.
    NoCredentials,
    /// An answer that cannot be read as a Lease.
    Malformed,
}

impl LeaseFailure {
    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unauthorised => "unauthorised",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::NoCredentials => "no_credentials",
            Self::Malformed => "malformed",
        }
    }

    /// Whether the server could not be asked or could not decide, so that nobody else can have been
    /// given the Lease by this answer: the only failures that allow *held* (design §4.2).
    #[must_use]
    pub const fn is_api_loss(self) -> bool {
        match self {
            Self::Unavailable | Self::Refused | Self::Timeout => true,
            Self::Unauthorised
            | Self::Forbidden
            | Self::NotFound
            | Self::Conflict
            | Self::Invalid
            | Self::NoCredentials
            | Self::Malformed => false,
        }
    }
}
