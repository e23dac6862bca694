//! Moves bytes one way: from socket to socket inside the kernel, by splice(2) through a pipe.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;

use crate::pipes::{CAPACITY, Pipe, Pipes};

/// What is copied at once where no pipe is to be had.
const SCRATCH: usize = 16 << 10;

/// Counts the bytes of one way: of all sessions, and of this one.
#[derive(Clone, Copy)]
pub(crate) struct Meter<'a> {
    pub(crate) total: &'a AtomicU64,
    pub(crate) own: &'a AtomicU64,
}

/// Who ended a way without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    Sender,
    Receiver,
}

/// Moves until `from` has said all; then `to` is told so.
pub(crate) async fn pump(
    from: &TcpStream,
    to: &TcpStream,
    pipes: &Pipes,
    meter: Meter<'_>,
) -> Result<(), Broken> {
    loop {
        // One that always has more must not keep a thread from the others.
        consume_budget().await;
        from.readable().await.map_err(|_| Broken::Sender)?;
        let turn = match pipes.take() {
            Some(pipe) => Borrowed { pipes, pipe: Some(pipe) }.turn(from, to, meter).await?,
            None => copy(from, to, meter).await?,
        };
        if turn == Turn::End {
            // Who has gone already need not be told.
            let _ = rustix::net::shutdown(to, rustix::net::Shutdown::Write);
            return Ok(());
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// There may be more, now or later.
    More,
    /// The sender has said all.
    End,
}

/// A pipe on loan: it goes back when it is empty, and is closed with what is in it otherwise.
struct Borrowed<'a> {
    pipes: &'a Pipes,
    pipe: Option<Pipe>,
}

// === impl Meter ===

impl Meter<'_> {
    fn add(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(0);
        self.own.fetch_add(count, Relaxed);
        self.total.fetch_add(count, Relaxed);
    }
}

// === impl Borrowed ===

impl Borrowed<'_> {
    /// Moves what is there, up to a pipe full.
    async fn turn(
        mut self,
        from: &TcpStream,
        to: &TcpStream,
        meter: Meter<'_>,
    ) -> Result<Turn, Broken> {
        let Some(pipe) = &self.pipe else { return Ok(Turn::More) };
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let taken = ready(from.try_io(Interest::READABLE, || {
            Ok(splice(from, None, &pipe.write, None, CAPACITY, flags)?)
        }))
        .map_err(|_| Broken::Sender)?;
        let mut left = taken.unwrap_or(0);
        while left > 0 {
            let moved = to
                .async_io(Interest::WRITABLE, || {
                    Ok(splice(&pipe.read, None, to, None, left, flags)?)
                })
                .await
                .map_err(|_| Broken::Receiver)?;
            meter.add(moved);
            left -= moved;
        }
        if let Some(pipe) = self.pipe.take() {
            self.pipes.put(pipe);
        }
        Ok(if taken == Some(0) { Turn::End } else { Turn::More })
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if self.pipe.is_some() {
            self.pipes.lost();
        }
    }
}

/// One turn without a pipe: looks at what is there, sends what the other side takes, and takes only that,
/// so that nothing is kept for a receiver that does not read.
async fn copy(from: &TcpStream, to: &TcpStream, meter: Meter<'_>) -> Result<Turn, Broken> {
    to.writable().await.map_err(|_| Broken::Receiver)?;
    let mut scratch = [0; SCRATCH];
    let peek = || Ok(recv(from, &mut scratch, RecvFlags::PEEK)?.1);
    let seen = ready(from.try_io(Interest::READABLE, peek)).map_err(|_| Broken::Sender)?;
    let Some(seen) = seen else { return Ok(Turn::More) };
    if seen == 0 {
        return Ok(Turn::End);
    }
    let say = || Ok(send(to, &scratch[..seen], SendFlags::NOSIGNAL)?);
    let said = ready(to.try_io(Interest::WRITABLE, say)).map_err(|_| Broken::Receiver)?;
    if let Some(said) = said {
        recv(from, &mut scratch[..said], RecvFlags::empty()).map_err(|_| Broken::Sender)?;
        meter.add(said);
    }
    Ok(Turn::More)
}

/// `None` when it was not ready after all.
fn ready(attempt: io::Result<usize>) -> io::Result<Option<usize>> {
    match attempt {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        attempt => attempt.map(Some),
    }
}
