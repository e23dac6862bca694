//! A balancer on loopback, backends of every manner, and a client.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pintle_balancer::{Balancer, BalancerConfig};
use pintle_core::config::Algorithm;
use pintle_core::{Backend, BackendState};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};

/// Those that use every core go one after the other: an overload looks like a backend that fails.
pub(crate) static HEAVY: Mutex<()> = Mutex::const_new(());

/// Long enough for a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a backend does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Says its name, then gives back what it hears, until the client has said all.
    Echo(u8),
    /// The same when it has heard something; ends what begins with `!`.
    Choosy(u8),
    /// Accepts, and never says a word.
    Mute,
    /// Ends when it has heard something.
    Slam,
    /// Sends without an end.
    Pour,
}

pub(crate) struct Bed {
    pub(crate) balancer: Balancer,
    pub(crate) backends: watch::Sender<Vec<Backend>>,
}

pub(crate) async fn backend(manner: Manner) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(behave(stream, manner));
        }
    });
    address
}

async fn behave(mut stream: TcpStream, manner: Manner) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    match manner {
        Manner::Echo(name) => {
            stream.write_all(&[name]).await?;
            return echo(&mut stream, &mut buffer).await;
        }
        Manner::Choosy(name) => {
            let heard = stream.read(&mut buffer).await?;
            if !buffer[..heard].starts_with(b"!") {
                stream.write_all(&[name]).await?;
                stream.write_all(&buffer[..heard]).await?;
                return echo(&mut stream, &mut buffer).await;
            }
        }
        Manner::Mute => while stream.read(&mut buffer).await? > 0 {},
        Manner::Slam => drop(stream.read(&mut buffer).await?),
        Manner::Pour => loop {
            stream.write_all(&buffer).await?;
        },
    }
    Ok(())
}

async fn echo(stream: &mut TcpStream, buffer: &mut [u8]) -> std::io::Result<()> {
    loop {
        let heard = stream.read(buffer).await?;
        if heard == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&buffer[..heard]).await?;
    }
}

/// A port that is taken, and where nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    // For as long as the tests run: a port that is given back is somebody else's at once.
    std::mem::forget(socket);
    address
}

pub(crate) fn up(address: SocketAddr) -> Backend {
    Backend { address, state: BackendState::Up }
}

pub(crate) fn down(address: SocketAddr) -> Backend {
    Backend { address, state: BackendState::Down }
}

/// One that moves no session by itself.
pub(crate) fn bed(backends: &[Backend], max_connections: usize) -> Bed {
    bed_that_sheds(backends, max_connections, 0)
}

pub(crate) fn bed_that_sheds(backends: &[Backend], max_connections: usize, rate: usize) -> Bed {
    let (sender, receiver) = watch::channel(backends.to_vec());
    let config = BalancerConfig {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        algorithm: Algorithm::LeastConnections,
        max_connections,
        shed_rate: rate,
        shed_floor: 20,
    };
    let balancer = pintle_balancer::start(&config, receiver).unwrap();
    Bed { balancer, backends: sender }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.balancer.stop();
    }
}

impl Bed {
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.balancer.addresses()[0]).await.unwrap()
    }

    /// Says something and hears who answers.
    pub(crate) async fn ask(&self) -> (TcpStream, u8) {
        let mut stream = self.connect().await;
        stream.write_all(b"hello").await.unwrap();
        let name = read(&mut stream, 1).await[0];
        assert_eq!(read(&mut stream, 5).await, b"hello");
        (stream, name)
    }

    pub(crate) fn sessions(&self) -> Vec<usize> {
        self.balancer.backends().iter().map(|backend| backend.sessions).collect()
    }

    pub(crate) async fn eventually(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            assert!(began.elapsed() < PATIENCE, "never: {what}: {:?}", self.balancer.totals());
            sleep(Duration::from_millis(2)).await;
        }
    }
}

pub(crate) async fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await.expect("an answer").unwrap();
    bytes
}

/// How the connection ended.
pub(crate) async fn end(stream: &mut TcpStream) -> std::io::Result<usize> {
    timeout(PATIENCE, stream.read(&mut [0])).await.expect("an end")
}
