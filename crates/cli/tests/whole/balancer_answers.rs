//! Backends that take a connection and do not answer: the client sees one answer, of another backend.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use pintle_testkit::plain::{Caller, Manner, crowd};

use super::bed::{PORT, SOON, VIP, always, wait};
use super::scene::{ASKED, FRONT, HOSTS, PATIENCE, Scene};

/// So long a backend that was told everything may be silent (issue and docs/balancer.md).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// One more that is silent, and a slow machine.
const LATEST: Duration = Duration::from_secs(4);

/// Calls that come at once: a backend that fails gets its part of them before anybody knows.
fn call_at_once(scene: &Scene) -> (Vec<Caller>, Duration) {
    let began = Instant::now();
    let called = crowd(scene.bed.topology.client_ns(), FRONT, 2 * HOSTS, PATIENCE).unwrap();
    let callers = called.into_iter().collect::<Result<_, _>>().expect("every one is answered");
    (callers, began.elapsed())
}

/// The first flight is said again to the next one, and answered once: a caller takes nothing else.
#[test]
fn one_that_takes_a_connection_and_never_answers_costs_a_second() {
    let scene = Scene::with_porters("enabled: true");
    scene.porters[0].set_manner(Manner::Mute);
    let (mut callers, took) = call_at_once(&scene);
    assert!(scene.porters[0].begun() > 0, "it was asked");
    assert!(callers.iter().all(|caller| caller.served_by != 0));
    assert!((ANSWER_TIMEOUT..LATEST).contains(&took), "{took:?}");
    assert_eq!(scene.failures(0, "silent"), u64::try_from(scene.porters[0].begun()).unwrap());
    for caller in &mut callers {
        caller.ask(b"and only one").unwrap();
    }
    assert_eq!(scene.porters[0].open(), 0, "it was left");
    scene.assert_memory(40);
}

#[test]
fn one_that_ends_or_resets_what_it_was_told_costs_nothing() {
    for manner in [Manner::Close, Manner::Reset] {
        let scene = Scene::with_porters("enabled: true");
        scene.porters[1].set_manner(manner);
        let (mut callers, took) = call_at_once(&scene);
        let asked = scene.porters[1].begun();
        assert!(asked > 0, "it was asked");
        assert!(callers.iter().all(|caller| caller.served_by != 1), "{manner:?}");
        assert!(took < LATEST, "{manner:?}: {took:?}");
        assert_eq!(scene.failures(1, "closed"), u64::try_from(asked).unwrap(), "{manner:?}");
        for caller in &mut callers {
            caller.ask(b"and only one").unwrap();
        }
        scene.assert_memory(40);
    }
}

/// Where no backend answers, the client is told so at once, and not by an orderly end.
#[test]
fn where_all_of_them_end_it_the_client_is_reset() {
    let scene = Scene::with_porters("enabled: true");
    scene.set_manner(Manner::Close);
    let call = || Caller::call(FRONT, PATIENCE).map(drop);
    let answer = scene.bed.topology.client_ns().run_in(call).unwrap();
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!((0..HOSTS).map(|host| scene.failures(host, "closed")).collect::<Vec<_>>(), [1; 3]);
    assert_eq!(scene.closed("no_backend"), 1);
}

/// The same with TLS and a whole server that stands still, as long as no probe has found it.
#[test]
fn requests_go_on_while_an_api_server_stands_still() {
    let scene = Scene::start(&[VIP], "enabled: true");
    let client = scene.client(scene.bed.topology.client_ns(), VIP, PORT);
    let other = (scene.holder + 1) % HOSTS;
    scene.bed.servers[other].hang_all(true);
    always(Duration::from_secs(3), "requests are answered", || {
        sleep(Duration::from_millis(20));
        let began = Instant::now();
        client.get(ASKED).is_ok_and(|answer| answer.is_success()) && began.elapsed() < LATEST
    });
    scene.bed.servers[other].hang_all(false);
    assert!(scene.failures(other, "silent") > 0, "it was tried");
    assert!(scene.pintle().changes("lost").is_empty(), "the VIP stays");
}

/// A client whose first words are longer than what is kept of them, to a server that hears all of it first.
#[test]
fn a_long_first_flight_arrives_whole() {
    let scene = Scene::with_porters("enabled: true");
    scene.set_manner(Manner::Hand);
    let said: Vec<u8> = (0..64_u32 << 10).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let connect = || -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&FRONT, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&said)?;
        Ok(stream)
    };
    let mut client = scene.bed.topology.client_ns().run_in(connect).unwrap().unwrap();
    let (mut server, _) = wait(SOON, "a backend has it", || {
        scene.porters.iter().find_map(|porter| porter.take(Duration::ZERO).ok())
    });
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = vec![0; said.len()];
    server.read_exact(&mut heard).unwrap();
    assert!(heard == said, "all that was said, in order");
    server.write_all(b"!").unwrap();
    client.read_exact(&mut [0]).unwrap();
    assert_eq!(scene.metric("bytes_total{direction=\"in\"}"), 64 << 10);
}
