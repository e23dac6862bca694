//! The stand-in API server, asked by a client that knows nothing of it but HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

#[path = "stand_in/auth.rs"]
mod auth;
#[path = "stand_in/bed.rs"]
mod bed;
#[path = "stand_in/faults.rs"]
mod faults;
#[path = "stand_in/leases.rs"]
mod leases;
#[path = "stand_in/life.rs"]
mod life;
#[path = "stand_in/watches.rs"]
mod watches;
