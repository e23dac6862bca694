//! How sessions end, and what each side sees of it.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::bed::{Bed, Manner, PATIENCE, backend, bed, end, read, up};

/// A session of which the test has both ends.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    bed: Bed,
}

/// The client takes no more than it reads.
async fn pair() -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bed = bed(&[up(listener.local_addr().unwrap())], 10);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let mut client = socket.connect(bed.balancer.addresses()[0]).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    assert_eq!(read(&mut server, 5).await, b"hello");
    server.write_all(b"!").await.unwrap();
    assert_eq!(read(&mut client, 1).await, b"!");
    Pair { client, server, bed }
}

fn break_off(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_breaks_off_breaks_off_the_other() {
    let Pair { client, mut server, bed } = pair().await;
    break_off(client);
    assert_eq!(end(&mut server).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    bed.eventually("it is counted", |bed| bed.balancer.totals().closed_broken == 1).await;
    let Pair { mut client, server, bed: _bed } = pair().await;
    break_off(server);
    assert_eq!(end(&mut client).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

/// As an API server that refuses a large upload: it answers, waits a moment as Go's does, and ends with the
/// rest unread.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_word_of_one_that_breaks_off_arrives() {
    let Pair { mut client, mut server, bed } = pair().await;
    let upload = vec![0; 16 << 20];
    let word = vec![7; 300 << 10];
    let (mut reader, mut writer) = client.split();
    let answer = async {
        server.write_all(&word).await.unwrap();
        bed.eventually("it was taken", |bed| bed.balancer.totals().bytes_out > 100 << 10).await;
        sleep(Duration::from_millis(200)).await;
        break_off(server);
        // The client was busy with its upload.
        sleep(Duration::from_millis(200)).await;
        let mut heard = vec![0; word.len()];
        timeout(PATIENCE, reader.read_exact(&mut heard)).await.expect("a word").unwrap();
        heard
    };
    let (_refused, heard) = tokio::join!(writer.write_all(&upload), answer);
    assert!(heard == word);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_an_address_that_left_are_told_at_once() {
    let Pair { mut client, mut server, bed } = pair().await;
    bed.balancer.end_sessions();
    assert_eq!(end(&mut client).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(end(&mut server).await.is_err());
    bed.eventually("it is counted", |bed| bed.balancer.totals().closed_vip_left == 1).await;
    assert_eq!(bed.balancer.totals().open, 0);
}

/// As a port scanner: it says something, or too little, and is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_is_not_held_against_a_backend() {
    let backends = [backend(Manner::Mute).await, backend(Manner::Mute).await];
    let bed = bed(&backends.map(up), 100);
    for said in [&b"hel"[..], &[22, 3, 1], &[22, 3, 1, 2, 0, 1, 0]] {
        let mut client = bed.connect().await;
        client.write_all(said).await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(end(&mut client).await.unwrap(), 0);
    }
    bed.eventually("they are counted", |bed| bed.balancer.totals().closed_ended == 3).await;
    let backends = bed.balancer.backends();
    assert!(backends.iter().all(|backend| backend.failures.closed == 0), "{backends:?}");
}

/// Closed windows look like silence to the kernel's own timeout, which is 25 s.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_pauses_is_waited_for() {
    let bed = bed(&[up(backend(Manner::Pour).await)], 10);
    let mut client = bed.connect().await;
    client.write_all(b"x").await.unwrap();
    sleep(Duration::from_secs(45)).await;
    let mut bytes = vec![0; 1 << 20];
    let mut heard = 0;
    // Far more than lay in buffers.
    while heard < 32 << 20 {
        let more = timeout(PATIENCE, client.read(&mut bytes)).await.expect("more").unwrap();
        assert!(more > 0, "it ended after {heard} bytes");
        heard += more;
    }
}
