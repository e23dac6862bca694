//! A watch: one line of JSON per event, until the client, the timeout or the queue ends it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::behaviour::WatchBehaviour;
use super::control::{Control, Settings};
use super::resource::{Query, Resource, Target};
use super::response::Body;
use super::selector::Selector;
use super::status::ApiStatus;
use super::store::{Change, ChangeKind, Store, Subscription, WatchFrom};

/// kube-apiserver's `--min-request-timeout`: a watch without a timeout lives 30 to 60 minutes.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);

/// kube-apiserver sends a bookmark about once a minute, and one when the watch ends.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);

const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

struct Watch {
    store: Store,
    settings: watch::Receiver<Settings>,
    resource: Resource,
    due: VecDeque<Arc<Change>>,
    coming: mpsc::Receiver<Arc<Change>>,
    bookmarks: Option<Bookmarks>,
    deadline: Instant,
    epoch: u64,
}

struct Bookmarks {
    next: Instant,
    /// The bookmark that ends the initial events is still to be sent.
    initial: bool,
}

/// Why a watch stops waiting.
enum Wake {
    Change(Arc<Change>),
    Bookmark,
    Timeout,
    Ended,
}

/// Reads the query's `resourceVersion`; 0 when there is none. The error is a message.
pub(super) fn resource_version(query: &Query) -> Result<u64, String> {
    match query.get("resourceVersion").map(String::as_str).unwrap_or_default() {
        "" => Ok(0),
        text => text.parse().map_err(|_| {
            format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax")
        }),
    }
}

/// Opens a watch. After the query is understood every error is an event of the watch, as on the
/// real server.
pub(super) fn open(
    control: &Control,
    target: &Target,
    selector: &Selector,
    query: &Query,
) -> Result<Body, ApiStatus> {
    let version = resource_version(query).map_err(ApiStatus::internal)?;
    let is_true = |key: &str| query.get(key).is_some_and(|value| value == "true" || value == "1");
    let initial = is_true("sendInitialEvents");
    let from =
        if version == 0 || initial { WatchFrom::Present } else { WatchFrom::Revision(version) };
    let subscription = match control.store().watch(target, selector, from) {
        Ok(subscription) => subscription,
        Err(status) => return Ok(single_line(line("ERROR", &status.body))),
    };
    let seconds = query.get("timeoutSeconds").and_then(|text| text.parse().ok());
    let timeout =
        seconds.filter(|seconds| *seconds > 0).map_or(DEFAULT_TIMEOUT, Duration::from_secs);
    let now = Instant::now();
    let Subscription { due, coming } = subscription;
    let watch = Watch {
        store: control.store().clone(),
        settings: control.watch_settings(),
        resource: target.resource,
        due,
        coming,
        bookmarks: is_true("allowWatchBookmarks")
            .then(|| Bookmarks { next: now + BOOKMARK_INTERVAL, initial }),
        // A day is as good as for ever, and cannot overflow.
        deadline: now + timeout.min(Duration::from_secs(86_400)),
        epoch: control.settings().watch_epoch,
    };
    let lines = stream::unfold(Some(watch), |watch| async move {
        let mut watch = watch?;
        let (line, goes_on) = watch.next().await?;
        Some((Ok(Frame::data(line)), goes_on.then_some(watch)))
    });
    Ok(StreamBody::new(lines).boxed_unsync())
}

// === impl Watch ===

impl Watch {
    /// The next line, and whether another may follow.
    async fn next(&mut self) -> Option<(Bytes, bool)> {
        loop {
            if let Some(change) = self.due.front().map(Arc::clone) {
                if !self.may_send(&change).await {
                    return None;
                }
                self.due.pop_front();
                return Some((change_line(&change), true));
            }
            let wake = match &self.bookmarks {
                Some(bookmarks) if bookmarks.initial => Wake::Bookmark,
                _ => self.wait().await,
            };
            match wake {
                Wake::Change(change) => self.due.push_back(change),
                Wake::Bookmark => {
                    if let Some(bookmark) = self.bookmark() {
                        return Some((bookmark, true));
                    }
                }
                Wake::Timeout if !self.is_frozen() => {
                    return self.bookmark().map(|bookmark| (bookmark, false));
                }
                Wake::Timeout | Wake::Ended => return None,
            }
        }
    }

    async fn wait(&mut self) -> Wake {
        let bookmark = self.bookmarks.as_ref().map_or(self.deadline, |bookmarks| bookmarks.next);
        let (deadline, epoch) = (self.deadline, self.epoch);
        tokio::select! {
            biased;
            _ = self.settings.wait_for(|settings| settings.watch_epoch != epoch) => Wake::Ended,
            () = sleep_until(deadline) => Wake::Timeout,
            change = self.coming.recv() => change.map_or(Wake::Ended, Wake::Change),
            () = sleep_until(bookmark) => Wake::Bookmark,
        }
    }

    /// Waits until an event may go out; says no when the watch ends before.
    async fn may_send(&mut self, change: &Change) -> bool {
        let (deadline, epoch) = (self.deadline, self.epoch);
        loop {
            let (ended, due) = {
                let settings = self.settings.borrow_and_update();
                let due = match settings.watches {
                    WatchBehaviour::Normal | WatchBehaviour::Status(_) => Some(change.at),
                    WatchBehaviour::Delay(delay) => Some(change.at + delay),
                    WatchBehaviour::Frozen => None,
                };
                (settings.watch_epoch != epoch, due)
            };
            if ended {
                return false;
            }
            tokio::select! {
                biased;
                changed = self.settings.changed() => if changed.is_err() { return false },
                () = sleep_until(due.unwrap_or(deadline)) => return due.is_some(),
                () = sleep_until(deadline) => return false,
            }
        }
    }

    fn is_frozen(&self) -> bool {
        self.settings.borrow().watches == WatchBehaviour::Frozen
    }

    /// A bookmark says that all up to its revision has been sent: whatever the queue holds goes
    /// first, and there is none then.
    fn bookmark(&mut self) -> Option<Bytes> {
        let revision = self.store.revision();
        while let Ok(change) = self.coming.try_recv() {
            self.due.push_back(change);
        }
        let bookmarks = self.bookmarks.as_mut().filter(|_| self.due.is_empty())?;
        bookmarks.next = Instant::now() + BOOKMARK_INTERVAL;
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if std::mem::take(&mut bookmarks.initial) {
            metadata["annotations"] = json!({INITIAL_EVENTS_END: "true"});
        }
        let mut object = json!({
            "kind": self.resource.kind(), "apiVersion": self.resource.api_version(),
            "metadata": metadata,
        });
        if self.resource == Resource::Lease {
            object["spec"] = json!({});
        }
        Some(line("BOOKMARK", &object))
    }
}

fn change_line(change: &Change) -> Bytes {
    let kind = match change.kind {
        ChangeKind::Added => "ADDED",
        ChangeKind::Modified => "MODIFIED",
        ChangeKind::Deleted => "DELETED",
    };
    line(kind, &change.object)
}

fn line(kind: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"))
}

fn single_line(line: Bytes) -> Body {
    StreamBody::new(stream::iter([Ok(Frame::data(line))])).boxed_unsync()
}
