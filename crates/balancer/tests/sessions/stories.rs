//! What a client sees of backends that fail, are slow, come and go.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::bed::{
    HEAVY, Manner, PATIENCE, backend, bed, bed_that_sheds, down, end, nobody, read, up,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_in_comes_out_and_an_end_is_passed_on() {
    let bed = bed(&[up(backend(Manner::Echo(1)).await)], 10);
    let (mut stream, _) = bed.ask().await;
    let sent: Vec<u8> = (0..8_u32 << 20).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let (mut reader, mut writer) = stream.split();
    let mut heard = Vec::new();
    let write = async {
        writer.write_all(&sent).await.unwrap();
        // The other side hears that no more comes, and says its own end after the rest.
        writer.shutdown().await.unwrap();
    };
    let (_, read) = tokio::join!(write, timeout(PATIENCE, reader.read_to_end(&mut heard)));
    read.expect("an end").unwrap();
    assert!(heard == sent, "{} of {} bytes", heard.len(), sent.len());
    bed.eventually("the seat is given back", |bed| bed.sessions() == [0]).await;
    let totals = bed.balancer.totals();
    assert_eq!((totals.open, totals.closed_ended), (0, 1));
    assert!(totals.bytes_in >= 8 << 20 && totals.bytes_out > totals.bytes_in, "{totals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_refuses_is_passed_over() {
    let bed = bed(&[up(nobody()), up(backend(Manner::Echo(2)).await)], 10);
    for _ in 0..4 {
        assert_eq!(bed.ask().await.1, 2);
    }
    let failures = bed.balancer.backends()[0].failures;
    assert_eq!(failures.refused, 1, "asked once, and then left alone: {failures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_accepts_and_is_mute_costs_a_second_and_nothing_else() {
    for manner in [Manner::Mute, Manner::Slam] {
        let bed = bed(&[up(backend(manner).await), up(backend(Manner::Echo(2)).await)], 10);
        let began = Instant::now();
        // It was told "hello", and so is the next one.
        assert_eq!(bed.ask().await.1, 2, "{manner:?}");
        if manner == Manner::Mute {
            assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_one_is_waited_for() {
    let bed = bed(&[up(backend(Manner::Mute).await)], 10);
    let mut stream = bed.connect().await;
    stream.write_all(b"hello").await.unwrap();
    assert!(timeout(Duration::from_millis(2500), stream.read(&mut [0])).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_a_byte_and_waits_is_not_held_against_a_backend() {
    let bed = bed(&[up(backend(Manner::Mute).await), up(backend(Manner::Mute).await)], 10);
    let mut stream = bed.connect().await;
    // The beginning of a TLS record: nobody can answer it.
    stream.write_all(&[22, 3, 1, 0, 9]).await.unwrap();
    sleep(Duration::from_millis(2500)).await;
    let failures: u64 = bed.balancer.backends().iter().map(|backend| backend.failures.silent).sum();
    assert_eq!(failures, 0);
    stream.write_all(&[0; 9]).await.unwrap();
    bed.eventually("a whole one is", |bed| {
        bed.balancer.backends().iter().any(|backend| backend.failures.silent == 1)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_a_reset() {
    let bed = bed(&[down(nobody()), down(nobody())], 10);
    let mut stream = bed.connect().await;
    stream.write_all(b"hello").await.unwrap();
    assert_eq!(end(&mut stream).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    bed.eventually("it is counted", |bed| bed.balancer.totals().closed_no_backend == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_a_dead_backend_end_at_once() {
    let (first, second) = (backend(Manner::Echo(1)).await, backend(Manner::Echo(2)).await);
    let bed = bed(&[up(first), down(second)], 10);
    let (mut stream, name) = bed.ask().await;
    assert_eq!(name, 1);
    bed.backends.send_replace(vec![down(first), down(second)]);
    assert!(timeout(Duration::from_millis(300), stream.read(&mut [0])).await.is_err(), "all are");
    bed.backends.send_replace(vec![down(first), up(second)]);
    assert_eq!(end(&mut stream).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(bed.ask().await.1, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_room_is_refused_and_the_next_is_not() {
    let bed = bed(&[up(backend(Manner::Echo(1)).await)], 2);
    let (first, _second) = (bed.ask().await, bed.ask().await);
    // It may be refused before it knows that it was connected.
    let third = TcpStream::connect(bed.balancer.addresses()[0]).await;
    let refused = match third {
        Ok(mut third) => end(&mut third).await.unwrap_err(),
        Err(refused) => refused,
    };
    assert_eq!(refused.kind(), ErrorKind::ConnectionReset);
    drop(first);
    bed.eventually("there is room", |bed| bed.balancer.totals().open == 1).await;
    bed.ask().await;
    assert_eq!(bed.balancer.totals().closed_full, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_cost_the_others_nothing() {
    let _alone = HEAVY.lock().await;
    let pour = backend(Manner::Pour).await;
    let bed = bed(&[up(pour)], 1000);
    let mut stalled = Vec::new();
    // More than there are pipes.
    for _ in 0..300 {
        let socket = TcpSocket::new_v4().unwrap();
        // What this side would take without being read is not what is bounded here.
        socket.set_recv_buffer_size(16 << 10).unwrap();
        let mut stream = socket.connect(bed.balancer.addresses()[0]).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        stalled.push(stream);
    }
    bed.eventually("all are served", |bed| bed.sessions() == [300]).await;
    // Their buffers are full when nothing moves any more.
    let mut moved = 0;
    bed.eventually("they stall", |bed| {
        let now = bed.balancer.totals().bytes_out;
        std::thread::sleep(Duration::from_millis(200));
        bed.balancer.totals().bytes_out == now
    })
    .await;
    let echo = backend(Manner::Echo(2)).await;
    bed.backends.send_replace(vec![up(pour), up(echo)]);
    bed.eventually("there are two", |bed| bed.sessions().len() == 2).await;
    for _ in 0..20 {
        assert_eq!(bed.ask().await.1, 2);
    }
    // And whoever reads again gets the rest.
    let mut bytes = vec![0; 1 << 20];
    for stream in stalled.iter_mut().take(3) {
        while moved < 4 << 20 {
            let heard = timeout(PATIENCE, stream.read(&mut bytes)).await.expect("more").unwrap();
            assert!(heard > 0, "it ended");
            moved += heard;
        }
        moved = 0;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_spread_evenly() {
    let _alone = HEAVY.lock().await;
    let mut backends = Vec::new();
    for name in 0..3 {
        backends.push(up(backend(Manner::Echo(name)).await));
    }
    let bed = bed(&backends, 1000);
    let mut asked = Vec::new();
    for _ in 0..600 {
        let address = bed.balancer.addresses()[0];
        asked.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"x").await.unwrap();
            read(&mut stream, 2).await;
            stream
        }));
    }
    let mut open = Vec::new();
    for stream in asked {
        open.push(stream.await.unwrap());
    }
    assert_eq!(bed.sessions(), [200, 200, 200]);
}

/// As a watch does: each connects again when it is ended.
fn watch(address: SocketAddr, count: usize) {
    for _ in 0..count {
        tokio::spawn(async move {
            loop {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(b"x").await.unwrap();
                while stream.read(&mut [0; 9]).await.is_ok_and(|heard| heard > 0) {}
            }
        });
    }
}

fn is_even(sessions: &[usize], sum: usize) -> bool {
    let (most, least) = (sessions.iter().max().unwrap(), sessions.iter().min().unwrap());
    sessions.iter().sum::<usize>() == sum && most - least <= 3
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_comes_back_gets_its_share_slowly() {
    let mut backends = Vec::new();
    for name in 0..3 {
        backends.push(backend(Manner::Echo(name)).await);
    }
    let [first, second, third] = backends[..] else { unreachable!() };
    let bed = bed_that_sheds(&[up(first), up(second), down(third)], 1000, 10);
    watch(bed.balancer.addresses()[0], 90);
    bed.eventually("they watch", |bed| bed.sessions() == [45, 45, 0]).await;
    bed.backends.send_replace(vec![up(first), up(second), up(third)]);
    sleep(Duration::from_secs(4)).await;
    assert_eq!(bed.sessions(), [45, 45, 0], "it has to stay for a while first");
    bed.eventually("within 10 %", |bed| is_even(&bed.sessions(), 90)).await;
    let shed = bed.balancer.totals().closed_shed;
    assert!((28..=34).contains(&shed), "no more than had to: {shed}");
}

/// What every backend ends says nothing about the backends.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_nobody_answers_makes_nobody_suspect() {
    let mut backends = Vec::new();
    for name in 0..2 {
        backends.push(up(backend(Manner::Choosy(name)).await));
    }
    let bed = bed_that_sheds(&[backends[0], down(backends[1].address)], 1000, 10);
    let address = bed.balancer.addresses()[0];
    watch(address, 60);
    bed.eventually("they watch", |bed| bed.sessions() == [60, 0]).await;
    bed.backends.send_replace(backends);
    let scanner = tokio::spawn(async move {
        loop {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"!").await.unwrap();
            let _reset = stream.read(&mut [0]).await;
            sleep(Duration::from_millis(500)).await;
        }
    });
    bed.eventually("within 10 %", |bed| is_even(&bed.sessions(), 60)).await;
    scanner.abort();
    let failures = bed.balancer.backends();
    assert!(failures.iter().all(|backend| backend.failures.closed > 5), "counted: {failures:?}");
}
