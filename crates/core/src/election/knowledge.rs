//! What this node knows of the Lease, and since when on its own clock.

use std::time::Duration;

use crate::lease::{Holder, LeaseView, Observed, Version};
use crate::time::Instant;

/// A published duration beyond this is not waited for: a Lease edited to 2^31-1 seconds must not
/// take the VIP away for 68 years.
const MAX_PUBLISHED: Duration = Duration::from_secs(60);

/// Where news came from: what it can prove depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A watch: in order among its own events, late against everything else.
    Watch,
    /// A quorum read sent at this instant: shows the state at some moment after that.
    Read(Instant),
    /// The answer to a write: the state that it made.
    Write,
}

/// What this node knows of the Lease.
#[derive(Clone, Debug)]
pub(crate) struct Knowledge {
    seen: Option<Observed>,
    changed_at: Instant,
    /// The last present version was a release: then absence asks for no wait.
    was_released: bool,
    last_holder: Option<String>,
    /// What was seen first has changed since: somebody was alive while this process was.
    has_changed: bool,
}

/// Older news says nothing of who uses the address today.
const NEWS_DURATION: Duration = Duration::from_secs(60);

impl Knowledge {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            seen: None,
            changed_at: now,
            was_released: false,
            last_holder: None,
            has_changed: false,
        }
    }

    pub(crate) const fn seen(&self) -> Option<&Observed> {
        self.seen.as_ref()
    }

    pub(crate) const fn view(&self) -> Option<&LeaseView> {
        match &self.seen {
            Some(Observed::Present(view)) => Some(view),
            Some(Observed::Absent) | None => None,
        }
    }

    pub(crate) fn version(&self) -> Option<&Version> {
        self.view().map(|view| &view.version)
    }

    pub(crate) const fn changed_at(&self) -> Instant {
        self.changed_at
    }

    /// Whether the last holder that published a hardware address was alive a moment ago: then the address
    /// is nobody else's. A Lease that was found as it is may be from last year.
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        self.has_changed
            && now.since(self.changed_at) <= NEWS_DURATION
            && self.view().is_some_and(|view| view.mac.is_some())
    }

    /// The named holder, if there is one.
    pub(crate) fn holder(&self) -> Option<&str> {
        match &self.view()?.holder {
            Holder::Node(name) => Some(name),
            Holder::Released | Holder::Resigned | Holder::Vacant => None,
        }
    }

    /// The holder that was last named, even if the Lease has been released since.
    pub(crate) fn last_holder(&self) -> Option<&str> {
        self.last_holder.as_deref()
    }

    /// Takes in what was seen; true when it is news.
    pub(crate) fn learn(&mut self, observed: Observed, source: Source, now: Instant) -> bool {
        if self.is_stale(&observed, source) || self.seen.as_ref() == Some(&observed) {
            return false;
        }
        if let (Some(Observed::Present(known)), Observed::Present(view)) = (&self.seen, &observed) {
            // The same state, recognised as the result of an own write: no change of the Lease.
            if known.version == view.version {
                self.seen = Some(observed);
                return false;
            }
        }
        if let Observed::Present(view) = &observed {
            self.was_released = view.holder == Holder::Released;
            if let Holder::Node(name) = &view.holder {
                self.last_holder = Some(name.clone());
            }
        }
        self.has_changed = self.seen.is_some();
        self.seen = Some(observed);
        self.changed_at = now;
        true
    }

    /// From when the Lease may be taken: `None` while nothing is known of it.
    pub(crate) fn vacant_at(&self, lease_duration: Duration) -> Option<Instant> {
        let wait = match self.seen.as_ref()? {
            Observed::Absent if self.was_released => Duration::ZERO,
            Observed::Absent => lease_duration,
            Observed::Present(view) => match view.holder {
                Holder::Released => Duration::ZERO,
                Holder::Resigned => view.duration.min(MAX_PUBLISHED),
                Holder::Vacant | Holder::Node(_) => {
                    view.duration.min(MAX_PUBLISHED).max(lease_duration)
                }
            },
        };
        Some(self.changed_at + wait)
    }

    fn is_stale(&self, observed: &Observed, source: Source) -> bool {
        let is_older = match (observed, self.version()) {
            (Observed::Present(view), Some(known)) => view.version.is_before(known),
            (Observed::Present(_) | Observed::Absent, _) => false,
        };
        match source {
            // A read that began before the last news shows a state that may be older than it, and
            // one that began after it is right even if the versions went back (a restored etcd).
            Source::Read(sent) => {
                self.seen.is_some() && sent < self.changed_at && {
                    let is_newer = match (observed, self.version()) {
                        (Observed::Present(view), Some(known)) => known.is_before(&view.version),
                        (Observed::Present(_) | Observed::Absent, _) => false,
                    };
                    !is_newer
                }
            }
            Source::Watch | Source::Write => is_older,
        }
    }
}
