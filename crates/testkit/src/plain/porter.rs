//! Who stands before an API server: TLS goes in to it, and who speaks none is served here.
//!
//! Tasks, on a thread and a runtime of its own inside the namespace: one that accepts, one a connection.
//! They end with the porter, and their sockets with them.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::raise_descriptor_limit;
use crate::netns::Namespace;

/// The first byte of a TLS handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// A burst of thousands waits here while the one thread is busy (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// Sessions that are handed over and not taken yet.
const MAX_HANDED: usize = 64;

/// What a session keeps for what it hears: thousands of them are small beside the machine.
const BUFFER: usize = 4 << 10;

/// Out of descriptors, say: enough of a pause to not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What a porter does with a session without TLS, from its first byte on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Says its name, then gives back what it hears until the client has said all.
    Echo,
    /// Listens, and never says a word.
    Mute,
    /// Ends in good order without a word.
    Close,
    /// Resets the connection without a word.
    Reset,
    /// Says its name, then sends without an end and listens to nothing.
    Pour,
    /// Leaves it to [`Porter::take`].
    Hand,
}

/// A server of sessions without TLS, before the API server of a host.
#[derive(Debug)]
pub struct Porter {
    shared: Arc<Shared>,
    handed: Mutex<mpsc::Receiver<std::net::TcpStream>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

#[derive(Debug)]
struct Shared {
    name: u8,
    inside: SocketAddr,
    manner: Mutex<Manner>,
    open: AtomicUsize,
    begun: AtomicUsize,
    hand: mpsc::SyncSender<std::net::TcpStream>,
}

/// A session that is counted while it lasts.
struct Counted<'a>(&'a Shared);

// === impl Porter ===

impl Porter {
    /// Listens at `address` in a namespace, for the API server at `inside` of the same one. Says `name`.
    ///
    /// # Errors
    /// When the namespace is gone or the address is taken.
    pub fn start(
        namespace: &Namespace,
        address: SocketAddr,
        inside: SocketAddr,
        name: u8,
    ) -> anyhow::Result<Self> {
        raise_descriptor_limit()?;
        let (hand, handed) = mpsc::sync_channel(MAX_HANDED);
        let manner = Mutex::new(Manner::Echo);
        let (open, begun) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let shared = Arc::new(Shared { name, inside, manner, open, begun, hand });
        let (end, ended) = oneshot::channel();
        let (started, is_started) = mpsc::sync_channel(1);
        let serving = Arc::clone(&shared);
        let thread = namespace.spawn("porter", move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let listener = listen(address).with_context(|| format!("listen on {address}"))?;
                // The starter waits for it.
                let _ = started.send(());
                tokio::select! {
                    () = accept(serving, listener) => {}
                    // Sent, or dropped: the same.
                    _ = ended => {}
                }
                Ok(())
            })
        })?;
        let porter =
            Self { shared, handed: Mutex::new(handed), end: Some(end), thread: Some(thread) };
        match is_started.recv() {
            Ok(()) => Ok(porter),
            Err(_) => Err(porter.join().err().unwrap_or_else(|| anyhow::anyhow!("it ended"))),
        }
    }

    /// What it does with the sessions that begin from now on.
    pub fn set_manner(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }

    /// How many sessions there are.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(Relaxed)
    }

    /// How many there have been, those included.
    #[must_use]
    pub fn begun(&self) -> usize {
        self.shared.begun.load(Relaxed)
    }

    /// The next session that came while the manner was [`Manner::Hand`], with all that the client has said
    /// unread.
    ///
    /// # Errors
    /// When none comes in time.
    pub fn take(&self, within: Duration) -> anyhow::Result<std::net::TcpStream> {
        let handed = self.handed.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = handed.recv_timeout(within).context("nobody came")?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    }

    fn join(mut self) -> anyhow::Result<()> {
        drop(self.end.take());
        let ended = self.thread.take().map(JoinHandle::join);
        ended
            .unwrap_or(Ok(Ok(())))
            .unwrap_or_else(|_| anyhow::bail!("the porter's thread panicked"))
    }
}

impl Drop for Porter {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // What went wrong was seen by the test, or matters to nobody any more.
            let _ = thread.join();
        }
    }
}

// === impl Counted ===

impl<'a> Counted<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.begun.fetch_add(1, Relaxed);
        shared.open.fetch_add(1, Relaxed);
        Self(shared)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(Arc::clone(&shared), stream));
            }
            Err(error) => {
                tracing::debug!(%error, "A porter cannot accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Ok(());
    }
    if first == [HANDSHAKE] {
        let mut inside = TcpStream::connect(shared.inside).await?;
        inside.set_nodelay(true)?;
        return copy_bidirectional(&mut stream, &mut inside).await.map(drop);
    }
    let manner = *shared.manner.lock().unwrap_or_else(PoisonError::into_inner);
    let _counted = Counted::new(&shared);
    match manner {
        Manner::Echo => echo(shared.name, stream).await,
        Manner::Mute => {
            let mut buffer = vec![0; BUFFER];
            while stream.read(&mut buffer).await? > 0 {}
            Ok(())
        }
        // What is unread would make a reset of it.
        Manner::Close => stream.read(&mut [0; BUFFER]).await.map(drop),
        Manner::Reset => SockRef::from(&stream).set_linger(Some(Duration::ZERO)),
        Manner::Pour => pour(shared.name, stream).await,
        Manner::Hand => {
            // One too many is dropped, and the test finds it missing.
            let _ = shared.hand.try_send(stream.into_std()?);
            Ok(())
        }
    }
}

async fn echo(name: u8, mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(&[name]).await?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let heard = stream.read(&mut buffer).await?;
        if heard == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&buffer[..heard]).await?;
    }
}

async fn pour(name: u8, mut stream: TcpStream) -> io::Result<()> {
    let everything = [name; 16 << 10];
    loop {
        stream.write_all(&everything).await?;
    }
}
