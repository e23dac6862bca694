//! What happened, for watches: a bounded history and a bounded queue per watcher.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::stand_in::resource::{Resource, Target};
use crate::stand_in::selector::Selector;
use crate::stand_in::status::ApiStatus;

/// Minutes of a busy Lease, and little enough that a test can outrun it.
const MAX_CHANGES: usize = 1024;

/// A watcher that is this far behind is dropped: kube-apiserver's own buffer is 10 to 1000.
const WATCH_QUEUE: usize = 100;

/// More watches than any test opens; a leak would show.
const MAX_WATCHES: usize = 1024;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stand_in) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One change, at its revision.
#[derive(Debug)]
pub(in crate::stand_in) struct Change {
    pub(in crate::stand_in) revision: u64,
    pub(in crate::stand_in) kind: ChangeKind,
    pub(in crate::stand_in) place: (Resource, String, String),
    pub(in crate::stand_in) object: Arc<Value>,
    pub(in crate::stand_in) at: Instant,
}

/// Where a watch starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stand_in) enum WatchFrom {
    /// With what is there, as additions.
    Present,
    /// With what happens after this revision.
    Revision(u64),
}

/// A watch's events: first those that are due, then those to come.
#[derive(Debug)]
pub(in crate::stand_in) struct Subscription {
    pub(in crate::stand_in) due: VecDeque<Arc<Change>>,
    pub(in crate::stand_in) coming: mpsc::Receiver<Arc<Change>>,
}

#[derive(Debug)]
pub(super) struct History {
    changes: VecDeque<Arc<Change>>,
    compacted: u64,
    watchers: Vec<Watcher>,
}

#[derive(Debug)]
struct Watcher {
    resource: Resource,
    namespace: String,
    selector: Selector,
    after: u64,
    queue: mpsc::Sender<Arc<Change>>,
}

// === impl History ===

impl History {
    pub(super) fn new(revision: u64) -> Self {
        Self { changes: VecDeque::new(), compacted: revision, watchers: Vec::new() }
    }

    pub(super) fn record(&mut self, change: Change) {
        let change = Arc::new(change);
        if self.changes.len() == MAX_CHANGES
            && let Some(oldest) = self.changes.pop_front()
        {
            self.compacted = oldest.revision;
        }
        self.changes.push_back(Arc::clone(&change));
        // A watcher whose queue is full, or that is gone, is forgotten: its queue ends.
        self.watchers.retain(|watcher| {
            if watcher.wants(&change) {
                watcher.queue.try_send(Arc::clone(&change)).is_ok()
            } else {
                !watcher.queue.is_closed()
            }
        });
    }

    pub(super) fn compact(&mut self, revision: u64) {
        self.changes.clear();
        self.compacted = revision;
    }

    pub(super) fn subscribe(
        &mut self,
        target: &Target,
        selector: &Selector,
        from: WatchFrom,
        present: Vec<Arc<Change>>,
    ) -> Result<Subscription, ApiStatus> {
        self.watchers.retain(|watcher| !watcher.queue.is_closed());
        if self.watchers.len() >= MAX_WATCHES {
            return Err(ApiStatus::of_code(429));
        }
        let (queue, coming) = mpsc::channel(WATCH_QUEUE);
        let after = match from {
            WatchFrom::Present => 0,
            WatchFrom::Revision(after) if after < self.compacted => {
                return Err(ApiStatus::expired(after, self.compacted));
            }
            WatchFrom::Revision(after) => after,
        };
        let watcher = Watcher {
            resource: target.resource,
            namespace: target.namespace.clone(),
            selector: selector.clone(),
            after,
            queue,
        };
        let missed = self.changes.iter().filter(|change| watcher.wants(change)).map(Arc::clone);
        let due = match from {
            WatchFrom::Present => present.into(),
            WatchFrom::Revision(_) => missed.collect(),
        };
        self.watchers.push(watcher);
        Ok(Subscription { due, coming })
    }
}

// === impl Watcher ===

impl Watcher {
    fn wants(&self, change: &Change) -> bool {
        let (resource, namespace, name) = &change.place;
        change.revision > self.after
            && *resource == self.resource
            && *namespace == self.namespace
            && self.selector.matches(name, &change.object)
    }
}
