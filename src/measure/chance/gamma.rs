//! The incomplete gamma function, of which χ² is a case: a tail of χ² with k degrees of freedom beyond X is
//! Q(k/2, X/2).
//!
//! Two expansions that share a factor, each where it converges fast, so that both tails keep their digits.

/// The regularized lower incomplete gamma function P(a, x); χ² with k degrees of freedom is at most X with
/// probability P(k/2, X/2). By the power series below a + 1 (DLMF 8.11.4), else as 1 − Q; the split is that of
/// Numerical Recipes, section 6.2.
pub(super) fn gamma_p(a: f64, x: f64) -> f64 {
    if x >= a + 1.0 {
        return 1.0 - gamma_q(a, x);
    }
    let (mut term, mut sum, mut denominator) = (1.0 / a, 1.0 / a, a);
    while term > sum * f64::EPSILON {
        denominator += 1.0;
        term *= x / denominator;
        sum += term;
    }
    (sum * ln_front(a, x).exp()).min(1.0)
}

/// The upper one, Q(a, x) = 1 − P(a, x): from a + 1 on by the continued fraction (DLMF 8.9.2, contracted),
/// evaluated as Lentz does, so that a tail of 1e-200 keeps its digits.
pub(super) fn gamma_q(a: f64, x: f64) -> f64 {
    if x < a + 1.0 {
        return 1.0 - gamma_p(a, x);
    }
    let tiny = f64::MIN_POSITIVE / f64::EPSILON;
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / tiny;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for step in 1..=GAMMA_STEPS_MAX {
        let i = f64::from(step);
        let numerator = -i * (i - a);
        b += 2.0;
        d = 1.0 / away_from_zero(numerator * d + b, tiny);
        c = away_from_zero(b + numerator / c, tiny);
        fraction *= d * c;
        if (d * c - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    (fraction * ln_front(a, x).exp()).clamp(0.0, 1.0)
}

/// The x below which a `share` of the distribution lies: P(a, x) = share, by bisection.
pub(super) fn gamma_quantile(a: f64, share: f64) -> f64 {
    let mut high = a + 1.0;
    while gamma_p(a, high) < share {
        high *= 2.0;
    }
    let mut low = 0.0;
    // An f64 has 53 bits; the last few of them are noise anyway.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if gamma_p(a, middle) < share { low = middle } else { high = middle }
    }
    high
}

/// The fraction needs some √a steps: 100 for a thousand workers.
const GAMMA_STEPS_MAX: u32 = 10_000;

fn away_from_zero(value: f64, tiny: f64) -> f64 {
    if value.abs() < tiny { tiny } else { value }
}

/// ln(xᵃ e⁻ˣ / Γ(a)), which both expansions share.
fn ln_front(a: f64, x: f64) -> f64 {
    a * x.ln() - x - ln_gamma(a)
}

/// ln Γ(x) for x ≥ 1/2, by Lanczos' approximation with g = 7 and 9 terms (coefficients by Godfrey): 15 digits.
pub(super) fn ln_gamma(x: f64) -> f64 {
    const G: f64 = 7.0;
    const FIRST: f64 = 0.999_999_999_999_809_9;
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let terms: f64 = TERMS.iter().zip(0_u32..).map(|(term, i)| term / (x + f64::from(i))).sum();
    let base = x + G - 0.5;
    0.5 * std::f64::consts::TAU.ln() + (x - 0.5) * base.ln() - base + (FIRST + terms).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chi_square_is_as_tables_have_it() {
        // Upper tails; degrees of freedom, statistic, probability (Abramowitz and Stegun, table 26.8).
        for (freedom, x, q) in [
            (1.0, 3.841_46, 0.05),
            (1.0, 6.634_90, 0.01),
            (3.0, 0.351_846, 0.95),
            (3.0, 7.814_73, 0.05),
            (10.0, 18.307_0, 0.05),
            (30.0, 50.892_2, 0.01),
            (100.0, 118.498, 0.1),
        ] {
            let computed = gamma_q(freedom / 2.0, x / 2.0);
            assert!((computed - q).abs() < 2e-6, "{freedom} degrees, {x}: {computed}");
            assert!((gamma_p(freedom / 2.0, x / 2.0) + computed - 1.0).abs() < 1e-12);
        }
        // Q(1, x) is e^-x, far into the tail.
        assert!((gamma_q(1.0, 300.0) / (-300.0_f64).exp() - 1.0).abs() < 1e-12);
        assert_eq!((gamma_p(1.5, 0.0), gamma_q(1.5, 0.0)), (0.0, 1.0));
        assert!((gamma_p(512.0, 512.0) - 0.5).abs() < 0.01);
    }

    #[test]
    fn a_quantile_is_where_the_share_lies_below() {
        for (a, share) in [(0.5, 0.025), (1.5, 0.975), (15.0, 0.5), (500.0, 0.001)] {
            assert!((gamma_p(a, gamma_quantile(a, share)) - share).abs() < 1e-12);
        }
    }

    #[test]
    fn the_logarithm_of_gamma_is_that_of_factorials() {
        let mut ln_factorial = 0.0;
        for n in 1..170 {
            ln_factorial += f64::from(n).ln();
            assert!((ln_gamma(f64::from(n) + 1.0) - ln_factorial).abs() < 1e-11 * ln_factorial.max(1.0));
        }
        assert!((ln_gamma(0.5) - std::f64::consts::PI.ln() / 2.0).abs() < 1e-14);
    }
}
