//! Listeners, and whether the process can carry what was asked for.

use std::net::{SocketAddr, TcpListener};
use std::{fmt, io};

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use crate::pipes::MAX_PIPES;
use crate::stream::{bound_unread, configure, keep_alive};

/// Connections that wait to be accepted: a burst of 2000 fits, and `net.core.somaxconn` is 4096.
const BACKLOG: i32 = 4096;

/// The daemon's own descriptors: listeners, probes, Lease requests, netlink, timers.
const OWN_DESCRIPTORS: u64 = 256;

/// Why a balancer cannot start: everything that is in its way, so that who mends one does not find the next.
#[derive(Debug)]
pub struct StartError {
    /// At least one.
    pub obstacles: Vec<Obstacle>,
}

/// Something that is in the way of a start.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// Taken, or not allowed.
    #[error("cannot listen on {address}: choose another balancer.port or balancer.listen: {cause}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        cause: io::Error,
    },
    /// For an address that is not this host's yet, and for connections to another port.
    #[error(
        "cannot listen on {address}: the capability NET_ADMIN is missing: run as uid 0 and add it"
    )]
    Privilege {
        /// Where.
        address: SocketAddr,
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
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The limit could not be raised within what is allowed.
    #[error("cannot raise the limit of open files: {0}")]
    Limit(io::Error),
}

/// Listens everywhere, with the descriptors for so many connections: one listener an address for each of so many
/// threads, among whom the kernel spreads connections (`SO_REUSEPORT`).
pub(crate) fn prepare(
    addresses: &[SocketAddr],
    max_connections: usize,
    threads: usize,
) -> Result<Vec<Vec<TcpListener>>, StartError> {
    let mut obstacles: Vec<Obstacle> =
        take_descriptors(max_connections).err().into_iter().collect();
    let mut groups: Vec<Vec<TcpListener>> = (0..threads).map(|_| Vec::new()).collect();
    for address in addresses {
        match listeners(*address, threads) {
            Ok(listeners) => {
                groups.iter_mut().zip(listeners).for_each(|(group, one)| group.push(one));
            }
            Err(obstacle) => obstacles.push(obstacle),
        }
    }
    if obstacles.is_empty() { Ok(groups) } else { Err(StartError { obstacles }) }
}

/// Whether all of that could be had; nothing listens, and nothing is kept.
pub(crate) fn rehearse(addresses: &[SocketAddr], max_connections: usize) -> Result<(), StartError> {
    let mut obstacles: Vec<Obstacle> =
        take_descriptors(max_connections).err().into_iter().collect();
    let bind = |address: &SocketAddr| bound(*address, false).err().map(|cause| of(*address, cause));
    obstacles.extend(addresses.iter().filter_map(bind));
    if obstacles.is_empty() { Ok(()) } else { Err(StartError { obstacles }) }
}

/// Takes as many descriptors as so many connections need; refuses more than the process may ever have.
fn take_descriptors(max_connections: usize) -> Result<(), Obstacle> {
    // None is no limit.
    let limits = getrlimit(Resource::Nofile);
    let limit = limits.maximum.unwrap_or(u64::MAX);
    let reserved = OWN_DESCRIPTORS + 2 * u64::try_from(MAX_PIPES).unwrap_or(u64::MAX);
    let asked = u64::try_from(max_connections).unwrap_or(u64::MAX);
    let needed = asked.saturating_mul(2).saturating_add(reserved);
    if needed <= limit {
        // The soft limit is 1024 where nobody chose it (select(2) knows no more), and the process's to raise.
        if limits.current.is_some_and(|soft| soft < needed) {
            let raised = Rlimit { current: Some(needed), maximum: limits.maximum };
            setrlimit(Resource::Nofile, raised).map_err(|errno| Obstacle::Limit(errno.into()))?;
        }
        return Ok(());
    }
    let possible = limit.saturating_sub(reserved) / 2;
    Err(Obstacle::Descriptors { max_connections, needed, limit, possible })
}

/// Listeners at an address that need not be this host's yet: the VIP comes and goes.
fn listeners(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, Obstacle> {
    listen(address, count).map_err(|cause| of(address, cause))
}

fn of(address: SocketAddr, cause: io::Error) -> Obstacle {
    if cause.raw_os_error() == Some(Errno::PERM.raw_os_error()) {
        Obstacle::Privilege { address }
    } else {
        Obstacle::Listen { address, cause }
    }
}

fn listen(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // Somebody else who shares the port is not to be joined: that nobody has it is found out without sharing.
    let own = bound(address, false)?.local_addr()?;
    let own = own.as_socket().unwrap_or(address);
    let listener = |_| {
        let socket = bound(own, true)?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    (0..count).map(listener).collect()
}

fn bound(address: SocketAddr, is_shared: bool) -> io::Result<Socket> {
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
    socket.set_reuse_port(is_shared)?;
    bound_unread(&socket)?;
    configure(&socket)?;
    keep_alive(&socket)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

// === impl StartError ===

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.obstacles.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join("; and "))
    }
}

impl std::error::Error for StartError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_connections_than_descriptors_are_refused_with_what_would_do() {
        let limit = getrlimit(Resource::Nofile).maximum.unwrap();
        assert!(take_descriptors(1).is_ok());
        let too_many = usize::try_from(limit).unwrap();
        let error = take_descriptors(too_many).unwrap_err();
        let Obstacle::Descriptors { possible, .. } = error else { panic!("{error}") };
        assert!(possible < limit / 2);
        assert!(take_descriptors(usize::try_from(possible).unwrap()).is_ok());
        let soft = getrlimit(Resource::Nofile).current;
        assert!(soft.is_none_or(|soft| soft > 2 * possible), "{soft:?}");
    }

    #[test]
    fn everything_in_the_way_is_named() {
        let first = listeners(SocketAddr::from(([127, 0, 0, 1], 0)), 2).unwrap();
        let taken = first[0].local_addr().unwrap();
        let said = prepare(&[taken], usize::MAX, 1).unwrap_err().to_string();
        assert!(said.contains("balancer.maxConnections"), "{said}");
        assert!(said.contains(&format!("; and cannot listen on {taken}: ")), "{said}");
    }

    #[test]
    fn a_port_that_is_taken_is_named() {
        let first = listeners(SocketAddr::from(([127, 0, 0, 1], 0)), 2).unwrap();
        let taken = first[0].local_addr().unwrap();
        let error = listeners(taken, 2).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot listen on {taken}: ")), "{error}");
    }
}
