//! The adapter against a real kernel: a host in a network namespace, judged by `ip -j` and by what
//! another machine on the segment captures. Needs root; fails without it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's own code, outside the functions that clippy knows as tests"
)]

#[path = "namespaces/bed.rs"]
mod bed;
#[path = "namespaces/firewall.rs"]
mod firewall;
#[path = "namespaces/guard.rs"]
mod guard;
#[path = "namespaces/lifetime.rs"]
mod lifetime;
#[path = "namespaces/link.rs"]
mod link;
#[path = "namespaces/segment.rs"]
mod segment;
#[path = "namespaces/start.rs"]
mod start;
