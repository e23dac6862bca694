//! How many sessions a backend has too many: connections to API servers live for hours, so one that comes
//! back would stay idle until the others are restarted.

use std::time::Duration;

/// A surplus has lasted when it was there in so many looks, one a second: what comes and goes moves nobody,
/// be it a backend or many short connections.
const LOOKS: usize = 6;

/// Who is younger is not moved: it may be a short one, or have been moved just now.
pub(crate) const MIN_AGE: Duration = Duration::from_secs(5);

/// A surplus below this part of an equal share is left alone. What the others keep adds up for the one that
/// lacks it: five servers end within 5 % of each other.
const TOLERANCE: usize = 100;

/// How hard sessions are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shedding {
    /// Sessions a second, over all backends; 0 is never.
    pub(crate) rate: usize,
    /// A backend with no more than so many keeps them.
    pub(crate) floor: usize,
}

/// A backend's last surpluses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Surplus {
    recent: [usize; LOOKS],
    turn: usize,
}

/// What each has beyond an equal share, of the sessions of those in service; one number for each, in order.
pub(crate) fn surplus(loads: &[Option<usize>], floor: usize) -> Vec<usize> {
    let in_service: Vec<usize> = loads.iter().flatten().copied().collect();
    let share = in_service.iter().sum::<usize>().div_ceil(in_service.len().max(1));
    let slack = (share / TOLERANCE).max(1);
    let of = |load: &Option<usize>| match load {
        Some(sessions) if *sessions > floor.max(share + slack) => sessions - share,
        _ => 0,
    };
    loads.iter().map(of).collect()
}

// === impl Surplus ===

impl Surplus {
    /// How much of it has lasted.
    pub(crate) fn lasting(&mut self, now: usize) -> usize {
        self.recent[self.turn % LOOKS] = now;
        self.turn = self.turn.wrapping_add(1);
        self.recent.iter().copied().min().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FLOOR: usize = 20;
    const RATE: usize = 10;

    fn of(sessions: &[usize]) -> Vec<usize> {
        let loads: Vec<_> = sessions.iter().copied().map(Some).collect();
        surplus(&loads, FLOOR)
    }

    #[test]
    fn only_what_is_above_an_equal_share_is_too_much() {
        assert_eq!(of(&[100, 100, 0]), [33, 33, 0]);
        assert_eq!(of(&[70, 69, 61]), [3, 2, 0]);
        assert_eq!(of(&[68, 68, 64]), [0, 0, 0]);
        assert_eq!(of(&[20, 20, 0]), [0, 0, 0], "so few are no burden");
        assert_eq!(of(&[100]), [0]);
        assert_eq!(of(&[]), [0; 0]);
        assert_eq!(surplus(&[Some(100), None], FLOOR), [0, 0], "nobody takes them");
    }

    #[test]
    fn what_comes_and_goes_moves_nobody() {
        let mut surplus = Surplus::default();
        for _ in 0..100 {
            assert_eq!([30, 40, 50, 40, 30, 0].map(|now| surplus.lasting(now)), [0; 6]);
        }
        assert_eq!([7; LOOKS].map(|now| surplus.lasting(now)), [0, 0, 0, 0, 0, 7]);
        assert_eq!(surplus.lasting(3), 3, "never more than there is now");
    }

    proptest! {
        /// Whoever is ended goes to the emptiest: it ends, within 10 % of each other, and never oscillates.
        #[test]
        fn they_meet(mut sessions in prop::collection::vec(0..2000_usize, 2..6)) {
            sessions.iter_mut().for_each(|count| *count += 60);
            let mut surpluses = vec![Surplus::default(); sessions.len()];
            for _ in 0..2000 {
                let mut left = RATE;
                for (index, now) in of(&sessions).into_iter().enumerate() {
                    let count = surpluses[index].lasting(now).min(left);
                    left -= count;
                    sessions[index] -= count;
                    for _ in 0..count {
                        let emptiest = (0..sessions.len()).min_by_key(|at| sessions[*at]).unwrap();
                        sessions[emptiest] += 1;
                    }
                }
            }
            let (most, least) = (sessions.iter().max().unwrap(), sessions.iter().min().unwrap());
            prop_assert!(*most <= least + least / 10 + 1, "{sessions:?}");
        }
    }
}
