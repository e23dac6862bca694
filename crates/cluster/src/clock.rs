//! The wall clock, read in one function, and the stamps made of it. Nothing is ever decided by one.

use jiff::Timestamp;

/// Hands out `renewTime`s: wall time in microseconds, each later than the one before, so that one
/// names one write of this process also when the wall clock is set back.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    last: i64,
}

impl Stamps {
    /// The next stamp.
    pub(crate) fn next(&mut self) -> Timestamp {
        self.after(wall_clock())
    }

    fn after(&mut self, now: Timestamp) -> Timestamp {
        self.last = now.as_microsecond().max(self.last.saturating_add(1));
        Timestamp::from_microsecond(self.last).unwrap_or(Timestamp::MAX)
    }
}

/// The wall clock, in the microseconds that a Kubernetes MicroTime has. A clock beyond the year 9999
/// reads as the last instant that there is.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where wall time is read, to fill renewTime and an Event's time"
)]
pub(crate) fn wall_clock() -> Timestamp {
    let now = Timestamp::try_from(std::time::SystemTime::now()).unwrap_or(Timestamp::MAX);
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_grow_when_the_wall_clock_stands_still_or_goes_back() {
        let mut stamps = Stamps::default();
        let now = Timestamp::from_microsecond(1_000_000).unwrap();
        let earlier = Timestamp::from_microsecond(5).unwrap();
        let given: Vec<i64> =
            [now, now, earlier].map(|at| stamps.after(at).as_microsecond()).into();
        assert_eq!(given, [1_000_000, 1_000_001, 1_000_002]);
    }
}
