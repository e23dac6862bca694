//! The bed itself: it is there, its faults are what they say, and it leaves nothing behind.
//!
//! Needs root and iproute2; fails without them. The tests take turns: each topology cleans up after
//! killed runs, and would do so under the eyes of the tests that look at one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use pintle_testkit::capture::{Capture, Direction, Frame, Mac, transmit};
use pintle_testkit::netns::{
    self, CLIENT_V4, CLIENT_V6, INTERFACE, Namespace, Topology, VIP_V4, VIP_V6, host_v4, host_v6,
};

const PORT: u16 = 6443;

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn namespaces(prefix: &str) -> Vec<String> {
    let listed = Command::new("ip").args(["netns", "list"]).output().unwrap().stdout;
    let listed = String::from_utf8(listed).unwrap();
    let names = listed.lines().filter_map(|line| line.split(' ').next());
    names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect()
}

/// A process that does nothing, and keeps no pipe of the test run open should it be forgotten.
fn sleeping() -> Command {
    let mut command = Command::new("sleep");
    command.arg("600").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn sleeper(namespace: &Namespace) -> Child {
    namespace.run_in(|| sleeping().spawn()).unwrap().unwrap()
}

/// Whether `child` is gone within five seconds.
fn ends(child: &mut Child) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        sleep(Duration::from_millis(10));
    }
    false
}

fn connects(from: &Namespace, to: IpAddr) -> bool {
    let address = SocketAddr::new(to, PORT);
    from.run_in(|| TcpStream::connect_timeout(&address, Duration::from_millis(300)).is_ok())
        .unwrap()
}

/// Listens on every address; connections queue up unaccepted, which is enough to connect.
fn listen(namespace: &Namespace) -> TcpListener {
    namespace.run_in(|| TcpListener::bind(("::", PORT))).unwrap().unwrap()
}

#[test]
fn everyone_reaches_everyone_and_nothing_is_left() {
    let _turn = turn();
    let topology = Topology::start(2).unwrap();
    let prefix = topology.prefix().to_owned();
    assert_eq!(namespaces(&format!("{prefix}-")).len(), 4);
    let _listeners = [listen(topology.host_ns(0)), listen(topology.client_ns())];
    for to in [host_v4(0).into(), host_v6(0).into(), CLIENT_V4.into(), CLIENT_V6.into()] {
        assert!(connects(topology.host_ns(1), to), "{to}");
    }
    let mut child = sleeper(topology.host_ns(1));
    assert_eq!(topology.host_ns(1).processes().unwrap(), [child.id()]);
    drop(topology);
    assert_eq!(namespaces(&format!("{prefix}-")), [""; 0]);
    assert!(ends(&mut child));
}

#[test]
fn a_pulled_cable_takes_the_carrier_of_one_host() {
    let _turn = turn();
    let topology = Topology::start(2).unwrap();
    let carrier = |host| topology.host_ns(host).has_carrier(INTERFACE).unwrap();
    assert!(carrier(0) && carrier(1));
    topology.cable_down(0).unwrap();
    assert!(!carrier(0) && carrier(1));
    topology.cable_up(0).unwrap();
    assert!(carrier(0));
    let _listener = listen(topology.host_ns(0));
    assert!(connects(topology.client_ns(), host_v4(0).into()));
}

#[test]
fn a_cut_keeps_the_carrier_and_stops_both_ways() {
    let _turn = turn();
    let topology = Topology::start(2).unwrap();
    let _listeners = [listen(topology.host_ns(0)), listen(topology.client_ns())];
    let (host, client) = (topology.host_ns(0), topology.client_ns());
    let both_ways = || {
        let v4 = (connects(client, host_v4(0).into()), connects(host, CLIENT_V4.into()));
        let v6 = (connects(client, host_v6(0).into()), connects(host, CLIENT_V6.into()));
        assert_eq!(v4, v6);
        v4
    };
    assert_eq!(both_ways(), (true, true));
    topology.cut(0).unwrap();
    assert_eq!(both_ways(), (false, false));
    assert!(!connects(topology.host_ns(1), host_v4(0).into()));
    assert!(connects(topology.host_ns(1), CLIENT_V4.into()), "the others still talk");
    assert!(host.has_carrier(INTERFACE).unwrap());
    topology.heal(0).unwrap();
    // Connects while cut left unresolved neighbours behind; they are asked again within a second.
    let deadline = Instant::now() + Duration::from_secs(5);
    while both_ways() != (true, true) {
        assert!(Instant::now() < deadline, "not healed");
    }
}

#[test]
fn power_loss_kills_what_runs_on_the_host_only() {
    let _turn = turn();
    let topology = Topology::start(2).unwrap();
    let (mut victim, mut other) = (sleeper(topology.host_ns(0)), sleeper(topology.host_ns(1)));
    topology.power_loss(0).unwrap();
    assert!(ends(&mut victim));
    assert!(!topology.host_ns(0).has_carrier(INTERFACE).unwrap());
    assert!(other.try_wait().unwrap().is_none());
    drop(topology);
    assert!(ends(&mut other));
}

#[test]
fn addresses_are_what_the_kernel_has() {
    let _turn = turn();
    let topology = Topology::start(2).unwrap();
    assert_eq!(topology.owners(VIP_V4.into()).unwrap(), [0_usize; 0]);
    for args in [
        &["addr", "add", "172.30.0.10/32", "dev", "eth0", "valid_lft", "90", "preferred_lft", "0"]
            [..],
        &["addr", "add", "fd30::10/128", "dev", "eth0", "nodad", "noprefixroute"],
    ] {
        topology.host_ns(1).ip(args).unwrap();
    }
    let addresses = topology.addresses(1).unwrap();
    let of = |ip: IpAddr| addresses.iter().find(|addr| addr.address == ip).unwrap();
    let (v4, v6) = (of(VIP_V4.into()), of(VIP_V6.into()));
    assert_eq!((v4.link.as_str(), v4.prefix_len, v6.prefix_len), ("eth0", 32, 128));
    assert!(v4.valid_lft.unwrap() > Duration::from_secs(60));
    assert_eq!((v4.preferred_lft, v6.valid_lft), (Some(Duration::ZERO), None));
    assert!(!v4.is_noprefixroute && v6.is_noprefixroute);
    assert!(addresses.iter().all(|addr| !addr.is_tentative));
    assert_eq!(topology.owners(VIP_V4.into()).unwrap(), [1]);
}

#[test]
fn a_killed_run_is_cleaned_up_and_a_living_one_is_not() {
    let _turn = turn();
    let mut dead = Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let mut living = sleeping().spawn().unwrap();
    let stale = format!("pt{}-0-h1", dead.id());
    let used = format!("pt{}-0-h1", living.id());
    for name in [&stale, &used] {
        let added = Command::new("ip").args(["netns", "add", name]).status().unwrap();
        assert!(added.success());
    }
    let mut orphan =
        Command::new("ip").args(["netns", "exec", &stale, "sleep", "600"]).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    let has_entered = || {
        let pids = Command::new("ip").args(["netns", "pids", &stale]).output().unwrap();
        !pids.stdout.is_empty()
    };
    while !has_entered() {
        assert!(Instant::now() < deadline);
    }
    netns::cleanup_stale().unwrap();
    let left = (namespaces(&stale), namespaces(&used));
    let is_orphan_gone = ends(&mut orphan);
    let _done = Command::new("ip").args(["netns", "del", &used]).status();
    living.kill().unwrap();
    living.wait().unwrap();
    assert_eq!(left, (vec![], vec![used]));
    assert!(is_orphan_gone);
}

/// Not a test: the run that [`an_interrupted_run_leaves_nothing`] interrupts.
#[test]
#[ignore = "started by another test"]
#[allow(clippy::zombie_processes, reason = "the signal ends all of them")]
fn run_to_be_interrupted() {
    let topology = Topology::start(1).unwrap();
    let inside = sleeper(topology.host_ns(0));
    let outside = sleeping().spawn().unwrap();
    netns::register_pid(outside.id());
    println!("\nready {} {} {}", topology.prefix(), inside.id(), outside.id());
    // Not waiting for a child: it is killed first, and this thread would end the process then.
    sleep(Duration::from_secs(60));
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    let _turn = turn();
    for (signal, code) in [("-INT", Some(130)), ("-TERM", Some(130)), ("-KILL", None)] {
        let mut run = Command::new(std::env::current_exe().unwrap())
            .args(["run_to_be_interrupted", "--exact", "--ignored", "--nocapture"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(run.stdout.take().unwrap()).lines();
        let ready = lines.map(Result::unwrap).find(|line| line.starts_with("ready ")).unwrap();
        let [prefix, inside, outside] = ready.split(' ').skip(1).collect::<Vec<_>>()[..] else {
            panic!("{ready}")
        };
        assert_eq!(namespaces(&format!("{prefix}-")).len(), 3);
        let sent = Command::new("kill").args([signal, &run.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(run.wait().unwrap().code(), code, "{signal}");
        if code.is_none() {
            // Nobody can catch SIGKILL: the next run cleans up, but knows only what is in namespaces.
            netns::cleanup_stale().unwrap();
            Command::new("kill").arg(outside).status().unwrap();
        }
        assert_eq!(namespaces(&format!("{prefix}-")), [""; 0], "{signal}");
        for pid in [inside, outside] {
            assert!(is_dead(pid), "{signal}: {pid}");
        }
    }
}

/// Whether a process is gone, or waits for init to reap it, within five seconds.
fn is_dead(pid: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return true;
        }
        sleep(Duration::from_millis(10));
    }
    false
}

fn gratuitous_arp(mac: Mac) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(mac.0);
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend(mac.0);
    frame.extend([172, 30, 0, 10, 0, 0, 0, 0, 0, 0, 172, 30, 0, 10]);
    frame
}

#[test]
fn a_capture_sees_a_gratuitous_arp_on_both_ends() {
    let _turn = turn();
    let topology = Topology::start(2).unwrap();
    let captures = [topology.host_ns(0), topology.client_ns()]
        .map(|ns| Capture::start(ns, INTERFACE).unwrap());
    let before = Instant::now();
    transmit(topology.host_ns(0), INTERFACE, &gratuitous_arp(topology.host_mac(0))).unwrap();
    let after = Instant::now();
    let [sent, heard] = captures.map(|capture| capture.stop().unwrap());
    for (seen, direction) in [(sent, Direction::Out), (heard, Direction::In)] {
        let announced: Vec<_> = seen
            .iter()
            .filter(|one| matches!(one.frame, Frame::Arp { op: 1, spa: VIP_V4, tpa: VIP_V4, .. }))
            .collect();
        let [one] = announced[..] else { panic!("{seen:?}") };
        assert_eq!((one.direction, one.source), (direction, topology.host_mac(0)));
        // A wall clock that is slewed moves the stamp by far less than this.
        let margin = Duration::from_millis(1);
        assert!(before - margin < one.at && one.at < after + margin);
    }
}

#[test]
fn a_capture_behind_a_cut_sees_nothing() {
    let _turn = turn();
    let topology = Topology::start(1).unwrap();
    topology.cut(0).unwrap();
    let capture = Capture::start(topology.client_ns(), INTERFACE).unwrap();
    transmit(topology.host_ns(0), INTERFACE, &gratuitous_arp(topology.host_mac(0))).unwrap();
    let seen = capture.stop().unwrap();
    assert!(!seen.iter().any(|one| matches!(one.frame, Frame::Arp { .. })), "{seen:?}");
}

#[test]
fn a_capture_sees_the_ends_of_sessions_on_one_port() {
    let _turn = turn();
    let topology = Topology::start(1).unwrap();
    let host = topology.host_ns(0);
    let _listener = listen(host);
    let count = |port| {
        let capture = Capture::start_with_tcp(host, INTERFACE, port).unwrap();
        let reached = [host_v4(0).into(), host_v6(0).into()]
            .map(|address| connects(topology.client_ns(), address));
        assert_eq!(reached, [true, true]);
        // SYN, SYN-ACK and the client's FIN of each; the listener never accepts nor closes.
        let deadline = Instant::now() + Duration::from_secs(5);
        let segments = |v6: bool| {
            let seen = capture.snapshot().into_iter();
            seen.filter(|one| matches!(one.frame, Frame::Tcp { dst, .. } if dst.is_ipv6() == v6))
                .count()
        };
        while port == PORT && (segments(false) < 3 || segments(true) < 3) {
            assert!(Instant::now() < deadline, "{:?}", capture.snapshot());
        }
        let counts = (segments(false), segments(true));
        let frames = capture.stop().unwrap();
        assert!(
            frames.iter().any(|one| matches!(one.frame, Frame::NeighborSolicit { .. }))
                || port != PORT
        );
        counts
    };
    assert_eq!(count(PORT), (3, 3));
    assert_eq!(count(PORT + 1), (0, 0));
}
