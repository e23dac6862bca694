//! The options of a proxied connection, the same on both sides, and its two ways to end.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};

/// A connection that idles is no dead one: watches idle for minutes. A peer that is gone is found after
/// `KEEPALIVE_IDLE + 3 * KEEPALIVE_INTERVAL`.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 3;

/// A peer that acknowledges nothing, or takes nothing, for so long is gone (RFC 5482). Longer than somebody
/// looks at a page of `kubectl exec … | less`: the kernel counts a closed window, too
/// (net/ipv4/tcp_timer.c, `tcp_probe_timer`). Backends that are gone are found by their probes.
const USER_TIMEOUT: Duration = Duration::from_secs(300);

/// What the kernel keeps for a receiver that does not take it, beyond what is on its way: without a bound
/// of its own it would be up to `net.ipv4.tcp_wmem`, 4 MiB a connection.
const MAX_UNSENT: u32 = 256 << 10;

/// Sets what both sides of a session have.
pub(crate) fn configure(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_notsent_lowat(MAX_UNSENT)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

/// Connects to a backend.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    let stream = socket.connect(address).await?;
    configure(&stream)?;
    Ok(stream)
}

/// Makes a reset of the end to come: the other side learns at once that it was no orderly one.
pub(crate) fn reset(stream: &TcpStream) {
    // It is closed either way.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
