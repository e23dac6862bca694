//! Many clients at once: thousands that idle, and thousands that come in the same moment.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use pintle_testkit::plain::{Caller, crowd};

use super::bed::{SOON, wait};
use super::scene::{FRONT, HOSTS, PATIENCE, Scene};

/// One after the other: both ends of every session are in this one process, which may open 20000 files.
static HEAVY: Mutex<()> = Mutex::new(());

/// So many of the 8000 connect at once.
const GROUP: usize = 1000;

/// Longer than anything is waited for but a client's first word, and than keepalive's first probe.
const SILENCE: Duration = Duration::from_secs(12);

/// An unoptimised pintle with its threads takes 28 MiB, 20 of them the file's own pages.
const PROGRAM_MIB: u64 = 32;

/// A session takes 2.8 KiB of memory when nothing is in it: 4 KiB is the bound.
const SESSIONS_PER_MIB: u64 = 256;

/// Those of a crowd that were answered, all of them.
fn all(scene: &Scene, count: usize) -> Vec<Caller> {
    let called = crowd(scene.bed.topology.client_ns(), FRONT, count, PATIENCE).unwrap();
    called.into_iter().map(|caller| caller.expect("every one is answered")).collect()
}

/// How many each porter serves.
fn served(callers: &[Caller]) -> Vec<usize> {
    let of = |host| callers.iter().filter(|caller| usize::from(caller.served_by) == host).count();
    (0..HOSTS).map(of).collect()
}

/// Asserts that the most loaded has at most a tenth more than the least.
fn assert_even(counts: &[usize]) {
    let (most, least) = (counts.iter().max().unwrap(), counts.iter().min().unwrap());
    assert!(*most <= least + least / 10, "within 10 %: {counts:?}");
}

#[test]
fn eight_thousand_idle_sessions_are_kept_and_one_more_is_refused() {
    const MOST: usize = 8000;
    let _alone = HEAVY.lock().unwrap_or_else(PoisonError::into_inner);
    let scene = Scene::with_porters("enabled: true, maxConnections: 8000");
    let mut callers = Vec::new();
    while callers.len() < MOST {
        callers.extend(all(&scene, GROUP));
    }
    assert_even(&served(&callers));
    let refused = || -> std::io::Result<usize> {
        let mut stream = TcpStream::connect_timeout(&FRONT, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"hello")?;
        stream.read(&mut [0])
    };
    let began = Instant::now();
    let answer = scene.bed.topology.client_ns().run_in(refused).unwrap();
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::ConnectionReset, "one too many");
    assert!(began.elapsed() < Duration::from_secs(1), "at once: {:?}", began.elapsed());
    assert_eq!(scene.closed("full"), 1);
    sleep(SILENCE);
    for (number, caller) in callers.iter_mut().enumerate() {
        caller.ask(b"are you there").unwrap_or_else(|error| panic!("number {number}: {error}"));
    }
    assert_eq!(scene.connections().iter().sum::<u64>(), 8000);
    scene.assert_memory(PROGRAM_MIB + 8000 / SESSIONS_PER_MIB);
    drop(callers.pop());
    wait(SOON, "its place is free", || {
        (scene.connections().iter().sum::<u64>() == 7999).then_some(())
    });
    scene.call(scene.bed.topology.client_ns());
}

#[test]
fn two_thousand_that_come_in_one_burst_are_served_and_spread() {
    let _alone = HEAVY.lock().unwrap_or_else(PoisonError::into_inner);
    let scene = Scene::with_porters("enabled: true");
    let callers = all(&scene, 2000);
    assert_even(&served(&callers));
    assert_eq!(scene.connections().iter().sum::<u64>(), 2000);
    scene.assert_memory(PROGRAM_MIB + 2000 / SESSIONS_PER_MIB);
}
