//! Counts values as an HdrHistogram of two significant digits would, and does nothing else.
//!
//! The loop records several durations a turn. HdrHistogram's own record keeps minimum, maximum and total up to date
//! each time and checks its configurable bounds: some 90 instructions and three cache lines. Here the bounds are
//! constants, and it is ten instructions and one line; what a report wants is worked out when it is asked for.
//! The buckets are HdrHistogram's, so nothing is lost on the way.

use hdrhistogram::Histogram;

use super::histograms::{MAX_NS, histogram};

/// Values below 2^8 have a bucket each; above, each power of two is divided into 2^7.
const UNIT_BITS: u32 = 8;
const SLOTS_PER_OCTAVE_BITS: u32 = UNIT_BITS - 1;
const LEN: usize = slot_of(MAX_NS) + 1;

/// How often each value, or one near it, occurred.
#[derive(Clone, Debug)]
pub struct Tally(Box<[u64; LEN]>);

impl Default for Tally {
    fn default() -> Self {
        Self(Box::new([0; LEN]))
    }
}

impl Tally {
    /// Counts a value; one that is too large counts as the largest.
    #[inline]
    pub fn record(&mut self, value: u64) {
        self.0[slot_of(if value < MAX_NS { value } else { MAX_NS })] += 1;
    }

    /// The same counts in an HdrHistogram.
    pub fn histogram(&self) -> Histogram<u64> {
        let mut histogram = histogram();
        for (slot, &count) in self.0.iter().enumerate().filter(|(_, count)| **count > 0) {
            histogram.saturating_record_n(least_of(slot), count);
        }
        histogram
    }
}

/// The bucket of a value: how far its highest bit is above the unit, then its bits from there.
#[inline]
const fn slot_of(value: u64) -> usize {
    let octave = u64::BITS - UNIT_BITS - (value | ((1 << UNIT_BITS) - 1)).leading_zeros();
    ((octave as usize) << SLOTS_PER_OCTAVE_BITS) + (value >> octave) as usize
}

/// The least value in a bucket.
const fn least_of(slot: usize) -> u64 {
    let octave = (slot >> SLOTS_PER_OCTAVE_BITS).saturating_sub(1);
    ((slot - (octave << SLOTS_PER_OCTAVE_BITS)) as u64) << octave
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_counts_as_hdrhistogram_does(values in prop::collection::vec((any::<u64>(), 0u32..64), 0..200)) {
            let (mut tally, mut model) = (Tally::default(), histogram());
            for (value, shift) in values {
                tally.record(value >> shift);
                model.record((value >> shift).min(MAX_NS)).expect("within the bounds");
            }
            let counted = tally.histogram();
            prop_assert_eq!(counted.iter_recorded().collect::<Vec<_>>(), model.iter_recorded().collect::<Vec<_>>());
            prop_assert_eq!((counted.len(), counted.min(), counted.max()), (model.len(), model.min(), model.max()));
            prop_assert_eq!((counted.mean(), counted.stdev()), (model.mean(), model.stdev()));
        }
    }
}
