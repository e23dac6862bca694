//! Tells readers that pause from peers that are gone, which the kernel's own timeout does not.

use std::convert::Infallible;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::queue::Queue;
use crate::session::Session;
use crate::stream::{keep_alive, wait_for_reader};

/// Twice within the time in which the kernel gives up a reader that pauses.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// One side of a session as a reader.
struct Reader<'a> {
    stream: &'a TcpStream,
    is_waited_for: bool,
}

/// Looks at what both sides take; never ends. Sessions that moved nothing and owe nothing are not looked at.
pub(crate) async fn follow_readers(
    session: &Session,
    client: &TcpStream,
    server: &TcpStream,
) -> Infallible {
    let mut readers = [client, server].map(|stream| Reader { stream, is_waited_for: false });
    let mut seen = session.moved();
    let mut is_owing = true;
    let mut is_kept_alive = false;
    loop {
        sleep(LOOK_INTERVAL).await;
        if !is_kept_alive {
            // Most connections are over by now. The client's side has it from the listener.
            let _gone = keep_alive(server);
            is_kept_alive = true;
        }
        let moved = session.moved();
        if is_owing || moved != seen {
            seen = moved;
            is_owing = false;
            for reader in &mut readers {
                is_owing |= reader.look();
            }
        }
    }
}

// === impl Reader ===

impl Reader<'_> {
    /// Whether it has still to take something.
    fn look(&mut self) -> bool {
        // One that is gone is its pump's business.
        let Ok(queue) = Queue::of(self.stream) else { return false };
        if queue.is_paused() != self.is_waited_for
            && wait_for_reader(self.stream, queue.is_paused()).is_ok()
        {
            self.is_waited_for = queue.is_paused();
        }
        !queue.is_empty()
    }
}
