//! How many sessions a backend has too many: connections to API servers live for hours, so one that comes
//! back would stay idle until the others are restarted.

use std::time::Duration;

/// A backend that came back is believed after this: what comes and goes moves nobody.
const PROBATION: Duration = Duration::from_secs(5);

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

/// A backend's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crew {
    /// For how long it has been up; `None` when it is not.
    pub(crate) served: Option<Duration>,
    pub(crate) sessions: usize,
}

/// How many each is to lose in this second; one number for each, in order.
pub(crate) fn surplus(crews: &[Crew], shedding: &Shedding) -> Vec<usize> {
    let nothing = vec![0; crews.len()];
    let up: Vec<usize> =
        crews.iter().filter(|crew| crew.served.is_some()).map(|crew| crew.sessions).collect();
    let is_settled = crews.iter().filter_map(|crew| crew.served).all(|served| served >= PROBATION);
    if up.len() < 2 || !is_settled {
        return nothing;
    }
    let share = up.iter().sum::<usize>().div_ceil(up.len());
    let slack = (share / TOLERANCE).max(1);
    let mut left = shedding.rate;
    let of = |crew: &Crew| {
        if crew.served.is_none() || crew.sessions <= shedding.floor.max(share + slack) {
            return 0;
        }
        let lost = (crew.sessions - share).min(left);
        left -= lost;
        lost
    };
    crews.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHEDDING: Shedding = Shedding { rate: 10, floor: 20 };

    fn crew(sessions: usize) -> Crew {
        Crew { served: Some(PROBATION), sessions }
    }

    fn lost(sessions: &[usize]) -> Vec<usize> {
        let crews: Vec<Crew> = sessions.iter().map(|sessions| crew(*sessions)).collect();
        surplus(&crews, &SHEDDING)
    }

    #[test]
    fn only_what_is_above_an_equal_share_goes_and_slowly() {
        assert_eq!(lost(&[100, 100, 0]), [10, 0, 0]);
        assert_eq!(lost(&[70, 69, 61]), [3, 2, 0]);
        assert_eq!(lost(&[68, 68, 64]), [0, 0, 0]);
        assert_eq!(lost(&[20, 20, 0]), [0, 0, 0], "so few are no burden");
        assert_eq!(lost(&[100]), [0]);
        assert_eq!(lost(&[]), [0; 0]);
    }

    #[test]
    fn one_that_has_just_come_back_moves_nobody() {
        let crews = [crew(100), Crew { served: Some(Duration::from_secs(4)), sessions: 0 }];
        assert_eq!(surplus(&crews, &SHEDDING), [0, 0]);
        let crews = [crew(100), Crew { served: None, sessions: 0 }];
        assert_eq!(surplus(&crews, &SHEDDING), [0, 0]);
    }

    proptest! {
        /// Whoever is ended goes to the emptiest: it ends, within 10 % of each other, and never oscillates.
        #[test]
        fn they_meet(mut sessions in prop::collection::vec(0..2000_usize, 2..6)) {
            sessions.iter_mut().for_each(|count| *count += 60);
            for _ in 0..2000 {
                let lost = lost(&sessions);
                prop_assert!(lost.iter().sum::<usize>() <= SHEDDING.rate);
                for (index, count) in lost.into_iter().enumerate() {
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
