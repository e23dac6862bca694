//! Listeners, and whether the process can carry what was asked for.

use std::io;
use std::net::SocketAddr;

use rustix::process::{Resource, getrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::pipes::MAX_PIPES;

/// Connections that wait to be accepted: a burst of 2000 fits, and `net.core.somaxconn` is 4096.
const BACKLOG: i32 = 4096;

/// The daemon's own descriptors: listeners, probes, Lease requests, netlink, timers.
const OWN_DESCRIPTORS: u64 = 256;

/// Why a balancer cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Taken, or not allowed.
    #[error("cannot listen on {address}: choose another balancer.listen: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// Accepting would fail one day, when it is needed most.
    #[error(
        "balancer.maxConnections {max_connections} needs {needed} descriptors and the process may open \
         {limit}: raise its limit (LimitNOFILE, ulimit -n), or set balancer.maxConnections to {possible} \
         or less"
    )]
    Descriptors {
        /// What was asked for.
        max_connections: usize,
        /// Two a connection, and our own.
        needed: u64,
        /// What the process may open.
        limit: u64,
        /// What would do.
        possible: u64,
    },
}

/// Refuses more connections than the process has descriptors for.
pub(crate) fn check_descriptors(max_connections: usize) -> Result<(), StartError> {
    // None is no limit.
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let reserved = OWN_DESCRIPTORS + 2 * u64::try_from(MAX_PIPES).unwrap_or(u64::MAX);
    let asked = u64::try_from(max_connections).unwrap_or(u64::MAX);
    let needed = asked.saturating_mul(2).saturating_add(reserved);
    if needed <= limit {
        return Ok(());
    }
    let possible = limit.saturating_sub(reserved) / 2;
    Err(StartError::Descriptors { max_connections, needed, limit, possible })
}

/// A listener at an address that need not be this host's yet: the VIP comes and goes.
pub(crate) fn listener(address: SocketAddr) -> Result<TcpListener, StartError> {
    listen(address).map_err(|source| StartError::Listen { address, source })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if !address.ip().is_loopback() {
        // Both live in `inet_sock`, and the kernel takes the IPv4 options on an IPv6 TCP socket
        // (net/ipv6/ipv6_sockglue.c, level SOL_IP). Transparent: nftables may hand it connections to another port.
        socket.set_freebind_v4(true)?;
        socket.set_ip_transparent_v4(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_connections_than_descriptors_are_refused_with_what_would_do() {
        let limit = getrlimit(Resource::Nofile).current.unwrap();
        assert!(check_descriptors(1).is_ok());
        let error = check_descriptors(1_000_000).unwrap_err();
        let StartError::Descriptors { possible, .. } = error else { panic!("{error}") };
        assert!(check_descriptors(usize::try_from(possible).unwrap()).is_ok());
        assert!(possible < limit / 2);
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named() {
        let first = listener(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let taken = first.local_addr().unwrap();
        let error = listener(taken).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot listen on {taken}: ")), "{error}");
    }
}
