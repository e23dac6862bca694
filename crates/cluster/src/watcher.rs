//! The watch on the Lease: opened on the local server if that can be, else on the next one.
//!
//! Decides nothing about the Lease. Whether a silent watch is a broken one, the core knows.

mod frames;
pub(crate) use self::frames::Frames;

use std::sync::Arc;
use std::time::Duration;

use kube::client::Body;
use pintle_core::{Event, Observed, Server, ServerId};
use serde::Deserialize;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use crate::api::Api;
use crate::lease::{LeaseObject, version_of};

/// The second try in a row waits this long: the first goes to another server at once.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// While nothing can be watched the core polls, so this only bounds how late that ends.
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// A watch that ended sooner than this counts as a failed try, or a server that ends each one at once
/// would be asked without a pause.
const MIN_LIFETIME: Duration = Duration::from_secs(2);

#[derive(Debug, Deserialize)]
#[serde(tag = "type", content = "object", rename_all = "UPPERCASE")]
enum Change {
    Added(LeaseObject),
    Modified(LeaseObject),
    Deleted(LeaseObject),
    Bookmark(serde::de::IgnoredAny),
    /// 410 for one that fell behind, and the like: the watch ends.
    Error(serde::de::IgnoredAny),
}

/// Why the watch ended, or did not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Asked,
    NotOpened,
    /// After it had been open.
    Broken,
    /// Nobody listens.
    Unheard,
}

/// Where to try next, and when.
#[derive(Debug)]
struct Course {
    place: usize,
    failures: u32,
}

/// Runs for ever. Dropping it closes the watch.
pub(crate) async fn run(api: Arc<Api>, rewatch: Arc<Notify>, events: mpsc::Sender<Event>) {
    let mut course = Course { place: 0, failures: 0 };
    let mut is_broken = false;
    loop {
        let servers = api.servers();
        let server = servers[course.place % servers.len()];
        let started = Instant::now();
        let mut opened = false;
        let end = tokio::select! {
            () = rewatch.notified() => End::Asked,
            end = follow(&api, server, &events, &mut opened) => end,
        };
        if end == End::Unheard {
            return;
        }
        tracing::debug!(server = %server.id, ?end, "The watch on the Lease ended");
        is_broken &= !opened;
        if end != End::Asked && !std::mem::replace(&mut is_broken, true) {
            let told = events.send(Event::WatchBroken).await;
            if told.is_err() {
                return;
            }
        }
        let pause = course.after(end, server.id, started.elapsed());
        tokio::select! {
            () = rewatch.notified() => {}
            () = sleep(pause) => {}
        }
    }
}

/// Opens the watch and passes on what it shows.
///
/// # Cancel safety
/// An observation that waits for room in `events` is lost; the next watch begins with a read.
async fn follow(api: &Api, server: Server, events: &mpsc::Sender<Event>, opened: &mut bool) -> End {
    let (response, first) = match api.open_watch(server.address).await {
        Ok(open) => open,
        Err(failure) => {
            tracing::debug!(server = %server.id, failure = failure.label(), "The watch on the Lease did not open");
            return End::NotOpened;
        }
    };
    *opened = true;
    let floor = revision_of(&first);
    if events.send(Event::LeaseWatched(first)).await.is_err() {
        return End::Unheard;
    }
    let mut frames = Frames::new(response.into_body());
    while let Some(line) = frames.next().await {
        let Ok(observed) = read_change(api, &line, floor) else {
            return End::Broken;
        };
        let Some(observed) = observed else { continue };
        if events.send(Event::LeaseWatched(observed)).await.is_err() {
            return End::Unheard;
        }
    }
    End::Broken
}

/// What a line of the watch says of the Lease, if it is news after the state with revision `floor`:
/// the server's cache may be behind the quorum read, and then shows the past first.
fn read_change(api: &Api, line: &[u8], floor: Option<u128>) -> Result<Option<Observed>, ()> {
    let change: Change = serde_json::from_slice(line).map_err(drop)?;
    let (object, is_there) = match change {
        Change::Added(object) | Change::Modified(object) => (object, true),
        Change::Deleted(object) => (object, false),
        Change::Bookmark(_) => return Ok(None),
        Change::Error(_) => return Err(()),
    };
    let revision: Option<u128> =
        version_of(&object).and_then(|version| version.resource_version.parse().ok());
    let is_past = matches!((revision, floor), (Some(revision), Some(floor)) if revision <= floor);
    if object.metadata.name != api.ledger.identity().lease || is_past {
        return Ok(None);
    }
    if is_there {
        api.ledger.observe(object).map(Some).map_err(drop)
    } else {
        Ok(Some(Observed::Absent))
    }
}

fn revision_of(observed: &Observed) -> Option<u128> {
    match observed {
        Observed::Present(view) => view.version.resource_version.parse().ok(),
        Observed::Absent => None,
    }
}

// === impl Course ===

impl Course {
    /// Moves on after an end on `server`; returns how long to wait.
    fn after(&mut self, end: End, server: ServerId, lived: Duration) -> Duration {
        if end == End::Broken && lived >= MIN_LIFETIME && server != ServerId::LOCAL {
            // Home again.
            self.place = 0;
        } else {
            self.place = self.place.wrapping_add(1);
        }
        match end {
            End::Asked | End::Unheard => {
                self.failures = 0;
                return Duration::ZERO;
            }
            End::Broken if lived >= MIN_LIFETIME => self.failures = 1,
            End::Broken | End::NotOpened => self.failures = self.failures.saturating_add(1),
        }
        match self.failures.checked_sub(2) {
            None => Duration::ZERO,
            Some(doublings) => (FIRST_BACKOFF * 2_u32.pow(doublings.min(4))).min(MAX_BACKOFF),
        }
    }
}

#[cfg(test)]
mod tests;
