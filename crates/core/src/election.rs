//! The parts that an election by Lease is made of; [`crate::machine`] puts them together.
//!
//! What the safety of it rests on (the reasoning is that of client-go's leaderelection package, with
//! the deadline counted from *sending*, as in openraft's leader lease):
//!
//! 1. A holder's right ends `renew_deadline` after the moment the last successful write was *sent*:
//!    whatever the server did, it did it later than that.
//! 2. A follower waits `lease_duration` from the moment it *saw* the Lease change, on its own clock.
//!    It saw the change after it was made, so its wait ends later than the holder's right by at least
//!    `lease_duration - renew_deadline`, which is the margin for clocks that run at different rates.
//! 3. Every write names the state that it replaces (uid and resourceVersion), so of two writers one
//!    fails, and a take-over that succeeds proves that no renewal came in between.
//! 4. Answers to anything sent before a release, a step-down or a restart entitle to nothing: each
//!    of these begins a new epoch, and an attempt counts only in its own.

pub(crate) mod attempts;
pub(crate) mod knowledge;
pub(crate) mod servers;
