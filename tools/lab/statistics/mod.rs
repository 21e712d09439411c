//! What chance alone does, and how far apart two sets of runs must be before anybody may talk of it.
//!
//! ```text
//!   signed_rank   paired runs: ratio, interval, p        weights   connections that differ
//!   rank_sum      runs without partners: the same        order     which values enclose a quantile
//!   holm          several comparisons at once            normal    the curve, for large samples
//!   bootstrap     what has no rank interval
//! ```
//!
//! One trial is one observation. Nothing here looks at single requests: those of one run share a hash, a
//! scheduler and a burst, so that a test over them would find a difference between any two runs. Nothing assumes a
//! distribution either: ranks are enough, and exact. (What chance does to counts is in the library,
//! `evenkeel::measure::chance`.)

pub mod bootstrap;
pub mod holm;
mod normal;
pub mod order;
mod rank_sum;
mod signed_rank;
pub mod weights;

pub use rank_sum::Unpaired;
use serde::{Deserialize, Serialize};
pub use signed_rank::Paired;

/// A ratio between the runs of two modes, with the interval that covers the true one with `confidence`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
    pub confidence: f64,
}

impl Ratio {
    /// Whether it holds both what is smaller and what is larger than `value`.
    pub fn covers(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// A figure of 0, such as the dispersion of a perfect spread, is infinitely far below any other, which no average
/// survives: a ratio beyond this, or below its inverse, counts as this.
const RATIO_MAX: f64 = 1e6;

/// Values that differ by less are equal: logarithms of equal ratios may differ in their last bits.
const TIE: f64 = 1e-12;

/// ln(b / a) of two figures that aren't negative; `None` where one is missing.
fn log_ratio(a: f64, b: f64) -> Option<f64> {
    let is_figure = |value: f64| value.is_finite() && value >= 0.0;
    (is_figure(a) && is_figure(b)).then(|| {
        let log = if a == b { 0.0 } else { (b / a).ln() };
        log.clamp(-RATIO_MAX.ln(), RATIO_MAX.ln())
    })
}

/// ln of a figure by itself, where 0 is as good as the smallest that makes sense.
fn log_figure(value: f64) -> Option<f64> {
    (value.is_finite() && value >= 0.0).then(|| value.max(1.0 / RATIO_MAX).ln())
}

/// Twice the rank, counted from 1, of each of these sorted values; equal ones share the mean of theirs.
fn shared_ranks(sorted: &[f64]) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(sorted.len());
    while let Some(&value) = sorted.get(ranks.len()) {
        let first = ranks.len();
        let end = first + sorted[first..].partition_point(|&other| other <= value + TIE);
        ranks.resize(end, first + 1 + end);
    }
    ranks
}

/// The middle value, or the mean of the two in the middle; 0 of none. The slice must be sorted.
pub fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_a_rank() {
        assert_eq!(shared_ranks(&[1.0, 1.0, 2.0, 3.0, 3.0, 3.0]), [3, 3, 6, 10, 10, 10]);
        assert!(shared_ranks(&[]).is_empty());
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!((median(&[]), median(&[3.0]), median(&[1.0, 3.0])), (0.0, 3.0, 2.0));
    }
}
