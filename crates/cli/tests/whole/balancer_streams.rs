//! Streams as of `kubectl exec`, `logs -f` and `port-forward`: they idle for long, end one way first, and end
//! as the other side ends them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use pintle_testkit::plain::{Manner, reset};

use super::bed::{SOON, wait};
use super::scene::{FRONT, PATIENCE, Scene};

/// The longest silence here: several rounds of keepalive (10 s, then each 5 s, docs/balancer.md), twice as long
/// as anything that a session's beginning or end is given.
const SILENCE: Duration = Duration::from_secs(64);

/// A stream that has ended one way says something so often: less than it may be silent then, 30 s.
const SPEAK_INTERVAL: Duration = Duration::from_secs(16);

/// More than all sockets and pipes on the way keep for somebody who does not read (`net.ipv4.tcp_rmem`).
const PAGED: usize = 128 << 20;

/// What kubectl says, and what an API server answers, before bytes go both ways.
const UPGRADE: &[u8] =
    b"POST /api/v1/namespaces/default/pods/web/exec?command=sh HTTP/1.1\r\nHost: \
    kubernetes\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n";
const SWITCHED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n";

/// Both ends of a stream through the balancer.
struct Stream {
    client: TcpStream,
    server: TcpStream,
}

// === impl Stream ===

impl Stream {
    fn open(scene: &Scene) -> Self {
        scene.set_manner(Manner::Hand);
        let connect = || -> std::io::Result<TcpStream> {
            let mut stream = TcpStream::connect_timeout(&FRONT, PATIENCE)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(UPGRADE)?;
            Ok(stream)
        };
        let client = scene.bed.topology.client_ns().run_in(connect).unwrap().unwrap();
        let (server, _) = wait(SOON, "a backend has it", || {
            scene.porters.iter().find_map(|porter| porter.take(Duration::ZERO).ok())
        });
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = Self { client, server };
        hear(&mut stream.server, UPGRADE);
        stream.server.write_all(SWITCHED).unwrap();
        hear(&mut stream.client, SWITCHED);
        stream
    }

    /// Something from the client to the server.
    fn up(&mut self) {
        self.client.write_all(b"up").unwrap();
        hear(&mut self.server, b"up");
    }

    /// Something from the server to the client.
    fn down(&mut self) {
        self.server.write_all(b"down").unwrap();
        hear(&mut self.client, b"down");
    }
}

fn hear(stream: &mut TcpStream, what: &[u8]) {
    let mut heard = vec![0; what.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard, what);
}

fn hear_the_end(stream: &mut TcpStream) {
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "an orderly end");
}

fn say_the_end(stream: &TcpStream) {
    stream.shutdown(std::net::Shutdown::Write).unwrap();
}

#[test]
fn streams_that_idle_go_on_both_ways_and_half_closed_ones_while_they_speak() {
    let scene = Scene::with_porters("enabled: true");
    let [mut exec, mut logs, mut forward, mut drained, mut fed, mut forgotten] =
        [(); 6].map(|()| Stream::open(&scene));
    // Standard input has ended, and the output goes on; and the other way round.
    say_the_end(&drained.client);
    hear_the_end(&mut drained.server);
    say_the_end(&fed.server);
    hear_the_end(&mut fed.client);
    // Nobody speaks on this one again.
    say_the_end(&forgotten.client);
    // `kubectl logs | less`: somebody reads this page for long.
    let Stream { client: mut reader, server: mut writer } = Stream::open(&scene);
    writer.set_write_timeout(Some(2 * SILENCE)).unwrap();
    let page = vec![7; PAGED];
    let paged = std::thread::spawn(move || writer.write_all(&page).map(|()| writer));
    for _ in 0..SILENCE.as_secs() / SPEAK_INTERVAL.as_secs() {
        sleep(SPEAK_INTERVAL);
        drained.down();
        fed.up();
    }
    exec.up();
    exec.down();
    logs.down();
    forward.down();
    forward.up();
    assert!(!paged.is_finished(), "nobody has room for so much");
    let mut read = vec![0; PAGED];
    reader.read_exact(&mut read).unwrap();
    assert!(read.iter().all(|byte| *byte == 7), "what waited for the reader");
    let _writer = paged.join().unwrap().unwrap();
    assert_eq!(scene.closed("half_closed"), 1, "the one that nobody speaks on");
    hear_the_end(&mut forgotten.server);
    assert_eq!(scene.connections().iter().sum::<u64>(), 6);
    say_the_end(&drained.server);
    hear_the_end(&mut drained.client);
    say_the_end(&fed.client);
    hear_the_end(&mut fed.server);
    wait(SOON, "both ways have ended", || (scene.closed("ended") == 2).then_some(()));
    scene.assert_memory(40);
}

/// What is on its way when one side ends comes before the end.
#[test]
fn an_end_comes_after_everything_that_was_said() {
    let scene = Scene::with_porters("enabled: true");
    let said: Vec<u8> = (0..8_u32 << 20).map(|at| u8::try_from(at % 251).unwrap()).collect();
    for is_up in [true, false] {
        let Stream { client, server } = Stream::open(&scene);
        let (mut from, mut to) = if is_up { (client, server) } else { (server, client) };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                from.write_all(&said).unwrap();
                say_the_end(&from);
            });
            let mut heard = Vec::new();
            to.read_to_end(&mut heard).unwrap();
            assert!(heard == said, "{} of {} bytes", heard.len(), said.len());
        });
        to.write_all(b"thanks").unwrap();
        hear(&mut from, b"thanks");
    }
    scene.assert_memory(40);
}

/// A stream that was broken off must not look like one that has ended.
#[test]
fn a_reset_is_passed_on_as_a_reset() {
    let scene = Scene::with_porters("enabled: true");
    for is_up in [true, false] {
        let Stream { client, server } = Stream::open(&scene);
        let (from, mut to) = if is_up { (client, server) } else { (server, client) };
        reset(from);
        let end = to.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(end, Err(ErrorKind::ConnectionReset), "is_up {is_up}");
    }
}
