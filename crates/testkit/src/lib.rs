//! What the tests stand on: hosts in network namespaces, a real control plane, and a judge outside.
//!
//! Development only: nothing that ships depends on this crate. A fault is judged by [`prober`],
//! by `ip -j` and by packet capture, never by what pintle says of itself.

#![deny(unsafe_code)]

pub mod capture;
pub mod certs;
pub mod control_plane;
pub mod netns;
pub mod plain;
pub mod prober;
pub mod process;
pub mod stand_in;
mod sys;
pub mod watches;
