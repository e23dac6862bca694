//! The conflict probe before a bind (RFC 5227 section 2.1.1, shortened): two probes 100 ms apart,
//! 200 ms of waiting in all. Pure: it says when to send, and when the segment stayed silent.

use std::time::Duration;

use pintle_core::Instant;

/// From the first probe to the second, and from the second to the verdict. The RFC's 1-2 s are for
/// hosts that just woke up; a holder of the VIP answers within a millisecond.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);
const PROBES: u32 = 2;
/// How long to leave a stranger in peace before asking again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// One conflict probe over all VIPs.
#[derive(Debug)]
pub(crate) struct ConflictProbe {
    sent: u32,
    next_at: Instant,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Broadcast a probe for each VIP.
    Send,
    /// Nothing before [`ConflictProbe::next_at`].
    Wait,
    /// Nobody answered: bind.
    Clear,
}

impl ConflictProbe {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { sent: 0, next_at: now }
    }

    /// Advances to `now`.
    pub(crate) fn poll(&mut self, now: Instant) -> Step {
        if now < self.next_at {
            Step::Wait
        } else if self.sent == PROBES {
            Step::Clear
        } else {
            self.sent += 1;
            // From now, not from when it was due: a late probe still gets its time to be answered.
            self.next_at = now + PROBE_INTERVAL;
            Step::Send
        }
    }

    /// Somebody answered, or asks for the address itself. False when that is known already.
    pub(crate) fn is_answered(&mut self, now: Instant) -> bool {
        let is_news = self.sent > 0;
        if is_news {
            *self = Self::new(now + RETRY_INTERVAL);
        }
        is_news
    }

    /// When to poll again.
    pub(crate) const fn next_at(&self) -> Instant {
        self.next_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn two_probes_and_then_silence_is_clear() {
        let mut probe = ConflictProbe::new(at(0));
        let steps = [0, 50, 100, 199, 200].map(|millis| probe.poll(at(millis)));
        assert_eq!(steps, [Step::Send, Step::Wait, Step::Send, Step::Wait, Step::Clear]);
    }

    #[test]
    fn a_late_probe_is_waited_for() {
        let mut probe = ConflictProbe::new(at(0));
        let steps = [0, 900, 999, 1000].map(|millis| probe.poll(at(millis)));
        assert_eq!(steps, [Step::Send, Step::Send, Step::Wait, Step::Clear]);
    }

    #[test]
    fn an_answer_starts_it_afresh_a_second_later() {
        let mut probe = ConflictProbe::new(at(0));
        assert!(!probe.is_answered(at(0)), "nothing was asked yet");
        assert_eq!(probe.poll(at(0)), Step::Send);
        assert!(probe.is_answered(at(1)));
        assert!(!probe.is_answered(at(2)), "the same answer from several ports");
        assert_eq!(probe.poll(at(1000)), Step::Wait);
        assert_eq!(probe.poll(at(1001)), Step::Send);
        assert_eq!(probe.next_at(), at(1101));
    }
}
