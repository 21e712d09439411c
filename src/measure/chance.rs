//! What chance alone would give: N connections dealt to n workers by a fair hash.
//!
//! A hash is blind, so even a perfect one leaves a spread: of 400 connections over 4 workers the busiest
//! typically has 110, not 100. A figure of balance means something only beside this. Two questions are
//! answered here. How far above the mean is the busiest worker, by chance? There is no closed form that holds
//! from ten connections to millions, so the draw itself is repeated, with a fixed seed: the same counts give
//! the same answer on each machine and in each report. And how probable is a spread at least as small, or at
//! least as large, as the one that was seen? Pearson's χ² answers that where every worker expects a few
//! connections; below that its approximation fails and the draw is repeated as well.

mod gamma;
mod simulated;

use fastrand::Rng;

use gamma::{gamma_p, gamma_q, gamma_quantile, ln_gamma};

pub use simulated::{Chance, Measure};

/// Any constant will do; a constant it must be.
const SEED: u64 = 0x6576_656e_6b65_656c;

/// Where each worker expects at least this many connections, χ² holds (Cochran's rule).
const CHI_SQUARE_EXPECTED_MIN: f64 = 5.0;

/// Where a binomial expects at least this many, it is drawn by a normal curve; see [`binomial`].
const NORMAL_EXPECTED_MIN: f64 = 30.0;

/// How far the busiest worker is above the mean, by chance: max/mean, at least 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxOverMean {
    /// Averaged over draws.
    pub mean: f64,
    /// Half of the draws are at most this.
    pub p50: f64,
    /// 95 % of the draws are at most this.
    pub p95: f64,
}

/// The busiest of `workers` when a fair hash deals `total` connections; all 1 where there is nothing to deal.
pub fn max_over_mean(workers: usize, total: u64) -> MaxOverMean {
    if workers < 2 || total == 0 {
        return MaxOverMean { mean: 1.0, p50: 1.0, p95: 1.0 };
    }
    let mean = total as f64 / workers as f64;
    let mut maxima = Vec::with_capacity(draws(workers));
    repeat(workers, total, |counts| maxima.push(counts.iter().copied().max().unwrap_or(0)));
    maxima.sort_unstable();
    let quantile = |hundredths: usize| maxima[(maxima.len() - 1) * hundredths / 100] as f64 / mean;
    let sum: f64 = maxima.iter().map(|&max| max as f64).sum();
    MaxOverMean { mean: sum / maxima.len() as f64 / mean, p50: quantile(50), p95: quantile(95) }
}

/// Between which counts chance keeps one of `workers` 95 times in 100, when a fair hash deals `total` connections: the
/// binomial quantiles at 2.5 and 97.5 %, exact where there are few and by the normal curve where there are many. A
/// lone worker gets all.
pub fn share_band(workers: usize, total: u64) -> (u64, u64) {
    /// So many steps are a millisecond.
    const EXACT_MAX: u64 = 100_000;
    if workers < 2 {
        return (total, total);
    }
    let share = 1.0 / workers as f64;
    if total > EXACT_MAX {
        let mean = total as f64 * share;
        let reach = 1.96 * (mean * (1.0 - share)).sqrt();
        return ((mean - reach).round() as u64, (mean + reach).round() as u64);
    }
    let odds = share / (1.0 - share);
    let mut log_probability = total as f64 * (1.0 - share).ln();
    let (mut below, mut low) = (0.0, None);
    for count in 0..total {
        below += log_probability.exp();
        if below >= 0.025 {
            low = low.or(Some(count));
        }
        if below >= 0.975 {
            return (low.unwrap_or(count), count);
        }
        log_probability += ((total - count) as f64 / (count + 1) as f64 * odds).ln();
    }
    (low.unwrap_or(total), total)
}

/// How probable it is that a fair hash spreads connections as evenly, or as unevenly, as was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tails {
    /// Probability of a dispersion at most as large: small when something balances.
    pub low: f64,
    /// Probability of a dispersion at least as large: small when something concentrates.
    pub high: f64,
}

impl Tails {
    /// The tails of these counts, one a worker; `None` with fewer than two workers or without connections.
    pub fn of(counts: &[u64]) -> Option<Self> {
        Self::of_rounds(&[counts])
    }

    /// The tails of several rounds together, each dealt anew: Pearson's statistics add up, and so do their degrees
    /// of freedom. Counts must not be added instead: a mode that packs another worker in each round would look
    /// even. Rounds without two workers or without connections tell nothing; `None` where all are such.
    pub fn of_rounds(rounds: &[&[u64]]) -> Option<Self> {
        let rounds: Vec<&[u64]> = telling(rounds).collect();
        let expected = |counts: &&[u64]| total(counts) as f64 / counts.len() as f64;
        let fewest = rounds.iter().map(expected).min_by(f64::total_cmp)?;
        Some(if fewest >= CHI_SQUARE_EXPECTED_MIN { by_chi_square(&rounds) } else { by_repetition(&rounds) })
    }

    /// Two-sided: how probable is a dispersion at least as far out, at either end.
    pub fn p_value(self) -> f64 {
        (2.0 * self.low.min(self.high)).min(1.0)
    }
}

/// The dispersion over several rounds, 1 by chance, and between which values chance keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dispersion {
    /// Pearson's statistics over their degrees of freedom, all rounds: the more rounds, the nearer chance is to 1.
    pub index: f64,
    /// Chance stays between these 95 times in 100.
    pub by_chance: (f64, f64),
}

impl Dispersion {
    /// Of rounds of counts, one a worker; `None` where none has two workers and a connection.
    pub fn of_rounds(rounds: &[&[u64]]) -> Option<Self> {
        let freedom: usize = telling(rounds).map(|counts| counts.len() - 1).sum();
        if freedom == 0 {
            return None;
        }
        let freedom = freedom as f64;
        let bound = |share| 2.0 * gamma_quantile(freedom / 2.0, share) / freedom;
        Some(Self {
            index: telling(rounds).map(pearson).sum::<f64>() / freedom,
            by_chance: (bound(0.025), bound(0.975)),
        })
    }
}

/// Rounds from which something can be learned.
fn telling<'a>(rounds: &[&'a [u64]]) -> impl Iterator<Item = &'a [u64]> {
    rounds.iter().copied().filter(|counts| counts.len() >= 2 && total(counts) > 0)
}

/// All connections; what doesn't fit is as good as the largest number that does.
pub(super) fn total(counts: &[u64]) -> u64 {
    counts.iter().fold(0, |sum: u64, &count| sum.saturating_add(count))
}

/// Σ(c−m)²/m: Pearson's statistic against equal shares.
pub(super) fn pearson(counts: &[u64]) -> f64 {
    let mean = counts.iter().map(|&count| count as f64).sum::<f64>() / counts.len() as f64;
    counts.iter().map(|&count| (count as f64 - mean).powi(2)).sum::<f64>() / mean
}

/// χ² is continuous and counts aren't: it calls equal counts impossible, though two workers share 400
/// connections equally once in 25 times. So the low tail is given the probability of the most even outcome
/// besides, less what outcomes as far out as this one are rarer: exact for equal counts, and for two workers
/// the usual continuity correction.
fn by_chi_square(rounds: &[&[u64]]) -> Tails {
    let freedom: usize = rounds.iter().map(|counts| counts.len() - 1).sum();
    let (half_freedom, half_x) =
        (freedom as f64 / 2.0, rounds.iter().map(|it| pearson(it)).sum::<f64>() / 2.0);
    let evens = rounds.iter().map(|counts| most_even(counts.len(), total(counts)));
    let outcome = evens.product::<f64>() * (-half_x).exp();
    let low = gamma_p(half_freedom, half_x) + outcome;
    Tails { low: low.min(1.0), high: gamma_q(half_freedom, half_x) }
}

/// The observed counts are themselves one draw more, so that no p-value is ever 0.
fn by_repetition(rounds: &[&[u64]]) -> Tails {
    // Sums of equal squares may differ in the last bit, depending on their order.
    let (seen, slack) = (rounds.iter().map(|it| pearson(it)).sum::<f64>(), 1e-9);
    let mut rng = Rng::with_seed(SEED);
    let mut dealt: Vec<Vec<u64>> = rounds.iter().map(|counts| vec![0; counts.len()]).collect();
    let repeats = draws(dealt.iter().map(Vec::len).sum());
    let (mut low, mut high) = (1.0, 1.0);
    for _ in 0..repeats {
        dealt.iter_mut().zip(rounds).for_each(|(counts, seen)| deal(&mut rng, total(seen), counts));
        let drawn: f64 = dealt.iter().map(|it| pearson(it)).sum();
        low += f64::from(drawn <= seen + slack);
        high += f64::from(drawn >= seen - slack);
    }
    let all = (repeats + 1) as f64;
    Tails { low: low / all, high: high / all }
}

/// The probability that `total` connections fall as evenly as they can: N! / ∏cᵢ! / nᴺ, times the number of
/// ways to choose the workers that get one more.
fn most_even(workers: usize, total: u64) -> f64 {
    let (each, over) = (total / workers as u64, total % workers as u64);
    let ln_factorial = |n: u64| ln_gamma(n as f64 + 1.0);
    let (with_more, others) = (over as f64, workers as f64 - over as f64);
    let ways = ln_factorial(workers as u64) - ln_gamma(with_more + 1.0) - ln_gamma(others + 1.0);
    let ln_each = with_more * ln_factorial(each + 1) + others * ln_factorial(each);
    (ln_factorial(total) - ln_each - total as f64 * (workers as f64).ln() + ways).exp().min(1.0)
}

/// How often the draw is repeated. 4000 draws place the 95th percentile within ± 0.7 % of rank; with
/// hundreds of workers the maximum varies less, and fewer do, so that a report never takes long.
fn draws(workers: usize) -> usize {
    (160_000 / workers).clamp(DRAWS_MIN, 4_000)
}

/// The fewest with which a p-value can still be under 0.01, as 2/(draws + 1).
const DRAWS_MIN: usize = 250;

fn repeat(workers: usize, total: u64, mut look: impl FnMut(&[u64])) {
    let mut rng = Rng::with_seed(SEED);
    let mut counts = vec![0; workers];
    for _ in 0..draws(workers) {
        deal(&mut rng, total, &mut counts);
        look(&counts);
    }
}

/// One multinomial draw, worker by worker: of what is left, the next of k workers gets a binomial share
/// with p = 1/k. Takes as long for a million connections as for a thousand.
fn deal(rng: &mut Rng, total: u64, counts: &mut [u64]) {
    let (mut left, workers) = (total, counts.len());
    for (worker, count) in counts.iter_mut().enumerate() {
        let takers = workers - worker;
        *count = if takers == 1 { left } else { binomial(rng, left, 1.0 / takers as f64) };
        left -= *count;
    }
}

/// A binomial draw, for p ≤ 1/2. Small ones are exact, by inversion. Large ones are a normal draw with the
/// Cornish–Fisher term for skewness: what is neglected is of the order 1/np, under 0.01 standard deviations
/// where this is used.
fn binomial(rng: &mut Rng, n: u64, p: f64) -> u64 {
    let expected = n as f64 * p;
    if expected < NORMAL_EXPECTED_MIN {
        return binomial_by_inversion(rng, n, p);
    }
    let deviation = (expected * (1.0 - p)).sqrt();
    let skewness = (1.0 - 2.0 * p) / deviation;
    let z = normal(rng);
    let drawn = expected + deviation * (z + skewness * (z * z - 1.0) / 6.0);
    // The cast saturates at 0.
    (drawn.round() as u64).min(n)
}

/// Walks up the distribution from 0 until a uniform draw is used up (algorithm BINV of Kachitvichyanukul and
/// Schmeiser, "Binomial random variate generation", 1988).
fn binomial_by_inversion(rng: &mut Rng, n: u64, p: f64) -> u64 {
    let odds = p / (1.0 - p);
    let mut probability = (n as f64 * (-p).ln_1p()).exp();
    let mut uniform = rng.f64();
    let mut drawn = 0;
    // Ends at n at the latest, where rounding has left a crumb of `uniform`.
    while uniform > probability && drawn < n {
        uniform -= probability;
        drawn += 1;
        probability *= odds * (n - drawn + 1) as f64 / drawn as f64;
    }
    drawn
}

/// Box and Muller, of which one of the pair is used.
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Workers, connections, mean and 95th percentile of max/mean: 4000 draws of another program, rounded.
    const TABLE: [(usize, u64, f64, f64); 9] = [
        (2, 64, 1.10, 1.25),
        (4, 64, 1.26, 1.50),
        (4, 256, 1.13, 1.23),
        (4, 1000, 1.07, 1.12),
        (8, 64, 1.53, 1.88),
        (8, 256, 1.26, 1.44),
        (16, 64, 1.97, 2.50),
        (16, 1000, 1.23, 1.34),
        (32, 256, 1.80, 2.13),
    ];

    #[test]
    fn the_busiest_worker_is_as_an_independent_simulation_has_it() {
        for (workers, total, mean, p95) in TABLE {
            let chance = max_over_mean(workers, total);
            // Rounding, and some three standard errors of either simulation.
            assert!(
                (chance.mean / mean - 1.0).abs() < 0.0075,
                "{workers} x {total}: {chance:?}, mean {mean}"
            );
            // Maxima are whole connections: two simulations may differ by one.
            let one = workers as f64 / total as f64;
            assert!((chance.p95 - p95).abs() < one + 0.005, "{workers} x {total}: {chance:?}, p95 {p95}");
        }
    }

    #[test]
    fn quantiles_of_the_busiest_worker_are_exact() {
        // Workers, connections, median and 95th percentile of max/mean, from the exact distribution: the
        // coefficient of x^N in (sum of x^j/j! for j <= max)^n.
        for (workers, total, p50, p95) in [
            (2, 64, 1.093_75, 1.25),
            (4, 64, 1.25, 1.5),
            (4, 256, 1.125, 1.25),
            (8, 64, 1.5, 1.875),
            (8, 256, 1.25, 1.437_5),
            (16, 64, 2.0, 2.5),
            (4, 1000, 1.06, 1.124),
        ] {
            let chance = max_over_mean(workers, total);
            assert_eq!((chance.p50, chance.p95), (p50, p95), "{workers} x {total}");
        }
    }

    #[test]
    fn a_share_is_kept_in_its_binomial_band() {
        // scipy.stats.binom.ppf([0.025, 0.975], total, 1 / workers)
        for (workers, total, band) in [(4, 400, (83, 117)), (2, 10, (2, 8)), (4, 1, (0, 1)), (2, 1, (0, 1))] {
            assert_eq!(share_band(workers, total), band, "{workers} x {total}");
        }
        assert_eq!((share_band(4, 0), share_band(1, 7), share_band(0, 7)), ((0, 0), (7, 7), (7, 7)));
        let (exact, normal) = (share_band(8, 100_000), share_band(8, 100_001));
        assert!(exact.0.abs_diff(normal.0) <= 1 && exact.1.abs_diff(normal.1) <= 1, "{exact:?} {normal:?}");
        assert!(share_band(3, u64::MAX).0 > u64::MAX / 4, "and it ends");
    }

    #[test]
    fn the_normal_draw_agrees_with_dealing_one_by_one() {
        // 4 x 60: the first binomial expects 60 and is drawn by the normal curve.
        let (workers, total) = (4, 240);
        let mut rng = Rng::with_seed(1);
        let one_by_one: f64 = (0..20_000)
            .map(|_| {
                let mut counts = [0_u64; 4];
                (0..total).for_each(|_| counts[rng.usize(..workers)] += 1);
                *counts.iter().max().unwrap() as f64
            })
            .sum();
        let mean = one_by_one / 20_000.0 / (total as f64 / workers as f64);
        assert!((max_over_mean(workers, total).mean - mean).abs() < 0.004);
    }

    #[test]
    fn a_deal_gives_out_every_connection() {
        let mut rng = Rng::with_seed(2);
        for (workers, total) in [(1, 5), (2, 1), (3, 0), (7, 1_000_003), (1024, 50), (64, u64::MAX / 2)] {
            let mut counts = vec![9; workers];
            deal(&mut rng, total, &mut counts);
            assert_eq!(counts.iter().sum::<u64>(), total);
        }
    }

    #[test]
    fn with_nothing_to_deal_there_is_no_chance() {
        let even = MaxOverMean { mean: 1.0, p50: 1.0, p95: 1.0 };
        assert_eq!((max_over_mean(1, 400), max_over_mean(4, 0), max_over_mean(0, 0)), (even, even, even));
        assert_eq!((Tails::of(&[400]), Tails::of(&[0, 0]), Tails::of(&[])), (None, None, None));
    }

    #[test]
    fn equal_counts_have_the_probability_that_they_have() {
        // C(400, 200) / 2^400, and 4! 4^-4.
        assert!((most_even(2, 400) - 0.039_869_3).abs() < 1e-6);
        assert!((most_even(4, 4) - 0.093_75).abs() < 1e-12);
        assert!((Tails::of(&[200, 200]).unwrap().p_value() - 2.0 * 0.039_869_3).abs() < 1e-5);
        // Two workers of three get one more: 3 * 5! / (2! 2! 1!) / 3^5.
        assert!((most_even(3, 5) - 90.0 / 243.0).abs() < 1e-12);
    }

    #[test]
    fn two_workers_are_as_the_exact_binomial_has_them() {
        // P(|X - 200| <= d) for X ~ B(400, 1/2), summed up.
        let ln_pmf = |k: u64| {
            ln_gamma(401.0)
                - ln_gamma(k as f64 + 1.0)
                - ln_gamma((400 - k) as f64 + 1.0)
                - 400.0 * 2.0_f64.ln()
        };
        for distance in [0, 1, 3, 10, 25] {
            let exact: f64 = (200 - distance..=200 + distance).map(|k| ln_pmf(k).exp()).sum();
            let low = Tails::of(&[200 - distance, 200 + distance]).unwrap().low;
            assert!((low - exact).abs() < 0.004, "{distance}: {low} for {exact}");
        }
    }

    #[test]
    fn few_connections_are_judged_by_repetition() {
        // 4 x 4: equal with probability 0.094, all on one with 4 / 4^4 = 0.016.
        let equal = Tails::of(&[1, 1, 1, 1]).unwrap();
        let packed = Tails::of(&[0, 4, 0, 0]).unwrap();
        assert!((equal.low - 0.093_75).abs() < 0.015 && equal.high == 1.0, "{equal:?}");
        assert!((packed.high - 0.015_6).abs() < 0.006 && packed.low == 1.0, "{packed:?}");
        assert_eq!(packed, Tails::of(&[4, 0, 0, 0]).unwrap());
    }

    #[test]
    fn rounds_that_pack_in_turn_are_not_even() {
        // Added up, these are 24 each.
        let rounds: [&[u64]; 4] = [&[24, 0, 0, 0], &[0, 24, 0, 0], &[0, 0, 24, 0], &[0, 0, 0, 24]];
        assert!(Tails::of_rounds(&rounds).unwrap().high < 1e-50);
        let dispersion = Dispersion::of_rounds(&rounds).unwrap();
        assert!((dispersion.index - 24.0).abs() < 1e-12, "{dispersion:?}");
        // Few connections, by repetition: 4 on one of 4, in both of two rounds, is 1 of 64².
        assert!(Tails::of_rounds(&[&[4, 0, 0, 0], &[0, 4, 0, 0]]).unwrap().high < 0.002);
        assert_eq!((Tails::of_rounds(&[]), Dispersion::of_rounds(&[&[7], &[0, 0]])), (None, None));
    }

    #[test]
    fn the_band_of_a_dispersion_is_that_of_chi_square() {
        // Quantiles at 2.5 and 97.5 %, 3 and 30 degrees of freedom (any table): 0.2158, 9.3484; 16.791, 46.979.
        for (rounds, low, high) in [(1, 0.215_8 / 3.0, 9.348_4 / 3.0), (10, 16.791 / 30.0, 46.979 / 30.0)] {
            let counts: Vec<&[u64]> = vec![&[25, 25, 25, 25]; rounds];
            let band = Dispersion::of_rounds(&counts).unwrap().by_chance;
            assert!((band.0 - low).abs() < 1e-4 && (band.1 - high).abs() < 1e-4, "{band:?}");
        }
    }

    #[test]
    fn even_rounds_are_as_probable_as_all_of_them_are_even() {
        // Two equal rounds of 400 over two workers: 0.03987².
        let low = Tails::of_rounds(&[&[200, 200], &[200, 200]]).unwrap().low;
        assert!((low / 0.039_869_3_f64.powi(2) - 1.0).abs() < 1e-4, "{low}");
    }

    #[test]
    fn p_values_of_chance_are_uniform() {
        let (mut rng, mut rejected) = (Rng::with_seed(3), 0);
        let mut counts = [0; 8];
        for _ in 0..2_000 {
            deal(&mut rng, 1_000, &mut counts);
            rejected += u32::from(Tails::of(&counts).unwrap().p_value() < 0.05);
        }
        // 5 % of 2000, give or take four standard deviations.
        assert!((60..=140).contains(&rejected), "{rejected} of 2000 rejected at 5 %");
    }
}
