//! Choices that a seed repeats: the phase of a fault, which of several victims.
//!
//! Not for secrets.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, every seed is good.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

// === impl Random ===

impl Random {
    /// Starts a series that the same seed repeats.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The seed of run `number` of a row, out of the seed of the whole.
    #[must_use]
    pub fn seed_of(base: u64, row: &str, number: usize) -> u64 {
        // FNV-1a: rows that are added or reordered leave the seeds of the others alone.
        let hash = row.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self::new(base ^ hash.wrapping_add(number as u64)).next_u64()
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0 and small: the bias is then far below notice.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next_u64() % bound).unwrap_or_default()
    }

    /// A time below `bound`, to the microsecond.
    pub fn time_below(&mut self, bound: Duration) -> Duration {
        let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(self.next_u64() % micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_rows_and_runs_differ() {
        let seed = Random::seed_of(7, "sigterm", 0);
        assert_eq!(seed, Random::seed_of(7, "sigterm", 0));
        assert_ne!(seed, Random::seed_of(7, "sigterm", 1));
        assert_ne!(seed, Random::seed_of(7, "sigkill", 0));
        assert_ne!(seed, Random::seed_of(8, "sigterm", 0));
    }

    #[test]
    fn phases_cover_the_period() {
        let mut random = Random::new(1);
        let period = Duration::from_millis(500);
        let mut quarters = [0; 4];
        for _ in 0..400 {
            let phase = random.time_below(period);
            assert!(phase < period);
            quarters[usize::try_from(phase.as_millis() / 125).unwrap()] += 1;
        }
        assert!(quarters.iter().all(|count| *count > 60), "{quarters:?}");
    }
}
