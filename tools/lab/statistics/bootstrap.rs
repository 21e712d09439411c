//! An interval for what has no rank interval: a quantile of merged histograms, a pooled index.
//!
//! Whole rounds are drawn, with replacement, never requests: those of one run depend on each other (a cluster
//! bootstrap). With few rounds such an interval is somewhat too narrow; where pairs of figures exist, the signed-rank
//! interval is the one to use.

use fastrand::Rng;

/// Draws of the bootstrap.
const DRAWS: usize = 10_000;

/// With fewer rounds there is hardly anything to draw from: of five, each is among those drawn 67 times in 100.
pub const ROUNDS_MIN: usize = 6;

/// Between which values 95 % of the draws lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    pub low: f64,
    pub high: f64,
    /// Two-sided: twice the share of draws beyond the value of no difference.
    pub p_value: f64,
}

/// What `statistic` gives for rounds drawn from these with replacement, beside `none`, its value if there is nothing to
/// find. It is given the number of times that each round was drawn; draws of which it makes nothing are left out.
/// Nothing comes of fewer than [`ROUNDS_MIN`] rounds, nor where every tenth draw gives nothing.
pub fn interval(
    rounds: usize,
    seed: u64,
    none: f64,
    mut statistic: impl FnMut(&[u32]) -> Option<f64>,
) -> Option<Drawn> {
    if rounds < ROUNDS_MIN {
        return None;
    }
    let mut rng = Rng::with_seed(seed);
    let mut times = vec![0_u32; rounds];
    let mut values = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        times.fill(0);
        (0..rounds).for_each(|_| times[rng.usize(..rounds)] += 1);
        values.extend(statistic(&times).filter(|value| value.is_finite()));
    }
    if values.len() * 10 < DRAWS * 9 {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    let at_most = values.partition_point(|&value| value <= none);
    let at_least = values.len() - values.partition_point(|&value| value < none);
    let p_value = 2.0 * (at_most.min(at_least) + 1) as f64 / (values.len() + 1) as f64;
    Some(Drawn { low: at(0.025), high: at(0.975), p_value: p_value.min(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(values: &[f64], times: &[u32]) -> f64 {
        let sum: f64 = values.iter().zip(times).map(|(value, &times)| value * f64::from(times)).sum();
        sum / f64::from(times.iter().sum::<u32>())
    }

    #[test]
    fn of_two_values_it_is_the_binomial() {
        // 20 rounds, half 0, half 1: the mean of a draw is Binomial(20, 1/2)/20, with quantiles 6 and 14.
        let values: Vec<f64> = (0..20).map(|i| f64::from(i % 2)).collect();
        let draw = |none| interval(20, 1, none, |times| Some(mean(&values, times))).unwrap();
        let found = draw(0.3);
        assert_eq!((found.low, found.high), (0.3, 0.7));
        assert_eq!(found, draw(0.3), "the seed decides");
        // P(X <= 6) = 0.0577 for Binomial(20, 1/2).
        assert!((found.p_value - 2.0 * 0.0577).abs() < 0.015, "{found:?}");
        assert_eq!(draw(0.5).p_value, 1.0);
        assert_eq!(draw(-1.0).p_value, 2.0 / 10_001.0);
    }

    #[test]
    fn it_covers_the_truth_nearly_as_often_as_it_says() {
        let mut rng = Rng::with_seed(2);
        let covered = (0..100)
            .filter(|&seed| {
                let values: Vec<f64> = (0..15).map(|_| rng.f64() + rng.f64() - 1.0).collect();
                let found = interval(15, seed, 0.0, |times| Some(mean(&values, times))).unwrap();
                found.low <= 0.0 && 0.0 <= found.high
            })
            .count();
        assert!((85..=99).contains(&covered), "{covered} of 100");
    }

    #[test]
    fn from_little_nothing_is_drawn() {
        assert_eq!(interval(5, 1, 1.0, |_| Some(1.0)), None);
        assert_eq!(interval(6, 1, 1.0, |_| None), None);
        assert_eq!(interval(6, 1, 1.0, |_| Some(f64::NAN)), None);
        assert_eq!(interval(6, 1, 3.0, |_| Some(3.0)), Some(Drawn { low: 3.0, high: 3.0, p_value: 1.0 }));
    }
}
