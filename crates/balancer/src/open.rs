//! Finds a backend that answers: connect, say what the client said, wait for the first byte; until then
//! nothing was done, and the next backend can be told the same.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncWriteExt as _, Interest};
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

/// A backend that was told everything that the client has said so far.
pub(crate) struct Opened<'a> {
    pub(crate) server: TcpStream,
    pub(crate) seat: Seat<'a>,
    /// It has not answered, and the client has said too much to be said again: its last moment.
    pub(crate) answer_by: Option<Instant>,
}

/// Why an attempt did not come to an answer.
enum Failure {
    /// The next backend may do better.
    Backend(ConnectFailure),
    /// Nothing will.
    Session(CloseReason),
}

/// What ends the waiting for an answer.
enum News {
    /// The backend has said something.
    Answer,
    /// The client has said something more, or all.
    Flight,
    Nothing,
}

// === impl Opening ===

impl<'a> Opening<'a> {
    pub(crate) fn new(shared: &'a Shared, client: &'a TcpStream, from: IpAddr) -> Self {
        let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
        Self { shared, client, from, flight: Vec::new(), is_over: false, deadline }
    }

    /// The first backend that begins to answer.
    pub(crate) async fn open(mut self) -> Result<Opened<'a>, CloseReason> {
        self.hear_first().await?;
        let mut tried = Vec::new();
        // What the client said may have been the reason (Go's TLS server ends a connection that begins with
        // anything else): only another backend's answer shows that it was not.
        let mut closed = Vec::new();
        while Instant::now() < self.deadline
            && let Some(seat) = self.shared.table.seat(self.from, &tried)
        {
            tried.push(seat.address);
            let attempt = tokio::select! {
                attempt = self.attempt(seat.address, &tried) => attempt,
                reason = seat.session.ending() => Err(Failure::of_session(reason)),
            };
            match attempt {
                Ok((server, answer_by)) => {
                    self.shared.table.suspect(&closed);
                    return Ok(self.opened(server, seat, answer_by));
                }
                Err(Failure::Session(reason)) => return Err(reason),
                Err(Failure::Backend(failure)) => {
                    seat.failed(failure);
                    match failure {
                        ConnectFailure::Closed => closed.push(seat.address),
                        ConnectFailure::Refused
                        | ConnectFailure::Timeout
                        | ConnectFailure::Silent => self.shared.table.suspect(&[seat.address]),
                    }
                    tracing::debug!(backend = %seat.address, ?failure, "Next backend");
                }
            }
        }
        Err(CloseReason::NoBackend)
    }

    fn opened(self, server: TcpStream, seat: Seat<'a>, answer_by: Option<Instant>) -> Opened<'a> {
        let said = u64::try_from(self.flight.len()).unwrap_or(0);
        seat.session.inward.fetch_add(said, Relaxed);
        self.shared.counters.bytes_in.fetch_add(said, Relaxed);
        seat.session.opened();
        Opened { server, seat, answer_by }
    }

    /// No backend is troubled before the client has said something.
    async fn hear_first(&mut self) -> Result<(), CloseReason> {
        loop {
            tokio::select! {
                ready = self.client.readable() => ready.map_err(|_| CloseReason::Broken)?,
                () = sleep_until(self.deadline) => return Err(CloseReason::Handshake),
            }
            match self.hear().map_err(|_| CloseReason::Broken)? {
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
        let mut heard = None;
        let place = &mut self.flight[length..];
        let outcome = self.client.try_io(Interest::READABLE, || {
            let count = recv(self.client, &mut *place, RecvFlags::empty())?.1;
            heard = Some(count);
            // As in `copy`: there is no more, so it is not asked again before there is news.
            let is_all = 0 < count && count < place.len();
            if is_all { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        self.flight.truncate(length + heard.unwrap_or(0));
        match outcome {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(heard),
        }
    }

    /// A connection to the backend once it answers; with the last moment for that if it is taken before.
    async fn attempt(
        &mut self,
        backend: SocketAddr,
        tried: &[SocketAddr],
    ) -> Result<(TcpStream, Option<Instant>), Failure> {
        let mut server = match timeout(CONNECT_TIMEOUT, connect(backend)).await {
            Ok(connected) => connected.map_err(|error| Failure::of_connect(&error))?,
            Err(_) => return Err(Failure::Backend(ConnectFailure::Timeout)),
        };
        let mut told = 0;
        let mut is_told_all = false;
        let mut asked_at = Instant::now();
        loop {
            if told < self.flight.len() {
                // At most 16 KiB altogether, which the socket's own buffer takes whole.
                let tell = server.write_all(&self.flight[told..]);
                tell.await.map_err(|_| self.ended())?;
                told = self.flight.len();
                asked_at = Instant::now();
            }
            if self.is_over && !is_told_all {
                server.shutdown().await.map_err(|_| self.ended())?;
                is_told_all = true;
            }
            if self.flight.len() >= MAX_FLIGHT {
                // Too much to be said again: this backend has to do.
                return Ok((server, Some(self.deadline)));
            }
            match self.wait(&server, asked_at, tried).await? {
                News::Answer => return Ok((server, None)),
                News::Flight | News::Nothing => {}
            }
        }
    }

    /// Until the backend answers, the client says more, or patience is at its end.
    async fn wait(
        &mut self,
        server: &TcpStream,
        asked_at: Instant,
        tried: &[SocketAddr],
    ) -> Result<News, Failure> {
        let is_asked = is_answerable(&self.flight);
        let is_last = !self.shared.table.has_untried(tried);
        let patience = if is_asked && !is_last {
            self.deadline.min(asked_at + ANSWER_TIMEOUT)
        } else {
            self.deadline
        };
        tokio::select! {
            ready = server.ready(Interest::READABLE) => {
                let ready = ready.map_err(|_| self.ended())?;
                if !ready.is_read_closed() {
                    return Ok(News::Answer);
                }
                match server.try_io(Interest::READABLE, || peek(server)) {
                    Ok(0) => Err(self.ended()),
                    Ok(_) => Ok(News::Answer),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(News::Nothing),
                    Err(_) => Err(self.ended()),
                }
            }
            ready = self.client.readable(), if !self.is_over => {
                let heard = ready.and_then(|()| self.hear());
                let heard = heard.map_err(|_| Failure::Session(CloseReason::Broken))?;
                self.is_over = heard == Some(0);
                Ok(if heard.is_some() { News::Flight } else { News::Nothing })
            }
            () = sleep_until(patience) => Err(if is_asked {
                Failure::Backend(ConnectFailure::Silent)
            } else {
                Failure::Session(CloseReason::Handshake)
            }),
        }
    }

    /// The backend ended without an answer: its own failure, unless the client had ended before.
    const fn ended(&self) -> Failure {
        if self.is_over {
            Failure::Session(CloseReason::Ended)
        } else {
            Failure::Backend(ConnectFailure::Closed)
        }
    }
}

// === impl Failure ===

impl Failure {
    /// What this host lacks is no fault of the backend's.
    fn of_connect(error: &io::Error) -> Self {
        let own = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
        if own.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) {
            Self::Session(CloseReason::Full)
        } else {
            Self::Backend(ConnectFailure::Refused)
        }
    }

    /// It was asked to end while it opened.
    const fn of_session(reason: CloseReason) -> Self {
        match reason {
            CloseReason::BackendDown => Self::Backend(ConnectFailure::Closed),
            other => Self::Session(other),
        }
    }
}

/// Whether a byte is there, without taking it: 0 at the end.
fn peek(stream: &TcpStream) -> io::Result<usize> {
    Ok(recv(stream, &mut [0], RecvFlags::PEEK)?.1)
}
