//! The one place where the clock of the machine is read.

use pintle_core::Instant;
use rustix::time::{ClockId, clock_gettime};

/// Now, on CLOCK_BOOTTIME: it goes on while the machine is suspended (`clock_gettime(2)`).
#[must_use]
pub fn now() -> Instant {
    let read = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(read.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(read.tv_nsec).unwrap_or(0);
    Instant::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_clock_goes_forward() {
        let before = now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(now().since(before) >= Duration::from_millis(2));
    }
}
