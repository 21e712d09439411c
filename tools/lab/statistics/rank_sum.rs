//! Runs without partners: those of two folders, made on two days or of two builds.
//!
//! Mann and Whitney's test, exact, with the Hodges–Lehmann shift of the logarithms: the median of all ratios between a
//! run of the one and a run of the other. What the machine did that day is in the difference, too; pairs
//! (`signed_rank`) are better where there are any.

use super::{Ratio, log_figure, median, normal, shared_ranks};

/// What two sets of runs say about the ratio of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unpaired {
    /// The runs of the smaller set.
    pub runs: usize,
    /// With at least the confidence asked for, or else, of too few runs, with the most that they give.
    pub ratio: Ratio,
    /// Two-sided: how often runs that don't differ would come out at least as far apart.
    pub p_value: f64,
}

impl Unpaired {
    /// The ratio `b / a` of two sets of figures that aren't negative. `None` where either has none.
    pub fn of(a: &[f64], b: &[f64], confidence: f64) -> Option<Self> {
        let logs =
            |values: &[f64]| values.iter().filter_map(|&value| log_figure(value)).collect::<Vec<f64>>();
        let (a, b) = (logs(a), logs(b));
        if a.is_empty() || b.is_empty() {
            return None;
        }
        let mut shifts: Vec<f64> = b.iter().flat_map(|b| a.iter().map(move |a| b - a)).collect();
        shifts.sort_unstable_by(f64::total_cmp);
        let (cut, confidence) = cut(a.len(), b.len(), confidence);
        let ratio = Ratio {
            estimate: median(&shifts).exp(),
            low: shifts[cut].exp(),
            high: shifts[shifts.len() - 1 - cut].exp(),
            confidence,
        };
        Some(Self { runs: a.len().min(b.len()), ratio, p_value: p_value(&a, &b) })
    }

    /// The smallest p-value that so many runs can have, with no overlap: 2 / C(a + b, a).
    pub fn p_value_min(a: usize, b: usize) -> f64 {
        let ways = (1..=a).fold(1.0, |ways, i| ways * (b + i) as f64 / i as f64);
        (2.0_f64 / ways).min(1.0)
    }
}

/// More runs than this, both sets together, and the normal curve is as good as counting.
const EXACT_RUNS_MAX: usize = 60;

/// How many shifts may be cut off at each end while the interval keeps its confidence, and which it then has.
fn cut(a: usize, b: usize, confidence: f64) -> (usize, f64) {
    if a + b > EXACT_RUNS_MAX {
        let (a, b) = (a as f64, b as f64);
        let z = normal::quantile(1.0 - (1.0 - confidence) / 2.0);
        let cut = a * b / 2.0 - z * (a * b * (a + b + 1.0) / 12.0).sqrt() - 0.5;
        return (cut.max(0.0) as usize, confidence);
    }
    let ranks: Vec<usize> = (1..=a + b).collect();
    let least = a * (a + 1) / 2;
    let mut below = 0.0;
    let mut best = (0, 1.0 - Unpaired::p_value_min(a, b));
    for (cut, probability) in rank_sums(&ranks, a)[least..].iter().enumerate() {
        below += probability;
        if below > (1.0 - confidence) / 2.0 {
            break;
        }
        best = (cut, 1.0 - 2.0 * below);
    }
    best
}

/// How probable each sum of `chosen` of these ranks is, if all choices are alike.
fn rank_sums(ranks: &[usize], chosen: usize) -> Vec<f64> {
    let sums = ranks.iter().sum::<usize>() + 1;
    let mut ways = vec![vec![0.0; sums]; chosen + 1];
    ways[0][0] = 1.0;
    for &rank in ranks {
        for taken in (1..=chosen).rev() {
            let (less, more) = ways.split_at_mut(taken);
            for (sum, ways) in more[0].iter_mut().enumerate().skip(rank) {
                *ways += less[taken - 1][sum - rank];
            }
        }
    }
    // 60 choose 30 is 1e17: beyond the whole numbers of an f64, far below its range.
    let all: f64 = ways[chosen].iter().sum();
    ways[chosen].iter().map(|ways| ways / all).collect()
}

fn p_value(a: &[f64], b: &[f64]) -> f64 {
    let mut sorted: Vec<(f64, bool)> =
        a.iter().map(|&a| (a, true)).chain(b.iter().map(|&b| (b, false))).collect();
    sorted.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let ranks = shared_ranks(&sorted.iter().map(|(value, _)| *value).collect::<Vec<_>>());
    let of_a = ranks.iter().zip(&sorted).filter(|(_, (_, is_a))| *is_a).map(|(rank, _)| rank).sum::<usize>();
    // By symmetry the sum expected of a is its share of all.
    let (count, size) = (ranks.len() as f64, a.len() as f64);
    let mean = size * (count + 1.0);
    let distance = (of_a as f64 - mean).abs();
    if ranks.len() > EXACT_RUNS_MAX {
        let squares: f64 = ranks.iter().map(|&rank| (rank as f64 - count - 1.0).powi(2)).sum();
        let deviation = (size * (count - size) * squares / (count * (count - 1.0))).sqrt();
        return if deviation > 0.0 {
            (2.0 * normal::below((1.0 - distance) / deviation)).min(1.0)
        } else {
            1.0
        };
    }
    let sums = rank_sums(&ranks, a.len());
    let far = sums.iter().enumerate().filter(|(sum, _)| (*sum as f64 - mean).abs() >= distance - 1e-9);
    far.map(|(_, probability)| probability).sum::<f64>().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_example_comes_out_as_published() {
        // Permeability of chorioamnion, Hollander and Wolfe (1973), table 4.1: W = 30 for y, p = 0.254 two-sided;
        // the shift from x to y is −0.305, with a 96 % interval of −0.76 to 0.15.
        let x = [0.80_f64, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46].map(f64::exp);
        let y = [1.15_f64, 0.88, 0.90, 0.74, 1.21].map(f64::exp);
        let found = Unpaired::of(&x, &y, 0.95).unwrap();
        assert!((found.p_value - 0.254_4).abs() < 1e-4, "{found:?}");
        let logs = [found.ratio.estimate, found.ratio.low, found.ratio.high].map(f64::ln);
        for (found, published) in logs.into_iter().zip([-0.305, -0.76, 0.15]) {
            assert!((found - published).abs() < 1e-9, "{logs:?}");
        }
        assert!(found.ratio.confidence >= 0.95 && found.runs == 5);
    }

    #[test]
    fn critical_values_are_those_of_the_table() {
        // The largest U with two-sided p ≤ 0.05 is one below the first shift inside the interval.
        for (a, b, critical) in [(4, 4, 0), (5, 5, 2), (8, 8, 13), (10, 10, 23), (6, 9, 10), (20, 20, 127)] {
            assert_eq!(cut(a, b, 0.95).0, critical, "{a} and {b} runs");
        }
        assert!((Unpaired::p_value_min(4, 4) - 2.0 / 70.0).abs() < 1e-12);
        assert_eq!((Unpaired::p_value_min(1, 1), Unpaired::p_value_min(0, 3)), (1.0, 1.0));
    }

    #[test]
    fn a_split_of_three_settles_nothing() {
        let found = Unpaired::of(&[1.0, 1.1, 1.2], &[8.0, 9.0, 10.0], 0.95).unwrap();
        assert!((found.p_value - 0.1).abs() < 1e-12 && (found.ratio.confidence - 0.9).abs() < 1e-12);
        let found = Unpaired::of(&[1.0, 1.1, 1.2, 1.3], &[8.0, 9.0, 10.0, 11.0], 0.95).unwrap();
        assert!((found.p_value - 2.0 / 70.0).abs() < 1e-12 && found.ratio.low > 6.0);
    }

    #[test]
    fn equal_values_share_their_ranks() {
        assert_eq!(Unpaired::of(&[2.0; 5], &[2.0; 6], 0.95).unwrap().p_value, 1.0);
        // 1 1 2 | 2 3 3: of 20 choices of three, the doubled sums 3+3+7 = 13 and 29 and none beyond: 4 choices (each
        // of the twos) at or beyond.
        let found = Unpaired::of(&[1.0, 1.0, 2.0], &[2.0, 3.0, 3.0], 0.95).unwrap();
        assert!((found.p_value - 4.0 / 20.0).abs() < 1e-12, "{found:?}");
        assert_eq!(Unpaired::of(&[], &[1.0], 0.95), None);
        assert_eq!(Unpaired::of(&[f64::NAN], &[1.0], 0.95), None);
    }

    #[test]
    fn the_normal_curve_goes_on_where_counting_ends() {
        let mut rng = fastrand::Rng::with_seed(4);
        let mut draw = |count: usize, shift: f64| -> Vec<f64> {
            (0..count).map(|_| (rng.f64() + shift).exp()).collect()
        };
        let (a, b) = (draw(30, 0.0), draw(31, 0.2));
        let (by_curve, by_counting) =
            (Unpaired::of(&a, &b, 0.95).unwrap(), Unpaired::of(&a, &b[..30], 0.95).unwrap());
        assert!(
            (by_curve.p_value.ln() - by_counting.p_value.ln()).abs() < 0.7,
            "{by_curve:?} {by_counting:?}"
        );
        assert!((by_curve.ratio.high / by_counting.ratio.high - 1.0).abs() < 0.05);
    }
}
