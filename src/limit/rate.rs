//! How soon the next session of a listener may begin.
//!
//! The generic cell rate algorithm (ITU-T I.371, annex A; the leaky bucket as a virtual schedule): one word says when
//! the next one is due if all kept their distance, and whoever comes may be ahead of that by as much as a burst
//! takes. There is no bucket to be refilled, no timer and no lock: a claim is one atomic step, and it is exact over
//! all workers, in the order in which their claims meet.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::config::Rate;

/// A burst is what comes in a tenth of a second.
const BURST_NS: u128 = 100_000_000;

/// The pace of one listener.
#[derive(Debug)]
#[repr(align(128))]
pub struct Pace {
    /// The distance between two.
    each_ns: u64,
    /// How far ahead of its due time one may come.
    ahead_ns: u64,
    /// When the next one is due. Nothing else is ordered by it: hence `Relaxed`.
    due_ns: AtomicU64,
}

impl Pace {
    /// At this rate, in bursts of at most a tenth of a second's worth, and of one at least.
    pub fn new(rate: Rate) -> Self {
        let (count, per_ns) = (u128::from(rate.count.max(1)), rate.per.as_nanos());
        // Rounded up, so that it is never more than what was asked for.
        let each_ns = u64::try_from(per_ns.div_ceil(count)).unwrap_or(u64::MAX).max(1);
        let burst = u64::try_from(count * BURST_NS / per_ns.max(1)).unwrap_or(u64::MAX).max(1);
        Self { each_ns, ahead_ns: (burst - 1).saturating_mul(each_ns), due_ns: AtomicU64::new(0) }
    }

    /// When one more may begin, where that is no later than `until_ns`. It is expected to, and nobody else gets that
    /// place.
    pub fn claim(&self, now_ns: u64, until_ns: u64) -> Option<u64> {
        let begins_ns = |due_ns: u64| due_ns.saturating_sub(self.ahead_ns).max(now_ns);
        let next = |due_ns: u64| {
            (begins_ns(due_ns) <= until_ns).then(|| due_ns.max(now_ns).saturating_add(self.each_ns))
        };
        self.due_ns.fetch_update(Relaxed, Relaxed, next).ok().map(begins_ns)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn pace(text: &str) -> Pace {
        Pace::new(text.parse().expect("a rate"))
    }

    #[test]
    fn a_burst_is_a_tenth_of_a_second() {
        for (rate, burst) in [("2000/s", 200), ("10/s", 1), ("1/s", 1), ("90/m", 1), ("5/ms", 500)] {
            let pace = pace(rate);
            let begun = (0..1_000).filter(|_| pace.claim(SECOND_NS, SECOND_NS).is_some()).count();
            assert_eq!(begun, burst, "{rate}");
        }
    }

    #[test]
    fn who_may_wait_is_told_when() {
        let pace = pace("100/s");
        let claims: Vec<_> = (0..14).map(|_| pace.claim(SECOND_NS, SECOND_NS + 30_000_000)).collect();
        let at = |ms: u64| Some(SECOND_NS + ms * 1_000_000);
        assert_eq!(claims[..10], [at(0); 10]);
        // What would be too late takes no place.
        assert_eq!(claims[10..], [at(10), at(20), at(30), None]);
        assert_eq!(pace.claim(SECOND_NS + 30_000_000, u64::MAX), at(40));
    }

    proptest! {
        /// However they come, in no stretch of time do more begin than a burst and what the rate allows in it.
        #[test]
        fn never_more_than_the_rate(
            count in 1u64..5_000,
            gaps_us in prop::collection::vec(0u64..3_000, 1..400),
            patience_ms in 0u64..200,
        ) {
            let rate = Rate { count, per: std::time::Duration::from_secs(1) };
            let pace = Pace::new(rate);
            let (mut now_ns, mut begun) = (SECOND_NS, Vec::new());
            for gap_us in gaps_us {
                now_ns += gap_us * 1_000;
                if let Some(at_ns) = pace.claim(now_ns, now_ns + patience_ms * 1_000_000) {
                    prop_assert!(at_ns >= now_ns && at_ns <= now_ns + patience_ms * 1_000_000);
                    begun.push(at_ns);
                }
            }
            prop_assert!(begun.is_sorted(), "later ones don't overtake");
            let burst = (count / 10).max(1);
            for (first, from_ns) in begun.iter().enumerate() {
                for (last, to_ns) in begun.iter().enumerate().skip(first) {
                    let allowed = burst + u64::try_from(
                        u128::from(to_ns - from_ns) * u128::from(count) / u128::from(SECOND_NS),
                    ).expect("small");
                    let (begun, time_ns) = ((last - first) as u64 + 1, to_ns - from_ns);
                    prop_assert!(begun <= allowed, "{begun} in {time_ns} ns");
                }
            }
        }

        /// Who keeps the distance is never refused.
        #[test]
        fn at_the_rate_everybody_gets_in(count in 1u64..100_000, sessions in 1u64..300) {
            let pace = Pace::new(Rate { count, per: std::time::Duration::from_secs(1) });
            let each_ns = SECOND_NS.div_ceil(count);
            for session in 0..sessions {
                let now_ns = SECOND_NS + session * each_ns;
                prop_assert_eq!(pace.claim(now_ns, now_ns), Some(now_ns));
            }
        }
    }
}
