//! The two rhythms of attempts: TCP connects each 5 ms, HTTPS requests as the target asks.
//!
//! An attempt is a task of its own, so that a hung one delays no other; at most 40 of either kind are
//! under way (200 ms / 5 ms).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::ATTEMPT_TIMEOUT;
use super::held::hold_repeatedly;
use super::https::TlsTarget;
use super::series::{Attempt, Outcome};
use super::timeline::Timeline;

/// Finer than the smallest gap that is promised (20 ms) by a factor of four.
const CONNECT_INTERVAL: Duration = Duration::from_millis(5);
/// Connects to `address` each 5 ms until told to stop.
pub(super) async fn connect_repeatedly(
    address: SocketAddr,
    timeline: Arc<Timeline>,
    stop: watch::Receiver<bool>,
) {
    repeat(CONNECT_INTERVAL, stop, || {
        let timeline = Arc::clone(&timeline);
        async move { timeline.tcp(bounded(async { connect_once(address).await }).await) }
    })
    .await;
}

/// Asks `GET /livez` (with `tls`), and holds a connection, until told to stop.
pub(super) async fn request_repeatedly(
    address: SocketAddr,
    every: Duration,
    tls: Option<TlsTarget>,
    timeline: Arc<Timeline>,
    stop: watch::Receiver<bool>,
) {
    let held = hold_repeatedly(address, tls.clone(), Arc::clone(&timeline), stop.clone());
    let requests = async {
        let Some(tls) = tls else { return };
        repeat(every, stop, || {
            let (timeline, tls) = (Arc::clone(&timeline), tls.clone());
            async move { timeline.https(bounded(async { tls.get_livez(address).await }).await) }
        })
        .await;
    };
    tokio::join!(held, requests);
}

/// A connection that ends with RST: ten minutes of FINs would leave 12 000 ports in TIME_WAIT at any
/// time, and the client would run out of them.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_zero_linger()?;
    socket.connect(address).await
}

/// What an error of a connection tells.
pub(super) fn outcome_of(error: &io::Error) -> Outcome {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Outcome::Refused,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Outcome::Closed,
        io::ErrorKind::TimedOut => Outcome::TimedOut,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Outcome::Unreachable,
        io::ErrorKind::InvalidData => Outcome::BadTls,
        _ => Outcome::Failed,
    }
}

async fn connect_once(address: SocketAddr) -> Outcome {
    match connect(address).await {
        Ok(_stream) => Outcome::Connected,
        Err(error) => outcome_of(&error),
    }
}

/// Runs one attempt under its bound.
async fn bounded(attempt: impl Future<Output = Outcome>) -> Attempt {
    let start = Instant::now();
    let outcome = timeout(ATTEMPT_TIMEOUT, attempt).await.unwrap_or(Outcome::TimedOut);
    Attempt { start, took: start.elapsed(), outcome }
}

/// Starts an attempt each `period` until told to stop, then waits for those under way.
async fn repeat<F>(period: Duration, stop: watch::Receiver<bool>, mut attempt: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut ticks = interval(period);
    // After a stall one attempt, not a burst: attempts that start together tell nothing.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut under_way = JoinSet::new();
    loop {
        ticks.tick().await;
        if *stop.borrow() {
            break;
        }
        under_way.spawn(attempt());
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}
