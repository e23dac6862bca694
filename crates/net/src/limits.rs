//! Rate limits: plain values that are asked with the time.

use std::time::Duration;

use pintle_core::Instant;

/// RFC 5227 section 2.4(b) allows one defence per 10 s (DEFEND_INTERVAL); the first few may come
/// faster, so that a stranger's single announcement is corrected at once.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// The pace of the first defences.
const FIRST_DEFENCES_INTERVAL: Duration = Duration::from_secs(1);
/// So many defences at the fast pace; claims that go on after them will not be argued away.
const FIRST_DEFENCES: u32 = 3;

/// Lets a burst through and then a steady rate.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    capacity: u32,
    interval: Duration,
    /// When the bucket will be full again: what lies ahead of now is what is missing in it.
    full_at: Instant,
}

/// RFC 5227's limit on defences.
#[derive(Debug, Default)]
pub(crate) struct DefenceLimit {
    last: Option<Instant>,
    count: u32,
}

// === impl TokenBucket ===

impl TokenBucket {
    /// `capacity` at once, then one per `interval`.
    pub(crate) const fn new(capacity: u32, interval: Duration) -> Self {
        Self { capacity, interval, full_at: Instant::from_nanos(0) }
    }

    /// Takes a token; false when there is none.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let is_allowed = now >= self.next_at();
        if is_allowed {
            self.full_at = self.full_at.max(now) + self.interval;
        }
        is_allowed
    }

    /// From when on there is a token.
    pub(crate) fn next_at(&self) -> Instant {
        self.full_at - self.interval * self.capacity.saturating_sub(1)
    }
}

// === impl DefenceLimit ===

impl DefenceLimit {
    /// Whether to defend against a claim heard now; true counts as a defence.
    pub(crate) fn allow(&mut self, now: Instant) -> bool {
        let since = self.last.map(|last| now.since(last));
        if since.is_none_or(|since| since >= DEFEND_INTERVAL) {
            // A new conflict, or one that goes on at the slow pace: the latter keeps its count, so
            // that it does not win back the fast one.
            let goes_on = since.is_some_and(|since| since < DEFEND_INTERVAL * 2);
            self.count = if goes_on { self.count.saturating_add(1) } else { 1 };
            self.last = Some(now);
            return true;
        }
        let is_early = self.count < FIRST_DEFENCES;
        let is_allowed = is_early && since.is_some_and(|since| since >= FIRST_DEFENCES_INTERVAL);
        if is_allowed {
            self.count += 1;
            self.last = Some(now);
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_bucket_gives_a_burst_and_then_its_rate() {
        let mut bucket = TokenBucket::new(10, Duration::from_millis(250));
        assert_eq!((0..20).filter(|_| bucket.take(at(5000))).count(), 10);
        assert_eq!(bucket.next_at(), at(5250));
        assert!(!bucket.take(at(5249)));
        assert!(bucket.take(at(5250)));
        let taken = (5251..15_251).filter(|millis| bucket.take(at(*millis))).count();
        assert_eq!(taken, 40, "four a second");
        assert_eq!((0..20).filter(|_| bucket.take(at(60_000))).count(), 10, "full again");
    }

    #[test]
    fn defences_are_one_a_second_and_then_one_per_ten() {
        let mut limit = DefenceLimit::default();
        let defended: Vec<u64> =
            (0..400).map(|tenth| tenth * 100).filter(|millis| limit.allow(at(*millis))).collect();
        assert_eq!(defended, [0, 1000, 2000, 12_000, 22_000, 32_000]);
        assert!(limit.allow(at(90_000)), "after quiet it is a new conflict");
        assert!(!limit.allow(at(90_999)));
        assert!(limit.allow(at(91_000)));
    }
}
