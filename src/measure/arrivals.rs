//! Whether arrivals come as a Poisson process has them: gaps that are exponential, whatever their mean.
//!
//! A load generator that waits for answers, or whose clock ticks, sends something else than it promises, and queues
//! then form that no user would meet, or fail to form. The Anderson–Darling test weighs both ends of the
//! distribution: the shortest gaps, where bursts are, and the longest, where a pause hides.

/// The verdict of the Anderson–Darling test on gaps between arrivals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AndersonDarling {
    /// A², corrected for the number of gaps (Stephens: times 1 + 0.6/n).
    pub statistic: f64,
    /// How probable so large a statistic is if the gaps are exponential.
    pub p_value: f64,
}

impl AndersonDarling {
    /// Tests gaps for an exponential distribution of unknown mean. `None` with fewer than five of them, or where all
    /// are 0.
    ///
    /// D'Agostino and Stephens, "Goodness-of-Fit Techniques" (1986), section 4.9.
    pub fn exponential(gaps: &[f64]) -> Option<Self> {
        let count = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / count;
        if gaps.len() < GAPS_MIN || mean <= 0.0 || !mean.is_finite() {
            return None;
        }
        let mut scaled: Vec<f64> = gaps.iter().map(|gap| (gap / mean).max(SMALLEST)).collect();
        scaled.sort_unstable_by(f64::total_cmp);
        // ln F(z) of the i-th from below, ln(1 − F(z)) = −z of the i-th from above.
        let pairs = scaled.iter().zip(scaled.iter().rev());
        let weighted = pairs
            .zip(0_u32..)
            .map(|((below, above), i)| (2.0 * f64::from(i) + 1.0) * ((-(-below).exp_m1()).ln() - above));
        let statistic = (-count - weighted.sum::<f64>() / count) * (1.0 + 0.6 / count);
        Some(Self { statistic, p_value: p_value(statistic) })
    }
}

/// With fewer, no distribution could be told from another.
const GAPS_MIN: usize = 5;

/// A gap of 0, which a clock may show, would be infinitely improbable; this share of the mean is merely very small.
const SMALLEST: f64 = 1e-9;

/// The fit of the same book (page 136) to the distribution of the statistic.
fn p_value(a: f64) -> f64 {
    if a < 0.260 {
        1.0 - (-12.2204 + 67.459 * a - 110.3 * a * a).exp()
    } else if a < 0.510 {
        1.0 - (-6.1327 + 20.218 * a - 18.663 * a * a).exp()
    } else if a < 0.950 {
        (0.9209 - 3.353 * a + 0.300 * a * a).exp()
    } else {
        // The parabola turns upward beyond 10, where the answer is 'never'.
        let a = a.min(10.0);
        (0.731 - 3.009 * a + 0.15 * a * a).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;

    #[test]
    fn probabilities_are_those_of_the_published_table() {
        // Upper tail points of the corrected statistic, D'Agostino and Stephens, table 4.14.
        for (point, p) in [
            (0.736, 0.25),
            (0.816, 0.20),
            (0.916, 0.15),
            (1.062, 0.10),
            (1.321, 0.05),
            (1.591, 0.025),
            (1.959, 0.01),
        ] {
            assert!((p_value(point) / p - 1.0).abs() < 0.03, "{point}: {} for {p}", p_value(point));
        }
        // The pieces meet.
        for seam in [0.260, 0.510, 0.950] {
            assert!((p_value(seam - 1e-9) - p_value(seam)).abs() < 0.002, "{seam}");
        }
    }

    #[test]
    fn the_statistic_is_that_of_its_definition() {
        // z = 1/3, 2/3, 1, 4/3, 5/3 of the mean 3: A² = −5 − Σ(2i−1)(ln(1−e^−zᵢ) − z₍₆₋ᵢ₎)/5, by hand.
        let z = [1.0, 2.0, 3.0, 4.0, 5.0_f64].map(|gap| gap / 3.0);
        let sum: f64 = (0..5)
            .map(|i| (2.0 * f64::from(i) + 1.0) * ((1.0 - (-z[i as usize]).exp()).ln() - z[4 - i as usize]))
            .sum();
        let expected = (-5.0 - sum / 5.0) * (1.0 + 0.6 / 5.0);
        let found = AndersonDarling::exponential(&[3.0, 1.0, 2.0, 5.0, 4.0]).unwrap().statistic;
        assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
    }

    fn exponential(rng: &mut Rng) -> f64 {
        -(1.0 - rng.f64()).ln()
    }

    #[test]
    fn exponential_gaps_are_rejected_as_often_as_promised() {
        let mut rng = Rng::with_seed(5);
        let rejected = (0..2_000)
            .filter(|_| {
                let gaps: Vec<f64> = (0..200).map(|_| 70e3 * exponential(&mut rng)).collect();
                AndersonDarling::exponential(&gaps).unwrap().p_value < 0.05
            })
            .count();
        // 5 % of 2,000, give or take four standard deviations.
        assert!((61..=139).contains(&rejected), "{rejected}");
    }

    #[test]
    fn other_gaps_are_found_out() {
        let mut rng = Rng::with_seed(6);
        let mut p = |gap: &mut dyn FnMut(&mut Rng) -> f64| {
            let gaps: Vec<f64> = (0..2_000).map(|_| gap(&mut rng)).collect();
            AndersonDarling::exponential(&gaps).unwrap().p_value
        };
        assert!(p(&mut |_| 100.0) < 1e-6, "a clockwork");
        assert!(p(&mut Rng::f64) < 1e-6, "uniform gaps");
        assert!(p(&mut |rng| if rng.u8(..4) == 0 { 4.0 * exponential(rng) } else { 0.0 }) < 1e-6, "bursts");
        assert!(p(&mut |rng| exponential(rng).max(0.2)) < 1e-6, "a pacer that cannot send twice at once");
        assert!(p(&mut exponential) > 0.001, "the real thing");
    }

    #[test]
    fn too_few_gaps_say_nothing() {
        assert_eq!(AndersonDarling::exponential(&[1.0; 4]), None);
        assert_eq!(AndersonDarling::exponential(&[0.0; 9]), None);
        assert_eq!(AndersonDarling::exponential(&[]), None);
    }
}
