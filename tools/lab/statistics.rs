//! What chance alone does, and how far apart two sets of runs must be before anybody may talk of it.
//!
//! One trial is one observation. Nothing here looks at single requests: those of one run share a hash, a
//! scheduler and a burst, so that a test over them would find a difference between any two runs.

use serde::{Deserialize, Serialize};

/// The range in which one worker's share of `total` connections lies with 95 %, if each connection goes to
/// one of `workers` by chance: the exact binomial quantiles at 2.5 and 97.5 %.
pub fn chance_band(total: u64, workers: usize) -> (u64, u64) {
    if workers < 2 {
        return (total, total);
    }
    let odds = 1.0 / (workers as f64 - 1.0);
    let mut log_probability = total as f64 * (1.0 - 1.0 / workers as f64).ln();
    let (mut below, mut low) = (0.0, None);
    for count in 0..=total {
        below += log_probability.exp();
        if below >= 0.025 && low.is_none() {
            low = Some(count);
        }
        if below >= 0.975 {
            return (low.unwrap_or(count), count);
        }
        log_probability += ((total - count) as f64 / (count + 1) as f64 * odds).ln();
    }
    (low.unwrap_or(total), total)
}

/// A ratio between paired runs, with the interval that covers the true one with `confidence`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
    pub confidence: f64,
}

/// The ratio `b / a` of paired positive values: Hodges–Lehmann over the logarithms with the interval of the
/// Wilcoxon signed-rank test, both exact, with at least `confidence`. `None` with too few pairs for it: 95 %
/// takes six, 99 % eight.
pub fn paired_ratio(pairs: &[(f64, f64)], confidence: f64) -> Option<Ratio> {
    let logs: Vec<f64> = pairs.iter().map(|(a, b)| (b / a).ln()).collect();
    let rank = wilcoxon_rank(logs.len(), confidence)?;
    let mut walsh: Vec<f64> = (0..logs.len())
        .flat_map(|i| (i..logs.len()).map(move |j| (i, j)))
        .map(|(i, j)| (logs[i] + logs[j]) / 2.0)
        .collect();
    walsh.sort_by(f64::total_cmp);
    Some(Ratio {
        estimate: median(&walsh).exp(),
        low: walsh[rank.index].exp(),
        high: walsh[walsh.len() - 1 - rank.index].exp(),
        confidence: rank.confidence,
    })
}

struct Rank {
    /// How many Walsh averages lie outside the interval at each end.
    index: usize,
    confidence: f64,
}

/// The most Walsh averages that may be cut off at each end while the interval keeps its confidence.
fn wilcoxon_rank(pairs: usize, confidence: f64) -> Option<Rank> {
    // `ways[s]`: in how many of the 2^n assignments of signs the positive ranks add up to s. Past 60 pairs
    // the numbers leave what an f64 counts exactly, and no experiment here has so many rounds.
    if pairs > 60 {
        return None;
    }
    let sums = pairs * (pairs + 1) / 2 + 1;
    let mut ways = vec![0.0; sums];
    ways[0] = 1.0;
    for rank in 1..=pairs {
        for sum in (rank..sums).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    let all = 2f64.powi(pairs as i32);
    let mut tail = 0.0;
    let mut best = None;
    for (index, count) in ways.iter().enumerate() {
        tail += count / all;
        if tail > (1.0 - confidence) / 2.0 {
            break;
        }
        best = Some(Rank { index, confidence: 1.0 - 2.0 * tail });
    }
    best
}

/// How two modes' runs lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Every run of the first lies below every run of the second, more surely than luck would have it.
    Below,
    /// The other way round.
    Above,
    /// They overlap, or there are too few of them.
    Unsettled,
}

/// Compares the runs of two modes: settled only if they don't overlap at all, and if so clean a split of
/// equal runs would come about at most once in twenty times (Mann–Whitney's extreme case; 4 against 4 runs:
/// once in 35).
pub fn order(a: &[f64], b: &[f64]) -> Order {
    if split_by_luck(a.len(), b.len()) > 0.05 {
        return Order::Unsettled;
    }
    match (extremes(a), extremes(b)) {
        ((_, a_max), (b_min, _)) if a_max < b_min => Order::Below,
        ((a_min, _), (_, b_max)) if a_min > b_max => Order::Above,
        _ => Order::Unsettled,
    }
}

/// The probability that runs of two equal modes split without any overlap, either way: 2 / C(a + b, a).
pub fn split_by_luck(a: usize, b: usize) -> f64 {
    let ways = (1..=a).fold(1.0, |ways, i| ways * (b + i) as f64 / i as f64);
    (2.0 / ways).min(1.0)
}

/// The smallest and the largest value; of none, an empty range.
pub fn extremes(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
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
    fn the_chance_band_is_the_binomial_one() {
        // Binomial(400, 1/4): mean 100, sd 8.66; the exact quantiles are 83 and 117.
        assert_eq!(chance_band(400, 4), (83, 117));
        assert_eq!(chance_band(0, 4), (0, 0));
        assert_eq!(chance_band(7, 1), (7, 7));
        assert_eq!(chance_band(1, 2), (0, 1));
    }

    #[test]
    fn ranks_are_those_of_the_tables() {
        // measured against the published tables: n = 6: 1..21, 8: 4..33, 10: 9..47, 12: 14..65, 20: 53..158.
        for (pairs, rank) in [(6, 1), (8, 4), (10, 9), (12, 14), (20, 53)] {
            assert_eq!(wilcoxon_rank(pairs, 0.95).map(|found| found.index + 1), Some(rank), "{pairs} pairs");
        }
        assert!(wilcoxon_rank(0, 0.95).is_none() && wilcoxon_rank(5, 0.95).is_none());
        assert!(wilcoxon_rank(7, 0.99).is_none() && wilcoxon_rank(8, 0.99).is_some());
        let confidence = wilcoxon_rank(10, 0.95).map(|rank| (rank.confidence * 1000.0).round());
        assert_eq!(confidence, Some(951.0));
    }

    #[test]
    fn a_paired_ratio_finds_a_constant_factor() {
        let pairs: Vec<_> = (1..=10).map(|i| (f64::from(i), f64::from(i) * 1.5)).collect();
        let ratio = paired_ratio(&pairs, 0.95).unwrap();
        for found in [ratio.estimate, ratio.low, ratio.high] {
            assert!((found - 1.5).abs() < 1e-9, "{ratio:?}");
        }
        assert!(paired_ratio(&pairs[..5], 0.95).is_none());
    }

    #[test]
    fn only_a_clean_split_of_enough_runs_settles_an_order() {
        assert!((split_by_luck(4, 4) - 2.0 / 70.0).abs() < 1e-12);
        assert_eq!(order(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0]), Order::Below);
        assert_eq!(order(&[5.0, 6.0, 7.0, 8.0], &[1.0, 2.0, 3.0, 4.0]), Order::Above);
        assert_eq!(order(&[1.0, 2.0, 3.0, 6.0], &[5.0, 6.0, 7.0, 8.0]), Order::Unsettled);
        assert_eq!(order(&[1.0, 2.0], &[5.0, 6.0]), Order::Unsettled);
        assert_eq!(order(&[], &[1.0]), Order::Unsettled);
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!((median(&[]), median(&[3.0]), median(&[1.0, 3.0])), (0.0, 3.0, 2.0));
    }
}
