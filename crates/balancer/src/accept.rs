//! Takes connections as long as there is room, and refuses the next at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::Shared;
use crate::serve::serve;
use crate::stream::reset;
use crate::totals::CloseReason;

/// The table of open files is full although the limit was checked: somebody else of the host filled it.
/// Others end meanwhile.
const EXHAUSTED_INTERVAL: Duration = Duration::from_millis(50);

/// How often a lasting trouble is told.
const NOTICE_INTERVAL: Duration = Duration::from_secs(10);

/// Accepts for ever.
pub(crate) async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let mut notice = Notice::default();
    loop {
        let (client, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if !is_of_one_connection(&error) {
                    if notice.is_due() {
                        tracing::warn!(%error, "Connections cannot be accepted");
                    }
                    sleep(EXHAUSTED_INTERVAL).await;
                }
                continue;
            }
        };
        let Some(room) = Room::take(&shared) else {
            shared.counters.closed(CloseReason::Full);
            if notice.is_due() {
                tracing::warn!(
                    limit = shared.max_connections,
                    "Connections are refused, there is no room: raise balancer.maxConnections"
                );
            }
            reset(&client);
            continue;
        };
        let _detached = tokio::spawn(serve(client, from, room));
    }
}

/// Those of accept(2) that speak of the connection, not of the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// A connection's place among `max_connections`, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) shared: Arc<Shared>,
}

/// Says seldom what may happen often.
#[derive(Debug, Default)]
struct Notice {
    last: Option<Instant>,
}

// === impl Room ===

impl Room {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let most = u64::try_from(shared.max_connections).unwrap_or(u64::MAX);
        let open = &shared.counters.open;
        let taken = open.fetch_update(Relaxed, Relaxed, |now| (now < most).then_some(now + 1));
        taken.is_ok().then(|| Self { shared: Arc::clone(shared) })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shared.counters.open.fetch_sub(1, Relaxed);
    }
}

// === impl Notice ===

impl Notice {
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.last.is_none_or(|at| now.duration_since(at) >= NOTICE_INTERVAL);
        if is_due {
            self.last = Some(now);
        }
        is_due
    }
}
