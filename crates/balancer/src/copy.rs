//! Moves bytes one way: little by little through the process, much at once inside the kernel, by splice(2)
//! through a pipe.

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;

use crate::pipes::{CAPACITY, Pipe, Pipes};

/// What is moved through the process at once. Who has more than that to say is spliced.
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

/// What a turn found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Little, or nothing.
    Little,
    /// As much as fits, so there is more.
    Much,
    /// The sender has said all.
    End,
}

/// Moves until `from` has said all; `to` is not told so.
pub(crate) async fn pump(
    from: &TcpStream,
    to: &TcpStream,
    pipes: &Pipes,
    meter: Meter<'_>,
) -> Result<(), Broken> {
    let mut turn = Turn::Little;
    loop {
        // One that always has more must not keep a thread from the others.
        consume_budget().await;
        from.readable().await.map_err(|_| Broken::Sender)?;
        let pipe = if turn == Turn::Much { pipes.take() } else { None };
        turn = match pipe {
            Some(pipe) => Borrowed { pipes, pipe: Some(pipe) }.turn(from, to, meter).await?,
            None => relay(from, to, meter).await?,
        };
        if turn == Turn::End {
            return Ok(());
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
    /// Moves what is there, up to a pipe full.
    async fn turn(
        mut self,
        from: &TcpStream,
        to: &TcpStream,
        meter: Meter<'_>,
    ) -> Result<Turn, Broken> {
        let Some(pipe) = &self.pipe else { return Ok(Turn::Little) };
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
        Ok(match taken {
            Some(0) => Turn::End,
            Some(SCRATCH..) => Turn::Much,
            Some(_) | None => Turn::Little,
        })
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if self.pipe.is_some() {
            self.pipes.lost();
        }
    }
}

/// One turn without a pipe. Nothing is taken before the other side takes something, so that what is kept for a
/// receiver that does not read is one scratch at most.
async fn relay(from: &TcpStream, to: &TcpStream, meter: Meter<'_>) -> Result<Turn, Broken> {
    to.writable().await.map_err(|_| Broken::Receiver)?;
    let (heard, mut left) = exchange(from, to)?;
    meter.add(heard.unwrap_or(0) - left.len());
    while !left.is_empty() {
        let say = || Ok(send(to, &left, SendFlags::NOSIGNAL)?);
        let said = to.async_io(Interest::WRITABLE, say).await.map_err(|_| Broken::Receiver)?;
        meter.add(said);
        left.drain(..said);
    }
    Ok(match heard {
        Some(0) => Turn::End,
        Some(SCRATCH) => Turn::Much,
        Some(_) | None => Turn::Little,
    })
}

/// Hears what is there and says it at once: how much was heard (`None`: nothing yet), and what the other side
/// did not take.
fn exchange(from: &TcpStream, to: &TcpStream) -> Result<(Option<usize>, Vec<u8>), Broken> {
    let mut scratch = [MaybeUninit::<u8>::uninit(); SCRATCH];
    let mut heard: &[u8] = &[];
    let mut is_end = false;
    let outcome = ready(from.try_io(Interest::READABLE, || {
        let ((said, _), _) = recv(from, &mut scratch[..], RecvFlags::empty())?;
        heard = said;
        is_end = heard.is_empty();
        // Less than there is room for: there is no more now, and to ask again would say only that. The
        // readiness goes, unless news came meanwhile; an end stays.
        let is_all = !is_end && heard.len() < SCRATCH;
        if is_all { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(heard.len()) }
    }));
    outcome.map_err(|_| Broken::Sender)?;
    if heard.is_empty() {
        return Ok((is_end.then_some(0), Vec::new()));
    }
    let say = || Ok(send(to, heard, SendFlags::NOSIGNAL)?);
    let said = ready(to.try_io(Interest::WRITABLE, say)).map_err(|_| Broken::Receiver)?;
    Ok((Some(heard.len()), heard[said.unwrap_or(0)..].to_vec()))
}

/// `None` when it was not ready after all.
fn ready(attempt: io::Result<usize>) -> io::Result<Option<usize>> {
    match attempt {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        attempt => attempt.map(Some),
    }
}
