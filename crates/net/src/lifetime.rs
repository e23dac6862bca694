//! How long the kernel keeps a bound VIP by itself: the fence behind the fence. Pure arithmetic.

use std::time::Duration;

use pintle_core::Instant;

/// The shortest lifetime that the kernel takes.
const FLOOR_SECONDS: u32 = 1;

/// How long before a whole number of seconds is left a lifetime is set, so that a timer that fires a
/// late still finds the whole number. The kernel ends lifetimes 20 ms late or more.
const ALIGN_LEAD: Duration = Duration::from_millis(20);

/// An extension is worth a request from here on: by default that is each renewal, 0.2 s after the last
/// aligned lifetime began, and then the next alignment. Alignment alone is not enough: on a machine that
/// was 20 ms late the address ran out before the right did.
const MIN_GAIN: Duration = Duration::from_millis(200);

const SECOND: Duration = Duration::from_secs(1);

/// The `valid_lft` in seconds to set now, or `None` when what the kernel has is better.
///
/// `kernel_until` is when the kernel's current lifetime ends; `None` when the address is not there or
/// has a lifetime that is not ours. A lifetime that ends by `hold_until` is never shortened, so that a
/// process killed at any moment leaves as much as its right allows; one that ends later is.
pub(crate) fn next_lifetime(
    now: Instant,
    hold_until: Instant,
    kernel_until: Option<Instant>,
) -> Option<u32> {
    let whole = u32::try_from(hold_until.until(now).as_secs()).unwrap_or(u32::MAX - 1);
    let seconds = whole.max(FLOOR_SECONDS);
    let ends = now + SECOND * seconds;
    let is_wanted = match kernel_until {
        None => true,
        Some(kernel) if kernel > hold_until => ends < kernel,
        Some(kernel) => {
            let is_aligned = |end: Instant| hold_until.until(end) <= ALIGN_LEAD;
            let is_gain = ends >= kernel + MIN_GAIN || (is_aligned(ends) && !is_aligned(kernel));
            is_gain && ends <= hold_until
        }
    };
    is_wanted.then_some(seconds)
}

/// The next moment at which [`next_lifetime`] gives one that ends with `hold_until` itself and not up
/// to a second before it; `None` when less than a second is left.
pub(crate) fn next_alignment(now: Instant, hold_until: Instant) -> Option<Instant> {
    let until_aligned = hold_until.until(now).checked_sub(ALIGN_LEAD)?;
    let mut seconds = until_aligned.as_secs();
    if until_aligned.subsec_nanos() == 0 {
        seconds = seconds.checked_sub(1)?;
    }
    (seconds > 0).then(|| hold_until - Duration::from_secs(seconds) - ALIGN_LEAD)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn lifetimes() {
        // now, hold_until, kernel_until, expected
        let table = [
            (0, 2300, None, Some(2)),
            (0, 1000, None, Some(1)),
            (0, 999, None, Some(1)),
            (0, 1, None, Some(1)),
            // It would not extend what the kernel has.
            (199, 2300, Some(2000), None),
            (200, 2300, Some(2000), Some(2)),
            (500, 2300, Some(2250), None),
            (1200, 2300, Some(2250), None),
            (1295, 2300, Some(2250), Some(1)),
            (1295, 2300, Some(2295), None),
            (1296, 2300, Some(2295), None),
            (100, 2300, Some(2000), None),
            // The floor reaches beyond the right: not when the address is there already.
            (1400, 2300, Some(2295), None),
            (2299, 2300, Some(2250), None),
            // The right was cut short, or somebody gave it more.
            (0, 1500, Some(9000), Some(1)),
            (0, 500, Some(1100), Some(1)),
            (0, 500, Some(900), None),
        ];
        for (now, hold_until, kernel, expected) in table {
            let got = next_lifetime(at(now), at(hold_until), kernel.map(at));
            assert_eq!(got, expected, "{now} {hold_until} {kernel:?}");
        }
    }

    #[test]
    fn alignments() {
        let table = [
            (0, 2300, Some(280)),
            (279, 2300, Some(280)),
            (280, 2300, Some(1280)),
            (281, 2300, Some(1280)),
            (1280, 2300, None),
            (2300, 2300, None),
            (9000, 2300, None),
        ];
        for (now, hold_until, expected) in table {
            let got = next_alignment(at(now), at(hold_until));
            assert_eq!(got, expected.map(at), "{now} {hold_until}");
        }
    }

    #[test]
    fn however_often_it_is_asked_it_sets_rarely() {
        let (hold_until, mut kernel, mut count) = (at(20_300), None, 0);
        for micros in (0..20_300_000).step_by(50) {
            let now = Instant::from_nanos(micros * 1000);
            if let Some(seconds) = next_lifetime(now, hold_until, kernel) {
                kernel = Some(now + SECOND * seconds);
                count += 1;
            }
        }
        assert!(count <= 4, "{count}");
        assert!(kernel.is_some_and(|kernel| hold_until.until(kernel) <= ALIGN_LEAD), "{kernel:?}");
    }

    proptest! {
        /// One ownership, re-checked every 250 ms and at each alignment, with timers up to 19 ms late
        /// and a renewal every 500 ms until they stop: whenever the process dies, the kernel's
        /// lifetime ends neither after the right nor, once aligned, noticeably before it.
        #[test]
        fn the_kernel_ends_with_the_right(lates in prop::collection::vec(0_u64..20, 40), stop in 0_u64..3000) {
            let mut hold_until = at(2300);
            let (mut kernel, mut now, mut next_tick) = (None, at(0), at(0));
            for late in lates {
                if now >= hold_until { break; }
                if let Some(seconds) = next_lifetime(now, hold_until, kernel) {
                    let ends = now + SECOND * seconds;
                    prop_assert!(kernel.is_none_or(|kernel| ends > kernel), "shortened");
                    kernel = Some(ends);
                }
                prop_assert!(kernel.is_some_and(|kernel| kernel <= hold_until));
                let sent = at(now.as_nanos() / 500_000_000 * 500);
                if sent <= at(stop) { hold_until = hold_until.max(sent + Duration::from_millis(2300)); }
                if now >= next_tick { next_tick = now + Duration::from_millis(250); }
                let next = next_alignment(now, hold_until).map_or(next_tick, |aligned| aligned.min(next_tick));
                now = next + Duration::from_millis(late);
            }
            let left = kernel.map(|kernel| hold_until.until(kernel));
            prop_assert!(now < hold_until || left.is_some_and(|left| left <= ALIGN_LEAD), "{left:?}");
        }
    }
}
