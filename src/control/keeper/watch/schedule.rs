//! When a name is asked for again, and whether what is known of it is out of date.
//!
//! An answer says how long it holds (its TTL); then the name is asked for again. Where that fails, the last good answer
//! stays in use, marked as stale once its time is over, and the pauses between attempts double up to a bound.

use std::time::Duration;

/// No name is asked for more often than this, whatever its answers say, and none less often.
const TTL_MIN: Duration = Duration::from_secs(1);
const TTL_MAX: Duration = Duration::from_secs(3600);

/// The pause after the first failure, and the longest.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// The state of one name.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// Until when the last good answer holds, in nanoseconds of the monotonic clock.
    valid_until_ns: Option<u64>,
    /// Failures in a row.
    failures: u32,
}

impl Schedule {
    /// It was answered; in how long to ask again.
    pub fn answered(&mut self, ttl: Duration, now_ns: u64) -> Duration {
        let ttl = ttl.clamp(TTL_MIN, TTL_MAX);
        let ttl_ns = u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX);
        *self = Self { valid_until_ns: Some(now_ns.saturating_add(ttl_ns)), failures: 0 };
        ttl
    }

    /// It was not, or not wholly; in how long to ask again. Up to a quarter of the pause is taken off by `chance`,
    /// which is between 0 and 1, so that those who failed together don't come back together.
    pub fn failed(&mut self, chance: f64) -> Duration {
        let doubled = RETRY_MIN.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        doubled.min(RETRY_MAX).mul_f64(1.0 - chance.clamp(0.0, 1.0) / 4.0)
    }

    /// Whether there was an answer, and its time is over.
    pub fn is_stale(&self, now_ns: u64) -> bool {
        self.valid_until_ns.is_some_and(|until_ns| now_ns >= until_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn answers_hold_as_long_as_they_say_within_bounds() {
        let mut schedule = Schedule::default();
        assert!(!schedule.is_stale(u64::MAX), "nothing is known that could be out of date");
        for (ttl, holds) in [(0, 1), (5, 5), (86_400, 3_600)] {
            assert_eq!(schedule.answered(seconds(ttl), SECOND_NS), seconds(holds));
            assert!(!schedule.is_stale(holds * SECOND_NS));
            assert!(schedule.is_stale((holds + 1) * SECOND_NS));
        }
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_begin_anew_after_an_answer() {
        let mut schedule = Schedule::default();
        let pauses: Vec<_> = (0..7).map(|_| schedule.failed(0.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        (0..100).for_each(|_| assert_eq!(schedule.failed(0.0), RETRY_MAX));
        schedule.answered(seconds(9), 0);
        assert_eq!(schedule.failed(1.0), RETRY_MIN * 3 / 4);
        assert!(schedule.is_stale(9 * SECOND_NS) && !schedule.is_stale(9 * SECOND_NS - 1));
    }
}
