//! Facts on their way to the core. Nothing here waits: a full queue must not delay the fence, so what
//! does not fit is kept, and outdated facts are dropped in favour of newer ones.

use std::collections::VecDeque;

use pintle_core::Event;
use tokio::sync::mpsc::{self, error::TrySendError};

/// Claims and failures kept while the queue is full. They repeat, so dropping some loses nothing.
const MAX_REPORTS: usize = 16;

/// Events that were not taken yet.
#[derive(Debug)]
pub(crate) struct Outbox {
    sender: mpsc::Sender<Event>,
    waiting: VecDeque<Event>,
}

// === impl Outbox ===

impl Outbox {
    pub(crate) const fn new(sender: mpsc::Sender<Event>) -> Self {
        Self { sender, waiting: VecDeque::new() }
    }

    /// Sends an event now, or as soon as there is room.
    pub(crate) fn push(&mut self, event: Event) {
        match event {
            // The last state of the link is the only one that counts.
            Event::LinkChanged { .. } => {
                self.waiting.retain(|waiting| !matches!(waiting, Event::LinkChanged { .. }));
            }
            // What was bound and is not any more was never bound, for somebody who learns both late.
            Event::Unbound => self
                .waiting
                .retain(|waiting| !matches!(waiting, Event::Bound { .. } | Event::Unbound)),
            _ if self.waiting.len() >= MAX_REPORTS && !matches!(event, Event::Bound { .. }) => {
                return;
            }
            _ => {}
        }
        self.waiting.push_back(event);
        self.flush();
    }

    /// Sends what there is room for.
    pub(crate) fn flush(&mut self) {
        while let Some(event) = self.waiting.pop_front() {
            match self.sender.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.waiting.push_front(event);
                    return;
                }
                Err(TrySendError::Closed(_)) => self.waiting.clear(),
            }
        }
    }

    /// Waits until there is room for what waits; for ever if nothing does.
    ///
    /// # Cancel safety
    /// Nothing is sent here.
    pub(crate) async fn has_room(&self) {
        if self.waiting.is_empty() || self.sender.reserve().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use pintle_core::{Instant, MacAddr};

    use super::*;

    fn bound() -> Event {
        let at = Instant::from_nanos(1);
        Event::Bound { mac: MacAddr([0; 6]), bound_at: at, announced_at: at }
    }

    #[test]
    fn a_full_queue_keeps_the_news_and_drops_the_old() {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        let link = |carrier| Event::LinkChanged { carrier };
        outbox.push(link(true));
        for event in [bound(), link(false), Event::Unbound, link(true), bound()] {
            outbox.push(event);
        }
        for _ in 0..1000 {
            outbox.push(Event::BindFailed { error: String::new() });
        }
        outbox.push(Event::Unbound);
        outbox.push(link(false));
        assert!(outbox.waiting.len() <= MAX_REPORTS + 2);
        let mut got = Vec::new();
        while let Ok(event) = receiver.try_recv() {
            got.push(event);
            outbox.flush();
        }
        got.retain(|event| !matches!(event, Event::BindFailed { .. }));
        assert_eq!(got, [link(true), Event::Unbound, link(false)]);
    }

    #[test]
    fn bound_after_unbound_is_two_facts() {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        for event in [Event::Unbound, Event::Unbound, bound()] {
            outbox.push(event);
        }
        assert_eq!(receiver.try_recv(), Ok(Event::Unbound));
        outbox.flush();
        assert_eq!(receiver.try_recv(), Ok(Event::Unbound));
        outbox.flush();
        assert_eq!(receiver.try_recv(), Ok(bound()));
    }
}
