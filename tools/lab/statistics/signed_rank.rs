//! Paired runs: by how much one mode's figure differs from another's, and whether that may be luck.
//!
//! The pairs are rounds: both modes met the same load, seconds apart. Nothing is assumed about how the figures are
//! distributed (latencies of a busy machine have wild tails), only that a difference of nothing is as likely to
//! come out positive as negative. Estimate: Hodges–Lehmann, the median of all Walsh averages of the log ratios.
//! Interval and p-value: Wilcoxon's signed-rank test, exact, so that they hold for six rounds as for sixty.

use super::{Ratio, log_ratio, median, normal};

/// What pairs of runs say about the ratio of a figure in two modes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    pub pairs: usize,
    /// With at least the confidence asked for, or else, of too few pairs, with the most that they give.
    pub ratio: Ratio,
    /// Two-sided: how often modes that don't differ would come out at least as far apart.
    pub p_value: f64,
}

impl Paired {
    /// The ratio `b / a` of pairs `(a, b)` of figures that aren't negative. Pairs of which a figure is missing (not a
    /// number) are left out; `None` where there is no other.
    pub fn of(pairs: &[(f64, f64)], confidence: f64) -> Option<Self> {
        let logs: Vec<f64> = pairs.iter().filter_map(|&(a, b)| log_ratio(a, b)).collect();
        let rank = rank(logs.len(), confidence)?;
        let mut walsh: Vec<f64> = (0..logs.len())
            .flat_map(|i| (i..logs.len()).map(move |j| (i, j)))
            .map(|(i, j)| f64::midpoint(logs[i], logs[j]))
            .collect();
        walsh.sort_unstable_by(f64::total_cmp);
        let ratio = Ratio {
            estimate: median(&walsh).exp(),
            low: walsh[rank.cut].exp(),
            high: walsh[walsh.len() - 1 - rank.cut].exp(),
            confidence: rank.confidence,
        };
        Some(Self { pairs: logs.len(), ratio, p_value: p_value(&logs) })
    }

    /// The smallest p-value that so many pairs can have: all signs alike, either way.
    pub fn p_value_min(pairs: usize) -> f64 {
        2.0_f64.powi(1 - i32::try_from(pairs).unwrap_or(i32::MAX)).min(1.0)
    }
}

/// More pairs than this, and the normal curve is as good as counting.
const EXACT_PAIRS_MAX: usize = 100;

struct Rank {
    /// How many Walsh averages lie outside the interval at each end.
    cut: usize,
    confidence: f64,
}

/// The most Walsh averages that may be cut off at each end while the interval keeps its confidence; none, where even
/// the widest doesn't reach it. `None` without pairs.
fn rank(pairs: usize, confidence: f64) -> Option<Rank> {
    if pairs == 0 {
        return None;
    }
    if pairs > EXACT_PAIRS_MAX {
        let n = pairs as f64;
        let deviation = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
        let cut = n * (n + 1.0) / 4.0 - normal::quantile(1.0 - (1.0 - confidence) / 2.0) * deviation - 0.5;
        return Some(Rank { cut: cut.max(0.0) as usize, confidence });
    }
    let ranks: Vec<usize> = (1..=pairs).collect();
    let mut below = 0.0;
    let mut best = Rank { cut: 0, confidence: 1.0 - Paired::p_value_min(pairs) };
    for (cut, probability) in positive_sums(&ranks).into_iter().enumerate() {
        below += probability;
        if below > (1.0 - confidence) / 2.0 {
            break;
        }
        best = Rank { cut, confidence: 1.0 - 2.0 * below };
    }
    Some(best)
}

/// How probable each sum of the positive ranks is, if each rank's sign is a coin's.
fn positive_sums(ranks: &[usize]) -> Vec<f64> {
    let mut probabilities = vec![0.0; ranks.iter().sum::<usize>() + 1];
    probabilities[0] = 1.0;
    for &rank in ranks {
        for sum in (0..probabilities.len()).rev() {
            let from_below = if sum >= rank { probabilities[sum - rank] } else { 0.0 };
            probabilities[sum] = f64::midpoint(probabilities[sum], from_below);
        }
    }
    probabilities
}

/// The signed-rank test of log ratios. Equal sizes share their ranks, and differences of nothing have a rank but no
/// sign (Pratt 1959); the distribution is that of these very ranks.
fn p_value(logs: &[f64]) -> f64 {
    let ranks: Vec<(usize, bool)> = doubled_ranks(logs);
    let positive: usize = ranks.iter().filter(|(_, is_positive)| *is_positive).map(|(rank, _)| rank).sum();
    let ranks: Vec<usize> = ranks.into_iter().map(|(rank, _)| rank).collect();
    let smaller = positive.min(ranks.iter().sum::<usize>() - positive);
    let tail = if ranks.len() > EXACT_PAIRS_MAX {
        let mean = ranks.iter().sum::<usize>() as f64 / 2.0;
        let deviation = ranks.iter().map(|&rank| (rank as f64).powi(2)).sum::<f64>().sqrt() / 2.0;
        // Ranks are doubled, so one is half a step.
        normal::below((smaller as f64 + 1.0 - mean) / deviation)
    } else {
        positive_sums(&ranks)[..=smaller].iter().sum()
    };
    (2.0 * tail).min(1.0)
}

/// Twice the rank of each size, so that shared ranks are whole, with whether the value is above 0. Zeros take the
/// lowest ranks and are left out.
fn doubled_ranks(values: &[f64]) -> Vec<(usize, bool)> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    super::shared_ranks(&sorted.iter().map(|value| value.abs()).collect::<Vec<_>>())
        .into_iter()
        .zip(sorted)
        .filter(|(_, value)| value.abs() > super::TIE)
        .map(|(rank, value)| (rank, value > 0.0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_tables() {
        // Published, and computed by another program: of n pairs, the k-th of all Walsh averages from below and
        // from above, and the confidence.
        for (pairs, kth, from, confidence) in [
            (6, 1, 21, 0.969),
            (8, 4, 36, 0.961),
            (10, 9, 55, 0.951),
            (12, 14, 78, 0.958),
            (20, 53, 210, 0.952),
        ] {
            let found = rank(pairs, 0.95).unwrap();
            assert_eq!(found.cut + 1, kth, "{pairs} pairs");
            assert!((found.confidence - confidence).abs() < 0.000_6, "{pairs} pairs: {}", found.confidence);
            assert_eq!(pairs * (pairs + 1) / 2, from);
        }
        assert_eq!(rank(10, 0.99).unwrap().cut + 1, 4);
    }

    #[test]
    fn too_few_pairs_say_what_they_are_good_for() {
        assert!(rank(0, 0.95).is_none());
        // Five pairs: 1 − 2/2⁵, and never significant.
        let five = rank(5, 0.95).unwrap();
        assert_eq!((five.cut, five.confidence), (0, 0.9375));
        assert_eq!([1, 5, 6, 8].map(Paired::p_value_min), [1.0, 0.0625, 0.03125, 0.0078125]);
        let one = Paired::of(&[(1.0, 2.0)], 0.95).unwrap();
        assert_eq!((one.ratio.confidence, one.p_value), (0.0, 1.0));
        assert!((one.ratio.estimate - 2.0).abs() < 1e-12);
    }

    /// Hamilton's depression scale before and after, Hollander and Wolfe (1973), table 3.1: T⁺ = 40 (of y before x),
    /// p = 0.039 two-sided, θ = −0.46, 96.1 % interval −0.786 … −0.010.
    #[expect(clippy::approx_constant, reason = "a score, not a circle")]
    const DEPRESSION: [(f64, f64); 9] = [
        (1.83, 0.878),
        (0.50, 0.647),
        (1.62, 0.598),
        (2.48, 2.05),
        (1.68, 1.06),
        (1.88, 1.29),
        (1.55, 1.06),
        (3.06, 3.14),
        (1.30, 1.29),
    ];

    #[test]
    fn a_published_example_comes_out_as_published() {
        let pairs = DEPRESSION.map(|(before, after): (f64, f64)| (before.exp(), after.exp()));
        let found = Paired::of(&pairs, 0.95).unwrap();
        assert!((found.p_value - 0.039_062_5).abs() < 1e-12, "{found:?}");
        let ratio = found.ratio;
        let logs = [ratio.estimate, ratio.low, ratio.high].map(f64::ln);
        for (found, published) in logs.into_iter().zip([-0.46, -0.786, -0.010]) {
            assert!((found - published).abs() < 0.000_6, "{logs:?}");
        }
        assert!((ratio.confidence - 0.961).abs() < 0.000_5);
    }

    #[test]
    fn a_constant_factor_is_found() {
        let pairs: Vec<_> = (1..=10).map(|i| (f64::from(i), f64::from(i) * 1.5)).collect();
        let found = Paired::of(&pairs, 0.95).unwrap();
        for ratio in [found.ratio.estimate, found.ratio.low, found.ratio.high] {
            assert!((ratio - 1.5).abs() < 1e-9, "{found:?}");
        }
        assert!((found.p_value - Paired::p_value_min(10)).abs() < 1e-12);
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        let equal = Paired::of(&[(3.0, 3.0); 8], 0.95).unwrap();
        assert_eq!(
            (equal.ratio.estimate, equal.ratio.low, equal.ratio.high, equal.p_value),
            (1.0, 1.0, 1.0, 1.0)
        );
        // Two of nothing, and six one way: ranks 3 to 8, all of one sign.
        let pairs = [1.0, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6].map(|b| (1.0, b));
        assert!((Paired::of(&pairs, 0.95).unwrap().p_value - 2.0 / 64.0).abs() < 1e-12);
        assert_eq!(Paired::of(&[(f64::NAN, 1.0), (1.0, f64::INFINITY), (-1.0, 1.0)], 0.95), None);
    }

    #[test]
    fn a_figure_of_zero_is_far_below_and_not_infinitely() {
        // A perfect spread has a dispersion of 0.
        let found =
            Paired::of(&[(1.0, 0.0), (0.9, 0.0), (1.1, 0.0), (0.8, 0.0), (1.2, 0.0), (1.3, 0.0)], 0.95)
                .unwrap();
        assert!(found.ratio.estimate < 1e-5 && found.ratio.estimate > 0.0, "{found:?}");
        assert_eq!(found.p_value, Paired::p_value_min(6));
        let found = Paired::of(&[(0.0, 0.0); 6], 0.95).unwrap();
        assert_eq!((found.ratio.estimate, found.p_value), (1.0, 1.0));
    }

    #[test]
    fn the_normal_curve_goes_on_where_counting_ends() {
        let mut rng = fastrand::Rng::with_seed(1);
        let pairs: Vec<_> = (0..101).map(|_| (1.0, (rng.f64() - 0.45).exp())).collect();
        let (by_curve, by_counting) =
            (Paired::of(&pairs, 0.95).unwrap(), Paired::of(&pairs[..EXACT_PAIRS_MAX], 0.95).unwrap());
        assert!(
            (by_curve.p_value.ln() - by_counting.p_value.ln()).abs() < 0.5,
            "{by_curve:?} {by_counting:?}"
        );
        assert!((by_curve.ratio.low - by_counting.ratio.low).abs() < 0.01);
    }
}
