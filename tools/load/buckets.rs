//! A histogram small enough to have thousands of: counts in buckets that widen with the value.
//!
//! Each doubling is cut in 2^BITS buckets of equal width, so the relative width is the same everywhere, and an
//! empty histogram is an empty vector. HdrHistogram's of 3 digits takes 216 KiB; one of these with 3 bits, under
//! 1 KiB. What is below 1 µs shares one bucket: no message is that fast.

use super::tally::MAX_NS;

/// The first doubling that is cut starts at 2^10 ns.
const FLOOR_BITS: u32 = 10;

/// Counts of durations in nanoseconds, with 2^`BITS` buckets to each doubling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets<const BITS: u32> {
    /// As long as the largest value needs.
    counts: Vec<u32>,
}

impl<const BITS: u32> Buckets<BITS> {
    /// Counts a duration; one beyond 60 s counts as 60 s.
    pub fn record(&mut self, ns: u64) {
        let index = Self::index(ns.min(MAX_NS));
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] = self.counts[index].saturating_add(1);
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (own, other) in self.counts.iter_mut().zip(&other.counts) {
            *own = own.saturating_add(*other);
        }
    }

    /// The value at `quantile`, as if a bucket's values were spread evenly over it; `None` without values.
    pub fn value_at_quantile(&self, quantile: f64) -> Option<u64> {
        let total: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        let rank = ((quantile * total as f64).ceil() as u64).clamp(1, total.max(1));
        let mut below = 0;
        for (index, count) in self.counts.iter().map(|&count| u64::from(count)).enumerate() {
            if below + count >= rank {
                let (lower_ns, upper_ns) = (Self::lower_ns(index), Self::lower_ns(index + 1));
                let part = ((rank - below) as f64 - 0.5) / count as f64;
                return Some(lower_ns + ((upper_ns - lower_ns) as f64 * part) as u64);
            }
            below += count;
        }
        None
    }

    /// The counts of buckets `2^(BITS - COARSER)` times as wide.
    pub fn coarser<const COARSER: u32>(&self) -> Vec<u64> {
        const { assert!(COARSER <= BITS, "buckets can be joined, not split") };
        let mut coarse = Vec::new();
        for (index, &count) in self.counts.iter().enumerate() {
            let index = Buckets::<COARSER>::index(Self::lower_ns(index));
            coarse.resize(coarse.len().max(index + 1), 0);
            coarse[index] += u64::from(count);
        }
        coarse
    }

    /// The least value of a bucket.
    pub fn lower_ns(index: usize) -> u64 {
        let Some(index) = index.checked_sub(1) else { return 0 };
        let (doubling, part) = (index as u64 >> BITS, index as u64 & ((1 << BITS) - 1));
        ((1 << BITS) + part) << (u64::from(FLOOR_BITS - BITS) + doubling)
    }

    fn index(ns: u64) -> usize {
        let Some(doubling) = ns.checked_ilog2().and_then(|bits| bits.checked_sub(FLOOR_BITS)) else {
            return 0;
        };
        let part = (ns >> (doubling + FLOOR_BITS - BITS)) & ((1 << BITS) - 1);
        1 + (doubling << BITS) as usize + part as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_in_its_bucket() {
        for ns in (0..40).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + (1 << bits) / 3]) {
            let index = Buckets::<3>::index(ns);
            let (lower_ns, upper_ns) = (Buckets::<3>::lower_ns(index), Buckets::<3>::lower_ns(index + 1));
            assert!(lower_ns <= ns && ns < upper_ns, "{ns} in {lower_ns}..{upper_ns}");
            // An eighth of its doubling.
            assert!(index == 0 || (upper_ns - lower_ns) * 8 <= lower_ns, "{lower_ns}..{upper_ns}");
        }
    }

    #[test]
    fn quantiles_are_within_a_bucket_of_the_truth() {
        let mut buckets = Buckets::<4>::default();
        (1..=10_000).for_each(|us| buckets.record(us * 1_000));
        for (quantile, exact) in [(0.01, 100_000.0), (0.5, 5_000_000.0), (0.99, 9_900_000.0)] {
            let value = buckets.value_at_quantile(quantile).unwrap() as f64;
            assert!((value / exact - 1.0).abs() < 0.03, "{value} for {exact}");
        }
        assert_eq!(Buckets::<4>::default().value_at_quantile(0.5), None);
    }

    #[test]
    fn sums_and_joined_buckets_lose_nothing() {
        let (mut one, mut two, mut both) = (Buckets::<4>::default(), Buckets::default(), Buckets::default());
        for ns in (0..3_000).map(|n: u64| n * n * n) {
            if ns % 2 == 0 { &mut one } else { &mut two }.record(ns);
            both.record(ns);
        }
        one.add(&two);
        assert_eq!(one, both);
        let coarse = one.coarser::<2>();
        assert_eq!(coarse.iter().sum::<u64>(), 3_000);
        let from_ns = Buckets::<2>::lower_ns(coarse.len() - 1);
        let beyond = (0..3_000).filter(|n: &u64| n * n * n >= from_ns).count() as u64;
        assert_eq!(coarse.last(), Some(&beyond));
    }

    #[test]
    fn what_is_too_long_counts_as_the_longest() {
        let mut buckets = Buckets::<3>::default();
        buckets.record(u64::MAX);
        assert!(buckets.value_at_quantile(1.0).is_some_and(|ns| ns.abs_diff(MAX_NS) < MAX_NS / 8));
    }
}
