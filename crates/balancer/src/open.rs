//! Finds a backend that answers: connect, say what the client said, wait for the first byte; until then
//! nothing was done, and the next backend can be told the same.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::Shared;
use crate::flight::{MAX_FLIGHT, is_answerable};
use crate::stream::connect;
use crate::table::Seat;
use crate::totals::{CloseReason, ConnectFailure};

/// A backend in the same network answers a SYN within a millisecond; the kernel repeats one after 1 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// From a whole ClientHello to the first byte of an answer. A busy API server takes tens of milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// From the accept to the first byte of an answer: who has not said what can be answered by then is not
/// waited for (kube-apiserver's own `ReadHeaderTimeout` is 32 s).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// The client's side until a backend has answered.
pub(crate) struct Opening<'a> {
    shared: &'a Shared,
    client: &'a TcpStream,
    from: IpAddr,
    flight: Vec<u8>,
    /// The client has said all that it will ever say.
    is_over: bool,
    deadline: Instant,
}

/// Why an attempt did not come to an answer.
enum Failure {
    /// The next backend may do better.
    Backend(ConnectFailure),
    /// Nothing will.
    Session(CloseReason),
}

// === impl Opening ===

impl<'a> Opening<'a> {
    pub(crate) fn new(shared: &'a Shared, client: &'a TcpStream, from: IpAddr) -> Self {
        let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
        Self { shared, client, from, flight: Vec::new(), is_over: false, deadline }
    }

    /// A backend that has begun to answer, told everything that the client has said so far.
    pub(crate) async fn open(mut self) -> Result<(TcpStream, Seat<'a>), CloseReason> {
        self.hear_first().await?;
        let mut tried = Vec::new();
        while let Some(seat) = self.shared.table.seat(self.from, &tried) {
            tried.push(seat.address);
            match self.attempt(seat.address, &tried).await {
                Ok(server) => return Ok((server, seat)),
                Err(Failure::Session(reason)) => return Err(reason),
                Err(Failure::Backend(failure)) => {
                    seat.suspect(failure);
                    tracing::debug!(backend = %seat.address, ?failure, "Next backend");
                }
            }
        }
        Err(CloseReason::NoBackend)
    }

    /// No backend is troubled before the client has said something.
    async fn hear_first(&mut self) -> Result<(), CloseReason> {
        loop {
            tokio::select! {
                ready = self.client.readable() => ready.map_err(|_| CloseReason::Ended)?,
                () = sleep_until(self.deadline) => return Err(CloseReason::Handshake),
            }
            match self.hear().map_err(|_| CloseReason::Ended)? {
                // Readiness may be reported without a byte.
                None => {}
                Some(0) => return Err(CloseReason::Ended),
                Some(_) => return Ok(()),
            }
        }
    }

    /// Reads what is there; `None` when nothing is.
    fn hear(&mut self) -> io::Result<Option<usize>> {
        let room = MAX_FLIGHT.saturating_sub(self.flight.len());
        self.flight.reserve(room.min(2048));
        let length = self.flight.len();
        self.flight.resize(length + room.min(2048), 0);
        let read = self.client.try_read(&mut self.flight[length..]);
        self.flight.truncate(length + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn attempt(
        &mut self,
        backend: SocketAddr,
        tried: &[SocketAddr],
    ) -> Result<TcpStream, Failure> {
        let mut server = match timeout(CONNECT_TIMEOUT, connect(backend)).await {
            Ok(Ok(server)) => server,
            Ok(Err(_)) => return Err(Failure::Backend(ConnectFailure::Refused)),
            Err(_) => return Err(Failure::Backend(ConnectFailure::Timeout)),
        };
        let closed = |_| Failure::Backend(ConnectFailure::Closed);
        // At most 16 KiB, which the socket's own buffer takes whole.
        let told = timeout(ANSWER_TIMEOUT, server.write_all(&self.flight)).await;
        told.map_err(|_| Failure::Backend(ConnectFailure::Silent))?.map_err(closed)?;
        if self.is_over {
            server.shutdown().await.map_err(closed)?;
        }
        let mut asked_at = Instant::now();
        loop {
            if self.flight.len() >= MAX_FLIGHT {
                // Too much to be said again: this backend has to do.
                return Ok(server);
            }
            let is_last = !self.shared.table.has_untried(tried);
            let patience = if is_answerable(&self.flight) && !is_last {
                self.deadline.min(asked_at + ANSWER_TIMEOUT)
            } else {
                self.deadline
            };
            tokio::select! {
                ready = server.readable() => {
                    ready.map_err(closed)?;
                    match server.try_io(tokio::io::Interest::READABLE, || peek(&server)) {
                        Ok(0) => return Err(Failure::Backend(ConnectFailure::Closed)),
                        Ok(_) => return Ok(server),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(closed(error)),
                    }
                }
                ready = self.client.readable(), if !self.is_over => {
                    let said = self.flight.len();
                    let heard = ready.and_then(|()| self.hear());
                    match heard.map_err(|_| Failure::Session(CloseReason::Ended))? {
                        None => {}
                        Some(0) => {
                            self.is_over = true;
                            server.shutdown().await.map_err(closed)?;
                        }
                        Some(_) => {
                            server.write_all(&self.flight[said..]).await.map_err(closed)?;
                            asked_at = Instant::now();
                        }
                    }
                }
                () = sleep_until(patience) => {
                    return Err(if patience == self.deadline {
                        Failure::Session(CloseReason::Handshake)
                    } else {
                        Failure::Backend(ConnectFailure::Silent)
                    });
                }
            }
        }
    }
}

/// Whether a byte is there, without taking it: 0 at the end.
fn peek(stream: &TcpStream) -> io::Result<usize> {
    let mut byte = [0];
    let peeked = rustix::net::recv(stream, &mut byte, rustix::net::RecvFlags::PEEK)?;
    Ok(peeked.1)
}
