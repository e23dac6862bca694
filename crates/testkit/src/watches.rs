//! Clients that hold a watch each, as kubelets and controllers do, and connect again when it ends.
//!
//! HTTP/1.1 on a connection of its own, so that a connection is a watch; judged by what they see.

use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::netns::Namespace;

/// Every object of this kind, for as long as the server likes: half an hour and more.
const WATCH: &str = "GET /api/v1/configmaps?watch=1 HTTP/1.1\r\nHost: kubernetes\r\nAccept: application/json\r\n\r\n";

/// From one try to the next; a controller's own backoff begins at 0.8 s.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// A watch that does not open is tried again.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Watches are kept open until it is dropped.
#[derive(Debug)]
pub struct Watches {
    seen: Arc<Seen>,
    _end: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct Seen {
    open: AtomicUsize,
    ended: Mutex<Vec<Instant>>,
}

// === impl Watches ===

impl Watches {
    /// Opens so many from inside a namespace; they are not waited for.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn start(
        namespace: &Namespace,
        address: SocketAddr,
        tls: Arc<ClientConfig>,
        count: usize,
    ) -> anyhow::Result<Self> {
        let seen = Arc::new(Seen::default());
        let (end, ended) = oneshot::channel();
        let shared = Arc::clone(&seen);
        namespace.spawn("watches", move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime?.block_on(async {
                for _ in 0..count {
                    tokio::spawn(keep_open(
                        Arc::clone(&shared),
                        address,
                        TlsConnector::from(Arc::clone(&tls)),
                    ));
                }
                // Dropped, or sent: the same.
                let _ = ended.await;
            });
            Ok(())
        })?;
        Ok(Self { seen, _end: end })
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.seen.open.load(Relaxed)
    }

    /// How many have ended since.
    #[must_use]
    pub fn ended_since(&self, since: Instant) -> usize {
        let ended = self.seen.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.iter().filter(|at| **at >= since).count()
    }
}

async fn keep_open(seen: Arc<Seen>, address: SocketAddr, tls: TlsConnector) {
    loop {
        if let Ok(Ok(stream)) = timeout(OPEN_TIMEOUT, open(address, &tls)).await {
            seen.open.fetch_add(1, Relaxed);
            until_the_end(stream).await;
            seen.open.fetch_sub(1, Relaxed);
            seen.ended.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        }
        sleep(RETRY_INTERVAL).await;
    }
}

type Stream = tokio_rustls::client::TlsStream<TcpStream>;

async fn open(address: SocketAddr, tls: &TlsConnector) -> anyhow::Result<Stream> {
    let tcp = TcpStream::connect(address).await?;
    let mut stream = tls.connect(ServerName::try_from("kubernetes")?, tcp).await?;
    stream.write_all(WATCH.as_bytes()).await?;
    let mut head = [0; 256];
    let length = stream.read(&mut head).await?;
    let head = head.get(..length).context("invariant: what was read is in the buffer")?;
    ensure!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(head));
    Ok(stream)
}

async fn until_the_end(mut stream: Stream) {
    let mut events = vec![0; 4096];
    while stream.read(&mut events).await.is_ok_and(|length| length > 0) {}
}
