//! Any measure of spread beside what chance gives: the deal repeated 4,000 times, with a fixed seed.
//!
//! Pearson's χ² has its distribution in closed form; Jain's index, max/mean, the coefficient of variation and Gini's
//! index have not, least of all for connections that weigh differently. So the connections are dealt again and
//! again, and what was seen is ranked among what came of it.

use fastrand::Rng;

use super::{SEED, deal, draws};

/// A measure of how unevenly something is spread over workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// (Σc)²/(nΣc²): 1 for equal shares, 1/n where one worker has it all.
    Jain,
    /// The largest over the mean: 1 … n.
    MaxOverMean,
    /// Coefficient of variation, of the population: 0 … √(n−1).
    Cov,
    /// Half the mean absolute difference over the mean: 0 … 1 − 1/n.
    Gini,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Jain, Self::MaxOverMean, Self::Cov, Self::Gini];

    /// The measure of these shares, one a worker; that of equal shares where there is nothing to share.
    pub fn of(self, shares: &[u64]) -> f64 {
        let n = shares.len() as f64;
        let mean = shares.iter().map(|&share| share as f64).sum::<f64>() / n;
        if shares.is_empty() || mean == 0.0 {
            return if matches!(self, Self::Jain | Self::MaxOverMean) { 1.0 } else { 0.0 };
        }
        let variance = shares.iter().map(|&share| (share as f64 / mean - 1.0).powi(2)).sum::<f64>() / n;
        match self {
            Self::Jain => 1.0 / (1.0 + variance),
            Self::MaxOverMean => shares.iter().fold(0.0, |max: f64, &share| max.max(share as f64)) / mean,
            Self::Cov => variance.sqrt(),
            Self::Gini => gini(shares, mean),
        }
    }

    /// Whether large values are the uneven ones.
    const fn grows_with_unevenness(self) -> bool {
        !matches!(self, Self::Jain)
    }
}

/// By ranks of the sorted shares: Σ(2i − n − 1)·cᵢ / (n²·m).
fn gini(shares: &[u64], mean: f64) -> f64 {
    let mut sorted = shares.to_vec();
    sorted.sort_unstable();
    let n = sorted.len() as f64;
    let weighted =
        sorted.iter().zip(1_u32..).map(|(&share, i)| (2.0 * f64::from(i) - n - 1.0) * share as f64);
    weighted.sum::<f64>() / (n * n * mean)
}

/// What chance does to every measure, for one number of workers and of connections.
#[derive(Clone, Debug)]
pub struct Chance {
    /// By measure, in the order of [`Measure::ALL`]: what the draws gave, sorted.
    drawn: [Vec<f64>; 4],
}

impl Chance {
    /// `total` connections that all weigh the same, dealt to `workers`; `None` where there is nothing to deal.
    pub fn of_counts(workers: usize, total: u64) -> Option<Self> {
        (total > 0).then_some(())?;
        Self::repeat(workers, draws(workers.max(1)), |rng, shares| deal(rng, total, shares))
    }

    /// Connections of different weight, such as messages or bytes: each goes to a worker by chance, with all
    /// that it carries. `None` where there is nothing to deal.
    pub fn of_weights(workers: usize, weights: &[u64]) -> Option<Self> {
        weights.iter().any(|&weight| weight > 0).then_some(())?;
        let repeats = (DEALT_MAX / weights.len()).clamp(250, draws(workers.max(1)));
        Self::repeat(workers, repeats, |rng, shares| {
            shares.fill(0);
            for weight in weights {
                let share = &mut shares[rng.usize(..workers)];
                *share = share.saturating_add(*weight);
            }
        })
    }

    fn repeat(workers: usize, repeats: usize, mut deal: impl FnMut(&mut Rng, &mut [u64])) -> Option<Self> {
        if workers < 2 {
            return None;
        }
        let (mut rng, mut shares) = (Rng::with_seed(SEED), vec![0; workers]);
        let mut drawn = Measure::ALL.map(|_| Vec::with_capacity(repeats));
        for _ in 0..repeats {
            deal(&mut rng, &mut shares);
            for (values, measure) in drawn.iter_mut().zip(Measure::ALL) {
                values.push(measure.of(&shares));
            }
        }
        drawn.iter_mut().for_each(|values| values.sort_unstable_by(f64::total_cmp));
        Some(Self { drawn })
    }

    /// The average over all draws.
    pub fn mean(&self, measure: Measure) -> f64 {
        let values = self.values(measure);
        values.iter().sum::<f64>() / values.len() as f64
    }

    /// 95 of 100 draws are no more uneven than this.
    pub fn worst(&self, measure: Measure) -> f64 {
        self.quantile(measure, if measure.grows_with_unevenness() { 0.95 } else { 0.05 })
    }

    /// 95 of 100 draws lie between these.
    pub fn band(&self, measure: Measure) -> (f64, f64) {
        (self.quantile(measure, 0.025), self.quantile(measure, 0.975))
    }

    /// Two-sided: how probable is a value at least as far out as `seen`, at either end. What was seen counts
    /// as a draw, so this is never 0.
    pub fn p_value(&self, measure: Measure, seen: f64) -> f64 {
        let (values, slack) = (self.values(measure), 1e-9);
        let at_most = values.partition_point(|&value| value <= seen + slack);
        let at_least = values.len() - values.partition_point(|&value| value < seen - slack);
        (2.0 * (at_most.min(at_least) + 1) as f64 / (values.len() + 1) as f64).min(1.0)
    }

    fn quantile(&self, measure: Measure, share: f64) -> f64 {
        let values = self.values(measure);
        values[((values.len() - 1) as f64 * share).round() as usize]
    }

    fn values(&self, measure: Measure) -> &[f64] {
        &self.drawn[measure as usize]
    }
}

/// Connections dealt in all draws together: a fifth of a second.
const DEALT_MAX: usize = 20_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Workers, connections, then by measure: mean and 95th percentile.
    type Row = (usize, u64, [(f64, f64); 4]);

    /// Workers, connections, then mean and 95th percentile of Jain, max/mean, CoV and Gini: 4,000 draws of
    /// another program, rounded.
    const TABLE: [Row; 9] = [
        (2, 64, [(0.985, 0.941), (1.10, 1.25), (0.10, 0.25), (0.05, 0.13)]),
        (4, 64, [(0.956, 0.890), (1.26, 1.50), (0.20, 0.35), (0.11, 0.19)]),
        (4, 256, [(0.989, 0.971), (1.13, 1.23), (0.10, 0.17), (0.05, 0.09)]),
        (4, 1000, [(0.997, 0.992), (1.07, 1.12), (0.05, 0.09), (0.03, 0.05)]),
        (8, 64, [(0.904, 0.821), (1.53, 1.88), (0.32, 0.47), (0.17, 0.25)]),
        (8, 256, [(0.974, 0.947), (1.26, 1.44), (0.16, 0.24), (0.09, 0.13)]),
        (16, 64, [(0.812, 0.715), (1.97, 2.50), (0.48, 0.63), (0.26, 0.34)]),
        (16, 1000, [(0.985, 0.976), (1.23, 1.34), (0.12, 0.16), (0.07, 0.09)]),
        (32, 256, [(0.892, 0.848), (1.80, 2.13), (0.35, 0.42), (0.19, 0.23)]),
    ];

    #[test]
    fn every_measure_is_as_an_independent_simulation_has_it() {
        for (workers, total, rows) in TABLE {
            let chance = Chance::of_counts(workers, total).unwrap();
            for (measure, (mean, worst)) in Measure::ALL.into_iter().zip(rows) {
                let rounding = if measure == Measure::Jain { 0.0005 } else { 0.005 };
                let values = chance.values(measure);
                let (ours, deviation) = (chance.mean(measure), standard_deviation(values));
                // Two simulations of 4,000 draws each: three standard errors of their difference.
                let error = 3.0 * deviation * (2.0 / values.len() as f64).sqrt();
                let what = format!("{measure:?}, {workers} x {total}");
                assert!((ours - mean).abs() < rounding + error, "{what}: mean {ours}, not {mean}");
                // A 95th percentile has 2.1 times the error of a mean of normal values, and max/mean moves by
                // whole connections.
                let step = if measure == Measure::MaxOverMean { workers as f64 / total as f64 } else { 0.0 };
                let ours = chance.worst(measure);
                let margin = rounding + 2.1 * error + step;
                assert!((ours - worst).abs() < margin, "{what}: 95 % {ours}, not {worst}");
            }
        }
    }

    fn standard_deviation(values: &[f64]) -> f64 {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    }

    #[test]
    fn the_variance_is_that_of_the_formula() {
        // E[CoV²] = (n − 1)/N, and with weights (n − 1)/N_eff, N_eff = (Σw)²/Σw².
        let second_moment = |chance: &Chance| {
            let values = chance.values(Measure::Cov);
            values.iter().map(|cov| cov * cov).sum::<f64>() / values.len() as f64
        };
        let even = Chance::of_counts(8, 256).unwrap();
        assert!((second_moment(&even) / (7.0 / 256.0) - 1.0).abs() < 0.04);
        // 10 connections of weight 81 and 90 of weight 1: 900²/65700 = 12.33 count.
        let weights: Vec<u64> = (0..100).map(|i| if i < 10 { 81 } else { 1 }).collect();
        let heavy = Chance::of_weights(4, &weights).unwrap();
        assert!((second_moment(&heavy) / (3.0 / 12.329) - 1.0).abs() < 0.05);
        assert!(
            heavy.worst(Measure::MaxOverMean)
                > Chance::of_counts(4, 100).unwrap().worst(Measure::MaxOverMean)
        );
    }

    #[test]
    fn what_is_far_out_is_improbable_at_either_end() {
        let chance = Chance::of_counts(4, 400).unwrap();
        let p = |shares: &[u64]| Measure::ALL.map(|measure| chance.p_value(measure, measure.of(shares)));
        assert!(p(&[400, 0, 0, 0]).iter().all(|&p| p < 0.001));
        assert!(p(&[100; 4]).iter().all(|&p| p < 0.01), "{:?}", p(&[100; 4]));
        assert!(p(&[104, 98, 91, 107]).iter().all(|&p| p > 0.2));
        let (low, high) = chance.band(Measure::MaxOverMean);
        assert!(low > 1.0 && high < 1.25 && low < chance.mean(Measure::MaxOverMean));
    }

    #[test]
    fn measures_are_by_their_definitions() {
        // m = 20; Gini: (2·10 + 2·20 + 2·10 over pairs, twice) / (2·9·20).
        let shares = [10, 20, 30];
        let expected = [3600.0 / 4200.0, 1.5, (200.0_f64 / 3.0).sqrt() / 20.0, 80.0 / 360.0];
        for (measure, expected) in Measure::ALL.into_iter().zip(expected) {
            assert!((measure.of(&shares) - expected).abs() < 1e-12, "{measure:?}: {}", measure.of(&shares));
        }
        assert_eq!(Measure::ALL.map(|measure| measure.of(&[0, 0])), [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(Measure::ALL.map(|measure| measure.of(&[])), [1.0, 1.0, 0.0, 0.0]);
        assert!((Measure::Gini.of(&[0, 0, 0, 9]) - 0.75).abs() < 1e-12);
    }

    #[test]
    fn with_nothing_to_deal_there_is_no_chance() {
        assert!(Chance::of_counts(1, 9).is_none() && Chance::of_counts(4, 0).is_none());
        assert!(Chance::of_counts(0, 9).is_none() && Chance::of_weights(0, &[1]).is_none());
        assert!(Chance::of_weights(4, &[]).is_none() && Chance::of_weights(4, &[0]).is_none());
    }
}
