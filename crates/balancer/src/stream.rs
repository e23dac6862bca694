//! The options of a proxied connection, the same on both sides, and its two ways to end.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::sockopt;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep};

use crate::queue::{Queue, limit_probe_interval};

/// A connection that idles is no dead one: watches idle for minutes. A peer that is gone is found after
/// `KEEPALIVE_IDLE + 3 * KEEPALIVE_INTERVAL`.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 3;

/// A peer that acknowledges nothing for so long is gone (RFC 5482). The same as keepalive takes, whose count
/// it overrides (net/ipv4/tcp_timer.c, `tcp_keepalive_timer`).
const USER_TIMEOUT: Duration = Duration::from_secs(25);

/// How often a reader that pauses is asked whether it is still there.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// What the kernel keeps for a receiver that does not take it, beyond what is on its way: without a bound
/// of its own it would be up to `net.ipv4.tcp_wmem`, 4 MiB a connection.
const MAX_UNSENT: u32 = 128 << 10;

/// How long a peer may take for the last that it was told, and how often that is looked at.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);
const LINGER_INTERVAL: Duration = Duration::from_millis(20);

/// What the kernel takes in of a sender whose other side does not read: without a bound of its own it would
/// be up to `net.ipv4.tcp_rmem`, 6 MiB and more a connection. A window of this size fills 10 Gbit/s at 0.4 ms.
const MAX_UNREAD: usize = 512 << 10;

/// Bounds what is taken in; to be called before there is a connection. Beyond `net.core.rmem_max` it is a
/// privilege, and a smaller window does as well on a worker's loopback.
pub(crate) fn bound_unread(socket: impl AsFd) -> io::Result<()> {
    let forced = sockopt::set_socket_recv_buffer_size_force(&socket, MAX_UNREAD);
    Ok(forced.or_else(|_| sockopt::set_socket_recv_buffer_size(&socket, MAX_UNREAD))?)
}

/// Sets what both sides of a session have from the beginning. A listener hands it to what it accepts
/// (net/ipv4/inet_connection_sock.c, `inet_csk_clone_lock`).
pub(crate) fn configure(socket: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(MAX_UNSENT)
}

/// Sets what finds a peer that is gone; for a listener, or for a session that lasts.
pub(crate) fn keep_alive(socket: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

/// Connects to a backend.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    bound_unread(&socket)?;
    let stream = socket.connect(address).await?;
    configure(&stream)?;
    Ok(stream)
}

/// Whether a reader that pauses is waited for. The kernel does not tell a closed window from silence when it
/// judges `TCP_USER_TIMEOUT` (`tcp_probe_timer`); without it, one that answers the probes of its window may
/// pause for ever.
pub(crate) fn wait_for_reader(stream: &TcpStream, is_patient: bool) -> io::Result<()> {
    if is_patient {
        limit_probe_interval(stream, PROBE_INTERVAL);
    }
    SockRef::from(stream).set_tcp_user_timeout((!is_patient).then_some(USER_TIMEOUT))
}

/// Makes a reset of the end to come: the other side learns at once that it was no orderly one.
pub(crate) fn reset(stream: &TcpStream) {
    // It is closed either way.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// The same once the peer has all that it was told: a reset overtakes and discards what is on its way, and so
/// does an end with something unread. Bounded, since a peer may take nothing.
pub(crate) async fn reset_when_told(stream: &TcpStream) {
    let is_taking = || {
        // Fails for one that is gone: it takes nothing any more.
        stream.peer_addr().is_ok() && Queue::of(stream).is_ok_and(|queue| !queue.is_empty())
    };
    let deadline = Instant::now() + LINGER_TIMEOUT;
    while is_taking() && Instant::now() < deadline {
        sleep(LINGER_INTERVAL).await;
    }
    reset(stream);
}
