//! The balancer between real sockets on loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod sessions {
    mod bed;
    mod ends;
    mod stories;
}
