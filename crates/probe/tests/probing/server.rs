//! An API server that does to its connections what a test says, byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;

/// What the server does; looked at anew for each connection and each request.
#[derive(Clone)]
pub(crate) enum Does {
    /// Answers each request with these bytes and keeps the connection.
    Answers(Vec<u8>),
    /// Answers, and closes after this long without a word.
    AnswersThenCloses(Vec<u8>, Duration),
    /// Answers, and never ends the body.
    AnswersForEver(Vec<u8>),
    /// Accepts, and says nothing.
    HangsAfterAccept,
    /// Does the handshake, and answers nothing.
    HangsAfterTls,
    /// Accepts, and resets.
    ResetsAfterAccept,
    /// Takes the request, and resets.
    ResetsAfterRequest,
    /// Speaks no TLS.
    SpeaksPlain(Vec<u8>),
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    does: watch::Sender<Does>,
    counts: Arc<Counts>,
    task: Option<AbortOnDropHandle<()>>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

/// An answer with a length, as kube-apiserver's.
pub(crate) fn answer(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

pub(crate) fn ready() -> Does {
    Does::Answers(answer(200, "ok"))
}

impl Server {
    pub(crate) async fn start(tls: TlsAcceptor, does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let (does, following) = watch::channel(does);
        let task = tokio::spawn(accept(listener, tls, following, Arc::clone(&counts)));
        Self { address, does, counts, task: Some(AbortOnDropHandle::new(task)) }
    }

    pub(crate) fn set(&self, does: Does) {
        self.does.send_replace(does);
    }

    /// As SIGKILL: the port refuses and every connection ends, without a TLS goodbye.
    pub(crate) async fn kill(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.detach().await;
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.counts.connections.load(Relaxed)
    }

    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.load(Relaxed)
    }
}

async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    does: watch::Receiver<Does>,
    counts: Arc<Counts>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        counts.connections.fetch_add(1, Relaxed);
        connections.spawn(serve(tcp, tls.clone(), does.clone(), Arc::clone(&counts)));
    }
}

async fn serve(
    mut tcp: TcpStream,
    tls: TlsAcceptor,
    does: watch::Receiver<Does>,
    counts: Arc<Counts>,
) {
    let first = does.borrow().clone();
    match first {
        Does::HangsAfterAccept => sleep(Duration::from_secs(60)).await,
        Does::ResetsAfterAccept => tcp.set_zero_linger().unwrap(),
        Does::SpeaksPlain(bytes) => {
            let _ = tcp.write_all(&bytes).await;
            let _ = tcp.read(&mut [0; 4096]).await;
        }
        _ => {
            let Ok(mut stream) = tls.accept(tcp).await else {
                return;
            };
            while read_request(&mut stream).await {
                counts.requests.fetch_add(1, Relaxed);
                let does = does.borrow().clone();
                if !act(&mut stream, does).await {
                    return;
                }
            }
        }
    }
}

/// Reads the head of a request; false at the end of the connection.
async fn read_request(stream: &mut TlsStream<TcpStream>) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    assert!(head.starts_with(b"GET /readyz HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&head));
    true
}

/// Deals with one request; false if the connection is to end.
async fn act(stream: &mut TlsStream<TcpStream>, does: Does) -> bool {
    match does {
        Does::Answers(bytes) => stream.write_all(&bytes).await.is_ok(),
        Does::AnswersThenCloses(bytes, after) => {
            let _ = stream.write_all(&bytes).await;
            sleep(after).await;
            let _ = stream.shutdown().await;
            false
        }
        Does::AnswersForEver(bytes) => {
            while stream.write_all(&bytes).await.is_ok() {
                tokio::task::yield_now().await;
            }
            false
        }
        Does::ResetsAfterRequest => {
            stream.get_ref().0.set_zero_linger().unwrap();
            false
        }
        _ => {
            sleep(Duration::from_secs(60)).await;
            false
        }
    }
}
