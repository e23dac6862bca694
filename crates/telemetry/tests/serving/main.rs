//! The server, asked by a client that writes its requests byte by byte.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod bounds;
mod client;
mod daemon;
mod paths;
