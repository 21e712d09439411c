//! Paired comparison of rounds, without assuming a distribution.
//!
//! A round is one observation: the ratio of a contender's cost to the floor's in the same round. The
//! estimate is Hodges and Lehmann's (the median of the means of all pairs, of logarithms) and the
//! interval Wilcoxon's signed-rank interval, by exact ranks: both hold for any symmetric noise and shrug
//! off single bad rounds.

use std::fmt;

/// A ratio with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The Hodges–Lehmann estimate.
    pub estimate: f64,
    /// The 95 % interval; none below six rounds, which can never reach 95 %.
    pub interval: Option<(f64, f64)>,
}

impl fmt::Display for Ratio {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let shown = match self.interval {
            Some((low, high)) => format!("{:.3} [{low:.3}, {high:.3}]", self.estimate),
            None => format!("{:.3}", self.estimate),
        };
        out.pad(&shown)
    }
}

/// The middle value, or the mean of the middle two. Zero for no values.
pub fn median(values: &[f64]) -> f64 {
    middle(&sorted(values.to_vec()))
}

/// How much `costs` are of `base_costs`, pair by pair.
pub fn ratio(costs: &[f64], base_costs: &[f64]) -> Ratio {
    let logs: Vec<f64> = costs.iter().zip(base_costs).map(|(cost, base)| (cost / base).ln()).collect();
    let walsh = sorted(walsh_averages(&logs));
    let interval =
        outer_rank(logs.len()).map(|rank| (walsh[rank - 1].exp(), walsh[walsh.len() - rank].exp()));
    Ratio { estimate: middle(&walsh).exp(), interval }
}

/// The rank, from either end of the sorted Walsh averages of `n` differences, that bounds the interval: the
/// largest r for which P(W < r) is at most 2.5 %, where W is the signed-rank statistic under no difference.
pub fn outer_rank(n: usize) -> Option<usize> {
    let mut below = 0.0;
    for (statistic, probability) in signed_rank_distribution(n).into_iter().enumerate() {
        below += probability;
        if below > 0.025 {
            return (statistic > 0).then_some(statistic);
        }
    }
    None
}

/// P(W = w) for w = 0, 1, …: each rank 1..=n counts with probability one half.
fn signed_rank_distribution(n: usize) -> Vec<f64> {
    let mut probability = vec![0.0; n * (n + 1) / 2 + 1];
    probability[0] = 1.0;
    for rank in 1..=n {
        for w in (0..probability.len()).rev() {
            let with_rank = if w >= rank { probability[w - rank] } else { 0.0 };
            probability[w] = 0.5 * (probability[w] + with_rank);
        }
    }
    probability
}

fn walsh_averages(values: &[f64]) -> Vec<f64> {
    let pairs = values.iter().enumerate().flat_map(|(i, a)| values[i..].iter().map(move |b| (a + b) / 2.0));
    pairs.collect()
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn middle(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}
