//! The fence: a timer of the kernel on CLOCK_BOOTTIME, which goes on while the machine is suspended
//! and fires at once when it wakes up too late.

use std::io;
use std::os::fd::OwnedFd;

use pintle_core::Instant;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::packet;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A timer for one instant.
#[derive(Debug)]
pub struct Fence {
    timer: AsyncFd<OwnedFd>,
}

// === impl Fence ===

impl Fence {
    /// A timer that is not armed.
    ///
    /// # Errors
    /// When the kernel has none left.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Boottime, flags)?;
        Ok(Self { timer: packet::watch(timer)? })
    }

    /// Fires at `at`, at once if that has passed; with `None` never.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn arm(&self, at: Option<Instant>) -> io::Result<()> {
        // A value of zero disarms: the first nanosecond after boot serves for instant zero.
        let nanos = at.map_or(0, |at| at.as_nanos().max(1));
        let part = |part: u64| i64::try_from(part).unwrap_or(i64::MAX);
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec {
            tv_sec: part(nanos / NANOS_PER_SECOND),
            tv_nsec: part(nanos % NANOS_PER_SECOND),
        };
        let spec = Itimerspec { it_interval: never, it_value: value };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &spec)?;
        Ok(())
    }

    /// Waits until it fires.
    ///
    /// # Errors
    /// What the kernel says.
    ///
    /// # Cancel safety
    /// Cancelled, it loses nothing. It wakes up once: who wakes up looks at the clock.
    pub async fn fired(&self) -> io::Result<()> {
        self.timer.readable().await.map(|mut guard| guard.clear_ready())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};
    use tokio::time::timeout;

    use super::*;

    fn now() -> Instant {
        let time = clock_gettime(ClockId::Boottime);
        Instant::from_nanos(u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap())
    }

    #[tokio::test]
    async fn it_fires_when_it_should_and_again_when_armed_again() {
        let fence = Fence::new().unwrap();
        for length in [20, 0, 20] {
            let at = now() + Duration::from_millis(length);
            fence.arm(Some(at)).unwrap();
            timeout(Duration::from_secs(5), fence.fired()).await.unwrap().unwrap();
            assert!(now() >= at);
        }
        fence.arm(Some(now() - Duration::from_secs(1))).unwrap();
        timeout(Duration::from_secs(5), fence.fired()).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn disarmed_it_is_silent() {
        let fence = Fence::new().unwrap();
        fence.arm(Some(now() + Duration::from_millis(50))).unwrap();
        fence.arm(None).unwrap();
        assert!(timeout(Duration::from_millis(150), fence.fired()).await.is_err());
    }
}
