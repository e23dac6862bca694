//! Probes against a real TLS server on the loopback: every outcome, the kept connection, and the
//! channels that are followed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod certificate;
mod following;
mod kept;
mod outcomes;
mod probing;
mod server;
mod tls;
