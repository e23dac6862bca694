//! A writer that never waits: lines go into a bounded queue, and those that do not fit are counted.
//!
//! One thread writes the queue to the sink. A full pipe stops that thread and nobody else: the
//! control thread must go on whatever becomes of its log (invariant I2).
//!
//! The usual crate for this, tracing-appender, is not used: when its guard is dropped while the pipe
//! is full it waits for a second and then prints to stdout, which is as likely to be full.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// Lines in the queue: some seconds of debug output.
const MAX_LINES: usize = 1024;

/// Bytes in the queue: the whole process is to stay within 12 MB, whatever is in the lines.
const MAX_BYTES: usize = 512 * 1024;

/// How long the last lines may take when the process ends: a reader that lives needs a fraction, and
/// the VIP's next holder does not wait for a dead one.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// Between two tries to put the request to flush into a full queue.
const FLUSH_RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// Losses are told at most this often: telling them makes lines too.
const LOSS_INTERVAL: Duration = Duration::from_secs(1);

/// The end of the queue that `tracing` writes to.
#[derive(Clone, Debug)]
pub(super) struct Lossy {
    queue: SyncSender<Entry>,
    counts: Arc<Counts>,
}

/// Writes what is in the queue when it is dropped, for half a second at most.
#[must_use = "dropping the guard at once writes the log of nothing"]
#[derive(Debug)]
pub struct Guard {
    queue: SyncSender<Entry>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    queued_bytes: AtomicUsize,
    dropped_lines: AtomicU64,
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

// === impl Lossy ===

impl Lossy {
    pub(super) fn start(sink: impl Write + Send + 'static) -> io::Result<(Self, Guard)> {
        let (queue, entries) = mpsc::sync_channel(MAX_LINES);
        let counts = Arc::new(Counts::default());
        let theirs = Arc::clone(&counts);
        thread::Builder::new()
            .name("pintle-log".to_owned())
            .spawn(move || drain(&entries, sink, &theirs))?;
        let guard = Guard { queue: queue.clone(), counts: Arc::clone(&counts) };
        Ok((Self { queue, counts }, guard))
    }

    fn push(&self, line: &[u8]) {
        let before = self.counts.queued_bytes.fetch_add(line.len(), Ordering::Relaxed);
        let is_queued = before.saturating_add(line.len()) <= MAX_BYTES
            && self.queue.try_send(Entry::Line(line.to_vec())).is_ok();
        if !is_queued {
            self.counts.queued_bytes.fetch_sub(line.len(), Ordering::Relaxed);
            self.counts.dropped_lines.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<'a> MakeWriter<'a> for Lossy {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Lossy {
    /// `tracing` hands over a whole line at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes entries for as long as anyone can send them.
fn drain(entries: &Receiver<Entry>, mut sink: impl Write, counts: &Counts) {
    let (mut told, mut told_at) = (0, None::<Instant>);
    for entry in entries {
        match entry {
            Entry::Line(line) => {
                if sink.write_all(&line).is_err() {
                    // Nobody can be told that stderr is gone.
                    counts.dropped_lines.fetch_add(1, Ordering::Relaxed);
                }
                counts.queued_bytes.fetch_sub(line.len(), Ordering::Relaxed);
            }
            Entry::Flush(done) => drop(done.send(())),
        }
        let lost = counts.dropped_lines.load(Ordering::Relaxed);
        if lost != told && told_at.is_none_or(|at| at.elapsed() >= LOSS_INTERVAL) {
            tracing::warn!(lines = lost - told, "Log lines were dropped: nobody read them");
            (told, told_at) = (lost, Some(Instant::now()));
        }
    }
}

// === impl Guard ===

impl Guard {
    /// Lines that were not written, since start.
    #[must_use]
    pub fn dropped_lines(&self) -> u64 {
        self.counts.dropped_lines.load(Ordering::Relaxed)
    }

    fn flush(&self) {
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        let (done, flushed) = mpsc::sync_channel(1);
        while self.queue.try_send(Entry::Flush(done.clone())).is_err() {
            if Instant::now() >= deadline {
                return;
            }
            thread::sleep(FLUSH_RETRY_INTERVAL);
        }
        // Nothing is left to be done when they cannot be written.
        let _ = flushed.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.flush();
    }
}
