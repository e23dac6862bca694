//! What a server was asked, for assertions: a bounded log and counts that are never lost.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A test that asks for more than this looks at counts, not at single requests.
const MAX_REQUESTS: usize = 8192;

/// What a request wants, in RBAC's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// GET of one object.
    Get,
    /// GET of a collection.
    List,
    /// GET of a collection, to be told of changes.
    Watch,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// DELETE.
    Delete,
    /// Anything about a path that is no resource: `/readyz`, `/livez`, `/version`.
    Path,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// When its head had arrived.
    pub at: Instant,
    /// What it wants.
    pub verb: Verb,
    /// Path and query.
    pub path: String,
    /// The HTTP status; `None` while it is not answered. A watch is answered when it opens.
    pub status: Option<u16>,
}

/// How many requests of each kind have arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// GETs of one object and of lists.
    pub reads: u64,
    /// Watches opened.
    pub watches: u64,
    /// POST, PUT, DELETE.
    pub writes: u64,
    /// Of all these, those about Leases.
    pub leases: u64,
    /// `/readyz`, `/livez`, `/version` and unknown paths.
    pub paths: u64,
}

#[derive(Debug, Default)]
pub(super) struct RequestLog {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    requests: VecDeque<Request>,
    first_id: u64,
    counts: RequestCounts,
}

// === impl Verb ===

impl Verb {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get | Self::Path => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// Whether it changes something.
    #[must_use]
    pub fn is_write(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Delete)
    }
}

// === impl RequestLog ===

impl RequestLog {
    /// Notes a request and returns its id, to be given to [`RequestLog::answered`].
    pub(super) fn arrived(&self, verb: Verb, path: String, is_lease: bool) -> u64 {
        self.locked(|inner| {
            let counts = &mut inner.counts;
            counts.leases += u64::from(is_lease);
            *match verb {
                Verb::Get | Verb::List => &mut counts.reads,
                Verb::Watch => &mut counts.watches,
                Verb::Create | Verb::Update | Verb::Delete => &mut counts.writes,
                Verb::Path => &mut counts.paths,
            } += 1;
            if inner.requests.len() == MAX_REQUESTS {
                inner.requests.pop_front();
                inner.first_id += 1;
            }
            inner.requests.push_back(Request { at: Instant::now(), verb, path, status: None });
            inner.first_id + inner.requests.len() as u64 - 1
        })
    }

    pub(super) fn answered(&self, id: u64, status: u16) {
        self.locked(|inner| {
            let index =
                id.checked_sub(inner.first_id).and_then(|index| usize::try_from(index).ok());
            if let Some(request) = index.and_then(|index| inner.requests.get_mut(index)) {
                request.status = Some(status);
            }
        });
    }

    pub(super) fn list(&self) -> Vec<Request> {
        self.locked(|inner| inner.requests.iter().cloned().collect())
    }

    pub(super) fn counts(&self) -> RequestCounts {
        self.locked(|inner| inner.counts)
    }

    pub(super) fn clear(&self) {
        self.locked(|inner| {
            inner.first_id += inner.requests.len() as u64;
            inner.requests.clear();
            inner.counts = RequestCounts::default();
        });
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
