//! Moves bytes one way: from socket to socket inside the kernel, by splice(2) through a pipe.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::pipes::{CAPACITY, Pipe, Pipes};

/// What is copied at once where no pipe is to be had.
const SCRATCH: usize = 16 << 10;

/// Counts the bytes of one way over all sessions, and of both ways of this one.
#[derive(Clone, Copy)]
pub(crate) struct Meter<'a> {
    pub(crate) total: &'a AtomicU64,
    pub(crate) own: &'a AtomicU64,
}

/// Moves until `from` has said all; then `to` is told so.
pub(crate) async fn pump(
    from: &TcpStream,
    to: &TcpStream,
    pipes: &Pipes,
    meter: Meter<'_>,
) -> io::Result<()> {
    loop {
        from.readable().await?;
        let count = match pipes.take() {
            Some(pipe) => Borrowed { pipes, pipe: Some(pipe) }.turn(from, to).await?,
            None => copy(from, to).await?,
        };
        match count {
            None => {}
            Some(0) => {
                // Who has gone already need not be told.
                let _ = rustix::net::shutdown(to, rustix::net::Shutdown::Write);
                return Ok(());
            }
            Some(count) => meter.add(count),
        }
    }
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
    /// One turn: what is there, up to a pipe full; `None` when nothing was, 0 at the end.
    async fn turn(mut self, from: &TcpStream, to: &TcpStream) -> io::Result<Option<usize>> {
        let Some(pipe) = &self.pipe else { return Ok(None) };
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let taken = from.try_io(Interest::READABLE, || {
            Ok(splice(from, None, &pipe.write, None, CAPACITY, flags)?)
        });
        let taken = match taken {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            taken => Some(taken?),
        };
        let mut left = taken.unwrap_or(0);
        while left > 0 {
            left -= to
                .async_io(Interest::WRITABLE, || {
                    Ok(splice(&pipe.read, None, to, None, left, flags)?)
                })
                .await?;
        }
        if let Some(pipe) = self.pipe.take() {
            self.pipes.put(pipe);
        }
        Ok(taken)
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
async fn copy(from: &TcpStream, to: &TcpStream) -> io::Result<Option<usize>> {
    to.writable().await?;
    let mut scratch = [0; SCRATCH];
    let seen = from.try_io(Interest::READABLE, || Ok(recv(from, &mut scratch, RecvFlags::PEEK)?.1));
    let seen = match seen {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        seen => seen?,
    };
    if seen == 0 {
        return Ok(Some(0));
    }
    let said =
        to.try_io(Interest::WRITABLE, || Ok(send(to, &scratch[..seen], SendFlags::NOSIGNAL)?));
    let said = match said {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        said => said?,
    };
    recv(from, &mut scratch[..said], RecvFlags::empty())?;
    Ok(Some(said))
}
