//! What the balancer follows, and what it tells: the EndpointSlice, its backends' state, its numbers.

use std::io::Read as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pintle_testkit::netns::host_v4;
use pintle_testkit::plain::{Caller, Manner, Porter};
use pintle_testkit::stand_in::Readyz;

use super::bed::{PORT, SOON, VIP, always, wait};
use super::scene::{FRONT, HOSTS, INSIDE, PATIENCE, Scene};

/// A change of the EndpointSlice is followed within so long (issue).
const FOLLOWED: Duration = Duration::from_secs(1);

/// An API server beside those of the hosts, as a control plane gets that grows; its name is the next number.
struct Newcomer {
    _porter: Porter,
    hosts: Vec<SocketAddr>,
    own: SocketAddr,
}

// === impl Newcomer ===

impl Newcomer {
    const NAME: u8 = 3;

    /// On another host than the holder, whose own needs no list.
    fn start(scene: &Scene) -> Self {
        let other = (scene.holder + 1) % HOSTS;
        let own = SocketAddr::new(host_v4(other).into(), PORT + 1000);
        let porter = Porter::start(scene.host(other), own, INSIDE, Self::NAME).unwrap();
        let hosts = (0..HOSTS).map(|host| SocketAddr::new(host_v4(host).into(), PORT)).collect();
        Self { _porter: porter, hosts, own }
    }

    fn add(&self, scene: &Scene) {
        scene.bed.store.set_api_servers(&[&self.hosts[..], &[self.own]].concat());
    }

    fn remove(&self, scene: &Scene) {
        scene.bed.store.set_api_servers(&self.hosts);
    }

    /// Whether it gets a session that begins now.
    fn serves(scene: &Scene) -> bool {
        scene.call(scene.bed.topology.client_ns()).served_by == Self::NAME
    }

    /// How long it takes until it does.
    fn is_used(scene: &Scene) -> Duration {
        wait(SOON, "it is used", || Self::serves(scene).then_some(())).1
    }
}

#[test]
fn an_api_server_that_is_added_is_used() {
    let scene = Scene::with_porters("enabled: true");
    let newcomer = Newcomer::start(&scene);
    let pid = scene.pintle().process.pid();
    newcomer.add(&scene);
    Newcomer::is_used(&scene);
    assert_eq!(scene.pintle().process.pid(), pid, "not started again");
    assert!(scene.pintle().changes("lost").is_empty(), "the VIP stays");
}

#[test]
fn an_api_server_that_is_added_is_used_within_a_second() {
    let scene = Scene::with_porters("enabled: true");
    let newcomer = Newcomer::start(&scene);
    newcomer.add(&scene);
    let took = Newcomer::is_used(&scene);
    assert!(took <= FOLLOWED, "{took:?}");
}

#[test]
fn an_api_server_that_is_removed_gets_no_more_within_a_second() {
    let scene = Scene::with_porters("enabled: true");
    let newcomer = Newcomer::start(&scene);
    newcomer.add(&scene);
    Newcomer::is_used(&scene);
    let mut kept: Vec<Caller> =
        (0..2 * HOSTS).map(|_| scene.call(scene.bed.topology.client_ns())).collect();
    newcomer.remove(&scene);
    let removed = Instant::now();
    while removed.elapsed() < FOLLOWED {
        Newcomer::serves(&scene);
    }
    always(Duration::from_secs(1), "it gets no new ones", || !Newcomer::serves(&scene));
    let status = scene.pintle().status();
    let servers = status["apiservers"].as_array().unwrap();
    let own = newcomer.own.to_string();
    let told = servers.iter().find(|server| server["address"] == own.as_str()).unwrap();
    assert_eq!(told["backend"], "draining", "as the balancer takes it");
    // What it has it keeps: it may well serve them.
    kept.iter_mut().for_each(|caller| caller.ask(b"kept").unwrap());
}

/// The word of a backend in the holder's status.
fn word(scene: &Scene, host: usize) -> Option<String> {
    let status = scene.pintle().status();
    let backend = scene.backend(host);
    let servers = status["apiservers"].as_array()?;
    let server = servers.iter().find(|server| server["address"] == backend.as_str())?;
    server["backend"].as_str().map(str::to_owned)
}

#[test]
fn the_status_says_what_may_be_done_with_each_backend() {
    let scene = Scene::start(&[VIP], "enabled: true");
    for host in [scene.holder, (scene.holder + 1) % HOSTS] {
        let server = &scene.bed.servers[host];
        let becomes = |expected: &str, after: &str| {
            wait(SOON, &format!("{expected} after {after}"), || {
                (word(&scene, host)? == expected).then_some(())
            });
        };
        becomes("up", "the start");
        server.kill();
        becomes("down", "it was killed");
        server.restart().unwrap();
        becomes("up", "it came back");
        server.hang_all(true);
        becomes("down", "it stood still");
        server.hang_all(false);
        becomes("up", "it went on");
        server.set_readyz(Readyz::Shutdown);
        becomes("draining", "it said that it shuts down");
        server.set_readyz(Readyz::Ok);
        becomes("up", "it did not");
        let others = (0..HOSTS).filter(|other| *other != host);
        others.for_each(|other| assert_eq!(word(&scene, other).as_deref(), Some("up")));
    }
}

#[test]
fn the_numbers_are_those_of_what_was_done() {
    const SAID: usize = 100_000;
    let scene = Scene::with_porters("enabled: true");
    let client = scene.bed.topology.client_ns();
    let mut callers: Vec<Caller> = (0..2 * HOSTS).map(|_| scene.call(client)).collect();
    assert_eq!(scene.connections(), [2, 2, 2]);
    assert!(scene.porters.iter().all(|porter| porter.open() == 2), "and so they are");
    for caller in &mut callers {
        std::thread::scope(|scope| {
            let mut writer = caller.stream.try_clone().unwrap();
            scope.spawn(move || std::io::Write::write_all(&mut writer, &[1; SAID]).unwrap());
            caller.stream.read_exact(&mut [0; SAID]).unwrap();
        });
    }
    // To each "hello" comes a name beside the echo.
    let (asked, answered) = (callers.len() * (SAID + 5), callers.len() * (SAID + 6));
    let bytes = |direction| scene.metric(&format!("bytes_total{{direction=\"{direction}\"}}"));
    assert_eq!(bytes("in"), u64::try_from(asked).unwrap());
    assert_eq!(bytes("out"), u64::try_from(answered).unwrap());
    callers.retain(|caller| caller.served_by != 0);
    wait(SOON, "two have ended", || (scene.closed("ended") == 2).then_some(()));
    assert_eq!(scene.connections(), [0, 2, 2]);
    drop(callers);
    wait(SOON, "all have ended", || (scene.closed("ended") == 6).then_some(()));
    assert_eq!(scene.connections(), [0, 0, 0]);
    let others =
        ["broken", "no_backend", "handshake", "half_closed", "backend_down", "shed", "vip_left"];
    others.iter().for_each(|reason| assert_eq!(scene.closed(reason), 0, "{reason}"));
}

/// Each reason for which the next backend is tried, on a backend that its probes find well: they keep their
/// connection, and no session gets one.
#[test]
fn a_failed_try_is_counted_by_its_reason() {
    let scene = Scene::with_porters("enabled: true");
    let other = (scene.holder + 1) % HOSTS;
    let fails = |reason: &str| {
        let before = scene.failures(other, reason);
        wait(SOON, reason, || {
            scene.call(scene.bed.topology.client_ns());
            (scene.failures(other, reason) > before).then_some(())
        });
        assert_eq!(word(&scene, other).as_deref(), Some("up"), "{reason}");
        // Nobody is sent there for a second.
        std::thread::sleep(Duration::from_millis(1100));
    };
    scene.porters[other].set_manner(Manner::Mute);
    fails("silent");
    scene.porters[other].set_manner(Manner::Close);
    fails("closed");
    scene.porters[other].set_manner(Manner::Echo);
    for (verdict, reason) in [("reject with tcp reset", "refused"), ("drop", "timeout")] {
        let rule = format!(
            "table inet wall {{ chain input {{ type filter hook input priority 0; \
             tcp dport {PORT} tcp flags & (syn | ack) == syn {verdict}; }}; }}"
        );
        scene.nft(other, &[&rule]);
        fails(reason);
        scene.nft(other, &["delete", "table", "inet", "wall"]);
    }
    let failures =
        |host| ["refused", "timeout", "closed", "silent"].map(|r| scene.failures(host, r));
    let others = (0..HOSTS).filter(|host| *host != other);
    others.for_each(|host| assert_eq!(failures(host), [0; 4], "of {host}"));
    let answered = Caller::call_from(scene.host(other), FRONT, PATIENCE);
    answered.expect("every one was answered, and so is this one");
}
