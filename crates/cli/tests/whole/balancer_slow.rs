//! Clients that are slow to speak, or do not listen: they are borne, bounded, and cost nobody else anything.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use pintle_testkit::plain::{Caller, Manner};

use super::bed::{PORT, SOON, wait};
use super::scene::{FRONT, HOSTS, PATIENCE, Scene};

/// Who has not said enough to be answered is waited for so long (docs/balancer.md).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// The clock of the balancer and of a slow machine.
const SLACK: Duration = Duration::from_secs(4);

/// Of each kind.
const SLOW: usize = 100;

/// More than there are pipes to keep what somebody does not read.
const DEAF: usize = 300;

/// What may wait in the kernel for each of them: some 150 KiB where 128 KiB may be unsent, 340 KiB without a
/// bound.
const MAX_UNSENT: u64 = 256 << 10;

/// What may wait on the API servers' side: twice the bound, as the kernel counts what it takes to keep it;
/// several MiB without a bound.
const MAX_UNREAD: u64 = 1200 << 10;

/// The first bytes of a TLS record that never becomes whole.
const BEGINNING: [u8; 6] = [22, 3, 1, 1, 0, 1];

/// Connections from the client that have said this.
fn begun(scene: &Scene, said: &[u8]) -> Vec<TcpStream> {
    let connect = || -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&FRONT, PATIENCE)?;
        stream.write_all(said)?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    };
    let client = scene.bed.topology.client_ns();
    let all = || (0..SLOW).map(|_| connect()).collect::<Result<_, _>>();
    client.run_in(all).unwrap().unwrap()
}

fn is_ended(stream: &mut TcpStream) -> bool {
    !matches!(stream.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn who_says_nothing_or_not_enough_is_ended_and_others_are_served_meanwhile() {
    let scene = Scene::with_porters("enabled: true");
    let began = Instant::now();
    // Nothing, a byte and no more, and a byte each second.
    let mut slow = [begun(&scene, &[]), begun(&scene, &BEGINNING[..1]), begun(&scene, &BEGINNING)];
    let other = scene.host((scene.holder + 1) % HOSTS);
    while began.elapsed() < HANDSHAKE_TIMEOUT - SLACK {
        let each_second = Instant::now();
        slow[2].iter_mut().for_each(|stream| stream.write_all(&[0]).unwrap());
        scene.call(scene.bed.topology.client_ns()).ask(b"served").unwrap();
        scene.call(other).ask(b"served").unwrap();
        assert!(each_second.elapsed() < SLACK, "two calls took {:?}", each_second.elapsed());
        sleep(Duration::from_secs(1));
    }
    let is_any_ended = slow.iter_mut().flatten().any(is_ended);
    assert!(!is_any_ended, "nobody is ended early");
    let rest = (HANDSHAKE_TIMEOUT + SLACK).saturating_sub(began.elapsed());
    wait(rest, "all of them are ended", || slow.iter_mut().flatten().all(is_ended).then_some(()));
    assert_eq!(scene.closed("handshake"), u64::try_from(3 * SLOW).unwrap());
    assert_eq!(scene.connections(), [0, 0, 0]);
    // Nobody holds it against a backend.
    for host in 0..HOSTS {
        assert_eq!(scene.failures(host, "silent") + scene.failures(host, "closed"), 0);
    }
    scene.assert_memory(40);
}

/// What the kernel of the holder's host keeps in queues (`r`: unread, `w`: unsent) of the sockets that `ss`
/// selects, in bytes; with what it takes to keep it.
fn queued(scene: &Scene, queue: char, filter: &[&str]) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "an independent witness of the queues")]
    let output = std::process::Command::new("ip")
        .args(["netns", "exec", scene.host(scene.holder).name(), "ss", "-tmnHO"])
        .args(filter)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let queued = printed.lines().map(|line| {
        let mut fields = line.split_once("skmem:(").unwrap().1.split([',', ')']);
        fields.find_map(|field| field.strip_prefix(queue)?.parse::<u64>().ok()).unwrap()
    });
    queued.sum()
}

#[test]
fn who_never_reads_costs_little_and_nobody_else_anything() {
    let scene = Scene::with_porters("enabled: true");
    let client = scene.bed.topology.client_ns();
    let other = scene.host((scene.holder + 1) % HOSTS);
    scene.set_manner(Manner::Pour);
    let deaf = begun_deaf(&scene);
    scene.set_manner(Manner::Echo);
    let mut pushed = 0;
    wait(SOON, "no more is pushed to them", || {
        let before = std::mem::replace(&mut pushed, scene.metric("bytes_total{direction=\"out\"}"));
        sleep(Duration::from_millis(500));
        (pushed > 0 && pushed == before).then_some(())
    });
    let each = |sum: u64| sum / u64::try_from(DEAF).unwrap();
    let unsent = each(queued(&scene, 'w', &["src", &FRONT.to_string()]));
    assert!(unsent <= MAX_UNSENT, "{} KiB wait for each of them", unsent >> 10);
    let unread = each(queued(&scene, 'r', &["dport", "=", &format!(":{PORT}")]));
    assert!(unread <= MAX_UNREAD, "{} KiB wait to be read for each of them", unread >> 10);
    let megabyte = vec![7; 1 << 20];
    for namespace in [client, other, scene.host(scene.holder)] {
        for _ in 0..3 {
            let began = Instant::now();
            exchange(&mut scene.call(namespace), &megabyte);
            assert!(began.elapsed() < SLACK, "{:?}", began.elapsed());
        }
    }
    assert_eq!(scene.connections().iter().sum::<u64>(), u64::try_from(DEAF).unwrap());
    scene.assert_memory(48);
    drop(deaf);
    wait(SOON, "they are gone", || (scene.connections() == [0, 0, 0]).then_some(()));
}

/// Clients that were begun to be answered, and read no more.
fn begun_deaf(scene: &Scene) -> Vec<TcpStream> {
    let connect = || -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&FRONT, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"pour")?;
        stream.read_exact(&mut [0])?;
        Ok(stream)
    };
    let all = || (0..DEAF).map(|_| connect()).collect::<Result<_, _>>();
    scene.bed.topology.client_ns().run_in(all).unwrap().unwrap()
}

/// Says all of it while it hears it: more than what is on the way at once.
fn exchange(caller: &mut Caller, what: &[u8]) {
    let mut writer = caller.stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| writer.write_all(what).unwrap());
        let mut heard = vec![0; what.len()];
        caller.stream.read_exact(&mut heard).unwrap();
        assert!(heard == what, "what was said comes back");
    });
}
