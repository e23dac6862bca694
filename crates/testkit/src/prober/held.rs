//! One connection that is held: when does a client's session end, and how is it told?
//!
//! Cancel safety: the task ends between two events when told to stop; a connection open then is
//! dropped without a record.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;

use super::ATTEMPT_TIMEOUT;
use super::attempts::connect;
use super::https::TlsTarget;
use super::observation::{HeldClose, HeldEnd};
use super::timeline::Timeline;

/// kube-apiserver ends a connection without a request after 32 s (`ReadHeaderTimeout`): asking
/// earlier keeps such ends out of the record.
const ASK_INTERVAL: Duration = Duration::from_secs(20);
/// Between two tries to open it: a session that is gone is wanted back, not hammered for.
const REOPEN_INTERVAL: Duration = Duration::from_millis(50);

enum Held {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>, TlsTarget),
}

/// Opens, holds, records the end, opens again, until told to stop.
pub(super) async fn hold_repeatedly(
    address: SocketAddr,
    tls: Option<TlsTarget>,
    timeline: Arc<Timeline>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        if let Ok(Ok(mut held)) = timeout(ATTEMPT_TIMEOUT, open(address, tls.as_ref())).await {
            let opened = Instant::now();
            timeline.held_open(opened);
            tokio::select! {
                end = held.until_it_ends() => {
                    timeline.held_closed(HeldClose { opened, at: Instant::now(), end });
                }
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
        tokio::select! {
            () = sleep(REOPEN_INTERVAL) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn open(address: SocketAddr, tls: Option<&TlsTarget>) -> io::Result<Held> {
    Ok(match tls {
        None => Held::Plain(connect(address).await?),
        Some(tls) => Held::Tls(Box::new(tls.open(address).await?), tls.clone()),
    })
}

// === impl Held ===

impl Held {
    async fn until_it_ends(&mut self) -> HeldEnd {
        let ended = match self {
            Self::Plain(stream) => drain(stream).await,
            Self::Tls(stream, tls) => loop {
                if let Err(error) = tls.ask(stream, "keep-alive").await {
                    break error;
                }
                if let Ok(error) = timeout(ASK_INTERVAL, drain(stream)).await {
                    break error;
                }
            },
        };
        match ended.kind() {
            // Without close_notify rustls calls a FIN an unexpected end.
            io::ErrorKind::UnexpectedEof => HeldEnd::Fin,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => HeldEnd::Reset,
            _ => HeldEnd::Failed,
        }
    }
}

/// Reads and drops until the connection ends.
async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> io::Error {
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
            Ok(_more) => {}
            Err(error) => return error,
        }
    }
}
