//! The one notion of time in pintle: nanoseconds of CLOCK_BOOTTIME.
//!
//! CLOCK_BOOTTIME goes on while the machine is suspended, so a right that ended during a suspend has
//! ended; std's and tokio's `Instant` are CLOCK_MONOTONIC on Linux and stand still. The clock is read
//! in one place, in the daemon; everywhere else an [`Instant`] is an argument.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on this machine's boot-time clock. Never compared with another machine's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The instant `nanos` nanoseconds after boot.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since boot.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// How long until `self` as seen from `now`; zero when it has passed.
    #[must_use]
    pub const fn until(self, now: Self) -> Duration {
        self.since(now)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates: u64 nanoseconds last 584 years, so the end is only reached by a nonsense length.
    fn add(self, length: Duration) -> Self {
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, length: Duration) -> Self {
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_never_negative() {
        let (early, late) = (Instant::from_nanos(1), Instant::from_nanos(5));
        assert_eq!(late.since(early), Duration::from_nanos(4));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(early - Duration::from_secs(1), Instant::from_nanos(0));
    }

    #[test]
    fn a_nonsense_length_saturates() {
        assert_eq!(Instant::from_nanos(1) + Duration::MAX, Instant::from_nanos(u64::MAX));
    }
}
