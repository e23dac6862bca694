//! N cores on one virtual clock against a fake API server with faults. Development only.
//!
//! A run is a function of its seed: a failure prints it, and `SIM_SEED=<n> cargo test -p pintle-sim`
//! replays it. What must hold is in [`invariants`], one check a function:
//!
//! | property | design | checked |
//! |---|---|---|
//! | at most one node is entitled at any instant | I1 | after every step |
//! | nobody is bound by right beyond `hold_until` | I2 | after every step |
//! | once the faults stop, exactly one node is bound, by right | I3 | at the end of a run |
//!
//! The first two are checked exhaustively as well, in every order of events for a few ticks of a common
//! clock: `tests/model`, on the same nodes and the same store.
//!
//! Nodes run on clocks of their own rate; every request may be slow, lost on the way there or back,
//! or be carried out long after its sender has given it up.

#![forbid(unsafe_code)]

pub mod api;
pub mod faults;
pub mod invariants;
pub mod node;
pub mod random;
pub mod world;
