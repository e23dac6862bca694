//! Freezing, killing, draining, restarting; threads and network namespaces.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use hyper::Method;
use pintle_testkit::stand_in::{Behaviour, StandIn, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::bed::{Bed, Client, LEASE, LEASES, Pki, SILENCE, SOON, Who, held_by, loopback};

async fn assert_refused(address: SocketAddr) {
    let error = TcpStream::connect(address).await.expect_err("the port refuses");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

async fn read_error(stream: &mut TcpStream) -> std::io::Error {
    let read = timeout(SOON, stream.read(&mut [0; 1])).await;
    read.expect("an end of the connection").unwrap_err()
}

async fn until_connections(server: &StandIn, count: usize) {
    let reached = async {
        while server.connections() != count {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, reached).await.unwrap();
}

/// A TCP connection that the server has accepted, and nothing more.
async fn raw(server: &StandIn, others: usize) -> TcpStream {
    until_connections(server, others).await;
    let stream = TcpStream::connect(server.address()).await.unwrap();
    until_connections(server, others + 1).await;
    stream
}

#[tokio::test]
async fn a_frozen_server_completes_tcp_and_nothing_else() {
    let bed = Bed::new();
    let stored = bed.stored().await;
    let mut kept = bed.client(Who::Admin).await;
    assert_eq!(kept.call(Method::GET, "/readyz", None).await.0, 200);
    bed.server.hang_all(true);
    let fresh = Client::connect(bed.server.address(), bed.pki.client(Who::Admin));
    assert!(timeout(SILENCE, fresh).await.is_err(), "no TLS handshake");
    let tcp = timeout(SILENCE, TcpStream::connect(bed.server.address())).await;
    tcp.expect("TCP alone connects").unwrap();
    let write = held_by(&stored, "cp-2");
    let arrived = bed.server.requests().len();
    let (answer, ()) = tokio::join!(kept.call(Method::PUT, LEASE, Some(&write)), async {
        sleep(SILENCE).await;
        assert_eq!(bed.server.requests().len(), arrived, "nothing is read");
        assert_eq!(bed.store.lease("kube-system", "pintle"), Some(stored.clone()));
        bed.server.hang_all(false);
    });
    assert_eq!(answer.0, 200, "what waited is served after the thaw");
    assert_eq!(bed.get(LEASE).await.0, 200);
}

#[tokio::test]
async fn a_frozen_server_applies_nothing_that_it_had_read_before() {
    let bed = Bed::new();
    let stored = bed.stored().await;
    bed.server.set_writes(Behaviour::Delay(SILENCE));
    let mut client = bed.client(Who::Admin).await;
    let write = held_by(&stored, "cp-2");
    let (answer, ()) = tokio::join!(client.call(Method::PUT, LEASE, Some(&write)), async {
        sleep(SILENCE / 3).await;
        bed.server.hang_all(true);
        sleep(SILENCE * 2).await;
        assert_eq!(bed.store.lease("kube-system", "pintle"), Some(stored.clone()));
        bed.server.hang_all(false);
    });
    assert_eq!(answer.0, 200);
}

#[tokio::test]
async fn a_frozen_server_sends_no_answer_that_it_had_ready() {
    let bed = Bed::new();
    bed.stored().await;
    bed.server.set_reads(Behaviour::DelayAnswer(SILENCE / 2));
    let mut client = bed.client(Who::Admin).await;
    let mut answer = std::pin::pin!(client.call(Method::GET, LEASE, None));
    assert!(timeout(SILENCE / 6, &mut answer).await.is_err());
    bed.server.hang_all(true);
    assert!(timeout(SILENCE * 2, &mut answer).await.is_err());
    bed.server.hang_all(false);
    assert_eq!(answer.await.0, 200);
}

#[tokio::test]
async fn a_killed_server_resets_refuses_and_comes_back() {
    for frozen in [false, true] {
        let bed = Bed::new();
        let stored = bed.stored().await;
        let mut connection = raw(&bed.server, 0).await;
        let mut watch = bed.watch("resourceVersion=0").await;
        watch.next().await.unwrap();
        bed.server.set_writes(Behaviour::Delay(SILENCE));
        let mut client = bed.client(Who::Admin).await;
        let write = held_by(&stored, "cp-2");
        client.sender.ready().await.unwrap();
        let (answer, ()) = tokio::join!(client.send(Method::PUT, LEASE, Some(&write)), async {
            sleep(SILENCE / 3).await;
            bed.server.hang_all(frozen);
            bed.server.kill();
            // At once: nothing has been awaited since.
            let refused = std::net::TcpStream::connect(bed.server.address()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        });
        assert!(answer.is_err());
        let error = read_error(&mut connection).await;
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        sleep(SILENCE * 2).await;
        assert_eq!(bed.store.lease("kube-system", "pintle"), Some(stored));
        until_connections(&bed.server, 0).await;

        bed.server.set_writes(Behaviour::Normal);
        for _ in 0..3 {
            bed.server.restart().unwrap();
            assert_eq!(bed.get(LEASE).await.0, 200);
            bed.server.kill();
            assert_refused(bed.server.address()).await;
        }
        bed.server.restart().unwrap();
        bed.server.restart().unwrap();
        assert_eq!(bed.get("/readyz").await.0, 200);
    }
}

#[tokio::test]
async fn the_backlog_of_a_frozen_server_is_reset_by_a_kill() {
    let bed = Bed::new();
    bed.server.hang_all(true);
    // The first may still be accepted by the task that was waiting; the second is not.
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(bed.server.address()).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        waiting.push(stream);
    }
    sleep(SILENCE).await;
    assert!(bed.server.connections() <= 1);
    bed.server.kill();
    for mut stream in waiting {
        assert_eq!(read_error(&mut stream).await.kind(), ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn a_draining_server_says_so_first_and_refuses_later() {
    let bed = Bed::new();
    bed.stored().await;
    let mut watch = bed.watch("resourceVersion=0").await;
    watch.next().await.unwrap();
    let mut idle = bed.client(Who::Admin).await;
    assert_eq!(idle.call(Method::GET, LEASE, None).await.0, 200);
    bed.server.drain(SILENCE * 2);
    let (status, body) = bed.get("/readyz").await;
    assert_eq!(status, 500);
    assert!(body.as_str().unwrap().contains("[-]shutdown failed"), "{body}");
    assert_eq!(bed.get("/livez").await.0, 200);
    assert_eq!(bed.get(LEASE).await.0, 200, "all else is served");
    assert_eq!(idle.call(Method::GET, LEASE, None).await.0, 200);
    bed.server.set_reads(Behaviour::DelayAnswer(SILENCE * 4));
    let mut busy = bed.client(Who::Admin).await;
    let under_way = busy.call(Method::GET, LEASE, None);
    let ((status, _), ()) = tokio::join!(under_way, async {
        timeout(SOON, async { while TcpStream::connect(bed.server.address()).await.is_ok() {} })
            .await
            .unwrap();
        let closed = async {
            while !idle.sender.is_closed() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(SOON, closed).await.expect("idle ones are closed");
    });
    assert_eq!(status, 200, "what is under way is answered");
    assert_refused(bed.server.address()).await;
    assert!(bed.store.delete_lease("kube-system", "pintle"));
    assert_eq!(watch.next().await.unwrap()["type"], "DELETED", "watches go on");
    bed.server.restart().unwrap();
    bed.server.set_reads(Behaviour::Normal);
    assert_eq!(bed.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn a_restart_during_a_drain_ends_the_drain() {
    let bed = Bed::new();
    bed.server.drain(SILENCE);
    bed.server.restart().unwrap();
    sleep(SILENCE * 2).await;
    assert_eq!(bed.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn the_last_handle_stops_the_server() {
    let bed = Bed::new();
    let address = bed.server.address();
    let clone = bed.server.clone();
    let mut kept = bed.client(Who::Admin).await;
    drop(bed.server);
    assert_eq!(kept.call(Method::GET, "/readyz", None).await.0, 200);
    drop(clone);
    assert_refused(address).await;
    // The port is free once the accepting task has ended.
    let again = timeout(SOON, async {
        loop {
            match StandIn::start(address, Store::new(), &bed.pki.server()) {
                Ok(server) => return server,
                Err(_) => sleep(Duration::from_millis(5)).await,
            }
        }
    });
    assert_eq!(again.await.unwrap().address(), address);
}

#[tokio::test]
async fn connections_are_bounded() {
    let bed = Bed::new();
    let mut open = Vec::new();
    for others in 0..256 {
        open.push(raw(&bed.server, others).await);
    }
    let mut surplus = TcpStream::connect(bed.server.address()).await.unwrap();
    let read = timeout(SOON, surplus.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "the surplus one is closed: {read:?}");
    assert_eq!(bed.server.connections(), 256);
}

#[test]
fn a_server_needs_a_runtime_or_a_thread() {
    let (pki, store) = (Pki::new(), Store::new());
    let error = StandIn::start(loopback(), store.clone(), &pki.server()).unwrap_err();
    assert!(error.to_string().contains("start_on_thread"), "{error}");
    let missing =
        StandIn::start_on_thread(Some("no-such-namespace"), loopback(), store, &pki.server());
    assert!(format!("{:#}", missing.unwrap_err()).contains("/run/netns/no-such-namespace"));
}

#[tokio::test]
async fn a_server_on_a_thread_of_its_own_lives_in_its_namespace() {
    let name = format!("si-{}", std::process::id());
    let _namespace = Namespace::new(&name);
    let (pki, store) = (Pki::new(), Store::new());
    let address: SocketAddr = "127.0.0.1:6443".parse().unwrap();
    let server = StandIn::start_on_thread(Some(&name), address, store, &pki.server()).unwrap();
    let reachable = || connects_inside(&name, address);
    assert!(reachable());
    assert!(TcpStream::connect(address).await.is_err(), "not in the caller's namespace");
    server.kill();
    assert!(!reachable());
    server.restart().unwrap();
    assert!(reachable());
    drop(server);
    assert!(!reachable());

    let here = StandIn::start_on_thread(None, loopback(), Store::new(), &pki.server()).unwrap();
    let mut client = Client::connect(here.address(), pki.client(Who::Admin)).await.unwrap();
    let (status, _) = client.call(Method::POST, LEASES, Some(&crate::bed::lease())).await;
    assert_eq!(status, 201);
    here.kill();
    assert_refused(here.address()).await;
    here.restart().unwrap();
    let mut client = Client::connect(here.address(), pki.client(Who::Admin)).await.unwrap();
    assert_eq!(client.call(Method::GET, LEASE, None).await.0, 200);
}

struct Namespace(String);

impl Namespace {
    fn new(name: &str) -> Self {
        ip(&["netns", "add", name]);
        ip(&["-n", name, "link", "set", "lo", "up"]);
        Self(name.to_owned())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.0]);
    }
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?} needs root: {status}");
}

/// Asked by an independent tool, from a process inside the namespace.
fn connects_inside(name: &str, address: SocketAddr) -> bool {
    let script = format!("exec 3<>/dev/tcp/{}/{}", address.ip(), address.port());
    let inside = ["netns", "exec", name, "bash", "-c", &script];
    Command::new("ip").args(inside).output().unwrap().status.success()
}
