//! Sessions without TLS: thousands of them, of every manner, through a balancer that looks at no byte.
//!
//! A [`Porter`] stands before a stand-in API server, so that a probe finds the server that it looks for;
//! whoever begins with anything but a TLS handshake is served by the porter. A [`Caller`] is such a client.

mod caller;
mod porter;

use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;

pub use self::caller::{Caller, crowd};
pub use self::porter::{Manner, Porter};

/// Ends a connection by a reset.
pub fn reset(stream: TcpStream) {
    // One that is gone already needs none.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
}

/// A crowd and its porters are in one process: both ends of thousands of sessions.
fn raise_descriptor_limit() -> anyhow::Result<()> {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
    Ok(setrlimit(Resource::Nofile, raised)?)
}
