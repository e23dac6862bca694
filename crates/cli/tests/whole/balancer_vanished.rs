//! Clients that vanish without a word: no FIN, no reset, no acknowledgement.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use pintle_testkit::netns::Namespace;
use pintle_testkit::plain::Manner;

use super::scene::{FRONT, HOSTS, PATIENCE, Scene};

/// A silent peer is given up after 25 s, found by keepalive, or after 30 s where something waits for it; with
/// what the timers of a slow machine add.
const GIVEN_UP: Duration = Duration::from_secs(40);

/// Of each kind.
const CLIENTS: usize = 10;

/// From now on no packet leaves a host's namespace or the client's, as when a machine loses its power.
fn vanish(namespace: &Namespace) {
    let rules = "table inet gone { chain out { type filter hook output priority 0; policy drop; }; \
                 chain in { type filter hook input priority 0; policy drop; }; }";
    #[expect(clippy::disallowed_methods, reason = "takes a machine away")]
    let output = std::process::Command::new("ip")
        .args(["netns", "exec", namespace.name(), "nft", rules])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A session, and the name of the porter that has it.
fn begin(namespace: &Namespace) -> (TcpStream, u8) {
    let connect = || -> std::io::Result<(TcpStream, u8)> {
        let mut stream = TcpStream::connect_timeout(&FRONT, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"x")?;
        let mut name = [0];
        stream.read_exact(&mut name)?;
        Ok((stream, name[0]))
    };
    namespace.run_in(connect).unwrap().unwrap()
}

/// Reads without an end, on a thread of its own: what is sent to it is on its way at any moment.
fn read_on(stream: &TcpStream) {
    let mut stream = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut heard = vec![0; 64 << 10];
        while stream.read(&mut heard).is_ok_and(|length| length > 0) {}
    });
}

/// Asserts that everything that the client holds is given up, while others are served.
fn assert_given_up(scene: &Scene, what: &str) {
    scene.set_manner(Manner::Echo);
    let mut other = scene.call(scene.host((scene.holder + 1) % HOSTS));
    vanish(scene.bed.topology.client_ns());
    let vanished = Instant::now();
    loop {
        let mut left = scene.connections();
        left[usize::from(other.served_by)] -= 1;
        if left.iter().sum::<u64>() == 0 {
            break;
        }
        assert!(vanished.elapsed() < GIVEN_UP, "{what}: {left:?} are left after {GIVEN_UP:?}");
        other.ask(b"still served").unwrap();
        scene.call(scene.host(scene.holder)).ask(b"served").unwrap();
        sleep(Duration::from_millis(500));
    }
    scene.assert_memory(40);
}

#[test]
fn clients_that_vanish_are_given_up_and_others_go_on() {
    let scene = Scene::with_porters("enabled: true");
    // To those of the first something is on its way, the others idle.
    scene.porters[0].set_manner(Manner::Pour);
    let all = 0..CLIENTS * HOSTS;
    let held: Vec<_> = all.map(|_| begin(scene.bed.topology.client_ns())).collect();
    held.iter().filter(|(_, name)| *name == 0).for_each(|(stream, _)| read_on(stream));
    assert_eq!(scene.connections(), [10, 10, 10]);
    assert_given_up(&scene, "read, and idle");
}

/// They had no room for more: their silence is told from a pause by the probes of their window alone.
#[test]
fn clients_that_read_no_more_and_vanish_are_given_up() {
    let scene = Scene::with_porters("enabled: true");
    scene.set_manner(Manner::Pour);
    let all = 0..CLIENTS * HOSTS;
    let _held: Vec<_> = all.map(|_| begin(scene.bed.topology.client_ns())).collect();
    // Longer than the balancer takes to look whether they read.
    sleep(Duration::from_secs(12));
    assert_eq!(scene.connections(), [10, 10, 10]);
    assert_given_up(&scene, "not read");
}
