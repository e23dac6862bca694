//! The election, exhaustively: every order in which what is on its way can arrive, be late or be lost,
//! for a few ticks of the clock. The random runs go far; these leave nothing out within their bounds.
//!
//! What ends a search is its bounds, each a field of `Bounds`. Most of the tests let one node at a time
//! miss what is due to it when time goes on, whatever that is. Clocks that differ are the random runs'.
//!
//! A lease is two ticks here, and five by default: each tick makes ten times as many states, and all
//! that there is to see (a right that ends without a renewal, a take-over, late writes of the former
//! holder) happens within one lease. The rest is the default's: the margin, the period, the wait for an
//! answer.
//!
//! `MODEL_TICKS=1 cargo test -p pintle-sim --test model -- --nocapture` goes one tick further, which
//! takes ten times as long.

#![allow(clippy::disallowed_types, reason = "the order of a map is no matter: none is iterated")]
#![allow(clippy::print_stdout, reason = "tests say how much they have seen")]

mod bounds;
mod check;
mod election;
mod intern;
mod runs;
mod search;
mod steps;
