//! Pipes for splice(2), kept for the next who needs one. A pipe belongs to a session only while bytes are
//! in it, so an idle session has none.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// Sessions whose receiver is slow keep a pipe each; more than this many copy instead. Two descriptors
/// and `CAPACITY` of kernel memory each: 64 MiB together, the kernel's `pipe-user-pages-soft`.
pub(crate) const MAX_PIPES: usize = 256;

/// What is moved by one call. Four times the kernel's own.
pub(crate) const CAPACITY: usize = 256 << 10;

/// A pipe: the end to read from, and the end to write to.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) read: OwnedFd,
    pub(crate) write: OwnedFd,
}

/// The pipes that nobody uses, and how many there are at all.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    idle: Mutex<Vec<Pipe>>,
    made: AtomicUsize,
}

// === impl Pipes ===

impl Pipes {
    /// An empty pipe; `None` when all are in use, or the kernel gives no more.
    pub(crate) fn take(&self) -> Option<Pipe> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if idle.is_some() {
            return idle;
        }
        let room = |made| (made < MAX_PIPES).then_some(made + 1);
        self.made.fetch_update(Relaxed, Relaxed, room).ok()?;
        let made = make();
        if made.is_err() {
            self.lost();
        }
        made.ok()
    }

    /// Gives an empty one back.
    pub(crate) fn put(&self, pipe: Pipe) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(pipe);
    }

    /// One was dropped with bytes in it.
    pub(crate) fn lost(&self) {
        self.made.fetch_sub(1, Relaxed);
    }
}

fn make() -> io::Result<Pipe> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // A smaller one does as well, only in more turns.
    let _ = fcntl_setpipe_size(&write, CAPACITY);
    Ok(Pipe { read, write })
}
