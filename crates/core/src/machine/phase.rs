//! The phases of the machine and what each remembers.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::command::Reason;
use crate::desired::Claim;
use crate::fence::Grounds;
use crate::lease::Version;
use crate::server::ServerId;
use crate::time::Instant;
use crate::vip::{MacAddr, Vip};

/// The term of a leader, and of one that holds without a right.
#[derive(Clone, Debug)]
pub(super) struct Term {
    pub(super) grounds: Grounds,
    pub(super) claim: Claim,
    /// Who may rightly still answer for the VIP: the last holder, until it has noticed.
    pub(super) former_mac: Option<MacAddr>,
    /// The Lease must be read before anything else: somebody else wrote it, or claims the VIP.
    pub(super) must_read: bool,
    /// Write anew at once: the Lease was edited.
    pub(super) must_write: bool,
    /// Answer this claim once the Lease was read to be ours.
    pub(super) defend: Option<Vip>,
    /// Servers on which a request failed since the last success.
    pub(super) failed: BTreeSet<ServerId>,
    /// Since when a refusal stands that is no loss of the API: *held* is out of the question.
    pub(super) denied_at: Option<Instant>,
    /// The last refusal was of these credentials or this object, which is worth telling.
    pub(super) refused: bool,
    /// Attempts of the kernel to bind that failed since the last success.
    pub(super) bind_failures: u32,
    pub(super) renewed_at: Instant,
    pub(super) start: Option<Start>,
}

/// How a term began; taken when the acquisition is reported.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) from: Option<String>,
    pub(super) reason: Reason,
    pub(super) detect: Duration,
    pub(super) decided_at: Instant,
    pub(super) leased_at: Instant,
}

/// A candidate's way to the Lease.
#[derive(Clone, Debug)]
pub(super) struct Candidacy {
    pub(super) reason: Reason,
    pub(super) from: Option<String>,
    pub(super) decided_at: Instant,
    pub(super) detect: Duration,
    pub(super) claim: Claim,
    pub(super) stage: Stage,
    /// When the stage of reading began without a read that worked.
    pub(super) mute_since: Instant,
    /// A read came back too late to prove much: the next one has to do.
    pub(super) is_slow: bool,
    /// Writes that the API could not carry out.
    pub(super) failed_writes: u32,
    /// Nobody could read or write for a while: the incumbent goes first.
    pub(super) blocked: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Reads the Lease, to see that nothing changed.
    Reading,
    /// Writes it over `base`.
    Writing { base: Option<Version>, server: Option<ServerId> },
}

/// The way out.
#[derive(Clone, Debug)]
pub(super) struct Departure {
    pub(super) stage: LeaveStage,
    pub(super) deadline: Instant,
    pub(super) unbound_at: Option<Instant>,
    /// Somebody else wrote: look before writing again.
    pub(super) must_read: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeaveStage {
    Unbinding,
    Writing,
}

#[derive(Clone, Debug)]
pub(super) enum Phase {
    Starting,
    Follower,
    Candidate(Candidacy),
    Leader(Term),
    Held(Term),
    Releasing(Departure),
}

/// What is known of the addresses on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Unknown,
    Unbound,
    Bound,
}

/// A loss that is decided and not yet reported.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    pub(super) reason: Reason,
    pub(super) decided_at: Instant,
    pub(super) detect: Duration,
}
