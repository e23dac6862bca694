//! Clients that mean no good.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::client::get;
use crate::daemon::Daemon;

/// The bound of one listener's connections.
const PLACES: usize = 64;

#[tokio::test]
async fn half_requests_hold_their_places_for_seconds_and_no_more() {
    let daemon = Daemon::start();
    let mut held = Vec::new();
    for _ in 0..PLACES {
        let mut stream = TcpStream::connect(daemon.address()).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: pin").await.unwrap();
        held.push(stream);
    }
    // Long enough for the server to have accepted them all.
    let early = timeout(Duration::from_secs(1), get(daemon.address(), "/livez")).await;
    assert!(early.is_err(), "more than {PLACES} connections are served");
    let metrics = get(daemon.server.metrics_address.unwrap(), "/metrics");
    let other = timeout(Duration::from_secs(3), metrics).await;
    assert_eq!(other.expect("the other listener has places of its own").status, 200);
    let late = timeout(Duration::from_secs(20), get(daemon.address(), "/livez")).await;
    assert_eq!(late.expect("half requests hold their places for ever").status, 200);
    for mut stream in held {
        let mut rest = Vec::new();
        let ended = timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "a half request is still waited for");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_left_after_a_while() {
    const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nhost: pintle\r\n\r\n";
    let daemon = Daemon::start();
    let mut stream = TcpStream::connect(daemon.address()).await.unwrap();
    // Written until both sides are stuck: the answers are a hundred times as long.
    let mut sent = 0_u32;
    while let Ok(Ok(())) = timeout(Duration::from_secs(1), stream.write_all(REQUEST)).await {
        sent += 1;
        assert!(sent < 10_000_000, "the server reads without bound");
    }
    sleep(Duration::from_secs(90)).await;
    // A connection that is only stuck would be stuck still; one that is closed says so.
    let write = timeout(Duration::from_secs(1), stream.write(REQUEST)).await;
    assert!(matches!(write, Ok(Err(_))), "after {sent} requests: {write:?}");
}
